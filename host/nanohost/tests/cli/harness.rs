//! A user of this machine for one test: a store, a configuration and a folder of their own, and
//! the executable in their hands.

use std::ffi::OsStr;
use std::fs;
use std::os::unix::fs::{DirBuilderExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use serde_json::Value;
use tempfile::TempDir;

/// Nothing that is waited for takes longer, on a machine however busy.
const PATIENCE: Duration = Duration::from_secs(120);

/// The root of the repository.
pub(crate) fn repository() -> PathBuf {
    let root = concat!(env!("CARGO_MANIFEST_DIR"), "/../..");
    Path::new(root).canonicalize().expect("the tests run where they were built")
}

/// Builds the tools of the examples, once for all tests, by what builds them for users.
pub(crate) fn built_tools() -> PathBuf {
    static BUILT: OnceLock<PathBuf> = OnceLock::new();
    BUILT
        .get_or_init(|| {
            let home = Home::new();
            for (program, exit) in [
                ("refund/program.toml", 0),
                ("path-escape/program.toml", 0),
                ("tool-injection/granted.toml", 0),
                ("import-smuggling/granted/program.toml", 0),
                ("import-smuggling/program.toml", 3),
                ("approval/program.toml", 0),
            ] {
                home.nanohost([OsStr::new("plan"), repository().join("examples").join(program).as_os_str()])
                    .exits(exit);
            }
            // Built, and refused for want of its secret.
            let refund = repository().join("examples/http-refund");
            let (program, policy) = (refund.join("program.toml"), refund.join("policy.toml"));
            home.nanohost(["plan".as_ref(), program.as_os_str(), "--policy".as_ref(), policy.as_os_str()])
                .exits(2);
            let webhook = repository().join("examples/payment-webhook");
            let (program, policy) = (webhook.join("program.toml"), webhook.join("policy.toml"));
            home.nanohost(["plan".as_ref(), program.as_os_str(), "--policy".as_ref(), policy.as_os_str()])
                .exits(0);
            repository().join("tools")
        })
        .clone()
}

/// Where the component of a tool of the examples lies, built.
pub(crate) fn built_component(krate: &str) -> PathBuf {
    built_tools().join("target/wasm32-wasip2/release").join(format!("{krate}.wasm"))
}

/// A user with nothing yet. Everything is removed with it.
pub(crate) struct Home {
    _folder: TempDir,
    root: PathBuf,
}

impl Home {
    pub(crate) fn new() -> Self {
        let folder = tempfile::tempdir().expect("the temporary folder is writable");
        let root = folder.path().canonicalize().expect("it was just made");
        let home = Self { _folder: folder, root };
        home.shares_code();
        home
    }

    /// Gives this user the key of the code that all users of these tests share: nearly all the time
    /// of a run is spent with compiling.
    fn shares_code(&self) {
        for folder in ["config", "config/keys"] {
            fs::DirBuilder::new().mode(0o700).create(self.path(folder)).expect("it is writable");
        }
        let key = self.write("config/keys/code.key", format!("{}\n", "c0de".repeat(16)));
        fs::set_permissions(key, fs::Permissions::from_mode(0o600)).expect("it is ours");
    }

    /// A path in the user's folder.
    pub(crate) fn path(&self, path: impl AsRef<Path>) -> PathBuf {
        self.root.join(path)
    }

    /// The folder of the store.
    pub(crate) fn store(&self) -> PathBuf {
        self.path("store")
    }

    /// The head of the acts of the one store that there is, beside the keys.
    pub(crate) fn acts_head(&self) -> PathBuf {
        let heads = fs::read_dir(self.path("config/keys/acts")).expect("a store was opened").flatten();
        let mut heads = heads.map(|entry| entry.path()).filter(|path| path.extension().is_some());
        let head = heads.next().expect("it is kept");
        assert_eq!(heads.next(), None, "there is one store");
        head
    }

    /// The public key that this user hands out.
    pub(crate) fn public_key(&self) -> PathBuf {
        let path = self.path("key.pem");
        if !path.exists() {
            let key = self.nanohost(["key", "show", "--public"]).exits(0);
            fs::write(&path, key.stdout).expect("the folder is writable");
        }
        path
    }

    /// Writes a file, and the folders above it.
    pub(crate) fn write(&self, path: impl AsRef<Path>, bytes: impl AsRef<[u8]>) -> PathBuf {
        let path = self.path(path);
        fs::create_dir_all(path.parent().expect("it lies in the user's folder")).expect("it is writable");
        fs::write(&path, bytes).expect("it is writable");
        path
    }

    /// Runs nanohost to its end.
    pub(crate) fn nanohost<A: AsRef<OsStr>>(&self, args: impl IntoIterator<Item = A>) -> Done {
        Done::of(self.command(args))
    }

    /// Starts nanohost and leaves it running.
    pub(crate) fn start<A: AsRef<OsStr>>(&self, args: impl IntoIterator<Item = A>) -> Running {
        let mut command = self.command(args);
        let child = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn();
        Running { child: Some(child.expect("nanohost starts")) }
    }

    /// nanohost, with this user's places and none of the developer's settings.
    pub(crate) fn command<A: AsRef<OsStr>>(&self, args: impl IntoIterator<Item = A>) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_nanohost"));
        command.args(args);
        self.environment(&mut command);
        command
    }

    /// Gives a command this user's environment.
    pub(crate) fn environment(&self, command: &mut Command) {
        command.current_dir(&self.root).env("NO_COLOR", "1");
        command.env("NANOHOST_STORE", self.store()).env("NANOHOST_CONFIG", self.path("config"));
        command.env("NANOHOST_CACHE", Path::new(env!("CARGO_TARGET_TMPDIR")).join("nanohost-cache"));
        // Cargo's own would be taken for a user who types `cargo run`; the width would wrap help.
        for name in ["NANOHOST_POLICY", "NANOHOST_MACHINE_POLICY", "CARGO", "CARGO_MANIFEST_DIR", "COLUMNS"] {
            command.env_remove(name);
        }
    }

    /// A copy of the examples and their policy, with the tools of the repository beside them. A copy,
    /// since runs write letters.
    pub(crate) fn examples(&self) -> Examples<'_> {
        let tools = built_tools();
        let project = self.path("project");
        if project.exists() {
            return Examples { home: self, project };
        }
        copy(&repository().join("examples"), &project.join("examples"));
        copy(&repository().join("policies"), &project.join("policies"));
        symlink(&tools, &project.join("tools"));
        Examples { home: self, project }
    }

    /// The envelopes of a run that verifies, as `trace --json` shows them.
    pub(crate) fn envelopes(&self, run: &str) -> Vec<Value> {
        let trace = self.nanohost(["trace", run, "--json"]).exits(0).json();
        trace["envelopes"].as_array().expect("a list of envelopes").clone()
    }

    /// The state of a run, as the store lists it.
    pub(crate) fn state(&self, run: &str) -> String {
        let runs = self.runs();
        let run = runs.iter().find(|row| row["run"] == run).expect("the run is listed");
        run["state"].as_str().expect("a state").to_owned()
    }

    /// What the store lists, newest first.
    pub(crate) fn runs(&self) -> Vec<Value> {
        let listed = self.nanohost(["list", "--json"]).exits(0).json();
        listed["runs"].as_array().expect("a list of runs").clone()
    }
}

/// The examples, copied.
pub(crate) struct Examples<'h> {
    home: &'h Home,
    project: PathBuf,
}

impl Examples<'_> {
    /// A path below the copied `examples/`.
    pub(crate) fn path(&self, path: &str) -> PathBuf {
        self.project.join("examples").join(path)
    }

    /// The copied policy.
    pub(crate) fn policy(&self) -> PathBuf {
        self.project.join("policies/local.toml")
    }

    /// The policy that a program's README names, the one beside it; else the examples'.
    fn policy_of(&self, program: &str) -> PathBuf {
        let own = self.path(program).with_file_name("policy.toml");
        if own.exists() { own } else { self.policy() }
    }

    /// Runs a program under its policy.
    pub(crate) fn run(&self, program: &str, more: &[&str]) -> Done {
        let mut command = self.home.command(["run"]);
        command.arg(self.path(program)).arg("--policy").arg(self.policy_of(program)).args(more);
        Done::of(command)
    }

    /// Runs a program with `--json`; the document, after its exit code was compared.
    pub(crate) fn run_json(&self, program: &str, exit: i32, more: &[&str]) -> Value {
        let document = self.run(program, &[&["--json"], more].concat()).exits(exit).json();
        assert_eq!(document["exitCode"], exit, "the document says how the command ended");
        document
    }

    /// The refund example with these inputs.
    pub(crate) fn refund(&self, exit: i32, inputs: &[&str]) -> Value {
        let more: Vec<&str> = inputs.iter().flat_map(|input| ["--input", *input]).collect();
        self.run_json("refund/program.toml", exit, &more)
    }
}

/// A finished command.
pub(crate) struct Done {
    pub(crate) code: Option<i32>,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
    shown: String,
}

impl Done {
    /// Runs a command to its end.
    pub(crate) fn of(mut command: Command) -> Self {
        let output = command.stdin(Stdio::null()).output().expect("the command starts");
        Self::new(format!("{command:?}"), output)
    }

    /// Runs a command to its end with a file as its standard input.
    pub(crate) fn fed(mut command: Command, input: &Path) -> Self {
        let input = fs::File::open(input).expect("the file is there");
        let output = command.stdin(input).output().expect("the command starts");
        Self::new(format!("{command:?}"), output)
    }

    fn new(shown: String, output: Output) -> Self {
        let text = |bytes| String::from_utf8(bytes).expect("output is UTF-8");
        let done = Self {
            code: output.status.code(),
            stdout: text(output.stdout),
            stderr: text(output.stderr),
            shown,
        };
        assert!(!done.stderr.contains("panicked"), "{done}");
        done
    }

    /// Compares the exit code.
    #[track_caller]
    pub(crate) fn exits(self, code: i32) -> Self {
        assert_eq!(self.code, Some(code), "{self}");
        self
    }

    /// Looks for a text on standard output or standard error.
    #[track_caller]
    pub(crate) fn says(self, text: &str) -> Self {
        assert!(self.stdout.contains(text) || self.stderr.contains(text), "{text:?} is not said by {self}");
        self
    }

    /// Makes sure that a text is nowhere.
    #[track_caller]
    pub(crate) fn omits(self, text: &str) -> Self {
        assert!(!self.stdout.contains(text) && !self.stderr.contains(text), "{text:?} is said by {self}");
        self
    }

    /// Compares the exit code and the code of the first finding of `--json`.
    #[track_caller]
    pub(crate) fn finds(self, exit: i32, code: &str) -> Self {
        let done = self.exits(exit);
        assert_eq!(done.json()["findings"][0]["code"], code, "{done}");
        done
    }

    /// The command that the first finding of `--json` suggests, to be run as it is printed.
    #[track_caller]
    pub(crate) fn suggests(&self) -> Vec<String> {
        let document = self.json();
        let help = document["findings"][0]["help"].as_str().unwrap_or_else(|| panic!("no help in {self}"));
        let begin = help.find("nanohost ").unwrap_or_else(|| panic!("no command in {self}"));
        let command = help[begin..].split(['`', '\n']).next().unwrap_or_default();
        command.split(' ').skip(1).map(str::to_owned).collect()
    }

    /// The names of the cases that failed, of what tries cases.
    #[track_caller]
    pub(crate) fn failed_cases(&self) -> Vec<String> {
        let document = self.json();
        let cases = document["cases"].as_array().expect("a list").iter();
        let failed = cases.filter(|case| case["passed"] == false);
        failed.map(|case| case["name"].as_str().expect("a name").to_owned()).collect()
    }

    /// Standard output as the one JSON document it is to be.
    #[track_caller]
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.stdout).unwrap_or_else(|error| panic!("{error}: {self}"))
    }
}

impl std::fmt::Display for Done {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { code, stdout, stderr, shown } = self;
        write!(f, "{shown}\nexit code {code:?}\n--- stdout\n{stdout}--- stderr\n{stderr}")
    }
}

/// A running command, which does not outlive its test.
pub(crate) struct Running {
    child: Option<Child>,
}

impl Running {
    /// The process.
    pub(crate) fn pid(&self) -> rustix::process::Pid {
        rustix::process::Pid::from_child(self.child.as_ref().expect("it runs"))
    }

    /// Sends a signal.
    pub(crate) fn signal(&self, signal: rustix::process::Signal) {
        rustix::process::kill_process(self.pid(), signal).expect("the process is there");
    }

    /// Waits for its end.
    pub(crate) fn end(mut self) -> Done {
        let child = self.child.take().expect("it runs");
        Done::new("nanohost".to_owned(), child.wait_with_output().expect("the process can be waited for"))
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if let Some(child) = &mut self.child {
            // It may have ended by itself.
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

/// Asks until the answer is there. What is asked for comes in any case: the bound only ends a test
/// that failed.
#[track_caller]
pub(crate) fn eventually<T>(what: &str, mut ask: impl FnMut() -> Option<T>) -> T {
    let begin = Instant::now();
    loop {
        if let Some(answer) = ask() {
            return answer;
        }
        assert!(begin.elapsed() < PATIENCE, "{what} did not come");
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// Copies a folder, links as links.
pub(crate) fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).expect("the target is writable");
    for entry in fs::read_dir(from).expect("the folder is there") {
        let entry = entry.expect("the folder can be read");
        let (kind, target) = (entry.file_type().expect("it has a kind"), to.join(entry.file_name()));
        if kind.is_dir() {
            copy(&entry.path(), &target);
        } else if kind.is_symlink() {
            symlink(&fs::read_link(entry.path()).expect("it is a link"), &target);
        } else {
            fs::copy(entry.path(), target).expect("it can be copied");
        }
    }
}

pub(crate) fn symlink(to: &Path, at: &Path) {
    std::os::unix::fs::symlink(to, at).expect("a link can be made");
}
