//! `/account/tokens`: one's API tokens, a new one, and the end of one.

use axum::extract::State as Of;
use axum::response::Response;
use berth_wire::web::{ApiTokens, AskError, EndApiToken, MakeApiToken, Scope, Why};
use http::header::CACHE_CONTROL;
use http::{HeaderValue, StatusCode};
use minijinja::{Value, context};
use serde::Serialize;

use super::words::value;
use crate::app::App;
use crate::page;
use crate::problem::{Problem, words};
use crate::session::Notice;
use crate::visitor::{Peer, Sent, Visitor};

/// Days of a token, where nobody says.
const DAYS: &str = "90";

/// A scope to choose.
#[derive(Debug, Serialize)]
struct Choice {
    word: &'static str,
    means: &'static str,
    chosen: bool,
}

fn means(scope: Scope) -> &'static str {
    match scope {
        Scope::Read => "sees what is yours, as each of the others does",
        Scope::Servers => "changes, restarts and cleans up servers",
        Scope::Domains => "changes domains",
        Scope::Reviews => "closes your proposals; with admin it approves and closes everybody’s",
        Scope::Account => "changes your address, and revokes tokens",
        Scope::Admin => "does what only admins may, for everybody",
    }
}

/// `GET /account/tokens`
pub(crate) async fn show(Of(app): Of<App>, visitor: Visitor) -> Result<Response, Problem> {
    sheet(&app, &visitor, &Sent(vec![("scope".to_owned(), "read".to_owned())]), context! {}).await
}

async fn sheet(app: &App, visitor: &Visitor, sent: &Sent, more: Value) -> Result<Response, Problem> {
    let tokens = visitor.ask(app, &ApiTokens::default()).await?;
    let chosen: Vec<&str> = sent.all("scope").collect();
    let scopes = Scope::ALL.into_iter().filter(|scope| *scope != Scope::Admin || visitor.person.is_admin());
    let scopes: Vec<Choice> = scopes
        .map(|scope| Choice {
            word: scope.word(),
            means: means(scope),
            chosen: chosen.contains(&scope.word()),
        })
        .collect();
    let context = context! {
        tokens => value(&tokens),
        scopes => value(&scopes),
        name => sent.one("name"),
        days => sent.get("days").unwrap_or(DAYS),
        ..more
    };
    Ok(page::render(app, visitor, "tokens.html", context))
}

/// `POST /account/tokens`: a new token, shown this once.
pub(crate) async fn make(
    Of(app): Of<App>,
    Peer(from): Peer,
    visitor: Visitor,
    sent: Sent,
) -> Result<Response, Problem> {
    // What is no scope and no number is refused by the door, which says what is one.
    let scopes = sent.all("scope").filter_map(|scope| scope.parse().ok()).collect();
    let days = sent.one("days").trim().parse().unwrap_or(0);
    let question = MakeApiToken { name: sent.one("name").to_owned(), scopes, days, from };
    match app.door.ask(Some(&visitor.token), &question).await {
        Ok(made) => {
            let mut page = sheet(&app, &visitor, &Sent::default(), context! { made => made.token.0 }).await?;
            // Out of every cache, "Back" included.
            page.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
            Ok(page)
        }
        Err(AskError::Refused(refused)) if refused.why == Why::BadQuestion => {
            let page = sheet(&app, &visitor, &sent, context! { wrong => words(refused) }).await?;
            Ok(page::with_status(StatusCode::UNPROCESSABLE_ENTITY, page))
        }
        Err(error) => Err(error.into()),
    }
}

/// `POST /account/tokens/revoke`
pub(crate) async fn revoke(Of(app): Of<App>, visitor: Visitor, sent: Sent) -> Result<Response, Problem> {
    visitor.ask(&app, &EndApiToken { user: None, id: sent.one("id").to_owned() }).await?;
    visitor.tell(&app, Notice::good("The token is revoked: it opens nothing any more."));
    Ok(page::see_other("/account/tokens"))
}
