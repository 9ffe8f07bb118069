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

    /// Returns whether a name is the wildcard certificate's: the platform's domain, or a name directly below it, where there is a way
    /// to its DNS zone.
    pub fn is_under_wildcard(&self, name: &Fqdn) -> bool {
        let is_one_below =
            || name.as_str().split_once('.').is_some_and(|(_, above)| above == self.domain.as_str());
        self.acme.dns.is_some() && !name.is_wildcard() && (*name == self.domain || is_one_below())
    }
}

/// Origin of HTTPS at a port of a name.
fn origin(name: &Fqdn, port: u16) -> String {
    match port {
        443 => format!("https://{name}"),
        port => format!("https://{name}:{port}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::state::{Parsed, State};

    #[test]
    fn the_wildcard_certificate_is_for_one_label_below_the_domain() {
        let platform = |more: &str| {
            let text = format!("domain = \"h.org\"\n{more}");
            State::assemble(&[Parsed::parse("platform.toml", &text)]).unwrap().platform
        };
        let (with, without) = (platform("[acme.dns]\nprogram = \"x\"\n"), platform(""));
        for (name, is_under) in [
            ("h.org", true),
            ("shop.h.org", true),
            ("a.shop.h.org", false),
            ("*.shop.h.org", false),
            ("*.h.org", false),
            ("xh.org", false),
            ("example.com", false),
        ] {
            let name: Fqdn = name.parse().unwrap();
            assert_eq!(
                (with.is_under_wildcard(&name), without.is_under_wildcard(&name)),
                (is_under, false),
                "{name}"
            );
        }
    }
}
