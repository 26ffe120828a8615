//! The case of one tool: every import and every request is weighed, and what is missing noted.

mod weigh;

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;

use serde_json::Value;

use super::Offer;
use super::gap::{Gap, GapCode, Place, Withheld};
use super::plan::{ArgsValidator, Requirement, Row, RuleGrant};
use super::publisher::{self, Vouched};
use super::remedy::declare;
use crate::capability::{
    Capability, Class, Clock, Effect, EnvGrant, Folder, FolderGrant, Grants, Host, HttpRule, Random, Together,
};
use crate::check::CheckedProgram;
use crate::facts::{Classified, ToolExport, classify};
use crate::policy::{Policy, Rule, Subject, Verdict, Wanted, agree};
use crate::program::{GrantTable, ToolUse};
use crate::template::Reference;
use crate::{Diagnostic, Diagnostics, KeyId, Timestamp};

/// One tool before admission.
pub(super) struct Case<'a> {
    program: &'a CheckedProgram,
    offer: &'a Offer,
    policies: &'a [Policy],
    today: Timestamp,
    /// The program's entry for the tool, where it has a `tools` table.
    uses: Option<&'a ToolUse>,
    pub(super) invalid: Diagnostics,
    pub(super) warnings: Diagnostics,
    pub(super) gaps: Vec<Gap>,
    /// What the program leaves of the manifest's requests.
    asked: Vec<Capability>,
    /// The function that is called, known also where a call of it is refused.
    pub(super) called: Option<&'a ToolExport>,
    /// What of its requests was granted, known also where something else refuses the tool.
    pub(super) granted: Vec<Capability>,
    /// The same with the host's side. Of a tool that is refused they reach nobody but reviewers.
    pub(super) weighed: Option<Grants>,
    rules: Vec<RuleGrant>,
    /// The key that signed the tool, where a policy names it.
    signer: Option<KeyId>,
}

/// A request as the program left it.
pub(super) struct Ask<'a> {
    pub(super) capability: Capability,
    /// In the manifest; `None`: a default nobody wrote down.
    pub(super) span: Option<&'a Range<usize>>,
}

impl<'a> Ask<'a> {
    fn whole(own: &'a crate::manifest::Ask) -> Self {
        Self { capability: own.capability.clone(), span: own.span.as_ref() }
    }
}

/// What becomes of the component's imports.
#[derive(Default)]
struct Imports {
    linked: Vec<String>,
    stubbed: BTreeSet<String>,
    /// Classes with an import that is linked, and the first such import.
    classes: BTreeMap<Class, String>,
}

impl<'a> Case<'a> {
    pub(super) fn new(
        program: &'a CheckedProgram,
        offer: &'a Offer,
        policies: &'a [Policy],
        today: Timestamp,
    ) -> Self {
        let uses = program.tools.iter().flatten().find(|tool| tool.local == offer.local);
        Self {
            program,
            offer,
            policies,
            today,
            uses,
            invalid: Diagnostics::new(),
            warnings: Diagnostics::new(),
            gaps: Vec::new(),
            asked: Vec::new(),
            called: None,
            granted: Vec::new(),
            weighed: None,
            rules: Vec::new(),
            signer: None,
        }
    }

    /// Whom policies are asked about, where the function that is called is this one.
    pub(super) fn subject(&self, function: &'a str) -> Subject<'a> {
        Subject {
            class: self.program.class,
            program: &self.program.name,
            tool: self.offer.manifest.name(),
            function,
            component: self.offer.facts.component,
            signer: self.signer,
            today: self.today,
        }
    }

    /// The tool's row, unless something was refused.
    pub(super) fn judge(&mut self) -> Option<Row> {
        let manifest = &self.offer.manifest;
        self.check_pin();
        self.check_claims();
        let vouched = self.vouched();
        let export = self.export()?;
        self.called = Some(export);
        let subject = self.subject(&export.function);
        self.check_callable(subject);

        let asks = self.asks();
        self.asked = asks.iter().map(|ask| ask.capability.clone()).collect();
        let imports = self.imports(subject, &asks);
        let mut granted = Vec::new();
        for ask in asks.iter().filter(|ask| imports.classes.contains_key(&ask.capability.class())) {
            if self.decide(subject, ask) {
                granted.push(self.with_private(subject, ask.capability.clone()));
            }
        }
        self.warn_over_asking(&imports);
        self.warn_unused_rows(subject);

        let require = self.requirements(subject, export);
        let validator = ArgsValidator::new(export).map_err(|error| {
            self.invalid.push(Diagnostic::error(
                "bad_schema",
                format!(
                    "a schema of `{}` of tool `{}` is none that can be used: {error}",
                    export.function,
                    manifest.name()
                ),
            ));
        });
        let grants = self.grants(&granted, &imports);
        self.check_room(grants.limits.memory);
        self.granted.clone_from(&granted);
        self.weighed = Some(grants.clone());
        if !self.gaps.is_empty() || !self.invalid.is_empty() {
            return None;
        }
        let vouched = vouched?;
        let effect = self.effect(subject, &grants);
        self.warn_vain_vouches(subject, effect);
        let claim = manifest.function(&export.function);
        Some(Row {
            local: self.offer.local.clone(),
            tool: manifest.name().clone(),
            version: manifest.version().to_owned(),
            component: self.offer.facts.component,
            manifest: manifest.digest(),
            effect,
            requested: manifest.asks().iter().map(|ask| ask.capability.to_string()).collect(),
            granted: granted.iter().map(Capability::to_string).collect(),
            linked: imports.linked,
            stubbed: imports.stubbed.into_iter().collect(),
            limits: grants.limits,
            rules: std::mem::take(&mut self.rules),
            grants,
            require,
            description: claim
                .and_then(|function| function.description.as_deref())
                .or(manifest.description())
                .map(str::to_owned),
            pii: claim.map(|function| function.pii.clone()).unwrap_or_default(),
            export: export.clone(),
            vouched,
            validator: validator.ok()?,
        })
    }

    /// Whose word there is for the tool.
    fn vouched(&mut self) -> Option<Vouched> {
        match publisher::signer(self.offer, self.policies) {
            Ok(signer) => self.signer = signer,
            Err(fault) => {
                self.invalid.push(publisher::failed(self.offer, fault));
                return None;
            }
        }
        let origin = self.uses.map(|uses| &uses.origin);
        match publisher::vouched(self.offer, origin, self.signer, self.policies) {
            Ok(vouched) => Some(vouched),
            Err(gaps) => {
                self.gaps.extend(gaps);
                None
            }
        }
    }

    /// A manifest that pins a component belongs to no other one.
    fn check_pin(&mut self) {
        let manifest = &self.offer.manifest;
        let Some(pin) = manifest.component() else { return };
        if pin.value != self.offer.facts.component {
            self.invalid.push(
                Diagnostic::error(
                    "component_mismatch",
                    format!(
                        "the manifest of `{}` is for another component: this one is sha256:{}",
                        manifest.name(),
                        self.offer.facts.component
                    ),
                )
                .at(manifest.source(), pin.span.clone())
                .label("pinned here")
                .help("build the component this manifest was written for, or review the new one and pin its digest"),
            );
        }
    }

    /// A claim about a function that is not there is a claim about nothing.
    fn check_claims(&mut self) {
        let manifest = &self.offer.manifest;
        for (name, function) in manifest.functions() {
            if !self.offer.facts.exports.iter().any(|export| export.function == *name) {
                self.invalid.push(
                    Diagnostic::error(
                        "unknown_function",
                        format!("the component of `{}` exports no function `{name}`", manifest.name()),
                    )
                    .at(manifest.source(), function.span.clone())
                    .help(self.exported()),
                );
            }
        }
    }

    /// The function that the program means.
    fn export(&mut self) -> Option<&'a ToolExport> {
        match called(self.program, self.offer) {
            Ok(export) => Some(export),
            Err(finding) => {
                self.invalid.push(*finding);
                None
            }
        }
    }

    fn exported(&self) -> String {
        exported(self.offer)
    }

    /// A row may forbid a tool as a whole, also one that needs no authority.
    fn check_callable(&mut self, subject: Subject<'_>) {
        for policy in self.policies {
            if let Verdict::Forbidden(rule, span) = policy.verdict(subject, Wanted::Call) {
                self.gaps.push(Gap {
                    code: GapCode::Forbidden,
                    tool: Some(self.offer.local.clone()),
                    class: None,
                    value: subject.function.to_owned(),
                    asks: None,
                    message: format!(
                        "policy row `{}` ({}) forbids tool `{}`{}",
                        rule.id,
                        Place::new(policy.source(), span),
                        subject.tool,
                        because(rule)
                    ),
                    help: format!("an operator who wants it called removes or narrows row `{}`", rule.id),
                    not_granted_by: Some(Withheld {
                        file: policy.source().name.clone(),
                        rule: Some(rule.id.clone()),
                        place: Some(Place::new(policy.source(), span)),
                    }),
                });
            }
        }
    }

    /// A call that waits for room which never comes would hang its run.
    fn check_room(&mut self, memory: u64) {
        for policy in self.policies {
            let together = policy.together();
            let Some(all) = together.value.memory.filter(|all| *all < memory) else { continue };
            let place = Place::new(policy.source(), &together.span);
            let tool = self.offer.manifest.name();
            self.gaps.push(Gap {
                code: GapCode::NeverFits,
                tool: Some(self.offer.local.clone()),
                class: None,
                value: format!("memory {memory} bytes"),
                asks: None,
                message: format!(
                    "a call of tool `{tool}` may take {memory} bytes of memory, and {place} leaves {all} to all calls together"
                ),
                help: format!(
                    "lower `memory` in [limits] of {}, or of a policy; or have the operator raise it in [limits.together]",
                    self.offer.manifest.source().name
                ),
                not_granted_by: Some(Withheld {
                    file: policy.source().name.clone(),
                    rule: None,
                    place: Some(place),
                }),
            });
        }
    }

    /// What the manifest asks for, narrowed by the program's grant in the classes it names.
    pub(super) fn asks(&mut self) -> Vec<Ask<'a>> {
        let manifest = &self.offer.manifest;
        let Some((uses, grant)) = self.uses.and_then(|uses| Some((uses, uses.grant.as_ref()?))) else {
            return manifest.asks().iter().map(Ask::whole).collect();
        };
        let narrowing = narrowing(grant);
        let mut asks: Vec<Ask<'a>> = Vec::new();
        for own in manifest.asks() {
            match narrowing.get(&own.capability.class()) {
                None => asks.push(Ask::whole(own)),
                Some(list) => asks.extend(list.iter().filter_map(|narrow| {
                    Some(Ask { capability: narrow.of(&own.capability)?, span: own.span.as_ref() })
                })),
            }
        }
        for narrow in narrowing.values().flatten() {
            if !manifest.asks().iter().any(|own| narrow.of(&own.capability).is_some()) {
                self.invalid.push(
                    Diagnostic::error(
                        "grant_matches_nothing",
                        format!(
                            "the program grants `{}` {narrow}, which its manifest does not ask for",
                            uses.local
                        ),
                    )
                    .at(&self.program.source, grant.span.clone())
                    .help("a grant only narrows: name what the manifest asks for, or leave it out"),
                );
            }
        }
        asks
    }

    /// Weighs every import of the component.
    fn imports(&mut self, subject: Subject<'_>, asks: &[Ask<'_>]) -> Imports {
        let manifest = &self.offer.manifest;
        let mut imports = Imports::default();
        for import in &self.offer.facts.imports {
            let class = match classify(import) {
                Classified::Inert => {
                    imports.linked.push(import.name.clone());
                    continue;
                }
                Classified::Unknown => {
                    self.gaps.push(
                        self.import_gap(
                            GapCode::UnknownImport,
                            None,
                            import,
                            format!(
                                "the component of `{}` imports {:?}, which this host does not have",
                                manifest.name(),
                                import.name
                            ),
                            "build the tool for wasm32-wasip2 (WASI 0.2) and the interfaces of guest-sdk/wit"
                                .into(),
                        ),
                    );
                    continue;
                }
                Classified::Authority(_)
                    if manifest.stubs().iter().any(|stub| stub.value.matches(import)) =>
                {
                    if self.decide_stub(subject, import) {
                        imports.stubbed.insert(import.name.clone());
                    }
                    continue;
                }
                Classified::Authority(class) | Classified::InertByDefault(class) => class,
            };
            let declared = class == Class::Env
                || manifest
                    .asks()
                    .iter()
                    .any(|ask| is_real(&ask.capability) && ask.capability.class() == class);
            let left = class == Class::Env
                || asks.iter().any(|ask| is_real(&ask.capability) && ask.capability.class() == class);
            if !declared {
                self.gaps.push(self.import_gap(
                    GapCode::ImportNotDeclared,
                    Some(class),
                    import,
                    format!(
                        "the component of `{}` imports {:?}, and its manifest declares no {class}",
                        manifest.name(),
                        import.name
                    ),
                    declare(manifest, class, import),
                ));
            } else if !left {
                self.gaps.push(self.narrowed_away(class, import));
            } else {
                imports.linked.push(import.name.clone());
                imports.classes.entry(class).or_insert_with(|| import.name.clone());
            }
        }
        imports
    }

    /// The grants of what was granted.
    fn grants(&self, granted: &[Capability], imports: &Imports) -> Grants {
        let limits =
            self.policies.iter().fold(self.offer.manifest.limits(), |limits, policy| policy.cap(limits));
        let mut grants = Grants {
            filesystem: Vec::new(),
            env: Vec::new(),
            kv: BTreeSet::new(),
            clock: Clock::Denied,
            random: Random::Denied,
            sockets: BTreeSet::new(),
            http: BTreeSet::new(),
            secrets: BTreeSet::new(),
            stubbed: imports.stubbed.clone(),
            limits,
            together: self
                .policies
                .iter()
                .fold(Together::default(), |all, policy| all.min(policy.together().value)),
        };
        for capability in granted {
            match capability {
                Capability::Filesystem(folder) => {
                    if let Ok(Some(host)) = self.agreed(Policy::folder, &folder.guest) {
                        grants.filesystem.push(FolderGrant { folder: folder.clone(), host: host.to_owned() });
                    }
                }
                Capability::Env(name) => {
                    if let Ok(Some(value)) = self.agreed(Policy::variable, name) {
                        grants.env.push(EnvGrant { name: name.clone(), value: value.to_owned() });
                    }
                }
                Capability::Kv(namespace) => {
                    grants.kv.insert(namespace.clone());
                }
                Capability::Clock(clock) => grants.clock = *clock,
                Capability::Random(random) => grants.random = *random,
                Capability::Sockets(socket) => {
                    grants.sockets.insert(*socket);
                }
                Capability::Http(rule) => {
                    grants.http.insert(rule.clone());
                }
                Capability::Secrets(rule) => {
                    grants.secrets.insert(rule.clone());
                }
            }
        }
        grants.filesystem.sort_by(|a, b| a.folder.cmp(&b.folder));
        grants.env.sort_by(|a, b| a.name.cmp(&b.name));
        grants
    }

    /// The author's claim never counts for less than what the row can do. kv does not raise it:
    /// what it writes commits with the result.
    fn effect(&self, subject: Subject<'_>, grants: &Grants) -> Effect {
        let claim = self.offer.manifest.function(subject.function).and_then(|function| function.effect);
        let claim = match claim {
            Some(Effect::Idempotent) if agree(self.policies, |policy| policy.vouches(subject).is_some()) => {
                Effect::Idempotent
            }
            Some(Effect::Pure) => Effect::Pure,
            Some(Effect::Idempotent | Effect::External) | None => Effect::External,
        };
        let asks = !grants.http().is_empty() && claim != Effect::Idempotent;
        let power = if grants.reaches_out() || asks { Effect::External } else { Effect::Pure };
        claim.max(power)
    }

    /// Every `require` about this function. One that speaks of an argument the function does not
    /// have can never protect anything, and is refused rather than passed over.
    fn requirements(&mut self, subject: Subject<'_>, export: &ToolExport) -> Vec<Requirement> {
        let mut all = Vec::new();
        for policy in self.policies {
            for (rule, require) in policy.requirements(subject) {
                for reference in require.value.references() {
                    if !may_resolve(&export.input, reference) {
                        let path: Vec<&str> = reference.path().collect();
                        self.invalid.push(
                            Diagnostic::error(
                                "unknown_argument",
                                format!(
                                    "row `{}` requires something of `$args.{}`, which `{}` of tool `{}` does not take",
                                    rule.id,
                                    path.join("."),
                                    export.function,
                                    subject.tool
                                ),
                            )
                            .at(policy.source(), require.span.clone())
                            .help("name an argument of the function, or bind the row to another one with `function = \"…\"`"),
                        );
                    }
                }
                all.push(Requirement {
                    rule: rule.id.clone(),
                    condition: require.value.clone(),
                    place: Place::new(policy.source(), &require.span),
                });
            }
        }
        all
    }

    fn warn_over_asking(&mut self, imports: &Imports) {
        let manifest = &self.offer.manifest;
        for ask in manifest.asks() {
            let Some(span) = &ask.span else { continue };
            if is_real(&ask.capability) && !imports.classes.contains_key(&ask.capability.class()) {
                self.warnings.push(
                    Diagnostic::warning(
                        "over_asking",
                        format!(
                            "`{}` asks for {}, which its component does not import",
                            manifest.name(),
                            ask.capability
                        ),
                    )
                    .at(manifest.source(), span.clone())
                    .help("leave it out of the manifest: the tool cannot use it"),
                );
            }
        }
        for stub in manifest.stubs() {
            if !self.offer.facts.imports.iter().any(|import| stub.value.matches(import)) {
                self.warnings.push(
                    Diagnostic::warning(
                        "over_asking",
                        format!(
                            "`{}` stubs {}, which its component does not import",
                            manifest.name(),
                            stub.value
                        ),
                    )
                    .at(manifest.source(), stub.span.clone())
                    .help("leave it out of the manifest"),
                );
            }
        }
    }

    /// A row for this tool that changes nothing today would change something the day the tool does.
    fn warn_unused_rows(&mut self, subject: Subject<'_>) {
        for policy in self.policies {
            for rule in policy.rows_for(subject).filter(|rule| rule.program.is_some()) {
                for own in &rule.capabilities {
                    if !self.offer.manifest.asks().iter().any(|ask| own.value.meet(&ask.capability).is_some())
                    {
                        self.warnings.push(
                            Diagnostic::warning(
                                "unused_rule",
                                format!(
                                    "row `{}` permits {}, which `{}` does not ask for",
                                    rule.id, own.value, subject.tool
                                ),
                            )
                            .at(policy.source(), own.span.clone())
                            .help("leave it out of the row: it would be granted the day the tool asks"),
                        );
                    }
                }
            }
        }
    }

    /// A row that vouches for a function which it cannot make idempotent.
    fn warn_vain_vouches(&mut self, subject: Subject<'_>, effect: Effect) {
        for policy in self.policies.iter().filter(|_| effect != Effect::Idempotent) {
            for rule in policy.rows_for(subject) {
                if rule.vouched.iter().any(|function| function == subject.function) {
                    self.warnings.push(
                        Diagnostic::warning(
                            "unused_rule",
                            format!(
                                "row `{}` vouches for `{}` of `{}`, which stays {effect}: its manifest does not \
                                 claim to be idempotent, or what it is granted reaches further",
                                rule.id, subject.function, subject.tool
                            ),
                        )
                        .at(policy.source(), rule.span.clone())
                        .help("leave `vouch_idempotent` out of the row"),
                    );
                }
            }
        }
    }
}

/// The function that a program means with the tool on offer.
pub(crate) fn called<'a>(
    program: &CheckedProgram,
    offer: &'a Offer,
) -> Result<&'a ToolExport, Box<Diagnostic>> {
    let exports = &offer.facts.exports;
    let uses = program.tools.iter().flatten().find(|tool| tool.local == offer.local);
    let named = uses.and_then(|uses| uses.function.as_deref());
    let wanted = named.map_or_else(|| offer.local.as_str().replace('_', "-"), str::to_owned);
    let mut found = exports.iter().filter(|export| export.function == wanted);
    let finding = match (found.next(), found.next(), exports.as_slice()) {
        (Some(export), None, _) => return Ok(export),
        (Some(_), Some(_), _) => Diagnostic::error(
            "ambiguous_function",
            format!("tool `{}` exports `{wanted}` in more than one interface", offer.local),
        ),
        (None, _, [only]) if named.is_none() => return Ok(only),
        (None, ..) => Diagnostic::error(
            "unknown_function",
            format!("tool `{}` exports no function `{wanted}`", offer.local),
        )
        .help(exported(offer)),
    };
    Err(Box::new(match uses {
        Some(uses) => finding.at(&program.source, uses.span.clone()),
        None => finding,
    }))
}

fn exported(offer: &Offer) -> String {
    let names: Vec<&str> = offer.facts.exports.iter().map(|export| &*export.function).collect();
    match names.as_slice() {
        [] => "it exports no function that can be called".into(),
        names => format!("it exports {}; name one with `function = \"…\"`", names.join(", ")),
    }
}

/// One entry of a program's grant.
enum Narrow {
    /// No more than this.
    To(Capability),
    /// Whatever is asked for of this host.
    Host(Host),
    /// Whatever is asked for with this secret.
    Secret(String),
}

impl Narrow {
    /// What it leaves of `ask`.
    fn of(&self, ask: &Capability) -> Option<Capability> {
        match (self, ask) {
            (Self::To(own), _) => own.meet(ask),
            (Self::Host(host), Capability::Http(rule)) => {
                Some(Capability::Http(HttpRule { host: host.meet(&rule.host)?, ..rule.clone() }))
            }
            (Self::Secret(name), Capability::Secrets(rule)) => (rule.name == *name).then(|| ask.clone()),
            (Self::Host(_) | Self::Secret(_), _) => None,
        }
    }
}

impl std::fmt::Display for Narrow {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::To(own) => own.fmt(f),
            Self::Host(host) => write!(f, "{} {host}", Class::Http),
            Self::Secret(name) => write!(f, "{} {name}", Class::Secrets),
        }
    }
}

/// The classes that a program's grant names, each with what it lists.
fn narrowing(grant: &GrantTable) -> BTreeMap<Class, Vec<Narrow>> {
    fn list<T: Clone>(items: &BTreeSet<T>, of: fn(T) -> Capability) -> Vec<Narrow> {
        items.iter().cloned().map(of).map(Narrow::To).collect()
    }
    let GrantTable { filesystem, env, kv, clock, random, sockets, http, secrets, span: _ } = grant;
    let folders =
        |folders: &Vec<Folder>| folders.iter().cloned().map(Capability::Filesystem).map(Narrow::To).collect();
    [
        (Class::Filesystem, filesystem.as_ref().map(folders)),
        (Class::Env, env.as_ref().map(|names| list(names, Capability::Env))),
        (Class::Kv, kv.as_ref().map(|names| list(names, Capability::Kv))),
        (Class::Clock, clock.map(|clock| vec![Narrow::To(Capability::Clock(clock))])),
        (Class::Random, random.map(|random| vec![Narrow::To(Capability::Random(random))])),
        (Class::Sockets, sockets.as_ref().map(|sockets| list(sockets, Capability::Sockets))),
        (Class::Secrets, secrets.as_ref().map(|names| names.iter().cloned().map(Narrow::Secret).collect())),
        (Class::Http, http.as_ref().map(|hosts| hosts.iter().cloned().map(Narrow::Host).collect())),
    ]
    .into_iter()
    .filter_map(|(class, list)| Some((class, list?)))
    .collect()
}

/// The reason an operator gave, and whom to ask.
fn because(rule: &Rule) -> String {
    let reason = rule.reason.as_ref().map(|reason| format!(": {}", reason.escape_debug()));
    let owner = rule.owner.as_ref().map(|owner| format!(" (ask {})", owner.escape_debug()));
    format!("{}{}", reason.unwrap_or_default(), owner.unwrap_or_default())
}

/// Whether it is anything at all: `denied` asks for nothing.
fn is_real(capability: &Capability) -> bool {
    !matches!(capability, Capability::Clock(Clock::Denied) | Capability::Random(Random::Denied))
}

/// Whether arguments that fit `schema` can have what `reference` names. Where the schema does not
/// say, they can.
fn may_resolve(schema: &Value, reference: &Reference) -> bool {
    let mut at = schema;
    for segment in reference.path() {
        let Some(properties) = at.get("properties").and_then(Value::as_object) else {
            // The arguments as a whole are always an object of the function's parameters.
            return !std::ptr::eq(at, schema);
        };
        match properties.get(segment) {
            Some(inner) => at = inner,
            None => return false,
        }
    }
    true
}
