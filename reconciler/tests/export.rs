//! Output of `berth export`, over the simulated engine: the state that runs comes back, and drift becomes edits.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test says what it expects by unwrapping"
)]

use std::collections::BTreeMap;
use std::sync::LazyLock;

use berth::export::{drift, export};
use berth_engine::{Foreign, Sighting};
use berth_plan::diff::{Context, plan};
use berth_plan::inventory::Inventory;
use berth_plan::label::Tag;
use berth_plan::observed::{ObservedVolume, RunState};
use berth_plan::simulate::World;
use berth_plan::step::ContainerRef;
use berth_plan::{Desired, Plan, Step, simulate};
use berth_schema::server::Limits;
use berth_schema::testing::{harm, hostile_text};
use berth_schema::{Parsed, State};
use proptest::prelude::*;

const FILES: [(&str, &str); 7] = [
    (
        "platform.toml",
        "domain = \"hosting.example.org\"\nprefix = \"uni\"\nisolation = \"capabilities\"\n\
         [networks]\nusers = \"10.77.1.0/24\"\nexternal = \"10.77.2.0/24\"\n[images]\nholder = \"holder:2\"\n\
         [services]\nweb = false\n[quota]\nservers = 9\ncpus = 20\nmemory = \"64 GiB\"\n",
    ),
    ("users/ann.toml", ""),
    ("users/bob.toml", ""),
    ("servers/blog.toml", "id = 3\nowner = \"ann\"\nstate = \"stopped\"\nimage = \"other:1\"\n"),
    ("servers/shop.toml", "# bob's\nid = 1\nowner = \"bob\"\ncpus = 0.5 # enough\nmemory = \"512 MiB\"\n"),
    ("servers/two.toml", "id = 2\nowner = \"bob\"\npids = 100\ncpus = 4\n"),
    ("servers/four.toml", "id = 4\nowner = \"bob\"\n"),
];

fn state<'f>(files: impl IntoIterator<Item = (&'f str, &'f str)>) -> State {
    let parsed: Vec<Parsed> = files.into_iter().map(|(path, text)| Parsed::parse(path, text)).collect();
    State::assemble(parsed.iter()).unwrap_or_else(|findings| panic!("{findings:#?}"))
}

fn planned(desired: &Desired, world: &World) -> Plan {
    let context = Context {
        now: jiff::Timestamp::UNIX_EPOCH,
        revision: "r",
        allowance: None,
        previous: None,
        largest_id: None,
    };
    plan(desired, &world.observed(desired.prefix()), &context)
}

fn seen(desired: &Desired, world: &World) -> Sighting {
    let begin = format!("{}-", desired.prefix());
    let subnets: BTreeMap<_, _> = desired
        .networks
        .iter()
        .map(|network| (network.name.strip_prefix(&begin).unwrap().to_owned(), network.subnet))
        .collect();
    let users = Some(desired.platform.networks.users);
    Sighting { observed: world.observed(desired.prefix()), subnets, users, ..Sighting::default() }
}

#[test]
fn what_runs_comes_back_as_the_state_that_it_was_made_from() {
    let desired = Desired::from_state(&state(FILES));
    let mut world = simulate::settled(&desired).unwrap();
    world.place_container("uni-users-dind-9", BTreeMap::new(), RunState::Running);
    let mut seen = seen(&desired, &world);
    seen.foreign.push(Foreign {
        id: berth_schema::name::ServerId("9".parse().unwrap()),
        container: "uni-users-dind-9".to_owned(),
        hostname: "wiki".to_owned(),
        image: "hosting-dind\nimage = \"evil\"".to_owned(),
        limits: Limits { nano_cpus: 1_500_000_000, memory: 1 << 30, pids: 0 },
        runs: false,
        mounts: vec![("/srv/wiki".to_owned(), "/apps".to_owned())],
    });
    let exported = export(desired.prefix(), &seen);
    let files = exported.files.iter().filter(|(path, _)| !path.starts_with("docs/"));
    let again = state(files.map(|(path, text)| (path.as_str(), text.as_str())));
    assert_eq!(again.servers.len(), 4);
    let after = Desired::from_state(&again);
    let left = planned(&after, &world);
    assert!(left.is_empty() && left.blocked.is_empty(), "{left:#?}");
    assert_eq!(after.platform.isolation, desired.platform.isolation);
    // Four servers' worth of processors are more than a member has by default.
    assert!(exported.files["users/bob.toml"].contains("[quota]"), "{}", exported.files["users/bob.toml"]);
    let adopt = &exported.files["docs/adopt/wiki.toml"];
    for part in [
        "id = 9\n",
        "state = \"stopped\"",
        "cpus = 1.5\n",
        "memory = \"1 GiB\"",
        "/srv/wiki at /apps",
        "docker rename uni-users-dind-9",
    ] {
        assert!(adopt.contains(part), "no {part} in {adopt}");
    }
    assert!(!adopt.lines().any(|line| line.starts_with("image")), "{adopt}");
    assert!(exported.open.iter().any(|line| line.contains("container uni-users-dind-9 isn't Berth's")));
}

#[test]
fn what_a_removed_server_left_is_told() {
    let before = Desired::from_state(&state(FILES));
    let mut world = simulate::settled(&before).unwrap();
    let after =
        Desired::from_state(&state(FILES.into_iter().filter(|(path, _)| *path != "servers/two.toml")));
    world.apply_plan(&planned(&after, &world)).unwrap();
    let exported = export(after.prefix(), &seen(&after, &world));
    assert!(!exported.files.contains_key("servers/two.toml"));
    assert!(
        exported.open.iter().any(|line| line.contains("server two (id 2) of bob was removed")),
        "{exported:#?}"
    );
}

#[test]
fn drift_becomes_edits_that_keep_the_rest_of_the_file() {
    let desired = Desired::from_state(&state(FILES));
    let mut world = simulate::settled(&desired).unwrap();
    let text = |path: &str| FILES.iter().find(|(name, _)| *name == path).map(|(_, text)| (*text).to_owned());
    let look = |world: &World| drift(&desired, &Inventory::read(&world.observed(desired.prefix())), text);
    assert_eq!(look(&world), berth::export::Drift::default());
    let change = |world: &mut World, id: u32, limits| {
        let container = ContainerRef { name: format!("uni-users-dind-{id}"), id: None };
        world.apply(&Step::UpdateLimits { container, limits }).unwrap();
    };
    change(&mut world, 1, Limits { nano_cpus: 2_000_000_000, memory: 512 << 20, pids: 2048 });
    change(&mut world, 4, Limits { nano_cpus: 0, memory: 1 << 30, pids: 2048 });
    assert!(world.set_state("uni-users-dind-2", RunState::Exited));
    let found = look(&world);
    assert_eq!(
        found.told,
        ["shop: cpus is 2, and should be 0.5", "two: state is stopped, and should be running"]
    );
    assert_eq!(found.unsaid, ["four: cpus is without a limit, which no file can say"]);
    let shop = "# bob's\nid = 1\nowner = \"bob\"\ncpus = 2 # enough\nmemory = \"512 MiB\"\n";
    assert_eq!(found.files.iter().find(|(path, _)| path == "servers/shop.toml").unwrap().1, shop);
    // Approved, it is what should exist: nothing is left to do for these.
    let edited: BTreeMap<&str, &str> = FILES
        .into_iter()
        .chain(found.files.iter().map(|(path, text)| (path.as_str(), text.as_str())))
        .collect();
    let after = planned(&Desired::from_state(&state(edited)), &world);
    assert_eq!(after.changes().count(), 1, "{after:#?}");
}

/// A platform on an engine, with a server that was removed.
static SEEN: LazyLock<Sighting> = LazyLock::new(|| {
    let before = Desired::from_state(&state(FILES));
    let mut world = simulate::settled(&before).unwrap();
    let after =
        Desired::from_state(&state(FILES.into_iter().filter(|(path, _)| *path != "servers/two.toml")));
    world.apply_plan(&planned(&after, &world)).unwrap();
    seen(&after, &world)
});

/// The same where everything that somebody may have typed is `typed`.
fn typed_by_hand(typed: &str) -> Sighting {
    let mut seen = SEEN.clone();
    for container in &mut seen.observed.containers {
        match &mut container.tag {
            Some(Tag::Server { id, name, image, .. }) if id.get() == 3 => {
                typed.clone_into(name);
                typed.clone_into(image);
            }
            _ if container.name == "uni-users-dind-1" => typed.clone_into(&mut container.name),
            _ => {}
        }
    }
    for volume in &mut seen.observed.volumes {
        if let Some(Tag::Tombstone(stone)) = &mut volume.tag {
            typed.clone_into(&mut stone.name);
            typed.clone_into(&mut stone.owner);
        }
    }
    seen.observed.volumes.push(ObservedVolume {
        name: typed.to_owned(),
        tag: Some(Tag::Unreadable { why: typed.to_owned() }),
        files: BTreeMap::new(),
    });
    seen.foreign.push(Foreign {
        id: berth_schema::name::ServerId("9".parse().unwrap()),
        container: typed.to_owned(),
        hostname: typed.to_owned(),
        image: typed.to_owned(),
        limits: Limits { nano_cpus: 1, memory: 1 << 30, pids: 1 },
        runs: false,
        mounts: vec![(typed.to_owned(), typed.to_owned())],
    });
    seen
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Checks that nothing on an engine acts on the reader of an export, or writes a line of it.
    #[test]
    fn no_export_harms_its_reader(typed in hostile_text()) {
        let prefix = "uni".parse().unwrap();
        let (typed, usual) = (typed_by_hand(&format!("X {typed}x")), typed_by_hand("X x"));
        let (exported, usual) = (export(&prefix, &typed), export(&prefix, &usual));
        prop_assert_eq!(exported.open.len(), usual.open.len());
        for line in &exported.open {
            prop_assert_eq!(harm(line), None, "{}", line);
            prop_assert!(!line.contains('\n'), "{line}");
        }
        prop_assert!(exported.files.keys().eq(usual.files.keys()), "{:?}", exported.files.keys());
        for (text, usual) in exported.files.values().zip(usual.files.values()) {
            prop_assert_eq!(harm(text), None, "{}", text);
            prop_assert_eq!(text.lines().count(), usual.lines().count(), "{}", text);
        }
    }
}
