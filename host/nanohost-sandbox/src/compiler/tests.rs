use std::sync::Arc;
use std::time::{Duration, Instant};

use super::{CompileLimits, Compiler, compile_for_parent, write_task};
use crate::{Engine, LoadError, Loaded};

const TOOL: &str = r#"(component
    (core module $m (func (export "f") (result i32) i32.const 7))
    (core instance $i (instantiate $m))
    (func (export "f") (result u32) (canon lift (core func $i "f"))))"#;

fn tool() -> Arc<[u8]> {
    wat::parse_str(TOOL).expect("the text is a component").into()
}

/// Loads the tool through a shell that says what a process that compiles might.
fn load(script: &str, time: Duration) -> Result<Loaded, LoadError> {
    let limits = CompileLimits { time, ..CompileLimits::default() };
    let compiler = Compiler::new("/bin/sh", ["-c", script], limits);
    Engine::new().expect("the engine starts").with_compiler(compiler).load(&tool())
}

#[track_caller]
fn fails(script: &str, code: &str) -> LoadError {
    let error = load(script, Duration::from_secs(60)).expect_err("there is no code");
    assert_eq!(error.code(), code, "{error}");
    error
}

#[cfg(unix)]
#[test]
fn one_that_does_not_end_is_ended() {
    let started = Instant::now();
    for script in ["exec sleep 1000", "cat >/dev/null; exec sleep 1000", "exec cat /dev/zero"] {
        let error = load(script, Duration::from_millis(50)).expect_err("there is no code");
        assert_eq!(error.code(), "compile_limit", "{error}");
        assert!(error.to_string().contains("0.05 seconds"), "{error}");
    }
    assert!(started.elapsed() < Duration::from_secs(500));
}

#[cfg(unix)]
#[test]
fn one_that_does_something_else_is_not_believed() {
    // Its own limits, or the system for want of memory, ended it.
    fails("kill -9 $$", "compile_limit");
    fails("kill -6 $$", "compile_limit");
    fails("true", "compiler_failed");
    fails("exit 3", "compiler_failed");
    fails("cat", "compiler_failed");
    fails("printf x", "compiler_failed");
    fails("printf C", "compile_failed");
    fails("printf 'Cno code of this engine'", "compile_failed");
    let error = fails("printf 'Rits \\033 words'", "compile_failed");
    assert!(error.to_string().contains("its \\u{1b} words"), "{error}");
    let nobody = Compiler::new("/nowhere/at/all", ["x"; 0], CompileLimits::default());
    let engine = Engine::new().expect("the engine starts").with_compiler(nobody);
    assert_eq!(engine.load(&tool()).expect_err("nobody compiles").code(), "compiler_failed");
}

#[test]
fn what_is_no_task_is_not_begun() {
    for task in [&b""[..], b"seven", &[0; 15]] {
        let mut answer = Vec::new();
        assert!(compile_for_parent(task, &mut answer).is_err());
        assert_eq!(answer, b"");
    }
    let mut task = Vec::new();
    write_task(&mut task, CompileLimits::default(), b"component").expect("a vector takes all");
    assert_eq!(task, [&120_u64.to_be_bytes()[..], &(4_u64 << 30).to_be_bytes(), b"component"].concat());
}
