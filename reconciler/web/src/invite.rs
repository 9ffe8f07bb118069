//! Invitations: a link with which somebody sets their password. Looking at it never uses it up.

use axum::extract::{Path, State};
use axum::response::Response;
use berth_wire::web::{AskError, Invitation, Person, Redeem, Secret, Why};
use http::StatusCode;
use minijinja::context;

use crate::agent::Browser;
use crate::app::App;
use crate::page;
use crate::problem::{Problem, words};
use crate::signin;
use crate::visitor::{Opened, Peer, Sent};

/// `GET /invite/{secret}`
pub(crate) async fn show(
    State(app): State<App>,
    Peer(from): Peer,
    Path(secret): Path<String>,
) -> Result<Response, Problem> {
    let person = whom(&app, Secret(secret), from).await?;
    Ok(form(&app, &person, None))
}

/// `POST /invite/{secret}`
pub(crate) async fn accept(
    State(app): State<App>,
    Peer(from): Peer,
    Browser(browser): Browser,
    Path(secret): Path<String>,
    Opened(session): Opened,
    sent: Sent,
) -> Result<Response, Problem> {
    let invitation = Secret(secret);
    let password = sent.one("password");
    if password != sent.one("password_again") {
        let person = whom(&app, invitation, from).await?;
        let wrong = "The two passwords are not the same. Type both again.";
        return Ok(page::with_status(StatusCode::UNPROCESSABLE_ENTITY, form(&app, &person, Some(wrong))));
    }
    let password = Secret(password.to_owned());
    let question = Redeem { invitation: invitation.clone(), password, from, browser };
    match app.door.ask(None, &question).await {
        Ok(entered) => signin::entered_by(&app, session.as_ref(), entered),
        // The password isn't good enough; the link is still.
        Err(AskError::Refused(refused)) if refused.why == Why::BadQuestion => {
            let person = whom(&app, invitation, from).await?;
            let wrong = words(refused);
            Ok(page::with_status(StatusCode::UNPROCESSABLE_ENTITY, form(&app, &person, Some(&wrong))))
        }
        Err(error) => Err(dead(error)),
    }
}

async fn whom(app: &App, invitation: Secret, from: std::net::IpAddr) -> Result<Person, Problem> {
    app.door.ask(None, &Invitation { invitation, from }).await.map_err(dead)
}

/// A link that isn't good gets a sentence of its own, the same for each reason.
fn dead(error: AskError) -> Problem {
    let Problem { status, message, hint, wait } = error.into();
    if status == StatusCode::NOT_FOUND {
        return Problem::new(status, "This link is not good any more: it was used, it is older than three days, or a newer one was made.")
            .hint("Ask {help} for a new one: `berth invite <name>`.");
    }
    Problem { status, message, hint, wait }
}

fn form(app: &App, person: &Person, wrong: Option<&str>) -> Response {
    page::render_open(app, None, "invite.html", context! { user => person.name.as_str(), wrong })
}
