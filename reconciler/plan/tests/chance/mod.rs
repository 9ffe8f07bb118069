//! Scenes: a world that lived through a few states and accidents, and the state that is wanted now.

use std::collections::BTreeMap;
use std::fmt;

use berth_plan::identity::PLACED;
use berth_plan::label;
use berth_plan::observed::{Observed, RunState};
use berth_plan::program::{Found, Program};
use berth_plan::simulate::World;
use berth_plan::{Context, Desired, Plan, Programs, plan};
use berth_schema::State;
use jiff::Timestamp;
use proptest::prelude::*;

use crate::telling::{Files, base, state};

const DAY: i64 = 24 * 60 * 60;
/// The numbers that servers have, few enough to meet again.
const IDS: std::ops::Range<u32> = 1..7;
const REVISION: &str = "now";

/// The world that is there, and the state that is wanted.
#[derive(Clone)]
pub(crate) struct Scene {
    pub(crate) world: World,
    pub(crate) desired: Desired,
    pub(crate) allowance: Option<String>,
    pub(crate) previous: Option<State>,
    now: Timestamp,
    /// Its origin, for the report of a failure.
    told: String,
}

impl fmt::Debug for Scene {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.told)
    }
}

impl Scene {
    pub(crate) fn context(&self) -> Context<'_> {
        Context {
            now: self.now,
            revision: REVISION,
            allowance: self.allowance.as_deref(),
            previous: self.previous.as_ref(),
            largest_id: None,
        }
    }

    pub(crate) fn plan(&self, world: &World) -> Plan {
        plan(&self.desired, &world.observed(self.desired.prefix()), &self.context())
    }
}

#[derive(Debug, Clone)]
struct ServerChance {
    renamed: bool,
    owner: &'static str,
    stopped: bool,
    memory: u32,
    image: Option<u32>,
}

#[derive(Debug, Clone)]
struct StateChance {
    servers: BTreeMap<u32, ServerChance>,
    default_image: u32,
    subnet: u32,
    services: bool,
    share: u32,
    count: u32,
}

/// Something that happens behind the platform's back.
#[derive(Debug, Clone)]
enum Accident {
    State(String, RunState),
    LoseContainer(String),
    LoseVolume(String),
    LoseNetwork(String),
    Outdate(String),
    Rename(String),
    ForeignContainer(String),
    ForeignVolume(String),
    ForeignNetwork(String),
    Unreadable(String),
    Copy(u32),
    Orphan(String),
    CutLink(String),
    EditFile,
    /// Something else is in force than the files say.
    OtherInForce(&'static str),
    /// The SSH keys in a volume are others than Berth's.
    OtherKeys(String),
}

/// Worlds with two states of history, a few accidents, and a third state that is wanted.
pub(crate) fn scenes() -> impl Strategy<Value = Scene> {
    let history = prop::collection::vec((states(), 0_i64..50), 0..3);
    let some = || prop::collection::vec(accidents(), 0..6);
    (some(), history, some(), states(), 0_i64..50, any::<(bool, bool)>()).prop_map(
        |(early, history, late, wanted, days, (forgetful, lift))| {
            scene(&early, &history, &late, &wanted, days, forgetful, lift)
        },
    )
}

fn scene(
    early: &[Accident],
    history: &[(StateChance, i64)],
    late: &[Accident],
    wanted: &StateChance,
    days: i64,
    forgetful: bool,
    lift: bool,
) -> Scene {
    let mut world = World::default();
    // Before anything of ours exists, only strangers can happen.
    early.iter().for_each(|accident| happen(&mut world, accident));
    let mut now = Timestamp::from_second(1_767_225_600).expect("2026");
    let mut previous = None;
    for (number, (chance, days)) in history.iter().enumerate() {
        let state = written(chance);
        let desired = Desired::from_state(&state).with_programs(builds(number));
        let revision = format!("r{number}");
        let context = Context {
            now,
            revision: &revision,
            allowance: None,
            previous: previous.as_ref(),
            largest_id: None,
        };
        let plan = plan(&desired, &world.observed(desired.prefix()), &context);
        world.apply_plan(&plan).expect("history");
        if plan.blocked.is_empty() {
            previous = Some(state);
        }
        now += jiff::SignedDuration::from_secs(days * DAY);
    }
    late.iter().for_each(|accident| happen(&mut world, accident));
    now += jiff::SignedDuration::from_secs(days * DAY);
    let desired = Desired::from_state(&written(wanted)).with_programs(builds(history.len()));
    let previous = previous.filter(|_| !forgetful);
    let told = format!(
        "early {early:?}\nhistory {history:#?}\nlate {late:?}\nwanted {wanted:#?}\ndays {days} forgetful {forgetful} lift {lift}"
    );
    let mut scene = Scene { world, desired, allowance: None, previous, now, told };
    if lift {
        scene.allowance = scene.plan(&scene.world).removals.hash;
    }
    scene
}

/// Builds of the host's programs, of which the gate's is another one each time; at first nobody looks for them.
fn builds(number: usize) -> Programs {
    let found = |program: Program, build: usize| {
        (program, Found::File { path: format!("/{}", program.file()), digest: format!("{build:064}") })
    };
    let all = [found(Program::Gate, number), found(Program::Router, number / 2)];
    Programs(all.into_iter().filter(|_| number > 0).collect())
}

fn written(chance: &StateChance) -> State {
    let StateChance { servers, default_image, subnet, services, share, count } = chance;
    let mut files: Files = base();
    let external = if *subnet == 0 { 1 } else { 4 };
    files.insert(
        "platform.toml".to_owned(),
        format!(
            "domain = \"example.org\"\nprefix = \"demo\"\n[images]\nserver = \"server:{default_image}\"\n\
             holder = \"holder:1\"\n[networks]\nusers = \"10.9.2.0/24\"\nexternal = \"10.9.{external}.0/24\"\n\
             [quota]\nservers = 100\ncpus = 1000\nmemory = \"900 GiB\"\ndisk = \"9000 GiB\"\n\
             [services]\nfirewall = {services}\ncache = {services}\nweb = {services}\nrouter = {services}\n\
             [removal_budget]\nshare = 0.{share}\ncount = {count}\n"
        ),
    );
    for (id, server) in servers {
        let name = if server.renamed { format!("other{id}") } else { format!("server-{id}") };
        let state = if server.stopped { "stopped" } else { "running" };
        let image = server.image.map_or_else(String::new, |image| format!("image = \"server:{image}\"\n"));
        let (owner, memory) = (server.owner, server.memory);
        files.insert(
            format!("servers/{name}.toml"),
            format!(
                "id = {id}\nowner = \"{owner}\"\nstate = \"{state}\"\nmemory = \"{memory} MiB\"\n{image}"
            ),
        );
    }
    state(&files).expect("a good state")
}

fn states() -> impl Strategy<Value = StateChance> {
    let server = (
        prop::bool::weighted(0.15),
        prop_oneof![8 => Just("alice"), 1 => Just("bob"), 1 => Just("carol")],
        prop::bool::weighted(0.3),
        prop_oneof![Just(256_u32), Just(512)],
        prop::option::weighted(0.4, 1_u32..3),
    )
        .prop_map(|(renamed, owner, stopped, memory, image)| ServerChance {
            renamed,
            owner,
            stopped,
            memory,
            image,
        });
    (
        prop::collection::btree_map(IDS, server, 0..7),
        1_u32..3,
        prop_oneof![6 => Just(0_u32), 1 => Just(1)],
        prop::bool::weighted(0.7),
        1_u32..10,
        0_u32..5,
    )
        .prop_map(|(servers, default_image, subnet, services, share, count)| StateChance {
            servers,
            default_image,
            subnet,
            services,
            share,
            count,
        })
}

fn accidents() -> impl Strategy<Value = Accident> {
    let container = || {
        prop_oneof![
            6 => IDS.prop_map(|id| format!("demo-users-dind-{id}")),
            1 => Just("demo-filtered-users".to_owned()),
            1 => Just("demo-users-firewall".to_owned()),
            1 => Just("demo-users-caddy".to_owned()),
            1 => Just("demo-users-ssh-router".to_owned()),
        ]
    };
    let volume = || {
        (IDS, prop::sample::select(vec!["apps", "home", "docker", "ssh", "tombstone"]))
            .prop_map(|(id, end)| format!("demo-users-dind-{id}-{end}"))
    };
    let network = || Just("demo-external".to_owned());
    let run_state = prop::sample::select(vec![
        RunState::Created,
        RunState::Running,
        RunState::Restarting,
        RunState::Paused,
        RunState::Exited,
        RunState::Removing,
        RunState::Dead,
    ]);
    prop_oneof![
        4 => (container(), run_state).prop_map(|(name, state)| Accident::State(name, state)),
        2 => container().prop_map(Accident::LoseContainer),
        1 => volume().prop_map(Accident::LoseVolume),
        1 => network().prop_map(Accident::LoseNetwork),
        1 => prop_oneof![container(), network()].prop_map(Accident::Outdate),
        1 => container().prop_map(Accident::Rename),
        1 => container().prop_map(Accident::ForeignContainer),
        1 => volume().prop_map(Accident::ForeignVolume),
        1 => network().prop_map(Accident::ForeignNetwork),
        // Neither the holder nor a network: the planner can't see who is on a network or which subnet it has, so what
        // it can't read may be in the way, and the engine refuses.
        1 => prop_oneof![IDS.prop_map(|id| format!("demo-users-dind-{id}")), volume()]
            .prop_map(Accident::Unreadable),
        1 => IDS.prop_map(Accident::Copy),
        1 => Just(Accident::Orphan("demo-orphan".to_owned())),
        2 => container().prop_map(Accident::CutLink),
        1 => Just(Accident::EditFile),
        1 => prop::sample::select(vec!["rules", "names", "host"]).prop_map(Accident::OtherInForce),
        1 => prop_oneof![
            IDS.prop_map(|id| format!("demo-users-dind-{id}-ssh")),
            Just("demo-users-ssh-router".to_owned()),
        ]
        .prop_map(Accident::OtherKeys),
    ]
}

/// Does what can be done of an accident: what isn't there can't be broken, and what is there keeps its name.
fn happen(world: &mut World, accident: &Accident) {
    let observed = world.observed(&"demo".parse().expect("prefix"));
    let labels = |pairs: &[(&str, &str)]| -> BTreeMap<String, String> {
        pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
    };
    let foreign = labels(&[("maintainer", "somebody")]);
    match accident {
        Accident::State(name, state) => drop(world.set_state(name, *state)),
        Accident::LoseContainer(name) => drop(world.lose_container(name)),
        Accident::LoseVolume(name) => drop(world.lose_volume(name)),
        Accident::LoseNetwork(name) => drop(world.lose_network(name)),
        Accident::Outdate(name) => drop(world.outdate(name)),
        // An unreadable one under another name has volumes that nobody can know of; the engine keeps those.
        Accident::Rename(name) if is_unreadable(&observed, name) => {}
        Accident::Rename(name) => drop(world.rename_container(name, &format!("{name}-renamed"))),
        Accident::Unreadable(name) => drop(world.relabel(name, label::KIND, "riddle")),
        Accident::ForeignContainer(name) => {
            if observed.containers.iter().all(|container| container.name != *name) {
                world.place_container(name, foreign, RunState::Running);
            }
        }
        Accident::ForeignVolume(name) => {
            if observed.volumes.iter().all(|volume| volume.name != *name) {
                world.place_volume(name, foreign);
            }
        }
        Accident::ForeignNetwork(name) => {
            if observed.networks.iter().all(|network| network.name != *name) {
                world.place_network(name, foreign);
            }
        }
        Accident::CutLink(name) => drop(world.cut_link(name)),
        Accident::EditFile => drop(world.edit_file("demo-users-firewall", "rules.v4", "by hand")),
        Accident::OtherInForce("rules") => drop(world.load_rules("demo", "by hand")),
        Accident::OtherInForce("names") => drop(world.load_names("demo-users-firewall", "by hand")),
        Accident::OtherInForce(_) => drop(world.change_host_rules()),
        Accident::OtherKeys(volume) => drop(world.edit_file(volume, PLACED, "by hand")),
        Accident::Copy(id) => {
            let id = id.to_string();
            let labels = labels(&[
                (label::PLATFORM, "demo"),
                (label::KIND, label::KIND_SERVER),
                (label::SERVER, &id),
                (label::NAME, "copy"),
                (label::OWNER, "carol"),
                (label::IMAGE, "server:1"),
                (label::SPEC, "0"),
            ]);
            world.place_container("copy", labels, RunState::Running);
        }
        Accident::Orphan(name) => {
            let labels =
                labels(&[(label::PLATFORM, "demo"), (label::KIND, label::KIND_SYSTEM), (label::SPEC, "0")]);
            world.place_container(name, labels, RunState::Running);
        }
    }
}

fn is_unreadable(observed: &Observed, container: &str) -> bool {
    let mut containers = observed.containers.iter();
    containers.any(|c| c.name == container && matches!(c.tag, Some(label::Tag::Unreadable { .. })))
}
