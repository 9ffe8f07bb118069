//! Tickets: the panel's way into a server, which leads through the SSH router's authority.
//!
//! The door gives the panel a ticket for one person, one server and one act. The panel hands it to the router at the ticket
//! socket: an [`Opening`] as one line of JSON, then the frames of [`crate::door`]. The router redeems it at the git door by a
//! [`Redeem`], also one line. The door answers with a [`Lease`] and keeps the connection open for as long as the ticket's
//! session lasts; a second [`Lease`] tells why it is over. A ticket is redeemed once, and within [`GOOD`].
//!
//! The panel sends [`crate::door::INPUT`], [`crate::door::INPUT_END`] and [`crate::door::RESIZE`]. The router sends
//! [`crate::door::OUTPUT`] and [`crate::door::ERROR`], and finally either [`crate::door::EXIT`] with the exit code or
//! [`crate::door::WORDS`] with a sentence why the act was refused or broken off.

use std::net::IpAddr;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::name::{ServerId, UserName};

/// Time in which a ticket has to be redeemed.
pub const GOOD: Duration = Duration::from_secs(30);

/// Longest line that either side sends, in bytes with its line break.
pub const LINE_MAX: usize = 1 << 10;

/// Acts that a ticket may be for. The router has the command of each; nothing that a person sends becomes part of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Act {
    /// A login shell in a terminal.
    Terminal,
    /// The newest lines of the log.
    LogTail,
    /// The newest lines of the log, and each line that is added.
    LogFollow,
    /// The log as a file.
    LogFile,
    /// Removal of what nothing in the server uses.
    CleanUp,
}

/// Size of a terminal, in characters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Size {
    /// Width.
    pub columns: u16,
    /// Height.
    pub rows: u16,
}

/// Request of the panel to the router.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Opening {
    /// The ticket.
    pub ticket: String,
    /// Size of the terminal, for an act that has one.
    pub size: Size,
}

/// Request of the router to the door.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Redeem {
    /// The ticket.
    pub redeem: String,
}

/// Permission that a ticket stands for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Errand {
    /// Member who acts.
    pub user: UserName,
    /// Server that they act on.
    pub server: ServerId,
    /// Act that they may do, once.
    pub act: Act,
    /// Address that the person comes from, as the panel says.
    pub from: IpAddr,
}

/// Answer of the door to the router.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Lease {
    /// The ticket is good, until the door says more or the connection ends.
    Granted(Errand),
    /// The ticket was refused, or what it stood on has ended: a sentence for the person.
    Over(String),
}

impl Size {
    /// Longest side that a terminal may have.
    const MAX: u16 = 1000;
    /// Length of a size in a frame, in bytes.
    pub const BYTES: usize = 4;

    /// Returns the size with each side in the range that terminals have.
    pub fn bounded(self) -> Self {
        Self { columns: self.columns.clamp(1, Self::MAX), rows: self.rows.clamp(1, Self::MAX) }
    }

    /// Reads the bytes of a frame.
    pub fn read([a, b, c, d]: [u8; Self::BYTES]) -> Self {
        Self { columns: u16::from_be_bytes([a, b]), rows: u16::from_be_bytes([c, d]) }.bounded()
    }

    /// Returns the bytes of a frame.
    pub fn bytes(self) -> [u8; Self::BYTES] {
        let ([a, b], [c, d]) = (self.columns.to_be_bytes(), self.rows.to_be_bytes());
        [a, b, c, d]
    }
}

impl std::fmt::Debug for Redeem {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Redeem(…)")
    }
}

impl std::fmt::Display for Act {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Terminal => "terminal",
            Self::LogTail | Self::LogFollow | Self::LogFile => "log",
            Self::CleanUp => "clean-up",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_size_is_read_as_it_was_written_and_no_side_is_out_of_range() {
        let size = Size { columns: 132, rows: 43 };
        assert_eq!(Size::read(size.bytes()), size);
        let none = Size { columns: 0, rows: u16::MAX };
        assert_eq!(Size::read(none.bytes()), Size { columns: 1, rows: Size::MAX });
    }

    #[test]
    fn a_line_is_one_line_and_short() {
        let errand = Errand {
            user: "a".repeat(25).parse().unwrap(),
            server: ServerId(u32::MAX.try_into().unwrap()),
            act: Act::LogFollow,
            from: "2001:db8:1234:5678:9abc:def0:1234:5678".parse().unwrap(),
        };
        let line = serde_json::to_string(&Lease::Granted(errand.clone())).unwrap();
        assert!(!line.contains('\n') && line.len() < LINE_MAX);
        assert_eq!(serde_json::from_str::<Lease>(&line).unwrap(), Lease::Granted(errand));
    }

    #[test]
    fn a_ticket_isn_t_shown() {
        assert!(!format!("{:?}", Redeem { redeem: "secret".to_owned() }).contains("secret"));
    }
}
