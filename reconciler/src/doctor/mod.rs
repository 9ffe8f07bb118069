//! The doctor: tries what a hostile root in a server would try, on the platform as it runs, and says what came of it.
//!
//! It makes two canaries (an attacker and its neighbour), puts witnesses in every place that an attack might get to, goes
//! through a list of attempts (`attempts`), and takes all of it away again. It changes nothing of the platform, and
//! contacts nobody outside of it, unless it is given an internet of a lab's own.

mod attempt;
mod attempts;
mod canary;
mod frame;
mod kernel;
mod report;
mod run;
mod scene;
mod sighting;
mod threat;
mod witness;

use std::collections::BTreeMap;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use berth_link::{Namespace, Plane};
use berth_plan::Desired;
use bollard::Docker;

use attempt::Place;
use canary::Canary;
use run::Stage;
use scene::Scene;
use sighting::Tokens;
use witness::Witness;

use crate::docker::EngineError;

pub use attempt::{Attempt, Expected, Group};
pub use report::{Answer, Report, Row, Verdict};
pub use scene::Outside;
pub use threat::Threat;

/// Why nothing could be tried.
#[derive(Debug, thiserror::Error)]
pub enum DoctorError {
    /// The engine refused something.
    #[error(transparent)]
    Engine(#[from] EngineError),
    /// Something about the links.
    #[error(transparent)]
    Link(#[from] berth_link::Error),
    /// There is no plane.
    #[error("the platform's user plane is not there")]
    NoPlane,
    /// Whoever was to be on the control networks isn't.
    #[error("the canary on the control networks ended, or has no address or published port there")]
    NoPanel,
    /// A canary has no link.
    #[error("the canary's link {port} was not made when it started")]
    NoLink {
        /// The port.
        port: String,
    },
    /// What the kernel keeps can't be read.
    #[error("read {path}: {why}")]
    Kernel {
        /// The file.
        path: String,
        /// Why not.
        why: String,
    },
    /// An attempt asks about a place where nobody is.
    #[error("there is no witness at {place}")]
    NoWitness {
        /// The place.
        place: Place,
    },
    /// The attacker's program failed by itself.
    #[error("the attacker's program ended with exit code {code}: {said}")]
    Attacker {
        /// Its exit code.
        code: i64,
        /// What it said.
        said: String,
    },
    /// Whoever started it wants it to end.
    #[error("interrupted, so nothing is known")]
    Interrupted,
    /// The machine's addresses can't be read.
    #[error("learn the machine's addresses: {why}")]
    Machine {
        /// Why.
        why: String,
    },
    /// A witness could not be sent.
    #[error("send a witness to {place}")]
    Witness {
        /// Where to.
        place: Place,
        /// Why not.
        #[source]
        source: io::Error,
    },
    /// A witness is blind or deaf.
    #[error(
        "the witness at {place} doesn't notice what certainly arrives there: its silence would prove nothing"
    )]
    Blind {
        /// Where it is.
        place: Place,
    },
    /// The description of a lab's internet can't be read.
    #[error("read {path}")]
    Outside {
        /// The file.
        path: PathBuf,
        /// Why not.
        #[source]
        source: io::Error,
    },
}

/// How much is tried.
#[derive(Debug, Clone, Default)]
pub struct Scope {
    /// A lab's own internet.
    pub outside: Option<Outside>,
    /// Only attempts in whose group or name these words are.
    pub only: Option<String>,
}

/// Who is told how it goes on: the row that is being tried, and what came of it.
pub type Progress<'a> = &'a (dyn Fn(&Attempt, Option<&Verdict>, usize) + Send + Sync);

/// Tries everything. The canaries are removed whatever comes of it.
pub async fn isolation(
    docker: &Docker,
    desired: &Desired,
    scope: Scope,
    progress: Progress<'_>,
) -> Result<Report, DoctorError> {
    let platform = desired.prefix().to_string();
    // What a doctor that was killed has left.
    canary::remove_all(docker, &platform).await?;
    let report = tokio::select! {
        report = examine(docker, desired, scope, progress) => report,
        // Whoever interrupts wants it to end, not to leave its canaries.
        _ = interrupted() => Err(DoctorError::Interrupted),
    };
    canary::remove_all(docker, &platform).await?;
    report
}

async fn interrupted() {
    use tokio::signal::unix::{SignalKind, signal};
    let Ok(mut terminate) = signal(SignalKind::terminate()) else {
        let _ = tokio::signal::ctrl_c().await;
        return;
    };
    tokio::select! {
        _ = tokio::signal::ctrl_c() => {}
        _ = terminate.recv() => {}
    }
}

async fn examine(
    docker: &Docker,
    desired: &Desired,
    scope: Scope,
    progress: Progress<'_>,
) -> Result<Report, DoctorError> {
    let panel = Canary::on_control_networks(docker, desired).await?;
    let mut scene = Scene::look(docker, desired, &panel, scope.outside).await?;
    let attacker = Canary::start(docker, desired, &scene.attacker).await?;
    let neighbour = Canary::start(docker, desired, &scene.neighbour).await?;
    linked(&scene)?;
    let tokens = Arc::new(Tokens::new(random()));
    let witnesses = witnesses(&scene, &tokens, [&attacker, &neighbour, &panel])?;
    scene.ports = witnesses.iter().map(|(place, witness)| (*place, witness.port)).collect();
    everybody_notices(&witnesses, &tokens).await?;
    let mut attempts = attempts::all(&scene, &tokens);
    attempts.retain(|attempt| scope.only.as_deref().is_none_or(|words| attempt.is_about(words)));
    let stage = Stage { scene: &scene, tokens: &tokens, attacker: &attacker, witnesses };
    let mut rows = Vec::with_capacity(attempts.len());
    for attempt in &attempts {
        progress(attempt, None, attempts.len());
        let verdict = match stage.attempt(attempt).await {
            Ok(verdict) => verdict,
            // One row that could not be tried doesn't take the others' results away.
            Err(error) => Verdict::CouldNot(crate::outcome::chain(&error)),
        };
        progress(attempt, Some(&verdict), attempts.len());
        rows.push(Row::new(attempt, verdict));
    }
    Ok(Report { rows })
}

/// That the canaries' runtime has linked them, as it does for servers.
fn linked(scene: &Scene) -> Result<(), DoctorError> {
    let plane = Plane::registered(&scene.prefix)?.ok_or(DoctorError::NoPlane)?;
    let ports = plane.ports()?;
    for member in [&scene.attacker, &scene.neighbour] {
        if !ports.iter().any(|port| port.name == member.link.port && port.up) {
            return Err(DoctorError::NoLink { port: member.link.port.clone() });
        }
    }
    Ok(())
}

fn witnesses(
    scene: &Scene,
    tokens: &Arc<Tokens>,
    [attacker, neighbour, panel]: [&Canary; 3],
) -> Result<BTreeMap<Place, Witness>, DoctorError> {
    let mut namespaces = vec![
        (Place::Attacker, Namespace::of_process(attacker.pid)?),
        (Place::Neighbour, Namespace::of_process(neighbour.pid)?),
        (Place::Plane, Namespace::of_process(scene.holder)?),
        (Place::Host, Namespace::current()?),
        (Place::Control, Namespace::of_process(panel.pid)?),
    ];
    for (place, service) in &scene.services {
        namespaces.push((*place, Namespace::of_process(service.pid)?));
    }
    if let Some(outside) = &scene.outside {
        namespaces.push((Place::Outside, Namespace::at(&outside.namespace)?));
    }
    let mut witnesses = BTreeMap::new();
    for (place, namespace) in namespaces {
        let failed = |source| DoctorError::Witness { place, source };
        // The first is the one that is told to attempts, and 0 any that is free; the others are what is offered there.
        let (port, offered): (u16, &[u16]) = match place {
            Place::Neighbour => (0, &[80, 22]),
            Place::Control => (canary::PANEL, &canary::CONTROL_PORTS),
            _ => (0, &[]),
        };
        let mut witness = Witness::new(Arc::new(namespace), tokens, port).map_err(failed)?;
        for port in offered {
            witness.also_listen(tokens, *port).map_err(failed)?;
        }
        witnesses.insert(place, witness);
    }
    Ok(witnesses)
}

/// A witness that notices nothing would make every attack look refused: each is shown a packet on its own loopback.
async fn everybody_notices(witnesses: &BTreeMap<Place, Witness>, tokens: &Tokens) -> Result<(), DoctorError> {
    for (place, witness) in witnesses {
        let to = SocketAddr::from((Ipv4Addr::LOCALHOST, witness.port));
        let asked = tokio::task::block_in_place(|| witness.asks(to, &tokens.of(0)));
        let until = Instant::now() + Duration::from_secs(2);
        while !witness.saw(0) || !witness.heard(0) || !matches!(asked, Ok(true)) {
            if Instant::now() > until {
                return Err(DoctorError::Blind { place: *place });
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }
    Ok(())
}

/// What makes this run's tokens its own.
fn random() -> u32 {
    use std::hash::{BuildHasher as _, RandomState};
    // Each has random keys, which come from the operating system.
    RandomState::new().hash_one(0_u8) as u32
}
