//! The routes file: what is rendered is read back, and what is wrong is found without repeating a secret.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test says what it expects by unwrapping"
)]

use berth_schema::route::{RouteServer, RouteUser, Routes};

const KEY: &str =
    "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJdD7y3aLq454yWBdwLWbieU1ebz9/cu7/QEXn9OIeZJ ann@laptop";
const HASH: &str = "$2b$12$GhvMmNVjRW29ulnudl.LbuAnUtN/LRfe1JsBm1Xu6LE3059z5Tr8m";

fn ann() -> RouteUser {
    RouteUser { admin: false, password_hash: Some(HASH.to_owned()), keys: vec![KEY.parse().unwrap()] }
}

fn shop(id: u32) -> RouteServer {
    RouteServer {
        id: berth_schema::name::ServerId(id.try_into().unwrap()),
        owner: "ann".parse().unwrap(),
        members: vec![],
        host: "172.19.2.11".parse().unwrap(),
        port: 22,
        user: "root".parse().unwrap(),
        host_key: KEY.parse().unwrap(),
    }
}

fn good() -> Routes {
    let routes = Routes::new("/var/lib/berth/ssh/upstream".into()).with_user("ann".parse().unwrap(), ann());
    routes.with_server("shop".parse().unwrap(), shop(1)).unwrap()
}

fn messages(text: &str) -> Vec<String> {
    Routes::parse("routes.toml", text).unwrap_err().iter().map(ToString::to_string).collect()
}

#[test]
fn what_is_rendered_is_read_back() {
    let text = good().render().unwrap();
    assert_eq!(Routes::parse("routes.toml", &text).unwrap(), good());
    assert_eq!(text, good().render().unwrap());
}

/// A member's hash that an earlier release took, or that somebody wrote into the file: everybody else's routes stand.
#[test]
fn a_hash_that_costs_too_much_is_read_and_never_checked() {
    for dear in [
        HASH.replace("$12$", "$31$"),
        "$argon2id$v=19$m=4194304,t=1,p=1$c29tZXNhbHRzb21lc2FsdA$WwDyHZNPo7jvJmFvNJzFfHbnBzRA8pe5ZoPnDTJ6VBs"
            .into(),
    ] {
        let text = good().render().unwrap().replace(HASH, &dear);
        let routes = Routes::parse("routes.toml", &text).unwrap();
        let (_, ann) = routes.users().next().unwrap();
        assert_eq!((ann.password_hash.as_deref(), ann.checkable_hash()), (Some(dear.as_str()), None));
    }
    assert_eq!(ann().checkable_hash(), Some(HASH));
    assert_eq!(RouteUser { password_hash: None, ..ann() }.checkable_hash(), None);
}

#[test]
fn another_version_is_refused_before_anything_else() {
    assert_eq!(
        messages("version = 2\nnew = 1\n")[0],
        "routes.toml:1:11: this is not a routes file of version 1"
    );
    assert_eq!(messages("").len(), 1);
}

#[test]
fn a_login_belongs_to_one_server() {
    let twice = good().with_server("other".parse().unwrap(), shop(1)).unwrap_err();
    assert!(twice.message.contains("takes the login"), "{twice}");
    let named = good().with_server("server1".parse().unwrap(), shop(2)).unwrap_err();
    assert!(named.message.contains("takes the login"), "{named}");
    assert!(good().with_server("git".parse().unwrap(), shop(2)).is_err());
    assert!(good().with_server("server2".parse().unwrap(), shop(2)).is_ok());
}

#[test]
fn every_mistake_is_found_at_once() {
    let text = good().render().unwrap().replace("172.19.2.11", "Bad Host").replace("port = 22", "port = 0");
    let found = messages(&format!("{text}\n[servers.b]\nid = 2\n[extra]\n"));
    for part in ["Bad Host", "0 is not a port", "`owner`, which is missing", "`extra` is not a field"] {
        assert!(found.iter().any(|message| message.contains(part)), "{part}: {found:#?}");
    }
}

#[test]
fn somebody_who_is_not_there_owns_nothing() {
    let found = messages(&good().render().unwrap().replace("[users.ann]", "[users.bob]"));
    assert!(found[0].contains("names `ann`, who isn't in the file"), "{found:?}");
}

#[test]
fn findings_repeat_no_secret() {
    let cut = &HASH[..40];
    for found in messages(&good().render().unwrap().replace(HASH, cut)) {
        assert!(!found.contains(&cut[10..]), "{found}");
    }
    let broken = good().render().unwrap().replace("\"ann\"", "ann\"");
    assert!(messages(&broken).iter().all(|found| !found.contains(HASH)));
}
