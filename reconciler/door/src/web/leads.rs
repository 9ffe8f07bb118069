//! Leads: where domains lead in DNS, as was heard lately. Whoever asks waits for nobody: what is missing or old is asked for meanwhile.

use std::sync::Arc;

use berth_schema::name::Fqdn;
use berth_wire::web::{Lead, Leads, Refusal};
use tokio::runtime::Handle;

use super::panel::{Asker, Panel};
use super::read::server_of;
use super::refusals::not_found;

/// Domains of one server that are looked after.
const MOST: usize = 20;

/// Tells where the domains of a server lead.
pub(crate) fn leads(panel: &Panel, asker: &Asker, asked: Leads) -> Result<Vec<Lead>, Refusal> {
    let state = asker.state();
    let server =
        state.servers.get(&asked.server).filter(|server| asker.sees(server)).ok_or_else(not_found)?;
    let domains = state.domains.values().filter(|domain| {
        // Where Cloudflare stands in front, its addresses say nothing.
        !domain.cloudflare && server_of(state, domain).is_some_and(|found| found.id == server.id)
    });
    let names: Vec<Fqdn> = domains.map(|domain| domain.fqdn.clone()).take(MOST).collect();
    let (told, stale) = panel.leads.of(&names, panel.now().steady);
    // Without a place they are asked for the next time that they are old.
    if let Ok(place) = Arc::clone(&panel.leads.places).try_acquire_owned()
        && !stale.is_empty()
    {
        let (heard, good, resolver) =
            (panel.leads.clone(), asker.good.clone(), panel.door.settings().resolver);
        Handle::current().spawn_blocking(move || {
            for name in stale {
                let to = berth_judge::leads::look(resolver, &good.state, &name);
                if let Some(known) = heard.names.lock().get_mut(&name) {
                    known.to = to;
                }
            }
            drop(place);
        });
    }
    Ok(told)
}
