//! Places of a ring: whose it is, and the numbers of times.

use berth_schema::name::ServerId;
use berth_wire::figures::Span;
use jiff::Timestamp;

/// Samples of the finest span in a minute.
pub(super) const IN_MINUTE: u32 = Span::Day.every() / Span::Hour.every();

/// Subject of a ring.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(in super::super) enum Whose {
    /// Everything on the host.
    Host,
    /// A server.
    Server(ServerId),
}

impl Whose {
    /// Name of its file.
    pub(super) fn file(self) -> String {
        match self {
            Self::Host => "host.ring".to_owned(),
            Self::Server(id) => format!("{id}.ring"),
        }
    }
}

/// Number of a time: how many samples of a span went by since 1970.
pub(in super::super) fn step(at: Timestamp, span: Span) -> u32 {
    u32::try_from(at.as_second() / i64::from(span.every())).unwrap_or_default()
}
