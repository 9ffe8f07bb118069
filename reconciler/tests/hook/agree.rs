//! One change, judged at every door: a push to main, a proposal, its approval, a push into a member's view, `berth why`,
//! `berth revert`, a form of the panel, the API over HTTPS, a line in the lobby, and the same change said as typed edits and judged
//! without git. All of them give the same answer for the same reasons.

mod answer;
mod api;
mod change;
mod files;
mod house;
mod lobby;
mod policy;

use std::collections::BTreeSet;
use std::process::Command;

use berth_repo::{MAIN, Signature, StateRepo};
use berth_schema::name::UserName;
use proptest::prelude::*;
use proptest::test_runner::{Config, TestCaseError, TestCaseResult, TestRunner};
use tempfile::TempDir;

use self::answer::{Answer, Word};
use self::api::{Api, Told};
use self::change::{as_form, change};
use self::files::{Changed, FILES, PROVED, differing, former, import, import_saying, revision, state, taken};
use self::house::House;
use self::policy::without_git;
use super::InTime as _;
use super::proof::Dns;

const PEOPLE: [&str; 3] = ["ann", "bob", "cyn"];
/// Random changes, unless `PROPTEST_CASES` says otherwise. Each goes through every door, some of which are processes.
const CASES: u32 = 16;
/// Sorts of changes.
const SORTS: u8 = 22;

/// Ground that the changes have in common: a state repo with a past, which is copied for each, a DNS server, and an API, which shows
/// what changes come to and makes none.
struct Ground {
    api: Api,
    dns: Dns,
    first: TempDir,
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
        let api = Api::open(&bare, dns.at);
        Self { api, dns, first }
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
            match self.api.answer(who, &change) {
                None => {}
                Some((request, Told::Plan(answer))) => {
                    prop_assert_eq!(&answered(answer), &without_git, "{} by the API: {}", who, request);
                }
                // What isn't theirs to see isn't there for them, and what is for admins isn't for them: no plan is made.
                Some((request, Told::Problem(problem))) => {
                    prop_assert_eq!(Word::Deny, without_git.verdict, "{}, {}: {}", who, request, problem);
                    prop_assert_ne!(who, "ann", "an admin sees everything: {}", problem);
                }
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
