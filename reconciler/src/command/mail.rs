//! `berth mail`: sends the mails that wait in the spool, in the foreground; and tries whether mails arrive.

use anyhow::{Context as _, bail};
use berth_mail::MailSettings;
use berth_repo::StateRepo;
use berth_tasks::Tasks;
use clap::Subcommand;

use super::Exit;
use super::supervised::Supervised;
use crate::draw::say;
use crate::settings::Settings;
use crate::source;

/// Sender of mails.
#[derive(Debug, clap::Args)]
#[command(args_conflicts_with_subcommands = true)]
pub(super) struct Args {
    #[command(flatten)]
    supervised: Supervised,
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
    let tasks = Tasks::until_signalled().context("cannot listen to signals")?;
    args.supervised.end_with_parent()?;
    berth_mail::run(wanted(settings)?, &tasks).await?;
    Ok(Exit::Ok)
}

fn wanted(settings: &Settings) -> anyhow::Result<MailSettings> {
    let repo = StateRepo::open(&settings.state).context("cannot open the state repo")?;
    let Some(platform) = source::platform(&repo) else {
        bail!("cannot read platform.toml on main: `berth check` says why");
    };
    let wanted = settings.mail(&platform);
    wanted.context(
        "platform.toml has no [mail]: commit one first, with the server in `server` (docs/operations.md)",
    )
}
