//! Signing in by a program, and who one is.

use axum::Json;
use axum::extract::State;
use berth_wire::web::{Entered, Half, Secret, SignIn, SignInCode, SignOut, SignedIn};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::body::{Nothing, Sent};
use super::caller::Caller;
use super::problem::{CODE_WANTED, Problem};
use super::shape::{Me, Written};
use crate::agent::Browser;
use crate::app::App;
use crate::visitor::Peer;

/// Name and password.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Login {
    /// Name.
    username: String,
    /// Password.
    #[schema(value_type = String, format = Password)]
    password: Secret,
    /// Code of the second factor, where there is one: the app's, or a recovery code.
    #[serde(default)]
    #[schema(value_type = Option<String>)]
    code: Option<Secret>,
}

/// A sign-in.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct LoggedIn {
    /// Token for `Authorization: Bearer …`. It has everything that the person has.
    token: String,
    /// End of it, an hour from now.
    until: String,
    /// The person.
    me: Me,
}

/// Signs in by name and password, for an hour.
#[utoipa::path(post, path = "/api/login", tag = "Account", request_body = Login, responses((status = 200, description = "A token.", body = LoggedIn)))]
pub(crate) async fn login(
    State(app): State<App>,
    Peer(from): Peer,
    Browser(browser): Browser,
    Sent(login): Sent<Login>,
) -> Result<Json<LoggedIn>, Problem> {
    let Login { username: user, password, code } = login;
    let question = SignIn { user, password, from, browser: browser.clone(), is_short: true };
    let SignedIn { token, person, until } = match app.door.ask(None, &question).await? {
        Entered::SignedIn(signed_in) => *signed_in,
        Entered::CodeWanted(Half { half, .. }) => {
            let code = code.ok_or_else(|| {
                Problem::new(
                    &CODE_WANTED,
                    "The password is good, and a code of your second factor is wanted, too.",
                )
                .hint("Send the code of your app as `code`, beside name and password.")
            })?;
            app.door.ask(None, &SignInCode { half, code, from, browser, is_short: true }).await?
        }
    };
    let token = token.as_str().to_owned();
    Ok(Json(LoggedIn { token, until: until.to_string(), me: person.into() }))
}

/// Ends the sign-in whose token asks.
#[utoipa::path(post, path = "/api/logout", tag = "Account", responses((status = 200, description = "It has ended.", body = Written)))]
pub(crate) async fn logout(
    State(app): State<App>,
    caller: Caller,
    _: Sent<Nothing>,
) -> Result<Json<Written>, Problem> {
    caller.ask(&app, &SignOut {}).await?;
    Ok(Json(Written::done("signed out", None)))
}

/// Tells who asks, with which scopes, and what they have left.
#[utoipa::path(get, path = "/api/me", tag = "Account", responses((status = 200, description = "Whoever asks.", body = Me)))]
pub(crate) async fn me(caller: Caller) -> Json<Me> {
    Json(caller.person.into())
}
