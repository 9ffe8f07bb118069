//! The register of ids, gathered from history: what is read for it, and what it says.

use std::fs;

use berth_repo::Revision;
use berth_schema::name::ServerId;
use berth_schema::register::{Claim, IdRegister};

use crate::git::{Git, git};

/// File that keeps what was gathered.
const KEPT: &str = "berth-ids";

/// The register, and the folders that were read for it by somebody who knows nothing yet.
fn gathered(state: &Git, tip: &Revision) -> (IdRegister, u64) {
    let repo = state.open();
    let ids = repo.ids(tip).unwrap();
    (ids, repo.memory().worked().folders)
}

/// History in which a number of servers came, one commit each.
fn history(servers: u32) -> (Git, Revision) {
    let (state, mut tip) = Git::with_state();
    for id in 6..6 + servers {
        state.write(&format!("servers/s{id}.toml"), format!("id = {id}\nowner = \"bob\"\n"));
        tip = state.push("one more");
    }
    (state, tip)
}

#[test]
fn history_is_read_once() {
    let (state, tip) = history(12);
    let (ids, folders) = gathered(&state, &tip);
    assert_eq!(folders, 13, "every revision changed the folder");
    let (again, folders) = gathered(&state, &tip);
    assert_eq!((&again, folders), (&ids, 0));
    fs::remove_file(state.work.join("servers/s6.toml")).unwrap();
    state.write("servers/s18.toml", "id = 18\nowner = \"eve\"\n");
    let tip = state.push("one goes, one comes");
    let (more, folders) = gathered(&state, &tip);
    assert_eq!(folders, 1, "the one revision that is new");
    let eve = "eve".parse().unwrap();
    assert_eq!(more.claim(ServerId(18.try_into().unwrap()), &eve), Claim::Again);
    assert!(matches!(more.claim(ServerId(6.try_into().unwrap()), &eve), Claim::Foreign(_)), "it was bob's");
}

#[test]
fn what_is_lost_or_torn_is_gathered_again() {
    let (state, tip) = history(3);
    let (ids, _) = gathered(&state, &tip);
    let kept = state.bare.join(KEPT);
    let whole = fs::read_to_string(&kept).unwrap();
    for torn in ["", "no header\n", &whole[..whole.len() / 2], &whole[..whole.rfind("8 =").unwrap()]] {
        fs::write(&kept, torn).unwrap();
        let (again, folders) = gathered(&state, &tip);
        assert_eq!((again, folders), (ids.clone(), 4), "{torn:?}");
        assert_eq!(fs::read_to_string(&kept).unwrap(), whole);
    }
    fs::remove_file(&kept).unwrap();
    assert_eq!(gathered(&state, &tip), (ids, 4));
}

#[test]
fn what_another_history_gave_does_not_count() {
    let (state, tip) = history(3);
    gathered(&state, &tip);
    // A host that is restored from an older copy has another main.
    let before: Revision = git(&state.bare, &["rev-parse", &format!("{tip}~2")]).parse().unwrap();
    let (ids, folders) = gathered(&state, &before);
    assert_eq!(folders, 2);
    let eve = "eve".parse().unwrap();
    assert_eq!(ids.claim(ServerId(8.try_into().unwrap()), &eve), Claim::New);
}

#[test]
fn a_repository_beside_it_knows_what_was_gathered() {
    let (state, tip) = history(3);
    gathered(&state, &tip);
    let repo = state.open();
    let scratch = repo.scratch().unwrap();
    scratch.repo.ids(&tip).unwrap();
    assert_eq!(repo.memory().worked().folders, 0);
}
