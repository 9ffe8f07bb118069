//! Files as texts: the whole text of a file anew, a new file, or one that goes, whatever its kind.

use berth_repo::{Combined, Edit, What, Words, check_path};
use berth_schema::name::Invalid;
use berth_schema::{Finding, Kind, Revision};
use berth_wire::web::{Deed, Field, FieldFinding, Input};

use super::blame::writers;
use super::drafted::{Draft, Drafted, Settled};
use super::error::FormError;
use super::ground::Ground;
use super::tell::{OwnFile, TEXT, at_field, error_at, summary};

/// Writes down what is done to a file by its path. Only admins change files that way.
pub(super) fn by_path(ground: &Ground<'_>, path: &str, deed: &Deed) -> Result<Drafted, FormError> {
    if !ground.is_admin() {
        return Err(FormError::NotYours { what: "that file".to_owned() });
    }
    match deed {
        Deed::Write { text, base } => rewrite(ground, path, text, base),
        Deed::Remove => remove(ground, path),
        Deed::Create { .. } | Deed::Edit { .. } | Deed::Put { .. } | Deed::Move { .. } => {
            Err(FormError::Unfit { what: "a file".to_owned() })
        }
    }
}

fn remove(ground: &Ground<'_>, path: &str) -> Result<Drafted, FormError> {
    match what(ground, &ground.main, path)? {
        // The tree is written without it, whatever it leads to.
        Some(What::File { .. } | What::Link) => {}
        _ => return Err(FormError::NotFound { what: "such file".to_owned() }),
    }
    Ok(Drafted::Ready(Draft {
        edits: vec![Edit::remove(path)],
        summary: summary(path, "removed"),
        own: own(path, String::new()),
        merged_with: Vec::new(),
        id: None,
    }))
}

/// The whole text anew. Where `main` has another than the writer began from, git merges the two.
pub(super) fn rewrite(
    ground: &Ground<'_>,
    path: &str,
    sent: &str,
    base: &Revision,
) -> Result<Drafted, FormError> {
    if let Err(reason) = check_path(path) {
        let invalid = Invalid::new(format!("no file can be called that: {reason}"), "write another path");
        return Ok(Settled::refused(vec![error_at(Some("name"), &invalid)]).into());
    }
    let unknown = || FormError::NotFound { what: format!("revision {} on main", base.short()) };
    if !ground.repo.is_ancestor(base, &ground.main).map_err(|_| unknown())? {
        return Err(unknown());
    }
    let (began, text) = (at(ground, base, path)?, at(ground, &ground.main, path)?);
    let (Was::Text(_) | Was::Nothing, Was::Text(_) | Was::Nothing) = (&began, &text) else {
        let message = format!("{path} is no text, so it can't be written as one");
        let invalid = Invalid::new(message, "push it with git, or write another path");
        return Ok(Settled::refused(vec![error_at(None, &invalid)]).into());
    };
    let (began, text) = (began.into_text(), text.into_text());
    let from = began.as_deref().unwrap_or_default();
    let new = match ground.restored(path, from, &like(sent, from)) {
        Ok(new) => new,
        Err(findings) => return Ok(Settled::refused(findings.iter().map(in_text).collect()).into()),
    };
    if text.as_ref() == Some(&new) {
        return Ok(Settled::nothing().into());
    }
    let (mut after, mut merged_with) = (new.clone(), Vec::new());
    match (&began, &text) {
        (None, None) => {}
        (Some(began), Some(text)) if began == text => {}
        // Whoever changed nothing keeps what others wrote.
        (Some(began), _) if *began == new => return Ok(Settled::nothing().into()),
        (Some(began), Some(_)) => {
            let since = writers(ground, path, began)?;
            let Some(merged) = merge(ground, path, &new, base)? else {
                return Ok(clash(ground, path, text.as_deref(), &since).into());
            };
            after = merged;
            merged_with =
                since.iter().map(|(who, when)| format!("`{who}` changed {path}, at {when}")).collect();
            if text.as_ref() == Some(&after) {
                return Ok(Settled { merged_with, ..Settled::nothing() }.into());
            }
        }
        _ => {
            let since = writers(ground, path, from)?;
            return Ok(clash(ground, path, text.as_deref(), &since).into());
        }
    }
    let is_new = text.is_none();
    Ok(Drafted::Ready(Draft {
        edits: vec![Edit::write(path, after.as_str())],
        summary: summary(path, if is_new { "new" } else { "changed" }),
        own: own(path, after),
        merged_with,
        id: None,
    }))
}

/// Merges a text that began from `base` with the one of `main`; `None` where both changed the same lines.
fn merge(ground: &Ground<'_>, path: &str, new: &str, base: &Revision) -> Result<Option<String>, FormError> {
    let failed = |source| ground.failed(source);
    let by = ground.signature();
    let words = Words { author: &by, committer: &by, message: "a text to merge\n" };
    let scratch = ground.repo.scratch().map_err(failed)?;
    let theirs = scratch.repo.write(Some(base), &[Edit::write(path, new)], &words).map_err(failed)?;
    match scratch.repo.merge(&ground.main, &theirs, &words).map_err(failed)? {
        Combined::Clean(merged) => {
            let bytes = scratch.repo.read(&merged, path).map_err(failed)?;
            Ok(bytes.and_then(|bytes| String::from_utf8(bytes).ok()))
        }
        Combined::Conflicts(_) => Ok(None),
    }
}

/// A file at a revision.
enum Was {
    Nothing,
    Text(String),
    Other,
}

impl Was {
    fn into_text(self) -> Option<String> {
        match self {
            Self::Text(text) => Some(text),
            Self::Nothing | Self::Other => None,
        }
    }
}

fn at(ground: &Ground<'_>, revision: &Revision, path: &str) -> Result<Was, FormError> {
    Ok(match what(ground, revision, path)? {
        None => Was::Nothing,
        Some(What::File { .. }) => ground.text_at(revision, path)?.map_or(Was::Other, Was::Text),
        Some(_) => Was::Other,
    })
}

fn what(ground: &Ground<'_>, revision: &Revision, path: &str) -> Result<Option<What>, FormError> {
    ground.repo.what(revision, path).map_err(|source| ground.failed(source))
}

fn clash(ground: &Ground<'_>, path: &str, text: Option<&str>, since: &[(String, String)]) -> Settled {
    let phrase = match text {
        Some(_) => "changed the same lines of",
        None => "removed",
    };
    let hint = match text {
        Some(_) => "put your change into the text that main has now",
        None => "send it again to have the file anew, or leave it",
    };
    let mut findings: Vec<FieldFinding> = since
        .iter()
        .take(match text {
            Some(_) => since.len(),
            None => 1,
        })
        .map(|(who, when)| {
            let message = format!("`{who}` {phrase} {path} meanwhile, at {when}");
            error_at(Some(TEXT), &Invalid::new(message, hint))
        })
        .collect();
    if findings.is_empty() {
        let message = format!("others {phrase} {path} meanwhile");
        findings.push(error_at(Some(TEXT), &Invalid::new(message, hint)));
    }
    let shown = text.map(|text| ground.shown(path, text)).unwrap_or_default();
    let field = Field { name: TEXT.to_owned(), value: Input::Text(shown), default: String::new() };
    Settled::conflict(vec![field], findings)
}

/// A text that a browser sent, with the line ends of the one that it began from.
pub(super) fn like(text: &str, began: &str) -> String {
    let mut text = text.replace("\r\n", "\n");
    if !text.is_empty() && !text.ends_with('\n') {
        text.push('\n');
    }
    if began.contains("\r\n") { text.replace('\n', "\r\n") } else { text }
}

fn in_text(finding: &Finding) -> FieldFinding {
    FieldFinding { field: Some(TEXT.to_owned()), ..at_field(finding, None) }
}

fn own(path: &str, text: String) -> OwnFile {
    OwnFile { kind: None, path: path.to_owned(), text }
}

/// The kind of an own file for whoever names it: the form's, or the one that its path has.
pub(super) fn kind_of(own: &OwnFile) -> Option<Kind> {
    own.kind.or_else(|| Kind::of(&own.path))
}
