//! `/admin/`: what is wrong, what waits, and how much there is.

use axum::extract::State as Of;
use axum::response::Response;
use berth_schema::name::ServerId;
use berth_wire::web::{History, Proposals, Servers, Users, UsersOf};
use jiff::Timestamp;
use minijinja::context;
use serde::Serialize;

use super::certificate::Certificate;
use super::countries::Countries;
use super::reviews;
use super::state::{Heard, Look, State};
use super::stream::{self, Parts, Watched};
use super::words::value;
use crate::app::App;
use crate::live::World;
use crate::page;
use crate::problem::Problem;
use crate::visitor::Visitor;

/// The most rows of what is wrong: whoever has more reads the first ones first.
const ROWS: usize = 50;
/// Changes and proposals that are shown.
const LATEST: usize = 5;

/// Something that isn't as it should be.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
struct Wrong {
    what: String,
    url: Option<String>,
    state: State,
    why: String,
}

/// One of the platform's own containers.
#[derive(Debug, Serialize)]
struct Own<'a> {
    name: &'a str,
    state: State,
}

/// Everything that isn't as it should be, the worst first.
fn wrong(world: &World) -> Vec<Wrong> {
    let Some(status) = world.status.as_ref().filter(|_| world.answers) else { return Vec::new() };
    let mut rows = Vec::new();
    if !status.engine_answers {
        let state = State::new(Look::Bad, "✕", "silent", "");
        let why = "Docker doesn’t answer. What follows is how things were.".to_owned();
        rows.push(Wrong { what: "The engine".to_owned(), url: None, state, why });
    }
    if let Some(pass) = world.last_pass() {
        let (what, state) = match pass.attempted == pass.revision {
            true => ("A change", State::new(Look::Warn, "◌", "held back", "")),
            false => ("The state", State::new(Look::Bad, "✕", "mistake", "")),
        };
        for problem in &pass.problems {
            rows.push(Wrong { what: what.to_owned(), url: None, state: state.clone(), why: problem.clone() });
        }
        for outcome in pass.outcomes.iter().filter(|outcome| !outcome.is_done()) {
            let berth_wire::Ended::Failed { error, .. } = &outcome.result else { continue };
            let url = match &outcome.subject {
                berth_plan::Subject::Server { id, .. } => Some(format!("/vm/{id}")),
                _ => None,
            };
            let state = State::new(Look::Bad, "✕", "failed", "");
            rows.push(Wrong { what: outcome.subject.to_string(), url, state, why: error.clone() });
        }
    }
    for row in status.system.iter().filter(|row| !row.is_running()) {
        let state = State::of_system(world, row.actual);
        rows.push(Wrong { what: row.name.clone(), url: None, state, why: String::new() });
    }
    for row in status.servers.iter().filter(|row| !row.is_as_wanted()) {
        // Where all of ten thousand are wrong, nobody reads of more.
        if rows.len() >= ROWS {
            break;
        }
        let Some(id) = std::num::NonZeroU32::new(row.id).map(ServerId) else { continue };
        let state = State::of_server(world, id, row.wanted);
        let url = format!("/vm/{id}");
        let why = state.sentence.clone();
        if !rows.iter().any(|found| found.url.as_ref() == Some(&url)) {
            rows.push(Wrong { what: format!("server {}", row.name), url: Some(url), state, why });
        }
    }
    rows.truncate(ROWS);
    rows
}

pub(crate) async fn show(Of(app): Of<App>, visitor: Visitor) -> Result<Response, Problem> {
    let servers = visitor.ask(&app, &Servers { search: String::new(), everybody: true, page: 1 }).await?.all;
    let users = visitor.ask(&app, &Users { search: String::new(), page: 1, of: UsersOf::All }).await?.all;
    let proposals = visitor.ask(&app, &Proposals {}).await?;
    let changes = visitor.ask(&app, &History { of: None, page: 1 }).await?.rows;
    let world = app.live.now();
    let status = world.status.as_deref();
    let system: Vec<Own<'_>> = status
        .iter()
        .flat_map(|status| &status.system)
        .map(|row| Own { name: &row.name, state: State::of_system(&world, row.actual) })
        .collect();
    let context = context! {
        tab => "admin",
        heard => value(Heard::of(&world)),
        wrong => value(wrong(&world)),
        proposals => value(proposals.iter().take(LATEST).map(reviews::Row::of).collect::<Vec<_>>()),
        waiting => proposals.len(),
        changes => value(changes.iter().take(LATEST).collect::<Vec<_>>()),
        servers, users,
        kept => status.map(|status| status.tombstones.len()),
        system => value(system),
        countries => value(app.countries.standing().as_ref().map(Countries::of)),
        certificate => value(Certificate::of(&app.certificates.standing(), Timestamp::now())),
        versions => status.map(|status| format!("Berth {}, engine {}", status.version, status.engine)),
    };
    Ok(page::render(&app, &visitor, "admin.html", context))
}

pub(crate) async fn events(Of(app): Of<App>, visitor: Visitor) -> Result<Response, Problem> {
    stream::answer(app, visitor, Everything).await
}

/// Everything that is wrong, while an admin looks.
struct Everything;

impl Watched for Everything {
    async fn load(&mut self, app: &App, visitor: &Visitor) -> Result<(), Problem> {
        // The door answers admins alone.
        visitor.ask(app, &Users { search: String::new(), page: 1, of: UsersOf::All }).await.map(drop)
    }

    fn show(&self, app: &App, world: &World) -> Parts {
        let heard = Heard::of(world);
        let mut parts = Parts::default();
        parts.put(app, "live-heard", "heard.html", context! { heard => value(heard) });
        parts.put(
            app,
            "live-wrong",
            "wrong.html",
            context! { wrong => value(wrong(world)), heard => value(heard) },
        );
        parts
    }
}
