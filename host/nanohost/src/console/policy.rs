//! Answers about policies: who says what, and what a change changes, as text, JSON and Markdown.

use nanohost_core::Place;
use nanohost_core::review::{Change, Difference, Explanation, Item};
use serde_json::{Value, json};

use super::escape::{escaped, lines};
use super::table::{bad, bold, columns, good, odd};

/// The line of a file that a place is in.
fn text_at(place: &Place) -> String {
    let (line, _) = place.source.line_column(place.span.start);
    place.source.text.lines().nth(line.saturating_sub(1)).unwrap_or_default().trim().to_owned()
}

/// Who says what, for a person.
pub fn explanation(answer: &Explanation) -> String {
    let verdict = if answer.granted { good("granted") } else { bad("denied") };
    let mut out = format!(
        "{verdict}: {} of `{}` in `{}`: {}\n",
        bold(answer.function.as_str()),
        answer.tool,
        escaped(&answer.program),
        escaped(&answer.asked.to_string()),
    );
    if answer.weighed != answer.asked {
        out.push_str(&format!("as part of {}\n", escaped(&answer.weighed.to_string())));
    }
    out.push('\n');
    for line in &answer.lines {
        let mark = if line.allows { "  " } else { "✗ " };
        out.push_str(&format!("{mark}{:<10} {}\n", line.witness.as_str(), escaped(&line.says)));
        out.push_str(&where_from(line.place.as_ref(), &line.file));
    }
    for near in &answer.nearest {
        out.push_str(&format!("\n  nearest    row `{}`: {}\n", escaped(&near.rule), escaped(&near.why)));
        out.push_str(&where_from(Some(&near.place), ""));
    }
    for own in &answer.restrictions {
        out.push_str(&format!("\n  every call row `{}`: {}\n", escaped(&own.rule), escaped(&own.says)));
        out.push_str(&where_from(Some(&own.place), ""));
    }
    for remedy in &answer.remedies {
        out.push_str(&format!("\n{}\n", lines(remedy)));
    }
    if !answer.elsewhere.is_empty() {
        out.push_str("\nwhatever becomes of this, the program is refused:\n");
        for finding in answer.elsewhere.iter() {
            out.push_str(&format!("  {}\n", escaped(&finding.to_string())));
        }
    }
    out
}

fn where_from(place: Option<&Place>, file: &str) -> String {
    let indent = " ".repeat(13);
    match place {
        Some(place) => {
            format!("{indent}{}: {}\n", escaped(&place.to_string()), escaped(&text_at(place)))
        }
        None => format!("{indent}{}\n", escaped(file)),
    }
}

fn place_json(place: &Place) -> Value {
    let (line, column) = place.source.line_column(place.span.start);
    json!({ "file": place.source.name, "line": line, "column": column, "text": text_at(place) })
}

/// The same for a program.
pub fn explanation_json(answer: &Explanation) -> Value {
    let said = answer.lines.iter().map(|line| {
        json!({
            "by": line.witness.as_str(),
            "allows": line.allows,
            "says": line.says,
            "rule": line.rule,
            "file": line.file,
            "place": line.place.as_ref().map(place_json),
        })
    });
    let nearest = answer
        .nearest
        .iter()
        .map(|near| json!({ "rule": near.rule, "why": near.why, "place": place_json(&near.place) }));
    let restrictions = answer
        .restrictions
        .iter()
        .map(|own| json!({ "rule": own.rule, "says": own.says, "place": place_json(&own.place) }));
    json!({
        "verdict": if answer.granted { "granted" } else { "denied" },
        "program": answer.program,
        "tool": answer.tool,
        "function": answer.function,
        "asked": answer.asked.to_string(),
        "weighed": answer.weighed.to_string(),
        "lines": said.collect::<Vec<_>>(),
        "nearest": nearest.collect::<Vec<_>>(),
        "restrictions": restrictions.collect::<Vec<_>>(),
        "remedies": answer.remedies,
        "elsewhere": super::findings_json(&answer.elsewhere),
    })
}

/// A bound that stays as it is says nothing to who reads a change.
fn is_shown(item: &Item) -> bool {
    item.what != "limit" || item.change != Change::Unchanged
}

/// What a change changes, for a person.
pub fn difference(all: &Difference) -> String {
    let mut out = String::new();
    for (title, items) in [("what the programs are granted", &all.grants), ("what the rows say", &all.rows)] {
        let rows: Vec<Vec<String>> = items.iter().filter(|item| is_shown(item)).map(cells).collect();
        if rows.is_empty() {
            continue;
        }
        out.push_str(&format!("{}\n", bold(title)));
        out.push_str(&columns(&["change", "program", "tool", "what", "before", "after"], rows));
        out.push('\n');
    }
    let widens = count(all);
    out.push_str(&match widens {
        0 => format!("{}\n", good("nothing widens")),
        number => format!("{}\n", odd(&format!("{number} of these lines widen"))),
    });
    out
}

fn count(all: &Difference) -> usize {
    all.grants.iter().chain(&all.rows).filter(|item| item.widens).count()
}

fn cells(item: &Item) -> Vec<String> {
    let text = |text: &Option<String>, none: &str| text.as_deref().map_or(none.to_owned(), escaped);
    vec![
        format!("{}{}", if item.widens { "! " } else { "" }, item.change.as_str()),
        text(&item.program, "any"),
        text(&item.tool, "any"),
        item.what.to_owned(),
        text(&item.before, "-"),
        text(&item.after, "-"),
    ]
}

/// The same as Markdown. Whatever others chose stands in code spans, where nothing means anything.
pub fn difference_markdown(all: &Difference) -> String {
    let mut out = match count(all) {
        0 => "**Policy: nothing widens.**\n".to_owned(),
        1 => "**Policy: 1 line widens.**\n".to_owned(),
        number => format!("**Policy: {number} lines widen.**\n"),
    };
    for (title, items) in [("What the programs are granted", &all.grants), ("What the rows say", &all.rows)] {
        let mut items = items.iter().filter(|item| is_shown(item)).peekable();
        if items.peek().is_none() {
            continue;
        }
        out.push_str(&format!("\n### {title}\n\n| change | program | tool | what | before | after |\n|---|---|---|---|---|---|\n"));
        for item in items {
            let code = |text: &Option<String>| text.as_deref().map_or("–".to_owned(), code_span);
            let change = match item.widens {
                true => format!("**{}** ⚠", item.change.as_str()),
                false => item.change.as_str().to_owned(),
            };
            out.push_str(&format!(
                "| {change} | {} | {} | {} | {} | {} |\n",
                code(&item.program),
                code(&item.tool),
                item.what,
                code(&item.before),
                code(&item.after)
            ));
        }
    }
    out
}

/// Text in a cell of a table, as code. A backtick would end the span and a bar the cell.
pub(super) fn code_span(text: &str) -> String {
    format!("`{}`", escaped(text).replace('`', "'").replace('|', "\\|"))
}

/// The same for a program.
pub fn difference_json(all: &Difference) -> Value {
    let one = |item: &Item| {
        json!({
            "change": item.change.as_str(),
            "widens": item.widens,
            "program": item.program,
            "tool": item.tool,
            "what": item.what,
            "before": item.before,
            "after": item.after,
        })
    };
    json!({
        "widens": all.widens(),
        "grants": all.grants.iter().map(one).collect::<Vec<_>>(),
        "rows": all.rows.iter().map(one).collect::<Vec<_>>(),
    })
}
