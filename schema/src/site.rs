//! Sites of tools: which server has which, and the server behind a name.

use crate::name::{Fqdn, label_below};
use crate::panel::PanelTls;
use crate::platform::Platform;
use crate::server::Server;
use crate::state::State;
use crate::tool::Tool;

/// A tool of one server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Site<'s> {
    /// The tool.
    pub tool: Tool,
    /// Its name.
    pub host: Fqdn,
    /// The server in which it runs.
    pub server: &'s Server,
    /// Source of the name's certificate, which is that of the panel's.
    pub tls: PanelTls,
}

impl Platform {
    /// The tools that a server has, with their names: none where there is no panel to sign in at.
    pub fn tools<'s>(&self, server: &'s Server) -> Vec<Site<'s>> {
        let Some(panel) = &self.panel else { return Vec::new() };
        let site = |tool: Tool| {
            let host = tool.host(&server.name, &self.domain)?;
            Some(Site { tool, host, server, tls: panel.tls })
        };
        Tool::ALL.into_iter().filter_map(site).collect()
    }
}

impl State {
    /// The tool that has a name.
    pub fn tool_at(&self, host: &Fqdn) -> Option<Site<'_>> {
        let tool = Tool::of_label(label_below(host, &self.platform.domain)?)?;
        let server = host.as_str().strip_prefix(tool.beginning())?.split('.').next()?.parse().ok()?;
        let sites = self.platform.tools(self.server(&server)?);
        sites.into_iter().find(|site| site.host == *host)
    }
}
