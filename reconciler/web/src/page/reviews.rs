//! `/reviews`: proposals that wait for somebody's consent, and changes that went to a forge.

use axum::extract::State as Of;
use axum::response::Response;
use berth_wire::web::{ProposalCard, Proposals, Pulls};
use minijinja::context;
use serde::Serialize;

use super::pull;
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
    // Without a forge there are none.
    let pulls = match visitor.person.platform.forge {
        Some(_) => visitor.ask(&app, &Pulls {}).await?,
        None => Vec::new(),
    };
    let pulls: Vec<_> = pulls.iter().map(pull::Row::of).collect();
    let context = context! { proposals => value(rows), pulls => value(pulls) };
    Ok(page::render(&app, &visitor, "reviews.html", context))
}
