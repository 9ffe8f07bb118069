//! Answers of the lobby as people read them.

use std::fmt::Write as _;

use berth_schema::brief::{cut, split};
use berth_schema::text::counted;
use comfy_table::{Table, presets};
use jiff::Timestamp;

use super::answer::{
    Answer, DomainRow, FindingRow, List, Log, LogRow, Made, Plan, PullRow, Restored, ServerRow, Trouble,
};

/// Commands in the greeting; `help` has all of them.
const COMMANDS: [(&str, &str); 8] = [
    ("ls", "your servers and domains, and what is left of your quota"),
    ("new <server>", "make a server"),
    ("start|stop|restart <server>", "turn it on, off, or off and on"),
    ("set <server> memory=1GiB", "change its fields"),
    ("domain add <name> --server <server>", "lead a domain to it"),
    ("log", "what was changed, and what came of it"),
    ("undo <revision>", "take a change back"),
    ("plan <command>", "show what a command would do"),
];

/// Lines of the parts of an answer, which is no longer than two screens with the plan, which has half of them.
mod room {
    /// Servers, and domains, of a list.
    pub(super) const ROWS: usize = 40;
    /// Servers in the greeting.
    pub(super) const GREETED: usize = 20;
    /// Findings of a change, most of which have two lines.
    pub(super) const FINDINGS: usize = 12;
    /// Lines that differ.
    pub(super) const DIFFS: usize = 30;
}

/// The greeting of somebody who typed no command. `login` is the line that they came in by.
pub(super) fn greeting(list: &List, login: &str, clone: &str) -> String {
    let role = if list.is_admin { ", an admin" } else { "" };
    let mut text = format!(
        "Hello {}{role}. This login is for git and for the commands below; it has no shell.\n\n",
        list.user
    );
    match list.servers.is_empty() {
        true => text.push_str("You have no server yet: `new <name>` makes one.\n"),
        false => text.push_str(&servers(&list.servers, room::GREETED)),
    }
    let _ = write!(text, "\nCommands, after `{login}`:\n");
    let width = COMMANDS.iter().map(|(command, _)| command.len()).max().unwrap_or_default();
    for (command, does) in COMMANDS {
        let _ = writeln!(text, "  {command:width$}  {does}");
    }
    let _ = write!(
        text,
        "`help` lists them all, `help <command>` explains one, and `--json` is for programs.\n\
         git clone {clone} gets the state repo.\n"
    );
    text
}

/// An answer; a trouble goes to standard error, and has a text of its own.
pub(super) fn text(answer: &Answer) -> String {
    match answer {
        Answer::List(list) => all(list),
        Answer::Domains(rows) if rows.is_empty() => "You have no domains.\n".to_owned(),
        Answer::Domains(rows) => domains(rows, room::ROWS * 2),
        Answer::Log(log) if log.changes.is_empty() && log.is_whole => {
            "Nothing that is yours was changed yet.\n".to_owned()
        }
        Answer::Log(Log { changes, is_whole: true }) => rows_of(changes),
        Answer::Log(Log { changes, is_whole: false }) => {
            format!("{}Older changes weren't looked through.\n", rows_of(changes))
        }
        Answer::Pulls(rows) if rows.is_empty() => "Nothing of yours went to a forge yet.\n".to_owned(),
        Answer::Pulls(rows) => pulls(rows),
        Answer::Plan(plan) => planned(plan),
        Answer::Change(made) => change(made),
        Answer::Restart(restarted) if restarted.is_done => format!("{} was restarted.\n", restarted.server),
        Answer::Restart(restarted) => {
            format!("{} is being restarted; `ls` shows its state.\n", restarted.server)
        }
        Answer::Restore(Restored { server, folder: Some(folder), until }) => {
            let until = until.as_deref().unwrap_or_default();
            format!(
                "Data of {server} is in its folder {folder} until {until}; copy from there what you need.\n"
            )
        }
        Answer::Restore(Restored { server, .. }) => {
            format!("Data of {server} is being restored; it will be in its folder /restored.\n")
        }
        Answer::Help { text } => ended(text),
        Answer::Error(trouble) => self::trouble(trouble),
    }
}

/// A trouble, with the change that it is about.
fn trouble(trouble: &Trouble) -> String {
    let mut text = String::new();
    // The finding that is the trouble.
    let findings = trouble.plan.iter().flat_map(|plan| &plan.findings);
    let first = findings.clone().position(|finding| finding.is_error && finding.message == trouble.message);
    let place = first.and_then(|first| findings.clone().nth(first)?.place.as_ref());
    let place = place.map(|place| format!("{place}: ")).unwrap_or_default();
    if let Some(plan) = &trouble.plan {
        let others = plan.findings.iter().enumerate().filter(|(number, _)| Some(*number) != first);
        text.push_str(&found(others.map(|(_, other)| other), plan.findings.len()));
        text.push_str(&ended(&plan.plan));
        if !text.is_empty() {
            text.push('\n');
        }
    }
    let _ = writeln!(text, "error: {place}{}", trouble.message);
    if let Some(hint) = &trouble.hint {
        let _ = writeln!(text, "  hint: {hint}");
    }
    if trouble.plan.is_some() {
        text.push_str("Nothing was changed.\n");
    }
    text
}

fn all(list: &List) -> String {
    let mut text = match list.servers.is_empty() {
        true => "You have no servers.\n".to_owned(),
        false => servers(&list.servers, room::ROWS),
    };
    if !list.domains.is_empty() {
        text.push('\n');
        text.push_str(&domains(&list.domains, room::ROWS));
    }
    if !list.quota.is_empty() {
        let mut table = plain(["QUOTA", "USED", "ALLOWED"]);
        for row in &list.quota {
            table.add_row([&row.field, &row.used_text, &row.allowed_text]);
        }
        text.push('\n');
        text.push_str(&ended(&table.trim_fmt()));
    }
    text
}

fn servers(rows: &[ServerRow], lines: usize) -> String {
    let mut table = plain(["SERVER", "ID", "STATE", "OWNER", "LOG IN"]);
    let (shown, others) = split(rows, lines);
    for row in shown {
        let state = match row.actual == row.wanted {
            true => row.actual.clone(),
            false => format!("{}, to be {}", row.actual, row.wanted),
        };
        table.add_row([&row.name, &row.id.to_string(), &state, &row.owner, &row.ssh]);
    }
    ended(&table.trim_fmt()) + &more(others, rows.len(), "server")
}

fn domains(rows: &[DomainRow], lines: usize) -> String {
    let mut table = plain(["DOMAIN", "SERVER", "PORT", "ADDRESS"]);
    let (shown, others) = split(rows, lines);
    for row in shown {
        table.add_row([&row.fqdn, &row.server, &row.port.to_string(), &row.url]);
    }
    ended(&table.trim_fmt()) + &more(others, rows.len(), "domain")
}

/// Line that counts rows without room, or nothing.
fn more(others: usize, all: usize, noun: &str) -> String {
    match others {
        0 => String::new(),
        _ => format!("… and {others} more, {} in all: `ls --json` has every one\n", counted(all, noun)),
    }
}

fn rows_of(rows: &[LogRow]) -> String {
    let mut table = plain(["REVISION", "WHEN", "WHO", "DOOR", "RESULT", "WHAT"]);
    for row in rows {
        let at = row.at.parse::<Timestamp>().map(|at| at.strftime("%Y-%m-%d %H:%M").to_string());
        table.add_row([
            row.revision.get(..10).unwrap_or(&row.revision),
            &at.unwrap_or_default(),
            &row.author,
            row.door.as_deref().unwrap_or("git"),
            row.outcome.as_deref().unwrap_or("-"),
            &row.summary,
        ]);
    }
    ended(&table.trim_fmt())
}

fn pulls(rows: &[PullRow]) -> String {
    let mut table = plain(["TOPIC", "WHEN", "WHO", "STATE", "WHERE", "WHAT"]);
    for row in rows {
        let at = row.asked.parse::<Timestamp>().map(|at| at.strftime("%Y-%m-%d %H:%M").to_string());
        let place = row.url.as_deref().or(row.why.as_deref()).unwrap_or("-");
        table.add_row([&row.topic, &*at.unwrap_or_default(), &row.user, &row.state, place, &row.summary]);
    }
    ended(&table.trim_fmt())
}

/// A plan that somebody asked for, with the lines that would change.
fn planned(plan: &Plan) -> String {
    if plan.standing == "nothing" {
        return nothing().to_owned();
    }
    let mut text = told(plan);
    let mut diffs = String::new();
    for diff in &plan.diffs {
        let _ = write!(diffs, "\n{}\n", diff.path);
        for line in &diff.lines {
            let _ = writeln!(diffs, "{line}");
        }
    }
    text.push_str(&cut(&diffs, room::DIFFS, |others| {
        format!(
            "… and {others} more lines in {}: `--json` has all of it\n",
            counted(plan.diffs.len(), "file")
        )
    }));
    text.push('\n');
    text.push_str(&match plan.standing.as_str() {
        "needs-review" => format!("Somebody else has to agree to it: {}.\n", people(&plan.approvers)),
        "refused" | "conflict" => "It would be refused.\n".to_owned(),
        _ => "You may make this change.\n".to_owned(),
    });
    plan.locks_out.iter().for_each(|sentence| {
        let _ = writeln!(text, "You lose something by it yourself: {sentence}. It needs `--allow-lockout`.");
    });
    if plan.standing == "allowed" && !plan.losses.is_empty() {
        text.push_str("Something is lost by it, so it needs `--yes`.\n");
    }
    text.push_str("Nothing was changed.\n");
    text
}

fn change(made: &Made) -> String {
    let revision = made.revision.as_deref().and_then(|revision| revision.get(..10)).unwrap_or_default();
    match (made.result.as_str(), &made.topic) {
        ("nothing", _) => nothing().to_owned(),
        ("sent", Some(topic)) => format!(
            "{}\nThis goes to {} as the pull request {topic} ({revision}). `pulls` shows what becomes of it.\n",
            told(&made.plan),
            made.forge.as_deref().unwrap_or("the forge")
        ),
        (_, Some(topic)) => {
            let who = match made.plan.approvers.is_empty() {
                true => String::new(),
                false => format!(" {} may agree to it.", people(&made.plan.approvers)),
            };
            format!(
                "{}\nProposed as review/{topic} ({revision}).{who} `review show {topic}` shows how it stands.\n",
                told(&made.plan)
            )
        }
        _ => format!("{}\n{revision} {}\n", told(&made.plan), made.plan.summary),
    }
}

/// Findings and the plan, which says what is lost.
fn told(plan: &Plan) -> String {
    let mut text = found(plan.findings.iter(), plan.findings.len());
    text.push_str(&ended(&plan.plan));
    text
}

/// The findings, mistakes first where there are more than have room.
fn found<'a>(findings: impl Iterator<Item = &'a FindingRow>, all: usize) -> String {
    let mut rows: Vec<&FindingRow> = findings.collect();
    if rows.len() > room::FINDINGS {
        rows.sort_by_key(|row| !row.is_error);
    }
    let (shown, others) = split(&rows, room::FINDINGS);
    let mut text: String = shown.iter().map(|row| finding(row)).collect();
    if others > 0 {
        let _ =
            writeln!(text, "… and {others} more, {} in all: `--json` has every one", counted(all, "finding"));
    }
    text
}

fn nothing() -> &'static str {
    "The state repo says so already; nothing was changed.\n"
}

fn finding(row: &FindingRow) -> String {
    let is_note = row.place.is_none() && row.field.is_none() && row.hint.is_none();
    let severity = match row.is_error {
        true => "error",
        false if is_note => "note",
        false => "warning",
    };
    let place = row.place.as_ref().map(|place| format!("{place}: ")).unwrap_or_default();
    let hint = row.hint.as_ref().map(|hint| format!("  hint: {hint}\n")).unwrap_or_default();
    format!("{severity}: {place}{}\n{hint}", row.message)
}

fn people(names: &[String]) -> String {
    match names {
        [] => "nobody yet".to_owned(),
        [one] => one.clone(),
        many if many.len() > 8 => counted(many.len(), "member"),
        many => many.join(" or "),
    }
}

fn plain<const N: usize>(head: [&str; N]) -> Table {
    let mut table = Table::new();
    table.load_preset(presets::NOTHING);
    table.set_header(head);
    table
}

/// The text with a line break at its end, unless it is empty.
fn ended(text: &str) -> String {
    let text = text.trim_end();
    if text.is_empty() { String::new() } else { format!("{text}\n") }
}

#[cfg(test)]
mod tests {
    use super::super::answer::DiffRow;
    use super::*;

    fn row(message: &str, place: Option<&str>) -> FindingRow {
        let (message, place) = (message.to_owned(), place.map(str::to_owned));
        FindingRow { is_error: true, field: None, place, message, hint: Some("mend it".to_owned()) }
    }

    fn plan(findings: Vec<FindingRow>) -> Plan {
        let lines = ["+a", "+", " ", "-  b  "].map(str::to_owned).to_vec();
        Plan {
            standing: "allowed".to_owned(),
            approvers: Vec::new(),
            summary: String::new(),
            findings,
            plan: String::new(),
            losses: vec!["a disk".to_owned()],
            locks_out: Vec::new(),
            diffs: vec![DiffRow { path: "servers/shop.toml".to_owned(), lines }],
            id: None,
        }
    }

    #[test]
    fn a_plan_shows_every_line_and_the_flag_that_it_needs() {
        let note = FindingRow { is_error: false, hint: None, ..row("so it is", None) };
        let warning = FindingRow { is_error: false, ..row("take care", Some("x.toml:1:1")) };
        let said = planned(&plan(vec![note, warning]));
        assert!(said.contains("servers/shop.toml\n+a\n+\n \n-  b  \n"), "{said}");
        assert!(said.contains("needs `--yes`"), "{said}");
        assert!(
            said.contains("note: so it is\n") && said.contains("warning: x.toml:1:1: take care\n"),
            "{said}"
        );
    }

    #[test]
    fn a_trouble_is_told_once_with_its_place_and_so_are_others_like_it() {
        let findings =
            vec![row("no such server", Some("a.toml:1:1")), row("no such server", Some("b.toml:1:1"))];
        let said = trouble(&Trouble::new("no such server", "mend it").about(plan(findings)));
        assert_eq!(said.matches("a.toml:1:1").count(), 1, "{said}");
        assert!(said.contains("error: b.toml:1:1: no such server\n"), "{said}");
        assert!(said.contains("\nerror: a.toml:1:1: no such server\n  hint: mend it\n"), "{said}");
    }
}
