//! A change as the policy is asked about it, gathered in one way whichever door it comes through.

use std::net::IpAddr;
use std::time::SystemTime;

use berth_plan::diff::ALLOW_REMOVALS;
use berth_repo::{Revision, StateRepo};
use berth_schema::State;
use berth_schema::certificate_register::CertificateRegister;
use berth_schema::policy::{self, ALLOW_LOCKOUT, Actor, Change, Proposal, Verdict};
use berth_schema::register::IdRegister;

use crate::proofs::Proven;

/// A change that is to be judged.
pub struct Asked<'a> {
    /// The one who asks for the change.
    pub actor: Actor<'a>,
    /// Sees the objects of both revisions.
    pub repo: &'a StateRepo,
    /// The tip of `main`, up to which history is asked whose ids were where no register of them is kept.
    pub main: Revision,
    /// The revision from which the change starts.
    pub old: Revision,
    /// The revision that it leads to.
    pub new: Revision,
    /// The state at `old`.
    pub before: &'a State,
    /// The state at `new`.
    pub after: &'a State,
    /// The actor's names, as DNS proves them.
    pub proven: &'a Proven,
    /// Exceptions that the last commit's message allows.
    pub allowed: &'a Allowed,
    /// Address that the actor comes from, where the door knows it and `access.panel` binds it.
    pub from: Option<IpAddr>,
}

/// Exceptions from the rules that a commit's message allows by its trailers.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Allowed {
    /// Removals beyond the budget: the hash that a plan shows.
    pub removals: Option<String>,
    /// A lockout: name of the person who knows what they lose.
    pub lockout: Option<String>,
}

/// A change with everything that the policy wants to know of it.
pub struct Case<'a> {
    asked: Asked<'a>,
    files: Vec<File>,
    ids: IdRegister,
    certificates: Option<CertificateRegister>,
    now: SystemTime,
}

/// A file that differs, and its text where it is text.
struct File {
    path: String,
    before: Option<String>,
    after: Option<String>,
}

impl File {
    fn change(&self) -> Change<'_> {
        Change { path: &self.path, before: self.before.as_deref(), text: self.after.as_deref() }
    }
}

/// A change that can't be looked at.
#[derive(Debug, thiserror::Error)]
#[expect(missing_docs, reason = "the fields' names say it")]
pub enum CaseError {
    /// A file of it can't be read.
    #[error("cannot read {path} in the state repo")]
    Read {
        path: String,
        #[source]
        source: berth_repo::Error,
    },
    /// Nobody can say whose ids were.
    #[error("cannot tell whose server ids were")]
    Ids {
        #[source]
        source: berth_repo::Error,
    },
    /// Nobody can say who took which names.
    #[error("cannot tell who took certificates of late")]
    Certificates {
        #[source]
        source: berth_repo::Error,
    },
}

impl<'a> Case<'a> {
    /// Gathers a change of these files.
    pub fn gather(asked: Asked<'a>, paths: Vec<String>) -> Result<Self, CaseError> {
        let failed = |path: &str, source| CaseError::Read { path: path.to_owned(), source };
        let files = |revision: &Revision| asked.repo.files(revision).map_err(|source| failed("", source));
        let (old, new) = (files(&asked.old)?, files(&asked.new)?);
        let files = paths.into_iter().map(|path| {
            let before = old.text(&path).map_err(|source| failed(&path, source))?;
            let after = new.text(&path).map_err(|source| failed(&path, source))?;
            Ok(File { path, before, after })
        });
        let files = files.collect::<Result<_, CaseError>>()?;
        let ids = ids(&asked).map_err(|source| CaseError::Ids { source })?;
        let certificates = certificates(&asked).map_err(|source| CaseError::Certificates { source })?;
        Ok(Self { asked, files, ids, certificates, now: SystemTime::now() })
    }

    /// The policy's answer, and whether the change is the actor's own, so that it needs nobody's consent.
    pub fn judge(&self) -> (Verdict, bool) {
        let changes: Vec<Change<'_>> = self.files.iter().map(File::change).collect();
        let proposal = self.proposal(&changes);
        policy::judge_with_own(&proposal)
    }

    /// The policy's answer to a change that the door makes itself, for an actor whom it has just asked who they are.
    pub fn judge_confirmed(&self) -> Verdict {
        let changes: Vec<Change<'_>> = self.files.iter().map(File::change).collect();
        policy::judge_confirmed(&self.proposal(&changes))
    }

    fn proposal<'c>(&'c self, changes: &'c [Change<'c>]) -> Proposal<'c> {
        Proposal {
            actor: self.asked.actor,
            before: self.asked.before,
            after: self.asked.after,
            changes,
            proven: &self.asked.proven.names,
            ids: &self.ids,
            certificates: self.certificates.as_ref(),
            now: self.now,
            allowance: self.asked.allowed.removals.as_deref(),
            from: self.asked.from,
            knows: self.asked.allowed.lockout.as_deref(),
        }
    }

    /// The texts after the change, for findings to point into.
    pub fn into_texts(self) -> impl Iterator<Item = (String, String)> {
        self.files.into_iter().filter_map(|file| Some((file.path, file.after?)))
    }
}

/// The register of ids, where a change adds any. Otherwise nobody asks, and nothing is read.
fn ids(asked: &Asked<'_>) -> Result<IdRegister, berth_repo::Error> {
    if asked.after.servers.keys().all(|id| asked.before.servers.contains_key(id)) {
        return Ok(IdRegister::default());
    }
    asked.repo.ids(&asked.main)
}

/// The register of certificates, where a change might add any. Otherwise nobody asks, and nothing is read.
fn certificates(asked: &Asked<'_>) -> Result<Option<CertificateRegister>, berth_repo::Error> {
    // A server's name is part of its tools' names.
    if asked.after.domains == asked.before.domains && asked.after.servers == asked.before.servers {
        return Ok(None);
    }
    asked.repo.kept_certificates()
}

impl Allowed {
    /// Reads what a revision's message allows.
    pub fn by(repo: &StateRepo, revision: &Revision) -> Result<Self, berth_repo::Error> {
        let trailers = repo.commit_info(revision)?.trailers;
        let of = |name: &str| {
            let found = trailers.iter().find(|(key, _)| key.eq_ignore_ascii_case(name));
            found.map(|(_, value)| value.clone())
        };
        Ok(Self { removals: of(ALLOW_REMOVALS), lockout: of(ALLOW_LOCKOUT) })
    }
}
