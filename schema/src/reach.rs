//! Ways to the platform from outside: the line that logs in, the port in a redirect, the panel's origins.
//!
//! Owns what follows from where the platform listens and from how the world reaches it, for everything that is printed or sent to
//! a visitor.

use std::fmt;

use crate::name::Fqdn;
use crate::panel::PanelEdge;
use crate::platform::Platform;

/// Origins at which people reach the panel.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PanelOrigins {
    /// Through the web server before all domains: `https://panel.example.org`.
    pub edge: Option<String>,
    /// At the panel's own port: `https://panel.example.org:8443`.
    pub own: String,
}

impl PanelOrigins {
    /// The one to tell people.
    pub fn first(&self) -> &str {
        self.edge.as_deref().unwrap_or(&self.own)
    }
}

impl Platform {
    /// Port at which the world reaches the web server over HTTP.
    pub fn public_http_port(&self) -> u16 {
        self.public.http_port.unwrap_or(self.web.http_port).get()
    }

    /// Port at which the world reaches the web server over HTTPS.
    pub fn public_https_port(&self) -> u16 {
        self.public.https_port.unwrap_or(self.web.https_port).get()
    }

    /// Name and port at which the world reaches the SSH router.
    pub fn public_ssh(&self) -> (&Fqdn, u16) {
        let host = self.public.ssh_host.as_ref().unwrap_or(&self.domain);
        (host, self.public.ssh_port.unwrap_or(self.ssh.port).get())
    }

    /// Port at which the world reaches the panel's own port; `None` without a panel.
    pub fn public_panel_port(&self) -> Option<u16> {
        let panel = self.panel.as_ref()?;
        Some(self.public.panel_port.unwrap_or(panel.port).get())
    }

    /// The line that logs in to a server as a member types it.
    pub fn ssh_line(&self, login: &impl fmt::Display) -> String {
        match self.public_ssh() {
            (host, 22) => format!("ssh {login}@{host}"),
            (host, port) => format!("ssh -p {port} {login}@{host}"),
        }
    }

    /// Answer of the web server to visitors of the panel's name: none without a panel, and none without a web server.
    pub fn panel_edge(&self) -> PanelEdge {
        match &self.panel {
            Some(panel) if self.services.web => panel.edge,
            _ => PanelEdge::None,
        }
    }

    /// The panel's origins; `None` without a panel.
    pub fn panel_origins(&self) -> Option<PanelOrigins> {
        let name = &self.panel.as_ref()?.domain;
        let edge = (self.panel_edge() == PanelEdge::Proxy).then(|| origin(name, self.public_https_port()));
        Some(PanelOrigins { edge, own: origin(name, self.public_panel_port()?) })
    }
}

/// Origin of HTTPS at a port of a name.
fn origin(name: &Fqdn, port: u16) -> String {
    match port {
        443 => format!("https://{name}"),
        port => format!("https://{name}:{port}"),
    }
}
