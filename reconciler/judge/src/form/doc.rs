//! Changes of the wiki: a page that is written, a picture that comes, a file that moves or goes.
//!
//! Pages are texts: each comes with the revision that its writer began from, and git merges what others did since.

use berth_repo::{Edit, Revision};
use berth_schema::State;
use berth_schema::docs::picture::PictureKind;
use berth_schema::docs::{DocKind, DocPath, too_large};
use berth_schema::form::Input;
use berth_schema::name::Invalid;
use berth_schema::view::on_page;
use berth_wire::web::{Deed, Field};

use super::blame::writers;
use super::drafted::{Draft, Drafted, Settled};
use super::error::FormError;
use super::ground::Ground;
use super::tell::{OwnFile, error_at, summary};
use super::text::{like, rewrite};

/// Writes down what a change of the wiki does, at a path below `docs/`.
pub(super) fn draft(
    ground: &Ground<'_>,
    state: &State,
    below: &str,
    deed: &Deed,
) -> Result<Drafted, FormError> {
    if !state.platform.docs.may_read(true, ground.is_admin()) {
        return Err(missing());
    }
    match deed {
        Deed::Write { text, base } => write(ground, below, text, base),
        Deed::Put { bytes } => put(ground, below, &bytes.0),
        Deed::Move { to } => rename(ground, below, to),
        Deed::Remove => {
            let path = known(below)?;
            held(ground, &path)?.ok_or_else(missing)?;
            Ok(ready(&path, vec![Edit::remove(path.as_str())], "removed", String::new()))
        }
        Deed::Create { .. } | Deed::Edit { .. } => Err(FormError::Unfit { what: "a page".to_owned() }),
    }
}

fn missing() -> FormError {
    FormError::NotFound { what: "such page".to_owned() }
}

fn known(below: &str) -> Result<DocPath, FormError> {
    DocPath::read(below).ok_or_else(missing)
}

fn refused(field: &str, invalid: &Invalid) -> Drafted {
    Settled::refused(vec![error_at(Some(field), invalid)]).into()
}

fn ready(path: &DocPath, edits: Vec<Edit>, what: &str, text: String) -> Drafted {
    Drafted::Ready(Draft {
        edits,
        summary: summary(path.as_str(), what),
        own: OwnFile { kind: None, path: path.as_str().to_owned(), text },
        merged_with: Vec::new(),
        id: None,
    })
}

/// The bytes of a file of `main`; `None` where there is none.
fn held(ground: &Ground<'_>, path: &DocPath) -> Result<Option<Vec<u8>>, FormError> {
    ground.repo.read(&ground.main, path.as_str()).map_err(|source| ground.failed(source))
}

/// The path of a file that is to be new, or the refusal of it.
fn free(ground: &Ground<'_>, below: &str, kinds: &[DocKind]) -> Result<Result<DocPath, Invalid>, FormError> {
    let path = match DocPath::of_new(below) {
        Ok(path) if kinds.contains(&path.kind()) => path,
        Ok(_) => {
            let endings = match kinds {
                [DocKind::Page] => "a page ends in `.md`",
                [DocKind::Picture] => "a picture ends in `.png`, `.jpg`, `.gif`, `.webp` or `.svg`",
                _ => "it keeps its ending",
            };
            return Ok(Err(Invalid::new("this name is for another kind of file", endings)));
        }
        Err(invalid) => return Ok(Err(invalid)),
    };
    Ok(match held(ground, &path)? {
        Some(_) => Err(Invalid::new(format!("`{}` is there already", path.below()), "choose another name")),
        None => Ok(path),
    })
}

/// A page's text, new or anew.
fn write(ground: &Ground<'_>, below: &str, new: &str, base: &Revision) -> Result<Drafted, FormError> {
    let unknown = || FormError::NotFound { what: format!("revision {} on main", base.short()) };
    if !ground.repo.is_ancestor(base, &ground.main).map_err(|_| unknown())? {
        return Err(unknown());
    }
    let path = match DocPath::read(below) {
        Some(path) if path.kind() == DocKind::Page => path,
        _ => {
            let invalid = DocPath::of_new(below).err();
            let invalid = invalid.unwrap_or_else(|| {
                Invalid::new(format!("`{below}` is no page"), "a page ends in `.md`; a picture is uploaded")
            });
            return Ok(refused("name", &invalid));
        }
    };
    if held(ground, &path)?.is_some_and(|bytes| std::str::from_utf8(&bytes).is_err()) {
        let hint = "write it again in UTF-8 by a push; a form can rename and remove it";
        return Ok(refused("text", &Invalid::new("this page isn't UTF-8 text", hint)));
    }
    let (began, text) = (ground.text_at(base, path.as_str())?, ground.text(path.as_str())?);
    let normal = like(new, began.as_deref().unwrap_or_default());
    if normal.trim().is_empty() {
        let hint = "write something, or remove the page";
        return Ok(refused("text", &Invalid::new("a page without a text is none", hint)));
    }
    if let Some(invalid) = too_large(path.as_str(), normal.len()) {
        return Ok(refused("text", &invalid));
    }
    if [&began, &text].into_iter().flatten().any(|text| is_masked(path.as_str(), text)) {
        let message = "something in this page isn't shown, a password's hash, and would be lost";
        return Ok(refused("text", &Invalid::new(message, "change the page by a push")));
    }
    match (began, text) {
        (Some(_), Some(_)) => rewrite(ground, path.as_str(), new, base),
        (None, None) => match free(ground, below, &[DocKind::Page])? {
            Ok(path) => {
                let edits = vec![Edit::write(path.as_str(), normal.as_str())];
                Ok(ready(&path, edits, "new", normal))
            }
            Err(invalid) => Ok(refused("name", &invalid)),
        },
        (None, Some(text)) if text == normal => Ok(Settled::nothing().into()),
        (began, text) => clash(ground, &path, began, text),
    }
}

/// Returns whether a page holds something that no page of the panel shows, so that nobody can send it back as it is.
fn is_masked(path: &str, text: &str) -> bool {
    on_page(None, path, text.as_bytes()).as_deref() != Some(text)
}

/// Somebody made the page meanwhile, or removed it.
fn clash(
    ground: &Ground<'_>,
    path: &DocPath,
    began: Option<String>,
    text: Option<String>,
) -> Result<Drafted, FormError> {
    let since = writers(ground, path.as_str(), began.as_deref().unwrap_or_default())?;
    let act = if text.is_some() { "made a page here" } else { "removed this page" };
    let hint = match text {
        Some(_) => "put your text into theirs, or choose another name",
        None => "send it again if it is to be there all the same",
    };
    let who = since.first().map_or("somebody".to_owned(), |(who, when)| format!("`{who}`, at {when},"));
    let findings = vec![error_at(Some("text"), &Invalid::new(format!("{who} {act} meanwhile"), hint))];
    let value = text.map_or(Input::Unset, Input::Text);
    let field = Field { name: "text".to_owned(), value, default: String::new() };
    Ok(Settled::conflict(vec![field], findings).into())
}

/// A picture that isn't there yet.
fn put(ground: &Ground<'_>, below: &str, bytes: &[u8]) -> Result<Drafted, FormError> {
    let path = match free(ground, below, &[DocKind::Picture])? {
        Ok(path) => path,
        Err(invalid) => return Ok(refused("name", &invalid)),
    };
    if let Some(invalid) = too_large(path.as_str(), bytes.len()) {
        return Ok(refused("file", &invalid));
    }
    let found = PictureKind::of(bytes);
    if !found.is_some_and(|kind| kind.suits(path.below())) {
        let is = found.map_or("no picture that a page can show", PictureKind::media_type);
        let hint = "upload a PNG, JPEG, GIF, WebP or SVG, under a name that ends as its type does";
        return Ok(refused("file", &Invalid::new(format!("the bytes are {is}"), hint)));
    }
    Ok(ready(&path, vec![Edit::write(path.as_str(), bytes)], "new", String::new()))
}

/// The same file at another place.
fn rename(ground: &Ground<'_>, below: &str, to: &str) -> Result<Drafted, FormError> {
    let path = known(below)?;
    let bytes = held(ground, &path)?.ok_or_else(missing)?;
    if to == path.below() {
        return Ok(Settled::nothing().into());
    }
    let new = match free(ground, to, &[path.kind()])? {
        Ok(new) => new,
        Err(invalid) => return Ok(refused("name", &invalid)),
    };
    let text = String::from_utf8(bytes.clone()).unwrap_or_default();
    let edits = vec![Edit::remove(path.as_str()), Edit::write(new.as_str(), bytes)];
    let Drafted::Ready(draft) = ready(&new, edits, "", text) else { return Err(missing()) };
    let summary = summary(path.as_str(), &format!("renamed to {}", new.as_str()));
    Ok(Drafted::Ready(Draft { summary, ..draft }))
}
