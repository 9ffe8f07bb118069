//! Keeps `berth mail` running for as long as `main` has `[mail]`, and empties its spool where `main` has none. Its failures are its own: the
//! reconciler goes on.

use std::io;
use std::path::PathBuf;
use std::time::Duration;

use berth_door::letters;
use berth_mail::Pace;
use berth_repo::StateRepo;
use berth_schema::mail::Mail;
use berth_schema::name::Fqdn;
use berth_schema::organisation::Contact;
use berth_schema::platform::Platform;
use berth_wire::mail::{LostMail, Spool, masked};
use jiff::{SignedDuration, Timestamp};
use tokio_util::sync::CancellationToken;

use super::followed::Part;
use crate::settings::Settings;
use crate::source;

/// Time to end: it finishes a mail that it is sending.
const MAIL_GRACE: Duration = Duration::from_secs(Pace::ENDING.as_secs() + 15);
/// Time between two looks for letters that nobody sends.
const LOOK: Duration = Duration::from_secs(3600);

/// Part of `platform.toml` of which it is made.
#[derive(Debug, PartialEq, Eq)]
pub(in crate::command) struct Wanted {
    mail: Mail,
    /// The organisation's part in every mail: its name and its contact.
    title: Option<String>,
    contact: Option<Contact>,
    domain: Fqdn,
}

/// The command that is kept.
const PART: Part = Part { command: "mail", what: "`berth mail`", grace: MAIL_GRACE };

/// Runs until `stop`, and ends what it started.
pub(super) async fn keep(program: PathBuf, settings: Settings, stop: CancellationToken) {
    let sends = PART.keep(read, program, settings.clone(), stop.clone());
    tokio::join!(sends, give_up(&settings, &stop));
}

/// Reads what `main` wants. `None` where that can't be read.
pub(in crate::command) fn read(repo: &StateRepo) -> Option<Option<Wanted>> {
    source::platform(repo).map(|platform| wanted(&platform))
}

fn wanted(platform: &Platform) -> Option<Wanted> {
    let Platform { mail, organisation, domain, .. } = platform;
    let (title, contact) = (organisation.title.clone(), organisation.contact.clone());
    Some(Wanted { mail: mail.clone()?, title, contact, domain: domain.clone() })
}

/// Gives up letters that have waited for their time while `main` has no `[mail]`: some hold links that work.
pub(in crate::command) async fn give_up(settings: &Settings, stop: &CancellationToken) {
    let spool = Spool::of(&settings.data);
    while !stop.is_cancelled() {
        let given_up = tokio::task::block_in_place(|| {
            let repo = StateRepo::open(&settings.state).ok()?;
            let sends = source::platform(&repo)?.mail.is_some();
            (!sends).then(|| give_up_old(settings, &spool, Timestamp::now()))
        });
        if let Some(Err(error)) = given_up {
            tracing::error!(%error, "old mails can't be taken out of the spool");
        }
        tokio::select! {
            () = tokio::time::sleep(LOOK) => {}
            () = stop.cancelled() => {}
        }
    }
}

fn give_up_old(settings: &Settings, spool: &Spool, now: Timestamp) -> io::Result<()> {
    let longest = SignedDuration::try_from(Pace::default().give_up).unwrap_or(SignedDuration::MAX);
    for kept in spool.all()? {
        let letter = kept.letter;
        if now.duration_since(letter.made) <= longest || !spool.remove(&letter.id)? {
            continue;
        }
        let why = "the platform has no mail server any more".to_owned();
        tracing::warn!(to = %letter.user, why, "a mail is given up");
        let lost = LostMail { user: letter.user, to: masked(&letter.to), why, at: now };
        letters::lost(&settings.data, &lost);
    }
    Ok(())
}
