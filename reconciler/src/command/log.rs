//! `berth log`: who changed what, why, and whether it worked.

use anyhow::Context as _;
use berth_judge::log::{Entry, entries};
use berth_repo::StateRepo;
use berth_schema::text::{self, safe};
use comfy_table::{Table, presets};

use super::Exit;
use crate::draw::{print, say};
use crate::settings::Settings;

/// Length and form of the log.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Number of revisions to show, the newest first
    #[arg(short = 'n', long, value_name = "NUMBER", default_value_t = 20)]
    number: usize,
    /// Print JSON, for programs
    #[arg(long)]
    json: bool,
}

pub(super) fn run(args: &Args, settings: &Settings) -> anyhow::Result<Exit> {
    let repo = StateRepo::open(&settings.state)?;
    let found = entries(&repo, args.number)?;
    if args.json {
        print(&json(&found)?);
        return Ok(Exit::Ok);
    }
    if found.is_empty() {
        say("There is no commit on main yet.");
        return Ok(Exit::Ok);
    }
    print(&table(&found));
    Ok(Exit::Ok)
}

fn json(found: &[Entry]) -> anyhow::Result<String> {
    text::json(&found).context("cannot write the log")
}

/// Every revision in a row.
fn table(found: &[Entry]) -> String {
    let mut table = Table::new();
    table.load_preset(presets::NOTHING);
    table.set_header(["REVISION", "WHEN", "WHO", "WHAT WAS DONE", "RESULT", "WHY"]);
    for entry in found {
        table.add_row([
            entry.revision.short(),
            entry.at.map_or_else(String::new, |at| at.strftime("%Y-%m-%d %H:%M").to_string()),
            who(entry),
            safe(entry.what()),
            entry.how(),
            safe(&entry.why),
        ]);
    }
    table.trim_fmt()
}

/// "bob", or "bob, agreed by ann".
fn who(entry: &Entry) -> String {
    let reviewer = entry.reviewed_by.as_deref();
    let reviewer = reviewer.map(|reviewer| reviewer.split(" <").next().unwrap_or(reviewer));
    let who = reviewer.map_or_else(|| entry.who.clone(), |name| format!("{}, agreed by {name}", entry.who));
    safe(&who)
}

#[cfg(test)]
mod tests {
    use berth_judge::log::Ending;
    use berth_judge::note::{self, Fate, Note, Word};
    use berth_plan::{Action, Subject};
    use berth_schema::Revision;
    use berth_schema::testing::{harm, hostile_text};
    use jiff::Timestamp;
    use proptest::prelude::*;

    use super::*;

    /// A revision of which everything that somebody may have typed is `typed`.
    fn entry(typed: &str) -> Entry {
        let change = note::Entry {
            object: Subject::Network(typed.to_owned()),
            action: Action::Create,
            result: Word::Failed,
            seconds: 1.0,
            error: Some(typed.to_owned()),
        };
        Entry {
            revision: Revision::from_bytes([10; 20]),
            at: Some(Timestamp::UNIX_EPOCH),
            who: typed.to_owned(),
            reviewed_by: Some(typed.to_owned()),
            why: typed.to_owned(),
            fate: Ending::Noted { result: Fate::Failed },
            note: Some(Note {
                result: Fate::Failed,
                at: Timestamp::UNIX_EPOCH,
                changes: vec![change],
                problems: vec![typed.to_owned()],
                left_out: 0,
            }),
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        #[test]
        fn no_revision_harms_the_reader_of_the_log(typed in hostile_text()) {
            let page = table(&[entry(&typed), entry("usual")]);
            prop_assert_eq!(harm(&page), None, "{}", page);
            prop_assert_eq!(page.lines().count(), 3, "{}", page);
            let json = json(&[entry(&typed)]).unwrap();
            prop_assert_eq!(harm(&json), None, "{}", json);
        }
    }
}
