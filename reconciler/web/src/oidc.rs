//! Sign-in by an OpenID provider: the browser's way there and back. The door makes and checks everything; the panel remembers, under
//! the browser's own cookie, that a round was begun here, and passes on what the provider sent along.

use axum::extract::State;
use axum::response::Response;
use berth_schema::oidc::OidcAccount;
use berth_wire::web::{
    AskError, OidcBack, OidcBind, OidcConfirm, OidcJoin, OidcJoined, OidcOutcome, OidcRound, OidcSignIn,
    OidcUnbind, Secret, Why,
};
use http::header::{CACHE_CONTROL, REFERRER_POLICY, SET_COOKIE};
use http::{HeaderValue, StatusCode};
use minijinja::context;
use serde::Deserialize;

use crate::agent::Browser;
use crate::app::App;
use crate::confirm;
use crate::page;
use crate::page::address::Wishes;
use crate::passkey::Host;
use crate::problem::{Problem, words};
use crate::session::{Content, Notice, Session};
use crate::signin;
use crate::visitor::{Opened, Peer, Sent, Visitor};

/// Fields that the provider sends along with the browser.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Brought {
    state: String,
    code: Option<String>,
    error: Option<String>,
    iss: Option<String>,
}

/// `GET /login/oidc`
pub(crate) async fn begin(
    State(app): State<App>,
    Peer(from): Peer,
    Host(host): Host,
    Opened(session): Opened,
) -> Result<Response, Problem> {
    if session.as_ref().is_some_and(|session| session.content.token.is_some()) {
        return Ok(page::see_other("/"));
    }
    let round = app.door.ask(None, &OidcSignIn { host, from }).await?;
    leads(&app, session.as_ref(), round)
}

/// `POST /confirm/oidc`
pub(crate) async fn confirm(
    State(app): State<App>,
    Peer(from): Peer,
    Host(host): Host,
    visitor: Visitor,
    sent: Sent,
) -> Result<Response, Problem> {
    let question = OidcConfirm { host, code: Secret(sent.one("code").to_owned()), from };
    match app.door.ask(Some(&visitor.token), &question).await {
        Ok(round) => leads(&app, Some(&visitor.session), round),
        Err(AskError::Refused(refused)) if refused.why == Why::WrongCode => {
            confirm::again(&app, &visitor, StatusCode::FORBIDDEN, &words(refused)).await
        }
        Err(error) => Err(error.into()),
    }
}

/// `POST /account/oidc`
pub(crate) async fn bind(
    State(app): State<App>,
    Peer(from): Peer,
    Host(host): Host,
    visitor: Visitor,
) -> Result<Response, Problem> {
    let round = visitor.ask(&app, &OidcBind { host, from }).await?;
    leads(&app, Some(&visitor.session), round)
}

/// `POST /account/oidc/remove`
pub(crate) async fn unbind(
    State(app): State<App>,
    visitor: Visitor,
    sent: Sent,
) -> Result<Response, Problem> {
    let account = account(&sent)?;
    let knows = sent.get("knows").is_some();
    visitor.ask(&app, &OidcUnbind { user: visitor.person.name.clone(), account, knows }).await?;
    visitor
        .tell(&app, Notice::good("The account is taken out, and whoever was signed in by it is signed out."));
    Ok(page::see_other("/account"))
}

/// The account that a form is about.
pub(crate) fn account(sent: &Sent) -> Result<OidcAccount, Problem> {
    sent.one("account").parse().map_err(|_| Problem::not_found())
}

/// The page that leads to the provider. It goes on by itself, and isn't a redirect: whoever has just sent a form would be kept from
/// another site by the policy of that form's page.
fn leads(app: &App, session: Option<&Session>, round: OidcRound) -> Result<Response, Problem> {
    let OidcRound { url, round } = round;
    let session = match session {
        Some(session) => {
            let begun = |content: &mut Content| content.round = Some(round);
            app.sessions.change(session, begun).map_err(signin::failed)?;
            None
        }
        None => {
            let content = Content { round: Some(round), ..Content::default() };
            Some(app.sessions.begin_guest(content).map_err(signin::failed)?)
        }
    };
    let host =
        url.parse::<http::Uri>().ok().and_then(|uri| uri.host().map(str::to_owned)).unwrap_or_default();
    let mut answer = page::render_open(app, None, "provider.html", context! { url, to => host });
    let headers = answer.headers_mut();
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
    headers.extend(session.map(|session| (SET_COOKIE, session.cookie())));
    Ok(answer)
}

/// `GET /login/oidc/back`
pub(crate) async fn back(
    State(app): State<App>,
    Peer(from): Peer,
    Browser(browser): Browser,
    Opened(session): Opened,
    Wishes(brought): Wishes<Brought>,
) -> Result<Response, Problem> {
    let begun = session.as_ref().and_then(|session| Some((session, session.content.round.clone()?)));
    let Some((session, round)) = begun else {
        return Err(Problem::new(
            StatusCode::BAD_REQUEST,
            "This browser hasn’t begun to sign in by the provider, or that is over.",
        )
        .hint("Begin again, and stay in one browser."));
    };
    let Brought { state, code, error, iss } = brought;
    let question =
        OidcBack { round, state: Secret(state), code: code.map(Secret), error, iss, from, browser };
    match app.door.ask(None, &question).await? {
        OidcOutcome::Entered { entered } => {
            ended(&app, session)?;
            signin::entered_by(&app, Some(session), entered)
        }
        OidcOutcome::Confirmed => {
            ended(&app, session)?;
            Ok(confirm::go_on(&app, session))
        }
        OidcOutcome::Bound => {
            ended(&app, session)?;
            app.sessions
                .tell(session, Notice::good("The account is bound. You can sign in by it from now on."));
            Ok(page::see_other("/account"))
        }
        OidcOutcome::Stranger { stranger } => {
            let known = |content: &mut Content| (content.round, content.stranger) = (None, Some(stranger));
            app.sessions.change(session, known).map_err(signin::failed)?;
            Ok(page::see_other("/login/join"))
        }
    }
}

/// Forgets a round that has ended.
fn ended(app: &App, session: &Session) -> Result<(), Problem> {
    app.sessions.change(session, |content| content.round = None).map(drop).map_err(signin::failed)
}

/// `GET /login/join`
pub(crate) async fn show_join(State(app): State<App>, Opened(session): Opened) -> Response {
    let stranger = session.as_ref().and_then(|session| session.content.stranger.as_ref());
    let Some(stranger) = stranger else { return page::see_other("/login") };
    let context = context! { name => &*stranger.name, at_once => stranger.at_once };
    page::render_open(&app, session.as_ref(), "join.html", context)
}

/// `POST /login/join`
pub(crate) async fn join(
    State(app): State<App>,
    Peer(from): Peer,
    Browser(browser): Browser,
    Opened(session): Opened,
    sent: Sent,
) -> Result<Response, Problem> {
    let known = session.as_ref().and_then(|session| Some((session, session.content.stranger.clone()?)));
    let Some((session, stranger)) = known else { return Ok(page::see_other("/login")) };
    let name = sent.one("name").trim().to_owned();
    let question = OidcJoin { half: stranger.half.clone(), name: name.clone(), from, browser };
    match app.door.ask(None, &question).await {
        Ok(OidcJoined::SignedIn(signed_in)) => signin::begin(&app, Some(session), *signed_in),
        Ok(OidcJoined::Proposed { topic }) => {
            app.sessions.change(session, |content| content.stranger = None).map_err(signin::failed)?;
            Ok(page::render_open(&app, Some(session), "joining.html", context! { name, topic }))
        }
        Err(AskError::Refused(refused)) if refused.why == Why::BadQuestion => {
            let context = context! { name, at_once => stranger.at_once, wrong => words(refused) };
            let page = page::render_open(&app, Some(session), "join.html", context);
            Ok(page::with_status(StatusCode::UNPROCESSABLE_ENTITY, page))
        }
        Err(error) => Err(error.into()),
    }
}
