//! Pages of the gate's own: a sentence each, and the next step. Nothing that a visitor sent stands in them.

use berth_schema::tool::Tool;
use bytes::Bytes;
use http::header::{
    CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, LOCATION, REFERRER_POLICY, RETRY_AFTER, SET_COOKIE,
};
use http::{HeaderValue, Response, StatusCode};
use http_body_util::{BodyExt as _, Full};

use crate::cookie;
use crate::ending::Body;

/// Answer of the gate's own.
pub(crate) fn page(status: StatusCode, title: &str, sentence: &str) -> Response<Body> {
    let text = format!(
        "<!doctype html><html lang=\"en\"><meta charset=\"utf-8\"><meta name=\"viewport\" content=\"width=device-width\">\
         <title>{title}</title><body style=\"font:1.1rem/1.5 system-ui,sans-serif;max-width:36rem;margin:15vh auto;padding:0 1rem\">\
         <h1 style=\"font-size:1.5rem\">{title}</h1><p>{sentence}</p></body></html>\n"
    );
    let mut answer = plain(status, text.into());
    answer.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("text/html; charset=utf-8"));
    answer
}

fn plain(status: StatusCode, text: Bytes) -> Response<Body> {
    let mut answer = Response::new(Full::new(text).map_err(|never| match never {}).boxed_unsync());
    *answer.status_mut() = status;
    let headers = answer.headers_mut();
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
    let policy =
        HeaderValue::from_static("default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'");
    headers.insert(CONTENT_SECURITY_POLICY, policy);
    answer
}

/// Leads somewhere else.
pub(crate) fn see_other(to: &str) -> Response<Body> {
    let mut answer = plain(StatusCode::SEE_OTHER, Bytes::new());
    let to = HeaderValue::from_str(to).unwrap_or(HeaderValue::from_static("/"));
    answer.headers_mut().insert(LOCATION, to);
    answer
}

/// Adds a cookie, or takes it away where the value is empty.
pub(crate) fn with_cookie(mut answer: Response<Body>, name: &str, value: &str) -> Response<Body> {
    answer.headers_mut().append(SET_COOKIE, cookie::set(name, value));
    answer
}

/// Nobody is let in without having signed in.
pub(crate) fn sign_in() -> Response<Body> {
    page(
        StatusCode::UNAUTHORIZED,
        "Sign in first",
        "Only people whom this site is for may open it. Open its first page in the browser: that leads to the sign-in.",
    )
}

/// The door can't be asked. `contact` is whom the organisation names for such things.
pub(crate) fn unsure(contact: Option<&str>) -> Response<Body> {
    let contact = escaped(contact.unwrap_or("whoever runs the platform"));
    let sentence = format!(
        "The platform can't tell at the moment who may open this site. Try again in a minute. If it lasts, tell {contact}."
    );
    let mut answer = page(StatusCode::SERVICE_UNAVAILABLE, "Nobody can be let in now", &sentence);
    answer.headers_mut().insert(RETRY_AFTER, HeaderValue::from_static("10"));
    answer
}

/// A text that is no markup.
fn escaped(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            c => escaped.push(c),
        }
    }
    escaped
}

/// Two cookies of one name.
pub(crate) fn two_cookies() -> Response<Body> {
    page(
        StatusCode::BAD_REQUEST,
        "Two sign-ins at once",
        "The browser sent two cookies of the name that says who you are. Remove this site's cookies and open it again.",
    )
}

/// A path of the gate's own that leads nowhere.
pub(crate) fn no_such_page() -> Response<Body> {
    page(
        StatusCode::NOT_FOUND,
        "No such page",
        "Addresses of this site that begin with /.berth/ are the platform's. <a href=\"/\">Open the site itself</a>.",
    )
}

/// A way in that isn't good.
pub(crate) fn used_up() -> Response<Body> {
    page(
        StatusCode::FORBIDDEN,
        "This way in is not good any more",
        "It has been used, it is older than half a minute, or it was another browser’s. <a href=\"/\">Open the site again</a>.",
    )
}

/// The request didn't come as the edge sends them.
pub(crate) fn misdirected() -> Response<Body> {
    page(
        StatusCode::MISDIRECTED_REQUEST,
        "This can't be opened like that",
        "Sites that aren't for everybody are opened over HTTPS, by their name.",
    )
}

/// A page of another site makes the request.
pub(crate) fn foreign() -> Response<Body> {
    page(
        StatusCode::FORBIDDEN,
        "Not from another site",
        "A page of another site asked for this. Open it by its own address, or from the server's page in the panel.",
    )
}

/// The server is stopped.
pub(crate) fn stopped() -> Response<Body> {
    let mut answer = page(
        StatusCode::SERVICE_UNAVAILABLE,
        "The server is stopped",
        "The server behind this address is stopped. Its owner can start it again.",
    );
    answer.headers_mut().insert(RETRY_AFTER, HeaderValue::from_static("300"));
    answer
}

/// The app doesn't answer, or a server's own page doesn't.
pub(crate) fn no_answer(tool: Option<Tool>) -> Response<Body> {
    let Some(tool) = tool else {
        return page(
            StatusCode::BAD_GATEWAY,
            "The app doesn't answer",
            "The server behind this address runs, but nothing in it answers here. If it is yours: is the app started, and on the \
             port that the domain's file names? An app that listens at 127.0.0.1 alone, or speaks HTTPS, is reached through the \
             server's own Caddy.",
        );
    };
    let title = format!("{} doesn't answer", tool.title());
    page(
        StatusCode::BAD_GATEWAY,
        &title,
        "The server runs, but its own Caddy doesn't answer here. Log in to it over SSH: <code>systemctl status caddy</code> says \
         why. A server of an older image has no such page until it gets a newer one.",
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn text(answer: Response<Body>) -> String {
        let body = answer.into_body().collect().await.unwrap().to_bytes();
        String::from_utf8(body.to_vec()).unwrap()
    }

    #[tokio::test]
    async fn whom_to_tell_is_named_and_is_no_markup() {
        assert!(text(unsure(Some("help@example.org"))).await.contains("If it lasts, tell help@example.org."));
        assert!(text(unsure(None)).await.contains("tell whoever runs the platform."));
        assert!(text(unsure(Some("<b>"))).await.contains("tell &lt;b&gt;."));
    }
}
