//! Steps of changes, as they end.

#![allow(clippy::unwrap_used, reason = "a test says what it expects by unwrapping it")]

use std::os::unix::process::ExitStatusExt as _;
use std::process::ExitStatus;
use std::sync::Arc;
use std::time::Duration;

use berth_repo::{Edit, Signature, StateRepo, Words};
use berth_schema::remote::Forge;
use berth_schema::{Parsed, State};
use berth_secrets::Secrets;

use super::*;
use crate::bell::Bell;
use crate::folder::Folder;
use crate::settings::FollowSettings;
use crate::waits::RateLimit;

/// An outbox over a state repo, and a change that is an open pull request.
struct Scene {
    outbox: Outbox,
    api: Api,
    limit: RateLimit,
    /// The commit that the change was made on, and the tip of `main`.
    first: Revision,
    main: Revision,
    change: Outgoing,
    _home: tempfile::TempDir,
}

impl Scene {
    fn new() -> Self {
        let home = tempfile::tempdir().unwrap();
        let state = home.path().join("state.git");
        let url = "https://git.example.org/it/state.git";
        let platform = format!(
            "domain = \"h.org\"\n[remote]\nurl = \"{url}\"\nforge = \"forgejo\"\npull_requests = \"merge\"\n"
        );
        let parsed = State::assemble([&Parsed::parse("platform.toml", &platform)]).unwrap();
        let remote = parsed.platform.remote.clone().unwrap();
        let repo = StateRepo::init(&state).unwrap();
        let by = Signature::at("Ann", "ann@example.org", 0);
        let words = Words { author: &by, committer: &by, message: "a change\n" };
        let write = |base: Option<&Revision>, path: &str| {
            repo.write(base, &[Edit::write(path, &*platform)], &words).unwrap()
        };
        let first = write(None, "platform.toml");
        let (commit, main) = (write(Some(&first), "docs/a.md"), write(Some(&first), "docs/b.md"));
        let record = Record {
            state: PullState::Open,
            is_allowed: true,
            is_committed: true,
            forge: url.to_owned(),
            number: Some(1),
            ..Record::default()
        };
        let (user, topic) = ("bob".parse().unwrap(), "more".parse().unwrap());
        let change = Outgoing { user, topic, commit, by: by.clone(), record };
        let secrets = Secrets::of(home.path());
        let settings =
            FollowSettings { state, folder: home.path().join("forge"), secrets, socket: home.path().into() };
        let folder = Arc::new(Folder::open(&settings.folder).unwrap());
        let api = Api::of(&remote, Forge::Forgejo, "a token").unwrap();
        let limit = RateLimit::default();
        let outbox = Outbox::new(&remote, &settings, &folder, &Arc::<Bell>::default(), &limit);
        Self { outbox, api, limit, first, main, change, _home: home }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_could_be_merged_while_the_forge_wants_a_pause_is_merged_after_it() {
    let Scene { outbox, api, limit, first, main, change, _home } = Scene::new();
    // It was looked at a moment ago. Then `main` moves, and the next look would be in an hour.
    let mut dues = Dues::new(&limit);
    let mut due = dues.of("bob/more");
    due.main = Some(first);
    due.settled(Duration::from_secs(3600), 1);
    dues.set("bob/more", due);
    dues.pause.hold(Some(Duration::from_secs(60)));
    let mut turn = Turn { main, platform: "h.org".to_owned(), open: 1, may_merge: true };
    outbox.turn(&api, &mut dues, &mut turn, change).await.unwrap();
    let due = dues.of("bob/more");
    assert!(due.main == Some(main) && !due.wait.is_over() && due.is_passed_over, "{due:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_forge_shows_no_more_can_be_taken_back() {
    let Scene { outbox, limit, mut change, .. } = Scene::new();
    let mut dues = Dues::new(&limit);
    let mut due = dues.of("bob/more");
    let mut ends = |change: &mut Outgoing, trouble: Trouble| {
        outbox.settle(change, &mut due, Err(Broken::Unseen(trouble)), &mut dues, 1).unwrap();
        (change.record.state, change.record.may_withdraw())
    };
    // A token that the forge doesn't take says nothing of the pull request.
    for _ in 0..20 {
        let refused = Trouble::Refused("401 Unauthorized".to_owned());
        assert_eq!(ends(&mut change, refused), (PullState::Open, false));
    }
    let gone = || Trouble::Lagging("404 Not Found".to_owned());
    let ended: Vec<_> = (0..9).map(|_| ends(&mut change, gone())).collect();
    assert_eq!(ended[..8], [(PullState::Open, false); 8]);
    assert_eq!(ended[8], (PullState::Failed, true));
    assert!(change.record.why.as_ref().unwrap().contains("doesn't show its pull request"));
    // It is there again: nothing was lost.
    let pull = Pull { number: 1, url: None, at: At::Open };
    outbox.take(&mut change, &pull).unwrap();
    assert_eq!(
        (change.record.state, change.record.may_withdraw(), change.record.why),
        (PullState::Open, false, None)
    );
}

#[test]
fn a_commit_that_the_forge_doesnt_take_holds_no_other_up() {
    let failed = |words: &str| {
        let (command, status, words) = ("push", ExitStatus::from_raw(1 << 8), words.to_owned());
        GitError::Program(berth_repo::git::GitError::Failed { command, status, words })
    };
    let remote = Remote::new("https://f/org/state.git".parse().unwrap());
    let pushed = |words: &str| push_trouble(&remote, "berth/bob/x", &failed(words));
    let large = "error: RPC failed; HTTP 413 curl 22 The requested URL returned error: 413";
    assert!(matches!(pushed(large), Trouble::Lagging(_)));
    assert!(matches!(git_trouble(&remote, "berth/bob/x", &failed(large)), Trouble::Away { .. }));
    let right = "fatal: unable to access 'https://f/': The requested URL returned error: 403";
    assert!(matches!(pushed(right), Trouble::Refused(_)));
    let rejected = "! [remote rejected] 4034010 -> berth/bob/x (hook)\nerror: failed to push some refs";
    assert!(matches!(pushed(rejected), Trouble::Lagging(_)));
    // The names are nobody's words about a right.
    let remote = Remote::new("https://protected.example.org/denied/state.git".parse().unwrap());
    let away = "fatal: unable to access 'https://protected.example.org/denied/state.git/': Could not resolve host: \
                protected.example.org";
    assert!(matches!(git_trouble(&remote, "main", &failed(away)), Trouble::Away { .. }));
    let branch = "berth/bob/server-protected";
    let rejected = format!("! [remote rejected] 4034010 -> {branch} (no space left)");
    assert!(matches!(push_trouble(&remote, branch, &failed(&rejected)), Trouble::Lagging(_)));
}
