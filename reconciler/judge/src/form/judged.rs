//! A change on top of `main`, made in a scratch repository and judged there as a push of it would be.

use berth_repo::{Error, Revision, Scratch, Signature, Words};
use berth_schema::Kind;
use berth_schema::name::{Invalid, UserName};
use berth_schema::policy::ALLOW_LOCKOUT;
use berth_schema::report::Look;
use berth_schema::text::safe;
use berth_wire::web::{FieldFinding, Planned, Standing};
use serde::Serialize;

use super::drafted::{Draft, Settled};
use super::error::FormError;
use super::ground::{Ground, Via};
use super::keys::keys_for_the_forge;
use super::tell::{DOOR, OwnFile, at_field, concerns, diffs, error_at, losses};
use super::text::kind_of;
use crate::hook::{Asker, Made, judge_made};

/// A commit in a scratch repository.
pub(super) struct Tried<'a> {
    pub(super) scratch: Scratch,
    pub(super) new: Revision,
    /// The form's own file; `None` for a change of any files.
    pub(super) own: Option<&'a OwnFile>,
    /// First line of its message.
    pub(super) summary: String,
}

/// The whole message of a commit that came through a form or the lobby. `knows` is the person who knows what they lose by it.
pub(super) fn message(via: Via, summary: &str, body: &str, knows: Option<&UserName>) -> String {
    let knows = knows.map(|name| format!("{ALLOW_LOCKOUT}: {name}\n")).unwrap_or_default();
    format!("{summary}\n\n{body}{knows}{DOOR}: {}\n", via.word())
}

/// Plans a draft.
pub(super) fn plan(ground: &Ground<'_>, draft: &Draft, by: &Signature) -> Result<Planned, FormError> {
    let failed = |source| ground.failed(source);
    let scratch = ground.repo.scratch().map_err(failed)?;
    let message = message(ground.author.via, &draft.summary, "", None);
    let words = Words { author: by, committer: by, message: &message };
    let new = match scratch.repo.write(Some(&ground.main), &draft.edits, &words) {
        Ok(new) => new,
        Err(Error::BadPath { path, reason }) => {
            let invalid = Invalid::new(format!("{path} can't be written: {reason}"), "write another path");
            return Ok(settled(Settled::refused(vec![error_at(Some("name"), &invalid)])));
        }
        Err(error) => return Err(failed(error)),
    };
    if new == ground.main {
        return Ok(settled(Settled::nothing()));
    }
    let tried = Tried { scratch, new, own: Some(&draft.own), summary: draft.summary.clone() };
    let mut planned = judge(ground, tried)?;
    if draft.edits.iter().all(|edit| edit.content.is_none()) {
        planned.findings.iter_mut().for_each(|finding| lead_out(kind_of(&draft.own), finding));
    }
    Ok(Planned { merged_with: draft.merged_with.clone(), id: draft.id, ..planned })
}

/// Tells whoever removes something what to do first with the files that still name it. To add it again, as the finding says to
/// whoever wrote such a file, isn't what they want.
fn lead_out(removed: Option<Kind>, finding: &mut FieldFinding) {
    let path = finding.place.as_deref().and_then(|place| place.split(':').next());
    let hint = match (removed, path.and_then(Kind::of)) {
        (Some(Kind::Server), Some(Kind::Domain)) => "remove that domain first, or lead it to another server",
        (Some(Kind::User), Some(Kind::Server)) => "remove that server first, or name somebody else there",
        _ => return,
    };
    finding.hint = Some(hint.to_owned());
}

/// Judges a commit, and tells what it comes to.
pub(super) fn judge(ground: &Ground<'_>, mut tried: Tried<'_>) -> Result<Planned, FormError> {
    let asker = Asker {
        user: Some(ground.author.name.as_str()),
        look: Look::Plain,
        engine: ground.author.engine,
        resolver: ground.resolver,
        from: ground.author.from,
        acts: ground.author.via.acts(),
    };
    let made = judge_made(&mut tried.scratch.repo, &ground.main, &tried.new, asker)?;
    let shown = diffs(&tried.scratch.repo, &ground.sight(), &ground.main, &tried.new);
    let diffs = shown.map_err(|source| ground.failed(source))?;
    let changed = tried.scratch.repo.changed(&ground.main, &tried.new);
    let changed = changed.map_err(|source| ground.failed(source))?;
    let paths: Vec<&str> = changed.iter().map(String::as_str).collect();
    // What others' changes still lose isn't this person's to confirm.
    let losses = made.plan.as_ref().map(|plan| losses(plan, |subject| concerns(&paths, subject)));
    let mut findings: Vec<FieldFinding> =
        made.findings.iter().map(|finding| at_field(finding, tried.own)).collect();
    let notes = made.notes.lines().map(|note| {
        let invalid = Invalid::new(note, "");
        FieldFinding { is_error: false, ..error_at(None, &invalid) }
    });
    findings.extend(notes);
    let keys = keys_for_the_forge(ground, &mut tried.scratch.repo, &tried.new)?;
    let keeps_keys = keys.is_empty();
    findings.extend(keys.iter().map(|invalid| error_at(None, invalid)));
    if ground.is_held_back() && (made.is_refused() || made.approvers.is_some()) {
        let message = "by this token you act as a member, since it lacks the scope `admin`";
        let invalid = Invalid::new(message, "make a token that has it, if the change is meant");
        findings.push(FieldFinding { is_error: false, ..error_at(None, &invalid) });
    }
    Ok(Planned {
        standing: if keeps_keys { standing(&made) } else { Standing::Refused },
        digest: String::new(),
        findings,
        plan: made.told,
        losses: losses.unwrap_or_default(),
        diffs,
        merged_with: Vec::new(),
        summary: tried.summary,
        shuts_out: made.unconfirmed.iter().map(|finding| safe(&finding.message)).collect(),
        id: None,
    })
}

fn standing(made: &Made) -> Standing {
    match &made.approvers {
        _ if made.is_refused() => Standing::Refused,
        Some(approvers) => Standing::NeedsReview { approvers: approvers.clone() },
        None => Standing::Allowed,
    }
}

/// A change that has no commit.
pub(super) fn settled(Settled { standing, findings, merged_with }: Settled) -> Planned {
    Planned {
        standing,
        digest: String::new(),
        findings,
        plan: String::new(),
        losses: Vec::new(),
        diffs: Vec::new(),
        merged_with,
        summary: String::new(),
        shuts_out: Vec::new(),
        id: None,
    }
}

/// The answer with its digest: of what was asked for, and of all that the person is shown of it. Changes of others that it is
/// merged with don't count, so that they alone don't send anybody back.
pub(super) fn sealed(asked: &impl Serialize, planned: Planned) -> Result<Planned, FormError> {
    let shown = Planned { digest: String::new(), merged_with: Vec::new(), ..planned.clone() };
    let bytes = serde_json::to_vec(&(asked, shown)).map_err(FormError::Compare)?;
    Ok(Planned { digest: blake3::hash(&bytes).to_hex().to_string(), ..planned })
}
