use std::io::Write as _;

use super::Scripted;

fn script(text: &str) -> anyhow::Result<Scripted> {
    let mut file = tempfile::Builder::new().suffix(".toml").tempfile()?;
    file.write_all(text.as_bytes())?;
    Scripted::read(file.path())
}

#[test]
fn the_first_fitting_answer_wins() -> anyhow::Result<()> {
    let model = script(
        r#"
        [[answer]]
        step = "classify"
        contains = "money back"
        text = "refund"
        [[answer]]
        step = "classify"
        text = "other"
        "#,
    )?;
    assert_eq!(model.answer("classify", "I want my money back"), Some("refund"));
    assert_eq!(model.answer("classify", "hello"), Some("other"));
    assert_eq!(model.answer("elsewhere", "hello"), None);
    Ok(())
}

#[test]
fn an_unknown_key_is_refused() {
    assert!(script("[[answer]]\nstep = \"a\"\ntext = \"b\"\nsleep = 1\n").is_err());
}
