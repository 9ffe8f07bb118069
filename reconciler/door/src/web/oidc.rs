//! Sign-in by an OpenID provider. The door makes what a round needs, checks what comes of it, and finds the person; `berth oidc` talks to
//! the provider and brings its keys, by which the door believes it; the panel carries the browser there and back, and has no say in who
//! somebody is.

mod back;
mod begin;
mod bind;
mod join;
mod joined;
pub(crate) mod provided;
mod provider;
mod rounds;
mod seen;
mod strangers;
mod word;

pub(crate) use back::oidc_back;
pub(crate) use begin::{oidc_bind, oidc_confirm, oidc_sign_in, sign_in_ways};
pub(crate) use bind::oidc_unbind;
pub(crate) use join::oidc_join;
