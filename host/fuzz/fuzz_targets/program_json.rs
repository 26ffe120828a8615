//! Programs in JSON, through the checker: every target of a sound one exists.
#![no_main]

use libfuzzer_sys::fuzz_target;
use nanohost_core::{Follow, Format, Program, StepKind, source_from_bytes};

fuzz_target!(|bytes: &[u8]| {
    let Ok(source) = source_from_bytes("program.json", bytes) else { return };
    let findings = match Program::parse(source, Format::Json).and_then(Program::check) {
        Err(findings) => findings,
        Ok((program, warnings)) => {
            for step in program.steps() {
                let mut targets = Vec::new();
                match &step.kind {
                    StepKind::Condition(guard) => {
                        targets.extend(guard.then.into_iter().chain(guard.otherwise))
                    }
                    StepKind::Parallel(block) => targets.extend(&block.steps),
                    StepKind::Tool(_) | StepKind::Llm(_) => {}
                }
                match step.follow {
                    Follow::Jump(target) => targets.push(target),
                    Follow::Sequence(target) => targets.extend(target),
                    Follow::Terminal => {}
                }
                assert!(targets.iter().all(|target| target.as_usize() < program.steps().len()));
                assert_eq!(program.index_of(step.id.as_str()).map(|at| &program.step(at).id), Some(&step.id));
            }
            warnings
        }
    };
    for finding in findings.iter() {
        let _ = finding.place();
    }
});
