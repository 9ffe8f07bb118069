//! Tickets: what lets the panel into one server, for one act, through the SSH router.

use std::fmt;
use std::net::IpAddr;

use berth_schema::name::ServerId;
use berth_schema::ticket::Act;
use serde::{Deserialize, Serialize};

use super::{Needs, questions};

/// Asks for a ticket with which the SSH router lets the panel do something in a server, in the person's name.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Ticket {
    /// The server.
    pub server: ServerId,
    /// Act in the server.
    pub act: Act,
    /// Address that the person comes from.
    pub from: IpAddr,
}

/// A ticket, good once and for a moment ([`berth_schema::ticket::GOOD`]).
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TicketGiven {
    /// 256 random bits, as 43 characters.
    pub ticket: String,
}

impl fmt::Debug for TicketGiven {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("TicketGiven(…)")
    }
}

questions! {
    Ticket, "/ticket", Known => TicketGiven, needs Needs::Depends;
}
