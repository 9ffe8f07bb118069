//! Settings: what `platform.toml` says, and the places of this host.

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use berth_schema::mail::Mail;
use berth_schema::name::Fqdn;
use berth_schema::platform::Organisation;
use berth_secrets::Secrets;
use berth_wire::mail::{LostMail, Spool};

/// Server, spool and words of the platform's mails.
#[derive(Clone)]
pub struct MailSettings {
    /// The server.
    pub mail: Mail,
    /// Organisation whose mails they are.
    pub organisation: Organisation,
    /// The platform's domain.
    pub domain: Fqdn,
    /// Letters that wait.
    pub spool: Spool,
    /// Folder of what it keeps of its own.
    pub folder: PathBuf,
    /// The secrets of this host.
    pub secrets: Secrets,
    /// Folder whose templates replace the embedded ones.
    pub templates: Option<PathBuf>,
    /// Pace and bounds.
    pub pace: Pace,
    /// Told of each letter that is given up.
    pub on_lost: Arc<dyn Fn(&LostMail) + Send + Sync>,
}

/// Pace and bounds of sending.
#[derive(Debug, Clone, Copy)]
pub struct Pace {
    /// Time between two looks into the spool.
    pub look: Duration,
    /// Time for the server to answer, at each step that isn't named below.
    pub answer: Duration,
    /// Time for it to say whether it takes mail for somebody, and then the mail. It may ask others first (RFC 5321, 4.5.3.2).
    pub recipient: Duration,
    /// Time for it to take a mail that it has whole.
    pub taking: Duration,
    /// Time for a mail that is being sent when this process is asked to end.
    pub ending: Duration,
    /// Wait after the first failure. The next are twice as long each.
    pub first: Duration,
    /// The longest wait.
    pub longest: Duration,
    /// Time after which a letter is given up.
    pub give_up: Duration,
    /// Time in which mails are counted.
    pub window: Duration,
    /// The most mails to one address in that time.
    pub each: usize,
    /// The most mails in that time.
    pub altogether: usize,
}

impl Pace {
    /// Time for a mail that is being sent at the end, in a platform. Whoever ends the process waits for longer.
    pub const ENDING: Duration = Duration::from_secs(60);
}

impl Default for Pace {
    fn default() -> Self {
        let minutes = |minutes: u64| Duration::from_secs(minutes * 60);
        Self {
            look: Duration::from_secs(2),
            answer: minutes(1),
            recipient: minutes(5),
            taking: minutes(10),
            ending: Self::ENDING,
            first: minutes(1),
            longest: minutes(60),
            give_up: minutes(24 * 60),
            window: minutes(60),
            each: 6,
            altogether: 300,
        }
    }
}

impl fmt::Debug for MailSettings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { mail, domain, spool, folder, pace, .. } = self;
        let mut shown = f.debug_struct("MailSettings");
        shown.field("mail", mail).field("domain", domain).field("spool", spool);
        shown.field("folder", folder).field("pace", pace).finish_non_exhaustive()
    }
}
