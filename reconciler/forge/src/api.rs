//! Requests that tell each kind of forge what became of a commit.
//!
//! GitHub: `POST /repos/{owner}/{repo}/statuses/{sha}` (REST API, "Commit statuses"). Forgejo and Gitea: the same below
//! `/api/v1`. GitLab: `POST /projects/{id}/statuses/{sha}` ("Commits API").

use berth_schema::Revision;
use berth_schema::remote::{Forge, Remote};
use berth_schema::text::safe_line;
use berth_wire::standing::CommitState;
use http::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, HeaderName, USER_AGENT};
use http::{HeaderValue, Method, Request, StatusCode};
use http_body_util::Full;
use hyper::body::Bytes;
use serde_json::{Value, json};

use crate::exchange::exchange;

/// The name under which the forge shows it.
const CONTEXT: &str = "berth";
/// The longest description that GitHub takes.
const LONGEST: usize = 140;

/// A repository in a forge's API.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Api {
    pub(crate) forge: Forge,
    pub(crate) base: String,
    token: HeaderValue,
}

/// The forge didn't take it.
#[derive(Debug, thiserror::Error)]
pub(crate) enum TellError {
    /// Trying again may help.
    #[error("{0}")]
    Passing(String),
    /// Trying again won't help.
    #[error("{0}")]
    Final(String),
}

/// GitLab's word for a commit's state.
fn in_gitlab(state: CommitState) -> &'static str {
    match state {
        CommitState::Failure => "failed",
        CommitState::Pending | CommitState::Success => state.word(),
    }
}

impl Api {
    /// `None` where nothing says where the API is: a path on this machine has none.
    pub(crate) fn of(remote: &Remote, forge: Forge, token: &str) -> Option<Self> {
        let base = match &remote.api {
            Some(api) => api.trim_end_matches('/').to_owned(),
            None => {
                let (host, path) = remote.url.place()?;
                match forge {
                    Forge::Github if host == "github.com" => format!("https://api.github.com/repos/{path}"),
                    Forge::Github => format!("https://{host}/api/v3/repos/{path}"),
                    Forge::Forgejo => format!("https://{host}/api/v1/repos/{path}"),
                    // A project's number or its path, as one segment.
                    Forge::Gitlab => format!("https://{host}/api/v4/projects/{}", path.replace('/', "%2F")),
                }
            }
        };
        let text = match forge {
            Forge::Github => format!("Bearer {token}"),
            Forge::Forgejo => format!("token {token}"),
            Forge::Gitlab => token.to_owned(),
        };
        let mut token = HeaderValue::try_from(text).ok()?;
        // Shown by no `Debug`.
        token.set_sensitive(true);
        Some(Self { forge, base, token })
    }

    /// Request that shows `state` at `revision`.
    pub(crate) fn request(
        &self,
        revision: Revision,
        state: CommitState,
        description: &str,
    ) -> http::Result<Request<Full<Bytes>>> {
        let body = self.body(state, description);
        self.ask(Method::POST, &format!("/statuses/{revision}"), Some(&body))
    }

    /// Request at a path below the repository's, with the token.
    pub(crate) fn ask(
        &self,
        method: Method,
        path: &str,
        body: Option<&Value>,
    ) -> http::Result<Request<Full<Bytes>>> {
        let (accept, authorization) = match self.forge {
            Forge::Github => ("application/vnd.github+json", AUTHORIZATION),
            Forge::Forgejo => ("application/json", AUTHORIZATION),
            Forge::Gitlab => ("application/json", HeaderName::from_static("private-token")),
        };
        let mut request = Request::builder()
            .method(method)
            .uri(format!("{}{path}", self.base))
            .header(ACCEPT, accept)
            .header(USER_AGENT, concat!("berth/", env!("CARGO_PKG_VERSION")))
            .header(authorization, self.token.clone());
        if self.forge == Forge::Github {
            request = request.header("x-github-api-version", "2022-11-28");
        }
        match body {
            Some(body) => request.header(CONTENT_TYPE, "application/json").body(Full::from(body.to_string())),
            None => request.body(Full::default()),
        }
    }

    /// The status as the forge shows it.
    fn body(&self, state: CommitState, description: &str) -> Value {
        let description = safe_line(description, LONGEST);
        match self.forge {
            Forge::Gitlab => {
                json!({"state": in_gitlab(state), "description": description, "name": CONTEXT})
            }
            _ => json!({"state": state.word(), "description": description, "context": CONTEXT}),
        }
    }

    /// Tells the forge. A redirect isn't followed: the token is for this host.
    pub(crate) async fn tell(
        &self,
        revision: Revision,
        state: CommitState,
        description: &str,
    ) -> Result<(), TellError> {
        let request = self.request(revision, state, description);
        let request =
            request.map_err(|error| TellError::Final(format!("`api` makes no good URL: {error}")))?;
        let passing = |why: String| TellError::Passing(format!("cannot reach {}: {why}", self.base));
        let answer = exchange(request).await.map_err(passing)?;
        self.understand(answer.status, &String::from_utf8_lossy(&answer.body))
    }

    fn understand(&self, status: StatusCode, body: &str) -> Result<(), TellError> {
        let why = match status {
            _ if status.is_success() => return Ok(()),
            // GitLab's words for a commit that has this state already.
            StatusCode::BAD_REQUEST if self.forge == Forge::Gitlab && body.contains("Cannot transition") => {
                return Ok(());
            }
            StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => "the token may not set a commit's status",
            StatusCode::NOT_FOUND => "no such repository or commit, or the token may not see it",
            _ if status.is_redirection() => "it is elsewhere now; set `remote.api`",
            _ => "",
        };
        let answer = safe_line(body, LONGEST);
        let text = match why {
            "" => format!("{} answered {status}: {answer}", self.base),
            why => format!("{} answered {status}: {why} ({answer})", self.base),
        };
        let passing = status.is_server_error()
            || [StatusCode::TOO_MANY_REQUESTS, StatusCode::REQUEST_TIMEOUT].contains(&status);
        Err(if passing { TellError::Passing(text) } else { TellError::Final(text) })
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test says what it expects by unwrapping")]
mod tests {
    use berth_schema::testing::{harm, hostile_text};
    use proptest::prelude::*;

    use super::*;

    fn base(url: &str, forge: Forge) -> Option<String> {
        let remote = Remote { forge: Some(forge), ..Remote::new(url.parse().unwrap()) };
        Api::of(&remote, forge, "s3cret").map(|api| api.base)
    }

    #[test]
    fn the_api_is_where_each_forge_has_it() {
        for (url, forge, wanted) in [
            ("https://github.com/org/state.git", Forge::Github, "https://api.github.com/repos/org/state"),
            ("git@github.com:org/state.git", Forge::Github, "https://api.github.com/repos/org/state"),
            (
                "https://ghe.example.org/org/state",
                Forge::Github,
                "https://ghe.example.org/api/v3/repos/org/state",
            ),
            (
                "https://gitlab.com/a/b/state.git",
                Forge::Gitlab,
                "https://gitlab.com/api/v4/projects/a%2Fb%2Fstate",
            ),
            (
                "ssh://git@git.example.org:2222/org/state.git",
                Forge::Forgejo,
                "https://git.example.org/api/v1/repos/org/state",
            ),
            (
                "https://git.example.org:3000/org/state.git",
                Forge::Forgejo,
                "https://git.example.org:3000/api/v1/repos/org/state",
            ),
        ] {
            assert_eq!(base(url, forge).as_deref(), Some(wanted));
        }
        assert_eq!(base("/srv/state.git", Forge::Forgejo), None);
    }

    #[test]
    fn no_debug_output_holds_the_token() {
        let remote = Remote::new("https://github.com/org/state.git".parse().unwrap());
        let api = Api::of(&remote, Forge::Github, "s3cret").unwrap();
        let request = api.request(Revision::from_bytes([1; 20]), CommitState::Pending, "x").unwrap();
        assert!(!format!("{api:?} {request:?}").contains("s3cret"));
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        /// Checks that a status is one harmless line on every forge, and that no forge's answer harms who reads of it here.
        #[test]
        fn no_status_harms_its_reader(typed in hostile_text()) {
            let remote = Remote::new("https://git.example.org/org/state.git".parse().unwrap());
            for forge in [Forge::Github, Forge::Forgejo, Forge::Gitlab] {
                let api = Api::of(&remote, forge, "s3cret").unwrap();
                let body = api.body(CommitState::Failure, &typed);
                let description = body["description"].as_str().unwrap();
                prop_assert_eq!(harm(description), None, "{}", description);
                prop_assert!(!description.contains('\n'), "{description}");
                prop_assert!(description.chars().count() <= LONGEST, "{description}");
                for status in [StatusCode::NOT_FOUND, StatusCode::INTERNAL_SERVER_ERROR] {
                    let told = api.understand(status, &typed).unwrap_err().to_string();
                    prop_assert_eq!(harm(&told), None, "{}", told);
                    prop_assert!(!told.contains('\n'), "{told}");
                }
            }
        }
    }
}
