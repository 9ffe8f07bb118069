//! Members, and the platform's settings.

use axum::Json;
use axum::extract::State;
use axum::response::Response;
use berth_schema::name::UserName;
use berth_wire::web::{Change, Deed, Invite, Object, PlatformRead, UserRead, Users, UsersOf};
use serde::Serialize;
use utoipa::ToSchema;

use super::body::{Found, Named, Nothing, Sent, Wishes};
use super::caller::Caller;
use super::edit::{Edits as _, NewUser, UserEdit, of_changed, of_new};
use super::problem::Problem;
use super::shape::{Change as Commit, List, User, UserDetails, Written};
use super::write::{How, OfFile, write};
use crate::app::App;
use crate::visitor::Bound;

/// Lists members.
#[utoipa::path(get, path = "/api/users", tag = "Members", params(Found), responses((status = 200, description = "Members.", body = List<User>)))]
pub(crate) async fn users(
    State(app): State<App>,
    caller: Caller,
    Wishes(part): Wishes<Found>,
) -> Result<Json<List<User>>, Problem> {
    Ok(Json(
        caller.ask(&app, &Users { search: part.search(), page: part.page(), of: UsersOf::All }).await?.into(),
    ))
}

/// Shows one member: oneself, or anybody to an admin.
#[utoipa::path(get, path = "/api/users/{name}", tag = "Members", params(("name" = String, Path, description = "Name of the member.")), responses((status = 200, description = "The member.", body = UserDetails)))]
pub(crate) async fn user(
    State(app): State<App>,
    caller: Caller,
    Named(name): Named<UserName>,
) -> Result<Json<UserDetails>, Problem> {
    Ok(Json(caller.ask(&app, &UserRead { name }).await?.into()))
}

/// Makes a member.
#[utoipa::path(post, path = "/api/users", tag = "Members", params(How), request_body = NewUser, responses((status = 200, description = "It was committed, or this is the plan.", body = Written), (status = 202, description = "It was proposed, or goes to the forge as a pull request.", body = Written)))]
pub(crate) async fn create_user(
    State(app): State<App>,
    caller: Caller,
    Bound(from): Bound,
    Wishes(how): Wishes<How>,
    Sent(new): Sent<NewUser>,
) -> Result<Response, Problem> {
    let (name, fields) = new.split();
    let deed = Deed::Create { fields: of_new(fields.values()) };
    write(&app, &caller, &how, &OfFile { change: Change { of: Object::User(name), deed }, from }).await
}

/// Changes fields of a member's file: one's own, or anybody's as an admin.
#[utoipa::path(patch, path = "/api/users/{name}", tag = "Members", params(("name" = String, Path, description = "Name of the member."), How), request_body = UserEdit, responses((status = 200, description = "It was committed, or nothing had to be, or this is the plan.", body = Written), (status = 202, description = "It was proposed, or goes to the forge as a pull request.", body = Written)))]
pub(crate) async fn edit_user(
    State(app): State<App>,
    caller: Caller,
    Bound(from): Bound,
    Named(name): Named<UserName>,
    Wishes(how): Wishes<How>,
    Sent(edit): Sent<UserEdit>,
) -> Result<Response, Problem> {
    let sheet = caller.ask(&app, &UserRead { name: name.clone() }).await?;
    let fields = of_changed(edit.values(), &sheet.fields);
    let change = Change { of: Object::User(name.to_string()), deed: Deed::Edit { fields } };
    write(&app, &caller, &how, &OfFile { change, from }).await
}

/// Removes a member.
#[utoipa::path(delete, path = "/api/users/{name}", tag = "Members", params(("name" = String, Path, description = "Name of the member."), How), responses((status = 200, description = "It was committed, or this is the plan.", body = Written), (status = 202, description = "It was proposed, or goes to the forge as a pull request.", body = Written)))]
pub(crate) async fn remove_user(
    State(app): State<App>,
    caller: Caller,
    Bound(from): Bound,
    Named(name): Named<UserName>,
    Wishes(how): Wishes<How>,
    _: Sent<Nothing>,
) -> Result<Response, Problem> {
    let change = Change { of: Object::User(name.to_string()), deed: Deed::Remove };
    write(&app, &caller, &how, &OfFile { change, from }).await
}

/// An invitation.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Invitation {
    /// Link with which the member sets a password, once.
    link: String,
    /// End of it.
    until: String,
}

/// Makes a link with which a member sets a password. Links from before are dead.
#[utoipa::path(post, path = "/api/users/{name}/invite", tag = "Members", params(("name" = String, Path, description = "Name of the member.")), responses((status = 200, description = "The link.", body = Invitation)))]
pub(crate) async fn invite(
    State(app): State<App>,
    caller: Caller,
    Named(user): Named<UserName>,
    _: Sent<Nothing>,
) -> Result<Json<Invitation>, Problem> {
    let invited = caller.ask(&app, &Invite { user }).await?;
    let link = format!("{}/invite/{}", app.settings.origin(), invited.invitation.0);
    Ok(Json(Invitation { link, until: invited.until.to_string() }))
}

/// The platform's settings.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct PlatformFile {
    /// Text of `platform.toml`.
    file: String,
    /// Revision that it was read at.
    at: String,
    /// Commit that made it what it is.
    made_by: Option<Commit>,
}

/// Shows `platform.toml`.
#[utoipa::path(get, path = "/api/platform", tag = "Administration", responses((status = 200, description = "The file.", body = PlatformFile)))]
pub(crate) async fn platform(State(app): State<App>, caller: Caller) -> Result<Json<PlatformFile>, Problem> {
    let sheet = caller.ask(&app, &PlatformRead {}).await?;
    let made_by = sheet.made_by.map(Commit::from);
    Ok(Json(PlatformFile { file: sheet.text, at: sheet.at.to_string(), made_by }))
}
