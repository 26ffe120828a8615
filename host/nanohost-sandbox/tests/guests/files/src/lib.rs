//! Does with files what it is told, wherever they are.

use std::fs;
use std::io::Error;

wit_bindgen::generate!({
    inline: "
        package test:files;

        interface api {
            read: func(path: string) -> result<string, string>;
            write: func(path: string, text: string) -> result<_, string>;
            append: func(path: string, text: string) -> result<_, string>;
            remove: func(path: string) -> result<_, string>;
            names: func(path: string) -> result<list<string>, string>;
            has-times: func(path: string) -> result<bool, string>;
            hoard: func(path: string, count: u32) -> result<u32, string>;
            hard-link: func(path: string, link: string) -> result<_, string>;
            symlink: func(target: string, link: string) -> result<_, string>;
            rename: func(path: string, to: string) -> result<_, string>;
            /// There and back again, so often; whatever comes of it.
            swap: func(path: string, to: string, times: u32);
            /// So often; all different answers.
            read-often: func(path: string, times: u32) -> list<result<string, string>>;
            stretch: func(path: string, size: u64) -> result<_, string>;
            litter: func(path: string, count: u32) -> result<_, string>;
        }

        world guest {
            export api;
        }
    ",
});

use wasip2::filesystem::preopens::get_directories;
use wasip2::filesystem::types::{Descriptor, PathFlags};

struct Guest;
export!(Guest);

/// The granted folder that a path begins with, and the rest of the path.
fn granted(path: &str) -> Result<(Descriptor, String), String> {
    for (folder, root) in get_directories() {
        if let Some(rest) = path.strip_prefix(&root).and_then(|rest| rest.strip_prefix('/')) {
            return Ok((folder, rest.to_owned()));
        }
    }
    Err("not granted".to_owned())
}

fn text(error: Error) -> String {
    format!("{:?}", error.kind())
}

impl exports::test::files::api::Guest for Guest {
    fn read(path: String) -> Result<String, String> {
        fs::read_to_string(path).map_err(text)
    }

    fn write(path: String, contents: String) -> Result<(), String> {
        fs::write(path, contents).map_err(text)
    }

    fn append(path: String, contents: String) -> Result<(), String> {
        use std::io::Write as _;
        let mut file = fs::OpenOptions::new().append(true).open(path).map_err(text)?;
        file.write_all(contents.as_bytes()).map_err(text)
    }

    fn remove(path: String) -> Result<(), String> {
        fs::remove_file(path).map_err(text)
    }

    fn names(path: String) -> Result<Vec<String>, String> {
        let entries = fs::read_dir(path).map_err(text)?;
        entries.map(|entry| Ok(entry.map_err(text)?.file_name().to_string_lossy().into_owned())).collect()
    }

    fn has_times(path: String) -> Result<bool, String> {
        let modified = fs::metadata(path).map_err(text)?.modified().map_err(text)?;
        Ok(modified != std::time::UNIX_EPOCH)
    }

    fn hoard(path: String, count: u32) -> Result<u32, String> {
        let mut open = Vec::new();
        for _ in 0..count {
            open.push(fs::File::open(&path).map_err(text)?);
        }
        Ok(open.len() as u32)
    }

    fn hard_link(path: String, link: String) -> Result<(), String> {
        let ((from, path), (to, link)) = (granted(&path)?, granted(&link)?);
        from.link_at(PathFlags::empty(), &path, &to, &link).map_err(|error| error.name().to_owned())
    }

    fn symlink(target: String, link: String) -> Result<(), String> {
        let (folder, link) = granted(&link)?;
        folder.symlink_at(&target, &link).map_err(|error| error.name().to_owned())
    }

    fn rename(path: String, to: String) -> Result<(), String> {
        fs::rename(path, to).map_err(text)
    }

    fn swap(path: String, to: String, times: u32) {
        for _ in 0..times {
            let _ = fs::rename(&path, &to);
            let _ = fs::rename(&to, &path);
        }
    }

    fn read_often(path: String, times: u32) -> Vec<Result<String, String>> {
        let mut answers: Vec<Result<String, String>> = Vec::new();
        for _ in 0..times {
            let answer = fs::read_to_string(&path).map_err(text);
            if !answers.contains(&answer) {
                answers.push(answer);
            }
        }
        answers
    }

    fn stretch(path: String, size: u64) -> Result<(), String> {
        let file = fs::OpenOptions::new().write(true).open(path).map_err(text)?;
        file.set_len(size).map_err(text)
    }

    fn litter(path: String, count: u32) -> Result<(), String> {
        for number in 0..count {
            let at = format!("{path}/{number}");
            if number % 2 == 0 { fs::write(at, "") } else { fs::create_dir(at) }.map_err(text)?;
        }
        Ok(())
    }
}
