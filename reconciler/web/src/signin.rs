//! Signing in and out.

use axum::extract::State;
use axum::response::Response;
use berth_wire::web::{
    AskError, Entered, Half, ProviderCard, Refusal, Secret, SignIn, SignInCode, SignInPasskey, SignInWays,
    SignOut, SignedIn, Why,
};
use http::header::{HeaderName, RETRY_AFTER, SET_COOKIE};
use http::{HeaderValue, StatusCode};
use minijinja::value::Serde;
use minijinja::{Value, context};

use crate::agent::Browser;
use crate::app::App;
use crate::page;
use crate::passkey::Host;
use crate::problem::{Problem, words};
use crate::session::{self, Content, Kept, Notice, Session};
use crate::visitor::{Opened, Peer, Sent};

/// The one sentence for every failure, which tells nobody which half was wrong.
const WRONG: &str = "That name and password don't go together.";

/// `GET /login`
pub(crate) async fn show(State(app): State<App>, Opened(session): Opened) -> Response {
    let content = session.as_ref().map(|session| &session.content);
    if content.is_some_and(|content| content.token.is_some()) {
        // Were the token dead, the first page would lead back here.
        return page::see_other("/");
    }
    let user = content.and_then(|content| content.user.clone()).unwrap_or_default();
    let goes_on = content.is_some_and(|content| content.kept.is_some());
    let provider = provider(&app).await;
    let provider = provider.as_ref().map(Serde).map(Value::from);
    form(&app, session.as_ref(), context! { user, goes_on, provider })
}

/// The provider by which people can sign in. Where the door doesn't answer there is none, and the page says so when somebody signs in.
async fn provider(app: &App) -> Option<ProviderCard> {
    app.door.ask(None, &SignInWays {}).await.unwrap_or_else(|error| {
        tracing::warn!(error = berth_fault::chain(&error), "nobody tells by which provider people sign in");
        None
    })
}

fn form(app: &App, session: Option<&Session>, context: Value) -> Response {
    page::render_open(app, session, "login.html", context)
}

/// `POST /login`
pub(crate) async fn enter(
    State(app): State<App>,
    Peer(from): Peer,
    Browser(browser): Browser,
    Opened(session): Opened,
    sent: Sent,
) -> Result<Response, Problem> {
    let user = sent.one("user").trim().to_owned();
    let password = Secret(sent.one("password").to_owned());
    let question = SignIn { user: user.clone(), password, from, browser, is_short: false };
    match app.door.ask(None, &question).await {
        Ok(entered) => entered_by(&app, session.as_ref(), entered),
        Err(AskError::Refused(refused)) => again(&app, session.as_ref(), &user, refused, WRONG),
        Err(error) => Err(error.into()),
    }
}

/// The form once more, with the reason.
fn again(
    app: &App,
    session: Option<&Session>,
    user: &str,
    refused: Refusal,
    wrong: &str,
) -> Result<Response, Problem> {
    let goes_on = session.is_some_and(|session| session.content.kept.is_some());
    let (status, wait) = match refused.why {
        Why::TooMany { seconds } => (StatusCode::TOO_MANY_REQUESTS, Some(seconds)),
        // The password was good; the sentence says what is the matter.
        Why::Forbidden | Why::Unavailable => return Err(refused.into()),
        _ => (StatusCode::FORBIDDEN, None),
    };
    let context = context! { user, goes_on, wrong, wait };
    let mut answer = page::with_status(status, form(app, session, context));
    if let Some(seconds) = wait {
        answer.headers_mut().insert(RETRY_AFTER, HeaderValue::from(seconds));
    }
    Ok(answer)
}

/// Begins a session, or asks for a code.
pub(crate) fn entered_by(app: &App, before: Option<&Session>, entered: Entered) -> Result<Response, Problem> {
    let half = match entered {
        Entered::SignedIn(signed_in) => return begin(app, before, *signed_in),
        Entered::CodeWanted(Half { half, .. }) => half,
    };
    let mut answer = page::see_other("/login/code");
    match before {
        Some(session) => {
            let waits = |content: &mut Content| (content.token, content.half) = (None, Some(half));
            app.sessions.change(session, waits).map_err(failed)?;
        }
        None => {
            let content = Content { half: Some(half), ..Content::default() };
            let session = app.sessions.begin_guest(content).map_err(failed)?;
            answer.headers_mut().insert(SET_COOKIE, session.cookie());
        }
    }
    Ok(answer)
}

/// `GET /login/code`
pub(crate) async fn show_code(State(app): State<App>, Opened(session): Opened) -> Response {
    match &session {
        Some(session) if session.content.half.is_some() => code_form(&app, session, context! {}),
        _ => page::see_other("/login"),
    }
}

fn code_form(app: &App, session: &Session, context: Value) -> Response {
    page::render_open(app, Some(session), "code.html", context)
}

/// `POST /login/code`
pub(crate) async fn enter_code(
    State(app): State<App>,
    Peer(from): Peer,
    Browser(browser): Browser,
    Opened(session): Opened,
    sent: Sent,
) -> Result<Response, Problem> {
    let half = session.as_ref().and_then(|session| Some((session, session.content.half.clone()?)));
    let Some((session, half)) = half else { return Ok(page::see_other("/login")) };
    let question =
        SignInCode { half, code: Secret(sent.one("code").to_owned()), from, browser, is_short: false };
    let refused = match app.door.ask(None, &question).await {
        Ok(signed_in) => return begin(&app, Some(session), signed_in),
        Err(AskError::Refused(refused)) => refused,
        Err(error) => return Err(error.into()),
    };
    match refused.why {
        Why::WrongCode => {
            let context = context! { wrong => words(refused) };
            Ok(page::with_status(StatusCode::FORBIDDEN, code_form(&app, session, context)))
        }
        Why::TooMany { seconds } => {
            let context = context! { wrong => refused.message, wait => seconds };
            let page = code_form(&app, session, context);
            let mut answer = page::with_status(StatusCode::TOO_MANY_REQUESTS, page);
            answer.headers_mut().insert(RETRY_AFTER, HeaderValue::from(seconds));
            Ok(answer)
        }
        Why::SignedOut => {
            let too_late = Notice::bad(words(refused));
            let ended = |content: &mut Content| {
                content.half = None;
                content.notices.push(too_late);
            };
            app.sessions.change(session, ended).map_err(failed)?;
            Ok(page::see_other("/login"))
        }
        _ => Err(refused.into()),
    }
}

/// `POST /login/passkey`
pub(crate) async fn enter_by_passkey(
    State(app): State<App>,
    Peer(from): Peer,
    Browser(browser): Browser,
    Host(host): Host,
    Opened(session): Opened,
    sent: Sent,
) -> Result<Response, Problem> {
    let question = SignInPasskey { host, response: Secret(sent.one("response").to_owned()), from, browser };
    match app.door.ask(None, &question).await {
        Ok(signed_in) => begin(&app, session.as_ref(), signed_in),
        Err(AskError::Refused(refused)) => {
            let wrong = refused.message.clone();
            again(&app, session.as_ref(), "", refused, &wrong)
        }
        Err(error) => Err(error.into()),
    }
}

/// Begins a session for somebody whom the door has just let in, in the place of the one that their browser had, and leads them
/// to what they were about to do.
pub(crate) fn begin(app: &App, before: Option<&Session>, signed_in: SignedIn) -> Result<Response, Problem> {
    let name = signed_in.person.name.as_str();
    // What somebody else was about to do is nobody's business.
    let same = before.filter(|before| before.content.user.as_deref().is_none_or(|was| was == name));
    let kept = same.and_then(|before| before.content.kept.clone());
    let next = match &kept {
        None => "/",
        Some(Kept { form: Some(_), .. }) => "/resume",
        Some(Kept { path, form: None }) => path,
    };
    let content = Content { kept: kept.clone().filter(|kept| kept.form.is_some()), ..Content::default() };
    anew(app, before, signed_in.clone(), content, next)
}

/// Gives somebody a session with the token that the door has just given them, in the place of the one that their browser had:
/// whoever knew its cookie before knows nothing now.
pub(crate) fn anew(
    app: &App,
    before: Option<&Session>,
    signed_in: SignedIn,
    content: Content,
    next: &str,
) -> Result<Response, Problem> {
    let SignedIn { token, person, until } = signed_in;
    if let Some(before) = before {
        app.sessions.end(before).map_err(failed)?;
    }
    let content = Content { token: Some(token), user: Some(person.name.to_string()), ..content };
    let session = app.sessions.begin(content, until).map_err(failed)?;
    let mut answer = page::see_other(next);
    answer.headers_mut().insert(SET_COOKIE, session.cookie());
    Ok(answer)
}

pub(crate) fn failed(error: session::SessionError) -> Problem {
    tracing::error!(error = berth_fault::chain(&error), "a session can't be kept");
    Problem::internal()
}

/// `POST /logout`
pub(crate) async fn leave(State(app): State<App>, Opened(session): Opened) -> Result<Response, Problem> {
    let mut answer = page::see_other("/login");
    if let Some(session) = session {
        // The session first: whatever becomes of the token, this browser has it no more.
        app.sessions.end(&session).map_err(failed)?;
        if let Some(token) = &session.content.token
            && let Err(error) = app.door.ask(Some(token), &SignOut {}).await
        {
            tracing::warn!(
                error = berth_fault::chain(&error),
                "the door was not told that somebody has signed out"
            );
        }
        let user = session.content.user.clone();
        let notices = vec![Notice::good("You are signed out.")];
        if let Ok(guest) = app.sessions.begin_guest(Content { user, notices, ..Content::default() }) {
            answer.headers_mut().insert(SET_COOKIE, guest.cookie());
        }
    }
    let headers = answer.headers_mut();
    headers.entry(SET_COOKIE).or_insert_with(session::no_cookie);
    // The Back button shows nothing of theirs.
    headers.insert(HeaderName::from_static("clear-site-data"), HeaderValue::from_static("\"cache\""));
    Ok(answer)
}
