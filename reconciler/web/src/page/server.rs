//! `/vm/{id}`: one server: is it well, how to get in, what leads to it, as it is written; and its restart.

use std::collections::BTreeMap;

use axum::extract::State as Of;
use axum::response::Response;
use berth_schema::name::{ServerId, UserName};
use berth_schema::server::PowerState;
use berth_wire::figures::Span;
use berth_wire::web::{Act, Input, Power, ServerRead, ServerSheet};
use berth_wire::{Ended, PowerRecord};
use http::StatusCode;
use jiff::Timestamp;
use minijinja::context;
use serde::{Deserialize, Serialize};

use super::address::{Named, Wishes};
use super::figures::{self, Amount};
use super::leads;
use super::site;
use super::state::{Heard, State};
use super::stream::{self, Parts, Watched};
use super::words::value;
use crate::app::App;
use crate::live::World;
use crate::page;
use crate::problem::Problem;
use crate::session::Notice;
use crate::visitor::Visitor;

pub(crate) async fn show(
    Of(app): Of<App>,
    visitor: Visitor,
    Named(id): Named<ServerId>,
    Wishes(looked): Wishes<Looked>,
) -> Result<Response, Problem> {
    let sheet = visitor.ask(&app, &ServerRead { id }).await?;
    let world = app.live.now();
    let context = context! {
        amounts => value(figures::amounts(&app, &sheet.card, looked.span).await),
        span => looked.span.word(),
        spans => Span::ALL.map(Span::word),
        leads => value(leads::of(&app, &visitor, id).await),
        sites => value(site::of(&app, &sheet.card).await),
        state => value(State::of_server(&world, id, sheet.card.wanted)),
        restart => value(world.restart_of(id).map(Restart::of)),
        heard => value(Heard::of(&world)),
        card => value(&sheet.card),
        sheet => value(&sheet),
        power => value(turned(&sheet)),
        runs => sheet.card.wanted == PowerState::Running,
    };
    Ok(page::render(&app, &visitor, "server.html", context))
}

/// Part of the page that somebody wants to see.
#[derive(Debug, Clone, Copy, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Looked {
    /// Extent of the past that the lines show.
    span: Span,
}

/// The last restart.
#[derive(Debug, Serialize)]
struct Restart<'a> {
    by: &'a UserName,
    at: Timestamp,
    error: Option<&'a str>,
}

impl<'a> Restart<'a> {
    fn of(record: &'a PowerRecord) -> Self {
        let error = match &record.result {
            Ended::Done => None,
            Ended::Interrupted => Some("the reconciler was asked to end meanwhile"),
            Ended::Failed { error, .. } => Some(error.as_str()),
        };
        Self { by: &record.by, at: record.at, error }
    }
}

/// The hidden values of the button that turns the server on or off.
fn turned(sheet: &ServerSheet) -> Vec<(&'static str, String)> {
    let now = match sheet.card.wanted {
        PowerState::Running => "stopped",
        PowerState::Stopped => "running",
    };
    let was = in_file(sheet, "state");
    vec![("state", now.to_owned()), ("was.state", serde_json::to_string(was).unwrap_or_default())]
}

/// The hidden values of the button that makes the server's system anew.
pub(super) fn reset(sheet: &ServerSheet) -> Vec<(&'static str, String)> {
    let was = in_file(sheet, "reset");
    let number = match was {
        Input::Text(text) => text.parse().unwrap_or_default(),
        _ => 0_u32,
    };
    let next = number.saturating_add(1).to_string();
    vec![("reset", next), ("was.reset", serde_json::to_string(was).unwrap_or_default())]
}

/// The value of a field, as the server's file has it.
fn in_file<'a>(sheet: &'a ServerSheet, name: &str) -> &'a Input {
    sheet.fields.iter().find(|field| field.name == name).map_or(&Input::Unset, |field| &field.value)
}

/// Restarts the server.
pub(crate) async fn restart(
    Of(app): Of<App>,
    visitor: Visitor,
    Named(id): Named<ServerId>,
) -> Result<Response, Problem> {
    let done = visitor.ask(&app, &Power { server: id, act: Act::Restart }).await;
    let notice = match done {
        Ok(_) => Notice::good("It was restarted."),
        Err(problem) if problem.status == StatusCode::UNAUTHORIZED => return Err(problem),
        // It may take longer than anybody waits for an answer.
        Err(problem) if problem.status == StatusCode::SERVICE_UNAVAILABLE => {
            Notice::plain(format!("It isn’t known yet whether it was restarted. {}", problem.message))
        }
        Err(problem) => Notice::bad(format!(
            "It was not restarted. {} {}",
            problem.message,
            problem.hint.unwrap_or_default()
        )),
    };
    visitor.tell(&app, notice);
    Ok(page::see_other(&format!("/vm/{id}")))
}

pub(crate) async fn events(
    Of(app): Of<App>,
    visitor: Visitor,
    Named(id): Named<ServerId>,
    Wishes(looked): Wishes<Looked>,
) -> Result<Response, Problem> {
    stream::answer(
        app,
        visitor,
        One {
            id,
            span: looked.span,
            wanted: PowerState::Running,
            amounts: Vec::new(),
            leads: BTreeMap::new(),
            sites: BTreeMap::new(),
        },
    )
    .await
}

/// One server, while somebody looks.
struct One {
    id: ServerId,
    span: Span,
    wanted: PowerState,
    amounts: Vec<Amount>,
    leads: BTreeMap<String, leads::Words>,
    sites: BTreeMap<String, site::Words>,
}

impl Watched for One {
    async fn load(&mut self, app: &App, visitor: &Visitor) -> Result<(), Problem> {
        let card = visitor.ask(app, &ServerRead { id: self.id }).await?.card;
        self.wanted = card.wanted;
        self.amounts = figures::amounts(app, &card, self.span).await;
        self.leads = leads::of(app, visitor, self.id).await;
        self.sites = site::of(app, &card).await;
        Ok(())
    }

    fn show(&self, app: &App, world: &World) -> Parts {
        let mut parts = Parts::default();
        let state = State::of_server(world, self.id, self.wanted);
        parts.put(app, format!("live-state-{}", self.id), "pill.html", context! { state => value(&state) });
        let well = context! {
            state => value(&state),
            heard => value(Heard::of(world)),
            restart => value(world.restart_of(self.id).map(Restart::of)),
        };
        parts.put(app, "live-well", "well.html", well);
        for (name, lead) in &self.leads {
            parts.put(app, format!("live-lead-{name}"), "lead.html", context! { lead => value(lead) });
        }
        for (name, site) in &self.sites {
            parts.put(app, format!("live-site-{name}"), "site.html", context! { site => value(site) });
        }
        let used = context! { amounts => value(&self.amounts), span => self.span.word() };
        parts.put(app, "live-use", "use.html", used);
        parts
    }
}
