//! The export of a run of any length, written envelope by envelope: two guards that go round until
//! the program's budget ends them. No value is disclosed but the admission and the inputs.

use std::io::{self, Write};
use std::sync::Arc;

use nanohost_core::envelope::{Chain, HostRef, Kind, Observed, Parts, PolicyRef, Sealed, SignerRef};
use nanohost_core::run::{Next, Run};
use nanohost_core::{
    Admission, AdmissionRecord, Digest, Format, Policy, Program, Role, RunId, Salt, Signer, Source,
    Timestamp, Trust, admit, export,
};
use serde_json::json;

/// Who signs it.
pub(crate) fn signer() -> Signer {
    Signer::from_seed([5; 32])
}

fn moment() -> Timestamp {
    Timestamp::from_millis(1_795_000_000_000)
}

/// Writes the export of a run of so many envelopes.
pub(crate) fn write(out: &mut impl Write, envelopes: u64) -> io::Result<()> {
    // The opening, the table and the end are no steps.
    let steps = envelopes - 3;
    let program = json!({ "name": "round", "max_steps": steps, "steps": [
        { "id": "there", "type": "condition", "condition": "$tells != ''", "then": "back", "otherwise": "back" },
        { "id": "back", "type": "condition", "condition": "True", "then": "there", "otherwise": "there" }],
        "inputs": { "tells": { "type": "string" } } });
    let source = Source::new("program.json", program.to_string());
    let (program, _) =
        Program::parse(source, Format::Json).and_then(Program::check).expect("the program is right");
    let source = Source::new("policy.toml", "");
    let policy = Policy::parse(source, "", Trust::Trusted).expect("an empty policy is one");
    let admission =
        Admission { program: Arc::new(program), offers: Vec::new(), policies: vec![policy], today: moment() };
    let record = serde_json::to_value(AdmissionRecord::of(&admission)).expect("it has a form");
    let policies = vec![PolicyRef { digest: Digest::of(b""), trusted: true }];
    let plan = Arc::new(admit(admission).expect("it asks for nothing"));
    let inputs = json!({ "tells": "x" });
    let bound = inputs.as_object().expect("it is one").clone();

    let run_id = RunId::from_random([6; 16]);
    let signer = Arc::new(signer());
    let mut chain = Chain::open(run_id.clone(), plan.program().digest(), "bench", Arc::clone(&signer));
    let mut salts = 0u8;
    let mut salt = || {
        salts = salts.wrapping_add(1);
        Salt::from_bytes([salts; 32])
    };
    let key = SignerRef { key: *chain.key().digest(), development: true };
    let host = HostRef {
        version: "0".to_owned(),
        binary: Digest::of(b""),
        engine: "none".to_owned(),
        config: Digest::of(b""),
    };
    let opened = chain.seal(Kind::RunOpen, moment(), &mut salt, |committer| {
        committer.json(Role::ADMISSION, &record);
        committer.json(Role::INPUT, &inputs);
        Parts { host: Some(host), signer: Some(key), policies, ..Parts::default() }
    });
    let opened = opened.expect("it can be signed");
    // The header and the first lines as every export has them.
    export::write(out, &run_id, &[&opened.bytes], &opened.contents)?;
    chain.bind(plan.digest());
    let mut put = |sealed: Sealed| out.write_all(&sealed.bytes).and_then(|()| out.write_all(b"\n"));
    put(chain.seal(Kind::Plan, moment(), &mut salt, |_| Parts::default()).expect("it can be signed"))?;
    let mut run = Run::start(plan, bound, moment());
    loop {
        match run.next() {
            Next::Record(event) => {
                let sealed = chain.record(&mut run, event, Observed::default(), moment(), &mut salt);
                put(sealed.expect("its own event"))?;
                run.forget_records();
            }
            Next::Ended => return Ok(()),
            _ => return Err(io::Error::other("guards ask nobody")),
        }
    }
}
