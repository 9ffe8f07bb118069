//! Answers in the panel's types: findings at their fields, the lines that differ, what a plan loses, a commit's first line.

use berth_plan::step::Action;
use berth_plan::{Plan, Subject, show};
use berth_repo::{CommitInfo, MAIN, Revision, StateRepo, unified};
use berth_schema::docs::is_below;
use berth_schema::finding::About;
use berth_schema::form::{Input, field_of, path as path_of};
use berth_schema::name::{Invalid, UserName};
use berth_schema::text::{safe, safe_line};
use berth_schema::view::on_page;
use berth_schema::{Finding, Kind, Severity};
use berth_wire::web::{CommitLine, FieldFinding, FileDiff};
use jiff::Timestamp;

use super::marks::Marks;
use crate::pages::Pages;

/// The trailer that names the door which a commit came through.
pub const DOOR: &str = "Berth-Door";
/// Name of the one field of a form that has a file's text as a whole.
pub(super) const TEXT: &str = "text";
/// Longest first line of a message, in characters.
const SUMMARY: usize = 72;
/// Longest value in it.
const VALUE: usize = 24;

/// The file that a form is about, as the change leaves it.
#[derive(Debug, Clone)]
pub(super) struct OwnFile {
    /// Kind of the form's fields; `None` where the form has the text as a whole.
    pub(super) kind: Option<Kind>,
    pub(super) path: String,
    /// Its text; empty where it goes.
    pub(super) text: String,
}

/// The finding, at its field of the form where it is about one.
pub(super) fn at_field(finding: &Finding, own: Option<&OwnFile>) -> FieldFinding {
    let own = own.filter(|own| *finding.path == *own.path);
    let field = own.and_then(|own| match own.kind {
        Some(kind) => field_of(kind, &own.text, finding),
        // What is wrong with the file as a whole, or with who writes it, is no part of the text.
        None => finding.position.filter(|_| finding.about != About::Whole).map(|_| TEXT),
    });
    // In a text, a place says more than its field.
    let is_in_form = own.is_some_and(|own| own.kind.is_some());
    let place = match finding.position {
        _ if is_in_form || &*finding.path == MAIN => None,
        Some(position) => Some(format!("{}:{}:{}", finding.path, position.line, position.column)),
        None => Some(finding.path.to_string()),
    };
    FieldFinding {
        field: field.map(str::to_owned),
        is_error: finding.severity == Severity::Error,
        message: safe(&finding.message),
        hint: finding.hint.as_ref().map(safe),
        place: place.map(safe),
    }
}

/// An error at a field, or about the change as a whole.
pub(super) fn error_at(field: Option<&str>, invalid: &Invalid) -> FieldFinding {
    FieldFinding {
        field: field.map(str::to_owned),
        is_error: true,
        message: safe(&invalid.message),
        hint: (!invalid.hint.is_empty()).then(|| safe(&invalid.hint)),
        place: None,
    }
}

/// Sight of whoever reads files.
#[derive(Debug, Clone, Copy)]
pub enum Sight<'a> {
    /// A member's, who sees pages of the wiki so.
    Of(&'a UserName, Pages),
    /// Sight of somebody who may read everything but secrets.
    Whole,
    /// The same, with marks in place of secrets, so that one sees where a secret has changed.
    Marked(&'a Marks),
}

impl Sight<'_> {
    /// The text of a file as it is shown; `None` where nothing of it is.
    fn text(&self, path: &str, content: &[u8]) -> Option<String> {
        let marked = |marks: &Marks| Some(marks.veil(path, std::str::from_utf8(content).ok()?)?.text);
        match self {
            Self::Of(_, pages) if pages.hide(path) => None,
            Self::Of(reader, _) => on_page(Some(reader), path, content),
            Self::Whole => on_page(None, path, content),
            Self::Marked(marks) => marked(marks).or_else(|| on_page(None, path, content)),
        }
    }
}

/// The files that differ between two revisions, as somebody may see them.
pub fn diffs(
    repo: &StateRepo,
    sight: &Sight<'_>,
    old: &Revision,
    new: &Revision,
) -> Result<Vec<FileDiff>, berth_repo::Error> {
    let mut diffs = Vec::new();
    for path in repo.changed(old, new)? {
        let shown = |revision| {
            let content = repo.read(revision, &path)?;
            Ok(content.map(|content| sight.text(&path, &content)))
        };
        let (before, after) = (shown(old)?, shown(new)?);
        // A file that isn't theirs to see isn't there for them.
        if matches!(before, Some(None)) || matches!(after, Some(None)) {
            continue;
        }
        let text = |shown: Option<Option<String>>| shown.flatten().unwrap_or_default();
        let lines = unified(&text(before), &text(after))?;
        diffs.push(FileDiff { path: safe(&path), lines: lines.into_iter().map(safe).collect() });
    }
    Ok(diffs)
}

/// Tells whether a change of these files may be the reason for what happens to a subject. What happens to another server has another
/// reason; what all servers share may have any.
pub fn concerns(paths: &[&str], subject: &Subject) -> bool {
    let Subject::Server { name, .. } = subject else { return true };
    paths.iter().any(|path| match Kind::of(path) {
        Some(Kind::Server) => path_of(Kind::Server, name).is_ok_and(|own| own == *path),
        // Names lead to a server and leave it as it is.
        Some(Kind::Domain) => false,
        _ => !is_below(path),
    })
}

/// Losses of a plan, in sentences: data that is lost, and servers that go; of the subjects that `counts` counts.
pub(super) fn losses(plan: &Plan, counts: impl Fn(&Subject) -> bool) -> Vec<String> {
    let mut lines = Vec::new();
    for change in plan.changes().filter(|change| counts(&change.subject)) {
        let goes = matches!(change.action, Action::Entomb | Action::Purge);
        if goes {
            let reasons = change.reasons.join("; ");
            lines.push(safe(format!("{} {}: {reasons}", change.subject, show::phrase(change.action))));
        }
        lines.extend(change.losses.iter().map(|loss| safe(format!("{}: {loss}", change.subject))));
    }
    lines
}

/// One commit in a line.
pub fn commit_line(commit: CommitInfo, paths: Vec<String>) -> CommitLine {
    let trailer = |name: &str| {
        let found = commit.trailers.iter().find(|(key, _)| key.eq_ignore_ascii_case(name));
        found.map(|(_, value)| safe(value))
    };
    CommitLine {
        revision: commit.revision,
        author: safe(&commit.author.name),
        at: Timestamp::from_second(commit.committer.seconds).unwrap_or_default(),
        summary: safe(&commit.summary),
        door: trailer(DOOR),
        paths,
        outcome: None,
    }
}

/// The first line of a message: the object, and what happens to it.
pub(super) fn summary(path: &str, what: &str) -> String {
    let object = if path == "platform.toml" { path } else { path.strip_suffix(".toml").unwrap_or(path) };
    format!("{object}: {what}")
}

/// The first line of a message about fields that change. Addresses and keys aren't everybody's to read, as commits are.
pub(super) fn fields_change(kind: Kind, path: &str, changes: &[(&str, Input, Input)]) -> String {
    let phrase = |(name, was, now): &(&str, Input, Input)| match (kind, *name, was, now) {
        (Kind::User, "email" | "ssh_keys", ..) => (*name).to_owned(),
        (_, _, Input::List(_), _) | (_, _, _, Input::List(_)) => format!("{name} {}", entries(was, now)),
        _ => format!("{name} {} → {}", value(was), value(now)),
    };
    let phrases: Vec<String> = changes.iter().map(phrase).collect();
    let whole = summary(path, &phrases.join(", "));
    if whole.chars().count() <= SUMMARY {
        return whole;
    }
    let names: Vec<&str> = changes.iter().map(|(name, ..)| *name).collect();
    safe_line(&summary(path, &names.join(", ")), SUMMARY)
}

fn value(input: &Input) -> String {
    match input {
        Input::Unset => "default".to_owned(),
        Input::Text(text) => safe_line(text, VALUE),
        Input::List(entries) => safe_line(&entries.join(" "), VALUE),
    }
}

/// Entries that come and go: `+cyn -bob`.
fn entries(was: &Input, now: &Input) -> String {
    let list = |input: &Input| match input {
        Input::Unset => Vec::new(),
        Input::Text(text) => vec![text.clone()],
        Input::List(entries) => entries.clone(),
    };
    let (was, now) = (list(was), list(now));
    let come =
        now.iter().filter(|entry| !was.contains(entry)).map(|entry| format!("+{}", safe_line(entry, VALUE)));
    let go =
        was.iter().filter(|entry| !now.contains(entry)).map(|entry| format!("-{}", safe_line(entry, VALUE)));
    let phrases: Vec<String> = come.chain(go).collect();
    if phrases.is_empty() { "in another order".to_owned() } else { phrases.join(" ") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_happens_to_another_server_has_another_reason() {
        let (shop, blog): (Subject, Subject) =
            ("server shop (id 1)".parse().unwrap(), "server blog (id 2)".parse().unwrap());
        let network: Subject = "network a".parse().unwrap();
        for (paths, of_shop, of_blog) in [
            (&["servers/shop.toml"][..], true, false),
            (&["domains/a.example.toml"], false, false),
            (&["domains/a.example.toml", "servers/blog.toml"], false, true),
            (&["platform.toml"], true, true),
            (&["users/bob.toml"], true, true),
        ] {
            assert_eq!((concerns(paths, &shop), concerns(paths, &blog)), (of_shop, of_blog), "{paths:?}");
            assert!(concerns(paths, &network), "it is everybody's");
        }
    }
}
