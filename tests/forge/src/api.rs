//! Pull requests of a forge: its API in the words of each kind, over a real repository.

use std::path::{Path, PathBuf};
use std::sync::Mutex;

use berth_testing::{InTime as _, git};
use http::{HeaderMap, Method, StatusCode};
use serde_json::{Value, json};

/// A kind of forge.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// GitHub.
    Github,
    /// GitLab.
    Gitlab,
    /// Forgejo or Gitea.
    Forgejo,
}

/// The way that somebody merges at the forge.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Way {
    /// A merge commit.
    Merge,
    /// One new commit.
    Squash,
    /// The same commits anew.
    Rebase,
}

/// A pull request of the forge's.
#[derive(Debug, Clone)]
pub struct Pull {
    /// Its number, from 12 on.
    pub number: u64,
    /// Its title.
    pub title: String,
    /// Its text, in Markdown.
    pub text: String,
    /// The branch that has the change.
    pub branch: String,
    /// The branch that is to get it.
    pub base: String,
    /// Set if its branch is a fork's.
    pub is_forks: bool,
    /// Set until it is merged or closed.
    pub is_open: bool,
    /// The commit by which it was merged.
    pub merged: Option<String>,
}

/// An answer to give in place of the right one, once, to a request whose method and path hold these.
#[derive(Debug, Clone)]
pub struct Instead {
    /// Method of the request.
    pub method: Method,
    /// Part of the request's path.
    pub path: &'static str,
    /// Status of the answer.
    pub status: u16,
    /// Headers of the answer.
    pub headers: Vec<(&'static str, String)>,
    /// Body of the answer.
    pub body: &'static str,
}

/// An answer: status, headers, body.
pub type Answer = (StatusCode, HeaderMap, String);

/// A state that the forge was told of a commit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Told {
    /// The commit.
    pub commit: String,
    /// The state, in the forge's word: `pending`, `success` or `failure`.
    pub state: String,
}

/// The API, and what happened by it.
#[derive(Debug)]
pub struct Api {
    /// Kind of the forge.
    pub kind: Kind,
    /// The token that it takes.
    pub token: Mutex<String>,
    forge: PathBuf,
    work: PathBuf,
    /// Pull requests, the oldest first.
    pub pulls: Mutex<Vec<Pull>>,
    /// States that it was told, the oldest first.
    pub told: Mutex<Vec<Told>>,
    /// Answers to give in place of the right ones.
    pub instead: Mutex<Vec<Instead>>,
    /// Requests, as method and path.
    pub seen: Mutex<Vec<String>>,
    /// Set while it refuses to merge by a merge commit.
    pub only_squash: Mutex<bool>,
}

impl Api {
    /// API of the bare repository `forge`, beside which it clones it.
    pub fn new(kind: Kind, forge: &Path, token: &str) -> Self {
        let work = forge.with_file_name("merging");
        let cloned = git(forge.parent().unwrap())
            .args(["clone", "--quiet", forge.to_str().unwrap(), work.to_str().unwrap()])
            .in_time();
        assert!(cloned.status.success(), "{cloned:?}");
        Self {
            kind,
            token: Mutex::new(token.to_owned()),
            forge: forge.to_owned(),
            work,
            pulls: Mutex::default(),
            told: Mutex::default(),
            instead: Mutex::default(),
            seen: Mutex::default(),
            only_squash: Mutex::default(),
        }
    }

    /// Path of the repository in the API.
    pub fn base(&self) -> &'static str {
        match self.kind {
            Kind::Github => "/repos/org/state",
            Kind::Gitlab => "/api/v4/projects/org%2Fstate",
            Kind::Forgejo => "/api/v1/repos/org/state",
        }
    }

    /// Word of the kind in `platform.toml`.
    pub fn word(&self) -> &'static str {
        match self.kind {
            Kind::Github => "github",
            Kind::Gitlab => "gitlab",
            Kind::Forgejo => "forgejo",
        }
    }

    /// A pull request, by its number.
    pub fn pull(&self, number: u64) -> Pull {
        self.pulls.lock().unwrap().iter().find(|pull| pull.number == number).cloned().unwrap()
    }

    /// Answers a request to `path`, its query included.
    pub fn answer(&self, method: &Method, path: &str, headers: &HeaderMap, body: &str) -> Answer {
        self.seen.lock().unwrap().push(format!("{method} {path}"));
        let mut instead = self.instead.lock().unwrap();
        let found = instead.iter().position(|one| one.method == *method && path.contains(one.path));
        if let Some(found) = found {
            let Instead { status, headers, body, .. } = instead.remove(found);
            let mut map = HeaderMap::new();
            headers.iter().for_each(|(name, value)| _ = map.insert(*name, value.parse().unwrap()));
            return (StatusCode::from_u16(status).unwrap(), map, body.to_owned());
        }
        drop(instead);
        let token = self.token.lock().unwrap().clone();
        let (name, wanted) = match self.kind {
            Kind::Github => ("authorization", format!("Bearer {token}")),
            Kind::Gitlab => ("private-token", token),
            Kind::Forgejo => ("authorization", format!("token {token}")),
        };
        if headers.get(name).map(|value| value.to_str().unwrap()) != Some(&wanted) {
            return said(401, json!({"message": "Bad credentials"}));
        }
        let Some(rest) = path.strip_prefix(self.base()) else {
            return said(404, json!({"message": "Not Found"}));
        };
        let (rest, query) = rest.split_once('?').unwrap_or((rest, ""));
        if let Some(commit) = rest.strip_prefix("/statuses/") {
            let body: Value = serde_json::from_str(body).unwrap_or_default();
            let state = body["state"].as_str().unwrap_or_default().to_owned();
            self.told.lock().unwrap().push(Told { commit: commit.to_owned(), state });
            return said(201, json!({}));
        }
        let pulls = if self.kind == Kind::Gitlab { "/merge_requests" } else { "/pulls" };
        let Some(rest) = rest.strip_prefix(pulls) else { return said(404, json!({"message": "Not Found"})) };
        let body: Value = serde_json::from_str(body).unwrap_or_default();
        match (method, rest.trim_matches('/').split('/').collect::<Vec<_>>().as_slice()) {
            (&Method::POST, [""]) => self.open(&body),
            (&Method::GET, [""]) => self.list(query),
            (&Method::GET, [number]) => self.one(number),
            (&Method::PUT, [number, "merge"]) if self.kind != Kind::Forgejo => {
                self.merge_asked(number, &body)
            }
            (&Method::POST, [number, "merge"]) if self.kind == Kind::Forgejo => {
                self.merge_asked(number, &body)
            }
            _ => said(405, json!({"message": "Method Not Allowed"})),
        }
    }

    fn open(&self, body: &Value) -> Answer {
        let names = match self.kind {
            Kind::Gitlab => ["title", "description", "source_branch", "target_branch"],
            Kind::Github | Kind::Forgejo => ["title", "body", "head", "base"],
        };
        let [title, text, branch, base] =
            names.map(|name| body[name].as_str().unwrap_or_default().to_owned());
        if self.tip(&branch).is_none() {
            return said(
                422,
                json!({"message": "Validation Failed", "errors": [{"field": "head", "code": "invalid"}]}),
            );
        }
        let mut pulls = self.pulls.lock().unwrap();
        if let Some(there) = pulls.iter().find(|pull| pull.branch == branch && !pull.is_forks && pull.is_open)
        {
            return match self.kind {
                Kind::Github => said(
                    422,
                    json!({"message": "Validation Failed", "errors": [{"message": format!("A pull request already exists for org:{branch}.")}]}),
                ),
                Kind::Gitlab => said(
                    409,
                    json!({"message": [format!("Another open merge request already exists for this source branch: !{}", there.number)]}),
                ),
                Kind::Forgejo => {
                    said(409, json!({"message": "pull request already exists for these targets"}))
                }
            };
        }
        let number = 12 + u64::try_from(pulls.len()).unwrap();
        let pull = Pull { number, title, text, branch, base, is_forks: false, is_open: true, merged: None };
        pulls.push(pull.clone());
        said(201, self.shown(&pull))
    }

    fn list(&self, query: &str) -> Answer {
        let wanted = query.split('&').find_map(|part| match self.kind {
            Kind::Github => part.strip_prefix("head=org:"),
            Kind::Gitlab => part.strip_prefix("source_branch="),
            Kind::Forgejo => None,
        });
        let wanted = wanted.map(|branch| branch.replace("%2F", "/"));
        let number = |names: &[&str], otherwise: usize| {
            let given = query.split('&').filter_map(|part| part.split_once('='));
            let mut given = given.filter(|(name, _)| names.contains(name));
            given.find_map(|(_, value)| value.parse().ok()).unwrap_or(otherwise)
        };
        // However many somebody asks for, a page has no more.
        let size = number(&["limit", "per_page"], 30).min(50);
        let pulls = self.pulls.lock().unwrap().clone();
        let found =
            pulls.iter().rev().filter(|pull| wanted.as_ref().is_none_or(|branch| *branch == pull.branch));
        let page = found.skip((number(&["page"], 1) - 1) * size).take(size);
        said(200, page.map(|pull| self.shown(pull)).collect())
    }

    fn one(&self, number: &str) -> Answer {
        let pulls = self.pulls.lock().unwrap().clone();
        let found = pulls.iter().find(|pull| pull.number.to_string() == number);
        found.map_or_else(|| said(404, json!({"message": "Not Found"})), |pull| said(200, self.shown(pull)))
    }

    fn shown(&self, pull: &Pull) -> Value {
        let (number, title) = (pull.number, &pull.title);
        let url = format!("https://git.example.org/org/state/pulls/{number}");
        let head = if pull.is_forks { 8 } else { 7 };
        match self.kind {
            Kind::Gitlab => json!({
                "iid": number, "title": title, "web_url": url, "source_branch": pull.branch, "target_branch": pull.base,
                "source_project_id": head, "target_project_id": 7,
                "state": match (pull.is_open, &pull.merged) { (true, _) => "opened", (_, Some(_)) => "merged", _ => "closed" },
                "merge_commit_sha": null, "squash_commit_sha": pull.merged, "sha": self.tip(&pull.branch),
            }),
            Kind::Github | Kind::Forgejo => json!({
                "number": number, "title": title, "html_url": url,
                "head": {"ref": pull.branch, "repo": {"id": head}}, "base": {"ref": pull.base, "repo": {"id": 7}},
                "state": if pull.is_open { "open" } else { "closed" },
                "merged": pull.merged.is_some(),
                "merged_at": pull.merged.as_ref().map(|_| "2026-11-30T12:00:00Z"),
                // GitHub's is a merge that it tries while it is open.
                "merge_commit_sha": pull.merged.clone().or_else(|| (self.kind == Kind::Github).then(|| "0".repeat(40))),
            }),
        }
    }

    fn merge_asked(&self, number: &str, body: &Value) -> Answer {
        let number = number.parse().unwrap();
        let pull = self.pull(number);
        let (head, way) = match self.kind {
            Kind::Github => (&body["sha"], body["merge_method"].as_str().unwrap()),
            Kind::Forgejo => (&body["head_commit_id"], body["Do"].as_str().unwrap()),
            Kind::Gitlab => (&body["sha"], "merge"),
        };
        if !pull.is_open {
            return said(405, json!({"message": "Pull Request is not mergeable"}));
        }
        if head.as_str() != self.tip(&pull.branch).as_deref() {
            return said(
                409,
                json!({"message": "Head branch was modified. Review and try the merge again."}),
            );
        }
        let way = match way {
            "merge" if *self.only_squash.lock().unwrap() => {
                return said(405, json!({"message": "Merge commits are not allowed on this repository."}));
            }
            "squash" => Way::Squash,
            _ => Way::Merge,
        };
        self.merge(number, way);
        said(200, json!({"merged": true}))
    }

    /// Merges a pull request, as somebody does in the forge's pages.
    pub fn merge(&self, number: u64, way: Way) -> String {
        let branch = format!("origin/{}", self.pull(number).branch);
        self.git(&["fetch", "--quiet", "origin"]);
        self.git(&["checkout", "--quiet", "-B", "main", "origin/main"]);
        match way {
            Way::Merge => {
                self.git(&["merge", "--quiet", "--no-ff", "-m", "Merge pull request", &branch]);
            }
            Way::Squash => {
                self.git(&["merge", "--quiet", "--squash", &branch]);
                self.git(&["commit", "--quiet", "-m", "squashed"]);
            }
            Way::Rebase => {
                self.git(&["cherry-pick", &branch]);
                self.git(&["commit", "--quiet", "--amend", "--no-edit", "--date", "2001-01-01T00:00:00Z"]);
            }
        }
        self.git(&["push", "--quiet", "origin", "main"]);
        let tip = self.git(&["rev-parse", "HEAD"]);
        let mut pulls = self.pulls.lock().unwrap();
        let pull = pulls.iter_mut().find(|pull| pull.number == number).unwrap();
        (pull.is_open, pull.merged) = (false, Some(tip.clone()));
        tip
    }

    /// Closes a pull request without merging it.
    pub fn close(&self, number: u64) {
        self.pulls.lock().unwrap().iter_mut().find(|pull| pull.number == number).unwrap().is_open = false;
    }

    /// Commit of a branch at the forge.
    pub fn tip(&self, branch: &str) -> Option<String> {
        let name = format!("refs/heads/{branch}");
        let output = git(&self.forge).args(["rev-parse", "--verify", "--quiet", &name]).in_time();
        output.status.success().then(|| String::from_utf8_lossy(&output.stdout).trim().to_owned())
    }

    fn git(&self, arguments: &[&str]) -> String {
        let output = git(&self.work).args(arguments).in_time();
        assert!(output.status.success(), "git {arguments:?}: {output:?}");
        String::from_utf8_lossy(&output.stdout).trim().to_owned()
    }
}

fn said(status: u16, body: Value) -> Answer {
    (StatusCode::from_u16(status).unwrap(), HeaderMap::new(), body.to_string())
}
