//! Forms on real repositories: what a change comes to, what is committed, and what isn't.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test says what it expects by unwrapping"
)]

mod counted;
mod docs;
mod engine;
mod forge;
mod hostile;
mod ids;
mod lockouts;
mod merging;
mod proposals;
mod racing;
mod revert;
mod standing;
mod words;

use std::net::SocketAddr;
use std::path::PathBuf;

use berth_judge::Unseen;
use berth_judge::form::{Author, FormError, Forms, Via};
use berth_repo::{Edit, Revision, Signature, StateRepo, Words};
use berth_schema::name::UserName;
use berth_wire::web::{
    Change, Commit, Committed, Deed, FieldEdit, FieldFinding, Input, Object, Planned, Standing,
};
use tempfile::TempDir;

/// The admin ann; bob, who may take names from elsewhere; cyn.
const FILES: [(&str, &str); 9] = [
    (
        "platform.toml",
        "# Ours.\ndomain = \"h.example\"\n\n[quota]\nservers = 3\ncpus = 8\nmemory = \"16 GiB\"\ndomains = 9\n\n[retention]\n# A month.\nservers = \"30d\"\n",
    ),
    ("users/ann.toml", "role = \"admin\"\n"),
    (
        "users/bob.toml",
        "email = \"bob@mail.example\"\npassword_hash = \"$2b$12$odeciuvURMWYHyxaUSooeORUILdSujzA7pPBiCstyxNS992W1SqI.\"\n\n[quota]\ncustom_domains = true\n",
    ),
    ("users/cyn.toml", "email = \"cyn@mail.example\"\n"),
    ("servers/one.toml", "id = 1\nowner = \"bob\"\nmembers = [\"cyn\"]\ncpus = 1\n"),
    ("servers/two.toml", "# The shop.\nid = 2\nowner = \"bob\"\nmemory = \"1 GiB\" # enough\n"),
    ("servers/cyns.toml", "id = 3\nowner = \"cyn\"\n"),
    ("domains/one.h.example.toml", "server = \"one\"\n"),
    ("docs/welcome.md", "# Welcome\n"),
];

/// Somebody at no known address, to whom nobody shows the engine.
fn author(name: &UserName) -> Author<'_> {
    Author { name, engine: &Unseen, from: None, via: Via::Panel }
}

/// A state repo, and its forms.
struct House {
    folder: TempDir,
    forms: Forms,
}

impl House {
    fn new() -> Self {
        Self::holding(&FILES)
    }

    fn holding(files: &[(&str, &str)]) -> Self {
        let folder = TempDir::new().unwrap();
        StateRepo::init(&folder.path().join("state.git")).unwrap();
        // Nobody answers there: no name is proved.
        let resolver = Some(SocketAddr::from(([127, 0, 0, 1], 1)));
        let forms = Forms::of(&folder.path().join("state.git"), resolver);
        let house = Self { folder, forms };
        house.write("ann", &files.iter().map(|(path, text)| (*path, Some(*text))).collect::<Vec<_>>());
        house
    }

    fn path(&self) -> PathBuf {
        self.folder.path().join("state.git")
    }

    fn repo(&self) -> StateRepo {
        StateRepo::open(&self.path()).unwrap()
    }

    fn tip(&self) -> Revision {
        self.repo().head().unwrap().unwrap()
    }

    /// The text of a file on main.
    fn text(&self, path: &str) -> String {
        let bytes = self.repo().read(&self.tip(), path).unwrap();
        bytes.map(|bytes| String::from_utf8(bytes).unwrap()).unwrap_or_default()
    }

    /// Commits to main past every judge.
    fn write(&self, who: &str, files: &[(&str, Option<&str>)]) -> Revision {
        let repo = self.repo();
        let by = Signature::at(who, format!("{who}@h.example"), 1_700_000_000);
        let edits: Vec<Edit> = files
            .iter()
            .map(|(path, text)| text.map_or_else(|| Edit::remove(*path), |text| Edit::write(*path, text)))
            .collect();
        let words = Words { author: &by, committer: &by, message: "by hand\n" };
        repo.commit(repo.head().unwrap().as_ref(), &edits, &words).unwrap()
    }

    fn plan(&self, who: &str, change: &Change) -> Planned {
        self.try_plan(who, change).unwrap()
    }

    fn try_plan(&self, who: &str, change: &Change) -> Result<Planned, FormError> {
        self.forms.plan(author(&user(who)), change)
    }

    fn commit(&self, who: &str, change: &Change, digest: &str) -> Committed {
        let commit = Commit { change: change.clone(), digest: digest.to_owned(), from: None, knows: false };
        self.forms.commit(author(&user(who)), &commit).unwrap()
    }

    /// Plans and commits.
    #[track_caller]
    fn make(&self, who: &str, change: &Change) -> Revision {
        let planned = self.plan(who, change);
        assert_eq!(planned.standing, Standing::Allowed, "{:?}", planned.findings);
        match self.commit(who, change, &planned.digest) {
            Committed::Made { revision } => revision,
            other => panic!("{other:?}"),
        }
    }
}

fn user(name: &str) -> UserName {
    name.parse().unwrap()
}

fn text(text: &str) -> Input {
    match text {
        "" => Input::Unset,
        text => Input::Text(text.to_owned()),
    }
}

/// Fields of a form, each with what it was and what it is to be. Nothing is an unset field.
fn fields(fields: &[(&str, &str, &str)]) -> Vec<FieldEdit> {
    let of = |(name, was, now): &(&str, &str, &str)| FieldEdit {
        name: (*name).to_owned(),
        was: text(was),
        now: text(now),
    };
    fields.iter().map(of).collect()
}

fn server(name: &str, edits: &[(&str, &str, &str)]) -> Change {
    Change { of: Object::Server(name.to_owned()), deed: Deed::Edit { fields: fields(edits) } }
}

fn new(of: Object, values: &[(&str, &str)]) -> Change {
    let values: Vec<(&str, &str, &str)> = values.iter().map(|(name, now)| (*name, "", *now)).collect();
    Change { of, deed: Deed::Create { fields: fields(&values) } }
}

fn new_server(name: &str, values: &[(&str, &str)]) -> Change {
    new(Object::Server(name.to_owned()), values)
}

fn new_domain(name: &str, server: &str) -> Change {
    new(Object::Domain(name.to_owned()), &[("server", server)])
}

fn remove(of: Object) -> Change {
    Change { of, deed: Deed::Remove }
}

/// Fields and messages of findings.
fn told(findings: &[FieldFinding]) -> Vec<(Option<&str>, &str)> {
    findings.iter().map(|finding| (finding.field.as_deref(), finding.message.as_str())).collect()
}
