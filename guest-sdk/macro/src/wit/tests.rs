use super::World;
use crate::module::Module;

fn world(module: &str) -> Result<String, String> {
    let item: syn::ItemMod = syn::parse_str(module).expect("the test's module is Rust");
    let module = Module::read(&item).map_err(|error| error.to_string())?;
    World::of(&module, "demo".to_owned(), "1.0.0".to_owned())
        .map(|world| world.text)
        .map_err(|error| error.to_string())
}

fn says(module: &str, line: &str) {
    let text = world(module).expect("a tool");
    assert!(text.contains(line), "{line:?} is not in\n{text}");
}

fn refused(module: &str, why: &str) {
    let error = world(module).expect_err("no tool");
    assert!(error.contains(why), "{why:?} is not in {error:?}");
}

#[test]
fn functions_and_types_become_an_interface() {
    says(
        "mod m { pub fn find_order(order_id: String) -> Option<u64> { None } }",
        "%find-order: func(%order-id: string) -> option<u64>;",
    );
    says(
        "mod m { pub fn f(a: Vec<u8>, b: (i8, f64), c: char) {} }",
        "%f: func(%a: list<u8>, %b: tuple<s8, f64>, %c: char);",
    );
    says("mod m { pub fn f() -> Result<(), String> { Ok(()) } }", "-> result<_, string>;");
    says(
        "mod m { pub fn f(a: A) {} pub struct A { pub is_in: B } pub enum B { InTransit, Lost } }",
        "record %a { %is-in: %b }",
    );
    says("mod m { pub fn f(a: B) {} pub enum B { InTransit, Lost } }", "enum %b { %in-transit, %lost }");
    says("mod m { pub fn f(a: B) {} pub enum B { Paid(u64), Lost } }", "variant %b { %paid(u64), %lost }");
    says("mod m { pub fn f() {} }", "package tool:%demo@1.0.0;");
}

#[test]
fn the_interface_owns_the_failure_it_uses() {
    let with = "mod m { pub fn f() -> Result<u8, Failure> { Ok(1) } }";
    says(with, "-> result<u8, failure>;");
    says(with, "variant failure { invalid-input(string)");
    assert!(!world(with).expect("a tool").contains("import"));
    assert!(!world("mod m { pub fn f() {} }").expect("a tool").contains("failure"));
}

#[test]
fn only_reached_types_are_in_the_interface() {
    let text =
        world("mod m { pub fn f() {} pub struct Own<T>(T); struct Helper { a: usize } }").expect("a tool");
    assert!(!text.contains("own") && !text.contains("helper"), "{text}");
}

#[test]
fn what_wit_cannot_say_is_refused() {
    refused("mod m { fn private() {} }", "at least one `pub fn`");
    refused("mod m;", "needs the module's text");
    refused("mod m { pub fn f(a: &str) {} }", "no references");
    refused("mod m { pub fn f(a: usize) {} }", "depends on the machine");
    refused("mod m { pub fn f(a: HashMap<String, u8>) {} }", "not a type of the interface");
    refused("mod m { pub async fn f() {} }", "not async");
    refused("mod m { pub fn f<T>(a: T) {} }", "no generics");
    refused("mod m { pub fn f(a: A) {} pub struct A(u8); }", "named fields");
    refused("mod m { pub fn f(a: A) {} pub enum A { B { c: u8 } } }", "no value or one");
}
