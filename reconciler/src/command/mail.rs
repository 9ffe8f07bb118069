//! `berth mail`: sends the mails that wait in the spool, in the foreground; and tries whether mails arrive.

use anyhow::Context as _;
use berth_mail::MailSettings;
use clap::Subcommand;

use super::Exit;
use super::following::{self, platform};
use super::up::mail::{give_up, read};
use crate::draw::say;
use crate::settings::Settings;

/// Sender of mails.
#[derive(Debug, clap::Args)]
#[command(args_conflicts_with_subcommands = true)]
pub(super) struct Args {
    #[command(flatten)]
    process: following::Args,
    #[command(subcommand)]
    verb: Option<Verb>,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Send a mail that tries whether mails arrive, at once and past the spool
    Test {
        /// The address that it goes to
        address: String,
    },
}

pub(super) async fn run(args: &Args, settings: &Settings) -> anyhow::Result<Exit> {
    match &args.verb {
        None => keep(args, settings).await,
        Some(Verb::Test { address }) => {
            let delivered = berth_mail::test(&wanted(settings)?, address).await?;
            say(&format!(
                "{} has taken the mail to {}: {}",
                delivered.server,
                berth_schema::text::safe(address),
                delivered.answer
            ));
            Ok(Exit::Ok)
        }
    }
}

async fn keep(args: &Args, settings: &Settings) -> anyhow::Result<Exit> {
    let begun = args.process.begin(settings)?;
    if begun.follows {
        let (settings, stop) = (settings.clone(), begun.tasks.stop().clone());
        begun
            .tasks
            .keep("the task that gives old letters up", async move { give_up(&settings, &stop).await });
    }
    begun.run(read, |tasks| async move { Ok(berth_mail::run(wanted(settings)?, &tasks).await?) }).await
}

fn wanted(settings: &Settings) -> anyhow::Result<MailSettings> {
    let wanted = settings.mail(platform(settings)?.as_ref());
    wanted.context(
        "platform.toml has no [mail]: commit one first, with the server in `server` (docs/operations.md)",
    )
}
