//! The table of the panel's questions.

use berth_wire::web::Needs;

use super::account::{invitation, invite, redeem, set_password};
use super::api_tokens::{api_tokens, end_api_token, make_api_token};
use super::browse::{blame, diff, file, search, table, text, tree};
use super::changes::{approve, commit, plan, proposal, proposals, propose, propose_revert, reject, revert};
use super::docs::{doc, doc_file, docs, docs_search};
use super::factors::{
    add_passkey, begin_passkey, begin_totp, challenge, confirm, factors, lift_factor, new_recovery,
    remove_passkey, remove_totp, set_totp, sign_in_code, sign_in_passkey,
};
use super::leads::leads;
use super::oidc::{oidc_back, oidc_bind, oidc_confirm, oidc_join, oidc_sign_in, oidc_unbind, sign_in_ways};
use super::organisation::organisation;
use super::power::power;
use super::pulls::{pull, pull_withdraw, pulls};
use super::read::{
    blank, commit as commit_read, domain, domains, history, me, platform, server, servers, user, users,
};
use super::route::Routes;
use super::sessions::{end_session, end_sessions, sessions};
use super::sign_in::{sign_in, sign_out, sign_out_everywhere};
use super::site::{enter, gate_counted, open, renew};
use super::sync::sync;
use super::ticket::ticket;
use super::timeline::audit;

/// Every question that the door answers, a line each.
pub(crate) fn questions() -> Routes {
    Routes::default()
        .open(sign_in)
        .open(sign_in_code)
        .open(sign_in_passkey)
        .open(challenge)
        .open(sign_in_ways)
        .open(oidc_sign_in)
        .open(oidc_back)
        .open(oidc_join)
        .open(invitation)
        .open(redeem)
        .open(organisation)
        .closed(sign_out)
        .closed(sign_out_everywhere)
        .closed(set_password)
        .closed(invite)
        .closed(confirm)
        .closed(factors)
        .closed(begin_totp)
        .closed(set_totp)
        .closed(remove_totp)
        .closed(new_recovery)
        .closed(lift_factor)
        .closed(begin_passkey)
        .closed(add_passkey)
        .closed(remove_passkey)
        .closed(oidc_confirm)
        .closed(oidc_bind)
        .closed(oidc_unbind)
        .closed(sessions)
        .closed(end_session)
        .closed(end_sessions)
        .closed(audit)
        .closed(me)
        .closed(servers)
        .closed(server)
        .closed(domains)
        .closed(domain)
        .closed(leads)
        .closed(blank)
        .closed(users)
        .closed(user)
        .closed(history)
        .closed(commit_read)
        .closed(platform)
        .closed(plan)
        .closed(commit)
        .closed(propose)
        .closed(revert)
        .closed(propose_revert)
        .closed(proposals)
        .closed(proposal)
        .closed(approve)
        .closed(reject)
        .closed(pulls)
        .closed(pull)
        .closed(pull_withdraw)
        .closed(power)
        .closed(open)
        .closed(ticket)
        .closed(sync)
        .closed(api_tokens)
        .closed(make_api_token)
        .closed(end_api_token)
        .closed(tree)
        .closed(file)
        .closed(text)
        .closed(blame)
        .closed(diff)
        .closed(search)
        .closed(table)
        .reader(docs)
        .reader(doc)
        .reader(doc_file)
        .reader(docs_search)
}

/// Every question that the door answers to the gate.
pub(crate) fn gate_questions() -> Routes {
    Routes::default().open(enter).open(renew).open(gate_counted)
}

/// The paths of the questions of whoever is known, each with what an API token needs for it.
pub fn needs() -> Vec<(&'static str, Needs)> {
    questions().needs().collect()
}

/// The paths of all questions.
pub fn paths() -> Vec<&'static str> {
    questions().paths().collect()
}
