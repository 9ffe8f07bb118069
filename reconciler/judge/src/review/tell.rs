//! Proposals in words: for a terminal, for a comment, for a program.

use berth_plan::show;
use berth_repo::{CommitInfo, FileChange};
use berth_schema::Finding;
use berth_schema::brief::{Extent, FEW, LINES, split};
use berth_schema::door::Topic;
use berth_schema::name::UserName;
use berth_schema::report::{self, Look, report, report_of};
use berth_schema::text::{self, any_of, capital, safe};
use comfy_table::{Table, presets};
use jiff::Timestamp;
use serde_json::{Value, json};

use super::ReviewError;
use super::assess::{Assessment, Fit, Need};
use super::proposals::Proposal;

/// Every proposal in a table of so many lines; the rest is counted.
pub(super) fn table(found: &[(Proposal, Assessment)], lines: usize) -> String {
    if found.is_empty() {
        return "No proposals wait.\n".to_owned();
    }
    let mut table = Table::new();
    table.load_preset(presets::NOTHING);
    table.set_header(["TOPIC", "AUTHOR", "AGE", "VERDICT", "MERGE", "REVISION"]);
    // The head, and the line that says how to go on.
    let (shown, others) = split(found, lines.saturating_sub(2));
    for (proposal, assessment) in shown {
        table.add_row([
            proposal.topic.to_string(),
            author(proposal).to_owned(),
            proposal.opened.map_or_else(|| "?".to_owned(), age),
            assessment.need.word().to_owned(),
            fit(&assessment.fit).to_owned(),
            proposal.tip.short(),
        ]);
    }
    let more = match others {
        0 => String::new(),
        others => format!("… and {others} more, {} in all: `review list --all` lists them.\n", found.len()),
    };
    format!(
        "{}\n{more}Look with `review show <topic>`, agree with `review approve <topic> <revision>`.\n",
        table.trim_fmt()
    )
}

/// Lines that the parts of a proposal have in a text of two screens; its head has the rest.
mod room {
    pub(super) const COMMITS: usize = 10;
    pub(super) const FILES: usize = 15;
    pub(super) const FINDINGS: usize = 30;
    pub(super) const PLAN: usize = 30;
}

/// One proposal in two screens.
pub(super) fn brief(proposal: &Proposal, assessment: &Assessment, look: Look) -> String {
    let all = format!("`review show {} --all` shows everything", proposal.topic);
    let extent = |lines| Extent::Brief { lines, whole: &all };
    one(
        proposal,
        assessment,
        look,
        [room::COMMITS, room::FILES],
        [extent(room::FINDINGS), extent(room::PLAN)],
    )
}

/// One proposal, whole.
pub(super) fn whole(proposal: &Proposal, assessment: &Assessment, look: Look) -> String {
    one(proposal, assessment, look, [usize::MAX; 2], [Extent::Whole; 2])
}

/// One proposal, with so many lines for its commits and files, and its findings and its plan in this extent.
fn one(
    proposal: &Proposal,
    assessment: &Assessment,
    look: Look,
    [commits, files]: [usize; 2],
    [found, planned]: [Extent<'_>; 2],
) -> String {
    let mut text = format!("review/{} at {}\n", proposal.topic, proposal.tip.short());
    let opened = proposal.opened.map_or_else(String::new, |opened| format!(", {} ago", age(opened)));
    text.push_str(&format!("  opened by {}{opened}\n", author(proposal)));
    text.push_str(&format!("  {}\n", merges(&assessment.fit, |files| safe(files))));
    text.push_str(&format!("  {}\n", what_next(proposal, assessment)));
    if assessment.fit == Fit::Clean && assessment.need != Need::Refused {
        text.push_str(&format!("  to agree: review approve {} {}\n", proposal.topic, proposal.tip));
    }
    let row = |commit: &CommitInfo| {
        format!("  {} {} ({})", commit.revision.short(), safe(&commit.summary), safe(&commit.author.name))
    };
    text.push_str(&rows("Commits", &assessment.commits, commits, row));
    let row = |file: &FileChange| format!("  {} +{} -{}", safe(&file.path), file.added, file.removed);
    text.push_str(&rows("Files", &assessment.files, files, row));
    text.push('\n');
    text.push_str(&report_of(&assessment.findings, |path| source(assessment, path), look, found));
    text.push_str(&assessment.note);
    text.push_str(&plan(assessment, look, planned));
    text
}

/// Rows under a heading, in so many lines.
fn rows<T>(title: &str, all: &[T], lines: usize, row: impl Fn(&T) -> String) -> String {
    let (shown, others) = split(all, lines);
    let mut text = format!("\n{title}\n");
    shown.iter().for_each(|one| text.push_str(&format!("{}\n", row(one))));
    if others > 0 {
        text.push_str(&format!("  … and {others} more, {} in all\n", all.len()));
    }
    text
}

/// One proposal as a comment.
pub(super) fn markdown(proposal: &Proposal, assessment: &Assessment) -> String {
    let mut out = format!("### `review/{}` by {}\n\n", proposal.topic, author(proposal));
    out.push_str(&format!(
        "{}. {}.\n\n",
        capital(&merges(&assessment.fit, text::markdown)),
        capital(&what_next(proposal, assessment))
    ));
    let all = format!("`review show {} --all` shows everything", proposal.topic);
    let extent = Extent::Brief { lines: room::FINDINGS, whole: &all };
    let found = report_of(&assessment.findings, |path| source(assessment, path), Look::Plain, extent);
    if !found.is_empty() {
        // A fence longer than any in what it holds.
        let fence = "`".repeat(longest_run(&found).max(2) + 1);
        out.push_str(&format!("{fence}\n{}\n{fence}\n\n", found.trim_end()));
    }
    match &assessment.plan {
        Ok(plan) => out.push_str(&show::markdown(plan, show::Comment::Brief)),
        Err(why) => out.push_str(&format!("Not planned: {}.\n", text::markdown(why))),
    }
    out
}

/// One proposal for programs.
pub(super) fn json(proposal: &Proposal, assessment: &Assessment) -> Result<Value, ReviewError> {
    let plan = match &assessment.plan {
        Ok(plan) => serde_json::from_str::<Value>(&show::json(plan)?)?,
        Err(_) => Value::Null,
    };
    let mut value = row(proposal, assessment)?;
    let more = json!({
        "base": assessment.base,
        "commits": assessment.commits,
        "files": assessment.files,
        "findings": report::json(&assessment.findings),
        "plan": plan,
    });
    if let (Some(value), Value::Object(more)) = (value.as_object_mut(), more) {
        value.extend(more);
    }
    Ok(value)
}

/// Row of a proposal in a list for programs.
pub(super) fn row(proposal: &Proposal, assessment: &Assessment) -> Result<Value, ReviewError> {
    Ok(json!({
        "topic": proposal.topic,
        "tip": proposal.tip,
        "author": proposal.author,
        "opened": proposal.opened.and_then(|seconds| Timestamp::from_second(seconds).ok()),
        "standing": serde_json::to_value(&assessment.need)?,
        "merge": serde_json::to_value(&assessment.fit)?,
    }))
}

/// Tells what is wrong with a proposal that nobody can agree to.
pub(super) fn refusal(topic: &Topic, assessment: &Assessment) -> String {
    let found = report(&assessment.findings, |path| source(assessment, path), Look::Plain);
    format!(
        "{found}review/{topic} can't be merged into main as that is now. Its author can mend it and push it again; an admin who \
         wants it as it is makes the change in their own name"
    )
}

/// Tells somebody who agrees to a proposal what they lose by it themselves, and how to say that they know.
pub(super) fn unconfirmed(topic: &Topic, lockouts: &[Finding]) -> String {
    let lines: String = lockouts.iter().map(|found| format!("warning: {}\n", safe(&found.message))).collect();
    format!(
        "{lines}review/{topic} stays as it is. If that is meant, say so: `--allow-lockout` behind the rest of the command"
    )
}

/// Tells whoever pushes a proposal how it stands, without its findings.
pub(crate) fn proposed(
    topic: &Topic,
    author: Option<&UserName>,
    assessment: &Assessment,
    look: Look,
) -> String {
    let merge = match &assessment.fit {
        Fit::Clean => String::new(),
        other => format!("; it {}", merges(other, |files| safe(files))),
    };
    let next = match &assessment.need {
        Need::Own => match assessment.fit {
            Fit::Clean => "touches only what is yours, and merges itself".to_owned(),
            _ => "touches only what is yours".to_owned(),
        },
        Need::NeedsReview { approvers } => {
            let others: Vec<UserName> =
                approvers.iter().filter(|approver| Some(*approver) != author).cloned().collect();
            format!("needs review: {} may agree to it (`review show {topic}` says how)", any_of(&others))
        }
        Need::Refused => "is refused".to_owned(),
    };
    let hint = match assessment.fit {
        Fit::Conflicts { .. } => format!(
            "To mend that: `git fetch origin && git rebase origin/main`, then `git push --force origin HEAD:review/{topic}`.\n"
        ),
        _ => String::new(),
    };
    let all = format!("`review show {topic} --all` shows everything");
    let extent = Extent::Brief { lines: LINES / 2, whole: &all };
    format!("The proposal review/{topic} {next}{merge}.\n{hint}{}", plan(assessment, look, extent))
}

fn what_next(proposal: &Proposal, assessment: &Assessment) -> String {
    match &assessment.need {
        Need::Own => format!(
            "{} may change all of it; it merges itself when it is pushed and merges cleanly",
            author(proposal)
        ),
        Need::NeedsReview { approvers } => format!("needs review: {} may agree to it", any_of(approvers)),
        Need::Refused => "refused: nobody can agree to it as it is".to_owned(),
    }
}

/// `shown` makes the names of files harmless for the page that the clause goes to.
fn merges(fit: &Fit, shown: fn(&str) -> String) -> String {
    match fit {
        Fit::Clean => "merges cleanly into main".to_owned(),
        Fit::Landed => "is in main already".to_owned(),
        Fit::Conflicts { files } => format!("conflicts with main in {}", shown(&few(files))),
    }
}

/// The first few files, and how many more.
fn few(files: &[String]) -> String {
    let (shown, others) = split(files, FEW);
    let more = if others > 0 { format!(" and {others} more files") } else { String::new() };
    format!("{}{more}", shown.join(", "))
}

/// Names the way it merges in a word or two.
pub(crate) fn fit(fit: &Fit) -> &'static str {
    match fit {
        Fit::Clean => "clean",
        Fit::Landed => "in main",
        Fit::Conflicts { .. } => "conflicts",
    }
}

/// Changes that a proposal would make on the engine.
pub(crate) fn plan(assessment: &Assessment, look: Look, extent: Extent<'_>) -> String {
    match &assessment.plan {
        Ok(plan) => {
            let colour = match look {
                Look::Plain => show::Colour::Never,
                Look::Coloured => show::Colour::Always,
            };
            let text = show::text(plan, &show::Style { colour, extent, ..show::Style::default() });
            format!("Planned from state to state; the engine wasn't asked.\n{text}")
        }
        Err(why) => format!("Not planned: {}.\n", safe(why)),
    }
}

fn source<'a>(assessment: &'a Assessment, path: &str) -> Option<&'a str> {
    assessment.sources.get(path).map(String::as_str)
}

fn author(proposal: &Proposal) -> &str {
    proposal.author.as_ref().map_or("(the repository's files)", UserName::as_str)
}

fn longest_run(text: &str) -> usize {
    text.split(|c| c != '`').map(str::len).max().unwrap_or(0)
}

/// Time since a moment, roughly.
pub(crate) fn age(seconds: i64) -> String {
    let passed = Timestamp::now().as_second().saturating_sub(seconds).max(0);
    let (number, unit) = match passed {
        0..60 => (passed, "s"),
        60..3600 => (passed / 60, "min"),
        3600..86_400 => (passed / 3600, "h"),
        _ => (passed / 86_400, "d"),
    };
    format!("{number} {unit}")
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use berth_repo::{Revision, Signature};
    use berth_schema::name::Invalid;
    use berth_schema::testing::{harm, hostile_text};
    use berth_schema::{Position, Severity};
    use proptest::prelude::*;

    use super::super::answer::lines;
    use super::*;

    fn proposal() -> Proposal {
        let tip = Revision::from_bytes([10; 20]);
        Proposal { topic: "shop".parse().unwrap(), tip, author: "ann".parse().ok(), opened: Some(0) }
    }

    /// An assessment in which everything that somebody may have typed is `typed`.
    fn assessment(typed: &str, need: Need) -> Assessment {
        let by = Signature::at(typed, typed, 0);
        let position = Some(Position { line: 1, column: 2 });
        let finding = |position| Finding::new(Severity::Error, typed, position, Invalid::new(typed, typed));
        Assessment {
            base: None,
            fit: Fit::Conflicts { files: vec![typed.to_owned(), typed.to_owned()] },
            need,
            findings: vec![finding(None), finding(position)],
            sources: HashMap::from([(typed.to_owned(), format!("{}\n", typed.replace('\n', "")))]),
            plan: Err(typed.to_owned()),
            files: vec![FileChange { path: typed.to_owned(), added: 1, removed: 0 }],
            commits: vec![CommitInfo {
                revision: Revision::from_bytes([10; 20]),
                parents: Vec::new(),
                author: by.clone(),
                committer: by,
                summary: typed.to_owned(),
                message: typed.to_owned(),
                trailers: vec![(typed.to_owned(), typed.to_owned())],
            }],
            span: None,
            states: None,
            note: String::new(),
        }
    }

    /// Everything that is told of a proposal in text.
    fn pages(typed: &str, look: Look) -> Vec<String> {
        let (proposal, assessment) = (proposal(), assessment(typed, Need::Refused));
        vec![
            brief(&proposal, &assessment, look),
            whole(&proposal, &assessment, look),
            markdown(&proposal, &assessment),
            refusal(&proposal.topic, &assessment),
            proposed(&proposal.topic, proposal.author.as_ref(), &assessment, look),
            plan(&assessment, look, Extent::Whole),
            table(&[(proposal, assessment)], LINES),
        ]
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        /// Checks that nothing of a proposal acts on the page where somebody decides about it, or begins a line there.
        #[test]
        fn no_proposal_harms_its_reviewer(typed in hostile_text()) {
            let typed = format!("x{typed}x");
            for (page, usual) in pages(&typed, Look::Plain).iter().zip(pages("xx", Look::Plain)) {
                prop_assert_eq!(harm(page), None, "{}", page);
                prop_assert_eq!(page.lines().count(), usual.lines().count(), "{}", page);
            }
            let escape = '\u{1b}';
            for (page, usual) in pages(&typed, Look::Coloured).iter().zip(pages("xx", Look::Coloured)) {
                prop_assert_eq!(page.matches(escape).count(), usual.matches(escape).count(), "{}", page);
                let uncoloured = page.replace(escape, "");
                prop_assert_eq!(harm(&uncoloured), None, "{}", page);
            }
        }

        /// Checks that a comment is text and one block of findings, which nothing in it ends.
        #[test]
        fn no_proposal_is_markup_in_a_comment(typed in hostile_text()) {
            let typed = format!("x{typed}x");
            let page = markdown(&proposal(), &assessment(&typed, Need::Refused));
            let fences = page.lines().filter(|line| line.len() > 2 && line.chars().all(|c| c == '`'));
            let fence = fences.max_by_key(|line| line.len()).unwrap_or_default();
            let parts: Vec<&str> = page.split(fence).collect();
            prop_assert_eq!(parts.len(), 3, "{}", page);
            prop_assert!(!parts[0].contains('<') && !parts[2].contains('<'), "{page}");
        }

        /// Checks that a program reads of a proposal what was written, and a terminal shows it without harm.
        #[test]
        fn no_proposal_harms_whoever_prints_its_json(typed in hostile_text()) {
            let value = json(&proposal(), &assessment(&typed, Need::Refused)).unwrap();
            let page = lines(&value).unwrap();
            prop_assert_eq!(harm(&page), None, "{}", page);
            prop_assert_eq!(serde_json::from_str::<Value>(&page).unwrap(), value);
        }
    }
}
