//! News: things that a forge might want to know.

use berth_schema::Revision;
use berth_wire::PassRecord;

/// Something that a forge might want to know.
#[derive(Debug)]
pub(crate) enum News {
    /// `main` follows this tip.
    Accepted(Revision),
    /// `main` doesn't follow this tip, and why.
    Refused(Revision, String),
    /// A pass has ended.
    Ended(Box<PassRecord>),
}
