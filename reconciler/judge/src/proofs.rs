//! DNS, asked for proofs that a name is somebody's.

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::time::{Duration, Instant};

use berth_dns::{Answer, Code, Kind, PORT};
use berth_schema::State;
use berth_schema::name::Fqdn;
use berth_schema::policy::{self, Actor, Proof};
use berth_schema::text::safe;

/// Time for all the questions of a push, or of a look at proposals.
const PATIENCE: Duration = Duration::from_secs(6);
/// Time for one answer.
const ANSWER: Duration = Duration::from_secs(2);

/// The resolvers that are asked, and how long they may take in all.
#[derive(Debug, Clone)]
pub struct Resolvers {
    addresses: Vec<SocketAddr>,
    until: Instant,
}

/// Proofs that were found.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Proven {
    /// The names that are proved.
    pub names: Vec<Fqdn>,
    /// Reasons that some could not be looked for, with a line break at its end, or nothing.
    pub note: String,
}

impl Resolvers {
    /// This resolver, or, without one, those that the servers' names are looked up at (`firewall.dns`). Their time runs
    /// from now on.
    pub fn of(set: Option<SocketAddr>, state: &State) -> Self {
        let platform = || state.platform.firewall.dns.iter().map(|address| (*address, PORT).into());
        let addresses = set.map_or_else(|| platform().collect(), |set| vec![set]);
        Self { addresses, until: Instant::now() + PATIENCE }
    }

    /// Looks for the proofs that a change of somebody's wants. Whoever has the repository's files needs none.
    pub fn prove(&self, actor: Actor<'_>, before: &State, after: &State) -> Proven {
        let mut proven = Proven::default();
        let Some(member) = actor.name() else { return proven };
        let wanted = policy::to_prove(actor, before, after);
        for name in wanted {
            let proofs = policy::proofs(&name, member, &before.platform.domain);
            match proofs.iter().try_fold(false, |found, proof| Ok(found || self.holds(proof)?)) {
                Ok(true) => proven.names.push(name),
                Ok(false) => {}
                Err(error) => {
                    let error: io::Error = error;
                    let why = safe(error);
                    proven.note.push_str(&format!("DNS could not be asked whose `{name}` is: {why}.\n"));
                }
            }
        }
        proven
    }

    /// Asks for the addresses of a name.
    pub(crate) fn addresses(&self, name: &str) -> io::Result<Vec<Ipv4Addr>> {
        self.first(|resolver| Ok(records(resolver, name, Kind::Address, self.until)?.addresses))
    }

    /// Asks whether DNS has this record.
    fn holds(&self, proof: &Proof) -> io::Result<bool> {
        let texts = |resolver| Ok(records(resolver, &proof.record, Kind::Text, self.until)?.texts);
        Ok(self.first(texts)?.contains(&proof.text))
    }

    /// Asks one resolver after the other. The first that answers decides.
    fn first<T>(&self, ask: impl Fn(SocketAddr) -> io::Result<T>) -> io::Result<T> {
        let mut failure = io::Error::other("there is no resolver");
        for resolver in &self.addresses {
            match ask(*resolver) {
                Ok(answer) => return Ok(answer),
                Err(error) => {
                    failure = io::Error::new(error.kind(), format!("{}: {error}", resolver.ip()));
                }
            }
        }
        Err(failure)
    }
}

/// The records of a kind at a name.
fn records(resolver: SocketAddr, name: &str, kind: Kind, until: Instant) -> io::Result<Answer> {
    let until = until.min(Instant::now() + ANSWER);
    let answer = berth_dns::ask_for_all(resolver, name, kind, until)?;
    match &answer.code {
        // One without such a name has no records of it.
        Code::Name | Code::NoName => Ok(answer),
        Code::Failure(code) => Err(io::Error::other(format!("the answer is {code}"))),
    }
}
