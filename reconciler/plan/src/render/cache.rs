//! The cache of images: a registry that fetches what it doesn't have.

use std::net::Ipv4Addr;

use berth_schema::State;
use serde::Serialize;

#[derive(Debug, Serialize)]
pub(super) struct Context {
    /// Its own address on the plane, the only one that it listens on.
    address: Ipv4Addr,
    /// Folder of the images in the container.
    storage: &'static str,
    /// Scheme, host and port of the registry that it fetches from.
    upstream: String,
}

pub(super) fn context(state: &State) -> Context {
    Context {
        address: state.platform.networks.cache(),
        storage: "/var/lib/registry",
        upstream: state.platform.cache.upstream.clone(),
    }
}
