//! The letter: title and text of a pull request, as people at the forge read them.
//!
//! Everything that a member could have written is made harmless: no mention, no link, no markup, and none of GitLab's commands,
//! which are lines that begin with `/`.

use std::fmt::Write as _;

use berth_judge::outgoing::Outgoing;
use berth_schema::text::{any_of, markdown, safe_line};

/// The longest title, in characters: all forges take so many.
const TITLE: usize = 200;

/// Bytes after which a list ends: with the plan, the text stays below the 65,536 characters that a forge takes.
const LIST: usize = 10_000;

/// The title: the commit's first line.
pub(crate) fn title(outgoing: &Outgoing) -> String {
    safe_line(&outgoing.record.title, TITLE)
}

/// The text: who asks, by which door, what the policy says, and the plan.
pub(crate) fn text(outgoing: &Outgoing, platform: &str, merges: bool) -> String {
    let record = &outgoing.record;
    let door = match record.door.as_str() {
        "ssh" => "over SSH",
        "api" => "by the API",
        _ => "in the panel",
    };
    let mut text = format!(
        "**{}** asks for this {door} of {}.\n\n",
        markdown(outgoing.user.as_str()),
        markdown(platform)
    );
    match (record.is_allowed, record.is_committed) {
        (true, true) if merges => {
            text.push_str("Berth’s policy allows it: it is theirs to change. Berth merges it by itself.\n");
        }
        (true, true) => text.push_str("Berth’s policy allows it: it is theirs to change.\n"),
        (true, false) => text.push_str(
            "Berth’s policy allows it: it is theirs to change. They would like somebody to look at it first.\n",
        ),
        (false, _) => {
            let who = markdown(&any_of(&record.approvers));
            let _ = writeln!(text, "Berth’s policy wants somebody’s consent: {who} may agree to it.");
        }
    }
    list(&mut text, "Berth says besides:", &record.findings);
    list(&mut text, "**This loses data:**", &record.losses);
    match record.plan.trim_end() {
        "" => text.push_str("\nNo container and no configuration changes by it.\n"),
        plan => {
            let fence = fence(plan);
            let _ = write!(
                text,
                "\nWhat Berth does then, as planned when it was asked for:\n\n{fence}text\n{plan}\n{fence}\n"
            );
        }
    }
    text
}

fn list(text: &mut String, head: &str, lines: &[String]) {
    if lines.is_empty() {
        return;
    }
    let _ = write!(text, "\n{head}\n\n");
    let begin = text.len();
    for (number, line) in lines.iter().enumerate() {
        if text.len() - begin > LIST {
            let _ = writeln!(text, "- … and {} more", lines.len() - number);
            return;
        }
        let _ = writeln!(text, "- {}", markdown(line));
    }
}

/// A fence that nothing in the text can end.
fn fence(text: &str) -> String {
    let longest = text.split(|c| c != '`').map(str::len).max().unwrap_or_default();
    "`".repeat(longest.max(2) + 1)
}

#[cfg(test)]
mod tests {
    use berth_judge::outgoing::Record;
    use berth_repo::Signature;
    use berth_schema::Revision;
    use berth_schema::testing::{harm, hostile_text};
    use proptest::prelude::*;

    use super::*;

    fn outgoing(record: Record) -> Outgoing {
        Outgoing {
            user: "bob".parse().unwrap(),
            topic: "server-shop".parse().unwrap(),
            commit: Revision::from_bytes([1; 20]),
            by: Signature::at("bob", "bob@hosting.example.org", 0),
            record,
        }
    }

    #[test]
    fn the_letter_says_who_asks_and_what_the_policy_says() {
        let plan = "+ create server shop (id 1)\n```\n/merge\n".to_owned();
        let record = Record {
            is_committed: true,
            is_allowed: true,
            plan,
            door: "ssh".to_owned(),
            ..Record::default()
        };
        let letter = text(&outgoing(record.clone()), "hosting.example.org", true);
        assert!(
            letter.starts_with("**bob** asks for this over SSH of hosting\\.example\\.org.\n"),
            "{letter}"
        );
        assert!(letter.contains("Berth merges it by itself"), "{letter}");
        assert!(letter.contains("\n````text\n+ create server shop (id 1)\n```\n/merge\n````\n"), "{letter}");
        let waits = Record {
            is_allowed: false,
            approvers: vec!["ann".parse().unwrap()],
            findings: vec!["@everyone has to agree".to_owned()],
            ..record
        };
        let letter = text(&outgoing(waits), "hosting.example.org", true);
        assert!(letter.contains("wants somebody’s consent: \\`ann\\` may agree to it."), "{letter}");
        assert!(!letter.contains("@everyone") && letter.contains("- \\@&#8203;everyone"), "{letter}");
    }

    #[test]
    fn the_longest_letter_is_one_that_a_forge_takes() {
        let lines = vec!["[*] ".repeat(100); 51];
        let (findings, losses, plan) = (lines.clone(), lines, "x".repeat(30_100));
        let letter = text(&outgoing(Record { findings, losses, plan, ..Record::default() }), "h.org", false);
        assert!(letter.chars().count() < 65_536, "{}", letter.chars().count());
        assert!(letter.contains("- … and "), "{letter}");
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        /// Checks that no line outside the plan is one that a forge would obey, and that nothing steers a terminal.
        #[test]
        fn no_letter_harms_its_reader(typed in hostile_text()) {
            let record = Record {
                title: typed.clone(),
                findings: vec![typed.clone()],
                losses: vec![typed],
                ..Record::default()
            };
            let outgoing = outgoing(record);
            let (title, letter) = (title(&outgoing), text(&outgoing, "hosting.example.org", false));
            prop_assert_eq!(harm(&title), None, "{}", title);
            prop_assert!(!title.contains('\n') && title.chars().count() <= TITLE, "{title}");
            prop_assert_eq!(harm(&letter), None, "{}", letter);
            for line in letter.lines() {
                prop_assert!(!line.trim_start().starts_with('/'), "{line}");
            }
        }
    }
}
