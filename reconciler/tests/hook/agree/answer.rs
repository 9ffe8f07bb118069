//! Answers of the doors, made comparable.

use std::collections::BTreeSet;

use berth_judge::hook::Judgement;

/// Answer of a door.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Answer {
    pub(super) verdict: Word,
    /// The findings' messages.
    pub(super) reasons: BTreeSet<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Word {
    Allow,
    Review,
    /// Once its author says that they know what they lose by it.
    Confirm,
    Deny,
}

/// Words in every reason of a lockout.
pub(super) const LOCKOUT: &str = "after this change of their own";

/// The findings' messages of what a door says.
pub(super) fn reasons(text: &str) -> BTreeSet<String> {
    let reason = |line: &str| {
        let message = line.strip_prefix("error: ").or_else(|| line.strip_prefix("warning: "));
        message.map(str::to_owned)
    };
    text.lines().filter_map(reason).collect()
}

/// Answer to a push to main.
pub(super) fn of_main(judgement: &Judgement) -> Answer {
    let verdict = match judgement.accepted {
        true => Word::Allow,
        false if judgement.text.contains("Somebody else has to agree to this.") => Word::Review,
        false if judgement.text.contains(LOCKOUT) => Word::Confirm,
        false => Word::Deny,
    };
    Answer { verdict, reasons: reasons(&judgement.text) }
}
