//! The ledger: when mails were sent, so that nobody gets too many and the server isn't flooded. It outlives a restart.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use crate::settings::Pace;
use crate::trouble::MailError;

/// Name of its file.
const FILE: &str = "ledger.json";

/// Mails that were sent within the window.
#[derive(Debug)]
pub(crate) struct Ledger {
    path: PathBuf,
    sent: Vec<Sent>,
}

/// A mail that was sent, or handed to the server without an answer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Sent {
    at: Timestamp,
    to: String,
}

impl Ledger {
    /// The ledger in a folder. One that makes no sense is empty, which the log tells.
    pub(crate) fn open(folder: &Path) -> Result<Self, MailError> {
        let path = folder.join(FILE);
        let sent = match fs::read(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Vec::new(),
            Err(source) => return Err(MailError::Folder { path, source }),
            Ok(text) => serde_json::from_slice(&text).unwrap_or_else(|error| {
                tracing::warn!(path = %path.display(), %error, "the ledger of mails makes no sense; it begins anew");
                Vec::new()
            }),
        };
        Ok(Self { path, sent })
    }

    /// Returns whether another mail to this address keeps within the bounds.
    pub(crate) fn has_room(&mut self, to: &str, now: Timestamp, pace: &Pace) -> bool {
        let window = SignedDuration::try_from(pace.window).unwrap_or(SignedDuration::MAX);
        // One from the future is of a clock that was wrong.
        self.sent.retain(|sent| sent.at <= now && now.duration_since(sent.at) < window);
        let to_them = self.sent.iter().filter(|sent| sent.to.eq_ignore_ascii_case(to)).count();
        self.sent.len() < pace.altogether && to_them < pace.each
    }

    /// Counts a mail.
    pub(crate) fn count(&mut self, to: &str, now: Timestamp) -> Result<(), MailError> {
        self.sent.push(Sent { at: now, to: to.to_owned() });
        let text = serde_json::to_vec(&self.sent).map_err(io::Error::other);
        let written = text.and_then(|text| berth_host::file::replace(&self.path, &text, 0o600));
        written.map_err(|source| MailError::Folder { path: self.path.clone(), source })
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test says what it expects by unwrapping it")]

    use super::*;

    #[test]
    fn nobody_gets_too_many_and_a_restart_forgets_none() {
        let home = tempfile::tempdir().unwrap();
        let pace = Pace { each: 2, altogether: 3, ..Pace::default() };
        let (start, minute) = (Timestamp::UNIX_EPOCH, |n: i64| SignedDuration::from_mins(n));
        let open = || Ledger::open(home.path()).unwrap();
        for n in 0..2 {
            assert!(open().has_room("ann@x.org", start, &pace));
            open().count("ann@x.org", start + minute(n)).unwrap();
        }
        let later = start + minute(2);
        assert!(!open().has_room("Ann@x.org", later, &pace) && open().has_room("bob@x.org", later, &pace));
        open().count("bob@x.org", later).unwrap();
        assert!(!open().has_room("cyn@x.org", later, &pace), "altogether");
        assert!(open().has_room("ann@x.org", start + minute(60), &pace), "an hour after the first");
        assert!(!open().has_room("cyn@x.org", start + minute(59), &pace));
        fs::write(home.path().join(FILE), "{").unwrap();
        assert!(open().has_room("ann@x.org", later, &pace));
    }
}
