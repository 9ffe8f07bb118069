//! API tokens of the caller's own.

use axum::extract::State;
use axum::response::{IntoResponse as _, Response};
use axum::{Extension, Json};
use berth_schema::name::UserName;
use berth_wire::web::{ApiTokenCard, ApiTokens, EndApiToken, MakeApiToken, Scope};
use http::StatusCode;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::body::{Named, Nothing, Sent, does_not_fit};
use super::caller::Caller;
use super::once::Untold;
use super::problem::Problem;
use super::shape::Written;
use crate::app::App;
use crate::visitor::Peer;

/// A token in a list.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Token {
    /// Name of it in paths, which is no secret.
    id: String,
    /// Name that its owner gave it.
    name: String,
    /// Its scopes.
    scopes: Vec<String>,
    /// Time of its making.
    made: String,
    /// End of it.
    until: String,
    /// Set once that has come.
    is_over: bool,
}

impl From<ApiTokenCard> for Token {
    fn from(card: ApiTokenCard) -> Self {
        Self {
            id: card.id,
            name: card.name,
            scopes: card.scopes.iter().map(ToString::to_string).collect(),
            made: card.made.to_string(),
            until: card.until.to_string(),
            is_over: card.is_over,
        }
    }
}

/// Lists one's own tokens.
#[utoipa::path(get, path = "/api/tokens", tag = "Tokens", responses((status = 200, description = "Tokens.", body = Vec<Token>)))]
pub(crate) async fn tokens(State(app): State<App>, caller: Caller) -> Result<Json<Vec<Token>>, Problem> {
    let held = caller.ask(&app, &ApiTokens::default()).await?;
    Ok(Json(held.into_iter().map(Token::from).collect()))
}

/// A new token.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct NewToken {
    /// Name for it, by which its owner tells it from others.
    name: String,
    /// Scopes: `read`, `servers`, `domains`, `reviews`, `account`, `admin`. Each of them reads, too.
    scopes: Vec<String>,
    /// Days until it ends.
    #[serde(default = "usual_days")]
    #[schema(value_type = u64, minimum = 1, maximum = 366, default = 90)]
    days: u32,
}

fn usual_days() -> u32 {
    90
}

/// A token that was made.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct TokenMade {
    /// Its text, which is never shown again.
    token: String,
    /// Its entry in the list.
    of: Token,
}

/// Makes a token. This needs a sign-in of the last ten minutes: a token of `POST /api/login`.
#[utoipa::path(post, path = "/api/tokens", tag = "Tokens", request_body = NewToken, responses((status = 201, description = "The token, which is never shown again.", body = TokenMade)))]
pub(crate) async fn make_token(
    State(app): State<App>,
    caller: Caller,
    Peer(from): Peer,
    Sent(new): Sent<NewToken>,
) -> Result<Response, Problem> {
    let scopes = new.scopes.iter().map(|scope| scope.parse::<Scope>()).collect::<Result<Vec<_>, _>>();
    let scopes = scopes.map_err(|invalid| {
        does_not_fit(Some("scopes"), &invalid.message, &invalid.message, invalid.hint.clone())
    })?;
    let made = caller.ask(&app, &MakeApiToken { name: new.name, scopes, days: new.days, from }).await?;
    let made = TokenMade { token: made.token.0, of: made.card.into() };
    Ok((StatusCode::CREATED, Extension(Untold), Json(made)).into_response())
}

/// Revokes one of one's own tokens, by a commit.
#[utoipa::path(delete, path = "/api/tokens/{id}", tag = "Tokens", params(("id" = String, Path, description = "`id` of the token.")), responses((status = 200, description = "It was revoked.", body = Written)))]
pub(crate) async fn revoke_token(
    State(app): State<App>,
    caller: Caller,
    Named(id): Named<String>,
    _: Sent<Nothing>,
) -> Result<Json<Written>, Problem> {
    caller.ask(&app, &EndApiToken { user: None, id }).await?;
    Ok(Json(Written::done("revoked", None)))
}

/// Lists somebody's tokens.
#[utoipa::path(get, path = "/api/users/{name}/tokens", tag = "Members", params(("name" = String, Path, description = "Name of the member.")), responses((status = 200, description = "Tokens.", body = Vec<Token>)))]
pub(crate) async fn tokens_of(
    State(app): State<App>,
    caller: Caller,
    Named(user): Named<UserName>,
) -> Result<Json<Vec<Token>>, Problem> {
    let held = caller.ask(&app, &ApiTokens { user: Some(user) }).await?;
    Ok(Json(held.into_iter().map(Token::from).collect()))
}

/// Revokes somebody's token, by a commit. This needs a sign-in of the last ten minutes: a token of `POST /api/login`.
#[utoipa::path(delete, path = "/api/users/{name}/tokens/{id}", tag = "Members", params(("name" = String, Path, description = "Name of the member."), ("id" = String, Path, description = "`id` of the token.")), responses((status = 200, description = "It was revoked.", body = Written)))]
pub(crate) async fn revoke_token_of(
    State(app): State<App>,
    caller: Caller,
    Named((user, id)): Named<(UserName, String)>,
    _: Sent<Nothing>,
) -> Result<Json<Written>, Problem> {
    caller.ask(&app, &EndApiToken { user: Some(user), id }).await?;
    Ok(Json(Written::done("revoked", None)))
}
