//! A view while its member pushes into it: reading doesn't wait for that, unless something was hidden meanwhile.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use berth_repo::view::{ViewError, Views};
use berth_repo::{Edit, Revision};
use berth_schema::name::UserName;
use git2::{ObjectType, Oid};
use tempfile::TempDir;

use crate::git::{Git, ada, attempt, door, git, words};

const PLATFORM: &str = "domain = \"example.org\"\n";
const PLAN: &str = "the plans\n";

/// Time for the lock of another push: in these tests there is none.
const PATIENCE: Duration = Duration::ZERO;

struct House {
    state: Git,
    _folder: TempDir,
    views: Views,
}

impl House {
    fn new() -> Self {
        let state = Git::new();
        let folder = TempDir::new().unwrap();
        let views = Views::open(&state.bare, &folder.path().join("views")).unwrap();
        let house = Self { state, _folder: folder, views };
        house.commit(&[
            Edit::write("platform.toml", PLATFORM),
            Edit::write("users/ann.toml", "role = \"admin\"\n"),
            Edit::write("users/bob.toml", ""),
            Edit::write("docs/plans.md", PLAN),
        ]);
        house.views.prepare(&bob()).unwrap();
        house
    }

    fn commit(&self, edits: &[Edit]) -> Revision {
        let repo = self.state.open();
        let tip = repo.head().unwrap();
        repo.commit(tip.as_ref(), edits, &words(&ada(), &door(), "change")).unwrap()
    }

    fn hide_pages(&self) {
        let hidden = format!("{PLATFORM}[docs]\nread = \"admins\"\n");
        self.commit(&[Edit::write("platform.toml", hidden)]);
    }

    /// Returns whether bob's view has the page, in its own objects or in those that it reads besides.
    fn shows_the_plan(&self) -> bool {
        let plan = Oid::hash_object(ObjectType::Blob, PLAN.as_bytes()).unwrap().to_string();
        attempt(&self.views.path(&bob()), &["cat-file", "-e", &plan]).status.success()
    }

    fn shown_main(&self) -> String {
        git(&self.views.path(&bob()), &["rev-parse", "main"])
    }
}

fn bob() -> UserName {
    "bob".parse().unwrap()
}

#[test]
fn a_view_that_is_pushed_into_is_read_as_it_is() {
    let house = House::new();
    let before = house.shown_main();
    let entered = house.views.enter(&bob(), None, PATIENCE).unwrap();
    house.commit(&[Edit::write("docs/other.md", "other\n")]);
    assert_eq!(house.views.prepare(&bob()).unwrap(), house.views.path(&bob()));
    assert_eq!(house.shown_main(), before);
    drop(entered);
    house.views.prepare(&bob()).unwrap();
    assert_ne!(house.shown_main(), before);
}

#[test]
fn what_was_hidden_during_a_push_is_read_by_nobody() {
    let house = House::new();
    let entered = house.views.enter(&bob(), None, PATIENCE).unwrap();
    house.hide_pages();
    assert!(house.shows_the_plan(), "the push at work has it still");
    let is_over = AtomicBool::new(false);
    let (tell, told) = mpsc::channel();
    thread::scope(|scope| {
        let (house, is_over) = (&house, &is_over);
        let reading = scope.spawn(move || {
            // Told of once it is known that the view is stale; nothing at all is told when it isn't looked at.
            let tell = |_| {
                let _ = tell.send(());
            };
            house.views.prepare_telling(&bob(), &tell).unwrap();
            is_over.load(Ordering::SeqCst)
        });
        let _ = told.recv();
        is_over.store(true, Ordering::SeqCst);
        drop(entered);
        assert!(reading.join().unwrap(), "the view was handed out while it showed what is hidden");
    });
    assert!(!house.shows_the_plan());
}

#[test]
fn whoever_is_no_member_any_more_reads_nothing_during_their_push() {
    let house = House::new();
    let _entered = house.views.enter(&bob(), None, PATIENCE).unwrap();
    house.commit(&[Edit::remove("users/bob.toml")]);
    assert!(matches!(house.views.prepare(&bob()), Err(ViewError::Stranger { .. })));
}
