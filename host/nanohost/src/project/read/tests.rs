use super::*;
use crate::project::testing::{Sandbox, codes};

#[test]
fn a_text_is_read_under_the_name_it_was_given() -> anyhow::Result<()> {
    let sandbox = Sandbox::new();
    let path = sandbox.write("program.toml", "name = \"x\"\n");
    let source = read_source(&path, "the program")?;
    assert_eq!(source.text, "name = \"x\"\n");
    assert_eq!(source.name, path.display().to_string());
    Ok(())
}

#[test]
fn what_is_no_text_is_refused() {
    let sandbox = Sandbox::new();
    std::fs::write(sandbox.path("latin"), b"caf\xe9").expect("the sandbox is writable");
    assert_eq!(codes(read_source(&sandbox.path("latin"), "the program")), ["not_utf8"]);
    assert_eq!(codes(read_source(&sandbox.path("none"), "the program")), ["unreadable_file"]);
    assert_eq!(codes(read_source(&sandbox.path(""), "the program")), ["unreadable_file"]);
}

#[cfg(unix)]
#[test]
fn a_file_without_end_is_not_read_to_its_end() {
    assert_eq!(codes(read_source(Path::new("/dev/zero"), "the program")), ["unreadable_file"]);
}

#[cfg(unix)]
#[test]
fn links_in_a_circle_are_refused() {
    let sandbox = Sandbox::new();
    for (link, target) in [("a", "b"), ("b", "a")] {
        std::os::unix::fs::symlink(sandbox.path(target), sandbox.path(link))
            .expect("the sandbox is writable");
    }
    assert_eq!(codes(read_source(&sandbox.path("a"), "the program")), ["unreadable_file"]);
}
