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
/// The shortest and the longest wait that a forge may ask for.
const SHORTEST: Duration = Duration::from_secs(1);
const LONGEST: Duration = Duration::from_secs(60 * 60);
/// Seconds since 1970 begin here. A smaller number is how many seconds are left.
const SINCE_1970: i64 = 365 * 24 * 60 * 60;

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
            // GitHub says with every answer when its limit is reset, also where that limit isn't reached.
            let reset = || self.reset().filter(|_| self.is_spent());
            let wait = self.retry_after().or_else(reset).unwrap_or(LIMITED);
            return Trouble::Away { why, wait: Some(wait.clamp(SHORTEST, LONGEST)) };
        }
        match status {
            _ if status.is_server_error() || status == StatusCode::REQUEST_TIMEOUT => {
                match self.retry_after() {
                    Some(wait) => Trouble::Away { why: said, wait: Some(wait.clamp(SHORTEST, LONGEST)) },
                    None => Trouble::Ailing(said),
                }
            }
            _ if status.is_success() => Trouble::Lagging(format!(
                "{said}. That isn't the API's answer: a page to sign in, for instance, or the API is elsewhere: `remote.api` says where"
            )),
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

    /// Returns whether it is a JSON object, as everything is that an API answers with to a change.
    pub(crate) fn is_object(&self) -> bool {
        serde_json::from_slice::<serde_json::Map<String, serde_json::Value>>(&self.body).is_ok()
    }

    /// The same without a secret, which something on the way may have put into its page about an error.
    pub(crate) fn without(mut self, secret: &str) -> Self {
        if !secret.is_empty() && self.says(secret) {
            self.body = String::from_utf8_lossy(&self.body).replace(secret, "…").into();
        }
        self
    }

    fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).and_then(|value| value.to_str().ok()).map(str::trim)
    }

    /// Returns whether it is a limit on requests. GitHub answers one with 403 as well.
    fn is_limited(&self) -> bool {
        match self.status {
            StatusCode::TOO_MANY_REQUESTS => true,
            StatusCode::FORBIDDEN => {
                self.header("x-ratelimit-remaining") == Some("0")
                    || self.headers.contains_key(RETRY_AFTER)
                    || self.says("rate limit")
            }
            _ => false,
        }
    }

    /// Returns whether no request is left until the reset.
    fn is_spent(&self) -> bool {
        let left = self.header("x-ratelimit-remaining").or_else(|| self.header("ratelimit-remaining"));
        left.is_none_or(|left| left == "0")
    }

    /// The wait that it asks for: in seconds, or until a date.
    fn retry_after(&self) -> Option<Duration> {
        let text = self.header("retry-after").filter(|text| !text.is_empty())?;
        match text.bytes().all(|byte| byte.is_ascii_digit()) {
            // A number that fits nowhere is a long time all the same.
            true => Some(text.parse().map_or(LONGEST, Duration::from_secs)),
            false => rfc2822::parse(text).ok().map(|date| self.until(date.timestamp())),
        }
    }

    /// The wait until a limit is reset: forges name the second, and proxies before them say how many are left.
    fn reset(&self) -> Option<Duration> {
        let text = self.header("x-ratelimit-reset").or_else(|| self.header("ratelimit-reset"))?;
        match text.parse().ok()? {
            left @ 0..SINCE_1970 => Some(Duration::from_secs(left.unsigned_abs())),
            second => Timestamp::from_second(second).ok().map(|then| self.until(then)),
        }
    }

    /// The time from the answer until then, by the clock of whoever answers: ours may be wrong.
    fn until(&self, then: Timestamp) -> Duration {
        let date = self.header("date").and_then(|text| rfc2822::parse(text).ok());
        let now = date.map_or_else(Timestamp::now, |date| date.timestamp());
        let seconds = then.as_second().saturating_sub(now.as_second());
        Duration::from_secs(u64::try_from(seconds).unwrap_or_default())
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
        let after = |status, text: &str| wait(take(status, &[("retry-after", text.to_owned())], ""));
        assert_eq!(after(503, "99999999"), Some(LONGEST));
        assert_eq!(after(429, &"9".repeat(40)), Some(LONGEST));
        // Nobody asks again at once who was just told to ask less.
        for text in ["0", "Thu, 01 Jan 1970 00:00:00 GMT"] {
            assert_eq!(after(429, text), Some(SHORTEST), "{text}");
        }
        for text in ["soon", "-5", "1.5", ""] {
            assert_eq!(after(429, text), Some(LIMITED), "{text}");
        }
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
        assert!(take(200, &[], "<html>").to_string().contains("a page to sign in"));
    }

    /// Takes an answer with these headers.
    fn told(status: u16, headers: &[(&'static str, &str)], body: &str) -> Trouble {
        let headers: Vec<_> = headers.iter().map(|(name, value)| (*name, (*value).to_owned())).collect();
        answer(status, &headers, body).trouble("https://f/api", "x")
    }

    fn seconds(trouble: &Trouble) -> Option<u64> {
        match trouble {
            Trouble::Away { wait, .. } => wait.map(|wait| wait.as_secs()),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn the_reset_of_a_limit_that_isnt_reached_is_nobodys_wait() {
        // GitHub and GitLab say it with every answer: a server's error, and a limit of another kind.
        let soon = (Timestamp::now().as_second() + 3000).to_string();
        let github = [("x-ratelimit-remaining", "4999"), ("x-ratelimit-reset", soon.as_str())];
        let gitlab = [("ratelimit-remaining", "599"), ("ratelimit-reset", soon.as_str())];
        for headers in [github, gitlab] {
            for status in [500, 502, 503] {
                assert!(matches!(told(status, &headers, ""), Trouble::Ailing(_)), "{status}");
            }
            for status in [403, 429] {
                let words = "You have exceeded a secondary rate limit";
                assert_eq!(seconds(&told(status, &headers, words)), Some(60), "{status}");
            }
        }
        let spent = [("ratelimit-remaining", "0"), ("ratelimit-reset", soon.as_str())];
        assert!((2990..=3000).contains(&seconds(&told(429, &spent, "")).unwrap()));
    }

    #[test]
    fn a_reset_counts_by_the_forges_clock_and_in_either_notation() {
        // Ours is years ahead, or behind.
        for (date, second) in [
            ("Wed, 21 Oct 2015 07:28:00 GMT", 1_445_412_480),
            ("Sun, 21 Oct 2125 07:28:00 GMT", 4_916_705_280_i64),
        ] {
            let reset = (second + 90).to_string();
            let headers =
                [("date", date), ("x-ratelimit-remaining", "0"), ("x-ratelimit-reset", reset.as_str())];
            assert_eq!(seconds(&told(403, &headers, "")), Some(90), "{date}");
        }
        let date =
            [("date", "Wed, 21 Oct 2015 07:28:00 GMT"), ("retry-after", "Wed, 21 Oct 2015 07:30:00 GMT")];
        assert_eq!(seconds(&told(503, &date, "")), Some(120));
        // A proxy's draft of the same header has the seconds that are left.
        assert_eq!(seconds(&told(429, &[("ratelimit-reset", "30")], "")), Some(30));
        for reset in ["0", "-1", "-99999999999", "99999999999999", "x"] {
            let wait = seconds(&told(429, &[("ratelimit-reset", reset)], "")).unwrap();
            assert!((1..=3600).contains(&wait), "{reset}: {wait}");
        }
    }

    #[test]
    fn an_answer_that_repeats_the_token_shows_none() {
        let said = answer(502, &[], "Bad gateway. Your request: Authorization: Bearer s3cret-token");
        let shown = said.without("s3cret-token").trouble("https://f/api", "x").to_string();
        assert!(!shown.contains("s3cret") && shown.contains("Bearer …"), "{shown}");
    }
}
