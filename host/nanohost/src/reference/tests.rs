//! The page is read whole.

use super::*;

#[test]
fn every_heading_is_an_entry() {
    let headings = PAGE.lines().filter(|line| line.starts_with("### ")).count();
    let all = entries();
    assert_eq!(all.len(), headings);
    for own in &all {
        assert!(!own.meaning.is_empty() && !own.cause.is_empty() && !own.remedy.is_empty(), "{own:?}");
        assert!(!own.remedy.contains("###") && !own.meaning.contains("**"), "{own:?}");
    }
    assert!(all.iter().any(|own| own.warning) && all.iter().any(|own| !own.warning));
}

#[test]
fn what_is_misspelt_is_suggested() {
    assert!(like("unbuilt-tools").contains(&"unbuilt_tool"));
    assert!(like("xyzzy").is_empty());
}
