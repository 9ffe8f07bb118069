//! `routes.toml`: who may log in to which server, and where that is, for the SSH router.

use std::path::PathBuf;

use berth_schema::State;
use berth_schema::name::Invalid;
use berth_schema::route::{RouteServer, RouteUser, Routes, SERVER_PORT, SERVER_USER};
use berth_schema::user::Role;

use crate::identity::{CLIENT_KEY, Identities};
use crate::render::error::RenderError;
use crate::system::CONFIGURATION;

/// The routes that a state makes. A server without an address or a key can't be entered, and is left out.
pub fn routes(state: &State, identities: &Identities) -> Result<Routes, RenderError> {
    let failed = |invalid: Invalid| RenderError::Routes { reason: invalid.message };
    let mut routes = Routes::new(PathBuf::from(CONFIGURATION).join(CLIENT_KEY));
    for (name, user) in &state.users {
        let route = RouteUser {
            admin: user.role == Role::Admin,
            password_hash: state.platform.ssh.password_of(user).map(str::to_owned),
            keys: user.ssh_keys.clone(),
        };
        routes = routes.with_user(name.clone(), route);
    }
    let user = SERVER_USER.parse().map_err(failed)?;
    for server in state.servers.values() {
        let address = state.platform.networks.address(server.id);
        let (Some(address), Some(key)) = (address, identities.servers.get(&server.id)) else { continue };
        let route = RouteServer {
            id: server.id,
            owner: server.owner.clone(),
            members: server.members.clone(),
            host: address.into(),
            port: SERVER_PORT,
            user: Clone::clone(&user),
            host_key: key.clone(),
        };
        routes = routes.with_server(server.name.clone(), route).map_err(failed)?;
    }
    Ok(routes)
}

/// The routes as the router reads them.
pub fn text(routes: &Routes) -> Result<String, RenderError> {
    routes.render().map_err(|error| RenderError::Routes { reason: error.to_string() })
}
