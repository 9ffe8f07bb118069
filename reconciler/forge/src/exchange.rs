//! One exchange with the forge's API, and how an answer is taken: what is true for the moment alone, and what isn't.

use std::time::Duration;

use berth_fault::chain;
use berth_schema::text::safe_line;
use http::header::RETRY_AFTER;
use http::{HeaderMap, Request, StatusCode};
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::body::Bytes;
use jiff::Timestamp;
use jiff::fmt::rfc2822;

use crate::way_out;

/// Time that a forge has to answer.
const DEADLINE: Duration = Duration::from_secs(20);
/// The longest answer that is read, in bytes: a list of fifty pull requests has some hundred thousand.
const ANSWER: usize = 8 << 20;
/// Characters of an answer that are shown.
const SHOWN: usize = 200;
/// The wait after a limit that doesn't say for how long it holds.
const LIMITED: Duration = Duration::from_secs(60);
/// The longest wait that a forge may ask for.
const LONGEST: Duration = Duration::from_secs(60 * 60);

/// A forge's answer.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    headers: HeaderMap,
    pub(crate) body: Bytes,
}

/// Reason that something didn't happen at the forge.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Trouble {
    /// The forge is away or has enough to do: there is no point in asking it for anything before the wait is over.
    #[error("{why}")]
    Away {
        /// The reason.
        why: String,
        /// The wait that it asks for.
        wait: Option<Duration>,
    },
    /// The forge fails, perhaps at this alone, so nothing else waits for it.
    #[error("{0}")]
    Ailing(String),
    /// Somebody else was faster, so it may be otherwise at once.
    #[error("{0}")]
    Contended(String),
    /// It may be otherwise in a moment: a replica is behind, or something is being checked.
    #[error("{0}")]
    Lagging(String),
    /// Somebody has to do something about it first.
    #[error("{0}")]
    Refused(String),
}

impl Answer {
    /// The answer in a harmless line.
    pub(crate) fn line(&self) -> String {
        safe_line(&String::from_utf8_lossy(&self.body), SHOWN)
    }

    /// Returns whether the answer has these words.
    pub(crate) fn says(&self, words: &str) -> bool {
        String::from_utf8_lossy(&self.body).contains(words)
    }

    /// Takes an answer that isn't the one that was hoped for. `right` is what the token needs.
    pub(crate) fn trouble(&self, base: &str, right: &str) -> Trouble {
        let status = self.status;
        let said = format!("{base} answered {status}: {}", self.line());
        if self.is_limited() {
            let why = format!("{base} takes no more requests for now ({status})");
            return Trouble::Away { why, wait: Some(self.wait().unwrap_or(LIMITED)) };
        }
        match status {
            _ if status.is_server_error() || status == StatusCode::REQUEST_TIMEOUT => match self.wait() {
                Some(wait) => Trouble::Away { why: said, wait: Some(wait) },
                None => Trouble::Ailing(said),
            },
            StatusCode::UNAUTHORIZED => {
                Trouble::Refused(format!("{said}. The token is none, or has expired"))
            }
            StatusCode::FORBIDDEN => Trouble::Refused(format!("{said}. The token needs the right: {right}")),
            _ if status.is_redirection() => Trouble::Refused(format!(
                "{base} is elsewhere now ({status}): set `remote.url`, or `remote.api` \
                 (docs/forge.md, \"The repository was renamed\")"
            )),
            StatusCode::CONFLICT => Trouble::Contended(said),
            StatusCode::NOT_FOUND => Trouble::Lagging(format!(
                "{said}. There is no such thing there yet, or the token may not see it, or the API is elsewhere: \
                 `remote.api` says where"
            )),
            // A replica that is behind says so, too, and so does a check that goes on.
            _ => Trouble::Lagging(said),
        }
    }

    /// Returns whether it is a limit on requests. GitHub answers one with 403 as well.
    fn is_limited(&self) -> bool {
        let header = |name: &str| self.headers.get(name).and_then(|value| value.to_str().ok());
        match self.status {
            StatusCode::TOO_MANY_REQUESTS => true,
            StatusCode::FORBIDDEN => {
                header("x-ratelimit-remaining") == Some("0")
                    || self.headers.contains_key(RETRY_AFTER)
                    || self.says("rate limit")
            }
            _ => false,
        }
    }

    /// The wait that it asks for.
    fn wait(&self) -> Option<Duration> {
        let header = |name: &str| self.headers.get(name).and_then(|value| value.to_str().ok());
        let until = |then: Timestamp| {
            let seconds = then.as_second().saturating_sub(Timestamp::now().as_second());
            Duration::from_secs(u64::try_from(seconds).unwrap_or_default().max(1))
        };
        let asked = header("retry-after").and_then(|text| match text.parse() {
            Ok(seconds) => Some(Duration::from_secs(seconds)),
            Err(_) => rfc2822::parse(text).ok().map(|date| until(date.timestamp())),
        });
        let reset = || {
            let text = header("x-ratelimit-reset").or_else(|| header("ratelimit-reset"))?;
            Timestamp::from_second(text.parse().ok()?).ok().map(until)
        };
        asked.or_else(reset).map(|wait| wait.min(LONGEST))
    }
}

/// Sends a request, and hears the answer to its end. A redirect isn't followed: the token is for this host.
pub(crate) async fn exchange(request: Request<Full<Bytes>>) -> Result<Answer, String> {
    let client = way_out::client().map_err(|error| format!("read the system's CAs: {error}"))?;
    let exchange = async {
        let answer = client.request(request).await.map_err(|error| chain(&error))?;
        let (head, body) = answer.into_parts();
        let body = Limited::new(body, ANSWER).collect().await;
        // The status alone says enough where nobody has to read the rest.
        let body = body.map(|body| body.to_bytes()).unwrap_or_default();
        Ok(Answer { status: head.status, headers: head.headers, body })
    };
    match tokio::time::timeout(DEADLINE, exchange).await {
        Ok(answer) => answer,
        Err(_) => Err(format!("no answer within {} s", DEADLINE.as_secs())),
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    pub(crate) fn answer(status: u16, headers: &[(&'static str, String)], body: &str) -> Answer {
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            map.insert(*name, value.parse().unwrap());
        }
        let status = StatusCode::from_u16(status).unwrap();
        Answer { status, headers: map, body: Bytes::copy_from_slice(body.as_bytes()) }
    }

    #[test]
    fn what_is_for_the_moment_is_told_from_what_needs_somebody() {
        let take = |status, headers: &[(&'static str, String)], body: &str| {
            answer(status, headers, body).trouble("https://f/api", "pull requests: write")
        };
        let seconds = Duration::from_secs;
        let wait = |trouble| match trouble {
            Trouble::Away { wait, .. } => wait,
            other => panic!("{other:?}"),
        };
        let soon = (Timestamp::now().as_second() + 30).to_string();
        let limit = [("x-ratelimit-remaining", "0".to_owned()), ("x-ratelimit-reset", soon)];
        let asked = wait(take(403, &limit, "API rate limit exceeded")).unwrap();
        assert!((seconds(28)..=seconds(30)).contains(&asked), "{asked:?}");
        assert_eq!(wait(take(403, &[("retry-after", "4".to_owned())], "no")), Some(seconds(4)));
        assert_eq!(wait(take(429, &[("retry-after", "8".to_owned())], "")), Some(seconds(8)));
        assert_eq!(wait(take(429, &[], "")), Some(LIMITED));
        assert_eq!(wait(take(403, &[], "You have exceeded a secondary rate limit")), Some(LIMITED));
        assert_eq!(wait(take(503, &[("retry-after", "99999999".to_owned())], "")), Some(LONGEST));
        for status in [408, 500, 502, 503] {
            assert!(matches!(take(status, &[], "<html>"), Trouble::Ailing(_)), "{status}");
        }
        for status in [400, 404, 405, 422, 423] {
            assert!(matches!(take(status, &[], "no"), Trouble::Lagging(_)), "{status}");
        }
        assert!(matches!(take(409, &[], "409 Conflict"), Trouble::Contended(_)));
        assert!(take(301, &[], "").to_string().contains("set `remote.url`"));
        assert!(take(404, &[], "").to_string().contains("`remote.api`"));
        for status in [401, 403, 301] {
            assert!(matches!(take(status, &[], "no"), Trouble::Refused(_)), "{status}");
        }
        assert!(take(403, &[], "no").to_string().contains("pull requests: write"));
    }
}
