//! Pages: made of a template, for somebody. One file below for each page.

pub(crate) mod address;
pub(crate) mod admin;
pub(crate) mod audit;
pub(crate) mod browse;
mod certificate;
pub(crate) mod change;
pub(crate) mod changes;
pub(crate) mod clean_up;
mod countries;
pub(crate) mod doc_file;
pub(crate) mod doc_form;
pub(crate) mod doc_history;
pub(crate) mod doc_search;
pub(crate) mod doc_upload;
pub(crate) mod docs;
pub(crate) mod domain_form;
pub(crate) mod figures;
pub(crate) mod form;
pub(crate) mod home;
mod leads;
pub(crate) mod lines;
pub(crate) mod log;
pub(crate) mod open;
pub(crate) mod plan;
pub(crate) mod progress;
pub(crate) mod pull;
pub(crate) mod review;
pub(crate) mod reviews;
pub(crate) mod server;
pub(crate) mod server_form;
pub(crate) mod servers;
pub(crate) mod settings;
mod site;
pub(crate) mod state;
pub(crate) mod stream;
pub(crate) mod terminal;
pub(crate) mod tokens;
pub(crate) mod user;
pub(crate) mod user_form;
pub(crate) mod users;
pub(crate) mod words;

use axum::response::{Html, IntoResponse as _, Response};
use berth_wire::path::local;
use berth_wire::web::Person;
use http::header::{CACHE_CONTROL, LOCATION};
use http::{HeaderValue, StatusCode};
use minijinja::value::Serde;
use minijinja::{Value, context};

use crate::app::App;
use crate::problem::Problem;
use crate::session::{Notice, Session};
use crate::visitor::Visitor;

/// Makes a page for somebody who is signed in. Besides its own context, a template has `me` (the person), `notices` (what waits
/// to be said) and `host` (the panel's name).
pub fn render(app: &App, visitor: &Visitor, template: &str, context: Value) -> Response {
    let notices = app.sessions.take_notices(&visitor.session);
    make(app, Some(&visitor.person), &notices, template, context)
}

/// Makes a page for somebody who isn't signed in.
pub(crate) fn render_open(app: &App, session: Option<&Session>, template: &str, context: Value) -> Response {
    let notices = session.map(|session| app.sessions.take_notices(session)).unwrap_or_default();
    let mut response = make(app, None, &notices, template, context);
    // It may hold what only its reader may know, and somebody else comes next.
    response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

/// Makes the page of a problem. `answer` is the one that carried it: its headers stay.
pub(crate) fn of_problem(
    app: &App,
    visitor: Option<&Visitor>,
    answer: Response,
    problem: &Problem,
) -> Response {
    let context = context! {
        title => problem.title(),
        message => &*problem.message,
        hint => problem.hint.as_deref(),
        wait => problem.wait,
    };
    let mut response = make(app, visitor.map(|visitor| &visitor.person), &[], "problem.html", context);
    *response.status_mut() = problem.status;
    let (parts, _) = answer.into_parts();
    for (name, value) in &parts.headers {
        // The empty answer's own length and type don't hold for the page.
        if !matches!(name.as_str(), "content-length" | "content-type" | "cache-control") {
            response.headers_mut().insert(name.clone(), value.clone());
        }
    }
    response
}

fn make(app: &App, me: Option<&Person>, notices: &[Notice], template: &str, context: Value) -> Response {
    let around = context! {
        me => me.map(Serde).map(Value::from),
        is_admin => me.is_some_and(Person::is_admin),
        notices => Value::from(Serde(notices)),
        host => &*app.settings.domain,
    };
    match app.templates.render(template, context! { ..around, ..context }) {
        // Kept by the browser for its Back button, where typed values are still there, and asked for anew otherwise.
        Ok(page) => ([(CACHE_CONTROL, "private, no-cache")], Html(page)).into_response(),
        Err(error) => {
            tracing::error!(error = berth_fault::chain(&error), "a page can't be made");
            let plain = "<!doctype html><html lang=en><title>Something went wrong</title>\
                <p>The panel has failed to make this page; its log says why. <a href=\"/\">Start at the first page</a>";
            (StatusCode::INTERNAL_SERVER_ERROR, Html(plain)).into_response()
        }
    }
}

/// Gives an answer another status.
pub fn with_status(status: StatusCode, mut response: Response) -> Response {
    *response.status_mut() = status;
    response
}

/// Leads to another page of the panel, which is fetched: after a form has done something, or where a page has moved.
pub fn see_other(path: &str) -> Response {
    let path = HeaderValue::from_str(local(path)).unwrap_or(HeaderValue::from_static("/"));
    (StatusCode::SEE_OTHER, [(LOCATION, path)]).into_response()
}
