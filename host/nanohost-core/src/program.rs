//! `program.toml` (or the same in JSON) → [`Program`]: known keys, well-formed values, kinds as
//! enums, spans kept. Knows nothing of whether targets exist; that is [`crate::check`]'s.

pub(crate) mod schema;
mod step;

#[cfg(test)]
mod tests;

use std::collections::{BTreeSet, HashMap, hash_map};
use std::net::IpAddr;
use std::num::NonZeroU64;
use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;

use crate::capability::{Access, Clock, Folder, Host, Random, Socket};
use crate::check::{self, OnError, StepIndex, StepKind};
use crate::document::{self, Entry, Fields, Format, Node, NodeValue, Report, nearest};
use crate::package::{PackageRef, PinnedPackage};
use crate::projection::{Detector, MarkedPlace};
use crate::template::{Reference, Template, is_identifier};
use crate::{Diagnostics, Digest, Source, ToolName};

/// The alias of the offline model, which answers from a file.
pub(crate) const SCRIPTED: &str = "scripted";

/// No program declares more inputs: the schema of each is compiled, and each value checked by it.
const MAX_INPUTS: usize = 1000;

/// No program marks more places: each value that is looked at is looked at for each of them.
const MAX_MARKS: usize = 256;

/// No program has more steps: it bounds what one file can make the checker hold.
const MAX_STEPS: usize = 1_000_000;

/// A program whose form is sound: known keys, well-formed ids and values, kinds as enums. Its
/// graph is not yet looked at; [`Program::check`] does that.
#[derive(Debug)]
pub struct Program {
    /// Every step of it has a body.
    pub(crate) draft: Draft,
}

impl Program {
    /// Reads a program. A file with errors gives all of them at once: those of its form, and, as
    /// far as its form allows, those of its graph.
    pub fn parse(source: Arc<Source>, format: Format) -> Result<Self, Diagnostics> {
        let root = document::parse(&source, format)?;
        let mut report = Report::new(&source);
        let draft = Draft::read(&root, &mut report);
        let Some(draft) = draft else { return Err(failed(report)) };
        if report.has_errors() {
            check::examine(&draft, &mut report);
            return Err(failed(report));
        }
        Ok(Self { draft })
    }
}

/// The findings of a pass that found at least one error.
fn failed(report: Report) -> Diagnostics {
    match report.finish() {
        Ok(findings) | Err(findings) => findings,
    }
}

/// The bounds of a run. `None`: the program sets no bound of its own.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Budgets {
    /// Executed steps.
    pub max_steps: Option<NonZeroU64>,
    /// Model tokens, estimated ones included.
    pub max_tokens: Option<NonZeroU64>,
    /// Steps in a row that change no named value.
    pub max_stalled_steps: Option<NonZeroU64>,
    /// Wall time; time spent suspended does not count.
    pub max_wall: Option<Duration>,
}

/// One declared input.
#[derive(Debug, Clone, PartialEq)]
pub struct InputDecl {
    /// Its name.
    pub name: String,
    /// The JSON Schema its value must fit, without `default`.
    pub schema: Value,
    /// What it is when nobody gives it; `None`: it is required.
    pub default: Option<Value>,
    /// Its place in the program's file.
    pub span: Range<usize>,
}

/// One row of the `tools` table.
#[derive(Debug, Clone, PartialEq)]
pub struct ToolUse {
    /// The name steps call it by.
    pub local: ToolName,
    /// Where it comes from.
    pub origin: ToolOrigin,
    /// The exported function; `None`: the one named like the row in kebab case, or the only one.
    pub function: Option<String>,
    /// What the program narrows the tool to; `None`: what policy and manifest agree on.
    pub grant: Option<GrantTable>,
    /// Its place in the program's file.
    pub span: Range<usize>,
}

/// Where a tool comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ToolOrigin {
    /// A folder with a manifest, relative to the program's file.
    Path(String),
    /// A package, by what it is.
    Package {
        /// Which.
        package: PinnedPackage,
        /// The file that holds it, relative to the program's: it is fetched from nowhere else then.
        bundle: Option<String>,
    },
}

/// A program's own grant: each class that is named narrows to what is listed, a class that is
/// not named stays as manifest and policy agree on it.
#[derive(Debug, Clone, PartialEq)]
pub struct GrantTable {
    /// Folders by guest path.
    pub filesystem: Option<Vec<Folder>>,
    /// Environment variables.
    pub env: Option<BTreeSet<String>>,
    /// Namespaces of the key-value store.
    pub kv: Option<BTreeSet<String>>,
    /// The clock.
    pub clock: Option<Clock>,
    /// The randomness.
    pub random: Option<Random>,
    /// Addresses for TCP connections.
    pub sockets: Option<BTreeSet<Socket>>,
    /// Hosts of requests over HTTP.
    pub http: Option<BTreeSet<Host>>,
    /// Secrets.
    pub secrets: Option<BTreeSet<String>>,
    /// Its place in the program's file.
    pub span: Range<usize>,
}

/// A program as far as it could be read. Sound unless errors were reported.
#[derive(Debug)]
pub(crate) struct Draft {
    pub(crate) source: Arc<Source>,
    pub(crate) name: String,
    pub(crate) version: Option<String>,
    pub(crate) description: Option<String>,
    pub(crate) inputs: Option<Vec<InputDecl>>,
    pub(crate) tools: Option<Vec<ToolUse>>,
    pub(crate) model: String,
    pub(crate) scripted: Option<String>,
    pub(crate) subject: Option<Template>,
    pub(crate) subject_references: Places,
    /// Places of personal data, with their own places in the file.
    pub(crate) pii: Vec<(MarkedPlace, Range<usize>)>,
    pub(crate) pii_detectors: Vec<Detector>,
    /// The names of all rows of `inputs` and `tools`, also of broken ones.
    pub(crate) input_names: Option<BTreeSet<String>>,
    pub(crate) tool_names: Option<BTreeSet<String>>,
    pub(crate) budgets: Budgets,
    /// All steps; parallel sub-steps follow their block.
    pub(crate) steps: Vec<DraftStep>,
    /// The place of each id's first step.
    pub(crate) by_id: HashMap<Arc<str>, StepIndex>,
    /// Steps whose id is taken, each with the step that has it.
    pub(crate) taken: Vec<(usize, usize)>,
    /// SHA-256 of the file's exact bytes.
    pub(crate) digest: Digest,
}

/// A step: its place in the graph, by names, and its body where that is sound.
#[derive(Debug)]
pub(crate) struct DraftStep {
    /// As written, also where it is no valid id: others may name it.
    pub(crate) id: Arc<str>,
    pub(crate) id_span: Range<usize>,
    /// The whole step.
    pub(crate) span: Range<usize>,
    /// The place of the block it belongs to, in [`Draft::steps`].
    pub(crate) block: Option<usize>,
    pub(crate) branches: bool,
    pub(crate) then: Option<Target>,
    pub(crate) otherwise: Option<Target>,
    pub(crate) next_step: Option<Target>,
    pub(crate) is_terminal: bool,
    pub(crate) output_key: Option<(String, Range<usize>)>,
    pub(crate) outcome: Option<String>,
    /// Whether its fallback is the first allowed output only because nothing else was said.
    pub(crate) implicit_fallback: bool,
    /// The names of tools it may call, with their places.
    pub(crate) calls: Vec<(ToolName, Range<usize>)>,
    /// What its texts refer to.
    pub(crate) references: Places,
    pub(crate) on_error: OnError,
    pub(crate) timeout: Option<Duration>,
    pub(crate) body: Option<StepKind>,
}

/// References and the strings they stand in.
pub(crate) type Places = Vec<(Reference, Range<usize>)>;

/// A step that another one names.
#[derive(Debug)]
pub(crate) struct Target {
    pub(crate) id: String,
    pub(crate) span: Range<usize>,
}

impl Draft {
    fn read(root: &Node, report: &mut Report) -> Option<Self> {
        let source = Arc::clone(report.source());
        let mut fields = Fields::of(root, "the program", report)?;
        let name = fields.filled_text("name", report).unwrap_or_else(|| stem(&source.name)).to_owned();
        let version = fields.text("version", report).map(str::to_owned);
        let description = fields.text("description", report).map(str::to_owned);
        let model = fields.filled_text("model", report).unwrap_or(SCRIPTED).to_owned();
        let scripted = fields.fields("models", "`models`", report).and_then(|mut models| {
            let file = models.filled_text(SCRIPTED, report).map(str::to_owned);
            models.finish(report);
            file
        });
        let subject = fields.filled_text("subject", report).and_then(|_| fields.node("subject"));
        let mut subject_references = Places::new();
        let subject = subject
            .and_then(|node| step::template(node, &mut subject_references, report))
            .and_then(|value| Template::parse(&value).ok());
        let pii = marked_places(&mut fields, report);
        let pii_detectors = detectors(&mut fields, report);
        let budgets = Budgets {
            max_steps: fields.count("max_steps", report),
            max_tokens: fields.count("max_tokens", report),
            max_stalled_steps: fields.count("max_stalled_steps", report),
            max_wall: fields.seconds("max_wall_seconds", report),
        };
        let mut inputs = fields.table("inputs", report);
        if inputs.is_some_and(|inputs| inputs.len() > MAX_INPUTS) {
            report.invalid(fields.span(), format!("a program declares at most {MAX_INPUTS} inputs"));
            inputs = inputs.and_then(|inputs| inputs.get(..MAX_INPUTS));
        }
        let names = |entries: &[Entry]| entries.iter().map(|entry| entry.key.clone()).collect();
        let input_names = inputs.map(names);
        let inputs = inputs.map(|entries| entries.iter().filter_map(|entry| input(entry, report)).collect());
        let tools = fields.table("tools", report);
        let tool_names = tools.map(names);
        let tools = tools.map(|entries| entries.iter().filter_map(|entry| tool_use(entry, report)).collect());
        let mut steps = Vec::new();
        if !fields.has("steps") {
            fields.missing("steps", report);
        }
        let rows = fields.list("steps", report);
        match rows {
            Some([]) => report.invalid(fields.span(), "a program has at least one step"),
            Some(rows) if rows.len() > MAX_STEPS => {
                report.invalid(fields.span(), format!("a program has at most {MAX_STEPS} steps"));
            }
            rows => {
                rows.unwrap_or_default().iter().for_each(|row| step::read(row, &model, &mut steps, report))
            }
        }
        if steps.len() > MAX_STEPS {
            report.invalid(fields.span(), format!("a program has at most {MAX_STEPS} steps"));
            steps.truncate(MAX_STEPS);
        }
        fields.finish(report);
        let mut by_id = HashMap::with_capacity(steps.len());
        let mut taken = Vec::new();
        for (at, step) in steps.iter().enumerate() {
            match by_id.entry(Arc::clone(&step.id)) {
                hash_map::Entry::Vacant(entry) => {
                    entry.insert(StepIndex::of(at));
                }
                hash_map::Entry::Occupied(entry) => taken.push((at, entry.get().as_usize())),
            }
        }
        Some(Self {
            digest: Digest::of(source.text.as_bytes()),
            by_id,
            taken,
            source,
            name,
            version,
            description,
            inputs,
            tools,
            model,
            scripted,
            subject,
            subject_references,
            pii,
            pii_detectors,
            input_names,
            tool_names,
            budgets,
            steps,
        })
    }
}

/// The file's name without folders and ending.
fn stem(name: &str) -> &str {
    let file = name.rsplit(['/', '\\']).next().unwrap_or(name);
    match file.rsplit_once('.') {
        Some((stem, _)) if !stem.is_empty() => stem,
        _ => file,
    }
}

/// `pii = ["$order.customer.email", …]`.
fn marked_places(fields: &mut Fields<'_>, report: &mut Report) -> Vec<(MarkedPlace, Range<usize>)> {
    let texts = fields.texts("pii", report).unwrap_or_default();
    if texts.len() > MAX_MARKS {
        report.invalid(fields.span(), format!("`pii` names at most {MAX_MARKS} places"));
        return Vec::new();
    }
    let mut places = Vec::with_capacity(texts.len());
    for (text, span) in texts {
        match MarkedPlace::parse(text) {
            Ok(place) => places.push((place, span)),
            Err(error) => {
                let finding = report.error("invalid_field", &span, "`pii` names places of personal data");
                report.push(finding.help(error.message));
            }
        }
    }
    places
}

/// `pii_detectors = ["email", "phone", "card"]`.
fn detectors(fields: &mut Fields<'_>, report: &mut Report) -> Vec<Detector> {
    let mut detectors = Vec::new();
    for (text, span) in fields.texts("pii_detectors", report).unwrap_or_default() {
        match Detector::parse(text) {
            Some(detector) if detectors.contains(&detector) => {
                report.invalid(&span, format!("the detector `{detector}` is listed twice"));
            }
            Some(detector) => detectors.push(detector),
            None => {
                let message = "`pii_detectors` lists kinds of personal data that have a look of their own";
                let finding = report.error("invalid_field", &span, message);
                let words: Vec<_> = Detector::ALL.iter().map(|known| format!("`{known}`")).collect();
                report.push(match nearest(text, Detector::ALL.into_iter().map(Detector::as_str)) {
                    Some(near) => finding.help(format!("did you mean `{near}`?")),
                    None => finding.help(format!("there are {}", words.join(", "))),
                });
            }
        }
    }
    detectors
}

/// Whether a name stands for what a run is resumed with.
pub(crate) fn is_reserved(name: &str) -> bool {
    name == "__webhook__" || name == "__webhook_source__"
}

fn input(entry: &Entry, report: &mut Report) -> Option<InputDecl> {
    let shown: String = entry.key.chars().take(60).collect();
    let what = format!("input `{}`", shown.escape_debug());
    if !is_identifier(&entry.key) || is_reserved(&entry.key) {
        report.invalid(
            &entry.key_span,
            format!("{what} has no name that references can use: letters, digits and `_`"),
        );
    }
    let Value::Object(mut schema) = schema::read(&entry.node, &what, report)? else { return None };
    let default = schema.shift_remove("default");
    let schema = Value::Object(schema);
    let default = match (schema::compile(&schema), default) {
        (Ok(validator), Some(value)) => match validator.validate(&value) {
            Ok(()) => Some(value),
            // A null default that no null fits is a default left out.
            Err(_) if value.is_null() => None,
            Err(error) => {
                let span = entry.node.as_table().unwrap_or_default().iter().find(|row| row.key == "default");
                let span = span.map_or(&entry.node.span, |row| &row.node.span);
                let error: String = error.to_string().chars().take(300).collect();
                report.invalid(span, format!("the default of {what} does not fit its own schema: {error}"));
                None
            }
        },
        _ => None,
    };
    Some(InputDecl { name: entry.key.clone(), schema, default, span: entry.key_span.clone() })
}

fn tool_use(entry: &Entry, report: &mut Report) -> Option<ToolUse> {
    let local = match ToolName::new(&entry.key) {
        Ok(name) => Some(name),
        Err(error) => {
            report.invalid(&entry.key_span, error.to_string());
            None
        }
    };
    let shown: String = entry.key.chars().take(60).collect();
    let mut fields = Fields::of(&entry.node, format!("tool `{}`", shown.escape_debug()), report)?;
    let origin = origin(&mut fields, report);
    let function = fields.filled_text("function", report).map(str::to_owned);
    let grant = fields.fields("grant", "`grant`", report).map(|inner| grant(inner, report));
    fields.finish(report);
    Some(ToolUse { local: local?, origin: origin?, function, grant, span: entry.key_span.clone() })
}

/// Where a tool comes from: a folder, or a package.
fn origin(fields: &mut Fields<'_>, report: &mut Report) -> Option<ToolOrigin> {
    let path = fields.filled_text("path", report).map(str::to_owned);
    let bundle = fields.filled_text("bundle", report).map(str::to_owned);
    let named = fields.filled_text("package", report).map(str::to_owned);
    let place = |fields: &mut Fields<'_>, key: &'static str| fields.node(key).map(|node| node.span.clone());
    let two = fields.has("package") || fields.has("bundle");
    if let Some(at) = place(fields, "path").filter(|_| two) {
        let finding =
            report.error("invalid_field", &at, "a tool comes from a folder or from a package, not from both");
        report.push(finding.help("leave out `path`, or `package` and `bundle`"));
        return None;
    }
    if fields.has("path") {
        return path.map(ToolOrigin::Path);
    }
    let Some(at) = place(fields, "package") else {
        if let Some(at) = place(fields, "bundle") {
            let message = "`bundle` says where a package is found, and not which one is meant";
            let finding = report.error("package_unpinned", &at, message);
            report.push(finding.help(
                "name it beside the file: package = \"oci://…@sha256:…\"; `nanohost tool pull --from FILE` prints what to write",
            ));
        } else {
            fields.missing("path", report);
        }
        return None;
    };
    match named?.parse::<PackageRef>() {
        Err(error) => {
            report.invalid(&at, error.to_string());
            None
        }
        Ok(reference) => match reference.pinned() {
            Some(package) => Some(ToolOrigin::Package { package, bundle }),
            None => {
                let message = format!("{reference} may be another package tomorrow: it has no digest");
                let finding = report.error("package_unpinned", &at, message);
                report
                    .push(finding.help(format!("`nanohost tool pull {reference}` prints the digest to pin")));
                None
            }
        },
    }
}

fn grant(mut fields: Fields<'_>, report: &mut Report) -> GrantTable {
    let names = |texts: Option<Vec<(&str, Range<usize>)>>, report: &mut Report| {
        texts.map(|texts| {
            let mut names = BTreeSet::new();
            for (text, span) in texts {
                if text.is_empty() {
                    report.invalid(&span, "an empty name grants nothing");
                }
                names.insert(text.to_owned());
            }
            names
        })
    };
    let filesystem = fields.list("filesystem", report);
    let env = fields.texts("env", report);
    let kv = fields.texts("kv", report);
    let sockets = fields.list("sockets", report);
    let http = fields.texts("http", report);
    let secrets = fields.texts("secrets", report);
    let grant = GrantTable {
        filesystem: filesystem.map(|items| folders(items, report)),
        env: names(env, report),
        kv: names(kv, report),
        secrets: names(secrets, report),
        clock: fields.choice(
            "clock",
            &[("denied", Clock::Denied), ("virtual", Clock::Virtual), ("real", Clock::Real)],
            report,
        ),
        random: fields.choice(
            "random",
            &[("denied", Random::Denied), ("seeded", Random::Seeded), ("real", Random::Real)],
            report,
        ),
        sockets: sockets.map(|items| items.iter().filter_map(|item| socket(item, report)).collect()),
        http: http.map(|hosts| hosts.into_iter().filter_map(|host| host_of(host, report)).collect()),
        span: fields.span().clone(),
    };
    fields.finish(report);
    grant
}

/// `{ guest = "/data", access = "read" }`, each folder once.
fn folders(items: &[Node], report: &mut Report) -> Vec<Folder> {
    let mut folders: Vec<Folder> = Vec::new();
    for item in items {
        let Some(mut fields) = Fields::of(item, "a folder", report) else { continue };
        let guest = fields.need_text("guest", report);
        if !fields.has("access") {
            fields.missing("access", report);
        }
        let access = fields.choice("access", &[("read", Access::Read), ("write", Access::Write)], report);
        fields.finish(report);
        let (Some(guest), Some(access)) = (guest, access) else { continue };
        if !is_guest_path(guest) {
            report.invalid(
                &item.span,
                "a guest folder is an absolute path without `.`, `..`, `//` or `/` at its end",
            );
        } else if folders.iter().any(|folder| folder.guest == guest) {
            report.invalid(&item.span, "the folder is listed twice");
        } else {
            folders.push(Folder { guest: guest.into(), access });
        }
    }
    folders.sort();
    folders
}

fn is_guest_path(path: &str) -> bool {
    path == "/"
        || path.strip_prefix('/').is_some_and(|rest| {
            rest.split('/').all(|part| !matches!(part, "" | "." | "..") && !part.contains(['\\', '\0']))
        })
}

fn host_of((text, span): (&str, Range<usize>), report: &mut Report) -> Option<Host> {
    let host = Host::parse(text);
    if host.is_none() {
        report.invalid(&span, "`http` holds hosts in their one spelling: `api.example.com`, `*.example.com`");
    }
    host
}

/// `{ address = "127.0.0.1", port = 5432 }`.
fn socket(item: &Node, report: &mut Report) -> Option<Socket> {
    let mut fields = Fields::of(item, "a socket", report)?;
    let address = fields.need_text("address", report).map(str::parse::<IpAddr>);
    if let Some(Err(_)) = address {
        report.invalid(&item.span, "`address` is an IP address; names are never resolved for a socket");
    }
    if !fields.has("port") {
        fields.missing("port", report);
    }
    let port = match fields.node("port").map(|node| &node.value) {
        Some(NodeValue::Number(port)) => {
            port.as_u64().and_then(|port| u16::try_from(port).ok()).filter(|port| *port > 0)
        }
        _ => None,
    };
    if port.is_none() && fields.has("port") {
        report.invalid(&item.span, "`port` is an integer from 1 to 65535");
    }
    fields.finish(report);
    Some(Socket { address: address?.ok()?, port: port? })
}
