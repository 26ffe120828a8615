//! What a gateway shows as resources: programs, the manifests of their tools, and the traces and receipts
//! of runs that the caller may see.

use std::sync::Arc;

use rmcp::ErrorData;
use rmcp::model::{
    ListResourcesResult, ReadResourceResponse, ReadResourceResult, Resource, ResourceContents,
    ResourceTemplate,
};
use serde_json::Value;

use super::server::{Server, blocking, internal};
use crate::console::json_text;
use crate::gateway::{Asked, Caller, Gateway, MAX_PAGE};

/// What all of them begin with.
const SCHEME: &str = "nanohost://";

const JSON: &str = "application/json";
const TOML: &str = "application/toml";

/// One kind each.
pub(super) fn templates() -> Vec<ResourceTemplate> {
    let one = |path: &str, name: &str, words: &str, mime: &str| {
        ResourceTemplate::new(format!("{SCHEME}{path}"), name).with_description(words).with_mime_type(mime)
    };
    vec![
        one("programs/{name}", "program", "A program, its inputs and what its tools were granted", JSON),
        one(
            "programs/{name}/tools/{tool}/manifest",
            "manifest",
            "What the author of a program's tool asks for",
            TOML,
        ),
        one("runs/{run}/receipt", "receipt", "The receipt of a run", JSON),
        one("runs/{run}/trace", "trace", "What a run did, envelope by envelope", JSON),
    ]
}

/// A page of all: programs with their manifests first, then runs, the newest first.
pub(super) async fn list(
    server: &Server,
    cursor: Option<String>,
    caller: Caller,
) -> Result<ListResourcesResult, ErrorData> {
    let gateway = Arc::clone(&server.gateway);
    let listed =
        blocking(move || listed(&gateway, cursor.as_deref(), &caller)).await.map_err(|_| internal())?;
    let Some((items, next)) = listed else {
        return Err(ErrorData::invalid_params("there is no such place in this list", None));
    };
    let mut result = ListResourcesResult::with_all_items(items);
    result.next_cursor = next;
    Ok(result)
}

type Listing = (Vec<Resource>, Option<String>);

fn listed(gateway: &Gateway, cursor: Option<&str>, caller: &Caller) -> anyhow::Result<Option<Listing>> {
    let resource = |path: String, name: String, mime: &str| {
        Resource::new(format!("{SCHEME}{path}"), name).with_mime_type(mime)
    };
    let programs_after = match cursor {
        None => Some(None),
        Some(cursor) => cursor.strip_prefix("program:").map(Some),
    };
    if let Some(after) = programs_after {
        let page = gateway.programs(after, caller)?;
        let mut items = Vec::new();
        for one in &page.items {
            let name = one["name"].as_str().unwrap_or_default();
            items.push(resource(format!("programs/{name}"), format!("program {name}"), JSON));
            // Of what cannot be read now there are no manifests to show.
            let Ok(found) = gateway.find(&Asked::Named(name.to_owned()), caller) else { continue };
            items.extend(found.prepared().tools.keys().map(|tool| {
                let path = format!("programs/{name}/tools/{tool}/manifest");
                resource(path, format!("manifest of {tool} in {name}"), TOML)
            }));
        }
        let next = page.next.map_or_else(|| "runs".to_owned(), |name| format!("program:{name}"));
        return Ok(Some((items, Some(next))));
    }
    let after = match cursor {
        Some("runs") => None,
        Some(cursor) => match cursor.strip_prefix("run:") {
            Some(run) => Some(run),
            None => return Ok(None),
        },
        None => None,
    };
    let Ok(page) = gateway.runs(after, caller)? else { return Ok(None) };
    let mut items = Vec::with_capacity(2 * MAX_PAGE);
    for run in &page.items {
        let (id, program) = (&run.run, &run.program);
        items.push(resource(
            format!("runs/{id}/receipt"),
            format!("receipt of {program} {}", id.short()),
            JSON,
        ));
        items.push(resource(format!("runs/{id}/trace"), format!("trace of {program} {}", id.short()), JSON));
    }
    Ok(Some((items, page.next.map(|run| format!("run:{run}")))))
}

/// One resource.
pub(super) async fn read(
    server: &Server,
    uri: String,
    caller: Caller,
) -> Result<ReadResourceResponse, ErrorData> {
    let gateway = Arc::clone(&server.gateway);
    let asked = uri.clone();
    let found = blocking(move || found(&gateway, &asked, &caller)).await.map_err(|_| internal())?;
    let Some((text, mime)) = found else {
        let shown: String = uri.chars().take(1024).collect();
        let data = serde_json::json!({ "uri": shown });
        return Err(ErrorData::resource_not_found("there is no such resource", Some(data)));
    };
    let contents = ResourceContents::text(text, uri).with_mime_type(mime);
    Ok(ReadResourceResult::new(vec![contents]).into())
}

fn found(gateway: &Gateway, uri: &str, caller: &Caller) -> anyhow::Result<Option<(String, &'static str)>> {
    let Some(path) = uri.strip_prefix(SCHEME) else { return Ok(None) };
    let parts: Vec<&str> = path.split('/').collect();
    let json = |value: Option<Value>| value.map(|value| (json_text(&value), JSON));
    Ok(match parts.as_slice() {
        ["programs", name] => json(gateway.program(name, caller).ok()),
        ["programs", name, "tools", tool, "manifest"] => {
            gateway.manifest(name, tool, caller).ok().map(|text| (text, TOML))
        }
        ["runs", run, "receipt"] => json(gateway.receipt_of(run, caller)?.ok()),
        ["runs", run, "trace"] => json(gateway.trace(run, caller)?.ok()),
        _ => None,
    })
}
