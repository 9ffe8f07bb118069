//! Writes: a change is planned by the door, and made, proposed or refused by what that came to. Nothing is judged here.

use std::net::IpAddr;

use axum::Json;
use axum::response::{IntoResponse as _, Response};
use berth_schema::Revision;
use berth_wire::web::{Change, Commit, Committed, Planned, Propose, Proposed, Standing};
use http::header::LOCATION;
use http::{HeaderValue, StatusCode};
use serde::Deserialize;
use utoipa::IntoParams;

use super::body::flag;
use super::caller::Caller;
use super::problem::{CONFLICT, INVALID, LOCKOUT, More, NEEDS_REVIEW, Problem};
use super::shape::{Plan, Written};
use crate::app::App;

/// Attempts at a commit. Each one after the first means that somebody changed what its plan shows meanwhile.
const ATTEMPTS: usize = 3;

/// Wishes about a write.
#[derive(Debug, Clone, Default, Deserialize, IntoParams)]
#[serde(default, deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct How {
    /// `true` only shows what the change comes to.
    #[serde(deserialize_with = "flag")]
    #[param(value_type = Option<String>, pattern = "^(true|false)?$")]
    pub(super) plan: bool,
    /// `true` makes a proposal of it, which somebody else decides on.
    #[serde(deserialize_with = "flag")]
    #[param(value_type = Option<String>, pattern = "^(true|false)?$")]
    pub(super) propose: bool,
    /// `true` says that whoever asks knows what the plan's `shuts_out` says.
    #[serde(deserialize_with = "flag")]
    #[param(value_type = Option<String>, pattern = "^(true|false)?$")]
    pub(super) knows: bool,
    /// `digest` of a plan: this is made, or nothing.
    pub(super) digest: Option<String>,
}

/// Work that a write does by the door.
pub(crate) trait Work {
    /// Asks what it comes to.
    async fn plan(&self, app: &App, caller: &Caller) -> Result<Planned, Problem>;
    /// Makes it, if it comes to that still.
    async fn commit(
        &self,
        app: &App,
        caller: &Caller,
        digest: String,
        knows: bool,
    ) -> Result<Committed, Problem>;
    /// Makes a proposal of it.
    async fn propose(&self, app: &App, caller: &Caller) -> Result<Proposed, Problem>;
}

/// A change of one file.
pub(crate) struct OfFile {
    pub(super) change: Change,
    /// Address that the caller comes from, where `access.panel` binds them.
    pub(super) from: Option<IpAddr>,
}

impl Work for OfFile {
    async fn plan(&self, app: &App, caller: &Caller) -> Result<Planned, Problem> {
        caller.ask(app, &berth_wire::web::Plan { change: self.change.clone(), from: self.from }).await
    }

    async fn commit(
        &self,
        app: &App,
        caller: &Caller,
        digest: String,
        knows: bool,
    ) -> Result<Committed, Problem> {
        caller.ask(app, &Commit { change: self.change.clone(), digest, from: self.from, knows }).await
    }

    async fn propose(&self, app: &App, caller: &Caller) -> Result<Proposed, Problem> {
        caller.ask(app, &Propose { change: self.change.clone() }).await
    }
}

/// Does a write as it is wished.
pub(super) async fn write(
    app: &App,
    caller: &Caller,
    how: &How,
    work: &impl Work,
) -> Result<Response, Problem> {
    let mut planned = work.plan(app, caller).await?;
    if how.plan {
        return Ok(answer(StatusCode::OK, "planned", planned, None));
    }
    for _ in 0..ATTEMPTS {
        match &planned.standing {
            Standing::Nothing => return Ok(answer(StatusCode::OK, "unchanged", planned, None)),
            Standing::Refused => return Err(refused(planned)),
            Standing::Conflict { .. } => return Err(conflict(planned)),
            Standing::Allowed | Standing::NeedsReview { .. } if how.propose => {
                let proposed = work.propose(app, caller).await?;
                return Ok(match proposed.is_sent {
                    true => sent(caller, planned, proposed),
                    false => {
                        answer(StatusCode::ACCEPTED, "proposed", planned, Some(Made::Proposal(proposed)))
                    }
                });
            }
            Standing::NeedsReview { .. } => return Err(needs_review(planned)),
            Standing::Allowed => {}
        }
        if !planned.shuts_out.is_empty() && !how.knows {
            return Err(lockout(planned));
        }
        let digest = how.digest.clone().unwrap_or_else(|| planned.digest.clone());
        match work.commit(app, caller, digest, how.knows).await? {
            Committed::Made { revision } => {
                let status = if planned.id.is_some() { StatusCode::CREATED } else { StatusCode::OK };
                return Ok(answer(status, "committed", planned, Some(Made::Commit(revision))));
            }
            Committed::Sent { topic, revision } => {
                return Ok(sent(caller, planned, Proposed { topic, revision, is_sent: true }));
            }
            Committed::Changed { planned: now } if how.digest.is_some() => {
                // What it comes to tells more than that it comes to something else.
                return Err(match now.standing {
                    Standing::Refused => refused(*now),
                    _ => changed(*now),
                });
            }
            Committed::Changed { planned: now } => planned = *now,
        }
    }
    Err(changed(planned))
}

/// Commit, proposal or pull request that was made.
enum Made {
    Commit(Revision),
    Proposal(Proposed),
    /// It goes to the forge; the path tells what becomes of it.
    Pull(Proposed, String),
}

/// The answer to a write that goes to the forge.
fn sent(caller: &Caller, planned: Planned, proposed: Proposed) -> Response {
    let path = format!("/api/pulls/{}/{}", caller.person.name, proposed.topic);
    let location = HeaderValue::try_from(&path);
    let mut answer = answer(StatusCode::ACCEPTED, "sent", planned, Some(Made::Pull(proposed, path)));
    // Names and topics are letters, digits and hyphens.
    if let Ok(location) = location {
        answer.headers_mut().insert(LOCATION, location);
    }
    answer
}

fn answer(status: StatusCode, outcome: &str, planned: Planned, made: Option<Made>) -> Response {
    let plan = Plan::from(planned);
    let (revision, follow, topic) = match made {
        None => (None, None, None),
        Some(Made::Commit(revision)) => {
            (Some(revision.to_string()), Some(format!("/api/changes/{revision}")), None)
        }
        Some(Made::Proposal(proposed)) => (
            Some(proposed.revision.to_string()),
            Some(format!("/api/reviews/{}", proposed.topic)),
            Some(proposed.topic),
        ),
        Some(Made::Pull(proposed, path)) => {
            (Some(proposed.revision.to_string()), Some(path), Some(proposed.topic))
        }
    };
    let written = Written {
        outcome: outcome.to_owned(),
        summary: plan.summary.clone(),
        revision,
        follow,
        topic,
        id: plan.id,
        plan: Some(plan),
    };
    (status, Json(written)).into_response()
}

fn refused(planned: Planned) -> Problem {
    let plan = Plan::from(planned);
    let first = plan.findings.iter().find(|finding| finding.is_error);
    let message = first.map_or_else(|| "it has mistakes".to_owned(), |finding| finding.message.clone());
    let hint = first.and_then(|finding| finding.hint.clone());
    let more = More { hint, findings: plan.findings, ..More::default() };
    Problem::new(&INVALID, format!("Nothing was changed: {message}.")).with(more)
}

fn conflict(planned: Planned) -> Problem {
    let plan = Plan::from(planned);
    let hint = Some("Read it again, and send what you want now.".to_owned());
    let more = More { hint, findings: plan.findings, ..More::default() };
    Problem::new(&CONFLICT, "Nothing was changed: somebody else changed the same fields meanwhile.")
        .with(more)
}

fn changed(planned: Planned) -> Problem {
    let hint = Some("Look at `plan`, and send its `digest` if it is what you want.".to_owned());
    let more = More { hint, plan: Some(Box::new(planned.into())), ..More::default() };
    Problem::new(&CONFLICT, "Nothing was changed: it comes to something else by now.").with(more)
}

fn lockout(planned: Planned) -> Problem {
    let detail = format!("Nothing was changed. {}", planned.shuts_out.join(" "));
    let hint = Some("Send it again with `knows=true`, if that is what you want.".to_owned());
    let more = More { hint, plan: Some(Box::new(planned.into())), ..More::default() };
    Problem::new(&LOCKOUT, detail).with(more)
}

fn needs_review(planned: Planned) -> Problem {
    let plan = Plan::from(planned);
    let hint = Some("Send it again with `propose=true` to ask them.".to_owned());
    let more = More { hint, findings: plan.findings, approvers: plan.approvers, ..More::default() };
    let who = match more.approvers.as_slice() {
        [] => "an admin".to_owned(),
        approvers => approvers.join(" or "),
    };
    Problem::new(&NEEDS_REVIEW, format!("Nothing was changed: {who} has to agree first.")).with(more)
}
