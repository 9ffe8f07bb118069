//! `/admin/audit`: what happened, by whom and from where.

use axum::extract::State as Of;
use axum::response::Response;
use berth_schema::name::UserName;
use berth_wire::web::{Audit, AuditRow, CommitLine, Event};
use jiff::Timestamp;
use minijinja::context;
use serde::{Deserialize, Serialize};

use super::address::Wishes;
use super::words::{query, value};
use crate::app::App;
use crate::page;
use crate::problem::Problem;
use crate::visitor::Visitor;

/// Part of the timeline that is asked for.
#[derive(Debug, Default, Deserialize)]
pub(crate) struct Wanted {
    #[serde(default)]
    search: String,
    #[serde(default)]
    page: Option<u32>,
}

/// A row as its template shows it.
#[derive(Debug, Serialize)]
struct Row<'a> {
    at: Timestamp,
    who: Option<&'a str>,
    from: Option<&'a str>,
    /// The deed, in words; empty for a commit.
    did: String,
    commit: Option<&'a CommitLine>,
    is_bad: bool,
}

impl<'a> Row<'a> {
    fn of(row: &'a AuditRow) -> Self {
        let (did, commit, is_bad) = match &row.event {
            Event::Act { act, of } => {
                (words(act, of), None, act.ends_with("refused") || act.ends_with("lost"))
            }
            Event::Commit(line) => (String::new(), Some(&**line), false),
        };
        Self { at: row.at, who: row.who.as_deref(), from: row.from.as_deref(), did, commit, is_bad }
    }
}

/// Acts in words. One that isn't here is told by its name.
const WORDS: [(&str, &str); 35] = [
    ("sign-in", "signed in"),
    ("sign-in-recovery", "signed in with a recovery code"),
    ("sign-in-passkey", "signed in by a passkey"),
    ("sign-in-provider", "signed in by the provider"),
    ("provider-refused", "was refused: what the provider said doesn’t hold"),
    ("bind-account", "bound an account at the provider"),
    ("unbind-account", "took out an account at the provider of"),
    ("join", "joined by the provider"),
    ("propose-join", "asked to join by the provider"),
    ("sign-in-refused", "was refused: wrong name or password"),
    ("code-refused", "was refused: wrong code after a good password"),
    ("passkey-refused", "was refused: a passkey that isn’t taken"),
    ("factor-lost", "was refused: the secret of the second factor is lost"),
    ("confirm", "confirmed who it is"),
    ("recovery-used", "used a recovery code"),
    ("set-factor", "set up a second factor"),
    ("remove-factor", "removed their second factor"),
    ("lift-factor", "removed the second factor of"),
    ("new-recovery", "made new recovery codes"),
    ("add-passkey", "added a passkey"),
    ("remove-passkey", "removed a passkey of"),
    ("make-api-token", "made an API token"),
    ("end-api-token", "revoked an API token of"),
    ("sync", "asked for a pass"),
    ("end-session", "signed out at another place"),
    ("end-sessions", "signed out everywhere"),
    ("sign-out", "signed out"),
    ("sign-out-everywhere", "signed out everywhere else"),
    ("invite", "made a link for"),
    ("redeem", "set a password by a link"),
    ("set-password", "changed their password"),
    ("restart", "restarted server"),
    ("open-site", "opened the site"),
    ("terminal", "opened a terminal in server"),
    ("clean-up", "cleaned up server"),
];

fn words(act: &str, of: &str) -> String {
    let known = WORDS.iter().find(|(name, _)| *name == act).map(|(_, words)| (*words).to_owned());
    let words = known.unwrap_or_else(|| act.replace('-', " "));
    if of.is_empty() { words } else { format!("{words} {of}") }
}

pub(crate) async fn show(
    Of(app): Of<App>,
    visitor: Visitor,
    Wishes(wanted): Wishes<Wanted>,
) -> Result<Response, Problem> {
    let search = wanted.search.trim();
    // What is nobody's name finds nobody.
    let of: Option<UserName> = search.parse().ok();
    let page = wanted.page.unwrap_or(1).max(1);
    let list = match search.is_empty() || of.is_some() {
        true => Some(visitor.ask(&app, &Audit { of, page }).await?),
        false => None,
    };
    let rows: Vec<Row<'_>> = list.iter().flat_map(|list| &list.rows).map(Row::of).collect();
    let context = context! {
        tab => "audit",
        search,
        base => format!("/admin/audit?{}", if search.is_empty() { String::new() } else { format!("search={}&", query(search)) }),
        rows => value(rows),
        page => list.as_ref().map_or(1, |list| list.page),
        pages => list.as_ref().map_or(1, |list| list.pages),
        all => list.as_ref().map_or(0, |list| list.all),
    };
    Ok(page::render(&app, &visitor, "audit.html", context))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_act_without_words_is_told_by_its_name() {
        assert_eq!(words("lift-factor", "bob"), "removed the second factor of bob");
        assert_eq!(words("open-terminal", "7"), "open terminal 7");
        assert_eq!(words("sign-in", ""), "signed in");
    }
}
