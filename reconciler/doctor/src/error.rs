//! The doctor's error.

use std::io;
use std::path::PathBuf;

use berth_engine::EngineError;

use crate::attempt::Place;
use crate::kind::Kind;

/// A reason for which nothing could be tried, or an attempt couldn't.
#[derive(Debug, thiserror::Error)]
#[expect(missing_docs, reason = "the messages say it")]
pub enum DoctorError {
    #[error(transparent)]
    Engine(#[from] EngineError),
    #[error(transparent)]
    Link(#[from] berth_link::Error),
    #[error("the platform's user plane is not there")]
    NoPlane,
    #[error(
        "cannot use the panel's stand-in: it ended, or has no address at the uplink, or no published port"
    )]
    NoPanel,
    #[error("the canary's link {port} was not made when it started")]
    NoLink { port: String },
    #[error("cannot read {path}: {why}")]
    Kernel { path: String, why: String },
    #[error("there is no witness at {place}")]
    NoWitness { place: Place },
    /// A canary's program failed by itself.
    #[error("a program in a canary ended with exit code {code}: {said}")]
    Program { code: i64, said: String },
    /// A canary's program didn't say how many it got.
    #[error("cannot learn how many {kind} a canary got: {said}")]
    Mute { kind: Kind, said: String },
    #[error("the neighbour gets no {kind} even while the attacker holds none")]
    Lacks { kind: Kind },
    #[error("interrupted, so nothing is known")]
    Interrupted,
    #[error("cannot learn the machine's addresses: {why}")]
    Machine { why: String },
    #[error("cannot send a witness to {place}")]
    Witness {
        place: Place,
        #[source]
        source: io::Error,
    },
    #[error(
        "the witness at {place} doesn't notice what certainly arrives there: its silence would prove nothing"
    )]
    Blind { place: Place },
    /// The description of a lab's internet can't be read.
    #[error("cannot read {}", path.display())]
    Outside {
        path: PathBuf,
        #[source]
        source: io::Error,
    },
}
