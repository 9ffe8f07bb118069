//! `/admin/users/{name}`: a member, the link by which they set a password, and the ways in that an admin takes from them.

use axum::extract::State as Of;
use axum::response::Response;
use berth_schema::name::UserName;
use berth_wire::web::{
    ApiTokens, EndApiToken, EndSessions, Factors, Invite, LiftFactor, OidcUnbind, RemovePasskey, UserRead,
};
use http::HeaderValue;
use http::header::CACHE_CONTROL;
use minijinja::{Value, context};

use super::address::Named;
use super::users::Row;
use super::words::value;
use crate::app::App;
use crate::oidc;
use crate::page;
use crate::problem::Problem;
use crate::session::Notice;
use crate::visitor::{Sent, Visitor};

pub(crate) async fn show(
    Of(app): Of<App>,
    visitor: Visitor,
    Named(name): Named<UserName>,
) -> Result<Response, Problem> {
    shown(&app, &visitor, name, Value::from(())).await
}

async fn shown(app: &App, visitor: &Visitor, name: UserName, invitation: Value) -> Result<Response, Problem> {
    let sheet = visitor.ask(app, &UserRead { name: name.clone() }).await?;
    let tokens = visitor.ask(app, &ApiTokens { user: Some(name.clone()) }).await?;
    let factors = visitor.ask(app, &Factors { name }).await?;
    let context = context! {
        card => value(Row::of(&sheet.card)),
        sheet => value(&sheet),
        factors => value(&factors),
        tokens => value(&tokens),
        invitation,
    };
    Ok(page::render(app, visitor, "user.html", context))
}

/// Makes a link and shows it, this once.
pub(crate) async fn invite(
    Of(app): Of<App>,
    visitor: Visitor,
    Named(name): Named<UserName>,
) -> Result<Response, Problem> {
    let invited = visitor.ask(&app, &Invite { user: name.clone() }).await?;
    let link = format!("{}/invite/{}", app.settings.origin(), invited.invitation.0);
    let mut page = shown(&app, &visitor, name, context! { link, until => value(invited.until) }).await?;
    page.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    Ok(page)
}

/// Signs them out everywhere.
pub(crate) async fn end_sessions(
    Of(app): Of<App>,
    visitor: Visitor,
    Named(name): Named<UserName>,
) -> Result<Response, Problem> {
    visitor.ask(&app, &EndSessions { user: name.clone() }).await?;
    Ok(told(&app, &visitor, &name, format!("`{name}` is signed out everywhere.")))
}

/// Takes their second factor away.
pub(crate) async fn lift_factor(
    Of(app): Of<App>,
    visitor: Visitor,
    Named(name): Named<UserName>,
) -> Result<Response, Problem> {
    visitor.ask(&app, &LiftFactor { user: name.clone() }).await?;
    let text = format!("The second factor of `{name}` is removed, and `{name}` is signed out everywhere.");
    Ok(told(&app, &visitor, &name, text))
}

/// Takes a passkey of theirs away.
pub(crate) async fn remove_passkey(
    Of(app): Of<App>,
    visitor: Visitor,
    Named(name): Named<UserName>,
    sent: Sent,
) -> Result<Response, Problem> {
    visitor.ask(&app, &RemovePasskey { user: name.clone(), id: sent.one("id").to_owned() }).await?;
    Ok(told(&app, &visitor, &name, format!("The passkey of `{name}` is removed.")))
}

/// Takes an account at the provider out of their file.
pub(crate) async fn unbind(
    Of(app): Of<App>,
    visitor: Visitor,
    Named(name): Named<UserName>,
    sent: Sent,
) -> Result<Response, Problem> {
    let account = oidc::account(&sent)?;
    visitor.ask(&app, &OidcUnbind { user: name.clone(), account, knows: false }).await?;
    Ok(told(
        &app,
        &visitor,
        &name,
        format!("The account at the provider is taken out of the file of `{name}`."),
    ))
}

/// Revokes an API token of theirs.
pub(crate) async fn revoke_token(
    Of(app): Of<App>,
    visitor: Visitor,
    Named(name): Named<UserName>,
    sent: Sent,
) -> Result<Response, Problem> {
    let question = EndApiToken { user: Some(name.clone()), id: sent.one("id").to_owned() };
    visitor.ask(&app, &question).await?;
    Ok(told(&app, &visitor, &name, format!("The API token of `{name}` is revoked.")))
}

fn told(app: &App, visitor: &Visitor, name: &UserName, text: String) -> Response {
    visitor.tell(app, Notice::good(text));
    page::see_other(&format!("/admin/users/{name}"))
}
