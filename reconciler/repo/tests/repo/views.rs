//! Views over random histories: what a view never holds, and that a change comes through one as if it had been made on
//! the state repo itself.

use std::path::Path;
use std::time::SystemTime;

use berth_repo::view::{Accepted, Move, Received, Views};
use berth_repo::{MAIN, Revision, StateRepo};
use berth_schema::State;
use berth_schema::edit::{self, UserEdit};
use berth_schema::name::UserName;
use berth_schema::policy::{self, Actor, Change, Proposal, Verdict};
use berth_schema::register::IdRegister;
use git2::build::TreeUpdateBuilder;
use git2::{FileMode, MergeOptions, ObjectType, Oid, Repository, Signature, Time};
use proptest::prelude::*;
use tempfile::TempDir;

use crate::git::git;

/// ann is the admin; the others have a server each.
const NAMES: [&str; 3] = ["ann", "bob", "cyn"];

/// Change that somebody makes. Numbers say whose thing it is, and which of many values it gets.
#[derive(Debug, Clone)]
enum Op {
    /// A change on the state repo itself.
    Direct(What),
    /// A member's, through their view.
    Member(usize, What),
    /// A member's through their view, merged with what happened meanwhile.
    Merged(usize, What, What),
}

#[derive(Debug, Clone)]
enum What {
    Email(usize, u8),
    Key(usize, u8),
    Hash(usize, u8),
    /// No hash any more.
    NoHash(usize),
    /// A file that is no TOML, with a hash in it.
    Broken(usize, u8),
    /// A file with an old hash in a comment.
    Leftover(usize, u8),
    /// A file that is written anew.
    Fresh(usize, u8),
    Server(usize, u8),
    /// A page, now and then with a hash in it.
    Page(u8),
}

fn what() -> impl Strategy<Value = What> {
    let (who, value) = (0..NAMES.len(), 0..26_u8);
    prop_oneof![
        3 => (who.clone(), value.clone()).prop_map(|(who, n)| What::Email(who, n)),
        2 => (who.clone(), value.clone()).prop_map(|(who, n)| What::Key(who, n)),
        2 => (who.clone(), value.clone()).prop_map(|(who, n)| What::Hash(who, n)),
        1 => who.clone().prop_map(What::NoHash),
        1 => (who.clone(), value.clone()).prop_map(|(who, n)| What::Broken(who, n)),
        1 => (who.clone(), value.clone()).prop_map(|(who, n)| What::Leftover(who, n)),
        3 => (who, value.clone()).prop_map(|(who, n)| What::Server(who, n)),
        1 => value.prop_map(What::Page),
    ]
}

fn op() -> impl Strategy<Value = Op> {
    let member = 1..NAMES.len();
    prop_oneof![
        3 => what().prop_map(Op::Direct),
        3 => (member.clone(), what()).prop_map(|(who, what)| Op::Member(who, what)),
        2 => (member, what(), what()).prop_map(|(who, mine, theirs)| Op::Merged(who, mine, theirs)),
    ]
}

fn letters(n: u8, length: usize) -> String {
    char::from(b'a' + n % 26).to_string().repeat(length)
}

fn hash(who: usize, n: u8) -> String {
    format!("$2b$12$odeciuvURMWYHyxaUSooeO{}{}SujzA7pPBiCstyxNS992W1SqI.", letters(n, 4), who)
}

fn key(who: usize, n: u8) -> String {
    format!(
        "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAI{}{who}{}A {}@key",
        letters(n, 20),
        letters(n, 21),
        NAMES[who]
    )
}

fn email(who: usize, n: u8) -> String {
    format!("{}-{n}@mail.example.org", NAMES[who])
}

fn path_of(who: usize) -> String {
    format!("users/{}.toml", NAMES[who])
}

fn user(who: usize, n: u8) -> String {
    let role = if who == 0 { "admin" } else { "user" };
    // Git takes changes of neighbouring lines for one: a line that stays is between them.
    format!(
        "# {}\nemail = \"{}\"\nrole = \"{role}\"\npassword_hash = \"{}\" # from the form\nssh_keys = [\n    \"{}\", # laptop\n]\n",
        email(who, n),
        email(who, n),
        hash(who, n),
        key(who, n)
    )
}

impl What {
    /// The path that changes and its new text, made from the text that whoever does it sees.
    fn made(&self, read: impl Fn(&str) -> Option<String>) -> (String, String) {
        let edited = |who: usize, n: u8, edit: UserEdit| {
            let (name, path) = (NAMES[who].parse::<UserName>().unwrap(), path_of(who));
            let text = read(&path).and_then(|text| edit::user(&name, &text, &[edit]).ok());
            // Nobody edits a broken file: it is written anew.
            (path, text.unwrap_or_else(|| user(who, n)))
        };
        match self {
            Self::Email(who, n) => edited(*who, *n, UserEdit::Email(Some(email(*who, *n)))),
            Self::Key(who, n) => edited(*who, *n, UserEdit::SshKeys(vec![key(*who, *n).parse().unwrap()])),
            Self::Hash(who, n) => edited(*who, *n, UserEdit::PasswordHash(Some(hash(*who, *n)))),
            Self::NoHash(who) => edited(*who, 0, UserEdit::PasswordHash(None)),
            Self::Broken(who, n) => (
                path_of(*who),
                format!("# {}\nemail = \npassword_hash = \"{}\n", email(*who, *n), hash(*who, *n)),
            ),
            Self::Leftover(who, n) => (path_of(*who), format!("# {}\n{}", hash(*who, n + 1), user(*who, *n))),
            Self::Fresh(who, n) => (path_of(*who), user(*who, *n)),
            Self::Server(who, n) => {
                let id = 3 * n + u8::try_from(*who).unwrap() + 1;
                (format!("servers/s{id}.toml"), format!("id = {id}\nowner = \"{}\"\n", NAMES[*who]))
            }
            Self::Page(n) if n % 3 == 0 => ("docs/page.md".to_owned(), format!("{n}: {}\n", hash(0, *n))),
            Self::Page(n) => ("docs/page.md".to_owned(), format!("{n}\n")),
        }
    }

    /// Person whose file it is, of files that only their user sees whole.
    fn of_user(&self) -> Option<usize> {
        match self {
            Self::Email(who, _)
            | Self::Key(who, _)
            | Self::Hash(who, _)
            | Self::NoHash(who)
            | Self::Broken(who, _)
            | Self::Leftover(who, _)
            | Self::Fresh(who, _) => Some(*who),
            Self::Server(..) | Self::Page(_) => None,
        }
    }
}

struct World {
    folder: TempDir,
    real: Repository,
    views: Views,
    clock: i64,
}

fn text(repository: &Repository, commit: Oid, path: &str) -> Option<String> {
    let tree = repository.find_commit(commit).unwrap().tree().unwrap();
    let id = tree.get_path(Path::new(path)).ok()?.id();
    Some(String::from_utf8(repository.find_blob(id).unwrap().content().to_vec()).unwrap())
}

impl World {
    fn new() -> Self {
        let folder = TempDir::new().unwrap();
        let state = folder.path().join("state.git");
        StateRepo::init(&state).unwrap();
        let views = Views::open(&state, &folder.path().join("views")).unwrap();
        let mut world =
            Self { real: Repository::open_bare(&state).unwrap(), folder, views, clock: 1_700_000_000 };
        let room = "domain = \"example.org\"\n[quota]\nservers = 99\ncpus = 999\nmemory = \"999GiB\"\ndisk = \"9999GiB\"\n";
        let mut files = vec![("platform.toml".to_owned(), room.to_owned())];
        files.extend((0..NAMES.len()).map(|who| (path_of(who), user(who, 0))));
        let first = world.commit_in(None, &[], &files);
        world.real.reference(MAIN, first, true, "first").unwrap();
        world
    }

    fn tip(&self) -> Oid {
        self.real.refname_to_id(MAIN).unwrap()
    }

    /// Commits in a repository, or in the state repo.
    fn commit_in(&mut self, other: Option<&Repository>, parents: &[Oid], files: &[(String, String)]) -> Oid {
        self.clock += 1;
        let repository = other.unwrap_or(&self.real);
        let mut update = TreeUpdateBuilder::new();
        for (path, text) in files {
            update.upsert(path.as_str(), repository.blob(text.as_bytes()).unwrap(), FileMode::Blob);
        }
        let before = match parents.first() {
            Some(parent) => repository.find_commit(*parent).unwrap().tree_id(),
            None => repository.treebuilder(None).unwrap().write().unwrap(),
        };
        let tree = update.create_updated(repository, &repository.find_tree(before).unwrap()).unwrap();
        seal(repository, parents, tree, self.clock)
    }

    fn direct(&mut self, what: &What) {
        let tip = self.tip();
        let made = what.made(|path| text(&self.real, tip, path));
        let commit = self.commit_in(None, &[tip], &[made]);
        self.real.reference(MAIN, commit, true, "direct").unwrap();
    }

    fn view(&self, who: usize) -> Repository {
        Repository::open_bare(self.views.prepare(&NAMES[who].parse().unwrap()).unwrap()).unwrap()
    }

    fn receive(&self, who: usize, old: Oid, new: Oid) -> Received {
        let id = |id: Oid| Some(id.to_string().parse::<Revision>().unwrap());
        let moved = Move { reference: MAIN.to_owned(), old: id(old), new: id(new) };
        self.views.receive(&NAMES[who].parse().unwrap(), &[moved], None).unwrap()
    }

    /// Accepts a push, and does what git does then.
    fn accept(&self, received: Received, view: &Repository, new: Oid) -> Oid {
        assert_eq!(received.accept(std::process::id()).unwrap(), Accepted::Moved);
        view.reference(MAIN, new, true, "push").unwrap();
        self.tip()
    }

    fn state(&self, commit: Oid) -> Option<std::sync::Arc<State>> {
        let mut repo = StateRepo::open(self.real.path()).unwrap();
        repo.load(&commit.to_string().parse().unwrap()).unwrap().state.ok()
    }

    fn verdict(&self, who: usize, before: Oid, after: Oid, path: &str) -> Option<Verdict> {
        let (before, after) = (self.state(before)?, self.state(after)?);
        let name: UserName = NAMES[who].parse().unwrap();
        let changes = [Change { path, before: None, text: None }];
        let actor = Actor::Member(&name);
        Some(policy::judge(&Proposal {
            actor,
            before: &before,
            after: &after,
            changes: &changes,
            proven: &[],
            ids: &IdRegister::default(),
            certificates: None,
            now: SystemTime::UNIX_EPOCH,
            allowance: None,
            from: None,
            knows: Some(name.as_str()),
        }))
    }

    /// A member's change through their view, against the same change on the state repo itself.
    fn member(&mut self, who: usize, what: &What) {
        let view = self.view(who);
        let (tip, seen) = (self.tip(), view.refname_to_id(MAIN).unwrap());
        let made = what.made(|path| text(&view, seen, path));
        let path = made.0.clone();
        let pushed = self.commit_in(Some(&view), &[seen], std::slice::from_ref(&made));
        let directly = what.made(|path| text(&self.real, tip, path));
        let direct = self.commit_in(None, &[tip], &[directly]);
        let received = self.receive(who, seen, pushed);
        assert!(received.refused.is_empty(), "{:?}", received.refused);
        let theirs = what.of_user().is_none_or(|of| of == who);
        // Whoever doesn't see a hash takes none away.
        let is_in_vain =
            matches!(what, What::NoHash(_)) && text(&view, seen, &path).as_ref() == Some(&made.1);
        let hidden = text(&self.real, tip, &path) != text(&view, seen, &path);
        if !theirs {
            let same = text(&view, seen, &path) == Some(made.1);
            assert!(same || !received.unclear.is_empty());
        }
        if !received.unclear.is_empty() {
            assert!(hidden, "{path}: {:?}", received.unclear);
            return;
        }
        let real = self.accept(received, &view, pushed);
        if is_in_vain {
            assert_eq!(text(&self.real, real, &path), text(&self.real, tip, &path));
        } else if theirs {
            let (through, direct_state) = (self.state(real), self.state(direct));
            let parts = |state: &State| (state.users.clone(), state.servers.clone(), state.domains.clone());
            assert_eq!(through.as_deref().map(parts), direct_state.as_deref().map(parts), "{what:?}");
            assert_eq!(self.verdict(who, tip, real, &path), self.verdict(who, tip, direct, &path));
            if !matches!(what, What::Broken(..) | What::Hash(..)) && through.is_some() {
                assert_eq!(text(&self.real, real, &path), text(&self.real, direct, &path), "{what:?}");
            }
        }
        // Their clone and the view agree on what they pushed.
        assert_eq!(self.view(who).refname_to_id(MAIN).unwrap(), pushed);
        let commit = self.real.find_commit(real).unwrap();
        assert_eq!(commit.parent_ids().collect::<Vec<_>>(), [tip]);
    }

    /// A member commits, something else happens on main, and they merge: as if git had merged the real commits. Returns whether there was
    /// anything to merge that they may change.
    fn merged(&mut self, who: usize, mine: &What, meanwhile: &What) -> bool {
        let view = self.view(who);
        let (tip, seen) = (self.tip(), view.refname_to_id(MAIN).unwrap());
        let made = mine.made(|path| text(&view, seen, path));
        let topic = self.commit_in(Some(&view), &[seen], &[made]);
        let on_real = {
            let received = self.receive(who, seen, topic);
            if !received.refused.is_empty() || !received.unclear.is_empty() {
                return false;
            }
            let (real, _) =
                *received.commits.iter().find(|(_, pushed)| pushed.to_string() == topic.to_string()).unwrap();
            // The commit as it would be: kept, and no branch leads to it.
            let objects = received.state_repo().unwrap();
            let id = Oid::from_str(&real.to_string()).unwrap();
            let beside = Repository::open_bare(objects.git_dir()).unwrap();
            beside.odb().unwrap().add_disk_alternate(received.objects().to_str().unwrap()).unwrap();
            copy(&beside, &self.real, id);
            id
        };
        self.direct(meanwhile);
        let view = self.view(who);
        let (moved, seen) = (self.tip(), view.refname_to_id(MAIN).unwrap());
        assert_eq!(self.real.merge_base(moved, on_real).unwrap(), tip);
        let merge = |repository: &Repository, one: Oid, other: Oid| {
            let find = |id| repository.find_commit(id).unwrap();
            let mut index =
                repository.merge_commits(&find(one), &find(other), Some(&MergeOptions::new())).unwrap();
            (!index.has_conflicts()).then(|| index.write_tree_to(repository).unwrap())
        };
        let (Some(expected), Some(tree)) = (merge(&self.real, moved, on_real), merge(&view, seen, topic))
        else {
            return false;
        };
        self.clock += 1;
        let pushed = seal(&view, &[topic, seen], tree, self.clock);
        let received = self.receive(who, seen, pushed);
        assert!(received.refused.is_empty(), "{:?}", received.refused);
        if !received.unclear.is_empty() {
            return false;
        }
        let real = self.accept(received, &view, pushed);
        assert_eq!(self.real.find_commit(real).unwrap().tree_id(), expected, "{mine:?} beside {meanwhile:?}");
        assert_eq!(self.view(who).refname_to_id(MAIN).unwrap(), pushed);
        true
    }

    /// No object of a member's view, wherever it came from, holds what isn't theirs.
    fn check_secrets(&self, who: usize, wrote_hashes: bool) {
        let view = self.view(who);
        let objects = view.odb().unwrap();
        let mut seen = Vec::new();
        objects
            .foreach(|id| {
                seen.push(*id);
                true
            })
            .unwrap();
        for id in seen {
            let object = objects.read(id).unwrap();
            if object.kind() != ObjectType::Blob {
                continue;
            }
            let content = String::from_utf8_lossy(object.data());
            for (other, name) in NAMES.iter().enumerate() {
                // What they wrote themselves is theirs.
                if other != who && !wrote_hashes {
                    assert!(
                        !content.contains(&format!("{name}-")) && !content.contains(&format!("{name}@key")),
                        "{content}"
                    );
                }
            }
            assert!(wrote_hashes || !content.contains("$2b$"), "{content}");
        }
    }
}

fn seal(repository: &Repository, parents: &[Oid], tree: Oid, clock: i64) -> Oid {
    let who = Signature::new("Ada", "ada@example.org", &Time::new(clock, 0)).unwrap();
    let parents: Vec<_> = parents.iter().map(|id| repository.find_commit(*id).unwrap()).collect();
    let parents: Vec<_> = parents.iter().collect();
    repository.commit(None, &who, &who, "change", &repository.find_tree(tree).unwrap(), &parents).unwrap()
}

/// Copies a commit with the objects of its tree.
fn copy(from: &Repository, to: &Repository, commit: Oid) {
    let tree = from.find_commit(commit).unwrap().tree().unwrap();
    let mut ids = vec![commit, tree.id()];
    tree.walk(git2::TreeWalkMode::PreOrder, |_, entry| {
        ids.push(entry.id());
        git2::TreeWalkResult::Ok
    })
    .unwrap();
    let (from, to) = (from.odb().unwrap(), to.odb().unwrap());
    for id in ids {
        let object = from.read(id).unwrap();
        to.write(object.kind(), object.data()).unwrap();
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 8, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn views_of_random_histories(ops in prop::collection::vec(op(), 1..10)) {
        let mut world = World::new();
        let mut wrote = [false; NAMES.len()];
        for op in &ops {
            match op {
                Op::Direct(what) => world.direct(what),
                Op::Member(who, what) => {
                    wrote[*who] = true;
                    world.member(*who, what);
                }
                Op::Merged(who, mine, meanwhile) => {
                    wrote[*who] = true;
                    world.merged(*who, mine, meanwhile);
                }
            }
        }
        for who in 1..NAMES.len() {
            world.check_secrets(who, wrote[who]);
            // Made at once, it is the same for everybody who makes it, and holds no secret at all.
            let tips: Vec<Oid> = ["again", "and-again"].iter().map(|folder| {
                let views = Views::open(world.real.path(), &world.folder.path().join(folder)).unwrap();
                let tip = Repository::open_bare(views.prepare(&NAMES[who].parse().unwrap()).unwrap()).unwrap().refname_to_id(MAIN).unwrap();
                let before = std::mem::replace(&mut world.views, views);
                world.check_secrets(who, false);
                world.views = before;
                tip
            }).collect();
            prop_assert_eq!(tips[0], tips[1]);
        }
    }
}

/// Whoever merges sees their own file change on one side alone, and its hash changed on the other.
#[test]
fn a_merge_keeps_the_hash_that_changed_meanwhile() {
    for (mine, meanwhile) in [
        (What::Key(1, 1), What::Hash(1, 1)),
        (What::Email(1, 1), What::Hash(1, 1)),
        (What::Hash(1, 1), What::Key(1, 1)),
        (What::Hash(1, 1), What::Email(1, 1)),
        (What::Server(1, 1), What::Hash(1, 1)),
        (What::Key(1, 1), What::NoHash(1)),
        (What::Email(1, 1), What::NoHash(1)),
        (What::Server(1, 1), What::NoHash(1)),
    ] {
        let mut world = World::new();
        assert!(world.merged(1, &mine, &meanwhile), "{mine:?} beside {meanwhile:?} isn't compared");
        world.check_secrets(2, false);
    }
}

/// The member's own file can't be shown on one side of the merge, and they leave it alone.
#[test]
fn a_merge_takes_a_file_along_that_was_or_becomes_unclear() {
    for before in [What::Broken(1, 1), What::Leftover(1, 1)] {
        let mut world = World::new();
        world.direct(&before);
        assert!(world.merged(1, &What::Server(1, 1), &What::Fresh(1, 2)), "{before:?} is mended");
        world.check_secrets(2, false);
    }
    for meanwhile in [What::Broken(1, 1), What::Leftover(1, 1)] {
        let mut world = World::new();
        assert!(world.merged(1, &What::Server(1, 1), &meanwhile), "{meanwhile:?}");
        world.check_secrets(2, false);
    }
}

/// Many commits are shown in another way than few: folders that a member sees whole are copied, in packs.
#[test]
fn many_commits_at_once_make_the_same_view() {
    let mut world = World::new();
    let names = NAMES.len();
    let secret = |world: &World| {
        let tree = world.real.find_commit(world.tip()).unwrap().tree().unwrap();
        tree.get_path(Path::new(&path_of(2))).unwrap().id()
    };
    for n in 0..60_u8 {
        let value = n % 26;
        match n % 6 {
            0 => world.direct(&What::Hash(usize::from(n) % names, value)),
            1 => world.direct(&What::Email(usize::from(n) % names, value)),
            2 if n > 30 => world.direct(&What::Page(value)),
            3 => {
                // A name that would be a line of its own, and ask for another's file.
                let file = (format!("docs/{n}\n{}", secret(&world)), format!("{n}\n"));
                let tip = world.tip();
                let commit = world.commit_in(None, &[tip], &[file]);
                world.real.reference(MAIN, commit, true, "direct").unwrap();
            }
            _ => world.direct(&What::Server(1 + usize::from(n) % (names - 1), value)),
        }
        // The views so far are made a commit at a time.
        world.view(1);
        world.view(2);
    }
    for who in 1..names {
        let step_by_step = world.view(who).refname_to_id(MAIN).unwrap();
        let views = Views::open(world.real.path(), &world.folder.path().join("again")).unwrap();
        world.views = views;
        let view = world.view(who);
        assert_eq!(view.refname_to_id(MAIN).unwrap(), step_by_step);
        world.check_secrets(who, false);
        // It stands alone, with every object that it names.
        git(view.path(), &["fsck", "--connectivity-only"]);
        world.views = Views::open(world.real.path(), &world.folder.path().join("views")).unwrap();
    }
}

/// Pages that only admins read are in no member's view, in no commit, until the settings open them.
#[test]
fn pages_for_admins_alone_are_in_no_view() {
    let mut world = World::new();
    let holds = |view: &Repository, words: &str| {
        let objects = view.odb().unwrap();
        let mut found = false;
        objects
            .foreach(|id| {
                found |= String::from_utf8_lossy(objects.read(*id).unwrap().data()).contains(words);
                true
            })
            .unwrap();
        found
    };
    let commit = |world: &mut World, path: &str, content: &str| {
        let tip = world.tip();
        let commit = world.commit_in(None, &[tip], &[(path.to_owned(), content.to_owned())]);
        world.real.reference(MAIN, commit, true, "direct").unwrap();
    };
    let settings = |read: &str| format!("domain = \"example.org\"\n[docs]\nread = \"{read}\"\n");
    commit(&mut world, "docs/plans.md", "the secret plans\n");
    assert!(holds(&world.view(1), "the secret plans"));
    commit(&mut world, "platform.toml", &settings("admins"));
    commit(&mut world, "docs/more/later.md", "later plans\n");
    let view = world.view(1);
    let tip = view.refname_to_id(MAIN).unwrap();
    assert!(!holds(&view, "plans"), "neither content nor a path, not even of commits before");
    assert_eq!(text(&view, tip, "platform.toml"), Some(settings("admins")));
    assert_eq!(world.view(1).refname_to_id(MAIN).unwrap(), tip, "it isn't made anew each time");
    // Somebody who doesn't see a page overwrites none, and learns neither whether it is there nor how far a guess is right.
    for (path, guess) in [
        ("docs/plans.md", "mine\n"),
        ("docs/plans.md", "the secret plans\n"),
        ("docs/none.md", "mine\n"),
        ("docs", "mine\n"),
    ] {
        let pushed = world.commit_in(Some(&view), &[tip], &[(path.to_owned(), guess.to_owned())]);
        let received = world.receive(1, tip, pushed);
        let told: Vec<String> = received.refused.iter().map(ToString::to_string).collect();
        let words = "nobody but admins reads the pages of the wiki, or changes them";
        assert!(received.unclear.is_empty() && told.len() == 1, "{path}: {told:?}");
        assert!(told[0].starts_with(&format!("{path}: ")) && told[0].contains(words), "{told:?}");
    }
    commit(&mut world, "platform.toml", &settings("users"));
    let view = world.view(1);
    let tip = view.refname_to_id(MAIN).unwrap();
    assert_eq!(text(&view, tip, "docs/more/later.md"), Some("later plans\n".to_owned()));
}
