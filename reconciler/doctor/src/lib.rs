//! The doctor: makes the attempts of a hostile root in a server, on the platform as it runs, and tells their results.
//!
//! It makes two canaries (an attacker and its neighbour), puts witnesses in every place that an attack might get to, goes
//! through a list of attempts (`attempts`), and takes all of it away again. It changes nothing of the platform, and
//! contacts nobody outside of it, unless it is given an internet of a lab's own. Refuses the engine's API: it makes its
//! canaries and looks at containers through `berth-engine`.

mod attempt;
mod attempts;
mod canary;
mod error;
mod frame;
mod kernel;
mod kind;
mod member;
mod report;
mod run;
mod scene;
mod share;
mod sighting;
mod threat;
mod witness;

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::{Duration, Instant};

use berth_engine::{Canaries, Connection, Reader};
use berth_fault::chain;
use berth_host::Way;
use berth_link::{Namespace, Plane};
use berth_plan::Desired;

use attempt::Place;
use canary::Root;
use run::Stage;
use scene::Scene;
use sighting::Tokens;
use witness::Witness;

pub use attempt::{Attempt, Expected, Group};
pub use error::DoctorError;
pub use report::{Answer, Report, Row, Verdict};
pub use scene::Outside;
pub use threat::Threat;

/// The scope of an examination.
#[derive(Debug, Clone, Default)]
pub struct Scope {
    /// A lab's own internet.
    pub outside: Option<Outside>,
    /// Words that an attempt has in its group or name; others aren't made.
    pub only: Option<String>,
    /// The way in which the engine tells servers apart; `None` where that isn't up to Berth's own runtime.
    pub way: Option<Way>,
}

/// Listener to an examination: it is told the attempt that begins, its verdict, and how many there are.
pub type Progress<'a> = &'a (dyn Fn(&Attempt, Option<&Verdict>, usize) + Send + Sync);

/// Tries everything. The canaries are removed whatever comes of it.
pub async fn isolation(
    engine: &Connection,
    desired: &Desired,
    scope: Scope,
    progress: Progress<'_>,
) -> Result<Report, DoctorError> {
    let (canaries, reader) = (Canaries::new(engine, desired.prefix()), Reader::new(engine));
    // Those that a doctor left who was killed.
    canaries.remove_all().await?;
    let report = tokio::select! {
        report = examine(&canaries, &reader, desired, scope, progress) => report,
        // Whoever interrupts wants it to end, not to leave its canaries.
        _ = interrupted() => Err(DoctorError::Interrupted),
    };
    canaries.remove_all().await?;
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
    canaries: &Canaries,
    reader: &Reader,
    desired: &Desired,
    scope: Scope,
    progress: Progress<'_>,
) -> Result<Report, DoctorError> {
    let panel = canary::at_the_uplink(canaries, desired).await?;
    let mut scene = Scene::look(reader, desired, &panel.name, scope.outside, scope.way).await?;
    let attacker = Root(canary::start(canaries, desired, &scene.attacker).await?);
    let neighbour = Root(canary::start(canaries, desired, &scene.neighbour).await?);
    linked(&scene)?;
    let tokens = Arc::new(Tokens::new(random()));
    let witnesses = witnesses(&scene, &tokens, [&attacker.0, &neighbour.0, &panel])?;
    scene.ports = witnesses.iter().map(|(place, witness)| (*place, witness.port)).collect();
    everybody_notices(&witnesses, &tokens).await?;
    let mut attempts = attempts::all(&scene, &tokens);
    attempts.retain(|attempt| scope.only.as_deref().is_none_or(|words| attempt.is_about(words)));
    let stage =
        Stage { scene: &scene, tokens: &tokens, attacker: &attacker, neighbour: &neighbour, witnesses };
    let mut rows = Vec::with_capacity(attempts.len());
    for attempt in &attempts {
        progress(attempt, None, attempts.len());
        let verdict = match stage.attempt(attempt).await {
            Ok(verdict) => verdict,
            // One row that could not be tried doesn't take the others' results away.
            Err(error) => Verdict::CouldNot(chain(&error)),
        };
        progress(attempt, Some(&verdict), attempts.len());
        rows.push(Row::new(attempt, verdict));
    }
    Ok(Report { rows })
}

/// Checks that the runtime has linked both canaries, as it links servers.
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
    [attacker, neighbour, panel]: [&berth_engine::Canary; 3],
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

/// Checks that every witness notices a packet on its own loopback. One that notices nothing would make every attack look
/// refused.
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

/// Returns the number that makes this run's tokens its own.
fn random() -> u32 {
    use std::hash::{BuildHasher as _, RandomState};
    // Each has random keys, which come from the operating system.
    RandomState::new().hash_one(0_u8) as u32
}
