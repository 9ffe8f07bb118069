//! (c) Making and starting servers, against a bare loop over the engine's API that makes the very same calls.

use berth::source::Source;
use berth_plan::Desired;
use berth_plan::spec::{ContainerSpec, VolumeSpec};
use berth_tests::{Platform, World};

use crate::api::Api;
use crate::servers;
use crate::table;
use crate::times::Times;

const SERVERS: usize = 50;
const ROUNDS: usize = 4;
/// Changes that Berth does at a time.
const WIDTH: usize = 4;

pub(crate) fn run() -> anyhow::Result<()> {
    let engine = World::default().own_engine("bench-create");
    let api = Api::connect(&engine.docker().host())?;
    let platform = Platform::new(&engine, |folder| servers::write(folder, SERVERS));
    let specs = specs(&platform)?;
    let beginning = format!("{}-users-dind-", platform.prefix);

    // Networks and the holder are made once, here; and the first containers of an engine take longer.
    servers::apply(&platform)?;
    api.remove_all(&beginning)?;
    let (mut berth, mut bare) = (Times::default(), Times::default());
    for round in 0..ROUNDS {
        eprintln!("creating, round {} of {ROUNDS} …", round + 1);
        // The engine slows with what it has done before, so each goes first in turn.
        for turn in 0..2 {
            if (round + turn) % 2 == 0 {
                berth.measure(|| servers::apply(&platform))?;
            } else {
                bare.measure(|| api.make_all(&specs, WIDTH))?;
            }
            api.remove_all(&beginning)?;
        }
    }
    let over = 100.0 * (berth.ratio_to(&bare) - 1.0);
    table::print(
        &format!("(c) Create and start {SERVERS} servers, {WIDTH} at a time"),
        &["what", "time", "rounds", "against the loop"],
        &[
            vec![
                "`berth apply`, the whole process".into(),
                berth.to_string(),
                ROUNDS.to_string(),
                format!("{over:+.1} %"),
            ],
            vec![
                "bare loop over the engine's API".into(),
                bare.to_string(),
                ROUNDS.to_string(),
                String::new(),
            ],
        ],
    );
    Ok(())
}

/// Volumes and container of each server, byte by byte as a plan would make them.
fn specs(platform: &Platform) -> anyhow::Result<Vec<(Vec<VolumeSpec>, ContainerSpec)>> {
    let found = Source::open(&platform.repo())?.find(None)?;
    let settled = found.state.map_err(|findings| anyhow::anyhow!("the state has mistakes: {findings:?}"))?;
    let desired = Desired::from_state(&settled.state);
    Ok(desired
        .servers
        .iter()
        .map(|server| {
            let volumes = [desired.data_volumes(server), vec![desired.ssh_volume(server)]].concat();
            (volumes, desired.server_spec(server))
        })
        .collect())
}
