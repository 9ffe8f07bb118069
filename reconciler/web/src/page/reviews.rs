//! `/reviews`: proposals that wait for somebody's consent.

use axum::extract::State as Of;
use axum::response::Response;
use berth_wire::web::{ProposalCard, Proposals};
use minijinja::context;
use serde::Serialize;

use super::state::{Look, State};
use super::words::value;
use crate::app::App;
use crate::page;
use crate::problem::Problem;
use crate::visitor::Visitor;

/// A proposal in a list, with its state in a word.
#[derive(Debug, Serialize)]
pub(crate) struct Row<'a> {
    #[serde(flatten)]
    card: &'a ProposalCard,
    state: State,
}

impl<'a> Row<'a> {
    /// Row of a proposal.
    pub(crate) fn of(card: &'a ProposalCard) -> Self {
        let state = match card.fit.as_str() {
            "conflicts" => State::new(Look::Warn, "✕", "conflicts", ""),
            "landed" => State::new(Look::Good, "●", "merged", ""),
            _ => State::new(Look::Plain, "◌", "waits", ""),
        };
        Self { card, state }
    }
}

pub(crate) async fn show(Of(app): Of<App>, visitor: Visitor) -> Result<Response, Problem> {
    let cards = visitor.ask(&app, &Proposals {}).await?;
    let rows: Vec<_> = cards.iter().map(Row::of).collect();
    Ok(page::render(&app, &visitor, "reviews.html", context! { proposals => value(rows) }))
}
