//! Names: what a server may learn by asking, and where an answer may lead it.

use super::{Act, CONTACTS_OTHERS, Expected, Proof, Suite, Threat, Trial};

pub(super) fn list(suite: &mut Suite<'_>) {
    let scene = suite.scene;
    let containers = ["users-caddy", "users-dockerhub-cache", "filtered-users", "users-dind-1"];
    let names = containers.map(|end| format!("{}-{end}", scene.prefix));
    suite.of(Threat::Names).refused("other containers' names, of the engine's resolver (127.0.0.11)", |_| {
        let server = std::net::Ipv4Addr::new(127, 0, 0, 11);
        let acts = names.iter().map(|name| Act::Ask { server, name: name.clone(), count: 1 });
        Trial::of(acts.collect(), vec![Proof::AnswersAbove(0)]).may_stay()
    });
    suite.refused("other containers' names, of the gateway", |_| {
        let acts = names.iter().map(|name| Act::Ask { server: scene.gateway, name: name.clone(), count: 1 });
        Trial::of(acts.collect(), vec![Proof::Says("address ".to_owned())]).counted(0)
    });
    let rebinding = "a name of the internet that leads into a private network";
    suite.of(Threat::Rebinding);
    match &scene.outside {
        None => suite.not_here(rebinding, Expected::Refused, CONTACTS_OTHERS),
        Some(outside) => suite.refused(rebinding, |_| {
            let ask = Act::Ask { server: scene.gateway, name: outside.name_of_private.clone(), count: 1 };
            Trial::of(vec![ask], vec![Proof::Says("address ".to_owned())]).counted(0)
        }),
    }
}
