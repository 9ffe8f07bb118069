//! The way in: to the panel, and back with a secret that the door swaps for a grant.

use berth_fault::chain;
use berth_wire::web::{AskError, Enter, Granted, Secret};
use http::{HeaderMap, Method, Response, Uri};

use crate::cookie::{ENTRY, GRANT, Own};
use crate::ending::Body;
use crate::gate::Gate;
use crate::live::is_final;
use crate::page;
use crate::seal::Entry;
use crate::visit::{Visit, is_navigation, path_and_query};

/// Longest secret of an address.
const LONGEST_CODE: usize = 128;

/// Sends somebody to the panel who goes to a page, and tells everybody else that they aren't let in.
pub(crate) fn lead(
    gate: &Gate,
    visit: &Visit,
    own: &Own,
    method: &Method,
    uri: &Uri,
    headers: &HeaderMap,
) -> Response<Body> {
    let answer = match is_navigation(method, headers) {
        true => to_panel(gate, visit, own, path_and_query(uri)),
        false => page::sign_in(),
    };
    match own.grant.one() {
        // It isn't good, and would be shown again and again.
        Some(_) => page::with_cookie(answer, GRANT, ""),
        None => answer,
    }
}

fn to_panel(gate: &Gate, visit: &Visit, own: &Own, path: &str) -> Response<Body> {
    let host = visit.host.as_str();
    let before = own.entry.one().and_then(|value| gate.seal.read(host, value));
    let Ok(entry) = Entry::to(path, before) else {
        tracing::error!("there are no random bytes, so nobody is let in");
        return page::unsure(gate.grants.contact().as_deref());
    };
    let panel = visit.panel.as_str();
    let answer = page::see_other(&format!("{panel}/open?host={host}&challenge={}", entry.challenge()));
    page::with_cookie(answer, ENTRY, &gate.seal.write(host, &entry))
}

/// Lets somebody in who comes from the panel: their browser has to be the one that was sent there.
pub(crate) async fn enter(
    gate: &Gate,
    visit: &Visit,
    own: &Own,
    method: &Method,
    uri: &Uri,
) -> Response<Body> {
    if *method != Method::GET {
        return page::no_such_page();
    }
    let host = visit.host.as_str();
    let entry = own.entry.one().and_then(|value| gate.seal.read(host, value));
    let code = uri.query().and_then(|query| query.strip_prefix("code="));
    let code = code.filter(|code| {
        let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_".contains(&byte);
        !code.is_empty() && code.len() <= LONGEST_CODE && code.bytes().all(is_plain)
    });
    let (Some(entry), Some(code)) = (entry, code) else { return page::used_up() };
    let question =
        Enter { host: visit.host.clone(), code: Secret(code.to_owned()), challenge: entry.challenge() };
    let granted: Granted = match gate.ask(&question).await {
        Some(Ok(granted)) => granted,
        Some(Err(AskError::Refused(refusal))) if is_final(refusal.why) => return page::used_up(),
        Some(Err(error)) => {
            tracing::warn!(error = chain(&error), "a way in can't be used");
            return page::unsure(gate.grants.contact().as_deref());
        }
        None => return page::unsure(gate.grants.contact().as_deref()),
    };
    let Some((text, _)) = gate.grants.accept(granted, &visit.host) else {
        tracing::error!("the door has signed a grant with a key that it hasn't told");
        return page::unsure(gate.grants.contact().as_deref());
    };
    let answer = page::see_other(crate::path::back(&entry.path));
    page::with_cookie(page::with_cookie(answer, GRANT, &text), ENTRY, "")
}
