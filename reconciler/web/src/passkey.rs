//! One's passkeys: what a browser needs to make or use one, and the list of them. The door makes each challenge and checks each
//! answer; the panel passes both on.

use axum::extract::{FromRequestParts, State};
use axum::response::{IntoResponse as _, Response};
use berth_wire::web::{AddPasskey, BeginPasskey, Ceremony, Challenge, RemovePasskey, Secret};
use http::header::{CACHE_CONTROL, CONTENT_TYPE};
use http::request::Parts;

use crate::app::App;
use crate::guard;
use crate::page;
use crate::problem::Problem;
use crate::session::Notice;
use crate::visitor::{Peer, Sent, Visitor};

/// Name and port by which the browser calls the panel. The guard has checked it.
#[derive(Debug, Clone)]
pub(crate) struct Host(pub(crate) String);

impl FromRequestParts<App> for Host {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &App) -> Result<Self, Problem> {
        Ok(Self(guard::host(&parts.uri, &parts.headers).unwrap_or_default().to_owned()))
    }
}

/// `POST /login/passkey/options`: a challenge for whoever wants to sign in, or to confirm who they are.
pub(crate) async fn challenge(
    State(app): State<App>,
    Peer(from): Peer,
    Host(host): Host,
) -> Result<Response, Problem> {
    Ok(json(app.door.ask(None, &Challenge { host, from }).await?))
}

/// `POST /account/passkeys/options`
pub(crate) async fn begin(
    State(app): State<App>,
    Host(host): Host,
    visitor: Visitor,
) -> Result<Response, Problem> {
    Ok(json(visitor.ask(&app, &BeginPasskey { host }).await?))
}

/// `POST /account/passkeys`
pub(crate) async fn add(
    State(app): State<App>,
    Host(host): Host,
    visitor: Visitor,
    sent: Sent,
) -> Result<Response, Problem> {
    let (name, response) = (sent.one("name").to_owned(), Secret(sent.one("response").to_owned()));
    visitor.ask(&app, &AddPasskey { host, name, response }).await?;
    visitor.tell(&app, Notice::good("The passkey is added. You can sign in by it from now on."));
    Ok(page::see_other("/account"))
}

/// `POST /account/passkeys/remove`
pub(crate) async fn remove(
    State(app): State<App>,
    visitor: Visitor,
    sent: Sent,
) -> Result<Response, Problem> {
    let question = RemovePasskey { user: visitor.person.name.clone(), id: sent.one("id").to_owned() };
    visitor.ask(&app, &question).await?;
    visitor
        .tell(&app, Notice::good("The passkey is removed, and whoever was signed in by it is signed out."));
    Ok(page::see_other("/account"))
}

fn json(ceremony: Ceremony) -> Response {
    ([(CONTENT_TYPE, "application/json"), (CACHE_CONTROL, "no-store")], ceremony.options).into_response()
}
