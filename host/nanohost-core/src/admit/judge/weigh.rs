//! One request of a tool before every policy: who permits it, and every reason against. Knows nothing of
//! how the requests came about.

use std::path::Path;

use super::{Ask, Case, because};
use crate::admit::gap::{Gap, GapCode, Place, Withheld};
use crate::admit::plan::RuleGrant;
use crate::admit::remedy::{permit_line, quoted, stub_line};
use crate::capability::{Access, Capability, Class, HttpRule};
use crate::facts::{Classified, Import, ImportPattern, classify};
use crate::manifest::Spanned;
use crate::policy::{Policy, Rule, Subject, Verdict, Wanted, verdicts};

impl<'a> Case<'a> {
    pub(super) fn import_gap(
        &self,
        code: GapCode,
        class: Option<Class>,
        import: &Import,
        message: String,
        help: String,
    ) -> Gap {
        Gap {
            code,
            tool: Some(self.offer.local.clone()),
            class,
            value: import.name.clone(),
            asks: None,
            not_granted_by: Some(Withheld {
                file: self.offer.manifest.source().name.clone(),
                rule: None,
                place: self.offer.manifest.capabilities_place(),
            }),
            message,
            help,
        }
    }

    pub(super) fn narrowed_away(&self, class: Class, import: &Import) -> Gap {
        let asks = self.offer.manifest.asks().iter().find(|ask| ask.capability.class() == class);
        let place = self.uses.map(|uses| Place::new(&self.program.source, &uses.span));
        Gap {
            code: GapCode::NotGranted,
            tool: Some(self.offer.local.clone()),
            class: Some(class),
            value: import.name.clone(),
            asks: asks.and_then(|ask| Some(Place::new(self.offer.manifest.source(), ask.span.as_ref()?))),
            message: format!(
                "the component of `{}` imports {:?}, and the program's grant leaves it no {class}",
                self.offer.manifest.name(),
                import.name
            ),
            help: format!("name {class} in the `grant` of [tools.{}], or drop the grant", self.offer.local),
            not_granted_by: Some(Withheld { file: self.program.source.name.clone(), rule: None, place }),
        }
    }

    /// Whether every policy lets `import` be a trap.
    pub(super) fn decide_stub(&mut self, subject: Subject<'_>, import: &Import) -> bool {
        let class = match classify(import) {
            Classified::Authority(class) => class,
            _ => return false,
        };
        let stub = self.offer.manifest.stubs().iter().find(|stub| stub.value.matches(import));
        let asks = stub.map(|stub| Place::new(self.offer.manifest.source(), &stub.span));
        let what = format!("stub {}", import.name);
        self.weigh(subject, Wanted::Stub(import), class, import.name.clone(), what, asks)
    }

    /// Whether the tool gets what `ask` asks for.
    pub(in crate::admit) fn decide(&mut self, subject: Subject<'_>, ask: &Ask<'_>) -> bool {
        let capability = &ask.capability;
        let asks = ask.span.map(|span| Place::new(self.offer.manifest.source(), span));
        let host = match capability {
            Capability::Filesystem(folder) => match self.agreed(Policy::folder, &folder.guest) {
                Ok(host) => Some(host),
                Err(conflict) => {
                    self.gaps.push(self.host_gap(GapCode::FolderConflict, ask, Some(conflict)));
                    return false;
                }
            },
            _ => None,
        };
        let wanted = Wanted::Capability(capability, host.flatten());
        if !self.weigh(subject, wanted, capability.class(), capability.value(), capability.to_string(), asks)
        {
            return false;
        }
        match capability {
            Capability::Filesystem(folder) => match host.flatten() {
                None => {
                    self.gaps.push(self.host_gap(GapCode::FolderMissing, ask, None));
                    false
                }
                Some(host) if folder.access == Access::Write && self.holds_control_files(host) => {
                    self.gaps.push(self.host_gap(GapCode::GrantCoversControlFiles, ask, None));
                    false
                }
                Some(_) => true,
            },
            Capability::Env(name) => match self.agreed(Policy::variable, name) {
                Ok(Some(_)) => true,
                Ok(None) => {
                    self.gaps.push(self.host_gap(GapCode::EnvMissing, ask, None));
                    false
                }
                Err(conflict) => {
                    self.gaps.push(self.host_gap(GapCode::EnvConflict, ask, Some(conflict)));
                    false
                }
            },
            _ => true,
        }
    }

    /// `capability` as every policy grants it: a name may lead to the operator's own network where
    /// each of them says so.
    pub(super) fn with_private(&self, subject: Subject<'_>, capability: Capability) -> Capability {
        let Capability::Http(rule) = capability else { return capability };
        let wider = Capability::Http(HttpRule { private: true, ..rule.clone() });
        let wanted = Wanted::Capability(&wider, None);
        let private = verdicts(self.policies, subject, wanted)
            .iter()
            .all(|(_, verdict)| matches!(verdict, Verdict::Permitted(_) | Verdict::Abstains));
        Capability::Http(HttpRule { private, ..rule })
    }

    /// Asks every policy, notes which rows grant and every reason against.
    fn weigh(
        &mut self,
        subject: Subject<'_>,
        wanted: Wanted<'_>,
        class: Class,
        value: String,
        what: String,
        asks: Option<Place>,
    ) -> bool {
        let inert = matches!(wanted, Wanted::Capability(capability, _) if capability.is_inert());
        let mut permitted = true;
        for (policy, verdict) in verdicts(self.policies, subject, wanted) {
            let file = &policy.source().name;
            let (code, rule, place, because, help) = match verdict {
                Verdict::Permitted(rule) => {
                    if !inert {
                        self.rules.push(RuleGrant {
                            rule: rule.id.clone(),
                            granted: what.clone(),
                            place: Place::new(policy.source(), &rule.span),
                        });
                    }
                    continue;
                }
                Verdict::Forbidden(rule, span) => (
                    GapCode::Forbidden,
                    Some(rule),
                    Some(span),
                    format!("row `{}` of {file} forbids it{}", rule.id, because(rule)),
                    format!(
                        "narrow the manifest or the program's grant, or have the operator narrow row `{}`",
                        rule.id
                    ),
                ),
                _ if inert => continue,
                Verdict::Abstains => continue,
                Verdict::Expired(rule) => (
                    GapCode::NotGranted,
                    Some(rule),
                    Some(&rule.span),
                    format!("row `{}` of {file}, which permitted it, has expired", rule.id),
                    format!("renew `expires` of row `{}` in {file}", rule.id),
                ),
                Verdict::OtherComponent(rule) => (
                    GapCode::NotGranted,
                    Some(rule),
                    Some(rule.digest.as_ref().map_or(&rule.span, |digest| &digest.span)),
                    format!("row `{}` of {file} permits it to another component", rule.id),
                    format!(
                        "look through what was built; if it is to have this, bind row `{}` of {file} to it:\n\ndigest = \
                         \"sha256:{}\"",
                        rule.id, subject.component
                    ),
                ),
                Verdict::OtherPublisher(rule) => (
                    GapCode::NotGranted,
                    Some(rule),
                    Some(rule.publisher.as_ref().map_or(&rule.span, |own| &own.span)),
                    format!("row `{}` of {file} permits it to what its publisher signed", rule.id),
                    format!(
                        "get the package as its publisher signed it; if others may have this, take `publisher` out of row `{}` of \
                         {file}",
                        rule.id
                    ),
                ),
                Verdict::Untrusted(rule) => (
                    GapCode::NotGranted,
                    Some(rule),
                    Some(&rule.span),
                    format!(
                        "row `{}` of {file} permits it, but nobody has said that policy is to be trusted",
                        rule.id
                    ),
                    format!(
                        "read {file}; then name it with --policy, or trust its project: nanohost trust DIR"
                    ),
                ),
                Verdict::NoRow(Some(rule)) => (
                    GapCode::NotGranted,
                    None,
                    Some(&rule.span),
                    format!("no row of {file} permits it"),
                    format!(
                        "{} row `{}` of {file}:\n\n{}{}",
                        match says_some(rule, wanted) {
                            true => "widen the line in",
                            false => "add to",
                        },
                        rule.id,
                        self.lines(wanted, Some(rule)),
                        self.host_lines(wanted, policy)
                    ),
                ),
                Verdict::NoRow(None) => (
                    GapCode::NotGranted,
                    None,
                    policy.near_miss(subject).map(|(rule, ..)| &rule.span),
                    format!("no row of {file} permits it"),
                    format!(
                        "{}{}:\n\n[[permit]]\nid = {}\nprogram = {}\ntool = {}\n{}{}",
                        policy.near_miss(subject).map_or_else(String::new, |(rule, key, says)| format!(
                            "did you mean row `{}`, which says `{key} = {}`? Otherwise ",
                            rule.id,
                            quoted(says)
                        )),
                        match policy.is_built_in() {
                            true => "write a policy, such as policies/local.toml, with".into(),
                            false => format!("add to {file}"),
                        },
                        quoted(&format!("{}-{class}", subject.tool)),
                        quoted(subject.program),
                        quoted(subject.tool.as_str()),
                        self.lines(wanted, None),
                        self.host_lines(wanted, policy),
                    ),
                ),
            };
            permitted = false;
            let place = place.map(|span| Place::new(policy.source(), span));
            self.gaps.push(Gap {
                code,
                tool: Some(self.offer.local.clone()),
                class: Some(class),
                value: value.clone(),
                asks: asks.clone(),
                message: format!("tool `{}` asks for {what}, and {because}", subject.tool),
                help,
                not_granted_by: Some(Withheld {
                    file: file.clone(),
                    rule: rule.map(|rule| rule.id.clone()),
                    place,
                }),
            });
        }
        permitted
    }

    /// The line that permits what is wanted, and what else the tool asks for of its class: in the row
    /// that speaks of the tool, or in a new one.
    fn lines(&self, wanted: Wanted<'_>, rule: Option<&Rule>) -> String {
        match wanted {
            Wanted::Capability(capability, _) => {
                let says: Vec<&Capability> =
                    rule.iter().flat_map(|rule| &rule.capabilities).map(|own| &own.value).collect();
                let covered = |asked: &&Capability| says.iter().any(|own| own.covers(asked));
                let others = self
                    .asked
                    .iter()
                    .filter(|asked| !asked.is_inert() && !covered(asked))
                    .collect::<Vec<_>>();
                let needed = |own: &&&Capability| !others.iter().any(|other| other.covers(own));
                let present = says.iter().filter(needed).chain(&others).copied();
                permit_line(present, capability)
            }
            Wanted::Stub(import) => {
                let says = rule.iter().flat_map(|rule| &rule.stubs).map(|own| own.value.to_string());
                let declared = self.offer.manifest.stubs().iter();
                let needed = |stub: &&Spanned<ImportPattern>| {
                    stub.value.matches(import)
                        || self.offer.facts.imports.iter().any(|import| stub.value.matches(import))
                };
                let declared = declared.filter(needed).map(|stub| stub.value.to_string());
                stub_line(&says.chain(declared).collect::<Vec<_>>())
            }
            Wanted::Call => String::new(),
        }
    }

    /// The lines that say which folder or value stands behind a grant, where none says it yet.
    fn host_lines(&self, wanted: Wanted<'_>, policy: &Policy) -> String {
        let tool = self.offer.manifest.name();
        match wanted {
            Wanted::Capability(Capability::Filesystem(folder), _)
                if policy.folder(tool, &folder.guest).is_none() =>
            {
                let line = format!("{} = \"<folder of this machine>\"", quoted(&folder.guest));
                in_table("folders", tool, policy.folders_of(tool), &line)
            }
            Wanted::Capability(Capability::Env(name), _) if policy.variable(tool, name).is_none() => {
                in_table("env", tool, policy.variables_of(tool), &format!("{name} = \"<value>\""))
            }
            _ => String::new(),
        }
    }

    /// What the policies that name a host side for `key` agree on. The error is the place of the
    /// one that differs.
    pub(in crate::admit) fn agreed<'p>(
        &self,
        lookup: impl Fn(&'p Policy, &crate::ToolName, &str) -> Option<&'p crate::manifest::Spanned<String>>,
        key: &str,
    ) -> Result<Option<&'p str>, Place>
    where
        'a: 'p,
    {
        let mut agreed: Option<&'p str> = None;
        for policy in self.policies {
            let Some(named) = lookup(policy, self.offer.manifest.name(), key) else { continue };
            match agreed {
                Some(other) if other != named.value => return Err(Place::new(policy.source(), &named.span)),
                _ => agreed = Some(&named.value),
            }
        }
        Ok(agreed)
    }

    /// Whether who writes below `host` could change what governs it, as far as texts show it.
    /// Whoever knows the paths of programs, tools, keys and the store looks at those.
    fn holds_control_files(&self, host: &str) -> bool {
        let host = Path::new(host);
        self.policies
            .iter()
            .any(|policy| !policy.base_dir().is_empty() && Path::new(policy.base_dir()).starts_with(host))
            || host.components().any(|part| [".git", ".cargo"].iter().any(|name| part.as_os_str() == *name))
    }

    pub(super) fn host_gap(&self, code: GapCode, ask: &Ask<'_>, conflict: Option<Place>) -> Gap {
        let tool = self.offer.manifest.name();
        let capability = &ask.capability;
        let policy = &self.policies[0];
        let because = match code {
            GapCode::FolderConflict => "two policies name different folders for it",
            GapCode::EnvConflict => "two policies name different values for it",
            GapCode::FolderMissing => {
                "it is permitted, but no policy says which folder of this machine it is"
            }
            GapCode::GrantCoversControlFiles => {
                "the folder that the policy names for it holds, or is, what decides about grants: a policy, `.git` or \
                 `.cargo`"
            }
            _ => "it is permitted, but no policy says what value it has",
        };
        let help = match conflict {
            Some(_) => "let the policies agree, or only one of them name it".into(),
            None if code == GapCode::GrantCoversControlFiles => {
                format!("name a folder of its own for it in [folders.{tool}] of {}", policy.source().name)
            }
            None => format!(
                "add to {}:{}",
                policy.source().name,
                self.host_lines(Wanted::Capability(capability, None), policy)
            ),
        };
        let file = conflict.as_ref().map_or(&policy.source().name, |place| &place.source.name).clone();
        Gap {
            code,
            tool: Some(self.offer.local.clone()),
            class: Some(capability.class()),
            value: capability.value(),
            asks: ask.span.map(|span| Place::new(self.offer.manifest.source(), span)),
            message: format!("tool `{tool}` asks for {capability}; {because}"),
            help,
            not_granted_by: Some(Withheld { file, rule: None, place: conflict }),
        }
    }
}

/// Whether a row says something already under the key that permits what is wanted.
fn says_some(rule: &Rule, wanted: Wanted<'_>) -> bool {
    match wanted {
        Wanted::Capability(capability, _) => {
            rule.capabilities.iter().any(|own| own.value.class() == capability.class())
        }
        Wanted::Stub(_) => !rule.stubs.is_empty(),
        Wanted::Call => false,
    }
}

/// A line below the header of its table, which stands in a file once.
fn in_table(table: &str, tool: &crate::ToolName, there: bool, line: &str) -> String {
    match there {
        true => format!("\n\nunder [{table}.{tool}]:\n\n{line}"),
        false => format!("\n\n[{table}.{tool}]\n{line}"),
    }
}
