use std::sync::{Arc, OnceLock};

use tempfile::TempDir;

use super::*;
use crate::load::Loaded;

fn engine() -> &'static Engine {
    static ENGINE: OnceLock<Engine> = OnceLock::new();
    ENGINE.get_or_init(|| Engine::new().expect("the engine starts"))
}

/// A component that differs from others in a number.
fn component(number: u32) -> Arc<[u8]> {
    let text = format!(
        r#"(component
            (core module $m (func (export "f") (result i32) i32.const {number}))
            (core instance $i (instantiate $m))
            (func (export "number") (result u32) (canon lift (core func $i "f"))))"#
    );
    wat::parse_str(text).expect("the text is a component").into()
}

/// Calls what [`component`] made.
fn number(loaded: &Loaded) -> u32 {
    let linker = wasmtime::component::Linker::new(&engine().wasmtime);
    let mut store = wasmtime::Store::new(&engine().wasmtime, ());
    store.set_fuel(1_000).expect("fuel is on");
    store.set_epoch_deadline(1_000_000);
    let instance = linker.instantiate(&mut store, &loaded.component).expect("it has no imports");
    let function = instance.get_typed_func::<(), (u32,)>(&mut store, "number").expect("it is exported");
    function.call(&mut store, ()).expect("it returns").0
}

struct Bench {
    folder: TempDir,
    key: [u8; 32],
    bound: u64,
}

impl Bench {
    fn new() -> Self {
        let folder = tempfile::tempdir().expect("the temporary folder is writable");
        Self { folder, key: [7; 32], bound: MAX_FOLDER }
    }

    fn path(&self) -> PathBuf {
        self.folder.path().join("cache/code")
    }

    fn cache(&self) -> CodeCache {
        let cache = CodeCache::at(self.path(), Zeroizing::new(self.key));
        CodeCache { bound: self.bound, ..cache }
    }

    /// Loads the component of a number, and makes sure that it is this one.
    fn load(&self, wanted: u32) -> CodeSource {
        let loaded = engine().with_code_cache(self.cache()).load(&component(wanted)).expect("it loads");
        assert_eq!(number(&loaded), wanted);
        loaded.code()
    }

    /// The file of a number's entry.
    fn entry(&self, number: u32) -> PathBuf {
        self.cache().path(&Place::of(engine(), &Digest::of(&component(number))))
    }

    fn read(&self, number: u32) -> Vec<u8> {
        fs::read(self.entry(number)).expect("the entry is there")
    }

    fn write(&self, number: u32, bytes: impl AsRef<[u8]>) {
        fs::write(self.entry(number), bytes).expect("the folder is writable");
    }
}

#[test]
fn what_one_process_compiles_the_next_finds() {
    let bench = Bench::new();
    assert_eq!(bench.load(1), CodeSource::Compiled);
    assert_eq!(bench.load(1), CodeSource::Cached);
    assert_eq!(bench.load(2), CodeSource::Compiled);
    assert_eq!(bench.load(1), CodeSource::Cached);
    let names = fs::read_dir(bench.path()).expect("it is there").count();
    assert_eq!(names, 2, "nothing unfinished is left");
}

#[test]
fn every_change_is_found_out_and_mended() {
    let bench = Bench::new();
    bench.load(1);
    let whole = bench.read(1);
    let expect = |at: usize| match at {
        0..16 => RejectedCode::NotAnEntry,
        16..48 => RejectedCode::Foreign,
        48..56 => RejectedCode::WrongLength,
        _ => RejectedCode::NotAuthentic,
    };
    let header = (0..HEADER).step_by(7);
    for at in header.chain((HEADER..whole.len()).step_by(1000)).chain([whole.len() - 1]) {
        let mut changed = whole.clone();
        changed[at] ^= 1;
        bench.write(1, &changed);
        assert_eq!(bench.load(1), CodeSource::Rebuilt(expect(at)), "byte {at}");
        assert_eq!(bench.load(1), CodeSource::Cached, "byte {at}");
        assert!(bench.read(1) == whole, "the entry is as it was");
    }
}

#[test]
fn what_is_cut_off_or_goes_on_is_rejected() {
    let bench = Bench::new();
    bench.load(1);
    let whole = bench.read(1);
    let longer = [whole.as_slice(), b"\0"].concat();
    for (bytes, expect) in [
        (&[][..], RejectedCode::NotAnEntry),
        (&whole[..HEADER - 1], RejectedCode::NotAnEntry),
        (&whole[..HEADER], RejectedCode::WrongLength),
        (&whole[..whole.len() / 2], RejectedCode::WrongLength),
        (&whole[..whole.len() - 1], RejectedCode::WrongLength),
        (&longer, RejectedCode::WrongLength),
    ] {
        bench.write(1, bytes);
        assert_eq!(bench.load(1), CodeSource::Rebuilt(expect), "{} bytes", bytes.len());
    }
    // Longer than any entry, without filling the disk or the memory.
    let file = File::create(bench.entry(1)).expect("the folder is writable");
    file.set_len(MAX_ENTRY + 1).expect("the file has holes");
    assert_eq!(bench.load(1), CodeSource::Rebuilt(RejectedCode::NotAnEntry));
    assert_eq!(bench.load(1), CodeSource::Cached);
}

#[test]
fn the_entry_of_another_component_is_rejected() {
    let bench = Bench::new();
    bench.load(1);
    bench.load(2);
    bench.write(1, bench.read(2));
    assert_eq!(bench.load(1), CodeSource::Rebuilt(RejectedCode::Foreign));
    // Also one that says it is this one's.
    let mut renamed = bench.read(2);
    renamed[16..48].copy_from_slice(&bench.read(1)[16..48]);
    bench.write(1, renamed);
    assert_eq!(bench.load(1), CodeSource::Rebuilt(RejectedCode::NotAuthentic));
    assert_eq!(bench.load(1), CodeSource::Cached);
}

#[test]
fn another_key_opens_nothing() {
    let mut bench = Bench::new();
    bench.load(1);
    bench.key = [8; 32];
    assert_eq!(bench.load(1), CodeSource::Rebuilt(RejectedCode::NotAuthentic));
    assert_eq!(bench.load(1), CodeSource::Cached);
}

#[test]
fn authentic_code_that_the_engine_refuses_is_compiled_again() {
    let bench = Bench::new();
    let place = Place::of(engine(), &Digest::of(&component(1)));
    bench.cache().keep(&place, b"no code at all").expect("the folder is writable");
    assert_eq!(bench.load(1), CodeSource::Rebuilt(RejectedCode::Unusable));
    assert_eq!(bench.load(1), CodeSource::Cached);
}

#[test]
fn other_settings_have_other_entries() {
    let digest = Digest::of(&component(1));
    let place = Place::of(engine(), &digest);
    assert_eq!(Place::of(&engine().clone(), &digest), place);
    assert_ne!(Place::of(engine(), &Digest::of(b"")), place);
    // Another engine whose text is the same, and the same engine under another text.
    let mut compiled = engine().clone();
    let mut config = wasmtime::Config::new();
    config.consume_fuel(true);
    compiled.wasmtime = wasmtime::Engine::new(&config).expect("the engine starts");
    assert_eq!(compiled.config_digest(), engine().config_digest());
    assert_ne!(Place::of(&compiled, &digest), place);
    let told = engine().with_config_text("something else");
    assert_ne!(Place::of(&told, &digest), place);
}

#[test]
fn a_folder_that_is_none_is_no_error() {
    let bench = Bench::new();
    fs::write(bench.folder.path().join("cache"), "a file").expect("it is writable");
    assert_eq!(bench.load(1), CodeSource::Compiled);
    assert_eq!(bench.load(1), CodeSource::Compiled);
}

#[cfg(unix)]
#[test]
fn entries_are_for_their_owner_and_links_are_not_followed() {
    use std::os::unix::fs::{PermissionsExt as _, symlink};
    let bench = Bench::new();
    bench.load(1);
    let mode = |path: &Path| fs::metadata(path).expect("it is there").permissions().mode() & 0o7777;
    assert_eq!(mode(&bench.path()), 0o700);
    assert_eq!(mode(&bench.entry(1)), 0o600);

    let elsewhere = bench.folder.path().join("elsewhere");
    fs::rename(bench.entry(1), &elsewhere).expect("the folder is writable");
    let before = fs::read(&elsewhere).expect("it is there");
    symlink(&elsewhere, bench.entry(1)).expect("a link can be made");
    // The link is replaced, and what it leads to is left alone.
    assert_eq!(bench.load(1), CodeSource::Rebuilt(RejectedCode::NotAnEntry));
    assert_eq!(bench.load(1), CodeSource::Cached);
    assert!(fs::symlink_metadata(bench.entry(1)).expect("it is there").is_file());
    fs::write(bench.entry(1), "").expect("the folder is writable");
    assert!(fs::read(&elsewhere).expect("it is there") == before);

    // Somebody's folder under the name of an entry costs time and stays.
    fs::create_dir(bench.entry(2)).expect("the folder is writable");
    assert_eq!(bench.load(2), CodeSource::Rebuilt(RejectedCode::NotAnEntry));
    assert!(bench.entry(2).is_dir());
}

#[test]
fn what_was_used_the_longest_time_ago_makes_room() {
    let mut bench = Bench::new();
    for number in 1..=3 {
        bench.load(number);
        let file = File::options().write(true).open(bench.entry(number)).expect("the entry is there");
        let used = SystemTime::UNIX_EPOCH + Duration::from_secs(u64::from(number));
        file.set_modified(used).expect("it is ours");
    }
    // Used again, now.
    assert_eq!(bench.load(1), CodeSource::Cached);
    let stranger = bench.path().join("notes.txt");
    fs::write(&stranger, vec![0; 1 << 16]).expect("the folder is writable");
    bench.bound = 3 * bench.read(1).len() as u64 + 100;
    bench.load(4);
    assert!(!bench.entry(2).exists(), "the oldest");
    assert!(bench.entry(1).exists() && bench.entry(3).exists() && bench.entry(4).exists());
    // What alone is larger than the bound stays for the next process.
    bench.bound = 1;
    bench.load(5);
    assert_eq!(bench.load(5), CodeSource::Cached);
    assert!(!bench.entry(1).exists() && stranger.exists());
}

#[test]
fn what_a_dead_process_left_is_removed() {
    let bench = Bench::new();
    bench.load(1);
    let old = bench.path().join(unfinished_name());
    let young = bench.path().join(unfinished_name());
    assert_ne!(old, young);
    fs::write(&young, "").expect("the folder is writable");
    let file = File::create(&old).expect("the folder is writable");
    file.set_modified(SystemTime::UNIX_EPOCH).expect("it is ours");
    bench.load(2);
    assert!(!old.exists() && young.exists());
}

#[test]
fn clearing_removes_entries_and_nothing_else() {
    let bench = Bench::new();
    assert_eq!(CodeCache::clear(&bench.path()).expect("there is nothing"), 0);
    bench.load(1);
    bench.load(2);
    let others = ["notes.txt", "abc.code", "0.new"].map(|name| bench.path().join(name));
    others.iter().for_each(|path| fs::write(path, "").expect("the folder is writable"));
    assert_eq!(CodeCache::clear(&bench.path()).expect("it is ours"), 2);
    assert!(others.iter().all(|path| path.exists()));
    assert_eq!(bench.load(1), CodeSource::Compiled);
}

#[test]
fn many_at_once_get_what_they_asked_for() {
    let bench = Bench::new();
    std::thread::scope(|scope| {
        for at in 0..16 {
            let bench = &bench;
            scope.spawn(move || {
                let source = bench.load(at % 4);
                assert!(!matches!(source, CodeSource::Rebuilt(_)), "{source:?}");
            });
        }
    });
    (0..4).for_each(|number| assert_eq!(bench.load(number), CodeSource::Cached));
}

#[test]
fn bounds_come_first() {
    let bench = Bench::new();
    let engine = engine().with_code_cache(bench.cache());
    let mut whole = component(1).to_vec();
    whole.truncate(whole.len() - 1);
    assert!(engine.load(&whole.into()).is_err());
    assert!(!bench.path().exists(), "nothing was looked up, nothing kept");
}
