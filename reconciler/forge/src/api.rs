//! Requests that tell each kind of forge what became of a commit.
//!
//! GitHub: `POST /repos/{owner}/{repo}/statuses/{sha}` (REST API, "Commit statuses"). Forgejo and Gitea: the same below
//! `/api/v1`. GitLab: `POST /projects/{id}/statuses/{sha}` ("Commits API").

use berth_schema::Revision;
use berth_schema::remote::{Forge, Remote};
use berth_schema::text::safe_line;
use berth_wire::standing::{CommitState, Told};
use http::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, HeaderName, USER_AGENT};
use http::{HeaderValue, Method, Request, StatusCode};
use http_body_util::Full;
use hyper::body::Bytes;
use serde_json::{Value, json};

use crate::exchange::{Answer, Trouble, exchange};

/// The longest description that GitHub takes.
pub(crate) const LONGEST: usize = 140;

/// A repository in a forge's API.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Api {
    pub(crate) forge: Forge,
    pub(crate) base: String,
    token: HeaderValue,
    /// The name under which the forge shows the state of a commit.
    context: String,
    /// The branch that the commits are on.
    branch: String,
}

/// The right that telling needs, in a forge's own words.
fn right(forge: Forge) -> &'static str {
    match forge {
        Forge::Github => "commit statuses: write",
        Forge::Gitlab => "api, with a role that may push to the branch",
        Forge::Forgejo => "write:repository",
    }
}

/// Host and path of a repository in a GitHub's API.
fn github(host: &str, path: &str) -> String {
    match host {
        "github.com" => format!("https://api.github.com/repos/{path}"),
        // GitHub Enterprise Cloud with data residency.
        host if host.ends_with(".ghe.com") => format!("https://api.{host}/repos/{path}"),
        host => format!("https://{host}/api/v3/repos/{path}"),
    }
}

/// The forge's own host, where git may reach it by another one: SSH over port 443.
fn own_host(host: &str) -> String {
    let host = host.to_ascii_lowercase();
    match host.strip_suffix(":443").unwrap_or(&host) {
        "ssh.github.com" => "github.com".to_owned(),
        "altssh.gitlab.com" => "gitlab.com".to_owned(),
        host => host.to_owned(),
    }
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
                let host = own_host(host);
                match forge {
                    Forge::Github => github(&host, path),
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
        let (context, branch) = (remote.context.to_string(), remote.branch.to_string());
        Some(Self { forge, base, token, context, branch })
    }

    /// Request at a path below the repository's, with the token.
    fn ask(&self, method: Method, path: &str, body: Option<&Value>) -> http::Result<Request<Full<Bytes>>> {
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
            // Without `ref`, GitLab puts it beside any branch that has the commit.
            Forge::Gitlab => json!({
                "state": in_gitlab(state), "description": description, "name": self.context, "ref": self.branch,
            }),
            Forge::Github | Forge::Forgejo => {
                json!({"state": state.word(), "description": description, "context": self.context})
            }
        }
    }

    /// Shows a line beside its commit.
    pub(crate) async fn tell(&self, line: &Told) -> Result<(), Trouble> {
        let body = self.body(line.state, &line.description);
        let answer = self.call(Method::POST, &path_of(line.revision), Some(&body)).await?;
        if self.took(line.state, &answer) {
            Ok(())
        } else {
            Err(answer.trouble(&self.base, right(self.forge)))
        }
    }

    fn took(&self, state: CommitState, answer: &Answer) -> bool {
        // GitLab's words for a job that can't get from its state to this one, which may be because it has it.
        let stays = |name: &str| answer.says("Cannot transition") && answer.says(&format!("from :{name}"));
        match answer.status {
            StatusCode::CREATED => true,
            StatusCode::BAD_REQUEST if self.forge == Forge::Gitlab => match state {
                CommitState::Pending => stays("pending") || stays("running"),
                CommitState::Success => stays("success"),
                CommitState::Failure => stays("failed"),
            },
            // A page to sign in comes with 200, too.
            status => status.is_success() && answer.is_object(),
        }
    }

    /// Sends a request below the repository's path.
    pub(crate) async fn call(
        &self,
        method: Method,
        path: &str,
        body: Option<&Value>,
    ) -> Result<Answer, Trouble> {
        let request = self.ask(method, path, body);
        let request =
            request.map_err(|error| Trouble::Refused(format!("`remote.api` makes no good URL: {error}")))?;
        let away = |why| Trouble::Away { why: format!("cannot reach {}: {why}", self.base), wait: None };
        Ok(exchange(request).await.map_err(away)?.without(self.token()))
    }

    /// The token as an operator stored it.
    fn token(&self) -> &str {
        let value = self.token.to_str().unwrap_or_default();
        value.rsplit_once(' ').map_or(value, |(_, token)| token)
    }
}

/// Path of a commit's state, below the repository's.
fn path_of(revision: Revision) -> String {
    format!("/statuses/{revision}")
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test says what it expects by unwrapping")]
mod tests {
    use berth_schema::testing::{harm, hostile_text};
    use proptest::prelude::*;

    use super::*;
    use crate::exchange::tests::answer;

    fn base(url: &str, forge: Forge) -> Option<String> {
        let remote = Remote { forge: Some(forge), ..Remote::new(url.parse().unwrap()) };
        Api::of(&remote, forge, "s3cret").map(|api| api.base)
    }

    #[test]
    fn the_api_is_where_each_forge_has_it() {
        for (url, forge, wanted) in [
            ("https://github.com/org/state.git", Forge::Github, "https://api.github.com/repos/org/state"),
            ("git@github.com:org/state.git", Forge::Github, "https://api.github.com/repos/org/state"),
            ("https://GitHub.com/org/state.git", Forge::Github, "https://api.github.com/repos/org/state"),
            ("https://github.com:443/org/state", Forge::Github, "https://api.github.com/repos/org/state"),
            (
                "ssh://git@ssh.github.com:443/org/state.git",
                Forge::Github,
                "https://api.github.com/repos/org/state",
            ),
            (
                "https://School.ghe.com/org/state.git",
                Forge::Github,
                "https://api.school.ghe.com/repos/org/state",
            ),
            (
                "ssh://git@altssh.gitlab.com:443/org/state.git",
                Forge::Gitlab,
                "https://gitlab.com/api/v4/projects/org%2Fstate",
            ),
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
    fn only_the_forges_own_yes_is_one() {
        use CommitState::{Failure, Pending, Success};
        let remote = Remote::new("https://git.example.org/org/state.git".parse().unwrap());
        let took = |forge, state, status, body: &str| {
            Api::of(&remote, forge, "s3cret").unwrap().took(state, &answer(status, &[], body))
        };
        for forge in [Forge::Github, Forge::Forgejo, Forge::Gitlab] {
            for state in [Pending, Success, Failure] {
                assert!(took(forge, state, 201, "{}") && took(forge, state, 201, ""));
                assert!(took(forge, state, 200, r#"{"id": 1}"#));
                for page in ["", "<html>Sign in</html>", "[]", "\"ok\""] {
                    assert!(!took(forge, state, 200, page), "{page}");
                }
            }
        }
        // A job that GitLab has in another state than the one to be told of.
        let said = |from: &str| {
            format!(r#"{{"message":"Cannot transition status via :x from :{from} (Reason(s): …)"}}"#)
        };
        for (state, from, taken) in [
            (Pending, "pending", true),
            (Pending, "running", true),
            (Pending, "canceled", false),
            (Success, "success", true),
            (Success, "canceled", false),
            (Success, "failed", false),
            (Failure, "failed", true),
            (Failure, "success", false),
        ] {
            assert_eq!(took(Forge::Gitlab, state, 400, &said(from)), taken, "{state:?} from {from}");
            assert!(!took(Forge::Github, state, 400, &said(from)));
        }
    }

    #[test]
    fn no_debug_output_holds_the_token() {
        let remote = Remote::new("https://github.com/org/state.git".parse().unwrap());
        let api = Api::of(&remote, Forge::Github, "s3cret").unwrap();
        let path = path_of(Revision::from_bytes([1; 20]));
        let request = api.ask(Method::POST, &path, None).unwrap();
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
                    let told = answer(status.as_u16(), &[], &typed).trouble(&api.base, "x").to_string();
                    prop_assert_eq!(harm(&told), None, "{}", told);
                    prop_assert!(!told.contains('\n'), "{told}");
                }
            }
        }
    }
}
