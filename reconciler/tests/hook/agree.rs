//! One change, judged at every door: a push to main, a proposal, its approval, a push into a member's view, `berth why`,
//! `berth revert`, a form of the panel, a line in the lobby, and the same change said as typed edits and judged without git. All of
//! them give the same answer for the same reasons.

mod lobby;

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::LazyLock;
use std::time::SystemTime;

use berth_judge::form::{Author, Forms, Via};
use berth_judge::hook::{Acts, Asker, Judgement, judge, view};
use berth_judge::review::{Approval, Ask, Format as ReviewFormat, answer, propose};
use berth_judge::{Unseen, Update};
use berth_repo::{MAIN, Revision, Signature, StateRepo};
use berth_schema::certificate_register::CertificateRegister;
use berth_schema::domain::Domain;
use berth_schema::door::Topic;
use berth_schema::edit::{self, DomainEdit, QuotaEdit, ServerEdit, UserEdit};
use berth_schema::form::{self, FieldEdit};
use berth_schema::name::{Fqdn, ServerId, UserName};
use berth_schema::policy::{self, Actor, Change, Proposal, Verdict};
use berth_schema::quantity::Cpus;
use berth_schema::register::IdRegister;
use berth_schema::report::Look;
use berth_schema::server::{PowerState, Server};
use berth_schema::user::Role;
use berth_schema::{Finding, Kind, Parsed, State};
use berth_wire::web::{self, Deed, Object, Standing};
use proptest::prelude::*;
use proptest::test_runner::{Config, TestCaseError, TestCaseResult, TestRunner};
use tempfile::TempDir;

use super::proof::Dns;
use super::{InTime as _, Said, git};

/// The texts of a state repo, by path.
type Files = BTreeMap<String, String>;
/// Files that are written, or removed.
type Changed = Vec<(String, Option<String>)>;

const PEOPLE: [&str; 3] = ["ann", "bob", "cyn"];
/// Domain that the DNS server says is bob's.
const PROVED: &str = "bob.example";
/// Random changes, unless `PROPTEST_CASES` says otherwise. Each goes through every door, some of which are processes.
const CASES: u32 = 16;
/// Sorts of changes.
const SORTS: u8 = 22;

/// The admin ann; bob, who may take names from elsewhere; cyn. Servers and domains of bob's and cyn's.
static FILES: LazyLock<Files> = LazyLock::new(|| {
    let files = [
        (
            "platform.toml",
            "domain = \"h.example\"\n\n[panel]\ndomain = \"panel.net\"\n\n[quota]\nservers = 3\ncpus = 8\nmemory = \"16 GiB\"\ndomains = 9\n",
        ),
        ("users/ann.toml", ANN),
        ("users/bob.toml", BOB),
        ("users/cyn.toml", "email = \"cyn@mail.example\"\n"),
        ("servers/one.toml", "id = 1\nowner = \"bob\"\nmembers = [\"cyn\"]\ncpus = 1\n"),
        ("servers/two.toml", "# The shop.\nid = 2\nowner = \"bob\"\n"),
        ("servers/cyns.toml", "id = 3\nowner = \"cyn\"\n"),
        ("domains/one.h.example.toml", "server = \"one\"\n"),
        ("domains/cyns.h.example.toml", "server = \"cyns\"\n"),
        ("docs/welcome.md", "# Welcome\n"),
    ];
    files.into_iter().map(|(path, text)| (path.to_owned(), text.to_owned())).collect()
});

/// They get in by a password, and bob over SSH too.
const ANN: &str =
    "role = \"admin\"\npassword_hash = \"$2b$12$odeciuvURMWYHyxaUSooeORUILdSujzA7pPBiCstyxNS992W1SqI.\"\n";
const BOB: &str = "email = \"bob@mail.example\"\nssh_keys = [\"ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIFwd4hDKVjkNV3t11OwpbDnynTRvcOgxT59FnA682koi bob\"]\n\n[quota]\ncustom_domains = true\n";

/// Ids that servers had, and whose they were: the last one is gone from the state, not from history.
const FORMER: [(u32, &str); 4] = [(1, "bob"), (2, "bob"), (3, "cyn"), (4, "cyn")];

/// Answer of a door.
#[derive(Debug, PartialEq, Eq)]
struct Answer {
    verdict: Word,
    /// The findings' messages.
    reasons: BTreeSet<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Word {
    Allow,
    Review,
    /// Once its author says that they know what they lose by it.
    Confirm,
    Deny,
}

/// Words in every reason of a lockout.
const LOCKOUT: &str = "after this change of their own";

/// Ground that the changes have in common: a state repo with a past, which is copied for each, and a DNS server.
struct Ground {
    dns: Dns,
    first: TempDir,
}

/// A state repo for one change.
struct House {
    folder: TempDir,
    resolver: SocketAddr,
}

#[test]
fn the_doors_agree() {
    let ground = Ground::new();
    let agree = |who: &str, sort: u8, pick: u8| match ground.agree(who, &[(sort, pick)]) {
        // Nothing is left to change, so there is nothing to disagree about.
        Ok(()) | Err(TestCaseError::Reject(_)) => {}
        Err(failure) => panic!("{who}, sort {sort}, pick {pick}: {failure}"),
    };
    // One of each sort, so that none is missed by chance.
    for sort in 0..SORTS {
        agree(PEOPLE[usize::from(sort) % 2 + 1], sort, sort / 2);
    }
    // A name that is proved, one that isn't, one too many, somebody else's name, an id of old, and an admin's own lockout.
    for (who, sort, pick) in [
        ("bob", 15, 3),
        ("bob", 15, 4),
        ("cyn", 15, 8),
        ("cyn", 15, 10),
        ("bob", 15, 6),
        ("bob", 4, 3),
        ("ann", 21, 0),
    ] {
        agree(who, sort, pick);
    }
    let some = prop::collection::vec((0..SORTS, 0..12_u8), 1..3);
    let cases = std::env::var("PROPTEST_CASES").ok().and_then(|cases| cases.parse().ok()).unwrap_or(CASES);
    let config = Config { cases, failure_persistence: None, max_shrink_iters: 16, ..Config::default() };
    let mut runner = TestRunner::new(config);
    runner
        .run(&(prop::sample::select(&PEOPLE[..]), some), |(who, changes)| ground.agree(who, &changes))
        .unwrap_or_else(|failure| panic!("{failure}"));
}

impl Ground {
    fn new() -> Self {
        let first = TempDir::new().unwrap();
        let bare = first.path().join("state.git");
        StateRepo::init(&bare).unwrap();
        let mut files: Changed =
            FILES.iter().map(|(path, text)| (path.clone(), Some(text.clone()))).collect();
        files.push(("servers/gone.toml".to_owned(), Some("id = 4\nowner = \"cyn\"\n".to_owned())));
        import(&bare, MAIN, None, &files);
        import(&bare, MAIN, Some(MAIN), &[("servers/gone.toml".to_owned(), None)]);
        // As the reconciler has written it down, so that no door asks the history of the trials themselves.
        let repo = StateRepo::open(&bare).unwrap();
        let by = Signature::now("Berth", "berth@localhost");
        repo.keep_ids(&former(), &by).unwrap();
        repo.keep_certificates(&taken(), &by).unwrap();
        let dns = Dns::new(&[(&format!("_berth.{PROVED}"), "berth-verify=h.example/bob")]);
        Self { dns, first }
    }

    fn house(&self) -> House {
        let folder = TempDir::new().unwrap();
        let mut copy = Command::new("cp");
        copy.arg("-r").arg(self.first.path().join("state.git")).arg(folder.path());
        assert!(copy.in_time().status.success());
        House { folder, resolver: self.dns.at }
    }

    /// Checks that a change goes through once its author says that they know what they lose by it.
    fn known(&self, user: &UserName, changed: &Changed) -> TestCaseResult {
        let house = self.house();
        let message = format!("change\n\nBerth-Allow-Lockout: {user}\n");
        import_saying(&house.state(), "refs/try", Some(MAIN), changed, &message);
        let tip = revision(&house.state(), "refs/try");
        for answer in [house.main(user, &tip), house.proposal(user, &tip), house.why(user.as_str(), &tip)] {
            prop_assert_eq!(answer.verdict, Word::Allow, "{:?} by {}: {:?}", changed, user, answer.reasons);
        }
        Ok(())
    }

    fn agree(&self, who: &str, changes: &[(u8, u8)]) -> TestCaseResult {
        let mut after = FILES.clone();
        for (sort, pick) in changes {
            for (path, text) in change(*sort, *pick, &after) {
                match text {
                    Some(text) => after.insert(path, text),
                    None => after.remove(&path),
                };
            }
        }
        let changed = differing(&FILES, &after);
        prop_assume!(!changed.is_empty());
        let house = self.house();
        let user: UserName = who.parse().unwrap();
        let without_git = without_git(&user, &after);
        // What is accepted and should be looked at is told at some doors, and is no part of any verdict.
        let aside: BTreeSet<String> = state(&after)
            .map(|good| good.warnings.into_iter().map(|finding| finding.message).collect())
            .unwrap_or_default();
        let answered = |mut answer: Answer| {
            answer.reasons.retain(|reason| !aside.contains(reason));
            answer
        };
        let tip = house.commit(&house.state(), &changed);
        prop_assert_eq!(
            &answered(house.main(&user, &tip)),
            &without_git,
            "a push to main by {}: {:?}",
            who,
            changed
        );
        prop_assert_eq!(
            &answered(house.proposal(&user, &tip)),
            &without_git,
            "a proposal by {}: {:?}",
            who,
            changed
        );
        prop_assert_eq!(
            &answered(house.why(who, &tip)),
            &without_git,
            "`berth why` about {}: {:?}",
            who,
            changed
        );
        prop_assert_eq!(
            &answered(house.approval(&user, &tip)),
            &without_git,
            "an approval of what {} proposed: {:?}",
            who,
            changed
        );
        // Taking back what took it back is the same change.
        let reverted = answered(self.house().revert(who, &changed));
        prop_assert_eq!(reverted.verdict, without_git.verdict, "a revert by {}: {:?}", who, changed);
        prop_assert!(reverted.reasons.is_superset(&without_git.reasons), "{:?}: {:?}", reverted, without_git);
        if let Some(change) = as_form(&changed, house.tip()) {
            let in_form = answered(house.form(&user, &change));
            // A form can't even read what isn't theirs, and says no more than that.
            let hidden = changed[0].0.starts_with("users/") && changed[0].0 != format!("users/{who}.toml");
            if who == "ann" || !hidden {
                prop_assert_eq!(&in_form, &without_git, "a form of {}: {:?}", who, change);
            } else {
                prop_assert_eq!(in_form.verdict, without_git.verdict, "a form of {}: {:?}", who, change);
            }
            if let Some((line, answer)) = house.lobby(who, &change) {
                let in_lobby = answered(answer);
                // Of what isn't theirs to see, the lobby says that they have none.
                if in_lobby.reasons.iter().any(|reason| reason.starts_with("you have no ")) {
                    prop_assert_eq!(in_lobby.verdict, without_git.verdict, "{} in the lobby: {}", who, line);
                } else {
                    prop_assert_eq!(&in_lobby, &without_git, "{} in the lobby: {}", who, line);
                }
            }
        }
        if without_git.verdict == Word::Confirm {
            self.known(&user, &changed)?;
        }
        if who == "ann" {
            return Ok(());
        }
        // What isn't theirs to read isn't theirs to write either, and their view says so in its own words.
        let hidden = changed
            .iter()
            .any(|(path, _)| path.starts_with("users/") && *path != format!("users/{who}.toml"));
        let in_view = answered(house.view(&user, &changed));
        if hidden && FILES.keys().any(|path| changed.iter().any(|(changed, _)| changed == path)) {
            prop_assert_eq!(
                in_view.verdict,
                without_git.verdict,
                "a push into {}'s view: {:?}",
                who,
                changed
            );
        } else {
            prop_assert_eq!(&in_view, &without_git, "a push into {}'s view: {:?}", who, changed);
        }
        Ok(())
    }
}

/// A change of some sort, as typed edits where it can be said so. Nothing where there is nothing left to change.
fn change(sort: u8, pick: u8, files: &Files) -> Changed {
    let of = |names: &[&'static str]| names[usize::from(pick) % names.len()];
    let server = |name: &str, edit: ServerEdit| {
        let path = format!("servers/{name}.toml");
        let text = files.get(&path).and_then(|text| edit::server(&name.parse().unwrap(), text, &[edit]).ok());
        text.map(|text| vec![(path, Some(text))]).unwrap_or_default()
    };
    let user = |name: &str, edit: UserEdit| {
        let path = format!("users/{name}.toml");
        let text = files.get(&path).and_then(|text| edit::user(&name.parse().unwrap(), text, &[edit]).ok());
        text.map(|text| vec![(path, Some(text))]).unwrap_or_default()
    };
    let raw = |path: &str, text: &str| vec![(path.to_owned(), Some(text.to_owned()))];
    let remove = |path: &str| files.get(path).map(|_| vec![(path.to_owned(), None)]).unwrap_or_default();
    let any_server = of(&["one", "two", "cyns"]);
    match sort {
        0 => server(any_server, ServerEdit::Cpus(Some(Cpus::from_nanos(2_000_000_000)))),
        1 => server(any_server, ServerEdit::Owner(of(&["cyn", "bob", "ann", "cyn"]).parse().unwrap())),
        2 => server(any_server, ServerEdit::Members(vec!["ann".parse().unwrap()])),
        3 => server(any_server, ServerEdit::Allow(vec!["10.1.2.3/32:5432/tcp".parse().unwrap()])),
        4 => new_server(of(&["new", "new2", "one"]), [9, 2, 3, 4][usize::from(pick) % 4], "bob"),
        5 => new_server("new", 9, of(&["cyn", "bob", "nobody"])),
        // Over the quota, in one way and in another.
        6 => server(any_server, ServerEdit::Cpus(Some(Cpus::from_nanos(99_000_000_000)))),
        7 => [new_server("new", 9, "bob"), new_server("new2", 10, "bob")].concat(),
        8 => remove(&format!("servers/{any_server}.toml")),
        9 => match files.get("servers/two.toml") {
            Some(text) => [remove("servers/two.toml"), raw("servers/renamed.toml", text)].concat(),
            None => Vec::new(),
        },
        10 => user(of(&["bob", "cyn"]), UserEdit::Role(Some(Role::Admin))),
        11 => user(of(&["bob", "cyn"]), UserEdit::Quota(QuotaEdit::Servers(Some(5)))),
        12 => user(of(&["bob", "cyn", "ann"]), UserEdit::Email(Some("new@mail.example".to_owned()))),
        13 => match of(&["remove", "add", "remove", "ann"]) {
            "remove" => remove(of(&["users/cyn.toml", "users/bob.toml"])),
            "ann" => user("ann", UserEdit::Role(None)),
            _ => raw("users/eve.toml", ""),
        },
        14 | 15 => {
            let names = ["free.h.example", "x.cyns.h.example", "admin.h.example", PROVED, "other.example"];
            new_domain(of(&names), of(&["two", "cyns", "one"]))
        }
        16 => {
            let name = of(&["one.h.example", "cyns.h.example"]);
            let path = format!("domains/{name}.toml");
            let edit = [DomainEdit::Server(of(&["cyns", "two"]).parse().unwrap())];
            let text =
                files.get(&path).and_then(|text| edit::domain(&name.parse().unwrap(), text, &edit).ok());
            text.map(|text| vec![(path, Some(text))]).unwrap_or_default()
        }
        17 => remove(of(&["domains/one.h.example.toml", "domains/cyns.h.example.toml", "docs/welcome.md"])),
        18 => match of(&["page", "platform", "new page"]) {
            "page" => raw("docs/welcome.md", "# Hello\n"),
            "new page" => raw("docs/more.md", "# More\n"),
            _ => raw("platform.toml", &FILES["platform.toml"].replace("servers = 3", "servers = 5")),
        },
        20 => user(of(&["bob", "cyn"]), UserEdit::SshKeys(Vec::new())),
        21 => raw("platform.toml", &FILES["platform.toml"].replace("[panel]\ndomain = \"panel.net\"\n", "")),
        _ => match of(&["syntax", "field", "name", "reference"]) {
            "syntax" => raw("servers/one.toml", "id = 1\nowner = \n"),
            "field" => raw("servers/one.toml", "id = 1\nowner = \"bob\"\nmemroy = \"1 GiB\"\n"),
            "name" => raw("servers/No Name.toml", "id = 9\nowner = \"bob\"\n"),
            _ => raw("domains/lost.h.example.toml", "server = \"nowhere\"\n"),
        },
    }
}

/// The same change as a form says it, where it is one that a form can say: of one file, field by field.
fn as_form(changed: &Changed, base: Revision) -> Option<web::Change> {
    let [(path, after)] = &changed[..] else { return None };
    let kind = Kind::of(path)?;
    let name = path.rsplit('/').next()?.strip_suffix(".toml")?.to_owned();
    let of = match kind {
        Kind::Platform => Object::Platform,
        Kind::User => Object::User(name),
        Kind::Server => Object::Server(name),
        Kind::Domain => Object::Domain(name),
    };
    let deed = match (FILES.get(path), after) {
        (Some(_), None) => Deed::Remove,
        (_, Some(after)) if kind == Kind::Platform => Deed::Write { text: after.clone(), base },
        (before, Some(after)) => {
            let values = form::read(kind, before.map_or("", |before| before)).into_iter();
            let values = values.zip(form::read(kind, after)).filter(|((name, _), _)| *name != "id");
            let fields: Vec<FieldEdit> =
                values.map(|((name, was), (_, now))| FieldEdit { name: name.to_owned(), was, now }).collect();
            let said: Vec<(&str, form::Input)> = fields
                .iter()
                .filter(|edit| edit.was != edit.now)
                .map(|edit| (&*edit.name, edit.now.clone()))
                .collect();
            match before {
                Some(before) => {
                    // A mistake of another sort than a value is nothing that a form says.
                    let is_it = form::write(kind, before, &said).is_ok_and(|text| text == *after);
                    is_it.then_some(Deed::Edit { fields })?
                }
                // A door chooses the id, and never one that another had.
                None if ["id = 2\n", "id = 3\n", "id = 4\n"].iter().any(|id| after.contains(id)) => {
                    return None;
                }
                None => Deed::Create { fields },
            }
        }
        (None, None) => return None,
    };
    Some(web::Change { of, deed })
}

fn server_id(id: u32) -> ServerId {
    ServerId(id.try_into().unwrap())
}

fn new_server(name: &str, id: u32, owner: &str) -> Changed {
    let server = Server {
        name: name.parse().unwrap(),
        id: server_id(id),
        owner: owner.parse().unwrap(),
        members: Vec::new(),
        state: PowerState::default(),
        cpus: None,
        memory: None,
        pids: None,
        disk: None,
        image: None,
        reset: 0,
        allow: Vec::new(),
    };
    vec![(format!("servers/{name}.toml"), Some(edit::new_server(&server).unwrap()))]
}

fn new_domain(name: &str, server: &str) -> Changed {
    let domain = Domain {
        fqdn: name.parse().unwrap(),
        server: server.parse().unwrap(),
        port: 80.try_into().unwrap(),
        tls: berth_schema::domain::Tls::default(),
        access: berth_schema::domain::DomainAccess::default(),
        cloudflare: false,
    };
    vec![(format!("domains/{name}.toml"), Some(edit::new_domain(&domain).unwrap()))]
}

fn differing(before: &Files, after: &Files) -> Changed {
    let paths: BTreeSet<&String> = before.keys().chain(after.keys()).collect();
    let differing = paths.into_iter().filter(|path| before.get(*path) != after.get(*path));
    differing.map(|path| (path.clone(), after.get(path).cloned())).collect()
}

fn state(files: &Files) -> Result<State, Vec<Finding>> {
    let parsed: Vec<Parsed> = files.iter().map(|(path, text)| Parsed::parse(path, text)).collect();
    State::assemble(&parsed)
}

/// The register of those ids.
fn former() -> IdRegister {
    FORMER.iter().map(|(id, owner)| (server_id(*id), owner.parse().unwrap())).collect()
}

/// The register of certificates: cyn took as many as she may.
fn taken() -> CertificateRegister {
    // A time to come counts as now.
    let of_cyn = |n| {
        format!("\"c{n}.h.example\" = {{ owner = \"cyn\", taken = 2999-01-01T00:00:00Z, gone = true }}\n")
    };
    let of_all = "\"one.h.example\" = { owner = \"bob\" }\n\"cyns.h.example\" = { owner = \"cyn\" }\n";
    CertificateRegister::parse(&(1..=10).map(of_cyn).chain([of_all.to_owned()]).collect::<String>()).unwrap()
}

/// The policy's own answer.
fn without_git(user: &UserName, after: &Files) -> Answer {
    let messages = |findings: &[Finding]| findings.iter().map(|finding| finding.message.clone()).collect();
    let before = state(&FILES).unwrap();
    let good = match state(after) {
        Ok(good) => good,
        Err(findings) => return Answer { verdict: Word::Deny, reasons: messages(&findings) },
    };
    let changed = differing(&FILES, after);
    let changes: Vec<Change<'_>> =
        changed.iter().map(|(path, text)| change_of(path, text.as_deref())).collect();
    let proved: Fqdn = PROVED.parse().unwrap();
    let proven = if user.as_str() == "bob" { vec![proved] } else { Vec::new() };
    let (ids, certificates) = (former(), taken());
    let proposal = Proposal {
        actor: Actor::Member(user),
        before: &before,
        after: &good,
        changes: &changes,
        proven: &proven,
        ids: &ids,
        certificates: Some(&certificates),
        now: SystemTime::now(),
        allowance: None,
        from: None,
        knows: None,
    };
    let verdict = policy::judge(&proposal);
    let word = match &verdict {
        Verdict::Allow => Word::Allow,
        Verdict::NeedsReview { .. } => Word::Review,
        Verdict::Unconfirmed(_) => Word::Confirm,
        Verdict::Deny(_) => Word::Deny,
    };
    Answer { verdict: word, reasons: messages(verdict.findings()) }
}

fn change_of<'a>(path: &'a str, text: Option<&'a str>) -> Change<'a> {
    Change { path, before: FILES.get(path).map(String::as_str), text }
}

/// The findings' messages of what a door says.
fn reasons(text: &str) -> BTreeSet<String> {
    let reason = |line: &str| {
        let message = line.strip_prefix("error: ").or_else(|| line.strip_prefix("warning: "));
        message.map(str::to_owned)
    };
    text.lines().filter_map(reason).collect()
}

/// Answer to a push to main.
fn of_main(judgement: &Judgement) -> Answer {
    let verdict = match judgement.accepted {
        true => Word::Allow,
        false if judgement.text.contains("Somebody else has to agree to this.") => Word::Review,
        false if judgement.text.contains(LOCKOUT) => Word::Confirm,
        false => Word::Deny,
    };
    Answer { verdict, reasons: reasons(&judgement.text) }
}

impl House {
    fn state(&self) -> PathBuf {
        self.folder.path().join("state.git")
    }

    fn settings(&self) -> view::ViewSettings {
        let data = self.folder.path().join("data");
        view::ViewSettings { state: self.state(), views: data.join("views"), data }
    }

    fn asker<'a>(&self, user: &'a UserName) -> Asker<'a> {
        Asker {
            user: Some(user.as_str()),
            look: Look::Plain,
            engine: &Unseen,
            resolver: Some(self.resolver),
            from: None,
            acts: Acts::AsThemselves,
        }
    }

    /// Makes a commit on top of main that no branch of people's shows.
    fn commit(&self, repo: &Path, changed: &Changed) -> Revision {
        import(repo, "refs/try", Some(MAIN), changed);
        revision(repo, "refs/try")
    }

    fn main(&self, user: &UserName, tip: &Revision) -> Answer {
        let old = Some(revision(&self.state(), MAIN));
        let update = Update { old, new: Some(*tip), reference: MAIN.to_owned() };
        let mut repo = StateRepo::open(&self.state()).unwrap();
        of_main(&judge(&mut repo, &[update], self.asker(user)).unwrap())
    }

    fn proposal(&self, user: &UserName, tip: &Revision) -> Answer {
        let update = Update { old: None, new: Some(*tip), reference: "refs/heads/review/it".to_owned() };
        let mut repo = StateRepo::open(&self.state()).unwrap();
        let judgement = judge(&mut repo, &[update], self.asker(user)).unwrap();
        let reasons = reasons(&judgement.text);
        let verdict = match judgement.accepted {
            false if judgement.text.contains(LOCKOUT) => Word::Confirm,
            false => Word::Deny,
            // Whoever agrees to an admin's proposal sees what it takes from them.
            true if user.as_str() == "ann" && judgement.text.contains(LOCKOUT) => Word::Confirm,
            // An admin, who may change everything, wants somebody to look: for no reason of the policy's.
            true if user.as_str() == "ann" => Word::Allow,
            true if judgement.text.contains("touches only what is yours") => Word::Allow,
            true => Word::Review,
        };
        Answer { verdict, reasons }
    }

    /// Returns the answer of `review show` to a proposal, and asserts that the proposal can be agreed to just if it
    /// isn't denied. Afterwards main is where it was, and the proposal is gone.
    fn approval(&self, user: &UserName, tip: &Revision) -> Answer {
        let repo = StateRepo::open(&self.state()).unwrap();
        let main = revision(&self.state(), MAIN);
        let topic: Topic = "agreed".parse().unwrap();
        propose(&repo, &topic, *tip, Signature::now(user.as_str(), "x@mail.example")).unwrap();
        let ask =
            |ask: Ask| answer(&repo, Actor::Operator, &ask, ReviewFormat::Json, Some(self.resolver)).unwrap();
        let shown: serde_json::Value = serde_json::from_str(&ask(Ask::Show(topic.clone())).text).unwrap();
        let findings = shown["findings"]["findings"].as_array().unwrap();
        let reasons: BTreeSet<String> =
            findings.iter().map(|finding| finding["message"].as_str().unwrap().to_owned()).collect();
        let is_lockout = reasons.iter().any(|reason| reason.contains(LOCKOUT));
        let verdict = match shown["standing"]["verdict"].as_str().unwrap() {
            "own" => Word::Allow,
            "needs-review" if user.as_str() == "ann" && is_lockout => Word::Confirm,
            "refused" if is_lockout => Word::Confirm,
            // An admin, who may change everything, wants somebody to look: for no reason of the policy's.
            "needs-review" if user.as_str() == "ann" => Word::Allow,
            "needs-review" => Word::Review,
            _ => Word::Deny,
        };
        let approval = Approval { topic, at: Some(*tip), allowance: None, from: None, knows: false };
        let approved = ask(Ask::Approve(approval));
        // What merges itself waits for its author's word.
        let waits = verdict == Word::Confirm && user.as_str() != "ann";
        assert_eq!(approved.good, verdict != Word::Deny && !waits, "{}", approved.text);
        for (name, to) in [(MAIN, main.to_string()), ("refs/heads/review/agreed", String::new())] {
            let arguments = if to.is_empty() { vec!["-d", name] } else { vec![name, &to] };
            assert!(git(&self.state()).arg("update-ref").args(arguments).in_time().status.success());
        }
        Answer { verdict, reasons }
    }

    /// Answer of `berth revert` to taking back the commit that took a change back.
    fn revert(&self, who: &str, changed: &Changed) -> Answer {
        let back: Changed =
            changed.iter().map(|(path, _)| (path.clone(), FILES.get(path).cloned())).collect();
        import(&self.state(), MAIN, Some(MAIN), changed);
        import(&self.state(), MAIN, Some(MAIN), &back);
        let mut berth = self.berth();
        berth.args(["revert", "main", "--dry-run", "--as", who]);
        let said = Said::of(&berth.in_time());
        let verdict = match said.good {
            true => Word::Allow,
            false if said.text.contains("Somebody else has to agree to this") => Word::Review,
            false if said.text.contains(LOCKOUT) => Word::Confirm,
            false => Word::Deny,
        };
        let reasons = reasons(&said.text);
        Answer { verdict, reasons }
    }

    fn tip(&self) -> Revision {
        revision(&self.state(), MAIN)
    }

    /// Answer to a form of the panel.
    fn form(&self, user: &UserName, change: &web::Change) -> Answer {
        let forms = Forms::of(&self.state(), Some(self.resolver));
        let Ok(planned) =
            forms.plan(Author { name: user, engine: &Unseen, from: None, via: Via::Panel }, change)
        else {
            return Answer { verdict: Word::Deny, reasons: BTreeSet::new() };
        };
        let verdict = match planned.standing {
            Standing::Allowed if !planned.shuts_out.is_empty() => Word::Confirm,
            Standing::Allowed => Word::Allow,
            Standing::NeedsReview { .. } => Word::Review,
            Standing::Refused => Word::Deny,
            Standing::Nothing | Standing::Conflict { .. } => panic!("{planned:?}"),
        };
        let found = planned.findings.into_iter().map(|finding| finding.message);
        Answer { verdict, reasons: found.chain(planned.shuts_out).collect() }
    }

    fn berth(&self) -> Command {
        let mut berth = Command::new(env!("CARGO_BIN_EXE_berth"));
        berth.env("NO_COLOR", "1").env_remove("BERTH_LOG");
        berth.arg("--state").arg(self.state()).args(["--resolver", &self.resolver.to_string()]);
        berth
    }

    fn why(&self, who: &str, tip: &Revision) -> Answer {
        let mut berth = self.berth();
        berth.args(["why", who, "--from", "main", "--to", &tip.to_string()]);
        let said = Said::of(&berth.in_time());
        let verdict = match said.good {
            true => Word::Allow,
            false if said.text.contains(" agrees") => Word::Review,
            false if said.text.contains("once they say that they know") => Word::Confirm,
            false => Word::Deny,
        };
        Answer { verdict, reasons: reasons(&said.text) }
    }

    /// The last of the doors that is tried: it moves main where it accepts.
    fn view(&self, user: &UserName, changed: &Changed) -> Answer {
        let settings = self.settings();
        let path = view::prepare(&settings, Path::new(env!("CARGO_BIN_EXE_berth")), user).unwrap();
        let new = self.commit(&path, changed);
        let update = Update { old: Some(revision(&path, MAIN)), new: Some(new), reference: MAIN.to_owned() };
        of_main(&view::judge(&settings, user, &[update], None, self.asker(user)).unwrap())
    }
}

/// Writes a commit into a bare repository.
fn import(repo: &Path, reference: &str, from: Option<&str>, changed: &[(String, Option<String>)]) {
    import_saying(repo, reference, from, changed, "change");
}

/// The same with this message.
fn import_saying(
    repo: &Path,
    reference: &str,
    from: Option<&str>,
    changed: &[(String, Option<String>)],
    message: &str,
) {
    let length = message.len();
    let mut stream = format!(
        "commit {reference}\ncommitter Ada <ada@example.org> 1700000000 +0000\ndata {length}\n{message}\n"
    );
    stream.extend(from.map(|from| format!("from {from}^0\n")));
    for (path, text) in changed {
        match text {
            Some(text) => stream += &format!("M 100644 inline \"{path}\"\ndata {}\n{text}\n", text.len()),
            None => stream += &format!("D \"{path}\"\n"),
        }
    }
    let imported = git(repo).args(["fast-import", "--quiet", "--force"]).in_time_reading(stream.as_bytes());
    assert!(imported.status.success(), "{stream}");
}

fn revision(repo: &Path, reference: &str) -> Revision {
    let output = git(repo).args(["rev-parse", reference]).in_time();
    String::from_utf8(output.stdout).unwrap().trim().parse().unwrap()
}
