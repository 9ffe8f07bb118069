//! Confirming: some acts want to know once more who it is, and lead here. Then the person goes on where they were.

use axum::extract::State;
use axum::response::Response;
use berth_wire::web::{AskError, Confirm, FactorSheet, Factors, Proof, Secret, Totp, Why};
use http::HeaderValue;
use http::StatusCode;
use http::header::RETRY_AFTER;
use minijinja::context;

use crate::app::App;
use crate::page;
use crate::passkey::Host;
use crate::problem::{Problem, words};
use crate::session::{Kept, Session};
use crate::visitor::{Peer, Sent, Visitor};

/// `GET /confirm`
pub(crate) async fn show(State(app): State<App>, visitor: Visitor) -> Result<Response, Problem> {
    form(&app, &visitor, None).await
}

async fn form(app: &App, visitor: &Visitor, wrong: Option<&str>) -> Result<Response, Problem> {
    let FactorSheet { totp, passkeys, has_account, provider, has_password, .. } =
        visitor.ask(app, &Factors { name: visitor.person.name.clone() }).await?;
    let by_provider = provider.filter(|_| has_account);
    let by_provider = by_provider.as_ref().map(|provider| &*provider.host);
    let context = context! { by_provider, has_password, wants_code => totp != Totp::Off, has_passkeys => !passkeys.is_empty(), wrong };
    Ok(page::render(app, visitor, "confirm.html", context))
}

/// The form once more, with what is wrong.
pub(crate) async fn again(
    app: &App,
    visitor: &Visitor,
    status: StatusCode,
    wrong: &str,
) -> Result<Response, Problem> {
    Ok(page::with_status(status, form(app, visitor, Some(wrong)).await?))
}

/// `POST /confirm`
pub(crate) async fn enter(
    State(app): State<App>,
    Peer(from): Peer,
    visitor: Visitor,
    sent: Sent,
) -> Result<Response, Problem> {
    let typed = |name| Secret(sent.one(name).to_owned());
    let proof = Proof::Password { password: typed("password"), code: typed("code") };
    confirm(&app, &visitor, Confirm { proof, from }, "That is not your password.").await
}

/// `POST /confirm/passkey`
pub(crate) async fn by_passkey(
    State(app): State<App>,
    Peer(from): Peer,
    Host(host): Host,
    visitor: Visitor,
    sent: Sent,
) -> Result<Response, Problem> {
    let proof = Proof::Passkey { host, response: Secret(sent.one("response").to_owned()) };
    confirm(
        &app,
        &visitor,
        Confirm { proof, from },
        "That passkey isn’t taken. Try once more, or type your password.",
    )
    .await
}

async fn confirm(app: &App, visitor: &Visitor, question: Confirm, wrong: &str) -> Result<Response, Problem> {
    let refused = match app.door.ask(Some(&visitor.token), &question).await {
        Ok(_) => return Ok(go_on(app, &visitor.session)),
        Err(AskError::Refused(refused)) => refused,
        Err(error) => return Err(error.into()),
    };
    let (status, wait) = match refused.why {
        Why::TooMany { seconds } => (StatusCode::TOO_MANY_REQUESTS, Some(seconds)),
        Why::WrongPassword | Why::WrongCode | Why::Forbidden => (StatusCode::FORBIDDEN, None),
        _ => return Err(refused.into()),
    };
    let told = match refused.why {
        Why::WrongPassword => wrong.to_owned(),
        _ => words(refused),
    };
    let mut answer = again(app, visitor, status, &told).await?;
    if let Some(seconds) = wait {
        answer.headers_mut().insert(RETRY_AFTER, HeaderValue::from(seconds));
    }
    Ok(answer)
}

/// Leads somebody to what they were about to do.
pub(crate) fn go_on(app: &App, session: &Session) -> Response {
    let next = match &session.content.kept {
        None => "/account",
        Some(Kept { form: Some(_), .. }) => return page::see_other("/resume"),
        Some(Kept { path, form: None }) => path,
    };
    if let Err(error) = app.sessions.change(session, |content| content.kept = None) {
        tracing::warn!(%error, "a path is remembered that somebody has gone by now");
    }
    page::see_other(next)
}
