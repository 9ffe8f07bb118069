//! Attempts: acts, the result that they must have, and the proofs of it. Data; `run` carries them out.

use std::net::Ipv4Addr;

use serde::Serialize;

use crate::kind::Kind;
use crate::threat::Threat;

/// A place that an attempt may get to, with a witness.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Place {
    /// The canary that attacks.
    Attacker,
    /// The canary beside it.
    Neighbour,
    /// The user plane's namespace: firewall and resolver.
    Plane,
    /// The machine.
    Host,
    /// The web server of the user plane.
    Caddy,
    /// The SSH router.
    Router,
    /// The image cache.
    Cache,
    /// A panel's stand-in at the uplink, with a published port.
    Control,
    /// The lab's internet.
    Outside,
}

/// The subject of an attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Group {
    /// Ways that must work, or all refusals would prove nothing.
    Allowed,
    /// The machine.
    Machine,
    /// The gateway's own ports.
    Gateway,
    /// Caddy, SSH router, image cache.
    Services,
    /// A panel.
    Control,
    /// Other servers.
    Neighbour,
    /// Frames that need a shared wire.
    Wire,
    /// Packets in another's name.
    Identity,
    /// Addresses that are not the internet.
    Internet,
    /// Names.
    Names,
    /// Too much of everything.
    Floods,
    /// Share of what the kernel counts, while the attacker holds all that it can get.
    Shares,
}

/// The result that an attempt must have.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Expected {
    /// It gets nowhere.
    Refused,
    /// It gets no more than its share.
    Limited,
    /// It may get everybody's share, by the way in which the platform keeps servers apart.
    Shared,
    /// It works.
    Works,
}

/// An attempt.
#[derive(Debug, Clone)]
pub struct Attempt {
    /// Its number in this run, which its token carries.
    pub(crate) number: u16,
    /// Its subject.
    pub group: Group,
    /// The threat that it shows; `None` for a way that must work.
    pub threat: Option<Threat>,
    /// Its name, for people.
    pub name: String,
    /// The result that it must have.
    pub expected: Expected,
    /// The trial, or the reason for which there is none.
    pub(crate) how: Result<Trial, &'static str>,
}

/// A trial.
#[derive(Debug, Clone, Default)]
pub(crate) struct Trial {
    /// Script that the attacker runs in its own system first.
    pub(crate) before: Option<String>,
    /// Acts, in this order.
    pub(crate) acts: Vec<Act>,
    /// Script that undoes the first one.
    pub(crate) after: Option<String>,
    /// Proofs of success. Of a trial that must be refused none may be found; of one that must work, all.
    pub(crate) proofs: Vec<Proof>,
    /// Proof that it was tried at all.
    pub(crate) leaves: Leaves,
}

/// Proof that an attempt left the attacker: a refusal of packets that were never sent proves nothing.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) enum Leaves {
    /// The plane has seen something of it.
    #[default]
    Seen,
    /// So many packets, more than may have an effect, have come to the plane from the attacker's link.
    Packets(u64),
    /// None: the attacker's own kernel may refuse, or the act isn't a packet. Its exit code tells that it was done.
    MayStay,
}

/// One act.
#[derive(Debug, Clone)]
pub(crate) enum Act {
    /// A TCP connection by the attacker.
    Tcp { to: String, port: u16, from: Option<Ipv4Addr> },
    /// Datagrams of the attacker.
    Udp { to: String, port: u16 },
    /// Frames on the attacker's link.
    Frames(Vec<Vec<u8>>),
    /// Questions to a name server.
    Ask { server: Ipv4Addr, name: String, count: u32 },
    /// A script in the attacker; its output is kept.
    Shell(String),
    /// A TCP connection from another place, by its witness.
    From { place: Place, to: (Ipv4Addr, u16) },
    /// The attacker takes all that it can get of a kind, and its neighbour asks for a few.
    Take(Kind),
    /// The attacker's link is taken away.
    Unlink,
    /// The attacker's link is made again.
    Link,
}

/// A proof that an attempt got through, or worked.
#[derive(Debug, Clone)]
pub(crate) enum Proof {
    /// Its token was on a frame that came by there.
    Seen(Place),
    /// A packet that opens a connection to this address and port came by there.
    Opened(Place, (Ipv4Addr, u16)),
    /// A packet that opens a connection in this address's name came by there.
    OpenedAs(Place, Ipv4Addr),
    /// Somebody listening there was told the token.
    Heard(Place),
    /// The attacker says that it had a connection.
    Connected,
    /// The attacker says that it had an answer.
    Answered,
    /// The attacker's output has this in it.
    Says(String),
    /// The neighbour table there has become longer by more than this.
    Neighbours { place: Place, more_than: usize },
    /// An entry of the neighbour table there was changed.
    NeighboursChanged(Place),
    /// The connections that are tracked there have become more by more than this.
    Tracked { place: Place, more_than: u64 },
    /// More than this were answered.
    AnswersAbove(u32),
    /// A connection from there to this address was answered by somebody else, or by nobody.
    NotServed { place: Place, to: (Ipv4Addr, u16) },
}

impl Attempt {
    /// Returns whether these words are in its group's name, its own, or its threat's.
    pub(crate) fn is_about(&self, words: &str) -> bool {
        let threat = self.threat.map(|threat| threat.to_string()).unwrap_or_default();
        format!("{}: {}\n{threat}", self.group, self.name).to_lowercase().contains(&words.to_lowercase())
    }
}

impl Trial {
    /// Makes a trial that the plane must see leave the attacker.
    pub(crate) fn of(acts: Vec<Act>, proofs: Vec<Proof>) -> Self {
        Self { acts, proofs, ..Self::default() }
    }

    /// Allows that nothing leaves: the attacker's own kernel may refuse it, or the act isn't a packet.
    pub(crate) fn may_stay(mut self) -> Self {
        self.leaves = Leaves::MayStay;
        self
    }

    /// Counts packets that have no token: more than `packets` must have left; of a flood, more than its limit.
    pub(crate) fn counted(mut self, packets: u64) -> Self {
        self.leaves = Leaves::Packets(packets);
        self
    }

    /// Adds a change to the attacker's system, which is undone afterwards.
    pub(crate) fn with(mut self, before: impl Into<String>, after: impl Into<String>) -> Self {
        self.before = Some(before.into());
        self.after = Some(after.into());
        self
    }
}
