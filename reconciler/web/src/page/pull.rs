//! `/pulls/{user}/{topic}`: a change that went to the forge which hosts the state repo, and what becomes of it there.

use axum::extract::State as Of;
use axum::response::Response;
use berth_schema::name::UserName;
use berth_wire::web::{PullCard, PullRead, PullSheet, PullState, PullWithdraw};
use minijinja::context;
use serde::{Deserialize, Serialize};

use super::address::Named;
use super::state::{Look, State};
use super::stream::{self, Parts, Watched};
use super::words::value;
use crate::app::App;
use crate::live::World;
use crate::page;
use crate::problem::Problem;
use crate::session::Notice;
use crate::visitor::Visitor;

/// A change that is asked for.
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct Asked {
    user: UserName,
    topic: String,
}

/// A change in a list or on its page, with its state in words.
#[derive(Debug, Serialize)]
pub(crate) struct Row<'a> {
    #[serde(flatten)]
    card: &'a PullCard,
    state: State,
    /// The forge's name.
    host: String,
    /// What it waits for, or what came of it.
    sentence: String,
}

impl<'a> Row<'a> {
    /// Row of a change.
    pub(crate) fn of(card: &'a PullCard) -> Self {
        let host = host(&card.forge);
        let state = match card.state {
            PullState::Waiting => State::new(Look::Busy, "◌", "on its way", ""),
            PullState::Open => State::new(Look::Plain, "◌", "open", ""),
            PullState::Merged => State::new(Look::Good, "●", "merged", ""),
            PullState::Closed => State::new(Look::Plain, "✕", "closed", ""),
            PullState::Superseded => State::new(Look::Good, "●", "not needed any more", ""),
            PullState::Failed => State::new(Look::Bad, "✕", "not taken", ""),
        };
        let sentence = sentence(card, &host);
        Self { card, state, host, sentence }
    }
}

fn sentence(card: &PullCard, host: &str) -> String {
    let number = card.number.map(|number| format!(" #{number}")).unwrap_or_default();
    match card.state {
        PullState::Waiting => format!("It is on its way to {host}, where it becomes a pull request."),
        PullState::Open if card.is_merged_here => {
            format!(
                "This became pull request{number} at {host}. Berth merges it, since the policy allows it."
            )
        }
        PullState::Open => {
            let whom = match card.approvers.as_slice() {
                [] => "whoever decides there".to_owned(),
                approvers => approvers.iter().map(ToString::to_string).collect::<Vec<_>>().join(" or "),
            };
            format!("This became pull request{number} at {host}: it waits there for {whom}.")
        }
        PullState::Merged if card.landed.is_some() => {
            format!("Pull request{number} was merged at {host}, and the platform has it.")
        }
        PullState::Merged => {
            format!("Pull request{number} was merged at {host}. The platform follows in a moment.")
        }
        PullState::Closed if card.number.is_none() => {
            "Nothing went to the forge, and nothing was changed.".to_owned()
        }
        PullState::Closed => {
            format!("Pull request{number} was closed at {host} without being merged, so nothing was changed.")
        }
        PullState::Superseded => "Another change has brought all of it already.".to_owned(),
        PullState::Failed => {
            format!("{host} doesn’t take it. Nothing is lost: it is tried again every quarter of an hour.")
        }
    }
}

/// The forge's name in its URL.
fn host(url: &str) -> String {
    let rest = url.split_once("://").map_or(url, |(_, rest)| rest);
    let rest = rest.split('/').next().unwrap_or_default();
    let host = rest.rsplit('@').next().unwrap_or_default().split(':').next().unwrap_or_default();
    if host.is_empty() { "the forge".to_owned() } else { host.to_owned() }
}

/// Returns whether its page shows something else soon.
fn is_moving(card: &PullCard) -> bool {
    match card.state {
        PullState::Waiting => true,
        PullState::Open => card.is_merged_here,
        PullState::Merged => card.landed.is_none(),
        PullState::Closed | PullState::Superseded | PullState::Failed => false,
    }
}

/// Returns whether its page may show something else at all.
fn waits(card: &PullCard) -> bool {
    is_moving(card) || matches!(card.state, PullState::Open | PullState::Failed)
}

pub(crate) async fn show(
    Of(app): Of<App>,
    visitor: Visitor,
    Named(Asked { user, topic }): Named<Asked>,
) -> Result<Response, Problem> {
    let sheet = visitor.ask(&app, &PullRead { user, topic }).await?;
    let context = context! {
        card => value(Row::of(&sheet.card)),
        sheet => value(&sheet),
        moves => is_moving(&sheet.card),
        waits => waits(&sheet.card),
    };
    Ok(page::render(&app, &visitor, "pull.html", context))
}

/// Takes it back.
pub(crate) async fn withdraw(
    Of(app): Of<App>,
    visitor: Visitor,
    Named(Asked { user, topic }): Named<Asked>,
) -> Result<Response, Problem> {
    visitor.ask(&app, &PullWithdraw { user: user.clone(), topic: topic.clone() }).await?;
    visitor.tell(&app, Notice::good("It is taken back. Nothing goes to the forge."));
    Ok(page::see_other(&format!("/pulls/{user}/{topic}")))
}

pub(crate) async fn events(
    Of(app): Of<App>,
    visitor: Visitor,
    Named(Asked { user, topic }): Named<Asked>,
) -> Result<Response, Problem> {
    let sheet = visitor.ask(&app, &PullRead { user, topic }).await?;
    stream::answer(app, visitor, One { sheet }).await
}

/// A change, while somebody looks.
struct One {
    sheet: PullSheet,
}

impl Watched for One {
    async fn load(&mut self, app: &App, visitor: &Visitor) -> Result<(), Problem> {
        let PullCard { user, topic, .. } = self.sheet.card.clone();
        self.sheet = visitor.ask(app, &PullRead { user, topic }).await?;
        Ok(())
    }

    /// A pass that has begun may be of this very change.
    fn is_stale(&self, _: &World) -> bool {
        waits(&self.sheet.card)
    }

    fn show(&self, app: &App, _: &World) -> Parts {
        let mut parts = Parts::default();
        parts.is_over = !waits(&self.sheet.card);
        let context = context! { card => value(Row::of(&self.sheet.card)) };
        parts.put(app, "live-pull", "pull_state.html", context);
        parts
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_forge_goes_by_its_host() {
        for (url, name) in [
            ("https://git.example.org/org/state.git", "git.example.org"),
            ("https://git.example.org:3000/org/state.git", "git.example.org"),
            ("ssh://git@git.example.org:22/org/state.git", "git.example.org"),
            ("git@github.com:org/state.git", "github.com"),
            ("/srv/state.git", "the forge"),
        ] {
            assert_eq!(host(url), name);
        }
    }
}
