//! Keeps the spool empty: sends what is due, waits longer each time that it can't, and gives up after a day.
//!
//! Never sends a letter twice: one is marked before all of it travels, and the mark outlives this process. Where nobody knows whether the
//! server took it, it isn't sent again; the people who can look are told.

use std::fs::{self, DirBuilder};
use std::os::unix::fs::DirBuilderExt as _;
use std::path::PathBuf;
use std::time::{Duration, SystemTime};

use berth_fault::chain;
use berth_host::Waits;
use berth_schema::text::safe_line;
use berth_tasks::{TaskError, Tasks};
use berth_wire::mail::{Kept, LostMail, MailFailure, MailStanding, masked};
use jiff::{SignedDuration, Timestamp};
use tokio::task::block_in_place;
use tokio::time::{MissedTickBehavior, interval, sleep};

use crate::deliver::Connection;
use crate::ledger::Ledger;
use crate::message::of_letter_in;
use crate::settings::MailSettings;
use crate::trouble::{MailError, Reached};

/// Characters of a failure that are kept.
const WORDS: usize = 300;
/// Files put aside that are told.
const ASIDE: usize = 10;
/// Letters given up that are remembered.
const LOST: usize = 10;

/// Sends what comes into the spool until `tasks` are asked to end. A letter that a server takes just then has `Pace::ending` to be
/// finished; after that, the next process tells that nobody knows whether it has arrived.
pub async fn run(settings: MailSettings, tasks: &Tasks) -> Result<(), TaskError> {
    let (stop, pulse) = (tasks.stop().clone(), tasks.pulse().clone());
    tasks.keep("the mails", async move {
        let mut keeper = Keeper::new(settings);
        let mut looks = interval(keeper.settings.pace.look);
        looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                _ = pulse.wait(looks.tick()) => {}
                () = stop.cancelled() => return,
            }
            let (pace, is_ending) = (keeper.settings.pace, || stop.is_cancelled());
            tokio::select! {
                () = keeper.look(&is_ending) => {}
                // Whatever the server is waited for then: a letter that was begun is marked, and any other only waits.
                () = async { stop.cancelled().await; sleep(pace.ending).await } => return,
            }
        }
    });
    tasks.stop().cancelled().await;
    tasks.end().await
}

/// Keeper of the spool.
struct Keeper {
    settings: MailSettings,
    standing: MailStanding,
    told: Option<MailStanding>,
    waits: Waits,
    /// End of the wait in which nothing is sent, after a failure of the server's.
    until: Option<Timestamp>,
    /// Time at which the password was stored that was tried last.
    tried: Option<SystemTime>,
}

impl Keeper {
    fn new(settings: MailSettings) -> Self {
        let server = format!("{}:{}", settings.mail.server, settings.mail.port());
        let before = MailStanding::read(&settings.folder).unwrap_or_default();
        // Another server, or another password: whatever failed, it is worth a try at once.
        let standing = MailStanding { server, failed: None, ..before };
        let waits = Waits::new(settings.pace.first, settings.pace.longest);
        Self { settings, standing, told: None, waits, until: None, tried: None }
    }

    /// Sends what is due, and tells how things are.
    async fn look(&mut self, is_ending: &(dyn Fn() -> bool + Sync)) {
        if let Err(error) = self.pass(is_ending).await {
            self.fails(&error);
        }
        if self.told.as_ref() != Some(&self.standing) {
            match block_in_place(|| self.standing.write(&self.settings.folder)) {
                Ok(()) => self.told = Some(self.standing.clone()),
                Err(error) => tracing::error!(%error, "how mails stand can't be told"),
            }
        }
    }

    async fn pass(&mut self, is_ending: &(dyn Fn() -> bool + Sync)) -> Result<(), MailError> {
        let folder = &self.settings.folder;
        let made = DirBuilder::new().recursive(true).mode(0o700).create(folder);
        made.map_err(|source| MailError::Folder { path: folder.clone(), source })?;
        let mut waiting = Vec::new();
        for kept in self.all()? {
            match self.fate(&kept) {
                Some(error) => self.lose(&kept, &error)?,
                None => waiting.push(kept),
            }
        }
        self.standing.waiting = waiting.len();
        self.standing.unreadable = self.aside()?;
        let now = Timestamp::now();
        if self.is_waiting(now) {
            return Ok(());
        }
        self.tried = self.stored();
        let mut ledger = Ledger::open(&self.settings.folder)?;
        let pace = self.settings.pace;
        let mut due: Vec<Kept> = waiting.into_iter().filter(|kept| kept.again <= now).collect();
        if due.is_empty() {
            return Ok(());
        }
        // One that the connection broke at before holds up no other.
        due.sort_by_key(|kept| kept.tries);
        let settings = self.settings.clone();
        let mut connection: Option<Connection<'_>> = None;
        let (mut failed, mut broken, mut is_heard) = (None, None, false);
        for kept in due {
            if is_ending() {
                break;
            }
            if !ledger.has_room(&kept.letter.to, Timestamp::now(), &pace) {
                continue;
            }
            let mut open = match connection.take() {
                Some(open) => open,
                None => Connection::open(&settings).await?,
            };
            match self.send(&mut open, &mut ledger, kept).await {
                Ok(Goes::On) => (connection, is_heard) = (Some(open), true),
                Ok(Goes::Anew) => is_heard = true,
                Ok(Goes::Broken { failure, was_slow }) => {
                    broken = Some(failure);
                    // Each may take minutes. Whatever has come meanwhile goes before those that the server was slow at.
                    if was_slow {
                        break;
                    }
                }
                Err(error) => {
                    failed = Some(error);
                    break;
                }
            }
        }
        if let Some(open) = connection {
            open.close().await;
        }
        match (failed, broken) {
            (Some(error), _) => Err(error),
            // Each letter has its own wait, and others needn't be as unlucky; but whoever can look has to know.
            (None, Some(failure)) if !is_heard => {
                self.tell(failure);
                Ok(())
            }
            (None, _) => Ok(()),
        }
    }

    /// Returns whether the wait after a failure of the server's isn't over yet. Another password is worth a try at once, also one that was stored while the
    /// last one was tried.
    fn is_waiting(&self, now: Timestamp) -> bool {
        let is_early = self.until.is_some_and(|until| now < until);
        is_early && self.tried == self.stored()
    }

    /// Time at which the password was stored.
    fn stored(&self) -> Option<SystemTime> {
        let path = self.settings.secrets.path(&self.settings.mail.secret);
        fs::metadata(path).and_then(|found| found.modified()).ok()
    }

    fn all(&self) -> Result<Vec<Kept>, MailError> {
        let failed = |source| MailError::Folder { path: self.settings.folder.clone(), source };
        block_in_place(|| self.settings.spool.all()).map_err(failed)
    }

    /// The files that are no letters, as many of them as are told.
    fn aside(&self) -> Result<Vec<PathBuf>, MailError> {
        let failed = |source| MailError::Folder { path: self.settings.folder.clone(), source };
        let mut aside = block_in_place(|| self.settings.spool.aside()).map_err(failed)?;
        aside.truncate(ASIDE);
        Ok(aside)
    }

    /// The reason for which a letter isn't sent any more.
    fn fate(&self, kept: &Kept) -> Option<MailError> {
        if kept.is_under_way {
            // Each is taken out as soon as its fate is known. This one's process ended before, or couldn't.
            return Some(MailError::CutOff);
        }
        let age = Timestamp::now().duration_since(kept.letter.made);
        let give_up = SignedDuration::try_from(self.settings.pace.give_up).unwrap_or(SignedDuration::MAX);
        let last = || self.standing.failed.as_ref().map(|failed| failed.why.clone());
        let why = || kept.why.clone().or_else(last).unwrap_or_else(|| "there were too many mails".to_owned());
        (age > give_up).then(|| MailError::TooOld { why: why() })
    }

    async fn send(
        &mut self,
        connection: &mut Connection<'_>,
        ledger: &mut Ledger,
        mut kept: Kept,
    ) -> Result<Goes, MailError> {
        let mail = match of_letter_in(&self.settings, &kept.letter) {
            Ok(mail) => mail,
            Err(error) if error.reached() == Reached::Never => {
                self.lose(&kept, &error)?;
                return Ok(Goes::On);
            }
            Err(error) => return Err(error),
        };
        let folder = self.settings.folder.clone();
        let failed = |source| MailError::Folder { path: folder.clone(), source };
        let spool = self.settings.spool.clone();
        let keep = |kept: &Kept| block_in_place(|| spool.keep(kept)).map_err(failed);
        if !block_in_place(|| spool.has(&kept.letter.id)).map_err(failed)? {
            // A newer one has its place.
            return Ok(Goes::On);
        }
        kept.is_under_way = true;
        let begins = || match keep(&kept)? {
            true => Ok(()),
            false => Err(MailError::Gone),
        };
        let sent = connection.send(&mail, begins).await;
        let now = Timestamp::now();
        let Err(error) = sent else {
            // First of all: what is out is never told as lost, and never sent again.
            self.take_out(&kept)?;
            tracing::info!(to = kept.letter.whom(), "a mail is sent");
            self.standing.sent = Some(now);
            self.standing.failed = None;
            self.until = None;
            self.waits.reset();
            ledger.count(&kept.letter.to, now)?;
            return Ok(Goes::On);
        };
        match error.reached() {
            Reached::Unknown | Reached::Never => {
                self.lose(&kept, &error)?;
                ledger.count(&kept.letter.to, now)?;
            }
            // The server waits for all of a mail that isn't wanted any more.
            Reached::Nothing => return Ok(Goes::Anew),
            reached @ (Reached::Wait | Reached::Midway | Reached::Server) => {
                let waits = Waits::new(self.settings.pace.first, self.settings.pace.longest);
                let is_of_letter = reached != Reached::Server;
                let again = if is_of_letter { later(now, waits.after(kept.tries)) } else { kept.again };
                let tries = kept.tries.saturating_add(u32::from(is_of_letter));
                let why = safe_line(&chain(&error), WORDS);
                let failure = MailFailure { why: why.clone(), at: now, again };
                keep(&Kept { letter: kept.letter, tries, again, is_under_way: false, why: Some(why) })?;
                match reached {
                    Reached::Wait => {}
                    Reached::Midway => return Ok(Goes::Broken { failure, was_slow: error.is_silence() }),
                    _ => return Err(error),
                }
            }
        }
        Ok(self.after(connection, &error).await)
    }

    /// Makes the connection ready for the next letter, unless it broke.
    async fn after(&self, connection: &mut Connection<'_>, error: &MailError) -> Goes {
        match error.reached() {
            Reached::Wait | Reached::Never if connection.reset().await => Goes::On,
            _ => Goes::Anew,
        }
    }

    fn take_out(&self, kept: &Kept) -> Result<(), MailError> {
        let removed = block_in_place(|| self.settings.spool.remove(&kept.letter.id));
        removed.map(drop).map_err(|source| MailError::Folder { path: self.settings.folder.clone(), source })
    }

    /// Gives a letter up, and tells whoever can look.
    fn lose(&mut self, kept: &Kept, error: &MailError) -> Result<(), MailError> {
        self.take_out(kept)?;
        let letter = &kept.letter;
        let why = safe_line(&chain(error), WORDS);
        tracing::warn!(to = letter.whom(), why, "a mail is given up");
        let lost = LostMail { user: letter.user.clone(), to: masked(&letter.to), why, at: Timestamp::now() };
        (self.settings.on_lost)(&lost);
        self.standing.lost.push(lost);
        let more = self.standing.lost.len().saturating_sub(LOST);
        self.standing.lost.drain(..more);
        Ok(())
    }

    /// Remembers that nothing can be sent for a while.
    fn fails(&mut self, error: &MailError) {
        let (at, why) = (Timestamp::now(), safe_line(&chain(error), WORDS));
        let again = later(at, self.waits.next_wait());
        self.until = Some(again);
        self.tell(MailFailure { why, at, again });
    }

    /// Tells that nothing could be sent, and logs the first failure of its kind.
    fn tell(&mut self, failure: MailFailure) {
        if self.standing.failed.as_ref().is_none_or(|failed| failed.why != failure.why) {
            tracing::warn!(why = failure.why, again = %failure.again, "mails can't be sent; it is tried again");
        }
        self.standing.failed = Some(failure);
    }
}

/// State of the connection after a letter.
enum Goes {
    /// It takes the next one.
    On,
    /// The next one needs another.
    Anew,
    /// It broke before the server had said anything about the letter, which waits. The next one needs another.
    Broken { failure: MailFailure, was_slow: bool },
}

fn later(moment: Timestamp, wait: Duration) -> Timestamp {
    moment.saturating_add(wait).unwrap_or(Timestamp::MAX)
}
