//! What an attempt is: what is tried, what must come of it, and by what it is known. Data; `run` tries it.

use std::net::Ipv4Addr;

use serde::Serialize;

use super::threat::Threat;

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
    /// Somebody on both control networks, with a published port.
    Control,
    /// The lab's internet.
    Outside,
}

/// What an attempt is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Group {
    /// What must work, or all refusals would prove nothing.
    Allowed,
    /// The machine.
    Machine,
    /// The gateway's own ports.
    Gateway,
    /// Caddy, SSH router, image cache.
    Services,
    /// The control plane's networks.
    Control,
    /// Other servers.
    Neighbour,
    /// What needs a shared wire.
    Wire,
    /// In another's name.
    Identity,
    /// Addresses that are not the internet.
    Internet,
    /// Names.
    Names,
    /// Too much of it.
    Floods,
}

/// What must come of an attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Expected {
    /// It gets nowhere.
    Refused,
    /// It gets no more than its share.
    Limited,
    /// It works.
    Works,
}

/// An attempt.
#[derive(Debug, Clone)]
pub struct Attempt {
    /// Its number in this run, which its token carries.
    pub(crate) number: u16,
    /// What it is about.
    pub group: Group,
    /// Which threat it shows; `None` for what must work.
    pub threat: Option<Threat>,
    /// What is tried.
    pub name: String,
    /// What must come of it.
    pub expected: Expected,
    /// How it is tried, or why it isn't.
    pub(crate) how: Result<Trial, &'static str>,
}

/// How something is tried.
#[derive(Debug, Clone, Default)]
pub(crate) struct Trial {
    /// What the attacker does to its own system first, as a shell script.
    pub(crate) before: Option<String>,
    /// What is tried, in this order.
    pub(crate) acts: Vec<Act>,
    /// What undoes it.
    pub(crate) after: Option<String>,
    /// By what it is known. Refused: none of them may be found. Works: all of them must.
    pub(crate) proofs: Vec<Proof>,
    /// How it is known that it was tried at all.
    pub(crate) leaves: Leaves,
}

/// How it is known that an attempt left the attacker: a refusal of what was never sent proves nothing.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) enum Leaves {
    /// The plane has seen something of it.
    #[default]
    Seen,
    /// So many packets, more than may have an effect, have come to the plane from the attacker's link.
    Packets(u64),
    /// It may not: its own kernel may refuse, or what happens isn't a packet. That it was done is known by the exit code.
    MayStay,
}

/// One thing that is tried.
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
    /// The attacker's link is taken away.
    Unlink,
    /// And made again.
    Link,
}

/// By what it is known that an attempt got through, or worked.
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
    /// A connection from there to this address didn't get to whom it was for.
    NotServed { place: Place, to: (Ipv4Addr, u16) },
}

impl Attempt {
    /// Whether these words are in its group's name, its own, or its threat's.
    pub(crate) fn is_about(&self, words: &str) -> bool {
        let threat = self.threat.map(|threat| threat.to_string()).unwrap_or_default();
        format!("{}: {}\n{threat}", self.group, self.name).to_lowercase().contains(&words.to_lowercase())
    }
}

impl Trial {
    /// Something that the plane must see leave the attacker.
    pub(crate) fn of(acts: Vec<Act>, proofs: Vec<Proof>) -> Self {
        Self { acts, proofs, ..Self::default() }
    }

    /// Its own kernel may refuse it, or what happens isn't a packet.
    pub(crate) fn may_stay(mut self) -> Self {
        self.leaves = Leaves::MayStay;
        self
    }

    /// What has no token is counted: more than `packets` must have left. Of a flood, more than its limit.
    pub(crate) fn counted(mut self, packets: u64) -> Self {
        self.leaves = Leaves::Packets(packets);
        self
    }

    /// With a change to the attacker's system that is undone.
    pub(crate) fn with(mut self, before: impl Into<String>, after: impl Into<String>) -> Self {
        self.before = Some(before.into());
        self.after = Some(after.into());
        self
    }
}
