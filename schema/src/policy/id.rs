//! The id of a new server, for a door that chooses one.

use std::collections::{BTreeMap, BTreeSet};
use std::num::NonZeroU32;

use crate::name::{ServerId, UserName};
use crate::state::State;

/// Chooses the id of a new server: the lowest that no server has or had. Where none is left, it is the lowest of a removed
/// server that was only ever its owner's, since a server that takes an id takes over what is kept under it. `former` are the owners
/// that ids had, as for [`crate::policy::Proposal::former`]. If there is none at all, the answer is an id without an address,
/// which the state refuses.
pub fn free_id(state: &State, former: &[(ServerId, UserName)], owner: &str) -> ServerId {
    let mut owners: BTreeMap<u32, BTreeSet<&str>> = BTreeMap::new();
    for (id, owner) in former {
        owners.entry(id.get()).or_default().insert(owner.as_str());
    }
    let ids = || (1..=state.platform.networks.capacity()).filter_map(NonZeroU32::new).map(ServerId);
    let mut free = ids().filter(|id| !state.servers.contains_key(id));
    let never = free.clone().find(|id| !owners.contains_key(&id.get()));
    let own = |id: &ServerId| owners.get(&id.get()).is_some_and(|of| of.iter().all(|of| *of == owner));
    never.or_else(|| free.find(own)).unwrap_or_else(|| {
        let room = state.platform.networks.capacity();
        ServerId(NonZeroU32::MIN.saturating_add(room))
    })
}
