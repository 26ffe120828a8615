//! TOML → tree, through the `toml` crate's spanned parser.

use std::ops::Range;

use serde_json::Number;
use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::{Entry, MAX_DEPTH, Node, NodeValue, Report};

pub(super) fn parse(text: &str, report: &mut Report) -> Option<Node> {
    match DeTable::parse(text) {
        Ok(root) => Some(Node { span: 0..0, value: table(root.into_inner(), 0, report) }),
        Err(error) => {
            let message = error.message();
            let code = if message.starts_with("duplicate key") { "duplicate_key" } else { "not_toml" };
            let span = error.span().unwrap_or(0..0);
            let finding = report.error(code, &shifted(span.clone(), report), message);
            let before = text.get(..span.start).unwrap_or_default();
            let line = before.rfind('\n').map_or(0, |end| end + 1);
            let row = text.get(line..).and_then(|rest| rest.lines().next()).unwrap_or_default().trim();
            let row = row
                .strip_prefix('[')
                .and_then(|row| row.strip_suffix(']'))
                .filter(|row| !row.starts_with('['));
            report.push(match row {
                _ if text.trim_start().starts_with('{') => {
                    finding.help("this looks like JSON, of which the file's name ends in `.json`")
                }
                Some(name) if code == "duplicate_key" => {
                    finding.help(format!("a table stands once; each of several rows begins with [[{name}]]"))
                }
                _ => finding,
            });
            None
        }
    }
}

fn node(value: Spanned<DeValue<'_>>, depth: usize, report: &mut Report) -> Node {
    let span = shifted(value.span(), report);
    let fail = |report: &mut Report, message: String| {
        report.invalid(&span, message);
        NodeValue::Null
    };
    let value = match value.into_inner() {
        _ if depth > MAX_DEPTH => fail(report, format!("nested deeper than {MAX_DEPTH} levels")),
        DeValue::String(text) => NodeValue::Text(text.into_owned()),
        DeValue::Boolean(truth) => NodeValue::Bool(truth),
        DeValue::Datetime(moment) => NodeValue::Date(moment.to_string()),
        DeValue::Integer(integer) => {
            let (digits, radix) = (integer.as_str(), integer.radix());
            let number = i64::from_str_radix(digits, radix)
                .map(Number::from)
                .or_else(|_| u64::from_str_radix(digits, radix).map(Number::from));
            match number {
                Ok(number) => NodeValue::Number(number),
                Err(_) => fail(report, "the integer does not fit into 64 bits; write it as a string".into()),
            }
        }
        DeValue::Float(float) => match float.as_str().parse().ok().and_then(Number::from_f64) {
            Some(number) => NodeValue::Number(number),
            None => fail(report, "the number is not finite".into()),
        },
        DeValue::Array(items) => {
            NodeValue::List(items.into_iter().map(|item| node(item, depth + 1, report)).collect())
        }
        DeValue::Table(rows) => table(rows, depth + 1, report),
    };
    Node { span, value }
}

fn table(rows: DeTable<'_>, depth: usize, report: &mut Report) -> NodeValue {
    let mut entries: Vec<Entry> = rows
        .into_iter()
        .map(|(key, value)| Entry {
            key_span: shifted(key.span(), report),
            key: key.into_inner().into_owned(),
            node: node(value, depth, report),
        })
        .collect();
    // The parser sorts by key; a person's order is that of the file.
    entries.sort_by_key(|entry| entry.key_span.start);
    NodeValue::Table(entries)
}

fn shifted(span: Range<usize>, report: &Report) -> Range<usize> {
    span.start + report.base..span.end + report.base
}
