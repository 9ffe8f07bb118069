//! Random input from strangers, a control plane and a routes file: the properties of `fuzz/properties.rs`.
#![allow(clippy::expect_used, clippy::unwrap_used, reason = "a test says what it expects by unwrapping")]
#![allow(unreachable_pub, dead_code, reason = "the router's own modules, of which only the edges are tried")]

#[path = "../../src/offer.rs"]
mod offer;
#[path = "../../fuzz/properties.rs"]
mod properties;
#[path = "../../src/terminal.rs"]
mod terminal;

use proptest::collection::vec;
use proptest::prelude::*;

const ROUTES: &str = r#"version = 1
upstream_key = "/key"
[users.ann]
admin = false
password_hash = "$2b$10$/6bNTysPXL5XOzRuAs79De5fBU3jhuQAYGnEiRogvmXSwUhhcSVEa"
keys = ["ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJdD7y3aLq454yWBdwLWbieU1ebz9/cu7/QEXn9OIeZJ ann"]
[servers.shop]
id = 1
owner = "ann"
members = []
host = "172.19.2.11"
port = 22
user = "root"
host_key = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJdD7y3aLq454yWBdwLWbieU1ebz9/cu7/QEXn9OIeZJ"
"#;

/// Something good with a few bytes replaced, left out or put in.
fn damaged(good: &'static [u8]) -> impl Strategy<Value = Vec<u8>> {
    let damage = (0..=good.len(), 0..6usize, vec(any::<u8>(), 0..6));
    vec(damage, 0..4).prop_map(move |damages| {
        let mut bytes = good.to_vec();
        for (at, removed, put) in damages {
            let at = at.min(bytes.len());
            let end = (at + removed).min(bytes.len());
            bytes.splice(at..end, put);
        }
        bytes
    })
}

/// Pieces of command lines in any order.
fn line() -> impl Strategy<Value = Vec<u8>> {
    let pieces = ["git-", "git ", "receive-pack", "upload-pack", " ", "'", "/", "state", ".git", "review"];
    let more = [
        "list", "show", "approve", "reject", "a-topic", "0123456", "-", "..", ";", "\n", "\0", "$(id)",
        "\u{e9}",
    ];
    vec(prop::sample::select([&pieces[..], &more].concat()), 0..8)
        .prop_map(|words| words.concat().into_bytes())
}

/// A client's beginning, with any lists.
fn beginning() -> impl Strategy<Value = Vec<u8>> {
    let list =
        prop::sample::select(vec!["", "curve25519-sha256", "aes128-gcm@openssh.com,aes256-ctr", "none"]);
    (vec(list, 0..12), any::<u8>(), any::<[u8; 16]>(), -8i64..8).prop_map(|(lists, padding, cookie, off)| {
        let mut payload = [&[20][..], &cookie].concat();
        for list in lists {
            payload.extend(u32::try_from(list.len()).unwrap().to_be_bytes());
            payload.extend(list.as_bytes());
        }
        payload.extend(vec![0; usize::from(padding)]);
        let length = i64::try_from(payload.len()).unwrap() + 1 + off;
        let length = u32::try_from(length.max(0)).unwrap().to_be_bytes();
        [b"SSH-2.0-story\r\n", &length[..], &[padding], &payload].concat()
    })
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_command_line_is_refused_or_one_of_the_few_spellings(
        line in prop_oneof![line(), damaged(b"git-receive-pack '/state'"), damaged(b"review show more-memory")],
    ) {
        properties::command(&line);
    }

    #[test]
    fn a_routes_file_is_refused_with_a_finding_or_says_the_same_again(text in damaged(ROUTES.as_bytes())) {
        properties::routes(&text);
    }

    #[test]
    fn a_door_makes_the_router_take_one_frame_at_a_time(
        said in vec((0..7u8, prop_oneof![0..10u32, any::<u32>()], vec(any::<u8>(), 0..10)), 0..6),
    ) {
        let frames = said.into_iter().map(|(kind, length, data)| [&[kind], &length.to_be_bytes()[..], &data].concat());
        properties::frames(&frames.collect::<Vec<_>>().concat());
    }

    #[test]
    fn a_clients_beginning_says_the_same_in_any_pieces(
        said in prop_oneof![beginning(), vec(any::<u8>(), 0..400), damaged(b"SSH-2.0-x\r\n\0\0\0\x16\0\x14")],
        at in 0..600usize,
    ) {
        properties::beginning(&said, at);
    }

    #[test]
    fn the_modes_of_a_terminal_that_are_known_stay(opcodes in vec(any::<u8>(), 0..80)) {
        properties::modes(&opcodes);
    }
}

#[test]
fn the_good_ones_are_taken() {
    assert!(berth_schema::route::Routes::parse("routes.toml", ROUTES).is_ok());
    assert!(berth_schema::door::Command::parse(b"git-receive-pack '/state'").is_ok());
}
