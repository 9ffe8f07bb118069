//! Lead of a domain's name: here, elsewhere, or nowhere. Nothing is decided by it; its owner reads it.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use berth_schema::State;
use berth_schema::name::Fqdn;
use berth_wire::web::Destination;

use crate::proofs::Resolvers;

/// Asks where a name leads. `None` where DNS doesn't tell, or where nobody can say what the platform's own addresses are: they are
/// those of `[public]`, and without them those to which the platform's domain leads, unless that is behind Cloudflare.
pub fn look(resolver: Option<SocketAddr>, state: &State, fqdn: &Fqdn) -> Option<Destination> {
    let resolvers = Resolvers::of(resolver, state);
    let public = state.platform.public.addresses.iter().filter_map(|address| match address {
        IpAddr::V4(address) => Some(*address),
        IpAddr::V6(_) => None,
    });
    let mut wanted: Vec<Ipv4Addr> = public.collect();
    if wanted.is_empty() {
        if state.domains.get(&state.platform.domain).is_some_and(|domain| domain.cloudflare) {
            return None;
        }
        wanted = resolvers.addresses(state.platform.domain.as_str()).ok()?;
    }
    // Any name will do for a wildcard's.
    let addresses = resolvers.addresses(&fqdn.as_str().replacen('*', "any", 1)).ok()?;
    Some(match (wanted.is_empty(), addresses.is_empty()) {
        (true, _) => return None,
        (false, true) => Destination::Nowhere { wanted },
        (false, false) if addresses.iter().all(|address| wanted.contains(address)) => Destination::Here,
        (false, false) => Destination::Elsewhere { addresses, wanted },
    })
}
