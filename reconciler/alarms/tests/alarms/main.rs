//! Alarms: what is judged, when it is told, and how it arrives.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test says what it expects by unwrapping"
)]

mod course;
mod delivery;
mod judge;
mod receiver;

use std::sync::Arc;

use berth_alarms::Sight;
use berth_schema::alarms::Alarms;
use berth_schema::{Parsed, State};
use berth_wire::facts::Facts;
use jiff::Timestamp;
use serde_json::json;

/// A moment that every test begins at.
const NOW: i64 = 1_800_000_000;

fn at(seconds: i64) -> Timestamp {
    Timestamp::from_second(NOW + seconds).unwrap()
}

/// A state with a server of bob's and a domain that leads there, and this in `platform.toml`.
fn state(platform: &str) -> Arc<State> {
    let platform = format!("domain = \"hosting.example.org\"\n{platform}");
    let files = [
        ("platform.toml", platform.as_str()),
        ("users/ann.toml", "role = \"admin\"\nemail = \"ann@example.org\"\n"),
        ("users/bob.toml", "role = \"user\"\nemail = \"bob@example.org\"\n[quota]\ncustom_domains = true\n"),
        ("servers/shop.toml", "id = 1\nowner = \"bob\"\ndisk = \"10 GiB\"\n"),
        ("domains/shop.example.org.toml", "server = \"shop\"\n"),
        ("domains/own.example.org.toml", "server = \"shop\"\ntls = \"internal\"\n"),
    ];
    let parsed = files.map(|(path, text)| Parsed::parse(path, text));
    Arc::new(State::assemble(&parsed).unwrap())
}

/// Rules as `platform.toml` says them.
fn rules(alarms: &str) -> Alarms {
    let state = state(&format!("[alarms]\n{alarms}"));
    state.platform.alarms.clone().unwrap()
}

/// Facts of a platform on which nothing is wrong.
fn facts() -> Facts {
    let revision = "0000000000000000000000000000000000000001";
    let status = json!({
        "version": "1", "pid": 1, "engine": "29", "engine_answers": true, "platform": "hosting",
        "last_applied": revision,
        "last_pass": {
            "at": at(-60), "attempted": revision, "revision": revision, "reason": "timer", "outcomes": [], "problems": [],
        },
        "servers": [], "tombstones": [],
        "system": [{"name": "hosting-users-caddy", "actual": "running"}],
    });
    Facts {
        status: Some(serde_json::from_value(status).unwrap()),
        limits: Vec::new(),
        file_systems: Vec::new(),
        servers: Vec::new(),
        certificates: Vec::new(),
    }
}

/// A sight on which nothing is wrong.
fn sight(seconds: i64) -> Sight {
    Sight {
        at: at(seconds),
        facts: Ok(facts()),
        state: Some(state("")),
        proposals: Some(Vec::new()),
        processes: Vec::new(),
        troubles: Some(Vec::new()),
    }
}
