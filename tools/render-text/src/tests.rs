use nanohost_guest::Failure;

use crate::template::{render, render_html};

fn filled(template: &str, values: &str) -> Result<String, Failure> {
    render(template.to_owned(), values.to_owned())
}

#[test]
fn values_are_filled_in() {
    let template = "{% for order in orders %}{{ order.id }}: {{ order.total }}\n{% endfor %}";
    let values = r#"{"orders": [{"id": "A-1", "total": 5}, {"id": "A-2", "total": 7}]}"#;
    assert_eq!(filled(template, values).as_deref(), Ok("A-1: 5\nA-2: 7\n"));
    assert_eq!(filled("{{ name|upper }}", r#"{"name": "ada"}"#).as_deref(), Ok("ADA"));
}

#[test]
fn html_is_escaped_where_it_is_asked_for() {
    let values = r#"{"name": "<b>\"A\" & B</b>"}"#;
    assert_eq!(filled("{{ name }}", values).as_deref(), Ok("<b>\"A\" & B</b>"));
    let html = render_html("<p>{{ name }}</p>".to_owned(), values.to_owned()).expect("it renders");
    assert!(html.starts_with("<p>&lt;b&gt;") && html.ends_with("&lt;&#x2f;b&gt;</p>"), "{html}");
}

/// What was filled in is text, whatever it looks like.
#[test]
fn values_are_no_templates() {
    assert_eq!(filled("{{ a }}", r#"{"a": "{{ b }}", "b": "no"}"#).as_deref(), Ok("{{ b }}"));
}

#[test]
fn a_name_without_a_value_is_said() {
    let error = filled("Dear {{ customer.name }}\n{{ amount }}", r#"{"customer": {"name": "Ada"}}"#);
    let Err(Failure::Rejected(said)) = error else { panic!("{error:?}") };
    assert!(said.starts_with("line 2 of the template"), "{said}");
}

#[test]
fn what_is_wrong_is_said() {
    assert!(matches!(filled("{% for %}", "{}"), Err(Failure::InvalidInput(_))));
    assert!(matches!(filled("{% include 'other' %}", "{}"), Err(Failure::InvalidInput(_))));
    assert!(matches!(filled("", "[]"), Err(Failure::InvalidInput(_))));
}

#[test]
fn loops_end() {
    let loops = "{% for a in range(10000) %}{% for b in range(10000) %}x{% endfor %}{% endfor %}";
    assert!(matches!(filled(loops, "{}"), Err(Failure::Rejected(_))));
}
