//! Mails in `berth status`. What is known of them are a server's words, so they are shown as a stranger's.

use berth_repo::StateRepo;
use berth_schema::text::{counted, safe, safe_line};
use berth_wire::mail::{LostMail, MailFailure, MailStanding, whom};

use super::certificate::moment;
use crate::settings::Settings;
use crate::source;

/// Letters given up that are told.
const TOLD: usize = 3;
/// Characters of a reason.
const WORDS: usize = 300;

/// Reads what is known of them, where `main` has Berth send mails.
pub(super) fn standing(settings: &Settings) -> Option<MailStanding> {
    let platform = source::platform(&StateRepo::open(&settings.state).ok()?)?;
    let mail = platform.mail.as_ref()?;
    let server = format!("{}:{}", mail.server, mail.port());
    let told = MailStanding::read(&settings.mail_folder()).filter(|told| told.server == server);
    Some(told.unwrap_or_else(|| MailStanding { server, ..MailStanding::default() }))
}

/// Mails in a few lines.
pub(super) fn lines(standing: &MailStanding) -> Vec<String> {
    let MailStanding { server, waiting, sent, failed, lost, unreadable } = standing;
    let last = match sent {
        Some(at) => format!("the last mail went at {} UTC", moment(*at)),
        None => "no mail has gone yet".to_owned(),
    };
    let mut lines = vec![format!("mail by {}: {last}, {} waiting", safe(server), counted(waiting, "mail"))];
    if let Some(MailFailure { why, at, again }) = failed {
        lines.push(format!("  it can't be sent: {}", safe_line(why, WORDS)));
        lines.push(format!("  last tried at {} UTC, tried again at {} UTC", moment(*at), moment(*again)));
        lines.push("  hint: `berth mail test <address>` tries it at once, and says what to do".to_owned());
    }
    for LostMail { user, to, why, at } in lost.iter().rev().take(TOLD) {
        let (user, to, why) = (safe(whom(user.as_ref())), safe(to), safe_line(why, WORDS));
        lines.push(format!("  given up at {} UTC, to {user} at {to}: {why}", moment(*at)));
    }
    for path in unreadable.iter().take(TOLD) {
        lines.push(format!("  no letter, so it was put aside: {}", safe(path.display())));
    }
    if !unreadable.is_empty() {
        lines.push(
            "  hint: the log of `berth mail` says what is wrong with it; remove it, or mend it and call it `.json` again".to_owned(),
        );
    }
    lines
}

/// A standing in which everything that somebody may have typed is `typed`.
#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test says what it expects by unwrapping it")]
pub(super) fn hostile(typed: String) -> MailStanding {
    let at = jiff::Timestamp::UNIX_EPOCH;
    MailStanding {
        server: typed.clone(),
        waiting: 2,
        sent: None,
        failed: Some(MailFailure { why: typed.clone(), at, again: at }),
        lost: vec![LostMail { user: "ann".parse().ok(), to: typed.clone(), why: typed.clone(), at }],
        unreadable: vec![typed.into()],
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_wrong_is_told_with_what_to_do() {
        let mut standing = hostile("x".to_owned());
        assert_eq!(
            lines(&standing).join("\n"),
            "mail by x: no mail has gone yet, 2 mails waiting\n  it can't be sent: x\n  \
             last tried at 1970-01-01 00:00:00 UTC, tried again at 1970-01-01 00:00:00 UTC\n  \
             hint: `berth mail test <address>` tries it at once, and says what to do\n  \
             given up at 1970-01-01 00:00:00 UTC, to ann at x: x\n  \
             no letter, so it was put aside: x\n  \
             hint: the log of `berth mail` says what is wrong with it; remove it, or mend it and call it `.json` again"
        );
        standing = MailStanding {
            waiting: 0,
            sent: Some(jiff::Timestamp::UNIX_EPOCH),
            failed: None,
            lost: Vec::new(),
            unreadable: Vec::new(),
            ..standing
        };
        assert_eq!(
            lines(&standing),
            ["mail by x: the last mail went at 1970-01-01 00:00:00 UTC, 0 mails waiting"]
        );
    }
}
