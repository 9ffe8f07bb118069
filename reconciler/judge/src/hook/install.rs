//! Puts the hooks into a repository. Never writes over somebody else's.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use berth_fault::{Fault, Kind};
use berth_host::file::replace;
use berth_host::{Acting, Owner};
use berth_repo::Configuration;
use berth_schema::name::UserName;

/// The second line of a hook that is ours to write again.
const MARK: &str = "# Written by `berth hook install`, which writes it anew; changes here are lost.";

const HOOKS: [&str; 4] = ["pre-receive", "proc-receive", "post-receive", "pre-auto-gc"];
const HOOKS_OF_VIEW: [&str; 2] = ["pre-receive", "post-receive"];

/// State is text: a push of this size is a mistake or an attack, and git stops reading it there.
const MAX_INPUT: &str = "16m";
/// The limit that `berth init` sets, for repositories without hooks.
const MAX_INPUT_WITHOUT_HOOKS: &str = "64m";

/// Result of an installation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Installed {
    /// At least one hook was written.
    Written,
    /// All were there, as they should be.
    Unchanged,
}

/// The hooks can't be installed.
#[derive(Debug, thiserror::Error)]
#[expect(missing_docs, reason = "the fields' names say it")]
pub enum InstallError {
    /// Somebody else's hook is there.
    #[error("{path} is a hook that Berth didn't write, and it was left alone")]
    Foreign { path: PathBuf },
    /// A file can't be read or written.
    #[error("cannot write the hook {}", path.display())]
    Write {
        path: PathBuf,
        #[source]
        source: io::Error,
    },
    /// A setting of the repository can't be read or changed.
    #[error(transparent)]
    Configure(#[from] berth_repo::Error),
}

impl Fault for InstallError {
    fn kind(&self) -> Kind {
        Kind::Configuration
    }

    fn hint(&self) -> Option<&'static str> {
        match self {
            Self::Foreign { .. } => {
                Some("move it away, or let it run `berth hook pre-receive` (or post-receive) itself")
            }
            _ => None,
        }
    }
}

/// Writes the hooks into the repository with this git folder, lets pushes carry options, and lets the hooks decide
/// which refs may be rewritten. `program` and `data` are written into them, since git gives a hook neither a search path nor
/// settings to rely on. What is as it should be isn't written: others read the same files, and a change there wakes the
/// reconciler.
pub fn install(git_dir: &Path, program: &Path, data: &Path) -> Result<Installed, InstallError> {
    let _owner = as_owner(git_dir)?;
    let mut configuration = Configuration::of(git_dir)?;
    // Where git looks for them, which `core.hooksPath` may have moved.
    let moved = configuration.path("core.hooksPath")?;
    let folder = git_dir.join(moved.as_deref().unwrap_or(Path::new("hooks")));
    let to_write =
        to_write(&folder, &HOOKS, |hook| script(program, &format!("--data {} hook {hook}", quoted(data))))?;
    configure(&mut configuration)?;
    write_all(&folder, &to_write)
}

/// Writes both hooks into a member's view.
pub(super) fn install_into_view(
    git_dir: &Path,
    program: &Path,
    state: &Path,
    data: &Path,
    user: &UserName,
) -> Result<Installed, InstallError> {
    let _owner = as_owner(git_dir)?;
    let folder = git_dir.join("hooks");
    let settings = format!("--state {} --data {}", quoted(state), quoted(data));
    let to_write = to_write(&folder, &HOOKS_OF_VIEW, |hook| {
        script(program, &format!("{settings} hook {hook} --view {user}"))
    })?;
    write_all(&folder, &to_write)
}

/// Lets this thread write as the repository's owner, until the value is dropped.
fn as_owner(git_dir: &Path) -> Result<Acting, InstallError> {
    let acting = Owner::of(git_dir).and_then(Owner::act);
    acting.map_err(|source| InstallError::Write { path: git_dir.to_owned(), source })
}

/// The hooks that aren't as they should be. All are looked at before any is written.
fn to_write(
    folder: &Path,
    hooks: &[&str],
    script: impl Fn(&str) -> String,
) -> Result<Vec<(PathBuf, String)>, InstallError> {
    let mut to_write = Vec::new();
    for hook in hooks {
        let path = folder.join(hook);
        let script = script(hook);
        match fs::read_to_string(&path) {
            Ok(found) if found == script => {}
            Ok(found) if found.lines().nth(1) == Some(MARK) => to_write.push((path, script)),
            Ok(_) => return Err(InstallError::Foreign { path }),
            Err(error) if error.kind() == io::ErrorKind::NotFound => to_write.push((path, script)),
            Err(error) if error.kind() == io::ErrorKind::InvalidData => {
                return Err(InstallError::Foreign { path });
            }
            Err(source) => return Err(InstallError::Write { path, source }),
        }
    }
    Ok(to_write)
}

fn write_all(folder: &Path, to_write: &[(PathBuf, String)]) -> Result<Installed, InstallError> {
    for (path, script) in to_write {
        let made = fs::create_dir_all(folder);
        // Git may run it at any moment.
        let written = made.and_then(|()| replace(path, script.as_bytes(), 0o700));
        written.map_err(|source| InstallError::Write { path: path.clone(), source })?;
    }
    Ok(if to_write.is_empty() { Installed::Unchanged } else { Installed::Written })
}

fn script(program: &Path, arguments: &str) -> String {
    format!("#!/bin/sh\n{MARK}\nexec {} {arguments}\n", quoted(program))
}

/// Quotes a path as one word of a shell.
fn quoted(path: &Path) -> String {
    format!("'{}'", path.to_string_lossy().replace('\'', r"'\''"))
}

/// Settings that pushes need besides the hooks.
const SETTINGS: [(&str, &str); 5] = [
    // Git leaves it to the hook `proc-receive` to move `main`: what lands may be a merge of what was pushed.
    ("receive.procReceiveRefs", "refs/heads/main"),
    // Git runs that hook before its transaction of the other refs: a push could be refused as a whole after `main` had moved.
    ("receive.advertiseAtomic", "false"),
    ("receive.advertisePushOptions", "true"),
    // A proposal may be pushed anew and taken back. The hook itself keeps every other ref from both.
    ("receive.denyDeletes", "false"),
    ("receive.denyNonFastForwards", "false"),
];

fn configure(configuration: &mut Configuration) -> Result<(), berth_repo::Error> {
    for (name, value) in SETTINGS {
        if configuration.get(name)?.as_deref() != Some(value) {
            configuration.set(name, value)?;
        }
    }
    // Another size is somebody's choice.
    match configuration.get("receive.maxInputSize")?.as_deref() {
        None | Some(MAX_INPUT_WITHOUT_HOOKS) => configuration.set("receive.maxInputSize", MAX_INPUT),
        Some(_) => Ok(()),
    }
}
