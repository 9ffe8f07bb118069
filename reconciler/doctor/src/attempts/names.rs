//! Names: what a server may learn by asking, and where an answer may lead it.

use std::num::NonZeroU32;

use berth_plan::names::{self, Service};
use berth_schema::name::ServerId;

use super::parts::CONTACTS_OTHERS;
use super::suite::Suite;
use crate::attempt::{Act, Expected, Proof, Trial};
use crate::threat::Threat;

pub(super) fn list(suite: &mut Suite<'_>) {
    let scene = suite.scene;
    let prefix = &scene.prefix;
    let names = [
        Service::Caddy.container(prefix),
        Service::Cache.container(prefix),
        names::holder(prefix),
        names::server_container(prefix, ServerId(NonZeroU32::MIN)),
    ];
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
