//! The panel's origins: the addresses by which a browser may call it.

use berth_schema::panel::PanelEdge;
use berth_schema::platform::Platform;

/// Name by which this machine calls itself.
const LOCALHOST: &str = "localhost";

/// The panel, as a browser has called it.
#[derive(Debug)]
pub(crate) struct Origins {
    /// The name.
    pub(crate) name: String,
    /// Every origin that it has by this name.
    pub(crate) all: Vec<String>,
}

impl Origins {
    /// The panel by the name and port in `host`. Its own name is good at its own port, and at the edge's where that passes it on;
    /// `localhost` at its own port. Each port counts as it is and as the world sees it. `None` where the panel has no such name.
    pub(crate) fn of(platform: &Platform, host: &str) -> Option<Self> {
        let panel = platform.panel.as_ref()?;
        let called = host.rsplit_once(':').map_or(host, |(name, _)| name);
        let (own, port) = (panel.domain.as_str(), panel.port.get());
        let (name, ports) = match called {
            _ if called.eq_ignore_ascii_case(own) => {
                let mut ports = vec![port, platform.public_panel_port().unwrap_or(port)];
                if platform.panel_edge() == PanelEdge::Proxy {
                    ports.extend([platform.public_https_port(), platform.web.https_port.get()]);
                }
                (own, ports)
            }
            _ if called.eq_ignore_ascii_case(LOCALHOST) => (LOCALHOST, vec![port]),
            _ => return None,
        };
        let origin = |port: &u16| match port {
            443 => format!("https://{name}"),
            port => format!("https://{name}:{port}"),
        };
        Some(Self { name: name.to_owned(), all: ports.iter().map(origin).collect() })
    }

    /// The origin of exactly this name and port. `None` where it is none of the panel's.
    pub(crate) fn exact(platform: &Platform, host: &str) -> Option<String> {
        let called = format!("https://{}", host.to_ascii_lowercase());
        let called = called.strip_suffix(":443").map_or(called.clone(), str::to_owned);
        Self::of(platform, host)?.all.into_iter().find(|origin| *origin == called)
    }
}
