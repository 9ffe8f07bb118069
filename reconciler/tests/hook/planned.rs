//! The plan in a push's answer is the plan of the pass that follows: the same digest, for the same look at the engine.

use std::sync::Arc;

use berth::source::Source;
use berth_engine::Identity;
use berth_judge::hook::{Acts, Asker, judge};
use berth_judge::{Sights, Update};
use berth_plan::diff::{ALLOW_REMOVALS, Context};
use berth_plan::render::Templates;
use berth_plan::step::ContainerRef;
use berth_plan::{Desired, Identities, Plan, Programs, Step, plan, show, simulate};
use berth_repo::{MAIN, StateRepo};
use berth_schema::State;
use berth_schema::report::Look;
use berth_wire::Sight;
use jiff::Timestamp;

use super::{Bench, InTime as _, git};

/// Somebody who looks, and sees this.
struct Seeing<'a> {
    sight: &'a Sight,
    identity: &'a Identity,
}

impl Sights for Seeing<'_> {
    fn look(&self, _: bool) -> Result<Sight, String> {
        Ok(self.sight.clone())
    }

    fn identities(&self, state: &State) -> Result<Identities, String> {
        Ok(self.identity.identities(state.servers.keys().copied()))
    }
}

/// A state repo, and an engine on which the first revision was applied, and somebody did things by hand since.
struct Scene {
    bench: Bench,
    identity: Identity,
    sight: Sight,
}

impl Scene {
    fn new() -> Self {
        let bench = Bench::without_hooks();
        let identity = Identity::open(&bench.data()).unwrap();
        let first = Source::open(&bench.bare).unwrap().find(None).unwrap().state.unwrap();
        let identities = identity.identities(first.state.servers.keys().copied());
        let desired = Desired::new(&first.state, &Templates::default(), &Arc::new(identities));
        let mut world = simulate::settled(&desired).unwrap();
        let holder = format!("{}-users-dind-1", desired.prefix());
        let container = ContainerRef { id: None, name: holder };
        world.apply(&Step::StopContainer { container, timeout: 1 }).unwrap();
        let sight = Sight {
            platform: desired.prefix().to_string(),
            observed: world.observed(desired.prefix()),
            applied: Some(first.revision),
            templates: Templates::default(),
            programs: Programs::default(),
        };
        Self { bench, identity, sight }
    }

    /// Plan of a pass with this look, at a revision that is the tip by then.
    fn pass(&self, revision: &str) -> Plan {
        let mut source = Source::open(&self.bench.bare).unwrap();
        let settled = source.find(Some(revision)).unwrap().state.unwrap();
        let applied = source.at(self.sight.applied.unwrap()).unwrap().state.unwrap();
        let identities = Arc::new(self.identity.identities(settled.state.servers.keys().copied()));
        let desired = Desired::new(&settled.state, &self.sight.templates, &identities);
        let revision = settled.revision.to_string();
        let context = Context {
            now: Timestamp::now(),
            revision: &revision,
            allowance: settled.allowance.as_deref(),
            previous: Some(&applied.state),
            largest_id: None,
        };
        plan(&desired, &self.sight.observed, &context)
    }

    /// Commits, judges the push as the hook does, and compares.
    fn compare(&self, message: &str, files: &[(&str, Option<&str>)]) -> Plan {
        let bench = &self.bench;
        let old = bench.tip();
        bench.commit(files);
        bench.git(&["commit", "--quiet", "--amend", "-m", message]);
        let new = bench.git(&["rev-parse", "HEAD"]);
        // The objects have to be there; main stays where it is until the push is judged.
        bench.git(&["push", "--quiet", bench.bare.to_str().unwrap(), "+HEAD:refs/heads/try"]);
        let update = Update {
            old: Some(old.parse().unwrap()),
            new: Some(new.parse().unwrap()),
            reference: MAIN.to_owned(),
        };
        let engine = Seeing { sight: &self.sight, identity: &self.identity };
        let asker = Asker {
            user: None,
            look: Look::Plain,
            engine: &engine,
            resolver: None,
            from: None,
            acts: Acts::AsThemselves,
        };
        let judgement = judge(&mut StateRepo::open(&bench.bare).unwrap(), &[update], asker).unwrap();
        assert!(judgement.accepted, "{}", judgement.text);
        let pass = self.pass(&new);
        let told = format!("(plan {})", show::digest(&pass).unwrap());
        assert!(judgement.text.contains(&told), "no `{told}` in\n{}", judgement.text);
        pass
    }
}

#[test]
fn the_plan_of_a_push_is_the_plan_of_the_pass() {
    let scene = Scene::new();
    // One server changes, one is new, and one was stopped by hand.
    let files = [
        ("servers/cyns.toml", Some("id = 2\nowner = \"cyn\"\ncpus = 2\n")),
        ("servers/shop.toml", Some("id = 3\nowner = \"bob\"\n")),
    ];
    let made = scene.compare("change", &files);
    assert!(made.changes().count() >= 3, "{made:?}");
    // Removals, which the state applied last has a say in, with and without the trailer that lifts the budget.
    let removed = [("servers/cyns.toml", None), ("servers/bobs.toml", None)];
    let held = scene.compare("remove", &removed);
    let restored = [
        ("servers/cyns.toml", Some("id = 2\nowner = \"cyn\"\n")),
        ("servers/bobs.toml", Some("id = 1\nowner = \"bob\"\n")),
    ];
    scene.compare("restore", &restored);
    let hash = held.removals.hash.clone().unwrap();
    let lifted = scene.compare(&format!("remove\n\n{ALLOW_REMOVALS}: {hash}"), &removed);
    assert!(!held.blocked.is_empty() && !held.removals.lifted && lifted.removals.lifted);
    scene.compare("restore", &restored);
    // A name and an id change hands.
    scene.compare("swap", &[("servers/bobs.toml", Some("id = 5\nowner = \"ann\"\n"))]);
}

#[test]
fn a_plan_between_revisions_blames_the_change_for_a_clash() {
    let bench = Bench::new();
    // It comes before the file whose id it takes, and that one is none of the change.
    bench.commit(&[("servers/anns.toml", Some("id = 2\nowner = \"ann\"\n"))]);
    let fetch = ["fetch", "--quiet", bench.work.to_str().unwrap(), "HEAD:refs/heads/try"];
    assert!(git(&bench.bare).args(fetch).in_time().status.success());
    let said = bench.berth(&["plan", "--from", "main", "--to", "try"]);
    assert!(!said.good, "{}", said.text);
    said.has(&["id 2 is taken by servers/cyns.toml:1:6", "--> servers/anns.toml:1:6"]);
    // At a revision alone there is no before, and paths decide.
    let said = bench.berth(&["plan", "--at", "try"]);
    assert!(!said.good);
    said.has(&["id 2 is taken by servers/anns.toml:1:6", "--> servers/cyns.toml:1:6"]);
}
