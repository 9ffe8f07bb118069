//! Authority: whoever may not ask for something is stopped before its code runs. The table of routes says who may, and with which
//! scope.

use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};
use berth_wire::web::{Me, Needs, Who};
use http::HeaderMap;

use super::caller::{Caller, token};
use super::once::once;
use super::problem::Problem;
use crate::app::App;

/// Lets somebody pass, or not. A write that names itself is done once.
pub(crate) async fn require(
    State((app, who, needs)): State<(App, Who, Needs)>,
    mut request: Request,
    next: Next,
) -> Response {
    if who == Who::Anybody {
        return next.run(request).await;
    }
    let caller = match caller(&app, request.headers(), who, needs).await {
        Ok(caller) => caller,
        Err(problem) => return problem.into_response(),
    };
    request.extensions_mut().insert(caller.clone());
    once(&app, &caller, request, next).await
}

async fn caller(app: &App, headers: &HeaderMap, who: Who, needs: Needs) -> Result<Caller, Problem> {
    let token = token(app, headers).ok_or_else(Problem::signed_out)?;
    let person = app.door.ask(Some(&token), &Me {}).await?;
    if who == Who::Admin && !person.is_admin() {
        return Err(Problem::admins_only());
    }
    match needs {
        Needs::Scope(scope) if !person.has(scope) => Err(Problem::out_of_scope(scope)),
        _ => Ok(Caller { person, token }),
    }
}
