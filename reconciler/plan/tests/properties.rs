//! Promises of the planner, held against worlds that nobody thought of.

#![allow(clippy::expect_used, clippy::panic, reason = "a test says what it expects by unwrapping it")]

mod chance;
#[allow(dead_code, reason = "the documents need more of the language than the properties do")]
mod telling;

use std::collections::{BTreeMap, BTreeSet};

use berth_plan::configuration::Place;
use berth_plan::label::Tag;
use berth_plan::observed::{Observed, ObservedContainer};
use berth_plan::simulate::World;
use berth_plan::step::StageKind;
use berth_plan::{Action, Change, Inventory, Plan, Step, plan};
use berth_schema::testing::{harm, hostile_text};
use chance::{Scene, scenes};
use proptest::prelude::*;

/// Passes after which a world must be at rest: purges are paced, one at a time at the worst.
const PASSES: usize = 24;

proptest! {
    #![proptest_config(ProptestConfig { cases: 256, failure_persistence: None, ..ProptestConfig::default() })]

    /// One pass does everything but what has to wait: a purge for room in the budget, or for a stop.
    #[test]
    fn after_apply_there_is_nothing_to_do(scene in scenes()) {
        let mut world = scene.world.clone();
        let first = scene.plan(&world);
        apply(&mut world, &first)?;
        let second = scene.plan(&world);
        for change in second.changes() {
            // A container that somebody else made doesn't say which link it has, so its start makes none.
            let by_hand = change.steps.iter().all(|step| match step {
                Step::Connect { links, .. } => links.iter().all(|one| one.container.name == "copy"),
                _ => false,
            });
            // What a gateway works by that was frozen is seen once it goes on.
            let frozen = change.steps.iter().all(|step| matches!(step, Step::Reload { .. }));
            let waits = change.action == Action::Purge || by_hand || frozen;
            prop_assert!(waits, "after\n{}left\n{}", shown(&first), shown(&second));
        }
        let stopped_or_full = first.notes.iter().any(|note| note.about.contains("tombstone"))
            || first.changes().any(|change| change.action == Action::Stop && is_removal(&first, change));
        // A purge waits for the stop of its server, or for room among the tombstones; for nothing else.
        let purges = second.changes().any(|change| change.action == Action::Purge);
        prop_assert!(stopped_or_full || !purges, "no reason to wait\n{}", shown(&second));
        rest(&scene, world)?;
    }

    /// Checks that wherever a pass is cut off, the next ones reach the same end, and no data is lost on the way.
    #[test]
    fn a_crash_after_any_step_converges(scene in scenes(), cuts in prop::collection::vec(0_usize..8, 24)) {
        let first = scene.plan(&scene.world);
        let end = rest(&scene, scene.world.clone())?;
        let steps: Vec<&Step> = first.changes().flat_map(|change| &change.steps).collect();
        for k in 0..steps.len() {
            converges(&scene, &steps[..k], &end)?;
        }
        // Changes of one stage run side by side, so a crash cuts each of them off somewhere else.
        for (cut, stage) in first.stages.iter().enumerate() {
            let before = first.stages[..cut].iter().flat_map(|stage| &stage.changes).flat_map(|c| &c.steps);
            let within = stage.changes.iter().zip(&cuts).flat_map(|(c, k)| c.steps.iter().take(*k));
            converges(&scene, &before.chain(within).collect::<Vec<_>>(), &end)?;
        }
    }

    /// No plan removes more than the budget allows, unless a trailer names exactly these removals.
    #[test]
    fn removals_stay_within_the_budget(scene in scenes()) {
        let observed = scene.world.observed(scene.desired.prefix());
        let owned = scene.desired.servers.len() + Inventory::read(&observed).servers.len();
        let plan = scene.plan(&scene.world);
        let number = |action| plan.changes().filter(|change| change.action == action).count();
        let (entombs, purges) = (number(Action::Entomb), number(Action::Purge));
        let ceiling = scene.desired.removal_budget().allowed(owned);
        prop_assert!(plan.removals.lifted || entombs + purges <= ceiling, "{}", shown(&plan));
        prop_assert!(plan.removals.lifted || entombs <= plan.removals.allowed, "{}", shown(&plan));
        prop_assert!(plan.removals.allowed <= ceiling);
        prop_assert!(!plan.removals.lifted || plan.removals.hash.as_deref() == scene.allowance.as_deref());

        // Nor does a second pass of the same revision, or one that follows a crash.
        let mut world = scene.world.clone();
        let mut entombed = BTreeSet::new();
        for _ in 0..PASSES {
            let plan = scene.plan(&world);
            let removed = plan.changes().filter(|change| change.action == Action::Entomb);
            entombed.extend(removed.map(|change| change.subject.clone()));
            prop_assert!(plan.removals.lifted || entombed.len() <= plan.removals.allowed, "{}", shown(&plan));
            apply(&mut world, &plan)?;
        }
        // Data goes by a purge and by nothing else, and every loss is told.
        for change in plan.changes() {
            let loses = change.steps.iter().any(|step| matches!(step, Step::RemoveVolume { name } if is_data(&observed, name)));
            prop_assert!(!loses || (change.action == Action::Purge && !change.losses.is_empty()));
            let remakes = change.steps.iter().any(|step| matches!(step, Step::RemoveContainer(_)));
            let is_server = matches!(change.subject, berth_plan::Subject::Server { .. });
            prop_assert!(!(remakes && is_server) || change.action == Action::Purge || !change.losses.is_empty());
        }
    }

    /// Checks that what isn't ours is in no step, and is as it was when all is done.
    #[test]
    fn what_is_not_ours_is_not_touched(scene in scenes()) {
        let before = scene.world.observed(scene.desired.prefix());
        let foreign = foreign(&before);
        let plan = scene.plan(&scene.world);
        for step in plan.changes().flat_map(|change| &change.steps) {
            prop_assert!(named(step).iter().all(|name| !foreign.contains_key(name)), "{step:?}");
            if let Step::CreateContainer(spec) = step {
                for mount in &spec.mounts {
                    prop_assert!(!foreign.contains_key(&("volume", mount.volume.clone())), "{step:?}");
                }
                for network in &spec.networks {
                    prop_assert!(!foreign.contains_key(&("network", network.clone())), "{step:?}");
                }
            }
        }
        let after = rest(&scene, scene.world.clone())?.observed(scene.desired.prefix());
        prop_assert_eq!(foreign, self::foreign(&after));
    }

    /// The order in which the engine and the state list things doesn't show.
    #[test]
    fn the_order_of_input_does_not_matter(scene in scenes(), turn in 0_usize..7) {
        let expected = scene.plan(&scene.world);
        let mut observed = scene.world.observed(scene.desired.prefix());
        let mut desired = scene.desired.clone();
        mix(&mut observed.containers, turn);
        mix(&mut observed.volumes, turn);
        mix(&mut observed.networks, turn);
        mix(&mut desired.servers, turn);
        mix(&mut desired.system, turn);
        mix(&mut desired.networks, turn);
        prop_assert_eq!(expected, plan(&desired, &observed, &scene.context()));
    }

    /// Checks that applying a plan changes what the plan names, no more and no less.
    #[test]
    fn what_is_touched_is_what_is_planned(scene in scenes()) {
        let plan = scene.plan(&scene.world);
        let effects = |step: &&Step| !matches!(step, Step::RequireImage { .. } | Step::RequireAddress { .. });
        let planned: BTreeSet<_> =
            plan.changes().flat_map(|change| &change.steps).filter(effects).flat_map(named).collect();
        let mut world = scene.world.clone();
        apply(&mut world, &plan)?;
        let (before, after) = (things(&scene, &scene.world), things(&scene, &world));
        let names: BTreeSet<_> = before.keys().chain(after.keys()).collect();
        let touched: BTreeSet<_> =
            names.into_iter().filter(|name| before.get(*name) != after.get(*name)).cloned().collect();
        prop_assert_eq!(touched, planned);
    }

    /// Checks that only text is shown: nothing that somebody typed moves a cursor or makes markup.
    #[test]
    fn nothing_typed_breaks_what_is_shown(scene in scenes(), typed in hostile_text()) {
        let mut world = scene.world.clone();
        world.relabel("demo-users-dind-1", berth_plan::label::NAME, &typed);
        world.relabel("demo-users-dind-1", berth_plan::label::IMAGE, &typed);
        world.place_volume(&typed, BTreeMap::from([("berth.platform".to_owned(), "demo".to_owned())]));
        let plan = scene.plan(&world);
        let text = shown(&plan);
        prop_assert_eq!(harm(&text), None, "{}", text);
        let markdown = berth_plan::show::markdown(&plan, berth_plan::show::Comment::Brief);
        prop_assert_eq!(harm(&markdown), None, "{}", markdown);
        let own = ["<br>", "<details>", "</details>", "<summary>", "</summary>"];
        let rest = own.iter().fold(markdown, |text, tag| text.replace(tag, ""));
        prop_assert!(!rest.contains('<'), "{rest}");
        let json = berth_plan::show::json(&plan).expect("json");
        prop_assert_eq!(harm(&json), None, "{}", json);
    }
}

/// Applies a plan: the planner plans no step that the engine refuses.
fn apply(world: &mut World, plan: &Plan) -> Result<(), TestCaseError> {
    world.apply_plan(plan).map_err(|error| TestCaseError::fail(format!("{error}\n{}", shown(plan))))
}

/// Applies plans until there is nothing left to do.
fn rest(scene: &Scene, mut world: World) -> Result<World, TestCaseError> {
    for _ in 0..PASSES {
        let plan = scene.plan(&world);
        if plan.is_empty() {
            return Ok(world);
        }
        apply(&mut world, &plan)?;
    }
    Err(TestCaseError::fail(format!("never comes to rest:\n{}", shown(&scene.plan(&world)))))
}

fn converges(scene: &Scene, done: &[&Step], end: &World) -> Result<(), TestCaseError> {
    let mut world = scene.world.clone();
    for step in done {
        world.apply(step).expect("a part of a plan that works");
    }
    let world = rest(scene, world)?;
    let prefix = scene.desired.prefix();
    // Nobody knows what was applied, and the container went whose labels knew that its server was renamed and given
    // away: the labels of its data then look like another server's, which is held back for a person to decide.
    let in_doubt =
        scene.previous.is_none() && scene.plan(&world).blocked.len() > scene.plan(end).blocked.len();
    if !in_doubt {
        let (here, there) = (without_ids(world.observed(prefix)), without_ids(end.observed(prefix)));
        prop_assert_eq!(here, there, "after {:?}", done);
    }
    for volume in scene.world.observed(prefix).volumes {
        let before = scene.world.content(&volume.name);
        let kept = end.content(&volume.name) == before;
        prop_assert!(
            !kept || world.content(&volume.name) == before,
            "{} lost its data after {:?}",
            volume.name,
            done
        );
    }
    Ok(())
}

fn without_ids(mut observed: Observed) -> Observed {
    observed.networks.iter_mut().for_each(|network| network.id.clear());
    observed.networks.sort_by(|a, b| a.name.cmp(&b.name));
    observed.containers.iter_mut().for_each(|container| container.id.clear());
    if let Some(plane) = &mut observed.plane {
        plane.joined = plane.joined.iter().map(|_| String::new()).collect();
    }
    observed
}

/// The container that is the gateway, and its volume.
const GATEWAY: &str = "demo-users-firewall";

type Name = (&'static str, String);

/// Kinds and names of what a step is about.
fn named(step: &Step) -> Vec<Name> {
    vec![match step {
        Step::Connect { links, .. } => {
            return links.iter().map(|one| ("container", one.container.name.clone())).collect();
        }
        Step::Configure(spec) => match &spec.place {
            Place::Container { volume, .. } => ("volume", volume.clone()),
            Place::Host { .. } => ("host", "rules".to_owned()),
        },
        Step::Reload { container, .. } => ("volume", container.clone()),
        Step::WithdrawHostRules { .. } => ("host", "rules".to_owned()),
        Step::CreateNetwork(spec) => ("network", spec.name.clone()),
        Step::RemoveNetwork { name, .. } => ("network", name.clone()),
        Step::CreateVolume(spec) => ("volume", spec.name.clone()),
        Step::PlaceIdentity(spec) => ("volume", spec.volume.clone()),
        Step::PlaceProgram(spec) | Step::ReplaceProgram(spec) => ("volume", spec.volume.clone()),
        Step::RemoveVolume { name } => ("volume", name.clone()),
        Step::RequireImage { image } => ("image", image.clone()),
        Step::RequireAddress { address } => ("address", address.to_string()),
        Step::CreateContainer(spec) => ("container", spec.name.clone()),
        Step::StartContainer(container)
        | Step::UnpauseContainer(container)
        | Step::StopContainer { container, .. }
        | Step::UpdateLimits { container, .. }
        | Step::RemoveContainer(container) => ("container", container.name.clone()),
    }]
}

/// Everything in a world, with all that can be seen of it.
fn things(scene: &Scene, world: &World) -> BTreeMap<Name, String> {
    let observed = world.observed(scene.desired.prefix());
    let inventory = Inventory::read(&observed);
    // Nobody can say which of two is the server, so neither is linked again when the plane is another one.
    let in_doubt = |container: &ObservedContainer| match &container.tag {
        Some(Tag::Server { id, .. }) => inventory.servers.get(id).is_some_and(|held| !held.rivals.is_empty()),
        Some(Tag::Unreadable { .. }) => true,
        _ => false,
    };
    let networks = observed.networks.iter().map(|n| (("network", n.name.clone()), format!("{n:?}")));
    // What is in force is seen in the gateway, and told of its volume: a gateway that starts takes up what lies there.
    let gateway = |(_, name): Name| name == GATEWAY || name.ends_with("-filtered-users");
    let first = scene.plan(&scene.world);
    let steps = first.changes().flat_map(|change| &change.steps);
    let starts = steps
        .filter(|step| !matches!(step, Step::Reload { .. } | Step::Configure(_) | Step::CreateVolume(_)))
        .any(|step| named(step).into_iter().any(gateway));
    let works_by = |volume: &str| {
        let gateway = observed.plane.as_ref().and_then(|plane| plane.gateway.as_ref());
        gateway.filter(|_| volume == GATEWAY && !starts)
    };
    let volumes = observed.volumes.iter().map(|v| {
        let in_force = works_by(&v.name);
        (("volume", v.name.clone()), format!("{v:?} {:?} {in_force:?}", world.content(&v.name)))
    });
    let containers = observed.containers.iter().map(|c| {
        (
            ("container", c.name.clone()),
            format!("{c:?} {:?}", world.reaches(&c.name).filter(|_| !in_doubt(c))),
        )
    });
    let rules = [(("host", "rules".to_owned()), format!("{:?}", observed.host_rules))];
    networks.chain(volumes).chain(containers).chain(rules).collect()
}

/// Things that carry no label of ours, or one that can't be read.
fn foreign(observed: &Observed) -> BTreeMap<Name, String> {
    let is_foreign = |tag: &Option<Tag>| matches!(tag, None | Some(Tag::Unreadable { .. }));
    let networks = observed.networks.iter().filter(|n| is_foreign(&n.tag));
    let volumes = observed.volumes.iter().filter(|v| is_foreign(&v.tag));
    let containers = observed.containers.iter().filter(|c| is_foreign(&c.tag));
    networks
        .map(|n| (("network", n.name.clone()), format!("{n:?}")))
        .chain(volumes.map(|v| (("volume", v.name.clone()), format!("{v:?}"))))
        .chain(containers.map(|c| (("container", c.name.clone()), format!("{c:?}"))))
        .collect()
}

fn is_data(observed: &Observed, volume: &str) -> bool {
    observed.volumes.iter().any(|v| v.name == volume && matches!(v.tag, Some(Tag::Data { .. })))
}

fn is_removal(plan: &Plan, change: &Change) -> bool {
    let mut removals = plan.stages.iter().filter(|stage| stage.kind == StageKind::Removals);
    removals.any(|stage| stage.changes.contains(change))
}

fn mix<T>(list: &mut [T], turn: usize) {
    let length = list.len().max(1);
    list.rotate_left(turn % length);
    if turn % 2 == 1 {
        list.reverse();
    }
}

fn shown(plan: &Plan) -> String {
    berth_plan::show::text(plan, &berth_plan::show::Style::default())
}
