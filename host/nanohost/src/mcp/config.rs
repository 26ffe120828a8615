//! What the configuration of a client says of this gateway, in the client's own form. Knows nothing of
//! where a client keeps its configuration but what to tell its user.

use std::path::Path;

use clap::ValueEnum;
use serde_json::{Value, json};

/// A client whose form of configuration is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Client {
    /// Claude Desktop: claude_desktop_config.json
    ClaudeDesktop,
    /// Claude Code: .mcp.json of a project
    ClaudeCode,
    /// Visual Studio Code: .vscode/mcp.json
    Vscode,
    /// Cursor: .cursor/mcp.json
    Cursor,
}

impl Client {
    /// Where its configuration lies, for its user.
    pub const fn file(self) -> &'static str {
        match self {
            Self::ClaudeDesktop => {
                "claude_desktop_config.json (Settings, Developer, Edit Config), then start Claude Desktop again"
            }
            Self::ClaudeCode => ".mcp.json in the project's folder",
            Self::Vscode => ".vscode/mcp.json in the project's folder",
            Self::Cursor => ".cursor/mcp.json in the project's folder, or ~/.cursor/mcp.json",
        }
    }
}

/// The configuration that has `client` start this executable with these arguments.
pub fn configuration(client: Client, executable: &Path, arguments: &[String]) -> Value {
    let server = match client {
        Client::ClaudeDesktop | Client::Cursor => json!({ "command": executable, "args": arguments }),
        Client::ClaudeCode | Client::Vscode => {
            json!({ "type": "stdio", "command": executable, "args": arguments })
        }
    };
    let key = match client {
        Client::Vscode => "servers",
        Client::ClaudeDesktop | Client::ClaudeCode | Client::Cursor => "mcpServers",
    };
    json!({ key: { "nanohost": server } })
}
