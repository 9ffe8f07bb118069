//! One request: whether it is let through, and the answer.

use berth_schema::tool::Tool;
use http::header::SET_COOKIE;
use http::{Request, Response};
use hyper::body::Incoming;

use crate::cookie::{self, Found, GRANT};
use crate::ending::Body;
use crate::foreign::is_foreign;
use crate::gate::Gate;
use crate::live::No;
use crate::visit::{App, Visit};
use crate::{enter, page, path};

/// Answers a request.
pub(crate) async fn answer(gate: &Gate, mut request: Request<Incoming>) -> Response<Body> {
    let visit = Visit::read(request.headers());
    let own = cookie::take(request.headers_mut());
    let Some(visit) = visit else { return page::misdirected() };
    let (method, uri) = (request.method().clone(), request.uri().clone());
    if uri.path() == path::ENTER {
        return enter::enter(gate, &visit, &own, &method, &uri).await;
    }
    if path::is_own(uri.path()) {
        return page::no_such_page();
    }
    if own.grant == Found::Several {
        return page::two_cookies();
    }
    let lead = |headers| enter::lead(gate, &visit, &own, &method, &uri, headers);
    let Some(shown) = own.grant.one() else { return lead(request.headers()) };
    let used = match gate.grants.admit(shown, &visit.host).await {
        Ok(used) => used,
        Err(No::Grant) => return lead(request.headers()),
        Err(No::Door) => return page::unsure(gate.grants.contact().as_deref()),
    };
    let app = match &visit.app {
        App::At(app) => app.clone(),
        App::Stopped => return page::stopped(),
    };
    if Tool::at_port(app.port_u16().unwrap_or_default()).is_some()
        && is_foreign(&method, request.headers(), &visit)
    {
        return page::foreign();
    }
    let mut answer = gate.apps.carry(request, app, &used).await;
    if let Some(newer) = used.newer_than(shown) {
        answer.headers_mut().append(SET_COOKIE, cookie::set(GRANT, &newer));
    }
    answer
}
