use proc_macro2::{Ident, Span};

use super::{camel, kebab, package, snake};

fn check(rust: &str, wit: &str) {
    let ident = Ident::new(rust, Span::call_site());
    assert_eq!(kebab(&ident).expect("a name that WIT can say"), wit);
}

#[test]
fn rust_names_become_kebab_case() {
    check("order_id", "order-id");
    check("Order", "order");
    check("InTransit", "in-transit");
    check("HTTPError", "http-error");
    check("Sha256Sum", "sha256-sum");
    check("_private", "private");
}

#[test]
fn names_that_wit_cannot_say_are_refused() {
    for name in ["line_2", "größe", "_"] {
        let ident = syn::parse_str::<Ident>(name).unwrap_or_else(|_| Ident::new("__", Span::call_site()));
        assert!(kebab(&ident).is_err(), "{name}");
    }
}

#[test]
fn generated_names_step_round_keywords() {
    assert_eq!(snake("order-id"), "order_id");
    assert_eq!(snake("type"), "type_");
    assert_eq!(camel("http-error"), "HttpError");
    assert_eq!(camel("self"), "Self_");
}

#[test]
fn crate_names_become_package_names() {
    assert_eq!(package("read-orders"), "read-orders");
    assert_eq!(package("Read_Orders"), "read-orders");
    assert_eq!(package("tool-2"), "tool");
    assert_eq!(package("2"), "unnamed");
}
