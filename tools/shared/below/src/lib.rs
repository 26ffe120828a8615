//! A path below a granted folder, as texts write it. The host is who keeps a tool inside of its
//! folder; this says at once, and in words, what could never be meant.

use std::fmt;

use nanohost_guest::Failure;

/// A path of names, none of which leads up or elsewhere; empty for the folder itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Below {
    folder: &'static str,
    path: String,
}

/// A longer path opens on no file system.
const MOST_BYTES: usize = 4096;

impl Below {
    /// Reads `path`, counted from `folder`, a guest path such as `/folder`.
    pub fn parse(folder: &'static str, path: &str) -> Result<Self, Failure> {
        let is_name = |name: &str| !matches!(name, "" | "." | "..") && !name.contains(['\\', '\0']);
        if path.len() > MOST_BYTES || !(path.is_empty() || path.split('/').all(is_name)) {
            return Err(Failure::invalid_input(format!(
                "{path:?} is no path below the folder: names with `/` between them, counted from it"
            )));
        }
        Ok(Self { folder, path: path.to_owned() })
    }

    /// What the guest opens.
    pub fn guest(&self) -> String {
        match self.path.as_str() {
            "" => self.folder.to_owned(),
            path => format!("{}/{path}", self.folder),
        }
    }

    /// Whether it is the folder itself.
    pub fn is_folder(&self) -> bool {
        self.path.is_empty()
    }

    /// What lies in it under a name.
    #[must_use]
    pub fn join(&self, name: &str) -> Self {
        let path = match self.path.as_str() {
            "" => name.to_owned(),
            path => format!("{path}/{name}"),
        };
        Self { folder: self.folder, path }
    }

    /// The folder that it lies in; `None` for the folder itself.
    pub fn parent(&self) -> Option<Self> {
        match self.path.rsplit_once('/') {
            Some((parent, _)) => Some(Self { folder: self.folder, path: parent.to_owned() }),
            None if self.is_folder() => None,
            None => Some(Self { folder: self.folder, path: String::new() }),
        }
    }
}

impl fmt::Display for Below {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.is_folder() { "the folder" } else { &self.path })
    }
}

#[cfg(test)]
mod tests {
    use super::Below;

    #[test]
    fn paths_stay_below() {
        for path in ["", "a", "a/b.txt", "a b/…", "..a", "a..", "-"] {
            let read = Below::parse("/folder", path).expect(path);
            assert!(read.guest() == "/folder" || read.guest() == format!("/folder/{path}"));
        }
        for path in ["/", "/etc/passwd", "..", "../a", "a/../b", "a//b", "a/", "./a", "a\\..\\b", "a\0b"] {
            assert!(Below::parse("/folder", path).is_err(), "{path:?}");
        }
        assert!(Below::parse("/folder", &"a/".repeat(3000)).is_err());
    }

    #[test]
    fn the_folder_has_no_parent() {
        let parent = |path| Below::parse("/f", path).expect("a path").parent().map(|parent| parent.guest());
        assert_eq!(parent("a/b/c").as_deref(), Some("/f/a/b"));
        assert_eq!(parent("a").as_deref(), Some("/f"));
        assert_eq!(parent(""), None);
    }
}
