//! The plan of a form, against an engine: the one of the pass that applies it, and shown again when the engine changed.

use std::sync::Arc;

use berth_judge::Sights;
use berth_judge::form::{Author, Via};
use berth_plan::diff::{Context, plan};
use berth_plan::render::Templates;
use berth_plan::step::ContainerRef;
use berth_plan::{Desired, Identities, Programs, Step, show, simulate};
use berth_schema::State;
use berth_wire::Sight;
use berth_wire::web::{Commit, Committed, Object, Planned, Standing};
use jiff::Timestamp;

use super::{House, remove, user};

/// Somebody who looks, and sees this.
struct Seeing(Sight);

impl Sights for Seeing {
    fn look(&self, _: bool) -> Result<Sight, String> {
        Ok(self.0.clone())
    }

    fn identities(&self, state: &State) -> Result<Identities, String> {
        Ok(Identities::example(state.servers.keys().copied()))
    }
}

/// An engine on which main was applied; then some of its servers stopped by themselves.
fn engine(house: &House, stopped: &[&str]) -> Seeing {
    let state = house.repo().load(&house.tip()).unwrap().state.unwrap();
    let desired = desired(&state);
    let mut world = simulate::settled(&desired).unwrap();
    for name in stopped {
        let container = ContainerRef { id: None, name: format!("{}-users-dind-{name}", desired.prefix()) };
        world.apply(&Step::StopContainer { container, timeout: 1 }).unwrap();
    }
    Seeing(Sight {
        platform: desired.prefix().to_string(),
        observed: world.observed(desired.prefix()),
        applied: Some(house.tip().into()),
        templates: Templates::default(),
        programs: Programs::default(),
    })
}

fn desired(state: &State) -> Desired {
    let identities = Identities::example(state.servers.keys().copied());
    Desired::new(state, &Templates::default(), &Arc::new(identities))
}

fn planned(house: &House, engine: &Seeing) -> Planned {
    house
        .forms
        .plan(
            Author { name: &user("cyn"), engine, from: None, via: Via::Panel },
            &remove(Object::Server("cyns".to_owned())),
        )
        .unwrap()
}

fn commit(house: &House, engine: &Seeing, digest: &str) -> Committed {
    let commit = Commit {
        change: remove(Object::Server("cyns".to_owned())),
        digest: digest.to_owned(),
        from: None,
        knows: false,
    };
    house.forms.commit(Author { name: &user("cyn"), engine, from: None, via: Via::Panel }, &commit).unwrap()
}

#[test]
fn the_plan_that_was_shown_is_that_of_the_pass() {
    let house = House::new();
    let before = house.repo().load(&house.tip()).unwrap().state.unwrap();
    let engine = engine(&house, &["1"]);
    let shown = planned(&house, &engine);
    assert_eq!(shown.standing, Standing::Allowed);
    assert!(shown.plan.contains("server one (id 1) is started"), "{}", shown.plan);
    let Committed::Made { revision } = commit(&house, &engine, &shown.digest) else { panic!() };
    let after = house.repo().load(&revision).unwrap().state.unwrap();
    let (now, revision) = (Timestamp::now(), revision.to_string());
    let context =
        Context { now, revision: &revision, allowance: None, previous: Some(&before), largest_id: None };
    let pass = plan(&desired(&after), &engine.0.observed, &context);
    let digest = show::digest(&pass).unwrap();
    let first = format!("Planned against the engine as it is now (plan {digest}).\n");
    assert!(shown.plan.starts_with(&first), "{first}{}", shown.plan);
}

#[test]
fn an_engine_in_another_state_is_shown_first() {
    let house = House::new();
    let (then, now) = (engine(&house, &[]), engine(&house, &["2"]));
    let tip = house.tip();
    let shown = planned(&house, &then);
    let Committed::Changed { planned: again } = commit(&house, &now, &shown.digest) else { panic!() };
    assert!(again.plan.contains("server two (id 2) is started"), "{}", again.plan);
    assert_eq!(house.tip(), tip);
    assert!(matches!(commit(&house, &now, &again.digest), Committed::Made { .. }));
}
