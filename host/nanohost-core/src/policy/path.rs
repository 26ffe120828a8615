//! Host paths of a policy as text: joined to the policy's folder and normalised. Touches no disk,
//! so a verifier elsewhere comes to the same path.

use std::path::{Component, Path, PathBuf};

/// The absolute path that `text` means in a policy of the folder `base`; an error says what is
/// wrong with it. `..` is resolved in the text: what is opened later is this path and no other.
pub(super) fn resolve(base: &str, text: &str) -> Result<String, &'static str> {
    if text.is_empty() {
        return Err("it is empty");
    }
    if text.chars().any(char::is_control) {
        return Err("it holds a control character");
    }
    if text.starts_with('~') {
        return Err("`~` is not expanded: write the path out");
    }
    if text.contains('$') {
        return Err("variables are not expanded: write the path out");
    }
    let joined = Path::new(base).join(text);
    if !joined.is_absolute() {
        return Err("it is relative, and the policy belongs to no folder");
    }
    let mut path = PathBuf::new();
    for part in joined.components() {
        match part {
            Component::Prefix(_) | Component::RootDir | Component::Normal(_) => path.push(part),
            Component::CurDir => {}
            Component::ParentDir => {
                if !path.pop() {
                    return Err("it leaves the root of the file system");
                }
            }
        }
    }
    path.into_os_string().into_string().map_err(|_| "it is not UTF-8")
}
