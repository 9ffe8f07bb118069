//! The keeper: looks, judges, remembers and sends, again and again.
//!
//! A message is written down before it is sent, so that a restart neither forgets nor repeats it. Where nothing can be written down, as on a
//! full disk, it is sent all the same: whoever mends that has to know.

use std::sync::Arc;

use berth_fault::chain;
use berth_host::Waits;
use berth_schema::text::safe_line;
use berth_tasks::{Pulse, TaskError, Tasks};
use jiff::{SignedDuration, Timestamp};
use tokio::task::block_in_place;
use tokio::time::{MissedTickBehavior, interval};

use crate::course::advance;
use crate::deliver::deliver;
use crate::judge::judge;
use crate::message::Target;
use crate::record::Record;
use crate::settings::{AlarmSettings, Look};
use crate::sight::Sight;
use crate::silences::Silences;
use crate::trouble::AlarmError;

/// Characters of a failure that are kept.
const WORDS: usize = 300;

/// Looks, and tells what is wrong, until `tasks` are asked to end.
pub async fn run(settings: AlarmSettings, look: Look, tasks: &Tasks) -> Result<(), TaskError> {
    let (stop, pulse) = (tasks.stop().clone(), tasks.pulse().clone());
    tasks.keep("the alarms", async move {
        let mut keeper = Keeper::new(settings, look);
        let mut looks = interval(keeper.settings.pace.look);
        looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                _ = pulse.wait(looks.tick()) => {}
                () = stop.cancelled() => return,
            }
            // A message that is being sent then is marked, and isn't sent again.
            tokio::select! {
                () = keeper.round(&pulse) => {}
                () = stop.cancelled() => return,
            }
        }
    });
    tasks.stop().cancelled().await;
    tasks.end().await
}

struct Keeper {
    settings: AlarmSettings,
    look: Look,
    record: Record,
    /// The record as it was written last.
    written: Option<Record>,
    /// Failure of the last writing, which the log has been told of.
    told: Option<String>,
}

impl Keeper {
    fn new(settings: AlarmSettings, look: Look) -> Self {
        let record = block_in_place(|| Record::read(&settings.folder));
        let record = record.unwrap_or_else(|error| {
            tracing::error!(%error, "the record of alarms can't be read; it begins anew");
            Record::default()
        });
        let mut keeper = Self { settings, look, written: Some(record.clone()), record, told: None };
        keeper.give_up_cut_off();
        keeper
    }

    /// Gives up what was under way when the last process ended.
    fn give_up_cut_off(&mut self) {
        let all = std::mem::take(&mut self.record.outbox).into_iter();
        let (cut, waiting): (Vec<_>, Vec<_>) = all.partition(|one| one.is_under_way);
        self.record.outbox = waiting;
        for outgoing in cut {
            self.record.lose(outgoing, Timestamp::now(), AlarmError::CutOff.to_string());
        }
    }

    async fn round(&mut self, pulse: &Pulse) {
        let sight = (self.look)().await;
        self.take_in(&sight);
        self.write();
        self.send(pulse).await;
    }

    fn take_in(&mut self, sight: &Sight) {
        let now = sight.at;
        let judged = judge(sight, &self.settings.rules);
        let silences = Silences::of(&self.settings.folder);
        let hushed = block_in_place(|| silences.lasting(now)).unwrap_or_else(|error| {
            tracing::warn!(%error, "silences can't be read; nothing is silenced by a command");
            Vec::new()
        });
        let rules = &self.settings.rules;
        let is_silenced = |kind, about: &str| {
            let by_state = |silence: &berth_schema::alarms::Silence| {
                !silence.is_over(now.into()) && silence.of.has(kind, about)
            };
            rules.silence.iter().any(by_state) || hushed.iter().any(|hushed| hushed.has(kind, about))
        };
        let Some(message) = advance(&mut self.record, &judged, now, &is_silenced, &self.settings.pace) else {
            return;
        };
        for news in &message.began {
            tracing::warn!(kind = news.kind.word(), about = news.about, text = news.text, "an alarm");
        }
        for news in &message.over {
            tracing::info!(kind = news.kind.word(), about = news.about, "an alarm is over");
        }
        let (sends_mail, tells_members) = (self.settings.sends_mail, self.settings.rules.members);
        let members = |user: &berth_schema::name::UserName| {
            let user = sight.state.as_ref().filter(|_| sends_mail && tells_members)?.users.get(user)?;
            user.email.clone()
        };
        let targets = self.settings.targets();
        self.record.post(&message, &targets, members, self.settings.pace.most);
    }

    /// Sends what is due. A target that fails or says nothing is left alone until the next round, so that it holds up no other.
    async fn send(&mut self, pulse: &Pulse) {
        let pace = self.settings.pace;
        let mut failed: Vec<Target> = Vec::new();
        let mut place = 0;
        while let Some(outgoing) = self.record.outbox.get_mut(place) {
            let now = Timestamp::now();
            if now.duration_since(outgoing.message.at)
                > SignedDuration::try_from(pace.give_up).unwrap_or(SignedDuration::MAX)
            {
                let outgoing = self.record.outbox.remove(place);
                let why = outgoing.why.clone().unwrap_or_else(|| "nobody sent it in time".to_owned());
                self.record.lose(outgoing, now, format!("it couldn't be sent for a day; at last: {why}"));
                continue;
            }
            if outgoing.again > now || failed.contains(&outgoing.target) {
                place += 1;
                continue;
            }
            outgoing.is_under_way = true;
            let (target, message) = (outgoing.target.clone(), outgoing.message.clone());
            self.write();
            let delivered = deliver(&self.settings, &target, &message).await;
            pulse.beat();
            let now = Timestamp::now();
            let Some(outgoing) = self.record.outbox.get_mut(place) else { break };
            outgoing.is_under_way = false;
            match delivered {
                Ok(answer) => {
                    tracing::info!(
                        to = target.words(),
                        answer = answer.said,
                        "a message about alarms is sent"
                    );
                    let outgoing = self.record.outbox.remove(place);
                    self.record.is_taken(&outgoing, now);
                }
                Err(error) if error.may_have_arrived() || matches!(error, AlarmError::NoTarget) => {
                    let outgoing = self.record.outbox.remove(place);
                    self.record.lose(outgoing, now, safe_line(&chain(&error), WORDS));
                    failed.push(target);
                }
                Err(error) => {
                    let why = safe_line(&chain(&error), WORDS);
                    if outgoing.why.as_ref() != Some(&why) {
                        tracing::warn!(
                            to = target.words(),
                            why,
                            "a message about alarms can't be sent; it is tried again"
                        );
                    }
                    let wait = Waits::new(pace.first, pace.longest).after(outgoing.tries);
                    outgoing.again = now.saturating_add(wait).unwrap_or(Timestamp::MAX);
                    outgoing.tries = outgoing.tries.saturating_add(1);
                    outgoing.why = Some(why);
                    failed.push(target);
                    place += 1;
                }
            }
            self.write();
        }
    }

    fn write(&mut self) {
        if self.written.as_ref() == Some(&self.record) {
            return;
        }
        match block_in_place(|| self.record.write(&self.settings.folder)) {
            Ok(()) => (self.written, self.told) = (Some(self.record.clone()), None),
            Err(error) => {
                let why = error.to_string();
                if self.told.as_ref() != Some(&why) {
                    tracing::error!(why, "the record of alarms can't be written; a restart may repeat some");
                }
                self.told = Some(why);
            }
        }
    }
}

impl AlarmSettings {
    /// Targets that hear of everything.
    pub fn targets(&self) -> Vec<Target> {
        let webhook = self.rules.webhook.as_ref().map(|_| Target::Webhook);
        let chat = self.rules.chat.as_ref().map(|_| Target::Chat);
        let addresses = self.rules.mail.iter().filter(|_| self.sends_mail);
        let mail = addresses.map(|address| Target::Mail { address: address.clone(), user: None });
        webhook.into_iter().chain(chat).chain(mail).collect()
    }
}

impl AlarmSettings {
    /// A look that a function makes.
    pub fn look<F, W>(look: F) -> Look
    where
        F: Fn() -> W + Send + Sync + 'static,
        W: Future<Output = Sight> + Send + 'static,
    {
        Arc::new(move || Box::pin(look()))
    }
}
