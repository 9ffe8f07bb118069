//! The attempts, by group: each file lists ways that a hostile root may try, or that must work all the same.

mod allowed;
mod control;
mod floods;
mod gateway;
mod identity;
mod internet;
mod machine;
mod names;
mod neighbour;
mod parts;
mod services;
mod shares;
mod suite;
mod wire;

use crate::attempt::{Attempt, Group};
use crate::scene::Scene;
use crate::sighting::Tokens;

use suite::Suite;

/// Lists every attempt, in the order in which they are made.
pub(crate) fn all(scene: &Scene, tokens: &Tokens) -> Vec<Attempt> {
    let mut suite = Suite::new(scene, tokens);
    let groups: [(Group, List); 12] = [
        (Group::Allowed, allowed::list),
        (Group::Internet, internet::list),
        (Group::Machine, machine::list),
        (Group::Gateway, gateway::list),
        (Group::Services, services::list),
        (Group::Control, control::list),
        (Group::Neighbour, neighbour::list),
        (Group::Wire, wire::list),
        (Group::Identity, identity::list),
        (Group::Names, names::list),
        (Group::Shares, shares::list),
        // Last: a limit that a flood has reached holds for a while.
        (Group::Floods, floods::list),
    ];
    for (group, list) in groups {
        suite.group(group);
        list(&mut suite);
    }
    suite.done()
}

/// A function that adds the attempts of a group.
type List = fn(&mut Suite<'_>);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::attempt::Expected;
    use crate::threat::Threat;

    #[test]
    fn each_threat_has_attempts_and_each_attempt_shows_one_or_must_work() {
        let scene = Scene::example();
        let attempts = all(&scene, &Tokens::new(1));
        for threat in Threat::ALL {
            assert!(attempts.iter().any(|attempt| attempt.threat == Some(threat)), "{threat:?}");
        }
        for attempt in &attempts {
            assert_eq!(attempt.threat.is_none(), attempt.expected == Expected::Works, "{}", attempt.name);
            assert!(attempt.threat.is_none_or(|threat| Threat::ALL.contains(&threat)), "{}", attempt.name);
        }
    }

    #[test]
    fn nobody_outside_is_contacted_unless_there_is_a_lab() {
        let mut scene = Scene::example();
        scene.outside = None;
        let with_one = all(&Scene::example(), &Tokens::new(1));
        let without = all(&scene, &Tokens::new(1));
        let names = |attempts: &[Attempt]| attempts.iter().map(|it| it.name.clone()).collect::<Vec<_>>();
        assert_eq!(names(&with_one), names(&without), "what isn't tried is told");
        let not_tried = without.iter().filter(|attempt| attempt.how.is_err()).count();
        assert!(not_tried >= 20, "{not_tried}");
        assert!(with_one.iter().all(|attempt| attempt.how.is_ok()));
    }
}
