//! Puts the hooks into a repository. Never writes over somebody else's.

use std::fs;
use std::io::{self, Write as _};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use berth_schema::name::UserName;

/// The second line of a hook that is ours to write again.
const MARK: &str = "# Written by `berth hook install`, which writes it anew; changes here are lost.";

const HOOKS: [&str; 2] = ["pre-receive", "post-receive"];

/// State is text: a push of this size is a mistake or an attack, and git stops reading it there.
const MAX_INPUT: &str = "16m";
/// What `berth init` sets, for repositories without hooks.
const MAX_INPUT_WITHOUT_HOOKS: &str = "64m";

/// What was done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Installed {
    /// At least one hook was written.
    Written,
    /// Both were there, as they should be.
    Unchanged,
}

/// The hooks can't be installed.
#[derive(Debug, thiserror::Error)]
pub enum InstallError {
    /// Somebody else's hook is there.
    #[error("{path} is a hook that Berth didn't write, and it was left alone")]
    Foreign {
        /// The hook.
        path: PathBuf,
    },
    /// A file can't be read or written.
    #[error("write the hook {path}")]
    Write {
        /// The hook.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// A setting of the repository can't be read or changed.
    #[error("set {name} in the repository {path}")]
    Configure {
        /// The setting.
        name: &'static str,
        /// The repository.
        path: PathBuf,
    },
}

/// Writes both hooks into the repository with this git folder, lets pushes carry options, and leaves it to the hooks which
/// refs may be rewritten. `program` and `data` are written into them, since git gives a hook neither a search path nor
/// settings to rely on. What is as it should be isn't written: others read the same files, and a change there wakes the
/// reconciler.
pub fn install(git_dir: &Path, program: &Path, data: &Path) -> Result<Installed, InstallError> {
    let folder = hooks_folder(git_dir)?;
    let to_write =
        to_write(&folder, |hook| script(program, &format!("--data {} hook {hook}", quoted(data))))?;
    configure(git_dir)?;
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
    let folder = git_dir.join("hooks");
    let settings = format!("--state {} --data {}", quoted(state), quoted(data));
    let to_write =
        to_write(&folder, |hook| script(program, &format!("{settings} hook {hook} --view {user}")))?;
    write_all(&folder, &to_write)
}

/// The hooks that aren't as they should be. Both are looked at before either is written.
fn to_write(folder: &Path, script: impl Fn(&str) -> String) -> Result<Vec<(PathBuf, String)>, InstallError> {
    let mut to_write = Vec::new();
    for hook in HOOKS {
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
        write(folder, path, script).map_err(|source| InstallError::Write { path: path.clone(), source })?;
    }
    Ok(if to_write.is_empty() { Installed::Unchanged } else { Installed::Written })
}

fn script(program: &Path, arguments: &str) -> String {
    format!("#!/bin/sh\n{MARK}\nexec {} {arguments}\n", quoted(program))
}

/// As one word of a shell.
fn quoted(path: &Path) -> String {
    format!("'{}'", path.to_string_lossy().replace('\'', r"'\''"))
}

/// Whole or not at all: git may run it at any moment.
fn write(folder: &Path, path: &Path, script: &str) -> io::Result<()> {
    fs::create_dir_all(folder)?;
    let mut file = tempfile::NamedTempFile::new_in(folder)?;
    file.write_all(script.as_bytes())?;
    file.as_file().set_permissions(fs::Permissions::from_mode(0o755))?;
    file.as_file().sync_all()?;
    file.persist(path)?;
    Ok(())
}

/// Where git looks for them, which `core.hooksPath` may have moved.
fn hooks_folder(git_dir: &Path) -> Result<PathBuf, InstallError> {
    let moved = setting(git_dir, "core.hooksPath", &["--type=path"])?;
    Ok(git_dir.join(moved.as_deref().unwrap_or("hooks")))
}

/// What pushes need besides the hooks.
const SETTINGS: [(&str, &str); 3] = [
    ("receive.advertisePushOptions", "true"),
    // A proposal may be pushed anew and taken back. The hook itself keeps every other ref from both.
    ("receive.denyDeletes", "false"),
    ("receive.denyNonFastForwards", "false"),
];

fn configure(git_dir: &Path) -> Result<(), InstallError> {
    for (name, value) in SETTINGS {
        if setting(git_dir, name, &[])?.as_deref() != Some(value) {
            set(git_dir, name, value)?;
        }
    }
    let size = setting(git_dir, "receive.maxInputSize", &[])?;
    // Another size is somebody's choice.
    match size.as_deref() {
        None | Some(MAX_INPUT_WITHOUT_HOOKS) => set(git_dir, "receive.maxInputSize", MAX_INPUT),
        Some(_) => Ok(()),
    }
}

fn setting(git_dir: &Path, name: &'static str, how: &[&str]) -> Result<Option<String>, InstallError> {
    let failed = || InstallError::Configure { name, path: git_dir.to_owned() };
    let output = config(git_dir).args(how).args(["--get", name]).output().map_err(|_| failed())?;
    match output.status.code() {
        Some(0) => Ok(Some(String::from_utf8_lossy(&output.stdout).trim_end().to_owned())),
        Some(1) => Ok(None),
        _ => Err(failed()),
    }
}

fn set(git_dir: &Path, name: &'static str, value: &str) -> Result<(), InstallError> {
    match config(git_dir).args([name, value]).status() {
        Ok(status) if status.success() => Ok(()),
        _ => Err(InstallError::Configure { name, path: git_dir.to_owned() }),
    }
}

fn config(git_dir: &Path) -> Command {
    let mut git = Command::new("git");
    git.arg("--git-dir").arg(git_dir).arg("config").stdin(Stdio::null());
    // It is about the repository, whatever the caller's git is told in passing.
    for (name, _) in std::env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("GIT_CONFIG"))
    {
        git.env_remove(name);
    }
    git
}
