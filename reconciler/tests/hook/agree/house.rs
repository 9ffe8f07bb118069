//! The doors to one state repo, each asked about one change.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;

use berth_judge::Line;
use berth_judge::form::{Author, Forms, Via};
use berth_judge::hook::{Acts, Asker, judge, view};
use berth_judge::review::{Approval, Ask, Format as ReviewFormat, answer, propose};
use berth_judge::{Unseen, Update};
use berth_repo::{MAIN, Revision, Signature, StateRepo};
use berth_schema::door::Topic;
use berth_schema::name::UserName;
use berth_schema::policy::Actor;
use berth_schema::report::Look;
use berth_wire::web::{self, Standing};
use tempfile::TempDir;

use super::super::{InTime as _, Said, git};
use super::answer::{Answer, LOCKOUT, Word, of_main, reasons};
use super::files::{Changed, FILES, import, revision};

/// A state repo for one change.
pub(super) struct House {
    pub(super) folder: TempDir,
    pub(super) resolver: SocketAddr,
}

impl House {
    pub(super) fn state(&self) -> PathBuf {
        self.folder.path().join("state.git")
    }

    pub(super) fn settings(&self) -> view::ViewSettings {
        let data = self.folder.path().join("data");
        view::ViewSettings { state: self.state(), views: data.join("views"), data }
    }

    pub(super) fn asker<'a>(&self, user: &'a UserName) -> Asker<'a> {
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
    pub(super) fn commit(&self, repo: &Path, changed: &Changed) -> Revision {
        import(repo, "refs/try", Some(MAIN), changed);
        revision(repo, "refs/try")
    }

    pub(super) fn main(&self, user: &UserName, tip: &Revision) -> Answer {
        let old = Some(revision(&self.state(), MAIN));
        let update = Update { old, new: Some(*tip), reference: MAIN.to_owned() };
        let mut repo = StateRepo::open(&self.state()).unwrap();
        of_main(&judge(&mut repo, &[update], self.asker(user)).unwrap())
    }

    pub(super) fn proposal(&self, user: &UserName, tip: &Revision) -> Answer {
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
    pub(super) fn approval(&self, user: &UserName, tip: &Revision) -> Answer {
        let repo = StateRepo::open(&self.state()).unwrap();
        let main = revision(&self.state(), MAIN);
        let topic: Topic = "agreed".parse().unwrap();
        propose(&repo, &topic, *tip, Signature::now(user.as_str(), "x@mail.example")).unwrap();
        let ask = |ask: Ask| {
            answer(&repo, Actor::Operator, &ask, ReviewFormat::Json, Some(self.resolver), Line::silent())
                .unwrap()
        };
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
    pub(super) fn revert(&self, who: &str, changed: &Changed) -> Answer {
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

    pub(super) fn tip(&self) -> Revision {
        revision(&self.state(), MAIN)
    }

    /// Answer to a form of the panel.
    pub(super) fn form(&self, user: &UserName, change: &web::Change) -> Answer {
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

    pub(super) fn berth(&self) -> Command {
        let mut berth = Command::new(env!("CARGO_BIN_EXE_berth"));
        berth.env("NO_COLOR", "1").env_remove("BERTH_LOG");
        berth.arg("--state").arg(self.state()).args(["--resolver", &self.resolver.to_string()]);
        berth
    }

    pub(super) fn why(&self, who: &str, tip: &Revision) -> Answer {
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
    pub(super) fn view(&self, user: &UserName, changed: &Changed) -> Answer {
        let settings = self.settings();
        let path = view::prepare(&settings, Path::new(env!("CARGO_BIN_EXE_berth")), user).unwrap();
        let new = self.commit(&path, changed);
        let update = Update { old: Some(revision(&path, MAIN)), new: Some(new), reference: MAIN.to_owned() };
        of_main(&view::judge(&settings, &[update], None, (user, self.asker(user)), Line::silent()).unwrap())
    }
}
