//! Leads of a server's domains, in words at each of them.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;

use berth_schema::name::ServerId;
use berth_wire::web::{Destination, Leads};
use serde::Serialize;

use crate::app::App;
use crate::visitor::Visitor;

/// Words about where a name leads.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(super) struct Words {
    look: &'static str,
    text: String,
}

/// Words by name. Names of which nothing is known have none; a door that doesn't tell is no reason to show no page.
pub(super) async fn of(app: &App, visitor: &Visitor, server: ServerId) -> BTreeMap<String, Words> {
    let told = visitor.ask(app, &Leads { server }).await.unwrap_or_default();
    told.into_iter().map(|lead| (lead.fqdn.to_string(), Words::of(&lead.to))).collect()
}

impl Words {
    fn of(to: &Destination) -> Self {
        match to {
            Destination::Here => Self { look: "good", text: "DNS leads here".to_owned() },
            Destination::Elsewhere { addresses, wanted } => Self {
                look: "warn",
                text: format!("DNS leads to {}; the platform is at {}", list(addresses), list(wanted)),
            },
            Destination::Nowhere { wanted } => Self {
                look: "warn",
                text: format!("DNS has no address for it; it should lead to {}", list(wanted)),
            },
        }
    }
}

fn list(addresses: &[Ipv4Addr]) -> String {
    addresses.iter().map(Ipv4Addr::to_string).collect::<Vec<_>>().join(" and ")
}
