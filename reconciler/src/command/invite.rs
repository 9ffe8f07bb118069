//! `berth invite`: a link with which somebody sets their password, for whoever has the host. It works without a running
//! platform: that is how the first admin gets into the panel.

use anyhow::{Context as _, bail};
use berth_door::web::Clock;
use berth_schema::name::UserName;

use super::Exit;
use crate::draw::{print, say};
use crate::settings::Settings;
use crate::source::Source;

/// Person to invite.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The member; their file must be in the state repo
    user: UserName,
}

pub(super) fn run(args: &Args, settings: &Settings) -> anyhow::Result<Exit> {
    let name = &args.user;
    let found = Source::open(&settings.state)?.find(None)?;
    let state = match found.state {
        Ok(tip) => tip.state,
        Err(_) => {
            super::show_findings(&found.loaded);
            return Ok(Exit::Failed);
        }
    };
    let Some(user) = state.users.get(name) else {
        bail!(
            "there is no user `{name}`: commit users/{name}.toml first. An admin's has the line `role = \"admin\"`; an empty file \
             makes a member"
        );
    };
    if let Some(remote) = &state.platform.remote {
        bail!(
            "passwords are set where the state repo is hosted ({}): change `password_hash` in users/{name}.toml there",
            remote.url
        );
    }
    let Some(origins) = state.platform.panel_origins() else {
        bail!(
            "there is no panel: commit a `[panel]` table to platform.toml first, with the panel's name in `domain` (docs/panel.md)"
        );
    };
    settings.make_data().with_context(|| format!("cannot make {}", settings.data.display()))?;
    let invited = berth_door::web::invite(&settings.data, user, &Clock::system())?;
    let path = format!("/invite/{}", invited.invitation.0);
    print(&format!("{}{path}\n", origins.first()));
    say(&format!(
        "With this link, `{name}` sets a password for the panel, once and until {:.0}. Links that were made before are dead.",
        invited.until
    ));
    if origins.edge.is_some() {
        // The edge may wait for its certificate, or for DNS.
        say(&format!("The panel's own port takes it too: {}{path}", origins.own));
    }
    Ok(Exit::Ok)
}
