//! `berth invite`: links with which people set their passwords, for whoever has the host. It works without a running
//! platform: that is how the first admin gets into the panel.

mod people;

use std::path::PathBuf;
use std::sync::Arc;

use anyhow::{Context as _, bail};
use berth_door::web::Clock;
use berth_judge::Line;
use berth_judge::review::{Assessor, Need, signature};
use berth_repo::{Edit, Error, StateRepo, Words};
use berth_schema::State;
use berth_schema::name::UserName;
use berth_schema::policy::Actor;
use berth_schema::reach::PanelOrigins;
use berth_schema::text::counted;
use berth_wire::web::Invited;

use super::Exit;
use super::assessed::{say_files, say_findings};
use crate::draw::{print, say};
use crate::settings::Settings;
use crate::source::Source;

/// People to invite.
#[derive(Debug, clap::Args)]
#[command(group(clap::ArgGroup::new("whom").required(true).args(["user", "from"])))]
pub(super) struct Args {
    /// The member; their file must be in the state repo
    user: Option<UserName>,
    /// A CSV file of people; `-` is standard input. Its first line names the columns: `name`, and as far as they are known `email`, `role` and
    /// `ssh_keys`. Whoever has no file in the state repo gets one, all of them by one commit. Prints `name,email,link,until` for each
    #[arg(long, value_name = "FILE")]
    from: Option<PathBuf>,
    /// Show the commit, and make neither it nor links
    #[arg(long, requires = "from")]
    dry_run: bool,
}

pub(super) fn run(args: &Args, settings: &Settings) -> anyhow::Result<Exit> {
    let Some(state) = good_state(settings)? else { return Ok(Exit::Failed) };
    let origins = panel_of(&state)?;
    match (&args.user, &args.from) {
        (Some(name), _) => one(name, &state, &origins, settings),
        (None, Some(from)) => {
            let people = people::read(from)?;
            match join(&people, &state, args.dry_run, settings)? {
                Joined::Refused => Ok(Exit::Failed),
                Joined::Tried => {
                    say("Nothing was changed.");
                    Ok(Exit::Ok)
                }
                Joined::Made => all(&people, &origins, settings),
            }
        }
        (None, None) => bail!("name somebody, or a file of people with --from"),
    }
}

/// The state of `main`; `None` after its mistakes were told.
fn good_state(settings: &Settings) -> anyhow::Result<Option<Arc<State>>> {
    let found = Source::open(&settings.state)?.find(None)?;
    if found.state.is_err() {
        super::show_findings(&found.loaded);
    }
    Ok(found.state.ok().map(|tip| tip.state))
}

/// Addresses of the panel, where passwords are set here and there is one.
fn panel_of(state: &State) -> anyhow::Result<PanelOrigins> {
    if let Some(remote) = &state.platform.remote {
        bail!(
            "members and passwords are kept where the state repo is hosted ({}): no link is made here, since it would set a password, and \
             nobody's hash goes into a pull request. Add `users/<name>.toml` with `ssh_keys` there, or in the panel as an admin: a key opens \
             servers, git and the commands over SSH (docs/forge.md)",
            remote.url
        );
    }
    state.platform.panel_origins().context(
        "there is no panel: commit a `[panel]` table to platform.toml first, with the panel's name in `domain` (docs/panel.md)",
    )
}

fn one(name: &UserName, state: &State, origins: &PanelOrigins, settings: &Settings) -> anyhow::Result<Exit> {
    let invited = invite(name, state, settings)?;
    let path = path(&invited);
    print(&format!("{}{path}\n", origins.first()));
    say(&format!(
        "With this link, `{name}` sets a password for the panel, once and until {:.0}. Links that were made before are dead.",
        invited.until
    ));
    if let Some(to) = &invited.mailed {
        say(&format!("A mail with it is on its way to {to}."));
    }
    if origins.edge.is_some() {
        // The edge may wait for its certificate, or for DNS.
        say(&format!("The panel's own port takes it too: {}{path}", origins.own));
    }
    Ok(Exit::Ok)
}

fn all(people: &[people::Row], origins: &PanelOrigins, settings: &Settings) -> anyhow::Result<Exit> {
    let Some(state) = good_state(settings)? else { return Ok(Exit::Failed) };
    let mut links = csv::Writer::from_writer(Vec::new());
    links.write_record(["name", "email", "link", "until"])?;
    let (mut mailed, mut unknown) = (0, 0);
    for person in people {
        let invited = invite(&person.name, &state, settings)?;
        mailed += usize::from(invited.mailed.is_some());
        let email = state.users.get(&person.name).and_then(|user| user.email.as_deref());
        unknown += usize::from(email.is_none());
        let link = format!("{}{}", origins.first(), path(&invited));
        let until = format!("{:.0}", invited.until);
        links.write_record([person.name.as_str(), email.unwrap_or_default(), &link, &until])?;
    }
    print(&String::from_utf8(links.into_inner()?)?);
    say(&format!(
        "{} made. Each works once; whoever has one sets that member's password with it.",
        counted(people.len(), "link")
    ));
    if state.platform.mail.is_some() {
        say(&format!("{} on their way, as fast as the bounds of mail allow.", counted(mailed, "mail")));
        if unknown > 0 {
            say(&format!("{unknown} of them have no `email`: hand their links over."));
        }
        let failed = people.len().saturating_sub(mailed + unknown);
        if failed > 0 {
            say(&format!(
                "{} couldn't be put into the spool, for the reason above: hand those links over, or mend that and invite them again.",
                counted(failed, "mail")
            ));
        }
    }
    Ok(Exit::Ok)
}

fn invite(name: &UserName, state: &State, settings: &Settings) -> anyhow::Result<Invited> {
    let user = state.users.get(name).with_context(|| {
        format!(
            "there is no user `{name}`: commit users/{name}.toml first. An admin's has the line `role = \"admin\"`; an empty file \
             makes a member"
        )
    })?;
    settings.make_data().with_context(|| format!("cannot make {}", settings.data.display()))?;
    Ok(berth_door::web::invite(&settings.data, state, user, &Clock::system())?)
}

fn path(invited: &Invited) -> String {
    format!("/invite/{}", invited.invitation.0)
}

/// Fate of people who aren't members yet.
enum Joined {
    /// All are members now.
    Made,
    /// All could be.
    Tried,
    /// The change has mistakes, which were told.
    Refused,
}

/// Makes a file for everybody who has none, by one commit.
fn join(people: &[people::Row], state: &State, dry_run: bool, settings: &Settings) -> anyhow::Result<Joined> {
    let new: Vec<&people::Row> =
        people.iter().filter(|person| !state.users.contains_key(&person.name)).collect();
    if new.is_empty() {
        say("All of them are members already.");
        return Ok(if dry_run { Joined::Tried } else { Joined::Made });
    }
    let edits = new
        .iter()
        .map(|person| Ok(Edit::write(person.path(), person.file()?)))
        .collect::<anyhow::Result<Vec<_>>>()?;
    let repo = StateRepo::open(&settings.state)?;
    let _turn = match dry_run {
        true => None,
        false => Some(Line::told(say).to_main(repo.git_dir())?),
    };
    let mut assessor = Assessor::new(&repo, settings.resolver)?;
    let main = assessor.main();
    let by = signature(Actor::Operator, assessor.state());
    let message = match new.as_slice() {
        [person] => format!("users: {}\n", person.name),
        people => format!("users: {} from a list\n", counted(people.len(), "new member")),
    };
    let words = Words { author: &by, committer: &by, message: &message };
    let tried = assessor.tried(&edits, &words)?;
    let assessment = assessor.assess(&tried, None)?;
    say_findings(&assessment);
    if assessment.need == Need::Refused {
        say("Refused; nothing was changed.");
        return Ok(Joined::Refused);
    }
    say_files(&assessment);
    if dry_run {
        return Ok(Joined::Tried);
    }
    // The same again, where it counts.
    match repo.commit(Some(&main), &edits, &words) {
        Ok(revision) => {
            say(&format!("main is at {}: {}.", revision.short(), counted(new.len(), "new member")));
            Ok(Joined::Made)
        }
        Err(error @ Error::Moved { .. }) => {
            Err(anyhow::Error::new(error).context("somebody pushed meanwhile; try again"))
        }
        Err(error) => Err(error.into()),
    }
}
