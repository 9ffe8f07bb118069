//! Hooks of a push that root makes by path to another user's state repo: they run as that user, and the repo stays theirs.
//!
//! Git itself writes as root then. What it wrote is given to the owner before anybody else looks at it: the incoming
//! objects before they are judged, the rest once the push is accepted. Git doesn't tidy up as root either.

use std::io;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::Context as _;
use berth_host::Owner;
use berth_repo::git::Git;

/// Owner of the repository that git runs this hook for, if this is root and the owner is somebody else.
fn another() -> anyhow::Result<Option<(PathBuf, Owner)>> {
    let Some(git_dir) = std::env::var_os("GIT_DIR").map(PathBuf::from) else { return Ok(None) };
    let owner =
        Owner::of(&git_dir).with_context(|| format!("cannot tell the owner of {}", git_dir.display()))?;
    Ok(owner.is_another().then_some((git_dir, owner)))
}

/// Before a push is judged: gives the incoming objects to the owner, and goes on as the owner. Returns where there is
/// nothing to do.
pub(super) fn judge() -> anyhow::Result<()> {
    let Some((_, owner)) = another()? else { return Ok(()) };
    if let Some(quarantine) = std::env::var_os("GIT_QUARANTINE_PATH").map(PathBuf::from) {
        owner.mend(&quarantine).context("cannot give the incoming objects to the owner of the state repo")?;
    }
    go_on(owner)
}

/// After a push was accepted: gives everything to the owner, tidies up, and goes on as the owner. Returns where there is
/// nothing to do.
pub(super) fn follow() -> anyhow::Result<()> {
    let Some((git_dir, owner)) = another()? else { return Ok(()) };
    owner.mend(&git_dir).context("cannot give what was pushed to the owner of the state repo")?;
    if let Err(error) = tidy(&git_dir, owner) {
        tracing::warn!(%error, "git can't tidy up the state repo");
    }
    go_on(owner)
}

/// Returns whether git may tidy up as the user that it runs as.
pub(super) fn may_tidy() -> anyhow::Result<bool> {
    Ok(another()?.is_none())
}

/// Tidies up where it is time to, as git itself would have after the push.
fn tidy(git_dir: &Path, owner: Owner) -> io::Result<()> {
    // The work itself goes on in the background, as it does after any push.
    let mut git = Git::at(git_dir, Duration::ZERO).program("gc");
    owner.run(git.args(["--auto", "--quiet"])).status().map(drop)
}

/// Runs the same command line again as the owner, in place of this process.
fn go_on(owner: Owner) -> anyhow::Result<()> {
    let program = std::env::current_exe().context("cannot find the program `berth`")?;
    let mut again = Command::new(&program);
    again.args(std::env::args_os().skip(1));
    let error = owner.run(at_home_nowhere(&mut again)).exec();
    Err(error).with_context(|| {
        format!("cannot run {} as the owner of the state repo; that user must be able to", program.display())
    })
}

/// Hides root's home, which another user may not read and git would stumble over.
fn at_home_nowhere(command: &mut Command) -> &mut Command {
    command.env("HOME", "/nonexistent").env_remove("XDG_CONFIG_HOME")
}
