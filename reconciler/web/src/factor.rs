//! One's second factor: codes of an app, set up with a picture, and recovery codes.

use axum::extract::State;
use axum::response::Response;
use berth_wire::web::{AskError, BeginTotp, NewRecovery, RemoveTotp, Secret, SetTotp, TotpSecret, Why};
use http::header::CACHE_CONTROL;
use http::{HeaderValue, StatusCode};
use minijinja::{Value, context};
use qrcode::QrCode;
use qrcode::render::svg;

use crate::account;
use crate::agent::Browser;
use crate::app::App;
use crate::page;
use crate::problem::{Problem, words};
use crate::session::{Content, Notice};
use crate::signin;
use crate::visitor::{Peer, Sent, Visitor};

/// Pixels of the side of a picture.
const SIDE: u32 = 220;

/// `GET /account/totp`: the secret for an app, until its first code has come.
pub(crate) async fn begin(State(app): State<App>, visitor: Visitor) -> Result<Response, Problem> {
    let secret = visitor.ask(&app, &BeginTotp {}).await?;
    Ok(secret_page(&app, &visitor, &secret, None))
}

fn secret_page(app: &App, visitor: &Visitor, secret: &TotpSecret, wrong: Option<&str>) -> Response {
    let picture = picture(&secret.uri.0).map(Value::from_safe_string);
    let context = context! { picture, groups => groups(&secret.secret.0), wrong };
    unkept(page::render(app, visitor, "totp.html", context))
}

/// `POST /account/totp`
pub(crate) async fn set(
    State(app): State<App>,
    Peer(from): Peer,
    Browser(browser): Browser,
    visitor: Visitor,
    sent: Sent,
) -> Result<Response, Problem> {
    let question = SetTotp { code: Secret(sent.one("code").to_owned()), from, browser };
    match app.door.ask(Some(&visitor.token), &question).await {
        Ok(set) => {
            let codes: Vec<String> = set.recovery.into_iter().map(|code| code.0).collect();
            let person = set.signed_in.person.clone();
            // The old session ends with its token, so the page is the new one's.
            let answer =
                signin::anew(&app, Some(&visitor.session), set.signed_in, Content::default(), "/account")?;
            let mut page = page::render(
                &app,
                &Visitor { person, ..visitor },
                "recovery.html",
                context! { codes, is_new => true },
            );
            page.headers_mut().extend(
                answer
                    .headers()
                    .get(http::header::SET_COOKIE)
                    .map(|cookie| (http::header::SET_COOKIE, cookie.clone())),
            );
            Ok(unkept(page))
        }
        Err(AskError::Refused(refused)) if refused.why == Why::WrongCode => {
            let secret = visitor.ask(&app, &BeginTotp {}).await?;
            let page = secret_page(&app, &visitor, &secret, Some(&words(refused)));
            Ok(page::with_status(StatusCode::UNPROCESSABLE_ENTITY, page))
        }
        Err(error) => Err(error.into()),
    }
}

/// `POST /account/totp/remove`
pub(crate) async fn remove(
    State(app): State<App>,
    Peer(from): Peer,
    Browser(browser): Browser,
    visitor: Visitor,
    sent: Sent,
) -> Result<Response, Problem> {
    let typed = |name| Secret(sent.one(name).to_owned());
    let question = RemoveTotp { password: typed("password"), code: typed("code"), from, browser };
    match app.door.ask(Some(&visitor.token), &question).await {
        Ok(signed_in) => {
            let told = "Your second factor is removed. You are signed out everywhere else.";
            let content = Content { notices: vec![Notice::good(told)], ..Content::default() };
            signin::anew(&app, Some(&visitor.session), signed_in, content, "/account")
        }
        Err(AskError::Refused(refused)) => match refused.why {
            Why::WrongPassword => account::with_wrong(&app, &visitor, "That is not your password.").await,
            Why::WrongCode | Why::BadQuestion => account::with_wrong(&app, &visitor, &words(refused)).await,
            _ => Err(refused.into()),
        },
        Err(error) => Err(error.into()),
    }
}

/// `POST /account/recovery`: new recovery codes, shown this once.
pub(crate) async fn renew(State(app): State<App>, visitor: Visitor) -> Result<Response, Problem> {
    let codes = visitor.ask(&app, &NewRecovery {}).await?;
    let codes: Vec<String> = codes.into_iter().map(|code| code.0).collect();
    Ok(unkept(page::render(&app, &visitor, "recovery.html", context! { codes, is_new => false })))
}

/// Keeps a page that shows a secret out of every cache, "Back" included.
fn unkept(mut page: Response) -> Response {
    page.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    page
}

/// A secret in groups of four characters, as people type it.
fn groups(secret: &str) -> String {
    let groups: Vec<&str> =
        (0..secret.len()).step_by(4).filter_map(|at| secret.get(at..(at + 4).min(secret.len()))).collect();
    groups.join(" ")
}

/// The picture of a text that cameras read. It is dark on light in any look: not every camera reads the other.
fn picture(text: &str) -> Option<String> {
    let code = QrCode::new(text).ok()?;
    let drawn = code
        .render::<svg::Color<'_>>()
        .min_dimensions(SIDE, SIDE)
        .dark_color(svg::Color("#000"))
        .light_color(svg::Color("#fff"))
        .build();
    // What stands before the element is for files.
    let at = drawn.find("<svg")?;
    drawn.get(at..).map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_picture_is_an_element_without_a_style() {
        let picture = picture("otpauth://totp/hosting.example.org:ann?secret=GEZDGNBVGY3TQOJQ").unwrap();
        assert!(picture.starts_with("<svg") && picture.ends_with("</svg>"), "{picture}");
        assert!(!picture.contains("style") && !picture.contains("<script"));
        assert_eq!(groups("GEZDGNBVGY"), "GEZD GNBV GY");
    }
}
