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
        }

        world guest {
            export api;
        }
    ",
});

struct Guest;
export!(Guest);

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
}
