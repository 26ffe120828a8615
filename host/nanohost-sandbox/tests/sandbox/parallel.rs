//! Calls run side by side: nothing is held across a guest that the others would wait for.

use std::sync::{Arc, Barrier};

use nanohost_sandbox::{CallContext, Engine, KvUnavailable, KvView};
use serde_json::json;

use crate::bench::{Asks, context, success, tool_in};
use crate::guests::guest;

/// As many as the engine takes at once.
pub(crate) const AT_ONCE: usize = 64;

/// Answers when so many guests ask that all of them are inside their calls at the same time.
struct Meeting(Barrier);

impl KvView for Meeting {
    fn get(&self, _: &str, _: &str) -> Result<Option<(Vec<u8>, u64)>, KvUnavailable> {
        self.0.wait();
        Ok(Some((b"met".to_vec(), 1)))
    }

    fn list(&self, _: &str, _: &str, _: Option<&str>, _: usize) -> Result<Vec<String>, KvUnavailable> {
        Ok(Vec::new())
    }

    fn held(&self) -> Result<u64, KvUnavailable> {
        Ok(0)
    }
}

/// Lets as many guests as the engine takes meet inside of their calls.
pub(crate) async fn all_inside_at_once(engine: &Engine) {
    let loaded = engine.load(&guest("world")).expect("the guest loads");
    let asks = Asks {
        capabilities: "kv = [\"ledger\"]\nenv = [\"REGION\"]\n".into(),
        host: "[env.guest]\nREGION = \"eu\"\n".into(),
        limits: "deadline = \"10min\"\n".into(),
        ..Asks::default()
    };
    let get = tool_in(engine, &loaded, "get", &asks);
    let meeting = Arc::new(Meeting(Barrier::new(AT_ONCE)));
    let calls: Vec<_> = (0..AT_ONCE)
        .map(|_| {
            let (get, kv) = (get.clone(), Arc::clone(&meeting));
            tokio::spawn(async move {
                let input = json!({ "namespace": "ledger", "key": "a" });
                get.call(&input, CallContext { kv, ..context() }).await
            })
        })
        .collect();
    for call in calls {
        assert_eq!(success(&call.await.expect("no call panics")), "met");
    }
}

/// A guest that waits for another would wait for ever, were anything locked while one runs.
#[test]
fn guests_meet_inside_of_their_calls() {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(AT_ONCE).enable_all().build();
    let engine = Engine::new().expect("the engine starts");
    runtime.expect("threads are there").block_on(all_inside_at_once(&engine));
}
