//! `/reviews/{topic}`: one proposal, and the decision.

use std::net::IpAddr;

use axum::extract::State as Of;
use axum::response::Response;
use berth_schema::Revision;
use berth_wire::web::{Approve, ProposalRead, Reject};
use http::StatusCode;
use minijinja::context;

use super::address::Named;
use super::form;
use super::reviews::Row;
use super::words::value;
use crate::app::App;
use crate::page;
use crate::problem::Problem;
use crate::session::Notice;
use crate::visitor::{Bound, Sent, Visitor};

pub(crate) async fn show(
    Of(app): Of<App>,
    visitor: Visitor,
    Bound(from): Bound,
    Named(topic): Named<String>,
) -> Result<Response, Problem> {
    shown(&app, &visitor, from, topic, "", None).await
}

/// The proposal, with the words that somebody had typed and the reason that they came to nothing.
async fn shown(
    app: &App,
    visitor: &Visitor,
    from: Option<IpAddr>,
    topic: String,
    reason: &str,
    refused: Option<&Problem>,
) -> Result<Response, Problem> {
    let sheet = visitor.ask(app, &ProposalRead { topic, from }).await?;
    let context = context! {
        card => value(Row::of(&sheet.card)),
        own => sheet.card.author.as_ref() == Some(&visitor.person.name),
        sheet => value(&sheet),
        reason,
        said => refused.map(|problem| problem.message.to_string()),
        why => refused.and_then(|problem| problem.hint.as_deref().map(str::to_owned)),
    };
    let page = page::render(app, visitor, "review.html", context);
    Ok(match refused {
        Some(problem) => page::with_status(problem.status, page),
        None => page,
    })
}

/// Merges the proposal, if it is still what was looked at.
pub(crate) async fn approve(
    Of(app): Of<App>,
    visitor: Visitor,
    Bound(from): Bound,
    Named(topic): Named<String>,
    sent: Sent,
) -> Result<Response, Problem> {
    let at: Revision = sent.one("at").parse().map_err(|_| {
        Problem::new(StatusCode::BAD_REQUEST, "The form doesn’t name the revision that you looked at.")
            .hint("Open the proposal again.")
    })?;
    let question = Approve { topic: topic.clone(), at, from, knows: form::knows(&sent) };
    match visitor.ask(&app, &question).await {
        Ok(decided) => {
            visitor.tell(&app, Notice::good(decided.message));
            Ok(page::see_other(&format!("/changes/{}", decided.revision)))
        }
        Err(problem) => again(&app, &visitor, from, topic, "", problem).await,
    }
}

/// Closes the proposal.
pub(crate) async fn reject(
    Of(app): Of<App>,
    visitor: Visitor,
    Bound(from): Bound,
    Named(topic): Named<String>,
    sent: Sent,
) -> Result<Response, Problem> {
    let reason = sent.one("reason").trim();
    match visitor.ask(&app, &Reject { topic: topic.clone(), reason: reason.to_owned() }).await {
        Ok(_) => {
            visitor.tell(&app, Notice::good(format!("{topic} is closed. Nothing was changed.")));
            Ok(page::see_other("/reviews"))
        }
        Err(problem) => again(&app, &visitor, from, topic, reason, problem).await,
    }
}

async fn again(
    app: &App,
    visitor: &Visitor,
    from: Option<IpAddr>,
    topic: String,
    reason: &str,
    problem: Problem,
) -> Result<Response, Problem> {
    if matches!(problem.status, StatusCode::UNAUTHORIZED | StatusCode::NOT_FOUND) {
        return Err(problem);
    }
    shown(app, visitor, from, topic, reason, Some(&problem)).await
}
