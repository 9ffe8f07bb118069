//! One timeline of what happened: the door's audit log and the commits of `main`.

use std::sync::Arc;

use berth_schema::name::UserName;
use berth_schema::text::safe_line;
use berth_wire::web::{Audit, AuditRow, Event, Page, Refusal};
use jiff::Timestamp;
use serde_json::{Map, Value};

use super::panel::{Asker, Panel};
use super::past::Made;
use super::read::{line, page};
use super::refusals::unavailable;

/// Characters of a value that is shown.
const LONGEST: usize = 100;

/// An entry of either source.
enum Entry<'l> {
    Line(&'l str),
    Made(Arc<Made>),
}

/// Lists what happened, the newest first.
pub(crate) fn audit(panel: &Panel, asker: &Asker, asked: Audit) -> Result<Page<AuditRow>, Refusal> {
    let log = panel.read_log().map_err(|error| unavailable(&error))?;
    let lines = log.lines().rev().filter(|line| asked.of.as_ref().is_none_or(|of| names(line, of)));
    let mut entries: Vec<(Timestamp, Entry<'_>)> =
        lines.filter_map(|line| Some((time(line)?, Entry::Line(line)))).collect();
    let _acting = panel.act()?;
    let repo = panel.repo()?;
    let of = asked.of.as_ref().map(|of| (of.as_str(), format!("users/{of}.toml")));
    let looked = panel.past.look(&repo, |made| {
        if of.as_ref().is_none_or(|(name, path)| made.author == *name || made.touches(path)) {
            entries.push((made.at, Entry::Made(Arc::clone(made))));
        }
        false
    });
    looked.map_err(|error| unavailable(&error))?;
    // Entries of one moment keep the order of their source.
    entries.sort_by_key(|(at, _)| std::cmp::Reverse(*at));
    let sight = asker.sight();
    let told = panel.outcomes.told(&repo).map_err(|error| unavailable(&error))?;
    let shown = page(&entries, asked.page, |(at, entry)| match entry {
        Entry::Line(text) => Ok(row(*at, text)),
        Entry::Made(made) => {
            let commit = line(&told, &sight, made)?;
            let who = Some(commit.author.clone());
            Ok(AuditRow { at: *at, who, from: None, event: Event::Commit(Box::new(commit)) })
        }
    });
    let Page { rows, page, pages, all } = shown;
    Ok(Page { rows: rows.into_iter().collect::<Result<_, Refusal>>()?, page, pages, all })
}

/// Returns whether a line is about somebody: they acted, or something was done to them. Names hold nothing that JSON escapes.
fn names(line: &str, of: &UserName) -> bool {
    ["who", "user"].iter().any(|key| line.contains(&format!("\"{key}\":\"{of}\"")))
}

/// The time of a line, which begins it.
fn time(line: &str) -> Option<Timestamp> {
    line.strip_prefix("{\"at\":\"")?.split_once('"')?.0.parse().ok()
}

/// A line of the log. What an act was done to is whatever else the line has.
fn row(at: Timestamp, text: &str) -> AuditRow {
    let mut fields: Map<String, Value> = serde_json::from_str(text).unwrap_or_default();
    fields.remove("at");
    let mut take = |key: &str| fields.remove(key).as_ref().and_then(word);
    let (who, from, act) = (take("who"), take("from"), take("act").unwrap_or_default());
    let of: Vec<String> = fields.values().filter_map(word).collect();
    AuditRow { at, who, from, event: Event::Act { act, of: of.join(", ") } }
}

fn word(value: &Value) -> Option<String> {
    match value {
        Value::Null => None,
        Value::String(text) => Some(safe_line(text, LONGEST)),
        other => Some(safe_line(&other.to_string(), LONGEST)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_told_whatever_act_it_is() {
        let text =
            r#"{"at":"1970-01-01T00:00:00Z","who":"ann","from":"192.0.2.1","act":"invite","user":"bob"}"#;
        let (ann, an): (UserName, UserName) = ("ann".parse().unwrap(), "an".parse().unwrap());
        assert!(names(text, &ann) && names(text, &"bob".parse().unwrap()) && !names(text, &an));
        let told = row(time(text).unwrap(), text);
        assert_eq!((told.who.as_deref(), told.from.as_deref()), (Some("ann"), Some("192.0.2.1")));
        assert_eq!(told.event, Event::Act { act: "invite".to_owned(), of: "bob".to_owned() });
        let unknown = r#"{"at":"1970-01-01T00:00:01Z","who":null,"act":"mend","server":7,"why":"it broke"}"#;
        let told = row(time(unknown).unwrap(), unknown);
        assert_eq!(told.event, Event::Act { act: "mend".to_owned(), of: "7, it broke".to_owned() });
        assert_eq!((told.who, time("{}"), time("no JSON")), (None, None, None));
    }
}
