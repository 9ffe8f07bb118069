//! Pull requests in each forge's API.
//!
//! GitHub: `POST /repos/{owner}/{repo}/pulls`, `GET …/pulls/{number}`, `PUT …/pulls/{number}/merge` (REST API, "Pulls"). Forgejo and
//! Gitea: the same below `/api/v1`, but `POST …/pulls/{number}/merge`. GitLab: `POST /projects/{id}/merge_requests`, `GET
//! …/merge_requests/{iid}`, `PUT …/merge_requests/{iid}/merge` ("Merge requests API").

use berth_schema::Revision;
use berth_schema::remote::Forge;
use http::{Method, StatusCode};
use serde_json::{Value, json};

use crate::api::Api;
use crate::exchange::{Answer, Trouble};

/// Pages of a list that are read, at most: a forge may give any number of them.
const PAGES: u32 = 20;

/// The right that opening and looking needs, in a forge's own words.
fn right(forge: Forge) -> &'static str {
    match forge {
        Forge::Github => "contents: write, pull requests: write",
        Forge::Gitlab => "api, write_repository, with a role that may push branches and merge",
        Forge::Forgejo => "write:repository, of somebody who may push branches and merge",
    }
}

/// Returns whether two ids of repositories are there and the same.
fn is_one(id: &Value, other: &Value) -> bool {
    id.is_u64() && id == other
}

/// A pull request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Pull {
    pub(crate) number: u64,
    /// Its page.
    pub(crate) url: Option<String>,
    pub(crate) at: At,
}

/// State of a pull request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum At {
    Open,
    /// It was merged, by this commit where the forge says so.
    Merged(Option<Revision>),
    Closed,
}

/// A pull request to be.
#[derive(Debug)]
pub(crate) struct Wanted<'a> {
    pub(crate) title: &'a str,
    pub(crate) text: &'a str,
    /// The branch that has the change.
    pub(crate) branch: &'a str,
    /// The branch that is to get it.
    pub(crate) target: &'a str,
}

impl Api {
    /// Opens a pull request. One that is there already for the branch is taken for it.
    pub(crate) async fn open_pull(&self, wanted: &Wanted<'_>) -> Result<Pull, Trouble> {
        let Wanted { title, text, branch, target } = wanted;
        let body = match self.forge {
            Forge::Gitlab => json!({
                "title": title, "description": text, "source_branch": branch, "target_branch": target,
                "remove_source_branch": true,
            }),
            Forge::Github | Forge::Forgejo => {
                json!({"title": title, "body": text, "head": branch, "base": target})
            }
        };
        let answer = self.call(Method::POST, self.pulls(), Some(&body)).await?;
        if answer.status.is_success() {
            return self.read(&answer);
        }
        let is_there = matches!(answer.status, StatusCode::CONFLICT | StatusCode::UNPROCESSABLE_ENTITY)
            && answer.says("already exists");
        match is_there {
            true => match self.find_pull(branch, target).await? {
                Some(pull) => Ok(pull),
                // The list is behind what the forge has just said.
                None => Err(self.trouble(&answer)),
            },
            false => Err(self.trouble(&answer)),
        }
    }

    /// Finds the pull request of a branch of this repository into another one of it: an open one, else the newest. A fork may have
    /// a branch of the same name, and there may be as many of them as somebody likes.
    async fn find_pull(&self, branch: &str, target: &str) -> Result<Option<Pull>, Trouble> {
        let encoded = branch.replace('/', "%2F");
        let path = match self.forge {
            Forge::Github => {
                let owner = self.base.split_once("/repos/").and_then(|(_, rest)| rest.split('/').next());
                format!("/pulls?state=all&head={}:{encoded}&per_page=100", owner.unwrap_or_default())
            }
            Forge::Gitlab => {
                format!("/merge_requests?state=all&source_branch={encoded}&per_page=100")
            }
            Forge::Forgejo => "/pulls?state=all&sort=recentupdate&limit=50".to_owned(),
        };
        let mut newest: Option<Pull> = None;
        for page in 1..=PAGES {
            let answer = self.call(Method::GET, &format!("{path}&page={page}"), None).await?;
            if !answer.status.is_success() {
                return Err(self.trouble(&answer));
            }
            let list: Vec<Value> = serde_json::from_slice(&answer.body).map_err(|_| self.unreadable())?;
            if list.is_empty() {
                break;
            }
            let of_branch = list.iter().filter(|pull| self.is_of(pull, branch, target));
            let found = of_branch.filter_map(|pull| self.pull_of(pull)).chain(newest);
            newest = found.max_by_key(|pull| (pull.at == At::Open, pull.number));
            if newest.as_ref().is_some_and(|pull| pull.at == At::Open) {
                break;
            }
        }
        Ok(newest)
    }

    /// Returns whether a pull request is one of this repository's branch into that one.
    fn is_of(&self, pull: &Value, branch: &str, target: &str) -> bool {
        match self.forge {
            Forge::Gitlab => {
                (pull["source_branch"] == branch && pull["target_branch"] == target)
                    && is_one(&pull["source_project_id"], &pull["target_project_id"])
            }
            Forge::Github | Forge::Forgejo => {
                let (head, base) = (&pull["head"], &pull["base"]);
                (head["ref"] == branch && base["ref"] == target)
                    && is_one(&head["repo"]["id"], &base["repo"]["id"])
            }
        }
    }

    /// Looks at a pull request.
    pub(crate) async fn pull(&self, number: u64) -> Result<Pull, Trouble> {
        let answer = self.call(Method::GET, &format!("{}/{number}", self.pulls()), None).await?;
        if answer.status.is_success() { self.read(&answer) } else { Err(self.trouble(&answer)) }
    }

    /// Merges a pull request whose newest commit is `head`, and nothing else.
    pub(crate) async fn merge_pull(&self, number: u64, head: Revision) -> Result<(), Trouble> {
        let path = format!("{}/{number}/merge", self.pulls());
        let head = head.to_string();
        // A repository may allow some ways alone.
        let ways = ["merge", "squash", "rebase"].map(|way| match self.forge {
            Forge::Github => (Method::PUT, json!({"sha": head, "merge_method": way})),
            Forge::Forgejo => (Method::POST, json!({"Do": way, "head_commit_id": head})),
            Forge::Gitlab => (Method::PUT, json!({"sha": head, "should_remove_source_branch": true})),
        });
        // GitLab's way is the project's.
        let ways = if self.forge == Forge::Gitlab { &ways[..1] } else { &ways[..] };
        let mut refused = None;
        for (method, body) in ways {
            let answer = self.call(method.clone(), &path, Some(body)).await?;
            // Forgejo's yes is empty. A page to sign in is none.
            if answer.status.is_success() && (answer.body.is_empty() || answer.is_object()) {
                return Ok(());
            }
            let is_the_way = answer.status == StatusCode::METHOD_NOT_ALLOWED
                && [
                    "not allowed on this repository",
                    "not an allowed merge style",
                    "merge style is not allowed",
                ]
                .iter()
                .any(|words| answer.says(words));
            refused = Some(self.trouble(&answer));
            if !is_the_way {
                break;
            }
        }
        Err(refused.unwrap_or_else(|| self.unreadable()))
    }

    /// Path of pull requests below the repository's.
    fn pulls(&self) -> &'static str {
        match self.forge {
            Forge::Gitlab => "/merge_requests",
            Forge::Github | Forge::Forgejo => "/pulls",
        }
    }

    fn trouble(&self, answer: &Answer) -> Trouble {
        answer.trouble(&self.base, right(self.forge))
    }

    fn unreadable(&self) -> Trouble {
        Trouble::Lagging(format!("{} answered something that isn't a pull request", self.base))
    }

    fn read(&self, answer: &Answer) -> Result<Pull, Trouble> {
        let pull = serde_json::from_slice::<Value>(&answer.body).ok().and_then(|pull| self.pull_of(&pull));
        pull.ok_or_else(|| self.unreadable())
    }

    fn pull_of(&self, pull: &Value) -> Option<Pull> {
        let revision = |name: &str| pull[name].as_str()?.parse::<Revision>().ok();
        let text = |name: &str| pull[name].as_str().map(str::to_owned);
        Some(match self.forge {
            Forge::Gitlab => Pull {
                number: pull["iid"].as_u64()?,
                url: text("web_url"),
                at: match pull["state"].as_str()? {
                    "merged" => At::Merged(
                        revision("merge_commit_sha").or(revision("squash_commit_sha")).or(revision("sha")),
                    ),
                    "closed" => At::Closed,
                    // "opened", and "locked" while it is being merged.
                    _ => At::Open,
                },
            },
            Forge::Github | Forge::Forgejo => Pull {
                number: pull["number"].as_u64()?,
                url: text("html_url"),
                at: match pull["state"].as_str()? {
                    // GitHub names a commit while it is open, too: one that it merges for a try.
                    _ if pull["merged"] == true || pull["merged_at"].is_string() => {
                        At::Merged(revision("merge_commit_sha"))
                    }
                    "closed" => At::Closed,
                    _ => At::Open,
                },
            },
        })
    }
}
