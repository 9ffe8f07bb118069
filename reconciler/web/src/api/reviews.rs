//! Proposals.

use axum::Json;
use axum::extract::State;
use berth_schema::Revision;
use berth_wire::web::{Approve, ProposalRead, Proposals, Reject};
use serde::Deserialize;
use utoipa::ToSchema;

use super::body::{Named, Sent};
use super::caller::Caller;
use super::problem::Problem;
use super::shape::{Review, ReviewDetails, Written};
use crate::app::App;
use crate::visitor::Bound;

/// Lists the proposals that wait: one's own, or all for an admin.
#[utoipa::path(get, path = "/api/reviews", tag = "Reviews", responses((status = 200, description = "Proposals.", body = Vec<Review>)))]
pub(crate) async fn reviews(State(app): State<App>, caller: Caller) -> Result<Json<Vec<Review>>, Problem> {
    let waiting = caller.ask(&app, &Proposals {}).await?;
    Ok(Json(waiting.into_iter().map(Review::from).collect()))
}

/// Shows one proposal.
#[utoipa::path(get, path = "/api/reviews/{topic}", tag = "Reviews", params(("topic" = String, Path, description = "Topic of the proposal.")), responses((status = 200, description = "The proposal.", body = ReviewDetails)))]
pub(crate) async fn review(
    State(app): State<App>,
    caller: Caller,
    Bound(from): Bound,
    Named(topic): Named<String>,
) -> Result<Json<ReviewDetails>, Problem> {
    Ok(Json(caller.ask(&app, &ProposalRead { topic, from }).await?.into()))
}

/// Consent to a proposal.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Consent {
    /// The revision that was looked at. If it isn't the proposal's tip any more, nothing is merged.
    at: String,
    /// Set if whoever asks knows what the proposal's `shuts_out` says.
    #[serde(default)]
    knows: bool,
}

/// Merges a proposal.
#[utoipa::path(post, path = "/api/reviews/{topic}/approve", tag = "Reviews", params(("topic" = String, Path, description = "Topic of the proposal.")), request_body = Consent, responses((status = 200, description = "It was merged.", body = Written)))]
pub(crate) async fn approve(
    State(app): State<App>,
    caller: Caller,
    Bound(from): Bound,
    Named(topic): Named<String>,
    Sent(consent): Sent<Consent>,
) -> Result<Json<Written>, Problem> {
    let at = consent.at.parse::<Revision>().map_err(|_| super::body::not_a_revision("at"))?;
    let decided = caller.ask(&app, &Approve { topic, at, from, knows: consent.knows }).await?;
    let revision = decided.revision.to_string();
    let follow = Some(format!("/api/changes/{revision}"));
    let done = Written::done(decided.message, follow);
    Ok(Json(Written { outcome: "committed".to_owned(), revision: Some(revision), ..done }))
}

/// A "no" to a proposal.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct No {
    /// Words for its author.
    reason: String,
}

/// Closes a proposal without merging it.
#[utoipa::path(post, path = "/api/reviews/{topic}/reject", tag = "Reviews", params(("topic" = String, Path, description = "Topic of the proposal.")), request_body = No, responses((status = 200, description = "It was closed.", body = Written)))]
pub(crate) async fn reject(
    State(app): State<App>,
    caller: Caller,
    Named(topic): Named<String>,
    Sent(no): Sent<No>,
) -> Result<Json<Written>, Problem> {
    caller.ask(&app, &Reject { topic, reason: no.reason }).await?;
    Ok(Json(Written::done("closed", None)))
}
