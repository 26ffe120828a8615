//! A manifest as it could be: from what a component imports, or from what it was seen to use. Writes text, and
//! what it wrote is read again as any manifest is.

use std::collections::BTreeSet;

use nanohost_core::{
    Capability, Class, Diagnostic, ImportPattern, Manifest, Source, ToolFacts, capability_lines,
};
use nanohost_sandbox::CallReport;

use super::observe::{self, Observed};
use crate::failure::Failure;

/// The most that one call took.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Measured {
    memory: u64,
    fuel: u64,
    output: u64,
    logs: u64,
    http_calls: u64,
    http_bytes: u64,
    file_bytes: u64,
    kv_bytes: u64,
}

impl Measured {
    /// With one more call.
    pub fn add(&mut self, report: &CallReport) {
        let of = |class: Class| report.used.iter().filter(move |own| own.class == class);
        let http = of(Class::Http).map(|own| own.read + own.written).sum();
        let kv = report.kv.writes.iter();
        let kv = kv.map(|own| (own.key.len() + own.value.as_ref().map_or(0, Vec::len)) as u64).sum();
        for (most, now) in [
            (&mut self.memory, report.usage.peak_memory),
            (&mut self.fuel, report.usage.fuel),
            (&mut self.output, observe::output_bytes(report)),
            (&mut self.logs, report.logs.len() as u64),
            (&mut self.http_calls, of(Class::Http).map(|own| own.operations).sum()),
            (&mut self.http_bytes, http),
            (&mut self.file_bytes, of(Class::Filesystem).map(|own| own.written).sum()),
            (&mut self.kv_bytes, kv),
        ] {
            *most = now.max(*most);
        }
    }

    /// `[limits]` with room above what was measured: other inputs take more than those of the cases.
    fn lines(self, asks: &[Capability], deadline: &str) -> String {
        let has = |class: Class| asks.iter().any(|own| own.class() == class);
        let mut out = format!(
            "memory = \"{}\"\nfuel = {}\ndeadline = \"{deadline}\"\noutput = \"{}\"\nlogs = \"{}\"\n",
            bytes(self.memory.saturating_mul(2), 1 << 20, 4 << 30),
            rounded(self.fuel.saturating_mul(4)).clamp(100_000, 1_000_000_000_000),
            bytes(self.output.saturating_mul(4), 1 << 10, 64 << 20),
            bytes(self.logs.saturating_mul(4), 1 << 10, 16 << 20),
        );
        if has(Class::Http) {
            out.push_str(&format!(
                "http_calls = {}\nhttp_bytes = \"{}\"\n",
                self.http_calls.saturating_mul(2).clamp(1, 10_000),
                bytes(self.http_bytes.saturating_mul(4), 4 << 10, 64 << 20)
            ));
        }
        if has(Class::Filesystem) && self.file_bytes > 0 {
            out.push_str(&format!(
                "file_bytes = \"{}\"\n",
                bytes(self.file_bytes.saturating_mul(4), 64 << 10, 64 << 30)
            ));
        }
        if has(Class::Kv) {
            out.push_str(&format!(
                "kv_bytes = \"{}\"\n",
                bytes(self.kv_bytes.saturating_mul(4), 4 << 10, 64 << 20)
            ));
        }
        out
    }
}

/// The next power of two, as manifests write it.
fn bytes(value: u64, least: u64, most: u64) -> String {
    let value = value.clamp(least, most).checked_next_power_of_two().unwrap_or(most).min(most);
    match value {
        value if value >= 1 << 30 => format!("{}GiB", value >> 30),
        value if value >= 1 << 20 => format!("{}MiB", value >> 20),
        value => format!("{}KiB", value >> 10),
    }
}

/// Up to the next number with one digit that is not zero.
fn rounded(value: u64) -> u64 {
    let unit = 10_u64.checked_pow(value.checked_ilog10().unwrap_or(0)).unwrap_or(1);
    value.div_ceil(unit).saturating_mul(unit)
}

/// A draft.
#[derive(Debug)]
pub struct Draft {
    /// The text of the manifest.
    pub text: String,
    /// What a person has to say who knows more.
    pub open: Vec<String>,
}

/// From what the component imports: what it reaches is known, where it reaches is not.
///
/// # Errors
/// `manifest_not_drafted`.
pub fn from_imports(name: &str, facts: &ToolFacts, old: Option<&Manifest>) -> anyhow::Result<Draft> {
    let classes: BTreeSet<Class> = observe::imported(&facts.imports).collect();
    let asked: Vec<Capability> = kept(old, |own| classes.contains(&own.class()));
    let asked_classes: BTreeSet<Class> = asked.iter().map(Capability::class).collect();
    let open = classes
        .iter()
        .filter(|class| !asked_classes.contains(class))
        .map(|class| {
            format!("it imports {class}: say what of it, or that it is never called: {}", example(*class))
        })
        .collect();
    let stubs = old.map(stubs).unwrap_or_default();
    let text = text(name, facts, old, &asked, &stubs, None)?;
    Ok(Draft { text, open })
}

/// From what it was seen to use.
///
/// # Errors
/// `manifest_not_drafted`.
pub fn from_observation(
    name: &str,
    facts: &ToolFacts,
    old: Option<&Manifest>,
    seen: &Observed,
) -> anyhow::Result<Draft> {
    let mut asks = seen.asks.clone();
    // Time and chance that its author asks for are not seen in what is refused.
    asks.extend(kept(old, |own| matches!(own.class(), Class::Clock | Class::Random)));
    let stubs: BTreeSet<String> = facts
        .imports
        .iter()
        .filter(|import| {
            observe::imported(std::slice::from_ref(import)).any(|class| seen.unused.contains(&class))
        })
        .filter_map(|import| import.name.split_once('/').map(|(package, _)| package))
        .map(|package| match package {
            // One package, of which some is used and some is not.
            "nanohost:tool" => None,
            package => Some(format!("{package}/*")),
        })
        .chain(seen.unused.iter().map(|class| match class {
            Class::Kv => Some("nanohost:tool/kv".to_owned()),
            Class::Secrets => Some("nanohost:tool/secrets".to_owned()),
            _ => None,
        }))
        .flatten()
        .filter(|pattern| ImportPattern::parse(pattern).is_some())
        .collect();
    let stubs: Vec<String> = stubs.into_iter().collect();
    let deadline = old.map_or("5s".to_owned(), |old| format!("{}ms", old.limits().deadline.as_millis()));
    let limits = seen.measured.lines(&asks, &deadline);
    let text = text(name, facts, old, &asks, &stubs, Some(&limits))?;
    let open =
        seen.refused.iter().map(|refused| format!("it wanted, and no manifest was drafted for: {refused}"));
    Ok(Draft { text, open: open.collect() })
}

/// What the manifest asks for already and `keep` holds for.
fn kept(old: Option<&Manifest>, keep: impl Fn(&Capability) -> bool) -> Vec<Capability> {
    let asks = old.into_iter().flat_map(Manifest::asks).filter(|ask| ask.span.is_some());
    asks.map(|ask| ask.capability.clone()).filter(keep).collect()
}

fn stubs(old: &Manifest) -> Vec<String> {
    old.stubs().iter().map(|stub| stub.value.to_string()).collect()
}

fn example(class: Class) -> &'static str {
    match class {
        Class::Filesystem => "filesystem = [{ guest = \"/data\", access = \"read\" }]",
        Class::Kv => "kv = [\"namespace\"]",
        Class::Sockets => "sockets = [{ address = \"127.0.0.1\", port = 7 }]",
        Class::Http => "http = [{ host = \"api.example.com\", methods = [\"GET\"], path = \"/v1/**\" }]",
        Class::Secrets => {
            "secrets = [{ name = \"api-key\", header = \"Authorization\", host = \"api.example.com\", methods = [\"GET\"], path = \"/v1/**\" }]"
        }
        Class::Env => "env = [\"NAME\"]",
        Class::Clock => "clock = \"real\"",
        Class::Random => "random = \"real\"",
    }
}

/// The whole text: a manifest that is there keeps all but what is drafted.
fn text(
    name: &str,
    facts: &ToolFacts,
    old: Option<&Manifest>,
    asks: &[Capability],
    stubs: &[String],
    limits: Option<&str>,
) -> anyhow::Result<String> {
    let capabilities = capability_lines(asks);
    let quoted: Vec<String> =
        stubs.iter().map(|stub| toml::Value::String(stub.clone()).to_string()).collect();
    let stub = if stubs.is_empty() { String::new() } else { format!("stub = [{}]\n", quoted.join(", ")) };
    let text = match old {
        Some(old) => rewritten(&old.source().text, &capabilities, &stub, limits),
        None => {
            let mut text = format!("name = \"{name}\"\nversion = \"0.1.0\"\n{stub}");
            for export in &facts.exports {
                text.push_str(&format!("\n[functions.{}]\n", export.function));
            }
            text.push_str(&section("capabilities", &capabilities));
            text.push_str(&section("limits", limits.unwrap_or_default()));
            text
        }
    };
    let not_drafted = || {
        let finding = Diagnostic::error(
            "manifest_not_drafted",
            "the manifest is written in a way that cannot be changed line by line",
        );
        Failure::usage(finding.help(format!(
            "write it with one line for each key, or change it by hand:\n{stub}[capabilities]\n{capabilities}{}",
            section("limits", limits.unwrap_or_default())
        )))
    };
    let read = Manifest::parse(Source::new("the draft", text.as_str())).map_err(|_| not_drafted())?;
    // Nothing else may have changed, and nothing of this may be missing.
    let said: BTreeSet<&Capability> =
        read.asks().iter().filter(|ask| ask.span.is_some()).map(|ask| &ask.capability).collect();
    let same = old.is_none_or(|old| {
        (old.name(), old.version(), old.description(), old.license(), old.component().map(|pin| pin.value))
            == (
                read.name(),
                read.version(),
                read.description(),
                read.license(),
                read.component().map(|pin| pin.value),
            )
            && old.functions().keys().eq(read.functions().keys())
    });
    let whole = asks.iter().all(|own| said.iter().any(|said| said.covers(own)))
        && said.iter().all(|said| asks.contains(said))
        && self::stubs(&read).len() == stubs.len();
    if same && whole { Ok(text) } else { Err(not_drafted()) }
}

fn section(name: &str, lines: &str) -> String {
    if lines.is_empty() { String::new() } else { format!("\n[{name}]\n{lines}") }
}

/// The text with other `[capabilities]`, `stub` and, where they are said, `[limits]`; what is between stays.
fn rewritten(text: &str, capabilities: &str, stub: &str, limits: Option<&str>) -> String {
    let mut sections: Vec<(Option<&str>, Vec<&str>)> = vec![(None, Vec::new())];
    for line in text.lines() {
        let header =
            line.trim().strip_prefix('[').and_then(|rest| rest.split_once(']')).map(|(name, _)| name.trim());
        match header.filter(|_| !line.starts_with(char::is_whitespace)) {
            Some(name) => sections.push((Some(name), vec![line])),
            None => {
                if let Some((_, lines)) = sections.last_mut() {
                    lines.push(line);
                }
            }
        }
    }
    let replaced = |name: &str| name == "capabilities" || name == "limits" && limits.is_some();
    let mut out = String::new();
    for (name, lines) in &sections {
        match name {
            Some(name) if replaced(name) => continue,
            Some(_) => lines.iter().for_each(|line| out.push_str(&format!("{line}\n"))),
            None => {
                let kept = lines.iter().filter(|line| line.split('=').next().map(str::trim) != Some("stub"));
                let mut kept: Vec<&&str> = kept.collect();
                while kept.last().is_some_and(|line| line.trim().is_empty()) {
                    kept.pop();
                }
                kept.into_iter().for_each(|line| out.push_str(&format!("{line}\n")));
                out.push_str(stub);
                out.push('\n');
            }
        }
    }
    let mut out = out.trim_end().to_owned() + "\n";
    out.push_str(&section("capabilities", capabilities));
    out.push_str(&section("limits", limits.unwrap_or_default()));
    out
}

#[cfg(test)]
mod tests;
