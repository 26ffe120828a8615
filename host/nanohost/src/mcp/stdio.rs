//! The protocol over standard input and output: one client, who started this process. Nothing but the
//! protocol is written to standard output.

use std::time::Duration;

use rmcp::ServiceExt as _;
use rmcp::service::QuitReason;
use rmcp::transport::async_rw::AsyncRwTransport;
use rmcp::transport::stdio_pipes;

use super::server::Server;
use crate::signals;

/// No message is longer, bytes.
const MAX_LINE: usize = 4 << 20;

/// How long runs that are stopped have to end, once the client is gone.
const GRACE: Duration = Duration::from_secs(10);

/// Between two looks whether they have.
const BETWEEN_LOOKS: Duration = Duration::from_millis(10);

/// Serves until the client closes its end, or this process is asked to end. Runs that go on then are
/// stopped, and end with evidence.
///
/// # Errors
/// Where standard input and output cannot be used.
pub async fn serve(server: Server) -> anyhow::Result<()> {
    let gateway = std::sync::Arc::clone(server.gateway());
    let (read, write) = stdio_pipes();
    let transport = AsyncRwTransport::new_server(read, write).with_max_line_length(MAX_LINE);
    let served = async {
        // A client that closes before it began is none.
        let Ok(running) = server.serve(transport).await else { return Ok(QuitReason::Closed) };
        running.waiting().await
    };
    tokio::select! {
        ended = served => { ended?; }
        asked = signals::first() => asked?,
    }
    gateway.stop();
    let ended = async {
        while gateway.live() > 0 {
            tokio::time::sleep(BETWEEN_LOOKS).await;
        }
    };
    // What does not end in time is found as interrupted, and `recover` says what became of it.
    let _ = tokio::time::timeout(GRACE, ended).await;
    Ok(())
}
