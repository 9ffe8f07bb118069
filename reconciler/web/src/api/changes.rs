//! Commits, what happened besides, and a pass at once.

use std::net::IpAddr;
use std::num::NonZeroU32;

use axum::Json;
use axum::extract::State;
use axum::response::Response;
use berth_schema::Revision;
use berth_schema::name::UserName;
use berth_wire::web::{
    Audit, AuditRow, CommitRead, Committed, Event, History, Object, Planned, ProposeRevert, Proposed, Revert,
    Sync,
};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::body::{Named, Nothing, Sent, Wishes};
use super::caller::Caller;
use super::problem::Problem;
use super::shape::{Change, ChangeDetails, List, Written};
use super::write::{How, Work, write};
use crate::app::App;
use crate::visitor::Bound;

/// A part of the history.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(default, deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct Of {
    /// Page, from 1; 50 rows each.
    #[param(value_type = Option<u64>, minimum = 1, maximum = 4_294_967_295_u32)]
    page: Option<NonZeroU32>,
    /// Name of a server: only what changed it.
    server: Option<String>,
    /// Name of a domain: only what changed it.
    domain: Option<String>,
    /// Name of a member: only what changed their file.
    user: Option<String>,
}

/// Lists commits, the newest first, as far as they touch what the caller may see. Of `server`, `domain` and `user`, the first counts.
#[utoipa::path(get, path = "/api/changes", tag = "Changes", params(Of), responses((status = 200, description = "Commits.", body = List<Change>)))]
pub(crate) async fn changes(
    State(app): State<App>,
    caller: Caller,
    Wishes(asked): Wishes<Of>,
) -> Result<Json<List<Change>>, Problem> {
    let of = asked.server.map(Object::Server);
    let of = of.or(asked.domain.map(Object::Domain)).or(asked.user.map(Object::User));
    Ok(Json(caller.ask(&app, &History { of, page: asked.page.map_or(1, NonZeroU32::get) }).await?.into()))
}

/// Shows one commit, and what came of it.
#[utoipa::path(get, path = "/api/changes/{revision}", tag = "Changes", params(("revision" = String, Path, description = "The commit, 40 hexadecimal digits.")), responses((status = 200, description = "The commit.", body = ChangeDetails)))]
pub(crate) async fn change(
    State(app): State<App>,
    caller: Caller,
    Named(revision): Named<Revision>,
) -> Result<Json<ChangeDetails>, Problem> {
    Ok(Json(caller.ask(&app, &CommitRead { revision, attempted: None }).await?.into()))
}

/// Takes a commit back by another one.
struct TakesBack {
    revision: Revision,
    from: Option<IpAddr>,
}

impl TakesBack {
    async fn ask(
        &self,
        app: &App,
        caller: &Caller,
        digest: Option<String>,
        knows: bool,
    ) -> Result<Committed, Problem> {
        caller.ask(app, &Revert { revision: self.revision, digest, from: self.from, knows }).await
    }
}

impl Work for TakesBack {
    async fn plan(&self, app: &App, caller: &Caller) -> Result<Planned, Problem> {
        match self.ask(app, caller, None, false).await? {
            Committed::Changed { planned } => Ok(*planned),
            // Without a digest, nothing is made.
            Committed::Made { .. } | Committed::Sent { .. } => Err(Problem::internal()),
        }
    }

    async fn commit(
        &self,
        app: &App,
        caller: &Caller,
        digest: String,
        knows: bool,
    ) -> Result<Committed, Problem> {
        self.ask(app, caller, Some(digest), knows).await
    }

    async fn propose(&self, app: &App, caller: &Caller) -> Result<Proposed, Problem> {
        caller.ask(app, &ProposeRevert { revision: self.revision }).await
    }
}

/// Takes a commit back, by another commit.
#[utoipa::path(post, path = "/api/changes/{revision}/revert", tag = "Changes", params(("revision" = String, Path, description = "The commit, 40 hexadecimal digits."), How), responses((status = 200, description = "It was committed, or nothing had to be, or this is the plan.", body = Written), (status = 202, description = "It was proposed, or goes to the forge as a pull request.", body = Written)))]
pub(crate) async fn revert(
    State(app): State<App>,
    caller: Caller,
    Bound(from): Bound,
    Named(revision): Named<Revision>,
    Wishes(how): Wishes<How>,
    _: Sent<Nothing>,
) -> Result<Response, Problem> {
    write(&app, &caller, &how, &TakesBack { revision, from }).await
}

/// A part of what happened.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(default, deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct OfWhom {
    /// Page, from 1; 50 rows each.
    #[param(value_type = Option<u64>, minimum = 1, maximum = 4_294_967_295_u32)]
    page: Option<NonZeroU32>,
    /// Name of a member: only what they did, or what was done to them.
    of: Option<String>,
}

/// Something that happened.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Happened {
    /// Time of it.
    at: String,
    /// Person who did it.
    who: Option<String>,
    /// Address that they did it from.
    from: Option<String>,
    /// Act in a word, as the door's log has it; `commit` for a commit.
    act: String,
    /// Thing or person that it was done to.
    of: Option<String>,
    /// The commit.
    change: Option<Change>,
}

impl From<AuditRow> for Happened {
    fn from(row: AuditRow) -> Self {
        let (act, of, change) = match row.event {
            Event::Act { act, of } => (act, Some(of).filter(|of| !of.is_empty()), None),
            Event::Commit(line) => ("commit".to_owned(), None, Some(Change::from(*line))),
        };
        Self { at: row.at.to_string(), who: row.who, from: row.from, act, of, change }
    }
}

/// Lists what happened, the newest first: sign-ins and acts of the door's log, and commits.
#[utoipa::path(get, path = "/api/audit", tag = "Administration", params(OfWhom), responses((status = 200, description = "What happened.", body = List<Happened>)))]
pub(crate) async fn audit(
    State(app): State<App>,
    caller: Caller,
    Wishes(asked): Wishes<OfWhom>,
) -> Result<Json<List<Happened>>, Problem> {
    let of = asked.of.map(|of| of.parse::<UserName>().map_err(|_| Problem::not_found())).transpose()?;
    Ok(Json(caller.ask(&app, &Audit { of, page: asked.page.map_or(1, NonZeroU32::get) }).await?.into()))
}

/// Outcome of a pass.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Synced {
    /// Set once it has ended; otherwise it goes on.
    is_over: bool,
    /// Set if it ended with nothing left to do.
    is_clean: bool,
    /// Number of changes that it made.
    done: u64,
    /// Sentences about what failed, was held back, or is wrong with the state.
    problems: Vec<String>,
}

/// Has everything compared with what the state says, and mended: the web server's configuration, too.
#[utoipa::path(post, path = "/api/updatecaddyconfig", tag = "Administration", responses((status = 200, description = "What the pass came to.", body = Synced)))]
pub(crate) async fn sync(
    State(app): State<App>,
    caller: Caller,
    _: Sent<Nothing>,
) -> Result<Json<Synced>, Problem> {
    let synced = caller.ask(&app, &Sync {}).await?;
    let berth_wire::web::Synced { is_over, is_clean, done, problems } = synced;
    Ok(Json(Synced { is_over, is_clean, done: done.into(), problems }))
}
