//! Proposals in words: for a terminal, for a comment, for a program.

use berth_plan::show;
use berth_schema::door::Topic;
use berth_schema::name::UserName;
use berth_schema::report::{self, Look, report};
use comfy_table::{Table, presets};
use jiff::Timestamp;
use serde_json::{Value, json};

use super::ReviewError;
use super::assess::{Assessment, Fit, Standing};
use super::proposals::Proposal;

/// Every proposal in a table.
pub(super) fn table(found: &[(Proposal, Assessment)]) -> String {
    if found.is_empty() {
        return "No proposals wait.\n".to_owned();
    }
    let mut table = Table::new();
    table.load_preset(presets::NOTHING);
    table.set_header(["TOPIC", "AUTHOR", "AGE", "VERDICT", "MERGE", "REVISION"]);
    for (proposal, assessment) in found {
        table.add_row([
            proposal.topic.to_string(),
            author(proposal).to_owned(),
            proposal.opened.map_or_else(|| "?".to_owned(), age),
            assessment.standing.word().to_owned(),
            fit(&assessment.fit).to_owned(),
            proposal.tip.short(),
        ]);
    }
    format!(
        "{}\nLook with `review show <topic>`, agree with `review approve <topic> <revision>`.\n",
        table.trim_fmt()
    )
}

/// One proposal, whole.
pub(super) fn whole(proposal: &Proposal, assessment: &Assessment, look: Look) -> String {
    let mut text = format!("review/{} at {}\n", proposal.topic, proposal.tip.short());
    let opened = proposal.opened.map_or_else(String::new, |opened| format!(", {} ago", age(opened)));
    text.push_str(&format!("  opened by {}{opened}\n", author(proposal)));
    text.push_str(&format!("  {}\n", merges(&assessment.fit)));
    text.push_str(&format!("  {}\n", what_next(proposal, assessment)));
    if assessment.fit == Fit::Clean && assessment.standing != Standing::Refused {
        text.push_str(&format!("  to agree: review approve {} {}\n", proposal.topic, proposal.tip));
    }
    text.push_str("\nCommits\n");
    for commit in &assessment.commits {
        text.push_str(&format!(
            "  {} {} ({})\n",
            commit.revision.short(),
            plain(&commit.summary),
            plain(&commit.author.name)
        ));
    }
    text.push_str("\nFiles\n");
    for file in &assessment.files {
        text.push_str(&format!("  {} +{} -{}\n", plain(&file.path), file.added, file.removed));
    }
    text.push('\n');
    text.push_str(&findings(assessment, look));
    text.push_str(&assessment.note);
    text.push_str(&plan(assessment, look));
    text
}

/// One proposal as a comment.
pub(super) fn markdown(proposal: &Proposal, assessment: &Assessment) -> String {
    let mut text = format!("### `review/{}` by {}\n\n", proposal.topic, author(proposal));
    text.push_str(&format!(
        "{}. {}.\n\n",
        capital(&merges(&assessment.fit)),
        capital(&what_next(proposal, assessment))
    ));
    let found = report(&assessment.findings, |path| source(assessment, path), Look::Plain);
    if !found.is_empty() {
        // A fence longer than any in what it holds.
        let fence = "`".repeat(longest_run(&found).max(2) + 1);
        text.push_str(&format!("{fence}\n{}\n{fence}\n\n", found.trim_end()));
    }
    match &assessment.plan {
        Ok(plan) => text.push_str(&show::markdown(plan)),
        Err(why) => text.push_str(&format!("Not planned: {why}.\n")),
    }
    text
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

/// What a list for programs says of a proposal.
pub(super) fn row(proposal: &Proposal, assessment: &Assessment) -> Result<Value, ReviewError> {
    Ok(json!({
        "topic": proposal.topic,
        "tip": proposal.tip,
        "author": proposal.author,
        "opened": proposal.opened.and_then(|seconds| Timestamp::from_second(seconds).ok()),
        "standing": serde_json::to_value(&assessment.standing)?,
        "merge": serde_json::to_value(&assessment.fit)?,
    }))
}

/// What is wrong with a proposal that nobody can agree to.
pub(super) fn refusal(topic: &Topic, assessment: &Assessment) -> String {
    let found = report(&assessment.findings, |path| source(assessment, path), Look::Plain);
    format!(
        "{found}review/{topic} can't be merged into main as that is now. Its author can mend it and push it again; an admin who \
         wants it as it is makes the change in their own name"
    )
}

/// What whoever pushes a proposal is told about it, without its findings.
pub(crate) fn proposed(
    topic: &Topic,
    author: Option<&UserName>,
    assessment: &Assessment,
    look: Look,
) -> String {
    let merge = match &assessment.fit {
        Fit::Clean => String::new(),
        other => format!("; it {}", merges(other)),
    };
    let next = match &assessment.standing {
        Standing::Own => match assessment.fit {
            Fit::Clean => "touches only what is yours, and merges itself".to_owned(),
            _ => "touches only what is yours".to_owned(),
        },
        Standing::NeedsReview { approvers } => {
            let others: Vec<UserName> =
                approvers.iter().filter(|approver| Some(*approver) != author).cloned().collect();
            format!("needs review: {} may agree to it (`review show {topic}` says how)", named(&others))
        }
        Standing::Refused => "is refused".to_owned(),
    };
    let hint = match assessment.fit {
        Fit::Conflicts { .. } => format!(
            "To mend that: `git fetch origin && git rebase origin/main`, then `git push --force origin HEAD:review/{topic}`.\n"
        ),
        _ => String::new(),
    };
    format!("The proposal review/{topic} {next}{merge}.\n{hint}{}", plan(assessment, look))
}

/// "`ann` or `rasa`", or who else can help where there is no admin.
pub(super) fn named(approvers: &[UserName]) -> String {
    /// Where there are more, a few are enough to ask.
    const NAMED: usize = 3;
    let names: Vec<String> = approvers.iter().take(NAMED).map(|name| format!("`{name}`")).collect();
    match names.split_last() {
        None => "whoever runs the platform".to_owned(),
        Some((last, [])) => last.clone(),
        Some((last, others)) => format!("{} or {last}", others.join(", ")),
    }
}

fn what_next(proposal: &Proposal, assessment: &Assessment) -> String {
    match &assessment.standing {
        Standing::Own => format!(
            "{} may change all of it; it merges itself when it is pushed and merges cleanly",
            author(proposal)
        ),
        Standing::NeedsReview { approvers } => format!("needs review: {} may agree to it", named(approvers)),
        Standing::Refused => "refused: nobody can agree to it as it is".to_owned(),
    }
}

fn merges(fit: &Fit) -> String {
    match fit {
        Fit::Clean => "merges cleanly into main".to_owned(),
        Fit::Landed => "is in main already".to_owned(),
        Fit::Conflicts { files } => format!("conflicts with main in {}", plain(&files.join(", "))),
    }
}

fn fit(fit: &Fit) -> &'static str {
    match fit {
        Fit::Clean => "clean",
        Fit::Landed => "in main",
        Fit::Conflicts { .. } => "conflicts",
    }
}

fn findings(assessment: &Assessment, look: Look) -> String {
    report(&assessment.findings, |path| source(assessment, path), look)
}

/// What a proposal would change on the engine.
pub(super) fn plan(assessment: &Assessment, look: Look) -> String {
    match &assessment.plan {
        Ok(plan) => {
            let colour = match look {
                Look::Plain => show::Colour::Never,
                Look::Coloured => show::Colour::Always,
            };
            let text = show::text(plan, &show::Style { colour, ..show::Style::default() });
            format!("Planned from state to state; the engine wasn't asked.\n{text}")
        }
        Err(why) => format!("Not planned: {why}.\n"),
    }
}

fn source<'a>(assessment: &'a Assessment, path: &str) -> Option<&'a str> {
    assessment.sources.get(path).map(String::as_str)
}

fn author(proposal: &Proposal) -> &str {
    proposal.author.as_ref().map_or("(the repository's files)", UserName::as_str)
}

/// What others wrote into a commit, without anything that a terminal obeys.
fn plain(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { '\u{fffd}' } else { c }).collect()
}

fn capital(text: &str) -> String {
    let mut rest = text.chars();
    rest.next().map_or_else(String::new, |first| first.to_uppercase().chain(rest).collect())
}

fn longest_run(text: &str) -> usize {
    text.split(|c| c != '`').map(str::len).max().unwrap_or(0)
}

/// How long ago a moment was, roughly.
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
