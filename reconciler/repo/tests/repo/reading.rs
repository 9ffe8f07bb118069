//! Reading revisions: names, descriptions, and states that are parsed only where they changed.

use std::fs;

use berth_repo::{Error, Revision};

use crate::git::{Git, NOW, feed, git};

/// (files, parsed again)
fn counts(repo: &mut berth_repo::StateRepo, revision: &Revision) -> (usize, usize) {
    let loaded = repo.load(revision).unwrap();
    (loaded.files, loaded.parsed_again)
}

#[test]
fn a_revision_is_a_full_id_and_nothing_else() {
    let hex = "0123456789abcdef0123456789abcdef01234567";
    let revision: Revision = hex.parse().unwrap();
    assert_eq!(revision.to_string(), hex);
    assert_eq!(revision.short(), "0123456789");
    assert_eq!(serde_json::to_string(&revision).unwrap(), format!("\"{hex}\""));
    assert_eq!(serde_json::from_str::<Revision>(&format!("\"{hex}\"")).unwrap(), revision);
    for wrong in ["", "0123", "main", &hex[1..], &format!("{hex}0"), &hex.replace('0', "x")] {
        assert!(wrong.parse::<Revision>().is_err(), "{wrong}");
    }
}

#[test]
fn every_way_to_name_a_commit_resolves() {
    let (state, first) = Git::with_state();
    let second = state.push("second");
    git(&state.bare, &["tag", "--annotate", "v1", "--message", "one", &first.to_string()]);
    let repo = state.open();
    assert_eq!(repo.head().unwrap(), Some(second));
    for spec in ["main", "HEAD", "refs/heads/main", &second.to_string(), &second.short()] {
        assert_eq!(repo.resolve(spec).unwrap(), second, "{spec}");
    }
    for spec in ["main~1", "HEAD^", "v1", &first.short()] {
        assert_eq!(repo.resolve(spec).unwrap(), first, "{spec}");
    }
}

#[test]
fn a_tag_hides_no_branch_of_its_name() {
    let (state, first) = Git::with_state();
    let second = state.push("second");
    git(&state.bare, &["tag", "main", &first.to_string()]);
    let repo = state.open();
    for (spec, found) in
        [("main", second), ("main~1", first), ("main^{commit}", second), ("tags/main", first)]
    {
        assert_eq!(repo.resolve(spec).unwrap(), found, "{spec}");
    }
}

#[test]
fn a_name_that_leads_nowhere_is_told_back() {
    let (state, _) = Git::with_state();
    let repo = state.open();
    for spec in ["proposal", "", "main~7", "ffffffffff", "a b", "main^{", "../x"] {
        let error = repo.resolve(spec).unwrap_err();
        assert!(matches!(error, Error::Unknown { .. } | Error::Resolve { .. }), "{spec}: {error:?}");
        assert!(error.to_string().contains(&format!("'{spec}'")), "{error}");
    }
    assert!(matches!(repo.resolve("main:platform.toml"), Err(Error::Resolve { .. })));
}

#[test]
fn a_commit_tells_who_when_and_why() {
    let (state, first) = Git::with_state();
    let message =
        "servers: more memory\n\nThe build needs it.\n\nReviewed-by: Bob <bob@example.org>\nBerth-Lift: 12ab";
    let second = state.push(message);
    let info = state.open().commit_info(&second).unwrap();
    assert_eq!((info.author.name.as_str(), info.author.email.as_str()), ("Ada", "ada@example.org"));
    assert_eq!((info.author.seconds, info.author.offset_minutes), (NOW, 120));
    assert_eq!((info.committer.name.as_str(), info.committer.offset_minutes), ("Door", 0));
    assert_eq!(info.summary, "servers: more memory");
    assert_eq!(info.parents, [first]);
    let trailer = |key: &str, value: &str| (key.to_owned(), value.to_owned());
    assert_eq!(
        info.trailers,
        [trailer("Reviewed-by", "Bob <bob@example.org>"), trailer("Berth-Lift", "12ab")]
    );
}

#[test]
fn only_changed_files_are_parsed_again() {
    let (state, first) = Git::with_state();
    let mut repo = state.open();
    assert_eq!(counts(&mut repo, &first), (9, 9));
    assert_eq!(counts(&mut repo, &first), (9, 0));

    state.write("servers/s3.toml", "id = 3\nowner = \"bob\"\n");
    let changed = state.push("changed");
    assert_eq!(counts(&mut repo, &changed), (9, 1));

    state.write("servers/s6.toml", "id = 6\nowner = \"bob\"\n");
    let added = state.push("added");
    assert_eq!(counts(&mut repo, &added), (10, 1));

    fs::remove_file(state.work.join("servers/s1.toml")).unwrap();
    let deleted = state.push("deleted");
    assert_eq!(counts(&mut repo, &deleted), (9, 0));
    // The two before are kept as well. What left with none of them is read again.
    assert_eq!(counts(&mut repo, &added), (10, 0));
    assert_eq!(counts(&mut repo, &first), (9, 1));
    assert_eq!(counts(&mut repo, &deleted), (9, 0));
    assert_eq!(counts(&mut repo, &changed), (9, 1));
    assert_eq!(counts(&mut repo, &added), (10, 1));
}

#[test]
fn who_shares_a_memory_reads_nothing_twice() {
    let (state, first) = Git::with_state();
    let mut one = state.open();
    one.load(&first).unwrap();
    let mut other = state.open().knowing(one.memory());
    assert_eq!(counts(&mut other, &first), (9, 0));
    state.write("servers/s3.toml", "id = 3\nowner = \"bob\"\n");
    let changed = state.push("changed");
    assert_eq!(counts(&mut other, &changed), (9, 1));
    assert_eq!(counts(&mut one, &changed), (9, 0));
    // What is tried out isn't everybody's.
    let mut scratch = one.scratch().unwrap();
    state.write("servers/s3.toml", "id = 3\nowner = \"bob\"\nstate = \"stopped\"\n");
    let tried = state.push("tried");
    assert_eq!(counts(&mut scratch.repo, &changed), (9, 0));
    assert_eq!(counts(&mut scratch.repo, &tried), (9, 1));
    assert_eq!(counts(&mut one, &tried), (9, 1));
}

#[test]
fn a_note_is_found_in_whatever_folder_git_keeps_it() {
    let (state, first) = Git::with_state();
    let id = first.to_string();
    let (folder, rest) = id.split_at(2);
    let (inner, name) = rest.split_at(2);
    for path in [id.clone(), format!("{folder}/{rest}"), format!("{folder}/{inner}/{name}")] {
        state.write(&path, "a note");
        let tip = state.push("noted");
        let repo = state.open();
        let notes = repo.notes(&tip).unwrap();
        assert_eq!(notes.on(&first).unwrap().as_deref(), Some("a note"), "{path}");
        assert_eq!(notes.on(&tip).unwrap(), None, "{path}");
        fs::remove_file(state.work.join(&path)).unwrap();
    }
}

#[test]
fn a_renamed_file_is_parsed_again_because_its_name_means_something() {
    let (state, first) = Git::with_state();
    let mut repo = state.open();
    repo.load(&first).unwrap();
    git(&state.work, &["mv", "servers/s1.toml", "servers/lab.toml"]);
    let renamed = state.push("renamed");
    assert_eq!(counts(&mut repo, &renamed), (9, 1));
    git(&state.work, &["mv", "servers", "machines"]);
    let moved = state.push("moved");
    assert_eq!(counts(&mut repo, &moved), (9, 5));
}

#[test]
fn a_file_that_becomes_a_folder_is_read_as_one() {
    let (state, first) = Git::with_state();
    let mut repo = state.open();
    repo.load(&first).unwrap();
    fs::remove_file(state.work.join("servers/s1.toml")).unwrap();
    state.write("servers/s1.toml/inner.toml", "id = 1\n");
    state.write("servers/s1.toml-2", "id = 1\n");
    let swapped = state.push("swapped");
    assert_eq!(counts(&mut repo, &swapped), (10, 2));
    assert_eq!(counts(&mut repo, &first), (9, 0));
}

#[test]
fn a_merge_is_read_like_any_commit() {
    let (state, first) = Git::with_state();
    let mut repo = state.open();
    repo.load(&first).unwrap();
    git(&state.work, &["checkout", "--quiet", "-b", "proposal"]);
    state.write("servers/s1.toml", "id = 1\nowner = \"bob\"\n");
    let proposal = state.commit("theirs");
    git(&state.work, &["checkout", "--quiet", "main"]);
    state.write("servers/s2.toml", "id = 2\nowner = \"bob\"\n");
    let ours = state.push("ours");
    git(&state.work, &["merge", "--quiet", "--no-ff", "--message", "merged", "proposal"]);
    let merged = state.push("nothing more");
    let merge = repo.resolve(&format!("{merged}^")).unwrap();
    assert_eq!(repo.commit_info(&merge).unwrap().parents, [ours, proposal]);
    assert_eq!(counts(&mut repo, &merge), (9, 2));
    assert_eq!(counts(&mut repo, &merged), (9, 0), "another commit of the same tree");
}

#[test]
fn packing_refs_and_objects_between_loads_changes_nothing() {
    let (state, first) = Git::with_state();
    let mut repo = state.open();
    assert_eq!(counts(&mut repo, &first), (9, 9));
    git(&state.bare, &["pack-refs", "--all", "--prune"]);
    git(&state.bare, &["gc", "--quiet", "--prune=now"]);
    assert!(!state.bare.join("refs/heads/main").exists());
    assert_eq!(repo.head().unwrap(), Some(first));
    assert_eq!(counts(&mut repo, &first), (9, 0));
    state.write("servers/s3.toml", "id = 3\nowner = \"bob\"\n");
    let second = state.push("second");
    // The pack that the repository had open is replaced by another.
    git(&state.bare, &["repack", "-a", "-d", "-f", "--quiet"]);
    assert_eq!(repo.head().unwrap(), Some(second));
    assert_eq!(counts(&mut repo, &second), (9, 1));
    assert_eq!(counts(&mut state.open(), &first), (9, 9));
}

#[test]
fn going_back_from_a_broken_revision_parses_nothing() {
    let (state, first) = Git::with_state();
    let mut repo = state.open();
    let good = repo.load(&first).unwrap().state.expect("the state is a good one");
    assert_eq!((good.users.len(), good.servers.len()), (3, 5));
    state.write("servers/s2.toml", "this is = = not TOML\n");
    let broken = state.push("broken");
    let loaded = repo.load(&broken).unwrap();
    assert_eq!((loaded.files, loaded.parsed_again), (9, 1));
    let findings = loaded.state.expect_err("a broken file refuses the revision");
    assert!(findings.iter().any(|finding| &*finding.path == "servers/s2.toml"), "{findings:?}");
    git(&state.work, &["revert", "--no-edit", "HEAD"]);
    let mended = state.push("mended");
    let loaded = repo.load(&mended).unwrap();
    assert_eq!((loaded.files, loaded.parsed_again), (9, 0));
    assert_eq!(loaded.state.unwrap(), good);
}

#[test]
fn a_file_with_findings_can_be_shown() {
    let (state, _) = Git::with_state();
    state.write("servers/s2.toml", "this is = = not TOML\n");
    let broken = state.push("broken");
    let loaded = state.open().load(&broken).unwrap();
    assert_eq!(loaded.source("servers/s2.toml"), Some("this is = = not TOML\n"));
    assert_eq!(loaded.source("servers/gone.toml"), None);
    assert_eq!(loaded.source("servers/s1.toml"), None, "nothing is wrong there");
}

#[test]
fn a_load_that_fails_forgets_nothing() {
    let (state, first) = Git::with_state();
    let mut repo = state.open();
    repo.load(&first).unwrap();
    state.write("servers/s2.toml", "id = 2\nowner = \"eve\"\n");
    let second = state.push("second");
    let blob = git(&state.bare, &["rev-parse", "main:servers/s2.toml"]);
    let object = state.bare.join("objects").join(&blob[..2]).join(&blob[2..]);
    let aside = state.bare.join("aside");
    fs::rename(&object, &aside).unwrap();
    let error = repo.load(&second).unwrap_err();
    assert!(matches!(&error, Error::ReadFile { path, .. } if path == "servers/s2.toml"), "{error:?}");
    assert_eq!(counts(&mut repo, &first), (9, 0));
    fs::rename(&aside, &object).unwrap();
    assert_eq!(counts(&mut repo, &second), (9, 1));
}

#[test]
fn a_commit_that_is_not_there_is_an_error_and_no_empty_state() {
    let (state, _) = Git::with_state();
    let nowhere = "f".repeat(40).parse().unwrap();
    assert!(matches!(state.open().load(&nowhere), Err(Error::ReadCommit { .. })));
    assert!(matches!(state.open().commit_info(&nowhere), Err(Error::ReadCommit { .. })));
}

#[test]
fn many_files_are_read_by_several_threads_and_none_is_lost() {
    let state = Git::new();
    let mut stream =
        "commit refs/heads/main\ncommitter Ada <ada@example.org> 1700000000 +0000\ndata 0\n".to_owned();
    for id in 0..3000 {
        let text = format!("id = {id}\n");
        stream += &format!("M 100644 inline servers/s{id:04}.toml\ndata {}\n{text}\n", text.len());
    }
    feed(&state.bare, &["fast-import", "--quiet"], stream.as_bytes());
    let mut repo = state.open();
    let tip = repo.head().unwrap().unwrap();
    assert_eq!(counts(&mut repo, &tip), (3000, 3000));
    assert_eq!(counts(&mut repo, &tip), (3000, 0));
}

#[test]
fn one_file_is_read_without_loading_the_state() {
    let (state, first) = Git::with_state();
    let repo = state.open();
    assert_eq!(repo.read(&first, "servers/s1.toml").unwrap().unwrap(), b"id = 1\nowner = \"ada\"\n");
    assert_eq!(repo.read(&first, "servers/gone.toml").unwrap(), None);
    assert_eq!(repo.read(&first, "servers").unwrap(), None, "a folder is no file");
    assert_eq!(repo.read(&first, "platform.toml/inner").unwrap(), None);
}
