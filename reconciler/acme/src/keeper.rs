//! Keeps the account and the wildcard certificate: opens one when there is none, orders another when two thirds of its time are
//! over, and hands both over.

use berth_fault::chain;
use berth_schema::text::safe_line;
use berth_tasks::{Pulse, TaskError, Tasks};
use berth_wire::acme::{AcmeStanding, WildcardStanding};
use berth_wire::certificate::{FailedOrder, OrderFailure};
use jiff::Timestamp;
use tokio::task::block_in_place;
use tokio::time::{MissedTickBehavior, interval};

use crate::account::account;
use crate::hand;
use crate::order::Wanted;
use crate::settings::AcmeSettings;
use crate::store::{Store, short};
use crate::trouble::OrderError;
use crate::zone::Zone;

/// Characters of a failure that are kept.
const WORDS: usize = 1000;

/// Keeps account and certificate until `tasks` are asked to end.
pub async fn run(settings: AcmeSettings, tasks: &Tasks) -> Result<(), TaskError> {
    let (stop, pulse) = (tasks.stop().clone(), tasks.pulse().clone());
    tasks.keep("the account at the CA", async move {
        tokio::select! {
            () = Keeper::new(settings).keep(&pulse) => {}
            () = stop.cancelled() => {}
        }
    });
    tasks.stop().cancelled().await;
    tasks.end().await
}

/// Keeper of the account and the wildcard certificate.
struct Keeper {
    settings: AcmeSettings,
    /// Digest of what is asked for.
    asked: String,
    failed: Option<FailedOrder>,
    /// Kind of the failure that was logged last.
    logged: Option<OrderFailure>,
    told: Option<AcmeStanding>,
    handed: Option<String>,
}

impl Keeper {
    fn new(settings: AcmeSettings) -> Self {
        let asked = short(&[&format!("{:?}", settings.acme), settings.domain.as_str()]);
        // A process that is started again keeps to the wait that the one before it noted, unless something else is asked for by now.
        let before = AcmeStanding::read(&settings.folder);
        let failed = before.filter(|told| told.asked == asked).and_then(|told| told.failed);
        Self { settings, asked, failed, logged: None, told: None, handed: None }
    }

    async fn keep(mut self, pulse: &Pulse) {
        let mut looks = interval(self.settings.pace.look);
        looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            pulse.wait(looks.tick()).await;
            if let Err(error) = self.look().await {
                self.fails(&error);
            }
        }
    }

    /// Looks whether something is due, does it, and hands over what there is.
    async fn look(&mut self) -> Result<(), OrderError> {
        let AcmeSettings { folder, acme, domain, .. } = &self.settings;
        let store = block_in_place(|| Store::open(folder, acme, domain))?;
        if self.is_due(&store, Timestamp::now())
            && let Err(error) = self.act(&store).await
        {
            self.fails(&error);
        }
        block_in_place(|| self.show(&store))
    }

    /// Returns whether an account is to be opened or a certificate to be ordered now.
    fn is_due(&self, store: &Store, now: Timestamp) -> bool {
        let waits = self.failed.as_ref().is_some_and(|failed| self.settings.pace.is_waiting(failed, now));
        let lacks_account = || store.account().is_ok_and(|account| account.is_none());
        let lacks_certificate = || {
            let is_wanted = self.settings.acme.dns.is_some();
            is_wanted && store.certificate().is_none_or(|held| held.renew_at() <= now)
        };
        !waits && (lacks_account() || lacks_certificate())
    }

    async fn act(&mut self, store: &Store) -> Result<(), OrderError> {
        let AcmeSettings { acme, domain, pace, .. } = &self.settings;
        let directory = &acme.directory;
        let account = account(&self.settings, store).await?;
        let zone = match &acme.dns {
            Some(dns) => Zone::find(&self.settings, dns)?.map(|zone| (zone, dns.place(domain))),
            None => None,
        };
        if let Some((zone, place)) = zone {
            let wanted = Wanted { domain, place, zone: &zone, directory, within: pace.order };
            let ordered = wanted.order(&account).await;
            if let Err(OrderError::NoAccount) = &ordered {
                block_in_place(|| store.forget_account())?;
            }
            let certificate = ordered?;
            tracing::info!(%domain, ends = %certificate.ends, "the CA has given a wildcard certificate");
            block_in_place(|| store.keep_certificate(&certificate))?;
        }
        (self.failed, self.logged) = (None, None);
        Ok(())
    }

    /// Hands over what there is, and tells how things are.
    fn show(&mut self, store: &Store) -> Result<(), OrderError> {
        let now = Timestamp::now();
        let AcmeSettings { acme, domain, .. } = &self.settings;
        // One that has ended is worse than none: without it, names get certificates of their own.
        let certificate = || store.certificate().filter(|certificate| now < certificate.ends);
        let certificate = acme.dns.is_some().then(certificate).flatten();
        let account = store.account()?;
        let handed = hand::over(&self.settings, account.as_ref(), certificate.as_ref());
        let trouble = handed.err().map(|error| error.to_string());
        if let Some(why) = trouble.as_ref().filter(|why| self.handed.as_ref() != Some(*why)) {
            tracing::error!(why, "the certificate and the account can't be handed over; it is tried again");
        }
        self.handed = trouble;
        let ends = || certificate.as_ref().map(|certificate| certificate.ends);
        let wildcard = || WildcardStanding { domain: domain.to_string(), ends: ends() };
        let standing = AcmeStanding {
            directory: acme.directory.clone(),
            asked: self.asked.clone(),
            has_account: account.is_some(),
            wildcard: acme.dns.is_some().then(wildcard),
            failed: self.failed.clone(),
        };
        if self.told.as_ref() != Some(&standing) {
            store.tell(&standing)?;
            self.told = Some(standing);
        }
        Ok(())
    }

    /// Remembers a failure, and logs the first of its kind.
    fn fails(&mut self, error: &OrderError) {
        let (kind, why) = (error.kind(), safe_line(&chain(error), WORDS));
        let failed = self.settings.pace.failed(self.failed.as_ref(), kind, why, Timestamp::now());
        if self.logged.replace(kind) != Some(kind) {
            let FailedOrder { why, again, .. } = &failed;
            tracing::warn!(why, %again, "there is no account or no certificate of the CA's; it is asked again");
        }
        self.failed = Some(failed);
    }
}
