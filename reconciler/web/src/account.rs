//! One's own account: who one is, what one may use, keys, password, sign-ins elsewhere.

use axum::extract::State;
use axum::response::Response;
use berth_wire::web::{
    AskError, EndSession, Factors, Secret, Sessions, SetPassword, SignOutEverywhere, UserRead, Why,
};
use http::StatusCode;
use minijinja::value::Serde;
use minijinja::{Value, context};

use crate::agent::Browser;
use crate::app::App;
use crate::page;
use crate::problem::{Problem, words};
use crate::session::{Content, Notice};
use crate::signin;
use crate::visitor::{Peer, Sent, Visitor};

/// `GET /account`
pub(crate) async fn show(State(app): State<App>, visitor: Visitor) -> Result<Response, Problem> {
    sheet(&app, &visitor, None, None).await
}

/// The page once more, with what is wrong about the second factor.
pub(crate) async fn with_wrong(app: &App, visitor: &Visitor, wrong: &str) -> Result<Response, Problem> {
    let page = sheet(app, visitor, None, Some(wrong)).await?;
    Ok(page::with_status(StatusCode::UNPROCESSABLE_ENTITY, page))
}

async fn sheet(
    app: &App,
    visitor: &Visitor,
    wrong: Option<&str>,
    wrong_factor: Option<&str>,
) -> Result<Response, Problem> {
    let name = &visitor.person.name;
    let sheet = visitor.ask(app, &UserRead { name: name.clone() }).await?;
    let factors = visitor.ask(app, &Factors { name: name.clone() }).await?;
    let sessions = visitor.ask(app, &Sessions {}).await?;
    let keys: Vec<Value> = sheet.ssh_keys.iter().map(|key| key_row(key)).collect();
    let context = context! {
        sheet => Value::from(Serde(&sheet)),
        factors => Value::from(Serde(&factors)),
        sessions => Value::from(Serde(&sessions)),
        keys,
        wrong,
        wrong_factor,
    };
    Ok(page::render(app, visitor, "account.html", context))
}

/// A key as people tell it from others: its kind, the end of its middle part, its comment.
fn key_row(key: &str) -> Value {
    let mut parts = key.splitn(3, ' ');
    let (kind, body, comment) =
        (parts.next().unwrap_or_default(), parts.next().unwrap_or_default(), parts.next());
    let end: String = body.chars().skip(body.chars().count().saturating_sub(12)).collect();
    context! { whole => key, kind, end, comment }
}

/// `POST /account/password`
pub(crate) async fn set_password(
    State(app): State<App>,
    Peer(from): Peer,
    Browser(browser): Browser,
    visitor: Visitor,
    sent: Sent,
) -> Result<Response, Problem> {
    let (old, new) = (sent.one("old_password"), sent.one("new_password"));
    if new != sent.one("new_password_again") {
        let wrong = "The two new passwords are not the same. Type them again.";
        return Ok(page::with_status(
            StatusCode::UNPROCESSABLE_ENTITY,
            sheet(&app, &visitor, Some(wrong), None).await?,
        ));
    }
    let question = SetPassword { old: Secret(old.to_owned()), new: Secret(new.to_owned()), from, browser };
    let refused = match app.door.ask(Some(&visitor.token), &question).await {
        Ok(signed_in) => {
            let notices = vec![Notice::good("Your password is set. You are signed out everywhere else.")];
            let content = Content { notices, ..Content::default() };
            return signin::anew(&app, Some(&visitor.session), signed_in, content, "/account");
        }
        Err(AskError::Refused(refused)) => refused,
        Err(error) => return Err(error.into()),
    };
    let wrong = match refused.why {
        Why::WrongPassword => "That is not your password so far.".to_owned(),
        Why::BadQuestion => words(refused),
        _ => return Err(refused.into()),
    };
    Ok(page::with_status(StatusCode::UNPROCESSABLE_ENTITY, sheet(&app, &visitor, Some(&wrong), None).await?))
}

/// `POST /account/sign-out-everywhere`
pub(crate) async fn sign_out_everywhere(
    State(app): State<App>,
    visitor: Visitor,
) -> Result<Response, Problem> {
    visitor.ask(&app, &SignOutEverywhere {}).await?;
    visitor.tell(&app, Notice::good("You are signed out everywhere else."));
    Ok(page::see_other("/account"))
}

/// `POST /account/sessions/end`
pub(crate) async fn end_session(
    State(app): State<App>,
    visitor: Visitor,
    sent: Sent,
) -> Result<Response, Problem> {
    visitor.ask(&app, &EndSession { id: sent.one("id").to_owned() }).await?;
    visitor.tell(&app, Notice::good("You are signed out there."));
    Ok(page::see_other("/account"))
}
