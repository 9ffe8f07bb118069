//! `berth mail`: sends the mails that wait in the spool, in the foreground; and tries whether mails arrive.

use anyhow::{Context as _, bail};
use berth_host::service;
use berth_mail::MailSettings;
use berth_repo::StateRepo;
use berth_tasks::Tasks;
use clap::Subcommand;

use super::Exit;
use super::following::{Following, follow};
use super::supervised::Supervised;
use super::up::mail::{give_up, read};
use crate::draw::say;
use crate::settings::Settings;
use crate::source;

/// Sender of mails.
#[derive(Debug, clap::Args)]
#[command(args_conflicts_with_subcommands = true)]
pub(super) struct Args {
    #[command(flatten)]
    supervised: Supervised,
    #[command(flatten)]
    following: Following,
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
    let tasks = Tasks::until_signalled().context("cannot listen to signals")?.with_pulse(service::alive);
    args.supervised.end_with_parent()?;
    if !args.following.follow {
        berth_mail::run(wanted(settings)?, &tasks).await?;
        return Ok(Exit::Ok);
    }
    let repo = StateRepo::open(&settings.state).context("cannot open the state repo")?;
    let sent = async {
        let sent = follow(&repo, read, &tasks, |part| async move {
            Ok(berth_mail::run(wanted(settings)?, &part).await?)
        });
        let sent = sent.await;
        tasks.stop().cancel();
        sent
    };
    tokio::join!(sent, give_up(settings, tasks.stop())).0?;
    tasks.end().await?;
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
