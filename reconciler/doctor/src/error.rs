//! The doctor's error.

use std::io;
use std::path::PathBuf;

use berth_engine::EngineError;

use crate::attempt::Place;

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
    /// The attacker's program failed by itself.
    #[error("the attacker's program ended with exit code {code}: {said}")]
    Attacker { code: i64, said: String },
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
