//! Servers.

use axum::Json;
use axum::extract::State;
use axum::response::{IntoResponse as _, Response};
use berth_schema::name::ServerId;
use berth_schema::ticket::Act as Errand;
use berth_wire::web::{Act, Change, Deed, Input, Object, Power, ServerRead, ServerSheet, Servers, Ticket};
use http::StatusCode;
use serde::Serialize;
use utoipa::ToSchema;

use super::body::{Named, Nothing, Part, Sent, Wishes};
use super::caller::Caller;
use super::edit::{Edits as _, NewServer, ServerEdit, of_changed, of_new};
use super::problem::{FORBIDDEN, Problem, of_page};
use super::shape::{List, Server, ServerDetails, Written};
use super::write::{How, OfFile, write};
use crate::app::App;
use crate::shell::SIZE;
use crate::visitor::{Bound, Peer};

/// Lists servers: those that the caller owns or is a member of, or everybody's.
#[utoipa::path(get, path = "/api/servers", tag = "Servers", params(Part), responses((status = 200, description = "Servers.", body = List<Server>)))]
pub(crate) async fn servers(
    State(app): State<App>,
    caller: Caller,
    Wishes(part): Wishes<Part>,
) -> Result<Json<List<Server>>, Problem> {
    let asked = Servers { search: part.search(), everybody: part.everybody(&caller)?, page: part.page() };
    Ok(Json(caller.ask(&app, &asked).await?.into()))
}

/// Shows one server.
#[utoipa::path(get, path = "/api/servers/{id}", tag = "Servers", params(("id" = u64, Path, description = "Number of the server.", minimum = 1, maximum = 4_294_967_295_u32)), responses((status = 200, description = "The server.", body = ServerDetails)))]
pub(crate) async fn server(
    State(app): State<App>,
    caller: Caller,
    Named(id): Named<ServerId>,
) -> Result<Json<ServerDetails>, Problem> {
    Ok(Json(caller.ask(&app, &ServerRead { id }).await?.into()))
}

/// Makes a server.
#[utoipa::path(post, path = "/api/servers", tag = "Servers", params(How), request_body = NewServer, responses((status = 201, description = "It was committed.", body = Written), (status = 200, description = "The plan.", body = Written), (status = 202, description = "It was proposed, or goes to the forge as a pull request.", body = Written)))]
pub(crate) async fn create_server(
    State(app): State<App>,
    caller: Caller,
    Bound(from): Bound,
    Wishes(how): Wishes<How>,
    Sent(new): Sent<NewServer>,
) -> Result<Response, Problem> {
    let (name, fields) = new.split();
    create(&app, &caller, (from, how), name, fields).await
}

/// Makes a server of this name.
pub(super) async fn create(
    app: &App,
    caller: &Caller,
    (from, how): (Option<std::net::IpAddr>, How),
    name: String,
    fields: ServerEdit,
) -> Result<Response, Problem> {
    let mut values = fields.values();
    if values.iter().all(|(name, _)| *name != "owner") {
        values.push(("owner", Input::Text(caller.person.name.to_string())));
    }
    let change = Change { of: Object::Server(name), deed: Deed::Create { fields: of_new(values) } };
    write(app, caller, &how, &OfFile { change, from }).await
}

/// Changes fields of a server.
#[utoipa::path(patch, path = "/api/servers/{id}", tag = "Servers", params(("id" = u64, Path, description = "Number of the server.", minimum = 1, maximum = 4_294_967_295_u32), How), request_body = ServerEdit, responses((status = 200, description = "It was committed, or nothing had to be, or this is the plan.", body = Written), (status = 202, description = "It was proposed, or goes to the forge as a pull request.", body = Written)))]
pub(crate) async fn edit_server(
    State(app): State<App>,
    caller: Caller,
    Bound(from): Bound,
    Named(id): Named<ServerId>,
    Wishes(how): Wishes<How>,
    Sent(edit): Sent<ServerEdit>,
) -> Result<Response, Problem> {
    let sheet = caller.ask(&app, &ServerRead { id }).await?;
    let fields = of_changed(edit.values(), &sheet.fields);
    let change = Change { of: object(&sheet), deed: Deed::Edit { fields } };
    write(&app, &caller, &how, &OfFile { change, from }).await
}

/// Removes a server. Its data is kept for a while.
#[utoipa::path(delete, path = "/api/servers/{id}", tag = "Servers", params(("id" = u64, Path, description = "Number of the server.", minimum = 1, maximum = 4_294_967_295_u32), How), responses((status = 200, description = "It was committed, or this is the plan.", body = Written), (status = 202, description = "It was proposed, or goes to the forge as a pull request.", body = Written)))]
pub(crate) async fn remove_server(
    State(app): State<App>,
    caller: Caller,
    Bound(from): Bound,
    Named(id): Named<ServerId>,
    Wishes(how): Wishes<How>,
    _: Sent<Nothing>,
) -> Result<Response, Problem> {
    let sheet = caller.ask(&app, &ServerRead { id }).await?;
    let change = Change { of: object(&sheet), deed: Deed::Remove };
    write(&app, &caller, &how, &OfFile { change, from }).await
}

fn object(sheet: &ServerSheet) -> Object {
    Object::Server(sheet.card.name.to_string())
}

/// Restarts a running server, and waits until it has stopped and started.
#[utoipa::path(post, path = "/api/servers/{id}/restart", tag = "Servers", params(("id" = u64, Path, description = "Number of the server.", minimum = 1, maximum = 4_294_967_295_u32)), responses((status = 200, description = "It was restarted.", body = Written)))]
pub(crate) async fn restart(
    State(app): State<App>,
    caller: Caller,
    Named(id): Named<ServerId>,
    _: Sent<Nothing>,
) -> Result<Json<Written>, Problem> {
    restarted(&app, &caller, id).await
}

/// Restarts a server.
pub(super) async fn restarted(app: &App, caller: &Caller, id: ServerId) -> Result<Json<Written>, Problem> {
    caller.ask(app, &Power { server: id, act: Act::Restart }).await?;
    Ok(Json(Written::done("restarted", Some(format!("/api/servers/{id}")))))
}

/// Begins to remove what nothing in a server needs: stopped containers, unused images, networks and build caches.
#[utoipa::path(post, path = "/api/servers/{id}/cleanup", tag = "Servers", params(("id" = u64, Path, description = "Number of the server.", minimum = 1, maximum = 4_294_967_295_u32)), responses((status = 202, description = "It has begun; `follow` tells how it goes.", body = Written)))]
pub(crate) async fn clean_up(
    State(app): State<App>,
    caller: Caller,
    Peer(from): Peer,
    Named(id): Named<ServerId>,
    _: Sent<Nothing>,
) -> Result<Response, Problem> {
    begin_clean_up(&app, &caller, from, id).await
}

/// Begins a clean-up.
pub(super) async fn begin_clean_up(
    app: &App,
    caller: &Caller,
    from: std::net::IpAddr,
    id: ServerId,
) -> Result<Response, Problem> {
    let asked = Ticket { server: id, act: Errand::CleanUp, from };
    app.shells.begin(&app.door, &caller.token, &asked, SIZE).await.map_err(|problem| {
        match problem.status {
            StatusCode::FORBIDDEN => Problem::new(&FORBIDDEN, problem.words()),
            _ => of_page(problem),
        }
    })?;
    let written = Written::done("clean-up begun", Some(format!("/api/servers/{id}/cleanup")));
    Ok((StatusCode::ACCEPTED, Json(written)).into_response())
}

/// A clean-up.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct CleanUp {
    /// Set once it has ended.
    is_over: bool,
    /// Set if it ended well.
    is_good: bool,
    /// End of it, in words.
    words: Option<String>,
    /// Last part of what it wrote, at most 64 KiB.
    output: String,
}

/// Tells how the caller's last clean-up of a server goes. It is remembered for ten minutes.
#[utoipa::path(get, path = "/api/servers/{id}/cleanup", tag = "Servers", params(("id" = u64, Path, description = "Number of the server.", minimum = 1, maximum = 4_294_967_295_u32)), responses((status = 200, description = "The clean-up.", body = CleanUp)))]
pub(crate) async fn cleaned_up(
    State(app): State<App>,
    caller: Caller,
    Named(id): Named<ServerId>,
) -> Result<Json<CleanUp>, Problem> {
    caller.ask(&app, &ServerRead { id }).await?;
    let shell = app.shells.clean_up(&caller.token, id).ok_or_else(Problem::not_found)?;
    let screen = shell.screen.lock();
    let ended = screen.ended();
    Ok(Json(CleanUp {
        is_over: ended.is_some(),
        is_good: ended.is_some_and(|(_, is_good)| is_good),
        words: ended.map(|(words, _)| words.to_owned()),
        output: String::from_utf8_lossy(&screen.text()).into_owned(),
    }))
}
