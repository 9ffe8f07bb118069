//! Changes that went to the forge which hosts the state repo.

use axum::Json;
use axum::extract::State;
use berth_schema::name::UserName;
use berth_wire::web::{PullRead, PullWithdraw, Pulls};
use serde::Deserialize;

use super::body::{Named, Nothing, Sent};
use super::caller::Caller;
use super::problem::Problem;
use super::shape::{Pull, PullDetails, Written};
use crate::app::App;

/// Lists changes that went to the forge, the newest first: one's own, or all for an admin.
#[utoipa::path(get, path = "/api/pulls", tag = "Pull requests", responses((status = 200, description = "Changes.", body = Vec<Pull>)))]
pub(crate) async fn pulls(State(app): State<App>, caller: Caller) -> Result<Json<Vec<Pull>>, Problem> {
    let cards = caller.ask(&app, &Pulls {}).await?;
    Ok(Json(cards.into_iter().map(Pull::from).collect()))
}

/// A change that is asked for.
#[derive(Debug, Deserialize)]
pub(crate) struct Asked {
    user: UserName,
    topic: String,
}

/// Shows one of these changes.
#[utoipa::path(get, path = "/api/pulls/{user}/{topic}", tag = "Pull requests", params(("user" = String, Path, description = "Its author."), ("topic" = String, Path, description = "Its topic.")), responses((status = 200, description = "The change.", body = PullDetails)))]
pub(crate) async fn pull(
    State(app): State<App>,
    caller: Caller,
    Named(Asked { user, topic }): Named<Asked>,
) -> Result<Json<PullDetails>, Problem> {
    Ok(Json(caller.ask(&app, &PullRead { user, topic }).await?.into()))
}

/// Takes back a change that the forge doesn't have yet: one's own, or anybody's as an admin.
#[utoipa::path(delete, path = "/api/pulls/{user}/{topic}", tag = "Pull requests", params(("user" = String, Path, description = "Its author."), ("topic" = String, Path, description = "Its topic.")), responses((status = 200, description = "It was taken back.", body = Written)))]
pub(crate) async fn withdraw(
    State(app): State<App>,
    caller: Caller,
    Named(Asked { user, topic }): Named<Asked>,
    _: Sent<Nothing>,
) -> Result<Json<Written>, Problem> {
    let follow = format!("/api/pulls/{user}/{topic}");
    caller.ask(&app, &PullWithdraw { user, topic }).await?;
    Ok(Json(Written::done("taken back", Some(follow))))
}
