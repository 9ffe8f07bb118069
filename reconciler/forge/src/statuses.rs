//! Telling the forge of commits, and when. A task of its own: a forge that doesn't listen delays nothing.

mod ledger;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use berth_fault::chain;
use berth_schema::Revision;
use berth_tasks::Tasks;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use self::ledger::{KEPT, Ledger};
use crate::access::{Access, NoAccess};
use crate::api::Api;
use crate::folder::Folder;
use crate::news::News;
use crate::outcomes;
use crate::owed::Owed;
use crate::waits::{Outlook, Pause, RateLimit};

/// Time between two looks for a line that is due, and for another token.
const TICK: Duration = Duration::from_secs(1);

/// The way for news to the task that tells the forge.
#[derive(Debug)]
pub(crate) struct Statuses(mpsc::Sender<News>);

/// The task that tells the forge.
struct Teller {
    access: Access,
    folder: Arc<Folder>,
    ledger: Ledger,
    /// As much of it as is written down.
    owed: Owed,
    pause: Pause,
    /// The API that was used last.
    known: Option<Api>,
    /// Reason that there is no API to use.
    no_access: Option<String>,
}

impl Statuses {
    /// Begins to tell the forge, until `stop`.
    pub(crate) fn begin(
        access: Access,
        folder: &Arc<Folder>,
        socket: PathBuf,
        limit: &RateLimit,
        tasks: &Tasks,
        stop: &CancellationToken,
    ) -> Self {
        let (sender, receiver) = mpsc::channel(KEPT);
        let listening = outcomes::listen(socket, sender.clone());
        tasks.keep_until(stop, "the task that hears of passes", listening);
        let owed = Owed::read(folder.path(), access.remote());
        let teller = Teller {
            access,
            ledger: Ledger::after(folder.standing().told.as_ref(), &owed),
            owed,
            folder: Arc::clone(folder),
            pause: Pause::new(limit),
            known: None,
            no_access: None,
        };
        tasks.keep_until(stop, "the task that tells the forge", teller.keep(receiver));
        Self(sender)
    }

    pub(crate) fn accepted(&self, tip: Revision) {
        // Where too much waits already, the next look says the same again.
        let _ = self.0.try_send(News::Accepted(tip));
    }

    pub(crate) fn refused(&self, tip: Revision, why: &str) {
        let _ = self.0.try_send(News::Refused(tip, why.to_owned()));
    }
}

impl Teller {
    /// Tells what there is to tell, until nobody brings news any more.
    async fn keep(mut self, mut news: mpsc::Receiver<News>) {
        // What is missing is said before there is anything to tell.
        self.reach();
        let mut pace = Duration::ZERO;
        loop {
            self.write_down();
            // What was missing may be there by now, also when there is nothing to tell.
            let is_awaited = self.ledger.owes() || self.no_access.is_some();
            tokio::select! {
                heard = news.recv() => match heard {
                    Some(heard) => {
                        self.ledger.hear(heard);
                        pace = Duration::ZERO;
                    }
                    None => return,
                },
                () = tokio::time::sleep(pace), if is_awaited => {
                    // After one line the next one may be due.
                    pace = if self.speak().await { Duration::ZERO } else { TICK };
                }
            }
        }
    }

    /// The API with the token as it is now. Another token may do at once what the last one could not.
    fn reach(&mut self) -> Option<Api> {
        let api = match self.access.api() {
            Ok(api) => api,
            Err(error) => {
                let trouble = match &error {
                    // Whoever gives no token wants to tell nothing.
                    NoAccess::NoToken(_) => None,
                    NoAccess::Token(_) | NoAccess::Nowhere => Some(chain(&error)),
                };
                self.no_access = trouble;
                return None;
            }
        };
        self.no_access = None;
        if self.known.as_ref().is_some_and(|known| *known != api) {
            self.ledger.forget_waits();
            self.pause.lift();
        }
        self.known = Some(api.clone());
        Some(api)
    }

    /// Tells one line that is due; returns whether the forge was asked.
    async fn speak(&mut self) -> bool {
        let Some(api) = self.reach() else { return false };
        let Some(line) = self.ledger.next().filter(|_| self.pause.is_over()) else { return false };
        let (revision, state) = (line.revision, line.state.word());
        match api.tell(&line).await {
            Ok(()) => {
                tracing::info!(%revision, state, "the forge was told");
                self.pause.answered();
                self.ledger.told(&line);
                self.folder.change(|standing| standing.told = Some(line));
            }
            Err(trouble) => {
                let outlook = self.ledger.failed(&line, &trouble, &mut self.pause);
                let needs_somebody = outlook == Outlook::NeedsSomebody;
                tracing::warn!(%revision, error = %trouble, needs_somebody, "the forge could not be told");
            }
        }
        true
    }

    /// Writes down what is still to be told, and why it isn't, where that is news: another process goes on from there.
    fn write_down(&mut self) {
        let owed = self.ledger.owed(self.access.remote());
        if owed != self.owed {
            match owed.write(self.folder.path()) {
                Ok(()) => self.owed = owed,
                Err(error) => {
                    tracing::warn!(%error, "what the forge has yet to be told can't be written down");
                }
            }
        }
        let trouble = self.no_access.clone().or_else(|| self.ledger.trouble());
        if self.folder.standing().telling_trouble != trouble {
            if let Some(trouble) = &trouble {
                tracing::warn!(trouble, "the forge isn't told everything");
            }
            self.folder.change(|standing| standing.telling_trouble = trouble);
        }
    }
}
