//! Everything outside of a run, for tests: tools and models that answer from a script, a journal
//! that seals every event as a host does, and a forger who holds the trusted key.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::{Map, Value, json};

use crate::envelope::{
    AuthorityRef, Chain, CloseRef, DenialRef, HostRef, Kind, ModelGrantRef, Observed, Parts, PolicyRef,
    RecordError, ResolverRef, SignerRef, TakeOver,
};
use crate::export::{Content, Role};
use crate::run::{
    Action, Call, CallEnd, Code, Denial, ErrorKind, Event, Failure, Next, Place, Reply, Retry, Run, Slot,
    Status,
};
use crate::trace::{CheckName, Evidence, Report, Trace, verify};
use crate::{
    Admission, AdmissionRecord, CheckedProgram, Digest, Effect, Format, Manifest, Offer, Plan, Policy,
    Program, Refusal, RunId, Salt, Signer, Source, StepKind, Timestamp, ToolExport, ToolFacts, ToolName,
    Trust, TrustRoot, admit, dsse, jcs,
};

const MOMENT: i64 = 1_795_000_000_000;

/// `pay…` may pay 500 at most; the authority of `steal` is missing;
/// `wire` may write to a folder; there is the model `fast`.
const POLICY: &str = "[[permit]]\nid = \"wires\"\ntool = \"wire\"\nfilesystem = [{ guest = \"/out\", access = \"write\" }]\n\
                      [[permit]]\nid = \"posts\"\ntool = \"post\"\nhttp = [{ host = \"api.x.test\", methods = [\"POST\"], path = \"/\" }]\n\
                      [folders.wire]\n\"/out\" = \"/srv/out\"\n[[permit]]\nid = \"small\"\ntool = \"pay\"\nrequire = \"$args.amount <= 500\"\n\
                      [[permit]]\nid = \"twin\"\ntool = \"pay_too\"\nrequire = \"$args.amount <= 500\"\n\
                      [models.fast]\nprovider = \"openai\"\nbase_url = \"https://api.example.com/v1\"\n\
                      model = \"m-1\"\ntemperature = 0.5\nseed = 7\n\
                      [models.strict]\nprovider = \"openai\"\nbase_url = \"https://api.example.com/v1\"\n\
                      model = \"m-2\"\npii = \"never\"\n";

pub(crate) fn moment(after: i64) -> Timestamp {
    Timestamp::from_millis(MOMENT + after)
}

pub(crate) fn tool(text: &str) -> ToolName {
    ToolName::new(text).expect("a tool's name")
}

pub(crate) fn signer() -> Arc<Signer> {
    Arc::new(Signer::from_seed([7; 32]))
}

pub(crate) fn trust() -> TrustRoot {
    TrustRoot::new([signer().public().clone()])
}

pub(crate) fn run_id() -> RunId {
    RunId::from_random([9; 16])
}

pub(crate) fn checked(program: &Value) -> Arc<CheckedProgram> {
    let source = Source::new("program.json", program.to_string());
    let checked = Program::parse(source, Format::Json).and_then(Program::check);
    Arc::new(checked.unwrap_or_else(|found| panic!("{program}: {found}")).0)
}

/// The names a program calls or lets its models call.
fn names(program: &CheckedProgram) -> Vec<ToolName> {
    let mut names: Vec<ToolName> = Vec::new();
    for step in program.steps() {
        match &step.kind {
            StepKind::Tool(call) => {
                names.push(call.tool.clone());
                names.extend(call.resume.iter().filter_map(|resume| resume.verify.clone()));
            }
            StepKind::Llm(llm) => names.extend(llm.allowed_tools.iter().cloned()),
            _ => {}
        }
    }
    names.sort();
    names.dedup();
    // A model may name a tool that nobody has.
    names.retain(|name| name.as_str() != "nobody");
    names
}

/// `pay…` reaches the world and wants an amount; `person…` marks personal data; `steal` wants what no policy grants; all others
/// are pure and take anything.
fn offer(local: ToolName) -> Offer {
    let pays = local.as_str().starts_with("pay");
    let effect = if pays { "external" } else { "pure" };
    let mut manifest =
        format!("name = \"{local}\"\nversion = \"1.0.0\"\n[functions.f]\neffect = \"{effect}\"\n");
    if local.as_str().starts_with("person") {
        manifest.push_str("pii = [\"input.to\", \"output.email\", \"output.items.*.phone\"]\n");
    }
    if local.as_str() == "steal" {
        manifest.push_str("[capabilities]\nkv = [\"gold\"]\n");
    }
    let input = match pays {
        true => json!({
            "type": "object",
            "properties": { "amount": { "type": "integer" }, "note": {} },
            "required": ["amount"],
            "additionalProperties": false,
        }),
        false if local.as_str() == "check_all" => {
            let names = ["body", "signature", "received_at", "call_args"];
            json!({ "type": "object", "properties": names.map(|name| (name, json!({}))).into_iter().collect::<BTreeMap<_, _>>() })
        }
        false => json!({}),
    };
    if local.as_str() == "post" {
        manifest.push_str(
            "[capabilities]\nhttp = [{ host = \"api.x.test\", methods = [\"POST\"], path = \"/\" }]\n",
        );
    }
    if local.as_str() == "wire" {
        manifest.push_str("[capabilities]\nfilesystem = [{ guest = \"/out\", access = \"write\" }]\n");
    }
    let manifest = Manifest::parse(Source::new("manifest.toml", manifest)).expect("a manifest");
    let export = ToolExport { function: "f".into(), interface: None, input, output: json!({}) };
    let component = Digest::of(local.as_str().as_bytes());
    let imports = match local.as_str() {
        "steal" => {
            vec![crate::Import { name: "nanohost:tool/kv@0.1.0".into(), functions: vec!["get".into()] }]
        }
        "post" => vec![crate::Import {
            name: "wasi:http/outgoing-handler@0.2.6".into(),
            functions: vec!["handle".into()],
        }],
        "wire" => ["wasi:filesystem/types@0.2.3", "wasi:filesystem/preopens@0.2.3"]
            .map(|name| crate::Import { name: name.into(), functions: Vec::new() })
            .to_vec(),
        _ => Vec::new(),
    };
    let facts = ToolFacts { component, size: 1, imports, exports: vec![export] };
    Offer { local, manifest, facts, signature: None }
}

pub(crate) fn admission(program: &Value) -> Admission {
    let program = checked(program);
    let policy = Policy::parse(Source::new("policy.toml", POLICY), "/srv", Trust::Trusted);
    Admission {
        offers: names(&program).into_iter().map(offer).collect(),
        program,
        policies: vec![policy.expect("a policy")],
        today: moment(0),
    }
}

pub(crate) fn plan(program: &Value) -> Arc<Plan> {
    Arc::new(admit(admission(program)).unwrap_or_else(|refusal| panic!("{program}: {refusal}")))
}

/// What somebody hands over of a run.
#[derive(Clone)]
pub(crate) struct Handed {
    pub(crate) envelopes: Vec<Vec<u8>>,
    pub(crate) contents: Vec<Content>,
}

impl Handed {
    pub(crate) fn verify(&self, complete: bool) -> (Report, Option<Trace>) {
        let run = run_id();
        let evidence = Evidence {
            run: &run,
            envelopes: &self.envelopes,
            contents: &self.contents,
            expected: None,
            complete,
            acts: &[],
        };
        verify(evidence, &trust())
    }

    /// Without the values that `hide` says.
    pub(crate) fn without(&self, hide: impl Fn(&Content) -> bool) -> Self {
        let contents = self.contents.iter().filter(|content| !hide(content)).cloned().collect();
        Self { contents, ..self.clone() }
    }

    /// The payloads, open to a forger.
    pub(crate) fn forge(&self) -> Forgery {
        let payloads = self.envelopes.iter().map(|bytes| {
            let envelope = dsse::Unverified::parse(bytes).expect("an envelope");
            serde_json::from_slice(envelope.payload()).expect("a payload")
        });
        Forgery { payloads: payloads.collect(), contents: self.contents.clone() }
    }
}

/// A run under change by somebody who holds the trusted key.
pub(crate) struct Forgery {
    pub(crate) payloads: Vec<Value>,
    pub(crate) contents: Vec<Content>,
}

impl Forgery {
    /// The first envelope of that event, or of that kind where it has no step.
    pub(crate) fn find(&self, event: &str) -> usize {
        let at = self.payloads.iter().position(|payload| {
            let predicate = &payload["predicate"];
            let own = &predicate["step"]["event"];
            if own.is_null() { predicate["kind"] == event } else { own == event }
        });
        at.unwrap_or_else(|| panic!("no {event}"))
    }

    pub(crate) fn predicate(&mut self, at: usize) -> &mut Value {
        &mut self.payloads[at]["predicate"]
    }

    pub(crate) fn remove(&mut self, at: usize) {
        self.payloads.remove(at);
        self.contents.retain(|content| content.seq != at as u64);
        for content in &mut self.contents {
            content.seq -= u64::from(content.seq > at as u64);
        }
    }

    pub(crate) fn insert(&mut self, at: usize, payload: Value) {
        for content in &mut self.contents {
            content.seq += u64::from(content.seq >= at as u64);
        }
        self.payloads.insert(at, payload);
    }

    /// A committed value.
    pub(crate) fn value(&self, at: usize, role: &Role) -> Value {
        let content = self.contents.iter().find(|content| content.seq == at as u64 && content.role == *role);
        let content = content.unwrap_or_else(|| panic!("{at} has no {role}"));
        serde_json::from_slice(&content.bytes).expect("JSON")
    }

    /// Another value in the place of a committed one, with a commitment that fits it.
    pub(crate) fn commit(&mut self, at: usize, role: &Role, value: &Value) {
        let content =
            self.contents.iter_mut().find(|content| content.seq == at as u64 && content.role == *role);
        let content = content.unwrap_or_else(|| panic!("{at} has no {role}"));
        let before = content.commitment().to_string();
        content.bytes = value.to_string().into_bytes();
        let after = content.commitment().to_string();
        let text = self.payloads[at].to_string().replace(&before, &after);
        self.payloads[at] = serde_json::from_str(&text).expect("still JSON");
    }

    /// Numbers, chains and signs it again, as a host would.
    pub(crate) fn seal(self) -> Handed {
        self.seal_with(|_, _| {})
    }

    /// The same, with a last change before each signature.
    pub(crate) fn seal_with(mut self, last: impl Fn(usize, &mut Value)) -> Handed {
        let signer = signer();
        let count = self.payloads.len();
        let mut envelopes: Vec<Vec<u8>> = Vec::new();
        let mut state = crate::envelope::initial_state();
        for (at, payload) in self.payloads.iter_mut().enumerate() {
            let seq = at.to_string();
            let subjects = payload["subject"].as_array_mut().expect("subjects");
            if at > 0 {
                subjects[0]["digest"]["sha256"] = Digest::of(&envelopes[0]).to_string().into();
            }
            let mut committed = Vec::new();
            for subject in &mut subjects[1..] {
                let name = subject["name"].as_str().expect("a name").to_owned();
                let mut parts = name.splitn(4, '/');
                let (run, id) = (parts.next().expect("run"), parts.next().expect("id"));
                let role = parts.nth(1).expect("role").to_owned();
                subject["name"] = format!("{run}/{id}/{seq}/{role}").into();
                let digest = subject["digest"]["nanohostCommitV1"].as_str().expect("a commitment");
                committed.push((role, digest.parse::<crate::Commitment>().expect("a commitment")));
            }
            if !committed.is_empty() {
                let mut bytes = state.as_bytes().to_vec();
                for (role, commitment) in &committed {
                    bytes.extend_from_slice(role.as_bytes());
                    bytes.push(0);
                    bytes.extend_from_slice(commitment.as_bytes());
                }
                state = Digest::of(&bytes);
            }
            let predicate = &mut payload["predicate"];
            predicate["run"]["seq"] = at.into();
            predicate["run"]["state"] = state.to_string().into();
            if at > 0 {
                predicate["run"]["prev"] = Digest::of(&envelopes[at - 1]).to_string().into();
            }
            if predicate["close"].is_object() {
                predicate["close"]["count"] = count.into();
            }
            last(at, payload);
            let bytes = jcs::canonical(payload).expect("a payload");
            envelopes.push(dsse::seal(&bytes, &signer));
        }
        Handed { envelopes, contents: self.contents }
    }
}

/// In which order work that goes on at the same time ends.
#[derive(Clone, Copy, PartialEq)]
pub(crate) enum Order {
    First,
    Last,
}

/// A run, its journal and its surroundings.
pub(crate) struct World {
    pub(crate) run: Run,
    pub(crate) chain: Chain,
    pub(crate) handed: Handed,
    pub(crate) order: Order,
    /// Milliseconds since the beginning.
    pub(crate) clock: i64,
    pub(crate) tick: i64,
    /// What was called and asked, in words.
    pub(crate) log: Vec<String>,
    /// The greatest number of things that went on at the same time.
    pub(crate) most: usize,
    script: BTreeMap<String, Vec<Value>>,
    asked: BTreeMap<String, usize>,
    going: Vec<Action>,
    salts: u64,
}

fn salt(salts: &mut u64) -> Salt {
    *salts += 1;
    Salt::from_bytes(*Digest::of(&salts.to_be_bytes()).as_bytes())
}

impl World {
    /// A run at its beginning. `script`: by tool or by model step, what comes back in turn; the
    /// last repeats.
    pub(crate) fn new(program: &Value, inputs: Value, script: Value) -> Self {
        let admission = admission(program);
        let record = serde_json::to_value(AdmissionRecord::of(&admission)).expect("a record");
        let policies = policies(&admission);
        let plan = Arc::new(admit(admission).unwrap_or_else(|refusal| panic!("{program}: {refusal}")));
        let inputs = inputs.as_object().cloned().unwrap_or_default();
        let inputs = plan.program().bind_inputs(inputs).expect("inputs that fit");
        let mut salts = 0;
        let mut chain = Chain::open(run_id(), plan.program().digest(), "local", signer());
        let mut handed = Handed { envelopes: Vec::new(), contents: Vec::new() };
        open(&mut chain, &mut handed, &record, &inputs, policies, &mut salts);
        chain.bind(plan.digest());
        let authority = plan.rows().iter().map(AuthorityRef::of_row).collect();
        let models = plan.models().iter().map(ModelGrantRef::of_row).collect();
        let sealed = chain.seal(Kind::Plan, moment(0), &mut || salt(&mut salts), |_| Parts {
            authority,
            models,
            ..Parts::default()
        });
        keep(&mut handed, sealed.expect("a table that can be signed"));
        let script = script.as_object().cloned().unwrap_or_default().into_iter();
        let list = |value: Value| match value {
            Value::Array(list) => list,
            one => vec![one],
        };
        Self {
            run: Run::start(plan, inputs, moment(0)),
            chain,
            handed,
            order: Order::First,
            clock: 0,
            tick: 10,
            log: Vec::new(),
            most: 0,
            script: script.map(|(name, value)| (name, list(value))).collect(),
            asked: BTreeMap::new(),
            going: Vec::new(),
            salts,
        }
    }

    /// A world whose run has gone as far as it can.
    pub(crate) fn driven(program: &Value, inputs: Value, script: Value) -> Self {
        let mut world = Self::new(program, inputs, script);
        world.drive();
        world
    }

    pub(crate) fn record(&mut self, event: Event, observed: Observed) -> Result<(), RecordError> {
        let at = moment(self.clock);
        let salts = &mut self.salts;
        let sealed = self.chain.record(&mut self.run, event, observed, at, &mut || salt(salts))?;
        keep(&mut self.handed, sealed);
        Ok(())
    }

    /// Records an event that must be legal.
    pub(crate) fn happens(&mut self, event: Event) {
        let observed = self.observed_of(&event);
        self.record(event.clone(), observed).unwrap_or_else(|error| panic!("{event:?}: {error}"));
    }

    /// What a host puts beside an event that comes from outside.
    pub(crate) fn observed_of(&self, event: &Event) -> Observed {
        let mut observed = Observed::default();
        if matches!(event, Event::Resumed { .. } | Event::Settled(_) | Event::Expired | Event::Recovered) {
            let program: Value =
                serde_json::from_str(&self.run.plan().program().source().text).expect("a JSON program");
            let admission = Admission { today: moment(self.clock), ..admission(&program) };
            observed.take_over = Some(TakeOver {
                host: host(),
                policies: policies(&admission),
                admission: serde_json::to_value(AdmissionRecord::of(&admission)).expect("a record"),
            });
        }
        let resolver = |entitled: Option<&str>| ResolverRef {
            authenticated: "operator".into(),
            entitled: entitled.map(str::to_owned),
            shown: None,
        };
        let shown = || Some(json!({ "asked": "?" }));
        observed.resolver = match event {
            Event::Resumed { .. } | Event::Settled(_) => Some((resolver(Some("operator")), shown())),
            Event::Refused { .. } => Some((resolver(None), None)),
            _ => None,
        };
        observed.tool = self.run.pending_call().map(|pending| pending.tool);
        observed
    }

    /// The same run in the hands of another process, which knows what was recorded and no more.
    pub(crate) fn restarted(self) -> Self {
        let trace = self.proved();
        let chain = Chain::reopen(&trace, "local", signer()).expect("the same key");
        let run = trace.into_machine().expect("an admitted run");
        Self { run, chain, going: Vec::new(), ..self }
    }

    pub(crate) fn drive(&mut self) {
        while self.step() {}
    }

    /// One turn; `false` where nothing more happens by itself.
    pub(crate) fn step(&mut self) -> bool {
        self.clock += self.tick;
        match self.run.next() {
            Next::Record(event) => self.happens(event),
            Next::Perform(action) => {
                self.begin(&action);
                self.going.push(action);
                self.most = self.most.max(self.going.len());
            }
            Next::Await => {
                assert!(!self.going.is_empty(), "nothing goes on, and the machine waits");
                let at = if self.order == Order::First { 0 } else { self.going.len() - 1 };
                let action = self.going.remove(at);
                self.end(action);
            }
            Next::Suspended | Next::Ended => return false,
        }
        true
    }

    fn effect(&self, call: &Call) -> Effect {
        self.run.plan().row(&call.tool).expect("a call of the table").effect
    }

    fn begin(&mut self, action: &Action) {
        match action {
            Action::Ask(ask) => {
                let pause = ask.backoff.map(|pause| format!(" after {}s", pause.as_secs()));
                self.log.push(format!("ask {:?}{}", ask.prompt, pause.unwrap_or_default()));
            }
            Action::Call(call) => {
                let pause = call.backoff.map(|pause| format!(" after {}s", pause.as_secs()));
                self.log.push(format!("{} {}{}", call.tool, call.args, pause.unwrap_or_default()));
                if self.peek(call.tool.as_str()).get("recorded").is_some() {
                    return;
                }
                let args = Slot::known(call.args.clone());
                let started = Event::Started { place: call.place, tool: call.tool.clone(), args };
                match self.effect(call) {
                    Effect::Pure => {
                        self.run.record(started, moment(self.clock)).expect("a call may begin");
                    }
                    _ => self.happens(started),
                }
            }
        }
    }

    fn end(&mut self, action: Action) {
        match action {
            Action::Ask(ask) => {
                let id = self.run.plan().program().step(ask.place.step).id.to_string();
                let reply = reply_of(&self.answer(&id));
                let event = self.run.judge(&ask, reply);
                let cost = (ask.model != "scripted").then(|| "0.25".to_owned());
                self.record(event, Observed { cost, ..Observed::default() }).expect("an answer is legal");
            }
            Action::Call(call) => {
                let answer = self.answer(call.tool.as_str());
                let effect = self.effect(&call);
                for capability in answer["blocked"].as_array().into_iter().flatten() {
                    let capability = capability.as_str().expect("a class");
                    let denial = Denial::blocked(capability, "grant:kv", Slot::known(json!("x")));
                    self.happens(Event::Blocked { place: call.place, denial });
                }
                let event = event_of(call.place, &answer, call.args.clone(), effect);
                let reused = answer.get("recorded").is_some();
                let observed = Observed {
                    tool: Some(call.tool.clone()),
                    input: (effect == Effect::Pure || reused).then(|| Slot::known(call.args)),
                    recorded: reused.then(|| format!("run/{}/7", RunId::from_random([1; 16]))),
                    ..Observed::default()
                };
                self.record(event, observed).expect("a call may end so");
            }
        }
    }

    fn peek(&self, name: &str) -> Value {
        let list = self.script.get(name).map(Vec::as_slice).unwrap_or_default();
        let at = self.asked.get(name).copied().unwrap_or_default();
        list.get(at).or(list.last()).cloned().unwrap_or_else(|| json!({ "return": "ok", "text": "ok" }))
    }

    fn answer(&mut self, name: &str) -> Value {
        let answer = self.peek(name);
        *self.asked.entry(name.to_owned()).or_default() += 1;
        answer
    }

    /// The run in words: its records, and where it stands.
    pub(crate) fn told(&self) -> String {
        let program = self.run.plan().program();
        let mut words: Vec<String> = Vec::new();
        for record in self.run.records() {
            let mut word = format!("{} {}", program.step(record.step).id, record.status);
            if let Some(error) = &record.error {
                word.push_str(&format!("({}/{})", error.kind, error.code));
            }
            if record.retries > 0 {
                word.push_str(&format!(" +{}", record.retries));
            }
            for (set, mark) in [(record.substituted, " substituted"), (record.recorded, " recorded")] {
                word.push_str(if set { mark } else { "" });
            }
            words.push(word);
        }
        words.push(match self.run.end() {
            None => self.run.location(),
            Some(end) => match (end.error, end.step) {
                (None, _) => end.status.to_string(),
                (Some(error), None) => format!("{}({error})", end.status),
                (Some(error), Some(step)) => {
                    format!("{}({error}) at {}", end.status, program.step(step).id)
                }
            },
        });
        words.join(", ")
    }

    /// Verifies what was recorded, complete and with nothing disclosed, and compares the machine
    /// that comes of it with the one that ran.
    pub(crate) fn proved(&self) -> Trace {
        let (report, trace) = self.handed.verify(true);
        assert_eq!(report.fault, None, "{}", self.told());
        for (name, result) in failing(&report) {
            assert!(name == CheckName::Closed && report.open, "{name}: {result}");
        }
        let trace = trace.expect("a trace");
        let machine = trace.machine().expect("an admitted run");
        assert_eq!(machine.records(), self.run.records());
        assert_eq!(machine.tally(), self.run.tally());
        assert_eq!(machine.end(), self.run.end());
        assert_eq!(machine.final_output(), self.run.final_output());
        assert_eq!(machine.outcome(), self.run.outcome());
        assert_eq!(machine.location(), self.run.location());
        trace
    }
}

pub(crate) fn failing(report: &Report) -> Vec<(CheckName, String)> {
    let failing = report.checks.iter().filter(|check| check.result == crate::trace::CheckResult::Fail);
    failing.map(|check| (check.name, check.detail.clone())).collect()
}

/// A refused admission: a complete run of three envelopes.
pub(crate) fn refused(program: &Value) -> Handed {
    let admission = admission(program);
    let record = serde_json::to_value(AdmissionRecord::of(&admission)).expect("a record");
    let policies = policies(&admission);
    let digest = admission.program.digest();
    let Err(Refusal::Denied(denied)) = admit(admission) else { panic!("it is admitted") };
    let mut handed = Handed { envelopes: Vec::new(), contents: Vec::new() };
    let mut chain = Chain::open(run_id(), digest, "local", signer());
    let mut salts = 0;
    open(&mut chain, &mut handed, &record, &Map::new(), policies, &mut salts);
    let sealed = chain.seal(Kind::Denied, moment(1), &mut || salt(&mut salts), |committer| {
        let values = denied.gaps().iter().map(|gap| gap.value.as_str().into()).collect();
        let value = committer.json(Role::DENIED, &Value::Array(values));
        let mut denials: Vec<DenialRef> = denied.gaps().iter().map(DenialRef::of_gap).collect();
        denials[0].value = Some(value);
        Parts { denials, ..Parts::default() }
    });
    keep(&mut handed, sealed.expect("a refusal that can be signed"));
    let close = CloseRef {
        status: Status::NotAdmitted.to_string(),
        error: Some(ErrorKind::Authority.to_string()),
        step: None,
        count: 3,
    };
    let sealed = chain.seal(Kind::RunClose, moment(1), &mut || salt(&mut salts), |_| Parts {
        close: Some(close),
        ..Parts::default()
    });
    keep(&mut handed, sealed.expect("an end that can be signed"));
    handed
}

fn policies(admission: &Admission) -> Vec<PolicyRef> {
    let policy = |policy: &Policy| PolicyRef { digest: policy.digest(), trusted: true };
    admission.policies.iter().map(policy).collect()
}

fn open(
    chain: &mut Chain,
    handed: &mut Handed,
    record: &Value,
    inputs: &Map<String, Value>,
    policies: Vec<PolicyRef>,
    salts: &mut u64,
) {
    let host = host();
    let key = SignerRef { key: *chain.key().digest(), development: true };
    let sealed = chain.seal(Kind::RunOpen, moment(0), &mut || salt(salts), |committer| {
        committer.json(Role::ADMISSION, record);
        committer.json(Role::INPUT, &Value::Object(inputs.clone()));
        committer.json(Role::SEED, &json!("00"));
        Parts { host: Some(host), signer: Some(key), policies, ..Parts::default() }
    });
    keep(handed, sealed.expect("an opening that can be signed"));
}

fn host() -> HostRef {
    HostRef {
        version: "0.0.0".into(),
        binary: Digest::of(b"host"),
        engine: "none".into(),
        config: Digest::of(b""),
    }
}

fn keep(handed: &mut Handed, sealed: crate::envelope::Sealed) {
    handed.envelopes.push(sealed.bytes);
    handed.contents.extend(sealed.contents);
}

fn event_of(place: Place, answer: &Value, args: Value, effect: Effect) -> Event {
    let failed = |kind, code: &str, retry| {
        let code = Code::parse(code).expect("a code");
        CallEnd::Failure(Failure::new(kind, code, retry).with_message(Slot::known(json!("words"))))
    };
    let end = if let Some(code) = answer["fail"].as_str() {
        let retry = if code == "unavailable" { Retry::Maybe } else { Retry::Never };
        failed(ErrorKind::StepFailed, code, retry)
    } else if let Some(code) = answer["fault"].as_str() {
        match effect {
            Effect::External => failed(ErrorKind::InDoubt, code, Retry::Never),
            _ => failed(ErrorKind::GuestFault, code, Retry::Never),
        }
    } else if answer.get("stub").is_some() {
        let denial = Denial::blocked("stub", "grant:stub", Slot::known(json!("udp")));
        return Event::Denied { place, denial };
    } else if let Some(reason) = answer.get("suspend") {
        CallEnd::Suspended { reason: Slot::known(reason.clone()), deadline: Some(moment(1_000_000)) }
    } else if answer.get("echo").is_some() {
        CallEnd::Success { output: Slot::known(args), recorded: false }
    } else if let Some(output) = answer.get("recorded") {
        CallEnd::Success { output: Slot::known(output.clone()), recorded: true }
    } else {
        CallEnd::Success { output: Slot::known(answer["return"].clone()), recorded: false }
    };
    Event::Finished { place, end }
}

fn reply_of(answer: &Value) -> Reply {
    let tokens = answer["tokens"].as_u64().unwrap_or_default();
    if answer.get("hang").is_some() {
        return Reply::TimedOut;
    }
    if let Some(code) = answer["fail"].as_str() {
        let retry = if code == "unavailable" { Retry::Maybe } else { Retry::Never };
        let failure = Failure::new(ErrorKind::StepFailed, Code::parse(code).expect("a code"), retry);
        return Reply::Failed { failure, tokens };
    }
    let text = match &answer["text"] {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    };
    Reply::Text { text, tokens, estimated_tokens: answer["estimated"].as_u64().unwrap_or_default() }
}
