//! Settings: what `platform.toml` says, and the places of this host.

use std::fmt;
use std::path::PathBuf;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use berth_schema::alarms::Alarms;
use berth_secrets::Secrets;
use berth_wire::mail::Spool;

use crate::sight::Sight;

/// Looks at how things are.
pub type Look = Arc<dyn Fn() -> Pin<Box<dyn Future<Output = Sight> + Send>> + Send + Sync>;

/// Rules, targets and places of a platform's alarms.
#[derive(Clone)]
pub struct AlarmSettings {
    /// The rules and the targets.
    pub rules: Alarms,
    /// The platform's prefix.
    pub platform: String,
    /// Its domain.
    pub domain: String,
    /// Name of the organisation.
    pub title: String,
    /// Address of the panel, where there is one.
    pub panel: Option<String>,
    /// Set if the platform sends mails.
    pub sends_mail: bool,
    /// Folder of what is kept here.
    pub folder: PathBuf,
    /// The secrets of this host.
    pub secrets: Secrets,
    /// Letters that wait.
    pub spool: Spool,
    /// Pace and bounds.
    pub pace: Pace,
}

/// Pace and bounds.
#[derive(Debug, Clone, Copy)]
pub struct Pace {
    /// Time between two looks.
    pub look: Duration,
    /// Time from the first of several alarms to the message, so that what begins together is told together.
    pub gather: Duration,
    /// Time between two messages about the same.
    pub apart: Duration,
    /// Time for which something has to be gone until it is over.
    pub rest: Duration,
    /// Time for a target to answer.
    pub answer: Duration,
    /// Wait after the first failure. The next are twice as long each.
    pub first: Duration,
    /// The longest wait.
    pub longest: Duration,
    /// Time after which a message is given up.
    pub give_up: Duration,
    /// The most messages that wait.
    pub most: usize,
}

impl Default for Pace {
    fn default() -> Self {
        let minutes = |minutes: u64| Duration::from_secs(minutes * 60);
        Self {
            look: Duration::from_secs(5),
            gather: Duration::from_secs(15),
            apart: minutes(60),
            rest: minutes(1),
            answer: Duration::from_secs(20),
            first: Duration::from_secs(30),
            longest: minutes(60),
            give_up: minutes(24 * 60),
            most: 200,
        }
    }
}

impl fmt::Debug for AlarmSettings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { rules, platform, folder, pace, .. } = self;
        let mut shown = f.debug_struct("AlarmSettings");
        shown.field("rules", rules).field("platform", platform).field("folder", folder);
        shown.field("pace", pace).finish_non_exhaustive()
    }
}
