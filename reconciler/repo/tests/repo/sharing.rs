//! Objects that views share: each object once for all members, and none that one of them may not see.

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread;

use berth_host::process::Stopped;
use berth_repo::view::{Move, Progress, Views};
use berth_repo::{Edit, OPENED, Revision};
use berth_testing::InTime as _;
use git2::{ObjectType, Oid, Repository, Signature};
use tempfile::TempDir;

use crate::git::{Git, ada, attempt, door, feed, git, words};

const HASH: &str = "$2b$12$odeciuvURMWYHyxaUSooeORUILdSujzA7pPBiCstyxNS992W1SqI.";

pub(crate) struct House {
    pub(crate) state: Git,
    folder: TempDir,
    pub(crate) views: Views,
}

fn user(name: &str, n: usize) -> String {
    format!("email = \"{name}-{n}@mail.example.org\"\npassword_hash = \"{HASH}\"\n")
}

impl House {
    /// A state repo with this many members and a server each, in one commit.
    pub(crate) fn of(members: usize) -> Self {
        let state = Git::new();
        let folder = TempDir::new().unwrap();
        let views = Views::open(&state.bare, &folder.path().join("views")).unwrap();
        let house = Self { state, folder, views };
        let mut files = vec![
            ("platform.toml".to_owned(), "domain = \"example.org\"\n".to_owned()),
            ("users/ann.toml".to_owned(), format!("role = \"admin\"\n{}", user("ann", 0))),
            ("docs/welcome.md".to_owned(), "# Welcome\n".to_owned()),
            ("docs/old.md".to_owned(), format!("A hash: {HASH}\n")),
        ];
        for n in 0..members {
            let name = if n == 0 { "bob".to_owned() } else { format!("m{n}") };
            files.push((format!("servers/{name}.toml"), format!("id = {}\nowner = \"{name}\"\n", n + 1)));
            files.push((format!("users/{name}.toml"), user(&name, 0)));
        }
        house.commit(&files);
        house
    }

    fn commit(&self, files: &[(String, String)]) -> Revision {
        let repo = self.state.open();
        let edits: Vec<_> = files.iter().map(|(path, text)| Edit::write(path, text.clone())).collect();
        let tip = repo.head().unwrap();
        repo.commit(tip.as_ref(), &edits, &words(&ada(), &door(), "change")).unwrap()
    }

    fn one(&self, path: &str, text: &str) -> Revision {
        self.commit(&[(path.to_owned(), text.to_owned())])
    }

    /// A history of so many commits, one file each, now and then a member's own.
    fn history(&self, commits: usize) {
        let mut stream = String::new();
        for n in 0..commits {
            let from = if n == 0 { "from refs/heads/main^0\n" } else { "" };
            let time = 1_700_000_001 + n;
            let (path, text) = match n % 5 {
                0 => ("users/m1.toml".to_owned(), user("m1", n)),
                1 => ("users/bob.toml".to_owned(), user("bob", n)),
                _ => (format!("servers/s{n}.toml"), format!("id = {}\nowner = \"bob\"\n", n + 1000)),
            };
            stream += &format!(
                "commit refs/heads/main\ncommitter Ada <ada@example.org> {time} +0000\ndata 3\none\n{from}M 100644 inline {path}\ndata {}\n{text}\n",
                text.len()
            );
        }
        feed(&self.state.bare, &["fast-import", "--quiet"], stream.as_bytes());
    }

    pub(crate) fn view(&self, name: &str) -> PathBuf {
        self.views.prepare(&name.parse().unwrap()).unwrap()
    }

    /// The commits that were told as missing in the store, and in the view.
    fn told(&self, name: &str) -> (usize, usize) {
        let told = RefCell::new((0, 0));
        let tell = |progress| match progress {
            Progress::Shared { of, .. } => told.borrow_mut().0 = of,
            Progress::Own { of, .. } => told.borrow_mut().1 = of,
            Progress::Waits { .. } => {}
        };
        self.views.prepare_telling(&name.parse().unwrap(), &tell).unwrap();
        told.into_inner()
    }

    pub(crate) fn stores(&self) -> Vec<PathBuf> {
        let stores = fs::read_dir(self.folder.path().join("views/.shared")).unwrap();
        stores.map(|entry| entry.unwrap().path()).filter(|path| path.is_dir()).collect()
    }

    pub(crate) fn tidy(&self) -> usize {
        let (_stop, stopped) = Stopped::pair().unwrap();
        self.views.tidy(&Arc::new(stopped)).unwrap()
    }
}

fn objects(path: &Path) -> BTreeSet<Oid> {
    let mut found = BTreeSet::new();
    Repository::open_bare(path)
        .unwrap()
        .odb()
        .unwrap()
        .foreach(|id| {
            found.insert(*id);
            true
        })
        .unwrap();
    found
}

/// Files of a folder, with those in the folders in it.
fn files(folder: &Path) -> Vec<PathBuf> {
    let (mut found, mut folders) = (Vec::new(), vec![folder.to_owned()]);
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let entry = entry.unwrap();
            match entry.file_type().unwrap().is_dir() {
                true => folders.push(entry.path()),
                false => found.push(entry.path()),
            }
        }
    }
    found
}

/// A number that `git count-objects` tells of what a repository has itself.
fn counted(path: &Path, what: &str) -> usize {
    let text = git(path, &["count-objects", "-v"]);
    text.lines().find_map(|line| line.strip_prefix(what)?.strip_prefix(": ")).unwrap().parse().unwrap()
}

pub(crate) fn is_whole(path: &Path) {
    git(path, &["fsck", "--strict", "--full"]);
}

/// Opens a proposal, as somebody's push does.
fn propose(house: &House, author: &str, topic: &str, path: &str, text: &str) -> Oid {
    let repo = house.state.open();
    let tip = repo.head().unwrap();
    let made =
        repo.write(tip.as_ref(), &[Edit::write(path, text)], &words(&ada(), &door(), "a proposal")).unwrap();
    let real = Repository::open_bare(&house.state.bare).unwrap();
    let id = Oid::from_str(&made.to_string()).unwrap();
    real.reference(&format!("refs/heads/review/{topic}"), id, true, "test").unwrap();
    let by = Signature::now(author, "x@example.org").unwrap();
    let tag =
        real.tag_annotation_create(topic, &real.find_object(id, None).unwrap(), &by, "opened\n").unwrap();
    real.reference(&format!("{OPENED}{topic}"), tag, true, "test").unwrap();
    id
}

#[test]
fn no_view_hands_out_what_is_hidden_however_it_is_asked_for() {
    let house = House::of(3);
    house.history(10);
    house.one("users/m1.toml", &user("m1", 77));
    let theirs = propose(&house, "m1", "theirs", "docs/theirs.md", "Not for bob.\n");
    let his = propose(&house, "bob", "his", "docs/his.md", "For bob.\n");
    house.view("m1");
    let view = house.view("bob");
    let (real, seen) = (objects(&house.state.bare), objects(&view));
    let hidden: Vec<_> = real.difference(&seen).collect();
    assert!(hidden.len() > 30 && seen.intersection(&real).count() > 10, "{} {}", hidden.len(), seen.len());
    let state = Repository::open_bare(&house.state.bare).unwrap();
    let proposed = |commit: Oid, path: &str| {
        state.find_commit(commit).unwrap().tree().unwrap().get_path(Path::new(path)).unwrap().id()
    };
    assert!(hidden.contains(&&proposed(theirs, "docs/theirs.md")));
    assert!(seen.contains(&proposed(his, "docs/his.md")));
    // Nothing that is shown says what it may not, wherever it lies.
    let store = house.stores().pop().unwrap();
    for (path, secrets) in [
        (&view, vec!["m1-", "m2-", "ann-", "$2b$", "Not for bob"]),
        (&store, vec!["mail.example", "$2b$", "or bob.\n"]),
    ] {
        let repository = Repository::open_bare(path).unwrap();
        for id in objects(path) {
            let odb = repository.odb().unwrap();
            let object = odb.read(id).unwrap();
            let text = String::from_utf8_lossy(object.data());
            assert!(
                object.kind() != ObjectType::Blob || secrets.iter().all(|secret| !text.contains(secret)),
                "{text}"
            );
            assert!(*path != store || object.kind() != ObjectType::Commit, "{id} is a commit in the store");
        }
    }
    // In the view's folder, and over git's own door, one by one.
    let client = house.folder.path().join("client.git");
    git(house.folder.path(), &["init", "--quiet", "--bare", "client.git"]);
    let url = format!("file://{}", view.display());
    let any = ["-c", "uploadpack.allowAnySHA1InWant=true", "-c", "protocol.version=2"];
    let fetched = |id: &Oid| {
        let id = id.to_string();
        let pack = "--upload-pack=git -c uploadpack.allowAnySHA1InWant=true upload-pack";
        let arguments = [&any[..], &["fetch", "--quiet", "--no-tags", pack, &url, &id]].concat();
        attempt(&client, &arguments).status.success()
    };
    for id in &hidden {
        assert!(!attempt(&view, &["cat-file", "-e", &id.to_string()]).status.success(), "{id}");
    }
    for id in hidden.iter().take(12) {
        assert!(!fetched(id), "{id}");
    }
    // It does hand out by id what is there.
    assert!(fetched(&proposed(his, "docs/his.md")));
}

#[test]
fn a_pushed_commit_that_names_a_hidden_object_gets_nothing_out() {
    let house = House::of(2);
    let view = house.view("bob");
    let state = Repository::open_bare(&house.state.bare).unwrap();
    let main = state.refname_to_id("refs/heads/main").unwrap();
    let secret =
        state.find_commit(main).unwrap().tree().unwrap().get_path(Path::new("users/m1.toml")).unwrap().id();
    let users = state.find_commit(main).unwrap().tree().unwrap().get_name("users").unwrap().id();
    let shown = Repository::open_bare(&view).unwrap();
    let tip = shown.refname_to_id("refs/heads/main").unwrap();
    let root = shown.find_commit(tip).unwrap().tree_id();
    for (mode, hidden, name) in [("100644", secret, "mine.md"), ("40000", users, "docs")] {
        // As it would lie in git's quarantine: the commit and its tree, and not what the tree names.
        let quarantine = house.folder.path().join(format!("quarantine-{name}"));
        git(house.folder.path(), &["init", "--quiet", "--bare", quarantine.to_str().unwrap()]);
        let pushed = Repository::open_bare(&quarantine).unwrap();
        let objects = pushed.odb().unwrap();
        let mut tree = shown.odb().unwrap().read(root).unwrap().data().to_vec();
        if name == "docs" {
            // In place of the folder that is there.
            let at = tree.windows(5).position(|bytes| bytes == b"docs\0").unwrap() + 5;
            tree.splice(at..at + 20, hidden.as_bytes().iter().copied());
        } else {
            let at = tree.windows(12).position(|bytes| bytes == b"100644 platf").unwrap();
            let entry = [format!("{mode} {name}\0").as_bytes(), hidden.as_bytes()].concat();
            tree.splice(at..at, entry);
        }
        let tree = objects.write(ObjectType::Tree, &tree).unwrap();
        let who = "Bob <bob@example.org> 1700000000 +0000";
        let commit = format!("tree {tree}\nparent {tip}\nauthor {who}\ncommitter {who}\n\nmine\n");
        let commit = objects.write(ObjectType::Commit, commit.as_bytes()).unwrap();
        let id = |id: Oid| Some(id.to_string().parse::<Revision>().unwrap());
        let moved = Move { reference: "refs/heads/main".to_owned(), old: id(tip), new: id(commit) };
        let received =
            house.views.receive(&"bob".parse().unwrap(), &[moved], Some(&quarantine.join("objects")));
        // Git reads all that a push names before it takes anything in; here it can't even be read to be judged.
        assert!(received.is_err() || received.is_ok_and(|received| !received.refused.is_empty()), "{name}");
        house.view("bob");
        assert!(!attempt(&view, &["cat-file", "-e", &hidden.to_string()]).status.success());
    }
}

/// A pack may say of an object that it is another one with changes; whoever takes the pack in reads that other one.
#[test]
fn a_thin_pack_upon_a_hidden_file_is_not_taken_in() {
    let house = House::of(2);
    let long: String = (0..300).map(|n| format!("# {} is m1's\n", n * 7919 % 9973)).collect();
    let main = house.one("users/m1.toml", &format!("{long}{}", user("m1", 1)));
    let view = house.view("bob");
    let repo = house.state.open();
    // In the same place: git makes changes only from what has the same name.
    let edit = [Edit::write("users/m1.toml", format!("{long}{}", user("m1", 2)))];
    let made = repo.write(Some(&main), &edit, &words(&ada(), &door(), "stolen")).unwrap();
    let revisions = format!("{made}\n^{main}\n");
    let mut pack = berth_testing::git(&house.state.bare);
    pack.args(["pack-objects", "--revs", "--thin", "--stdout", "--quiet"]);
    let pack = pack.in_time_reading(revisions.as_bytes());
    assert!(pack.status.success());
    let taken = |at: &Path| {
        let mut git = berth_testing::git(at);
        git.args(["index-pack", "--stdin", "--fix-thin"]);
        git.in_time_reading(&pack.stdout).status.success()
    };
    assert!(!taken(&view), "bob's view has nothing that it could be made from");
    assert!(taken(&house.state.bare), "the pack itself is good");
}

#[test]
fn a_new_view_is_one_pack_of_what_is_its_member_s_alone() {
    let house = House::of(300);
    let view = house.view("bob");
    is_whole(&view);
    assert_eq!((counted(&view, "count"), counted(&view, "packs")), (0, 1));
    // The commit, its tree, the folder of users, and bob's file.
    assert_eq!(counted(&view, "in-pack"), 4);
    assert!(files(&view).len() <= 20, "{:?}", files(&view));
    let before = files(&house.stores()[0]).len();
    assert!(before <= 20);
    is_whole(&house.view("m7"));
    assert_eq!(files(&house.stores()[0]).len(), before, "the second look adds nothing to the store");
    // A clone has all of it.
    git(house.folder.path(), &["clone", "--quiet", &format!("file://{}", view.display()), "clone"]);
    assert_eq!(files(&house.folder.path().join("clone/users")).len(), 301);
}

#[test]
fn what_is_alike_for_everybody_is_made_once() {
    let house = House::of(3);
    house.history(150);
    assert_eq!(house.told("bob"), (151, 151));
    assert_eq!(house.told("m1"), (0, 151));
    assert_eq!(house.told("m1"), (0, 0));
    house.one("docs/new.md", "new\n");
    assert_eq!(house.told("m1"), (1, 1));
    assert_eq!(house.told("bob"), (0, 1));
    for name in ["bob", "m1"] {
        is_whole(&house.view(name));
    }
    let view = house.view("bob");
    assert_eq!(counted(&view, "packs"), 1);
    assert!(counted(&view, "count") <= 4, "the new commit and its tree");
}

#[test]
fn what_is_shown_no_more_is_in_no_view_and_no_store_that_one_reads() {
    let house = House::of(2);
    house.one("docs/plans.md", "the plans\n");
    let blob = |text: &str| Oid::hash_object(ObjectType::Blob, text.as_bytes()).unwrap().to_string();
    let has = |text: &str| attempt(&house.view("bob"), &["cat-file", "-e", &blob(text)]).status.success();
    assert!(has("the plans\n"));
    house.one("platform.toml", "domain = \"example.org\"\n[docs]\nread = \"admins\"\n");
    assert!(!has("the plans\n"), "the settings hide it");
    house.one("platform.toml", "domain = \"example.org\"\n");
    assert!(has("the plans\n"));
    // Somebody takes it out of history by hand.
    git(&house.state.bare, &["update-ref", "refs/heads/main", "main~3"]);
    assert!(!has("the plans\n"), "main doesn't lead to it any more");
    is_whole(&house.view("bob"));
    house.one("docs/other.md", "other\n");
    assert!(has("other\n"));
    is_whole(&house.view("bob"));
}

#[test]
fn a_view_of_an_older_version_stays_and_gets_smaller() {
    let house = House::of(60);
    house.history(40);
    let view = house.view("bob");
    let tip = git(&view, &["rev-parse", "main"]);
    // As it was: with objects of its own alone.
    git(&view, &["repack", "-a", "-d", "-q"]);
    fs::remove_file(view.join("objects/info/alternates")).unwrap();
    fs::remove_dir_all(house.folder.path().join("views/.shared")).unwrap();
    is_whole(&view);
    let before = counted(&view, "in-pack");
    assert_eq!(git(&house.view("bob"), &["rev-parse", "main"]), tip, "nobody has to rebase");
    is_whole(&view);
    // The alternates file is younger than what is packed.
    let past = std::time::SystemTime::UNIX_EPOCH;
    for pack in files(&view.join("objects/pack")) {
        fs::File::options().read(true).open(pack).unwrap().set_modified(past).unwrap();
    }
    assert_eq!(house.tidy(), 1);
    is_whole(&view);
    let after = counted(&view, "in-pack");
    assert!(after * 2 < before, "{before} objects, then {after}");
    assert_eq!(house.tidy(), 0, "once is enough");
    house.one("docs/new.md", "new\n");
    assert_eq!(git(&house.view("bob"), &["rev-parse", "main~1"]), tip);
    is_whole(&view);
}

#[test]
fn whatever_is_lost_or_cut_off_is_made_again() {
    let house = House::of(3);
    house.history(20);
    let tip = git(&house.view("bob"), &["rev-parse", "main"]);
    let again = |what: &str| {
        house.one(&format!("docs/{what}.md"), "x\n");
        let view = house.view("bob");
        is_whole(&view);
        assert_eq!(git(&view, &["rev-parse", &tip]), tip);
        git(&view, &["merge-base", "--is-ancestor", &tip, "main"]);
    };
    let shared = house.folder.path().join("views/.shared");
    // A record that a crash cut off.
    let table = house.stores()[0].join("berth-folders");
    let length = fs::metadata(&table).unwrap().len();
    fs::File::options().write(true).open(&table).unwrap().set_len(length - 7).unwrap();
    again("cut");
    // A store that was begun, and nothing in it.
    fs::write(shared.join("current"), "store-gone").unwrap();
    again("gone");
    // A table without its objects.
    for folder in house.stores() {
        fs::remove_dir_all(folder.join("objects/pack")).unwrap();
        fs::create_dir(folder.join("objects/pack")).unwrap();
        for entry in fs::read_dir(folder.join("objects")).unwrap() {
            let path = entry.unwrap().path();
            if path.file_name().unwrap().len() == 2 {
                fs::remove_dir_all(path).unwrap();
            }
        }
    }
    again("empty");
    // A table whose last folder's file a loss of power left without what was in it.
    house.one("docs/loose.md", "x\n");
    house.view("bob");
    let current = shared.join(fs::read_to_string(shared.join("current")).unwrap());
    let folder = fs::read(current.join("berth-folders")).unwrap();
    let folder = Oid::from_bytes(&folder[folder.len() - 20..]).unwrap().to_string();
    let lost = current.join("objects").join(&folder[..2]).join(&folder[2..]);
    fs::remove_file(&lost).unwrap();
    fs::write(&lost, "").unwrap();
    is_whole(&house.view("m1"));
    assert_ne!(shared.join(fs::read_to_string(shared.join("current")).unwrap()), current);
    again("emptied");
    fs::remove_dir_all(&shared).unwrap();
    again("all");
    // A view that was begun, and not finished.
    fs::remove_file(house.view("bob").join("berth-commits")).unwrap();
    again("begun");
}

#[test]
fn several_first_looks_at_once_are_right() {
    let house = House::of(6);
    house.history(60);
    let names = ["bob", "m1", "m2", "m3"];
    thread::scope(|scope| {
        for name in names.iter().chain(&names) {
            scope.spawn(|| house.view(name));
        }
    });
    assert_eq!(house.stores().len(), 1, "one store for all");
    for name in names {
        let at_once = git(&house.view(name), &["rev-parse", "main"]);
        is_whole(&house.view(name));
        let alone =
            Views::open(&house.state.bare, &house.folder.path().join(format!("alone-{name}"))).unwrap();
        let alone = alone.prepare(&name.parse().unwrap()).unwrap();
        assert_eq!(git(&alone, &["rev-parse", "main"]), at_once);
    }
}

#[test]
fn packing_drops_nothing_while_others_push_and_fetch() {
    let house = House::of(4);
    for n in 0..260 {
        house.one(&format!("docs/p{n}.md"), &format!("page {n}\n"));
    }
    // An object that no branch leads to: the push that brought it isn't done.
    let loose = feed(&house.state.bare, &["hash-object", "-w", "--stdin"], b"on its way\n");
    assert!(counted(&house.state.bare, "count") > 500);
    house.state.write("docs/pushed.md", "before\n");
    git(&house.state.work, &["pull", "--quiet", "origin", "main"]);
    let view = house.view("bob");
    thread::scope(|scope| {
        let pushes = scope.spawn(|| {
            for n in 0..4 {
                house.state.write("docs/pushed.md", format!("{n}\n"));
                house.state.push("pushed");
            }
        });
        let fetches = scope.spawn(|| {
            for n in 0..4 {
                for (from, name) in [(&view, "view"), (&house.state.bare, "state")] {
                    let to = format!("{name}-{n}");
                    git(
                        house.folder.path(),
                        &["clone", "--quiet", "--bare", &format!("file://{}", from.display()), &to],
                    );
                }
                house.view("bob");
            }
        });
        let mut packed = house.tidy();
        while !(pushes.is_finished() && fetches.is_finished()) {
            packed += house.tidy();
            // Whatever size it has: the next time is due at once.
            git(&house.state.bare, &["repack", "-d", "-q", "--geometric=2"]);
        }
        assert!(packed > 0);
    });
    house.state.check();
    is_whole(&house.view("bob"));
    assert_eq!(git(&house.state.bare, &["cat-file", "-p", &loose]), "on its way");
    assert_eq!(git(&house.state.bare, &["show", "main:docs/pushed.md"]), "3");
    assert!(counted(&house.state.bare, "count") < 500, "it is packed");
    assert!(counted(&house.state.bare, "packs") < 12);
}
