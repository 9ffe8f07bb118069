//! A change of the platform's settings after which whoever makes it can't open the panel from where they are.

use std::net::IpAddr;

use berth_schema::{Parsed, State};

use crate::way::Way;

/// Field with which somebody says that they know.
pub(super) const KNOWN: &str = "shut-out";

/// Tells that this text of platform.toml shuts its author out, at this address and on this way.
pub(super) fn shuts_out(text: &str, from: IpAddr, way: Way) -> Option<String> {
    // What has mistakes isn't committed, and the door names them.
    let parsed = Parsed::parse("platform.toml", text);
    let platform = State::assemble([&parsed]).ok()?.platform;
    if platform.panel.is_none() {
        return Some("Without the table [panel] there is no panel any more, for anybody.".to_owned());
    }
    let from = from.to_canonical();
    let networks = &platform.access.panel;
    let is_machine = way == Way::Own && from.is_loopback();
    if networks.is_empty() || is_machine || networks.iter().any(|network| network.contains(&from)) {
        return None;
    }
    Some(format!(
        "You are at the address {from}, which is in none of the networks of access.panel. You couldn’t open the panel from here any more."
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(text: &str, from: &str, way: Way) -> Option<String> {
        let text = format!("domain = \"hosting.example.org\"\n{text}");
        shuts_out(&text, from.parse().unwrap(), way)
    }

    #[test]
    fn somebody_is_shut_out_by_networks_without_their_address_and_by_no_panel() {
        let panel = "[panel]\ndomain = \"panel.example.org\"\n";
        let near = format!("{panel}[access]\npanel = [\"10.0.0.0/8\"]\n");
        assert_eq!(told(panel, "192.0.2.7", Way::Edge), None);
        for inside in ["10.1.2.3", "::ffff:10.1.2.3"] {
            assert_eq!(told(&near, inside, Way::Edge), None, "{inside}");
        }
        assert!(told(&near, "192.0.2.7", Way::Edge).unwrap().contains("192.0.2.7"));
        // This machine comes in at the panel's own port, and not through the edge.
        assert_eq!(told(&near, "127.0.0.1", Way::Own), None);
        assert!(told(&near, "127.0.0.1", Way::Edge).is_some());
        assert!(told("", "10.1.2.3", Way::Own).unwrap().contains("no panel"));
        assert_eq!(told("nonsense", "192.0.2.7", Way::Edge), None);
    }
}
