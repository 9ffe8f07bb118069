//! The names by which the platform's first programs knew these acts. Each does what its newer name does; what changes something
//! is a POST.

use std::net::IpAddr;

use axum::Json;
use axum::extract::State;
use axum::response::{IntoResponse as _, Response};
use berth_schema::name::{ServerId, ServerName};
use berth_schema::server::PowerState;
use berth_wire::web::{Change, Deed, Input, Object, ServerCard, ServerRead, ServerSheet, Servers};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::body::{Named, Nothing, Sent, Wishes, does_not_fit};
use super::caller::Caller;
use super::edit::{DomainEdit, Edits as _, Given, ServerEdit, of_changed, of_new};
use super::problem::{AMBIGUOUS, INVALID, Problem};
use super::servers::{begin_clean_up, create, restarted};
use super::shape::{Written, word};
use super::write::{How, OfFile, write};
use crate::app::App;
use crate::page::state;
use crate::visitor::{Bound, Peer};

/// State of a server.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct ServerStatus {
    /// Its number.
    id: u64,
    /// Its name.
    name: String,
    /// State that its file asks for: `running` or `stopped`.
    wanted: String,
    /// State that the engine tells; nothing where there is no container, or where nobody has told yet.
    actual: Option<String>,
    /// State in a word or two.
    state: String,
    /// State in a sentence.
    sentence: String,
    /// Error that the last try came to.
    error: Option<String>,
    /// Set while the reconciler answers; otherwise all of this is how it was.
    is_current: bool,
    /// Time at which the reconciler was heard last.
    heard: Option<String>,
}

/// Tells how a server is.
#[utoipa::path(get, path = "/api/status/{name}", tag = "First names", params(("name" = String, Path, description = "Name or number of the server.")), responses((status = 200, description = "State of the server.", body = ServerStatus)))]
pub(crate) async fn status(
    State(app): State<App>,
    caller: Caller,
    Named(name): Named<String>,
) -> Result<Json<ServerStatus>, Problem> {
    let card = find(&app, &caller, &name).await?;
    let world = app.live.now();
    let now = state::State::of_server(&world, card.id, card.wanted);
    let heard = state::Heard::of(&world);
    let actual = world.server(card.id).and_then(|row| row.actual);
    Ok(Json(ServerStatus {
        id: card.id.get().into(),
        name: card.name.to_string(),
        wanted: word(&card.wanted),
        actual: actual.map(|actual| word(&actual)),
        state: now.word.to_owned(),
        sentence: now.sentence,
        error: now.error,
        is_current: heard.now,
        heard: heard.at.map(|at| at.to_string()),
    }))
}

/// The server of a name or a number that the caller may see.
async fn find(app: &App, caller: &Caller, name: &str) -> Result<ServerCard, Problem> {
    let numbered = match name.parse::<std::num::NonZeroU32>() {
        Ok(id) => there(caller.ask(app, &ServerRead { id: ServerId(id) }).await)?,
        Err(_) => None,
    };
    let named = match name.parse::<ServerName>() {
        Ok(name) => there(of_name(app, caller, name).await)?,
        Err(_) => None,
    };
    match (numbered.map(|sheet| sheet.card), named) {
        (Some(by_number), Some(by_name)) if by_number.id != by_name.id => {
            let detail = format!(
                "`{name}` is the number of `{}` and the name of number {}, so nobody can tell which one is meant.",
                by_number.name, by_name.id
            );
            let hint = format!("Use /api/servers/{} or /api/servers/{}.", by_number.id, by_name.id);
            Err(Problem::new(&AMBIGUOUS, detail).hint(hint))
        }
        (Some(card), _) | (None, Some(card)) => Ok(card),
        (None, None) => Err(Problem::not_found()),
    }
}

/// The thing that was found, if it is there. A search that failed is no answer.
fn there<T>(found: Result<T, Problem>) -> Result<Option<T>, Problem> {
    match found {
        Ok(found) => Ok(Some(found)),
        Err(problem) if problem.is_not_found() => Ok(None),
        Err(problem) => Err(problem),
    }
}

/// The server of this name that the caller may see.
async fn of_name(app: &App, caller: &Caller, name: ServerName) -> Result<ServerCard, Problem> {
    let everybody = caller.is_admin();
    // A name that many others hold begins on a page of its own.
    let mut page = 1;
    loop {
        let asked = Servers { search: name.to_string(), everybody, page };
        let list = caller.ask(app, &asked).await?;
        if let Some(card) = list.rows.into_iter().find(|card| card.name == name) {
            return Ok(card);
        }
        if page >= list.pages {
            return Err(Problem::not_found());
        }
        page += 1;
    }
}

async fn sheet(app: &App, caller: &Caller, name: &str) -> Result<ServerSheet, Problem> {
    let card = find(app, caller, name).await?;
    caller.ask(app, &ServerRead { id: card.id }).await
}

/// Makes a server of this name.
#[utoipa::path(post, path = "/api/create/{name}", tag = "First names", params(("name" = String, Path, description = "Name of the server."), How), request_body(content = Option<ServerEdit>), responses((status = 201, description = "It was committed.", body = Written), (status = 200, description = "The plan.", body = Written), (status = 202, description = "It was proposed, or goes to the forge as a pull request.", body = Written)))]
pub(crate) async fn create_named(
    State(app): State<App>,
    caller: Caller,
    Bound(from): Bound,
    Named(name): Named<String>,
    Wishes(how): Wishes<How>,
    Sent(fields): Sent<ServerEdit>,
) -> Result<Response, Problem> {
    create(&app, &caller, (from, how), name, fields).await
}

/// Starts a server: its file asks for it from now on.
#[utoipa::path(post, path = "/api/start/{name}", tag = "First names", params(("name" = String, Path, description = "Name or number of the server."), How), responses((status = 200, description = "It was committed, or nothing had to be, or this is the plan.", body = Written), (status = 202, description = "It was proposed, or goes to the forge as a pull request.", body = Written)))]
pub(crate) async fn start_named(
    State(app): State<App>,
    caller: Caller,
    Bound(from): Bound,
    Named(name): Named<String>,
    Wishes(how): Wishes<How>,
    _: Sent<Nothing>,
) -> Result<Response, Problem> {
    turn(&app, &caller, (from, how), &name, PowerState::Running).await
}

/// Stops a server: its file asks for it from now on. Its data stays.
#[utoipa::path(post, path = "/api/stop/{name}", tag = "First names", params(("name" = String, Path, description = "Name or number of the server."), How), responses((status = 200, description = "It was committed, or nothing had to be, or this is the plan.", body = Written), (status = 202, description = "It was proposed, or goes to the forge as a pull request.", body = Written)))]
pub(crate) async fn stop_named(
    State(app): State<App>,
    caller: Caller,
    Bound(from): Bound,
    Named(name): Named<String>,
    Wishes(how): Wishes<How>,
    _: Sent<Nothing>,
) -> Result<Response, Problem> {
    turn(&app, &caller, (from, how), &name, PowerState::Stopped).await
}

async fn turn(
    app: &App,
    caller: &Caller,
    (from, how): (Option<IpAddr>, How),
    name: &str,
    to: PowerState,
) -> Result<Response, Problem> {
    let sheet = sheet(app, caller, name).await?;
    let fields = of_changed(vec![("state", Input::Text(word(&to)))], &sheet.fields);
    let change = Change { of: Object::Server(sheet.card.name.to_string()), deed: Deed::Edit { fields } };
    write(app, caller, &how, &OfFile { change, from }).await
}

/// Removes a server. Its data is kept for a while.
#[utoipa::path(post, path = "/api/delete/{name}", tag = "First names", params(("name" = String, Path, description = "Name or number of the server."), How), responses((status = 200, description = "It was committed, or this is the plan.", body = Written), (status = 202, description = "It was proposed, or goes to the forge as a pull request.", body = Written)))]
pub(crate) async fn delete_named(
    State(app): State<App>,
    caller: Caller,
    Bound(from): Bound,
    Named(name): Named<String>,
    Wishes(how): Wishes<How>,
    _: Sent<Nothing>,
) -> Result<Response, Problem> {
    remove(&app, &caller, (from, how), &name).await
}

async fn remove(
    app: &App,
    caller: &Caller,
    (from, how): (Option<IpAddr>, How),
    name: &str,
) -> Result<Response, Problem> {
    let card = find(app, caller, name).await?;
    let change = Change { of: Object::Server(card.name.to_string()), deed: Deed::Remove };
    write(app, caller, &how, &OfFile { change, from }).await
}

/// Begins to remove what nothing in a server needs.
#[utoipa::path(post, path = "/api/cleanup/{name}", tag = "First names", params(("name" = String, Path, description = "Name or number of the server.")), responses((status = 202, description = "It has begun; `follow` tells how it goes.", body = Written)))]
pub(crate) async fn cleanup_named(
    State(app): State<App>,
    caller: Caller,
    Peer(from): Peer,
    Named(name): Named<String>,
    _: Sent<Nothing>,
) -> Result<Response, Problem> {
    let card = find(&app, &caller, &name).await?;
    begin_clean_up(&app, &caller, from, card.id).await
}

/// Act on a server.
#[derive(Debug, Clone, Copy, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Action {
    /// Makes it.
    Create,
    /// Starts it.
    Start,
    /// Stops it.
    Stop,
    /// Stops it and starts it again.
    Restart,
    /// Removes it.
    Delete,
    /// Removes what nothing in it needs.
    Cleanup,
}

/// An act on a server.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Control {
    /// The act.
    action: Action,
    /// Name or number of the server.
    name: String,
}

/// Does something to a server.
#[utoipa::path(post, path = "/api/vm/control", tag = "First names", params(How), request_body = Control, responses((status = 201, description = "A server was committed.", body = Written), (status = 200, description = "It was committed or done, or nothing had to be, or this is the plan.", body = Written), (status = 202, description = "It was proposed, or has begun.", body = Written)))]
pub(crate) async fn control(
    State(app): State<App>,
    caller: Caller,
    Bound(bound): Bound,
    Peer(from): Peer,
    Wishes(how): Wishes<How>,
    Sent(Control { action, name }): Sent<Control>,
) -> Result<Response, Problem> {
    let at = (bound, how);
    match action {
        Action::Create => create(&app, &caller, at, name, ServerEdit::default()).await,
        Action::Start => turn(&app, &caller, at, &name, PowerState::Running).await,
        Action::Stop => turn(&app, &caller, at, &name, PowerState::Stopped).await,
        Action::Delete => remove(&app, &caller, at, &name).await,
        Action::Restart | Action::Cleanup if at.1.plan || at.1.propose => {
            Err(Problem::new(&INVALID, "There is no plan of that, since it is no commit.")
                .hint("Leave `plan` and `propose` out."))
        }
        Action::Restart => {
            let card = find(&app, &caller, &name).await?;
            Ok(restarted(&app, &caller, card.id).await?.into_response())
        }
        Action::Cleanup => {
            let card = find(&app, &caller, &name).await?;
            begin_clean_up(&app, &caller, from, card.id).await
        }
    }
}

/// A domain for a server.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Dns {
    /// Name of the domain, whole.
    domainname: String,
    /// Port in the server.
    #[serde(default)]
    #[schema(value_type = Option<u64>)]
    port: Given<u64>,
    /// Source of its certificate: `auto`, `internal` or `off`.
    #[serde(default)]
    #[schema(value_type = Option<String>)]
    tls: Given<String>,
    /// People who may open it: `public`, `users` or `owner`.
    #[serde(default)]
    #[schema(value_type = Option<String>)]
    access: Given<String>,
    /// Set if Cloudflare stands in front.
    #[serde(default)]
    #[schema(value_type = Option<bool>)]
    cloudflare: Given<bool>,
}

/// Makes a domain that a server answers.
#[utoipa::path(post, path = "/api/vm/dns/{id}", tag = "First names", params(("id" = u64, Path, description = "Number of the server.", minimum = 1, maximum = 4_294_967_295_u32), How), request_body = Dns, responses((status = 200, description = "It was committed, or this is the plan.", body = Written), (status = 202, description = "It was proposed, or goes to the forge as a pull request.", body = Written)))]
pub(crate) async fn dns(
    State(app): State<App>,
    caller: Caller,
    Bound(from): Bound,
    Named(id): Named<ServerId>,
    Wishes(how): Wishes<How>,
    Sent(dns): Sent<Dns>,
) -> Result<Response, Problem> {
    if dns.domainname.trim().is_empty() {
        let why = ("`domainname` is empty", "the domain has no name");
        return Err(does_not_fit(Some("domainname"), why.0, why.1, "Write the whole name."));
    }
    let sheet = caller.ask(&app, &ServerRead { id }).await?;
    let Dns { domainname, port, tls, access, cloudflare } = dns;
    let server = Given::Value(sheet.card.name.to_string());
    let fields = DomainEdit { server, port, tls, access, cloudflare };
    let deed = Deed::Create { fields: of_new(fields.values()) };
    let change = Change { of: Object::Domain(domainname), deed };
    write(&app, &caller, &how, &OfFile { change, from }).await
}
