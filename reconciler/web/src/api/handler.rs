//! Every handler, for the table of routes.

pub(crate) use super::account::{login, logout, me};
pub(crate) use super::changes::{audit, change, changes, revert, sync};
pub(crate) use super::domains::{create_domain, domain, domains, edit_domain, remove_domain};
pub(crate) use super::openapi::show as openapi;
pub(crate) use super::problem::list as problems;
pub(crate) use super::pulls::{pull, pulls, withdraw};
pub(crate) use super::reviews::{approve, reject, review, reviews};
pub(crate) use super::seed::{
    cleanup_named, control, create_named, delete_named, dns, start_named, status, stop_named,
};
pub(crate) use super::servers::{
    clean_up, cleaned_up, create_server, edit_server, remove_server, restart, server, servers,
};
pub(crate) use super::swagger::{file as swagger_file, index as swagger, redirect as swagger_redirect};
pub(crate) use super::tokens::{make_token, revoke_token, revoke_token_of, tokens, tokens_of};
pub(crate) use super::users::{create_user, edit_user, invite, platform, remove_user, user, users};
