//! Tools: the web pages that a server has of its own, to work in it with a browser.
//!
//! Owns their names below the platform's domain, which no member's domain may have, and the ports at which the web server
//! reaches them, which no domain may name. A tool is guarded like a domain with `access = "owner"`, and has no login of its own.

use serde::{Deserialize, Serialize};

use crate::invalid::Invalid;
use crate::name::{Fqdn, ServerName};

/// A web page that every server has for those who may log in to it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Tool {
    /// Dockge: the Compose stacks of the server.
    Dockge,
    /// FileBrowser: the files in `/apps/aplikacijos`.
    Files,
}

impl Tool {
    /// Both.
    pub const ALL: [Self; 2] = [Self::Dockge, Self::Files];

    /// The name that people read.
    pub fn title(self) -> &'static str {
        match self {
            Self::Dockge => "Dockge",
            Self::Files => "Files",
        }
    }

    /// The port at which the server's own Caddy answers for it, to the platform's web server alone
    /// (`templates/server/rootfs/etc/caddy/platform.caddy`).
    pub fn port(self) -> u16 {
        match self {
            Self::Dockge => 15001,
            Self::Files => 15002,
        }
    }

    /// The tool at a port.
    pub fn at_port(port: u16) -> Option<Self> {
        Self::ALL.into_iter().find(|tool| tool.port() == port)
    }

    /// The tool whose names begin like a label: `dockge--` or `files--`.
    pub fn of_label(label: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|tool| label.starts_with(tool.beginning()))
    }

    /// The name of a server's tool: `dockge--shop.hosting.example.org`. `None` if that is no domain name, as with a server whose
    /// name ends with a hyphen.
    pub fn host(self, server: &ServerName, platform: &Fqdn) -> Option<Fqdn> {
        format!("{}{server}.{platform}", self.beginning()).parse().ok()
    }

    /// The beginning of its names.
    pub(crate) fn beginning(self) -> &'static str {
        match self {
            Self::Dockge => "dockge--",
            Self::Files => "files--",
        }
    }
}

/// Refusal of a name that is a tool's.
pub(crate) fn refused(fqdn: &Fqdn, tool: Tool) -> Invalid {
    let message = format!("`{fqdn}` is kept for the page {} of a server", tool.title());
    let hint = "choose a name that doesn't begin with `dockge--` or `files--` (docs/domains.md)";
    Invalid::new(message, hint)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn host(tool: Tool, server: &str) -> Option<String> {
        let host = tool.host(&server.parse().unwrap(), &"hosting.example.org".parse().unwrap());
        host.map(|host| host.to_string())
    }

    #[test]
    fn names_are_one_label_and_lead_back() {
        assert_eq!(host(Tool::Dockge, "shop").unwrap(), "dockge--shop.hosting.example.org");
        let longest = "x".repeat(25);
        for server in ["shop", "-a", "a--b", "dockge--x", "files--x", &longest] {
            for tool in Tool::ALL {
                let host = host(tool, server).unwrap();
                let label = host.split('.').next().unwrap();
                assert_eq!(Tool::of_label(label), Some(tool), "{host}");
                assert_eq!(label.strip_prefix(tool.beginning()), Some(server));
            }
        }
        assert_eq!(host(Tool::Files, "shop-"), None);
        for label in ["dockge", "dockge-shop", "files-", "xdockge--shop", "shop"] {
            assert_eq!(Tool::of_label(label), None, "{label}");
        }
    }

    #[test]
    fn ports_are_told_apart() {
        assert!(Tool::ALL.iter().all(|tool| Tool::at_port(tool.port()) == Some(*tool)));
        assert_eq!(Tool::at_port(80), None);
    }
}
