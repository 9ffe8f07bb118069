//! Authority: whoever may not open a page is stopped before its code runs. The table of routes says who may.
//!
//! Each request asks the door anew who somebody is. Where they turn out not to be signed in any more, what they were about to
//! do is kept in their session until they are.

use axum::body::{Body, Bytes, to_bytes};
use axum::extract::{FromRequest as _, Request, State};
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};
use berth_wire::web::{Me, Who};
use http::header::{CONTENT_TYPE, SET_COOKIE};
use http::{HeaderMap, Method, StatusCode, Uri};

use crate::app::App;
use crate::guard::longest_body;
use crate::open;
use crate::page;
use crate::problem::Problem;
use crate::session::{Content, Kept, Session, no_cookie};
use crate::visitor::{Sent, Visitor};

/// Lets somebody pass, or not.
pub(crate) async fn require(State((app, who)): State<(App, Who)>, request: Request, next: Next) -> Response {
    if who == Who::Anybody {
        return next.run(request).await;
    }
    let session = open::session(request.headers(), &app.sessions);
    let (mut parts, body) = request.into_parts();
    // The guard has read it already.
    let Ok(body) = to_bytes(body, longest_body(parts.uri.path())).await else {
        return Problem::internal().into_response();
    };
    let asked = Asked {
        method: parts.method.clone(),
        uri: parts.uri.clone(),
        headers: parts.headers.clone(),
        body: body.clone(),
    };
    let visitor = match visitor(&app, session.as_ref()).await {
        Ok(visitor) => visitor,
        Err(problem) if problem.status == StatusCode::UNAUTHORIZED && who == Who::Reader => {
            // It may be for anybody: the door says so when the page asks it.
            let response = next.run(Request::from_parts(parts, Body::from(body))).await;
            let problem = response.extensions().get::<Problem>();
            return match problem.is_some_and(|problem| problem.status == StatusCode::UNAUTHORIZED) {
                true => sign_in_first(&app, session, asked).await,
                false => response,
            };
        }
        Err(problem) if problem.status == StatusCode::UNAUTHORIZED => {
            return sign_in_first(&app, session, asked).await;
        }
        Err(problem) => return problem.into_response(),
    };
    let mut response = match who == Who::Admin && !visitor.person.is_admin() {
        true => Problem::admins_only().into_response(),
        false => {
            parts.extensions.insert(visitor.clone());
            next.run(Request::from_parts(parts, Body::from(body))).await
        }
    };
    match response.extensions_mut().remove::<Problem>() {
        None => response,
        // Signed out while the page was made.
        Some(problem) if problem.status == StatusCode::UNAUTHORIZED => {
            sign_in_first(&app, session, asked).await
        }
        Some(problem) if problem.status == StatusCode::PRECONDITION_REQUIRED && !asked.is_by_script() => {
            confirm_first(&app, &visitor, asked).await
        }
        Some(problem) => page::of_problem(&app, Some(&visitor), response, &problem),
    }
}

/// A request, as far as it may have to be kept.
struct Asked {
    method: Method,
    uri: Uri,
    headers: HeaderMap,
    body: Bytes,
}

impl Asked {
    /// Returns whether a script asked: it can't fill in a form, so its page says what is the matter.
    fn is_by_script(&self) -> bool {
        self.headers.get("sec-fetch-mode").is_some_and(|mode| mode != "navigate")
    }

    /// Path and query.
    fn path(&self) -> String {
        self.uri.path_and_query().map_or("/", |path| path.as_str()).to_owned()
    }
}

async fn visitor(app: &App, session: Option<&Session>) -> Result<Visitor, Problem> {
    let session = session.ok_or_else(Problem::signed_out)?;
    let token = session.content.token.as_ref().ok_or_else(Problem::signed_out)?;
    let person = app.door.ask(Some(token), &Me {}).await?;
    Ok(Visitor { person, session: session.clone(), token: token.clone() })
}

/// Leads to the sign-in, and keeps what the person was about to do.
async fn sign_in_first(app: &App, session: Option<Session>, asked: Asked) -> Response {
    if asked.is_by_script() {
        return Problem::signed_out().into_response();
    }
    let path = asked.path();
    let was_known = session.as_ref().is_some_and(|session| session.content.user.is_some());
    let kept = match asked.method == Method::POST {
        // Nobody's form isn't kept: there is no limit to how many of them a stranger can send.
        true if was_known => form(&asked).await.map(|form| Kept { path, form: Some(form) }),
        true => None,
        false => (path != "/").then_some(Kept { path, form: None }),
    };
    let mut response = page::see_other("/login");
    match (session, kept) {
        (Some(session), kept) => {
            let signed_out = |content: &mut Content| (content.token, content.kept) = (None, kept);
            if let Err(error) = app.sessions.change(&session, signed_out) {
                tracing::warn!(%error, "what somebody was about to do is lost");
                // Nor is the sign-in to lead back here for ever.
                response.headers_mut().insert(SET_COOKIE, no_cookie());
            }
        }
        (None, Some(kept)) => {
            match app.sessions.begin_guest(Content { kept: Some(kept), ..Content::default() }) {
                Ok(session) => _ = response.headers_mut().insert(SET_COOKIE, session.cookie()),
                Err(error) => tracing::warn!(%error, "where somebody was going is lost"),
            }
        }
        (None, None) => {}
    }
    response
}

/// Leads to where somebody confirms who they are, and keeps what they were about to do.
async fn confirm_first(app: &App, visitor: &Visitor, asked: Asked) -> Response {
    let path = asked.path();
    let kept = match asked.method == Method::POST {
        true => form(&asked).await.map(|form| Kept { path, form: Some(form) }),
        false => Some(Kept { path, form: None }),
    };
    if let Err(error) = app.sessions.change(&visitor.session, |content| content.kept = kept) {
        tracing::warn!(%error, "what somebody was about to do is lost");
    }
    page::see_other("/confirm")
}

/// Values of a form, unless it holds a password: that is typed again, and kept nowhere. A file is chosen again.
async fn form(asked: &Asked) -> Option<Vec<(String, String)>> {
    let kind = asked.headers.get(CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).unwrap_or_default();
    if kind.starts_with("multipart/") {
        return None;
    }
    let mut request = Request::new(Body::from(asked.body.clone()));
    *request.method_mut() = Method::POST;
    let kind = http::HeaderValue::from_static("application/x-www-form-urlencoded");
    request.headers_mut().insert(CONTENT_TYPE, kind);
    let Sent(values) = Sent::from_request(request, &()).await.ok()?;
    let has_password = values.iter().any(|(name, _)| name.contains("password"));
    (!has_password).then_some(values)
}
