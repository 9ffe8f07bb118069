//! Files in which the door tells the gate its public key, what has ended, and whom visitors ask. They are looked at several times a second.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use berth_wire::grant::{CONTACT_FILE, ENDED_FILE, Endings, KEY_FILE};
use tokio::sync::watch;
use tokio::time::{MissedTickBehavior, interval};

/// Time between two looks.
const LOOK: Duration = Duration::from_millis(100);

/// The door's word.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Told {
    /// Its public key; `None` until it has told one.
    pub(crate) key: Option<Arc<[u8]>>,
    /// Sessions and grants that have ended.
    pub(crate) ended: Arc<Endings>,
    /// The organisation's contact, where it names one.
    pub(crate) contact: Option<Arc<str>>,
}

/// The files, as they were read last.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Texts {
    key: Option<String>,
    ended: Option<String>,
    contact: Option<String>,
}

/// Reads the files for the first time.
pub(crate) fn first(folder: &Path) -> watch::Sender<Told> {
    watch::Sender::new(Texts::read(folder).told(&Told::default()))
}

/// Looks at the files again and again. One that is gone is as it was: nothing that has ended begins again.
pub(crate) async fn follow(folder: PathBuf, told: watch::Sender<Told>) {
    let mut texts = Texts::default();
    let mut looks = interval(LOOK);
    looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        looks.tick().await;
        let now = Texts::read(&folder);
        if now != texts {
            told.send_if_modified(|told| {
                let next = now.told(told);
                let changes = next != *told;
                *told = next;
                changes
            });
            texts = now;
        }
    }
}

impl Texts {
    fn read(folder: &Path) -> Self {
        // All are small, and lie in memory.
        let text = |name| fs::read_to_string(folder.join(name)).ok();
        Self { key: text(KEY_FILE), ended: text(ENDED_FILE), contact: text(CONTACT_FILE) }
    }

    fn told(&self, before: &Told) -> Told {
        let key = self.key.as_ref().and_then(|text| URL_SAFE_NO_PAD.decode(text.trim()).ok());
        Told {
            key: key.map(Arc::from).or_else(|| before.key.clone()),
            ended: match &self.ended {
                Some(text) => Arc::new(Endings::read(text)),
                None => Arc::clone(&before.ended),
            },
            contact: match &self.contact {
                Some(text) => Some(text.trim()).filter(|contact| !contact.is_empty()).map(Arc::from),
                None => before.contact.clone(),
            },
        }
    }
}
