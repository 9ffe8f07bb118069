//! Servers that a request names: `?servers=1,2,3`.

use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use berth_schema::name::ServerId;

/// Reads the ids in a request, `most` of them at most.
pub(super) fn server_ids(asked: &str, most: usize) -> Result<Vec<ServerId>, Box<Response>> {
    let refused = |why: String| Box::new((StatusCode::BAD_REQUEST, why).into_response());
    let ids = asked.split(',').filter(|id| !id.is_empty());
    let ids: Result<Vec<ServerId>, _> = ids.take(most + 1).map(|id| id.parse().map(ServerId)).collect();
    match ids {
        Ok(ids) if ids.len() > most => {
            Err(refused(format!("cannot answer for so many servers at once; ask for {most}\n")))
        }
        Ok(ids) => Ok(ids),
        Err(_) => Err(refused("cannot read the ids of servers; write ?servers=1,2,3\n".to_owned())),
    }
}
