//! Code that an earlier process compiled: the same tool, with the same facts and limits.

use nanohost_sandbox::{CodeCache, CodeSource, FaultCode};
use serde_json::json;

use crate::bench::{Asks, call, engine, fault, success, tool_in};
use crate::guests::guest;

/// What the guest imports, and a limit.
fn asks(limits: &str) -> Asks {
    let capabilities = "kv = [\"ledger\"]\nenv = [\"REGION\"]\n".into();
    let host = "[env.guest]\nREGION = \"eu\"\n".into();
    Asks { capabilities, host, limits: limits.into(), ..Asks::default() }
}

#[tokio::test]
async fn a_hit_is_the_same_tool_as_a_miss() {
    let folder = tempfile::tempdir().expect("the temporary folder is writable");
    let engine = engine().with_code_cache(CodeCache::at(folder.path(), [1; 32].into()));
    let bytes = guest("world");
    let [miss, hit] = [(); 2].map(|()| engine.load(&bytes).expect("the guest loads"));
    assert_eq!((miss.code(), hit.code()), (CodeSource::Compiled, CodeSource::Cached));
    assert_eq!(hit.facts(), miss.facts());
    assert_eq!(hit.unsupported(), miss.unsupported());

    for function in ["now", "dice", "call", "variables"] {
        let mut reports = Vec::new();
        for loaded in [&miss, &hit] {
            let tool = tool_in(&engine, loaded, function, &asks(""));
            let report = call(&tool, json!({})).await;
            reports.push((success(&report).clone(), report.usage.fuel, report.used, report.logs));
        }
        assert_eq!(reports[0], reports[1], "{function}");
    }
    let little = asks("fuel = 100");
    let spent = call(&tool_in(&engine, &hit, "variables", &little), json!({})).await;
    assert_eq!(fault(&spent), FaultCode::FuelExhausted);
}
