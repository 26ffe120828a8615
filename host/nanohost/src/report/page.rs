//! The report as one page: no script, nothing from elsewhere, readable on paper and without colour.
//! Every text of it is escaped by the template; those that others chose are made harmless before.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use maud::{DOCTYPE, Markup, PreEscaped, html};
use nanohost_core::Digest;
use nanohost_core::trace::CheckResult;

use super::{Act, Asked, Audit, Destination, Moment, Told, shown};

/// The one style sheet.
const STYLE: &str = include_str!("page/style.css");

/// The whole page.
pub fn page(audit: &Audit) -> String {
    let style = STANDARD.encode(Digest::of(STYLE.as_bytes()).as_bytes());
    // Nothing is loaded and nothing runs, whatever a value says.
    let policy =
        format!("default-src 'none'; style-src 'sha256-{style}'; base-uri 'none'; form-action 'none'");
    let program = audit.told.as_ref().and_then(|told| told.receipt.program.as_deref()).map(shown);
    let title = program.clone().unwrap_or_else(|| "a run of nanohost".to_owned());
    html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta http-equiv="Content-Security-Policy" content=(policy);
                meta name="referrer" content="no-referrer";
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta name="color-scheme" content="light dark";
                title { "Audit report: " (title) }
                style { (PreEscaped(STYLE)) }
            }
            body {
                main {
                    header {
                        p.kicker { "Audit report" }
                        h1 { (title) }
                        @if let Some(run) = &audit.run { p.id { "run " code { (run) } } }
                    }
                    (conclusion(audit))
                    (checks(audit))
                    @if let Some(told) = &audit.told { (telling(told)) } @else {
                        section {
                            h2 { "What happened" }
                            p { "Nothing is told: evidence that does not verify, or that does not hold the program, says nothing that one could rely on." }
                        }
                    }
                    (holds(audit))
                    (limits(audit))
                    (verify_again(audit))
                }
            }
        }
    }
    .into_string()
}

/// Who keeps it from being erased.
fn holds(audit: &Audit) -> Markup {
    html! {
        section {
            h2 { "Legal holds" }
            @if audit.holds.is_empty() { p.none { "No act that is here lays one on this run." } } @else {
                p { "Nothing of this run may be erased while they lie on it." }
                ul {
                    @for held in &audit.holds {
                        li { "Hold " (held.hold) ", since " (held.since) ", by " (shown(held.principal.as_str())) " (act " (held.act) ")" }
                    }
                }
            }
        }
    }
}

/// A sign that is read without colour.
fn sign(verdict: &str) -> &'static str {
    match verdict {
        "verified" => "✓",
        "in-part" | "open" => "◐",
        _ => "✗",
    }
}

fn conclusion(audit: &Audit) -> Markup {
    let conclusion = &audit.conclusion;
    let verdict = conclusion.verdict.replace('-', " ");
    html! {
        section.verdict.(conclusion.verdict) aria-label="Conclusion" {
            p.word { span.sign aria-hidden="true" { (sign(conclusion.verdict)) } " " (verdict) }
            p { (shown(&conclusion.words)) }
            ul.tally {
                li { b { (conclusion.passed) } " checks passed" }
                li { b { (conclusion.failed) } " failed" }
                li { b { (conclusion.not_checked) } " not checked" }
                @if conclusion.withheld > 0 { li { b { (conclusion.withheld) } " values withheld" } }
            }
        }
    }
}

fn checks(audit: &Audit) -> Markup {
    html! {
        section {
            h2 { "Checks" }
            table.checks {
                thead { tr { th scope="col" { "Check" } th scope="col" { "Result" } th scope="col" { "Found" } } }
                tbody {
                    @for check in &audit.checks {
                        @let (class, sign, word) = match check.result {
                            CheckResult::Pass => ("pass", "✓", "pass"),
                            CheckResult::Fail => ("fail", "✗", "FAIL"),
                            CheckResult::NotChecked => ("open", "–", "not checked"),
                        };
                        tr.(class) {
                            th scope="row" { (check.name) }
                            td.result { span aria-hidden="true" { (sign) } " " (word) }
                            td { (shown(&check.detail)) }
                        }
                    }
                }
            }
        }
    }
}

fn telling(told: &Told) -> Markup {
    html! {
        (summary(told))
        section {
            h2 { "Data that left this machine" }
            (destinations(&told.left, "Nothing went to another machine: no tool reached a network, and no model elsewhere was asked."))
            h3 { "Reached on this machine" }
            (destinations(&told.stayed, "Nothing."))
        }
        section {
            h2 { "Who decided" }
            @if told.acts.is_empty() { p.none { "Nobody from outside had a say: the program and the policy decided everything." } }
            @for act in &told.acts { (one_act(act)) }
        }
        section {
            h2 { "Models that were asked" }
            @if told.models.is_empty() { p.none { "None." } } @else { (models(&told.models)) }
        }
        section {
            h2 { "Erased" }
            @if told.erased.is_empty() { p.none { "No value of this run is erased, as far as it is disclosed here." } } @else {
                p { (told.erased.len()) " values are erased. What was signed of them, and of everything else, still verifies." }
                ul { @for value in &told.erased { li { code { (value) } } } }
            }
        }
        section {
            h2 { "What each tool was allowed" }
            @if told.authority.is_empty() { p.none { "The program has no tools." } } @else {
                table {
                    thead { tr { th scope="col" { "Tool" } th scope="col" { "Granted" } th scope="col" { "By the rules" } th scope="col" { "Signed by" } } }
                    tbody {
                        @for row in &told.authority {
                            tr {
                                th scope="row" { (row.tool) }
                                td { @if row.granted.is_empty() { "nothing" } @else { (list(&row.granted)) } }
                                td { (list(&row.rules)) }
                                td { @match (&row.publisher, &row.unsigned) {
                                    (Some(own), _) => { (shown(&own.name)) },
                                    (None, Some(_)) => { "nobody known here: a rule let it run so" },
                                    (None, None) => { "not asked" },
                                } }
                            }
                        }
                    }
                }
            }
        }
        section.timeline {
            h2 { "Timeline" }
            p.note { "Every entry is a signed envelope. Times are what the host's clock said." }
            ol { @for moment in &told.timeline { (entry(moment)) } }
            @if told.untold > 0 {
                p.note { (told.untold) " more envelopes are counted above and not told here; `nanohost trace` shows them." }
            }
        }
    }
}

fn list(words: &[String]) -> Markup {
    html! { @for (at, word) in words.iter().enumerate() { @if at > 0 { br; } (shown(word)) } }
}

fn summary(told: &Told) -> Markup {
    let receipt = &told.receipt;
    let steps = &receipt.steps;
    html! {
        section {
            h2 { "The run" }
            dl {
                dt { "Ended" }
                dd {
                    b { (shown(&receipt.status)) }
                    @if let Some(outcome) = &receipt.outcome { ", outcome " b { (shown(outcome)) } }
                    @if let Some(error) = &receipt.error { ", for " (shown(error)) }
                    @if let Some(step) = &receipt.failed_step { " in " (step) }
                }
                dt { "From" } dd { time { (receipt.opened) } " to " time { (receipt.last) } }
                dt { "Opened by" } dd { (shown(&told.principal)) }
                dt { "Refusals" } dd { b { (receipt.blocked.len()) } }
                dt { "Steps" }
                dd { (steps.executed) ": " (steps.succeeded) " succeeded, " (steps.failed) " failed, " (steps.skipped) " skipped, " (steps.retries) " retries" }
                dt { "Waited" } dd { (receipt.escalations) " times for somebody outside" }
                dt { "Program" } dd { code { (receipt.program_digest) } }
                @if let Some(plan) = &receipt.plan { dt { "Table" } dd { code { (plan) } } }
                dt { "Envelopes" } dd { (receipt.envelopes) ", the last " code { (receipt.head) } }
                @if let Some(host) = &told.host { dt { "Host" } dd { (shown(host)) } }
                @if let Some(signer) = &receipt.signer {
                    dt { "Signed by" }
                    dd { code { (signer.key) } @if signer.development { ", a development key that is not encrypted" } }
                }
            }
            @for call in &receipt.unknown_calls {
                p.warning { "Nobody knows whether the call of " b { (call.tool) } " in step " b { (call.step) } " happened." }
            }
        }
    }
}

fn destinations(places: &[Destination], nothing: &str) -> Markup {
    html! {
        @if places.is_empty() { p.none { (nothing) } } @else {
            table {
                thead { tr {
                    th scope="col" { "Where" } th scope="col" { "Through" } th scope="col" { "By" }
                    th.number scope="col" { "Operations" } th.number scope="col" { "Bytes" } th.number scope="col" { "Tokens" }
                } }
                tbody {
                    @for place in places {
                        tr {
                            th scope="row" { (shown(&place.scope)) }
                            td { (shown(&place.capability)) }
                            td { (list(&place.by)) }
                            td.number { (place.operations) }
                            td.number { @if let Some(bytes) = place.bytes { (bytes) } @else { "–" } }
                            td.number { @if let Some(tokens) = place.tokens { (tokens) } @else { "–" } }
                        }
                    }
                }
            }
        }
    }
}

fn one_act(act: &Act) -> Markup {
    html! {
        article.act {
            h3 { (shown(&act.principal)) ": " (shown(&act.what)) }
            dl {
                dt { "When" } dd { time { (act.time) } ", envelope " (act.envelope) ", step " (act.step) }
                @if let Some(how) = &act.authenticated { dt { "Known as" } dd { (shown(how)) } }
                dt { "Entitled by" }
                dd { @if let Some(entry) = &act.entitled { (shown(entry)) } @else { "nothing that the evidence says" } }
                @if let Some(shown) = &act.shown { dt { "Was shown" } dd { pre { (shown) } } }
                @if let Some(said) = &act.said { dt { "Said" } dd { pre { (said) } } }
            }
        }
    }
}

fn models(models: &[Asked]) -> Markup {
    html! {
        table {
            thead { tr {
                th scope="col" { "Step" } th scope="col" { "Model" } th scope="col" { "Asked, and answered" }
                th scope="col" { "Verdict" } th.number scope="col" { "Tokens" }
            } }
            tbody {
                @for model in models {
                    tr {
                        th scope="row" { (model.step) br; span.note { "envelope " (model.envelope) } }
                        td { (shown(&model.alias)) br; span.note { (shown(&model.name)) " at " (shown(&model.host)) } }
                        td {
                            @if let Some(prompt) = &model.prompt { pre { (prompt) } }
                            @if let Some(answer) = &model.answer { pre.answer { (answer) } }
                            @if model.prompt.is_none() && model.answer.is_none() { span.note { "not disclosed" } }
                        }
                        td { (shown(&model.verdict)) }
                        td.number { (model.tokens) }
                    }
                }
            }
        }
    }
}

fn entry(moment: &Moment) -> Markup {
    let sign = match moment.tone {
        "refused" => "⊘ refused",
        "failed" => "✗ failed",
        "waits" => "… waits",
        _ => "",
    };
    html! {
        li.(moment.tone) {
            div.when { span.number { (moment.envelope) } " " time { (moment.time) } }
            div.what {
                p {
                    @if !sign.is_empty() { strong.tone { (sign) } " " }
                    @if let Some(step) = &moment.step { b { (step) } " " }
                    (shown(&moment.what))
                    " " span.note { (moment.kind) }
                }
                @for refusal in &moment.refusals { p.refusal { (shown(refusal)) } }
                @for (role, text) in &moment.values {
                    div.value { span.role { (role) } pre { (text) } }
                }
                @if let Some(digest) = &moment.digest { p.digest { code { (digest) } } }
            }
        }
    }
}

fn limits(audit: &Audit) -> Markup {
    let development = audit
        .told
        .as_ref()
        .and_then(|told| told.receipt.signer.as_ref())
        .is_some_and(|signer| signer.development);
    let unlogged = |name: &str| {
        audit
            .checks
            .iter()
            .any(|check| check.name.as_str() == name && check.result == CheckResult::NotChecked)
    };
    html! {
        section {
            h2 { "What this does not prove" }
            ul {
                li { "That the machine was honest. Whoever holds the host and its key can sign what never happened; what the evidence shows is what that key's holder said, whole and in order." }
                li { "When anything happened. Times are what the host's clock said, and only their order is checked." }
                li { "What became of data that left: another host may keep and pass on what it was sent." }
                li { "Which model answered. The name is the server's own word." }
                li { "Who a person was, beyond how the host knew them: a name is what they gave." }
                @if development { li { "That nobody else could sign: the key is a development key, which lies on the machine unencrypted." } }
                @if unlogged("log") { li { "That it is the whole of it: no log over all runs was checked here, so a run could be missing." } }
                @if unlogged("rollback") { li { "That nothing was replaced since: no earlier look was compared (" code { "--state" } ")." } }
                @if audit.conclusion.withheld > 0 { li { "What the " (audit.conclusion.withheld) " withheld values say: of them only commitments are here." } }
            }
        }
    }
}

fn verify_again(audit: &Audit) -> Markup {
    html! {
        section.again {
            h2 { "Verify again" }
            p { "This page is no evidence: it says what evidence says. Anybody with the public key can check that, without trusting whoever made this page." }
            @if let Some(run) = &audit.run {
                p { "Where the run lies in a store, with the file that is to be handed on:" }
                pre.command { "nanohost verify " (run) "\nnanohost export " (run) " -o run.jsonl\nnanohost key export -o trust.toml" }
            }
            p { "On another machine, from that file and the keys, which come another way than the file does:" }
            pre.command { "nanohost verify run.jsonl --trust trust.toml" }
            p { "Without this project's runtime: " code { "nanohost-verify FILE --trust KEY.pem" } ", or the one file " code { "nanohost_verify.py" } " with Python. The format is described in " code { "host/docs/verify.md" } "." }
            @if let Some(head) = &audit.head { p { "What is told here ends with the envelope " code { (head) } "." } }
        }
    }
}
