//! `POST /api/sshrouter`: what another SSH router needs to know of one login. Berth's own reads a file instead.
//!
//! Answered on the control socket only, and there only to who knows the key in `ssh-api-key`: the answer holds the key
//! that opens every server.

use std::path::Path;
use std::sync::Arc;

use axum::body::Bytes;
use axum::extract::State as Shared;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use axum::{Json, Router};
use berth_engine::Identity;
use berth_plan::identity::Whose;
use berth_schema::State;
use berth_schema::route::{self, SERVER_PORT, SERVER_USER};
use berth_schema::user::{Role, SshKey, User};
use berth_secrets::made::{self, MadeError};
use parking_lot::Mutex;
use serde::{Deserialize, Serialize};

/// The file of the key, in Berth's data.
const FILE: &str = "ssh-api-key";

/// Data that the answers are made of.
#[derive(Clone)]
pub struct SshRouter {
    /// The digest of the key: what is compared gives away nothing by the time that it takes.
    key: blake3::Hash,
    identity: Identity,
    state: Arc<Mutex<Option<Arc<State>>>>,
}

#[derive(Deserialize)]
struct Question {
    username: String,
    api_key: String,
}

#[derive(Serialize)]
struct Answer<'a> {
    /// The owner's, if there is one.
    password_hash: Option<&'a str>,
    upstream_host: String,
    upstream_port: String,
    upstream_user: &'a str,
    /// Instead of a password, which no server has: a private key in OpenSSH's form.
    upstream_key: &'a str,
    /// The only key that the server may show.
    upstream_host_key: SshKey,
    /// Everybody who may log in.
    users: Vec<Person<'a>>,
}

#[derive(Serialize)]
struct Person<'a> {
    name: &'a str,
    admin: bool,
    password_hash: Option<&'a str>,
    keys: &'a [SshKey],
}

impl SshRouter {
    /// Answers with the keys of `identity`. The key to ask with is in the folder `data`, and made when there is none.
    pub fn open(data: &Path, identity: Identity) -> Result<Self, MadeError> {
        let key = made::written(&made::open(&data.join(FILE))?);
        Ok(Self { key: blake3::hash(key.as_bytes()), identity, state: Arc::default() })
    }

    /// Answers from this state from now on.
    pub fn publish(&self, state: Option<Arc<State>>) {
        *self.state.lock() = state;
    }

    /// The routes of the control socket that are answered here.
    pub fn router(self) -> Router {
        Router::new().route("/api/sshrouter", post(answer)).with_state(self)
    }
}

async fn answer(Shared(router): Shared<SshRouter>, body: Bytes) -> Response {
    let Ok(question) = serde_json::from_slice::<Question>(&body) else {
        return refused(StatusCode::BAD_REQUEST, "write {\"username\": \"server1\", \"api_key\": \"…\"}");
    };
    if blake3::hash(question.api_key.as_bytes()) != router.key {
        return refused(
            StatusCode::UNAUTHORIZED,
            "the API key is wrong; it is in `ssh-api-key` in Berth's data",
        );
    }
    let state = router.state.lock().clone();
    let Some(state) = state else {
        return refused(StatusCode::SERVICE_UNAVAILABLE, "the first pass is still running");
    };
    let login = question.username.as_str();
    let by_name = || state.servers.values().find(|server| server.name.as_str() == login);
    let found = by_name().or_else(|| state.servers.get(&route::numbered(login)?));
    let Some((server, host)) =
        found.and_then(|found| Some((found, state.platform.networks.address(found.id)?)))
    else {
        return refused(StatusCode::NOT_FOUND, "no server has this login");
    };
    let keys = router.identity.login_key();
    let host_key = router.identity.host_key(Whose::Server(server.id));
    let (Ok((_, upstream_key)), Ok((upstream_host_key, _))) = (keys, host_key) else {
        return refused(StatusCode::INTERNAL_SERVER_ERROR, "the key can't be written");
    };
    let owner = state.users.get(&server.owner);
    let may_enter = |user: &&Arc<User>| {
        route::may_enter(&user.name, user.role == Role::Admin, &server.owner, &server.members)
    };
    let password_of = |user| state.platform.ssh.password_of(user);
    let answer = Answer {
        password_hash: owner.and_then(|owner| password_of(owner)),
        upstream_host: host.to_string(),
        upstream_port: SERVER_PORT.to_string(),
        upstream_user: SERVER_USER,
        upstream_key: &upstream_key,
        upstream_host_key,
        users: state
            .users
            .values()
            .filter(may_enter)
            .map(|user| Person {
                name: user.name.as_str(),
                admin: user.role == Role::Admin,
                password_hash: password_of(user),
                keys: &user.ssh_keys,
            })
            .collect(),
    };
    Json(answer).into_response()
}

fn refused(status: StatusCode, error: &str) -> Response {
    (status, Json(serde_json::json!({ "error": error }))).into_response()
}

#[cfg(test)]
mod tests {
    use berth_schema::Parsed;
    use serde_json::{Value, json};

    use super::*;

    const HASH: &str = "$2b$10$/6bNTysPXL5XOzRuAs79De5fBU3jhuQAYGnEiRogvmXSwUhhcSVEa";

    fn state() -> Arc<State> {
        let bob = format!("password_hash = \"{HASH}\"");
        let files = [
            ("platform.toml", "domain = \"h.org\""),
            ("users/ann.toml", "role = \"admin\""),
            ("users/bob.toml", &bob),
            ("users/eve.toml", ""),
            ("servers/shop.toml", "id = 3\nowner = \"bob\""),
        ];
        let parsed: Vec<Parsed> = files.iter().map(|(path, text)| Parsed::parse(path, text)).collect();
        Arc::new(State::assemble(&parsed).unwrap())
    }

    async fn asked(router: &SshRouter, body: &str) -> (StatusCode, Value) {
        let response = answer(Shared(router.clone()), Bytes::copy_from_slice(body.as_bytes())).await;
        let status = response.status();
        let body = axum::body::to_bytes(response.into_body(), 1 << 20).await.unwrap();
        (status, serde_json::from_slice(&body).unwrap())
    }

    #[tokio::test]
    async fn who_knows_the_key_learns_what_a_router_needs() {
        let data = tempfile::tempdir().unwrap();
        let identity = Identity::open(data.path()).unwrap();
        let router = SshRouter::open(data.path(), identity.clone()).unwrap();
        let key = std::fs::read_to_string(data.path().join(FILE)).unwrap();
        let with = |login: &str, key: &str| json!({ "username": login, "api_key": key.trim() }).to_string();
        assert_eq!(asked(&router, &with("server3", &key)).await.0, StatusCode::SERVICE_UNAVAILABLE);
        router.publish(Some(state()));

        for login in ["server3", "shop"] {
            let (status, said) = asked(&router, &with(login, &key)).await;
            assert_eq!(status, StatusCode::OK, "{said}");
            assert_eq!(said["password_hash"], HASH);
            assert_eq!(said["upstream_host"], "172.19.2.18");
            assert_eq!(
                (said["upstream_port"].as_str(), said["upstream_user"].as_str()),
                (Some("22"), Some("root"))
            );
            assert!(
                said["upstream_key"].as_str().unwrap().starts_with("-----BEGIN OPENSSH PRIVATE KEY-----")
            );
            let known = identity.identities([berth_schema::name::ServerId(3.try_into().unwrap())]);
            assert_eq!(said["upstream_host_key"], known.servers.values().next().unwrap().as_str());
            let names: Vec<_> = said["users"].as_array().unwrap().iter().map(|user| &user["name"]).collect();
            assert_eq!(names, ["ann", "bob"]);
        }
        for (login, key, expected) in [
            ("server3", "", StatusCode::UNAUTHORIZED),
            ("server3", "00", StatusCode::UNAUTHORIZED),
            ("server1", key.as_str(), StatusCode::NOT_FOUND),
            ("server03", key.as_str(), StatusCode::NOT_FOUND),
            ("git", key.as_str(), StatusCode::NOT_FOUND),
        ] {
            let (status, said) = asked(&router, &with(login, key)).await;
            assert_eq!(status, expected, "{login}");
            assert!(said["error"].is_string());
        }
        for body in ["", "{}", "[]", "{\"username\": 1, \"api_key\": \"\"}"] {
            assert_eq!(asked(&router, body).await.0, StatusCode::BAD_REQUEST, "{body}");
        }
    }
}
