//! What an operator grants: rows that permit and forbid, host folders, variables, ceilings. Knows
//! of tools only their names; deciding about a program is [`crate::admit()`]'s.

mod base_url;
mod model;
mod near;
mod parse;
mod path;
mod publisher;

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Arc;

use crate::capability::{Access, Capability, Clock, Folder, Limits, Random, Together};
use crate::condition::Condition;
use crate::document::nearest;
use crate::facts::{Import, ImportPattern};
use crate::manifest::{GivenLimits, Spanned};
use crate::origin::Origin;
use crate::{Digest, KeyId, ProgramClass, PublicKey, Source, Timestamp, ToolName};
use publisher::Publishers;

pub use base_url::BaseUrl;
pub use model::{ModelParams, ModelPii, Provider, decimal};
pub(crate) use model::{ModelRule, is_alias, is_decimal};
pub use publisher::Unsigned;

/// How a policy came to be in force.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Trust {
    /// Its user named it or said `nanohost trust`: all its rows count.
    Trusted,
    /// It was found by walking up and may be a stranger's. Whatever its rows permit, it grants
    /// only reading below `project`, kv, virtual time and seeded randomness; what it forbids and
    /// requires counts in full. It grants no model.
    Found {
        /// Absolute path of the folder that is the policy's own project.
        project: String,
    },
}

/// What people know the built-in policy by.
const BUILT_IN: &str = "the built-in policy";

/// What a policy says by tool, and there by name.
pub(crate) type PerTool = BTreeMap<(ToolName, String), Spanned<String>>;

/// An operator's policy. Denies what it does not permit.
#[derive(Debug, Clone)]
pub struct Policy {
    source: Arc<Source>,
    digest: Digest,
    base_dir: String,
    trust: Trust,
    otherwise: Otherwise,
    rules: Vec<Rule>,
    folders: PerTool,
    env: PerTool,
    ceilings: GivenLimits,
    together: Spanned<Together>,
    /// Who has which role.
    roles: BTreeMap<String, Vec<String>>,
    models: Vec<ModelRule>,
    publishers: Publishers,
    unsigned: Option<Spanned<Unsigned>>,
    /// Where it says that programs nobody saved are refused.
    refuses_unsaved: Option<Range<usize>>,
}

/// What a policy says of what none of its rows speaks of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Otherwise {
    /// It is not granted, whatever other policies say.
    Deny,
    /// Others decide. This one takes away what it forbids and bounds, and stands in nobody's way else.
    Abstain,
}

/// Whether a row gives or takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Stance {
    Permit,
    Forbid,
}

/// One `[[permit]]` or `[[forbid]]` row.
#[derive(Debug, Clone)]
pub(crate) struct Rule {
    pub(crate) stance: Stance,
    pub(crate) id: String,
    /// The row's `id`, which stands for the row in messages.
    pub(crate) span: Range<usize>,
    pub(crate) reason: Option<String>,
    /// Whom to ask about it.
    pub(crate) owner: Option<String>,
    /// The first moment at which the row grants nothing any more.
    pub(crate) expires: Option<Timestamp>,
    /// Whether it is about programs that clients of a gateway saved. One that permits is about them or
    /// about the operator's own; one that forbids, and what a row restricts, is about all without it.
    pub(crate) saved: bool,
    pub(crate) program: Option<String>,
    pub(crate) tool: Option<ToolName>,
    pub(crate) function: Option<String>,
    /// The only component that the row is about: tools' names are whatever their authors write.
    pub(crate) digest: Option<Spanned<Digest>>,
    /// The only publisher whose tools the row is about, and its keys.
    pub(crate) publisher: Option<Spanned<(String, Vec<PublicKey>)>>,
    pub(crate) capabilities: Vec<Spanned<Capability>>,
    pub(crate) stubs: Vec<Spanned<ImportPattern>>,
    pub(crate) vouched: Vec<String>,
    pub(crate) require: Option<Spanned<Condition>>,
    /// Arguments, and where each may not come from.
    pub(crate) forbidden_origins: Vec<(Spanned<String>, Vec<Origin>)>,
    /// Functions whose results are their own, whatever arguments they were given.
    pub(crate) own_results: Vec<String>,
}

/// Whom a decision is about.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Subject<'a> {
    pub(crate) class: ProgramClass,
    pub(crate) program: &'a str,
    pub(crate) tool: &'a ToolName,
    pub(crate) function: &'a str,
    pub(crate) component: Digest,
    /// The key that signed the tool, where a policy names it as a publisher's.
    pub(crate) signer: Option<KeyId>,
    pub(crate) today: Timestamp,
}

/// What a decision is about.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Wanted<'a> {
    /// A capability, and the host folder that stands behind it where it is one.
    Capability(&'a Capability, Option<&'a str>),
    /// Linking an authority import as a trap.
    Stub(&'a Import),
    /// Calling the function at all.
    Call,
}

/// What a policy says.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Verdict<'p> {
    /// The first row that permits it.
    Permitted(&'p Rule),
    /// The first row that forbids it. Wins over any that permits.
    Forbidden(&'p Rule, &'p Range<usize>),
    /// This row would permit it, and has expired.
    Expired(&'p Rule),
    /// This row permits it to another component of the tool.
    OtherComponent(&'p Rule),
    /// This row permits it to what its publisher signed.
    OtherPublisher(&'p Rule),
    /// This row would permit it, if the policy were trusted.
    Untrusted(&'p Rule),
    /// No row permits it; the row, if any, that speaks of just this program and tool.
    NoRow(Option<&'p Rule>),
    /// No row permits it, and the policy leaves that to others.
    Abstains,
}

impl Policy {
    /// The built-in policy, which grants nothing.
    pub fn none() -> Self {
        let source = Source::new(BUILT_IN, "");
        Self {
            digest: Digest::of(source.text.as_bytes()),
            source,
            base_dir: String::new(),
            trust: Trust::Trusted,
            otherwise: Otherwise::Deny,
            rules: Vec::new(),
            folders: BTreeMap::new(),
            env: BTreeMap::new(),
            ceilings: GivenLimits::default(),
            together: Spanned { value: Together::default(), span: 0..0 },
            roles: BTreeMap::new(),
            models: Vec::new(),
            publishers: Publishers::new(),
            unsigned: None,
            refuses_unsaved: None,
        }
    }

    /// Who has a role, where the policy speaks of it.
    pub(crate) fn role(&self, role: &str) -> Option<&[String]> {
        self.roles.get(role).map(Vec::as_slice)
    }

    /// Whether it is [`Policy::none`].
    pub fn is_built_in(&self) -> bool {
        self.source.name == BUILT_IN && self.rules.is_empty()
    }

    /// The text it was read from.
    pub fn source(&self) -> &Arc<Source> {
        &self.source
    }

    /// SHA-256 of the exact bytes.
    pub fn digest(&self) -> Digest {
        self.digest
    }

    /// Whether values of environment variables stand in its text.
    pub fn has_env(&self) -> bool {
        !self.env.is_empty()
    }

    /// The folder that its host paths are relative to.
    pub fn base_dir(&self) -> &str {
        &self.base_dir
    }

    /// How it came to be in force.
    pub fn trust(&self) -> &Trust {
        &self.trust
    }

    /// Whether it leaves to others what none of its rows speaks of. A policy that nobody trusts does
    /// not: it would say that a stranger's folder stands under no policy of its own.
    pub fn abstains(&self) -> bool {
        self.otherwise == Otherwise::Abstain && self.trust == Trust::Trusted
    }

    /// All rows, in the order of the file, those that permit first.
    pub(crate) fn rules(&self) -> &[Rule] {
        &self.rules
    }

    /// The rows of models.
    pub(crate) fn models(&self) -> &[ModelRule] {
        &self.models
    }

    /// Every host folder, by tool and guest folder.
    pub(crate) fn folders(&self) -> &PerTool {
        &self.folders
    }

    /// Every variable's value, by tool and name.
    pub(crate) fn variables(&self) -> &PerTool {
        &self.env
    }

    /// Who has which role.
    pub(crate) fn roles(&self) -> &BTreeMap<String, Vec<String>> {
        &self.roles
    }

    /// The ceilings over every tool's limits.
    pub(crate) fn ceilings(&self) -> GivenLimits {
        self.ceilings
    }

    /// What bounds all calls together, with its place.
    pub(crate) fn together(&self) -> &Spanned<Together> {
        &self.together
    }

    /// What it says about `wanted`.
    pub(crate) fn verdict(&self, subject: Subject<'_>, wanted: Wanted<'_>) -> Verdict<'_> {
        let rows = || self.rules.iter().filter(|rule| rule.concerns(subject));
        for rule in rows().filter(|rule| rule.stance == Stance::Forbid) {
            if let Some(span) = rule.forbids(wanted) {
                return Verdict::Forbidden(rule, span);
            }
        }
        let permits = || rows().filter(|rule| rule.stance == Stance::Permit && rule.permits(wanted));
        match (permits().find(|rule| !rule.is_expired(subject.today)), permits().next()) {
            (Some(rule), _) if self.may_grant(wanted) => Verdict::Permitted(rule),
            (Some(rule), _) => Verdict::Untrusted(rule),
            (None, _) if self.abstains() => Verdict::Abstains,
            (None, Some(rule)) => Verdict::Expired(rule),
            (None, None) => {
                let mut named =
                    self.rules.iter().filter(|rule| rule.is_for(subject.class) && rule.names(subject));
                let own = named.find(|rule| {
                    rule.stance == Stance::Permit && rule.permits(wanted) && !rule.is_expired(subject.today)
                });
                match own {
                    None => self.no_row(subject),
                    Some(rule) if !rule.takes(subject.signer) => Verdict::OtherPublisher(rule),
                    Some(rule) => Verdict::OtherComponent(rule),
                }
            }
        }
    }

    /// A row that permits something to what has nearly the subject's name, as after a mistake of
    /// typing: the row, the key, and what it says there.
    pub(crate) fn near_miss(&self, subject: Subject<'_>) -> Option<(&Rule, &'static str, &str)> {
        /// No more rows are compared for one refusal: each comparison is quadratic in the names.
        const MAX_COMPARED: usize = 200;
        let permits =
            self.rules.iter().filter(|rule| rule.stance == Stance::Permit && rule.is_for(subject.class));
        permits.take(MAX_COMPARED).find_map(|rule| {
            let says = [
                ("program", rule.program.as_deref(), subject.program),
                ("tool", rule.tool.as_ref().map(ToolName::as_str), subject.tool.as_str()),
                ("function", rule.function.as_deref(), subject.function),
            ];
            let other = says.into_iter().filter_map(|(key, says, is)| Some((key, says?, is)));
            let mut other = other.filter(|(_, says, is)| says != is);
            let (key, says, is) = other.next()?;
            let near = other.next().is_none() && nearest(is, std::iter::once(says)).is_some();
            near.then_some((rule, key, says))
        })
    }

    /// That no row permits it, with the row that one would add the line to.
    fn no_row(&self, subject: Subject<'_>) -> Verdict<'_> {
        Verdict::NoRow(self.rules.iter().filter(|rule| rule.concerns(subject)).find(|rule| {
            rule.stance == Stance::Permit
                && rule.program.is_some()
                && rule.tool.is_some()
                && !rule.is_expired(subject.today)
        }))
    }

    /// Whether a row vouches that calling the function twice with one key is calling it once.
    pub(crate) fn vouches(&self, subject: Subject<'_>) -> Option<&Rule> {
        let may = self.trust == Trust::Trusted;
        self.rules.iter().find(|rule| {
            may && rule.concerns(subject)
                && rule.stance == Stance::Permit
                && !rule.is_expired(subject.today)
                && rule.vouched.iter().any(|function| function == subject.function)
        })
    }

    /// Whether a row vouches that what the function returns is its own, and repeats no argument.
    pub(crate) fn vouches_origin(&self, subject: Subject<'_>) -> bool {
        self.trust == Trust::Trusted
            && self.rules.iter().any(|rule| {
                rule.concerns(subject)
                    && rule.stance == Stance::Permit
                    && !rule.is_expired(subject.today)
                    && rule.own_results.iter().any(|function| function == subject.function)
            })
    }

    /// Every `forbid_origin` about the subject: the row, the argument and the origins. Like a
    /// `require`, one in an expired row still holds.
    pub(crate) fn forbidden_origins(
        &self,
        subject: Subject<'_>,
    ) -> impl Iterator<Item = (&Rule, &Spanned<String>, &[Origin])> {
        let rules = self.rules.iter().filter(move |rule| rule.restricts(subject));
        rules.flat_map(|rule| {
            rule.forbidden_origins.iter().map(move |(argument, origins)| (rule, argument, origins.as_slice()))
        })
    }

    /// Every `require` about the subject. One in an expired row still holds: a row that ends
    /// takes its grants with it, never its restrictions.
    pub(crate) fn requirements(
        &self,
        subject: Subject<'_>,
    ) -> impl Iterator<Item = (&Rule, &Spanned<Condition>)> {
        self.rules
            .iter()
            .filter(move |rule| rule.restricts(subject))
            .filter_map(|rule| Some((rule, rule.require.as_ref()?)))
    }

    /// Rows written for exactly this program and tool.
    pub(crate) fn rows_for(&self, subject: Subject<'_>) -> impl Iterator<Item = &Rule> {
        self.rules.iter().filter(move |rule| {
            rule.stance == Stance::Permit && rule.tool.is_some() && rule.concerns(subject)
        })
    }

    /// The host folder behind a guest path of a tool, exactly as `[folders]` names it: a folder
    /// below a granted one is not derived, since another tool may have put a symlink there.
    pub(crate) fn folder(&self, tool: &ToolName, guest: &str) -> Option<&Spanned<String>> {
        self.folders.get(&(tool.clone(), guest.to_owned()))
    }

    /// Whether it names any folder for a tool.
    pub(crate) fn folders_of(&self, tool: &ToolName) -> bool {
        self.folders.keys().any(|(own, _)| own == tool)
    }

    /// Whether it names any variable for a tool.
    pub(crate) fn variables_of(&self, tool: &ToolName) -> bool {
        self.env.keys().any(|(own, _)| own == tool)
    }

    /// The first moment after `now` at which one of its rows grants nothing any more.
    pub fn next_end(&self, now: Timestamp) -> Option<Timestamp> {
        self.rules.iter().filter_map(|rule| rule.expires).filter(|end| *end > now).min()
    }

    /// Where it refuses programs that nobody saved.
    pub(crate) fn refuses_unsaved(&self) -> Option<&Range<usize>> {
        self.refuses_unsaved.as_ref()
    }

    /// The row of a model, whether or not the policy is trusted.
    pub(crate) fn model(&self, alias: &str) -> Option<&ModelRule> {
        self.models.iter().find(|row| row.alias == alias)
    }

    /// The value of a variable of a tool.
    pub(crate) fn variable(&self, tool: &ToolName, name: &str) -> Option<&Spanned<String>> {
        self.env.get(&(tool.clone(), name.to_owned()))
    }

    /// `limits`, narrowed to the ceilings.
    pub(crate) fn cap(&self, limits: Limits) -> Limits {
        limits.min(self.ceilings.or(limits))
    }

    fn may_grant(&self, wanted: Wanted<'_>) -> bool {
        let Trust::Found { project } = &self.trust else { return true };
        match wanted {
            Wanted::Capability(Capability::Filesystem(Folder { access: Access::Read, .. }), Some(host)) => {
                lies_in(host, project)
            }
            Wanted::Capability(capability, _) => match capability {
                Capability::Kv(_) => true,
                Capability::Clock(clock) => *clock <= Clock::Virtual,
                Capability::Random(random) => *random <= Random::Seeded,
                Capability::Filesystem(_)
                | Capability::Env(_)
                | Capability::Sockets(_)
                | Capability::Http(_)
                | Capability::Secrets(_) => false,
            },
            Wanted::Call => true,
            Wanted::Stub(_) => false,
        }
    }
}

/// Whether every policy says so that does not leave it to others, and one does.
pub(crate) fn agree(policies: &[Policy], says: impl Fn(&Policy) -> bool) -> bool {
    policies.iter().any(&says) && policies.iter().all(|policy| policy.abstains() || says(policy))
}

/// What every policy says about `wanted`. Somebody has to permit it: where all leave it to others, the
/// last of them is the one that does not.
pub(crate) fn verdicts<'p>(
    policies: &'p [Policy],
    subject: Subject<'_>,
    wanted: Wanted<'_>,
) -> Vec<(&'p Policy, Verdict<'p>)> {
    let mut all: Vec<_> = policies.iter().map(|policy| (policy, policy.verdict(subject, wanted))).collect();
    if all.iter().all(|(_, verdict)| matches!(verdict, Verdict::Abstains))
        && let Some((policy, verdict)) = all.last_mut()
    {
        *verdict = policy.no_row(subject);
    }
    all
}

impl Rule {
    /// Whether it is about the subject.
    pub(crate) fn concerns(&self, subject: Subject<'_>) -> bool {
        self.is_for(subject.class) && self.restricts(subject)
    }

    /// Whether programs of that class get what it says: rows that permit are for one class, so that a
    /// program that somebody saved gets nothing by calling itself what a row says.
    fn is_for(&self, class: ProgramClass) -> bool {
        match self.stance {
            Stance::Permit => self.saved == class.is_saved(),
            Stance::Forbid => !self.saved || class.is_saved(),
        }
    }

    /// Whether what it demands of calls holds for the subject. What is demanded without naming a class
    /// is demanded of all.
    fn restricts(&self, subject: Subject<'_>) -> bool {
        (!self.saved || subject.class.is_saved())
            && self.names(subject)
            && self.digest.as_ref().is_none_or(|digest| digest.value == subject.component)
            && self.takes(subject.signer)
    }

    /// Whether what this key signed, or nobody, is what it is about.
    pub(crate) fn takes(&self, signer: Option<KeyId>) -> bool {
        self.publisher.as_ref().is_none_or(|own| {
            signer.is_some_and(|signer| own.value.1.iter().any(|key| key.key_id() == signer))
        })
    }

    /// Whether it is about the subject by the names, whatever the component and whoever made it.
    fn names(&self, subject: Subject<'_>) -> bool {
        self.program.as_ref().is_none_or(|program| program == subject.program)
            && self.tool.as_ref().is_none_or(|tool| tool == subject.tool)
            && self.function.as_ref().is_none_or(|function| function == subject.function)
    }

    pub(crate) fn is_expired(&self, today: Timestamp) -> bool {
        self.expires.is_some_and(|end| today >= end)
    }

    pub(crate) fn permits(&self, wanted: Wanted<'_>) -> bool {
        match wanted {
            Wanted::Capability(capability, _) => {
                self.capabilities.iter().any(|own| own.value.covers(capability))
            }
            Wanted::Stub(import) => self.stubs.iter().any(|pattern| pattern.value.matches(import)),
            Wanted::Call => true,
        }
    }

    /// The place in the row that forbids it.
    fn forbids(&self, wanted: Wanted<'_>) -> Option<&Range<usize>> {
        match wanted {
            Wanted::Capability(capability, _) => {
                self.capabilities.iter().find(|own| capability.touches(&own.value)).map(|own| &own.span)
            }
            Wanted::Stub(import) => {
                self.stubs.iter().find(|own| own.value.matches(import)).map(|own| &own.span)
            }
            // A row that names nothing in particular forbids the tool itself.
            Wanted::Call => (self.capabilities.is_empty() && self.stubs.is_empty()).then_some(&self.span),
        }
    }
}

/// Whether the normalised path `path` is `folder` or lies in it, component by component.
fn lies_in(path: &str, folder: &str) -> bool {
    std::path::Path::new(path).starts_with(folder)
}

#[cfg(test)]
mod tests;
