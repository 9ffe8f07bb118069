//! Git, the same on every machine.

use std::path::Path;
use std::process::Command;

/// Git in a folder, as Ada: it reads nobody's settings, asks nobody, and knows nothing of the environment that the tests
/// run in.
pub fn git(at: &Path) -> Command {
    let mut git = Command::new("git");
    let ours = |name: &str| name.starts_with("GIT_") || name.starts_with("BERTH_");
    for (name, _) in std::env::vars_os().filter(|(name, _)| ours(&name.to_string_lossy())) {
        git.env_remove(name);
    }
    git.current_dir(at)
        .env("GIT_CONFIG_GLOBAL", "/dev/null")
        .env("GIT_CONFIG_NOSYSTEM", "1")
        .env("GIT_TERMINAL_PROMPT", "0");
    signed(&mut git, "AUTHOR", "Ada");
    signed(&mut git, "COMMITTER", "Ada");
    git
}

/// Lets somebody else be the author or the committer (`role`) of what git writes.
pub fn signed(git: &mut Command, role: &str, name: &str) {
    git.env(format!("GIT_{role}_NAME"), name);
    git.env(format!("GIT_{role}_EMAIL"), format!("{}@example.org", name.to_lowercase()));
}
