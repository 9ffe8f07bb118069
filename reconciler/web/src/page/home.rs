//! `/`: my servers, and how they are.

use axum::extract::State as Of;
use axum::response::Response;
use berth_wire::web::{ServerCard, Servers};
use minijinja::context;
use serde::{Deserialize, Serialize};

use super::address::Wishes;
use super::state::{Heard, State};
use super::stream::{self, Parts, Watched};
use super::words::value;
use crate::app::App;
use crate::live::World;
use crate::page;
use crate::problem::Problem;
use crate::visitor::Visitor;

/// Part of a list that is asked for.
#[derive(Debug, Clone, Default, Deserialize)]
pub(crate) struct Wanted {
    #[serde(default)]
    pub(crate) search: String,
    #[serde(default)]
    pub(crate) page: Option<u32>,
}

impl Wanted {
    pub(crate) fn page(&self) -> u32 {
        self.page.unwrap_or(1).max(1)
    }
}

/// A server in a list, with its state.
#[derive(Debug, Serialize)]
pub(crate) struct Row<'a> {
    pub(crate) card: &'a ServerCard,
    pub(crate) state: State,
}

impl<'a> Row<'a> {
    /// Rows of these servers.
    pub(crate) fn of(world: &World, cards: &'a [ServerCard]) -> Vec<Self> {
        let state = |card: &ServerCard| State::of_server(world, card.id, card.wanted);
        cards.iter().map(|card| Row { card, state: state(card) }).collect()
    }
}

pub(crate) async fn show(
    Of(app): Of<App>,
    visitor: Visitor,
    Wishes(wanted): Wishes<Wanted>,
) -> Result<Response, Problem> {
    let question = Servers { search: String::new(), everybody: false, page: wanted.page() };
    let list = visitor.ask(&app, &question).await?;
    let world = app.live.now();
    let context = context! {
        rows => value(Row::of(&world, &list.rows)),
        list => value((&list.page, &list.pages)),
        page => list.page,
        pages => list.pages,
        heard => value(Heard::of(&world)),
        events => format!("/events?page={}", list.page),
    };
    Ok(page::render(&app, &visitor, "home.html", context))
}

pub(crate) async fn events(
    Of(app): Of<App>,
    visitor: Visitor,
    Wishes(wanted): Wishes<Wanted>,
) -> Result<Response, Problem> {
    let question = Servers { search: String::new(), everybody: false, page: wanted.page() };
    stream::answer(app, visitor, Listed { question, cards: Vec::new() }).await
}

/// Servers of a list, while somebody looks.
pub(crate) struct Listed {
    pub(crate) question: Servers,
    pub(crate) cards: Vec<ServerCard>,
}

impl Watched for Listed {
    async fn load(&mut self, app: &App, visitor: &Visitor) -> Result<(), Problem> {
        self.cards = visitor.ask(app, &self.question).await?.rows;
        Ok(())
    }

    fn show(&self, app: &App, world: &World) -> Parts {
        let mut parts = Parts::default();
        parts.put(app, "live-heard", "heard.html", context! { heard => value(Heard::of(world)) });
        for Row { card, state } in Row::of(world, &self.cards) {
            parts.put(
                app,
                format!("live-state-{}", card.id),
                "pill.html",
                context! { state => value(state) },
            );
        }
        parts
    }
}
