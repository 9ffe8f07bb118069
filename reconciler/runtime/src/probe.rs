//! `probe`: tries in a folder what `create` would do there, and says how far this host can keep servers apart.
//!
//! It makes a container of its own the way the engine does (an overlay, a volume, a bundle), through this very program and the real runc,
//! and looks at the ids that come out. No version is read anywhere. Nothing runs in the container, and it is removed again. Its mounts are
//! in a mount namespace of another process ([`TRY`]), so that they end with that one, however it ends.

use std::fs::{self, DirBuilder};
use std::io::{self, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _, PermissionsExt as _, chown};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};

use berth_fault::chain;
use berth_host::Way;
use rustix::mount::{MountFlags, mount};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::arguments::{Form, TRY};
use crate::mounts::withdraw;

/// The server whose id the container has.
const SERVER: u32 = 1;

/// Ids that a folder's owner doesn't tell.
const USUAL_IDS: u32 = 100_000;

/// Number of ids that the container gets.
const IDS: u32 = 0x1_0000;

/// The answer.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Answer {
    /// The best way; none where no server could be made at all.
    way: Option<String>,
    /// The better ones, with the reason for which each isn't possible.
    refused: Vec<Refused>,
}

#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Refused {
    way: String,
    reason: String,
}

/// Reason for which a try says nothing about this host.
#[derive(Debug, thiserror::Error)]
enum ProbeError {
    #[error("cannot {what} {}", path.display())]
    Step { what: &'static str, path: PathBuf, source: io::Error },
    #[error("the process that tries ended without an answer: {0}")]
    Silent(String),
    #[error(transparent)]
    Mount(#[from] crate::mounts::MountError),
}

/// Probes `folder`, and prints what came of it.
pub(crate) fn probe(folder: &Path, form: Form) -> ExitCode {
    let answer = match ask(folder) {
        Ok(answer) => answer,
        Err(error) => return complain(&error),
    };
    let text = match form {
        Form::Json => json!(answer).to_string(),
        Form::Words => answer.words(),
    };
    let _ = writeln!(io::stdout(), "{text}");
    match answer.way {
        Some(_) => ExitCode::SUCCESS,
        None => ExitCode::FAILURE,
    }
}

/// The other process: tries the ways, the best first, and prints the answer.
pub(crate) fn tries(ground: &Path) -> ExitCode {
    let answer = withdraw().map_err(ProbeError::from).and_then(|()| try_all(ground));
    match answer {
        Ok(answer) => {
            let _ = writeln!(io::stdout(), "{}", json!(answer));
            ExitCode::SUCCESS
        }
        Err(error) => complain(&error),
    }
}

fn complain(error: &ProbeError) -> ExitCode {
    let _ = writeln!(io::stderr(), "berth-runtime: {}", chain(error));
    ExitCode::FAILURE
}

impl Answer {
    fn words(&self) -> String {
        let best = match self.way.as_deref().and_then(|way| way.parse().ok()) {
            Some(Way::Own) => "own: each server can have an account and a range of ids of its own",
            Some(Way::Account) => "account: each server can have an account of its own with the kernel",
            Some(Way::Shared) => "shared: servers share one account with the kernel",
            None => "no server could be made",
        };
        let refused = self.refused.iter().map(|one| format!("\n  not {}: {}", one.way, one.reason));
        refused.fold(best.to_owned(), |words, line| words + &line)
    }
}

fn ask(folder: &Path) -> Result<Answer, ProbeError> {
    let folder = fs::canonicalize(folder).step("find", folder)?;
    let ground = Ground::make(&folder)?;
    let output = Command::new("/proc/self/exe")
        .arg(TRY)
        .arg(&ground.0)
        .stdin(Stdio::null())
        .output()
        .step("start the process that tries in", &ground.0)?;
    let said = || ProbeError::Silent(String::from_utf8_lossy(&output.stderr).trim().to_owned());
    serde_json::from_slice(&output.stdout).map_err(|_| said())
}

/// A folder that is removed with all that is in it.
struct Ground(PathBuf);

impl Ground {
    fn make(folder: &Path) -> Result<Self, ProbeError> {
        let path = folder.join(format!("berth-probe-{}", std::process::id()));
        DirBuilder::new().mode(0o711).create(&path).step("make the folder", &path)?;
        Ok(Self(path))
    }
}

impl Drop for Ground {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn try_all(ground: &Path) -> Result<Answer, ProbeError> {
    let metadata = fs::metadata(ground.parent().unwrap_or(ground)).step("look at", ground)?;
    // The engine gives its folders to the root that it maps, as the user or as the group.
    let ids = [metadata.uid(), metadata.gid()].into_iter().find(|id| *id > 0).unwrap_or(USUAL_IDS);
    let mut answer = Answer { way: None, refused: Vec::new() };
    for way in Way::ALL {
        let container = Container::lay_out(ground, way, ids)?;
        match container.attempt() {
            Ok(()) => {
                answer.way = Some(way.name().to_owned());
                break;
            }
            Err(reason) => answer.refused.push(Refused { way: way.name().to_owned(), reason }),
        }
    }
    Ok(answer)
}

/// A container that is tried.
struct Container {
    home: PathBuf,
    way: Way,
    /// The first id on the disk.
    ids: u32,
    name: String,
}

impl Container {
    /// Lays out what the engine would.
    fn lay_out(ground: &Path, way: Way, ids: u32) -> Result<Self, ProbeError> {
        let name = format!("berth-probe-{}-{way}", std::process::id());
        let this = Self { home: ground.join(way.name()), way, ids, name };
        let make = |name: &str, mode: u32, owner: u32| {
            let path = this.home.join(name);
            DirBuilder::new().mode(mode).create(&path).step("make the folder", &path)?;
            chown(&path, Some(owner), Some(owner)).step("give away", &path)
        };
        for (name, mode) in
            [("", 0o711), ("box", 0o711), ("box/work", 0o700), ("bundle", 0o711), ("state", 0o700)]
        {
            make(name, mode, 0)?;
        }
        for name in ["low", "low/proc", "low/volume", "box/diff", "box/merged", "volume"] {
            make(name, 0o755, ids)?;
        }
        // Never run: runc looks for a program before it waits to be told to start it.
        let program = this.home.join("low/program");
        fs::write(&program, "").step("write", &program)?;
        fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).step("open up", &program)?;
        chown(&program, Some(ids + 5), Some(ids + 5)).step("give away", &program)?;
        let bundle = this.home.join("bundle/config.json");
        fs::write(&bundle, this.bundle().to_string()).step("write", &bundle)?;
        Ok(this)
    }

    fn bundle(&self) -> Value {
        let mapping = json!([{"containerID": 0, "hostID": self.ids, "size": IDS}]);
        let namespaces = ["pid", "mount", "ipc", "uts", "user"].map(|kind| json!({"type": kind}));
        json!({
            "ociVersion": "1.0.2",
            "process": {
                "user": {"uid": 0, "gid": 0},
                "args": ["/program"],
                "cwd": "/",
                "env": [format!("BERTH_SERVER_ID={SERVER}")],
            },
            "root": {"path": self.home.join("box/merged")},
            "mounts": [
                {"destination": "/proc", "type": "proc", "source": "proc"},
                {"destination": "/volume", "type": "bind", "source": self.home.join("volume"), "options": ["rbind"]},
            ],
            "linux": {
                "namespaces": namespaces,
                "uidMappings": mapping,
                "gidMappings": mapping,
                "cgroupsPath": format!("/{}", self.name),
            },
        })
    }

    /// Makes the container and looks at it. Says why it isn't possible.
    fn attempt(&self) -> Result<(), String> {
        self.mount().map_err(|error| chain(&error))?;
        let made = self.call(
            &["create", "--bundle"],
            &[&self.home.join("bundle"), Path::new("--pid-file"), &self.pid_file()],
        );
        let outcome = match made {
            Ok(true) => self.look().map_err(|error| chain(&error)).and_then(|found| found),
            Ok(false) => Err(self.last_words()),
            Err(error) => Err(chain(&error)),
        };
        // Also after a failure: half of a container may be there.
        let _ = self.call(&["delete", "--force"], &[]);
        outcome
    }

    fn mount(&self) -> Result<(), ProbeError> {
        let at = |name: &str| self.home.join(name).display().to_string();
        let options = format!(
            "lowerdir={},upperdir={},workdir={},index=off",
            at("low"),
            at("box/diff"),
            at("box/work")
        );
        let merged = self.home.join("box/merged");
        let options =
            std::ffi::CString::new(options).map_err(io::Error::other).step("mount an overlay at", &merged)?;
        mount(c"overlay", &merged, c"overlay", MountFlags::empty(), options.as_c_str())
            .step("mount an overlay at", &merged)
    }

    /// Calls this program as the engine does, and returns whether it succeeded.
    fn call(&self, verb: &[&str], more: &[&Path]) -> Result<bool, ProbeError> {
        let state = self.home.join("state");
        let status = Command::new("/proc/self/exe")
            .args(self.way.argument())
            .arg("--root")
            .arg(&state)
            .arg("--log")
            .arg(self.log())
            .args(["--log-format", "json"])
            .args(verb)
            .args(more)
            .arg(&self.name)
            // The container's first process keeps them, so nobody may wait for their end.
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .status();
        status.step("call berth-runtime for", &state).map(|status| status.success())
    }

    fn pid_file(&self) -> PathBuf {
        self.home.join("pid")
    }

    fn log(&self) -> PathBuf {
        self.home.join("log")
    }

    /// The last error of runc's log, as the engine would show it.
    fn last_words(&self) -> String {
        let log = fs::read_to_string(self.log()).unwrap_or_default();
        let last = log.lines().rev().find_map(|line| {
            let line: Value = serde_json::from_str(line).ok()?;
            let words = line.get("msg")?.as_str()?;
            (line.get("level")?.as_str()? == "error")
                .then(|| words.trim_start_matches("berth-runtime: ").to_owned())
        });
        last.unwrap_or_else(|| "runc failed, and its log doesn't say why".to_owned())
    }

    /// Compares the ids that the container has with those on the disk.
    fn look(&self) -> Result<Result<(), String>, ProbeError> {
        let pid = fs::read_to_string(self.pid_file()).step("read", self.pid_file())?;
        let process = Path::new("/proc").join(pid.trim());
        let map = fs::read_to_string(process.join("uid_map")).step("read", process.join("uid_map"))?;
        let first = map.split_ascii_whitespace().nth(1).and_then(|first| first.parse::<u32>().ok());
        let first = first.unwrap_or_default();
        let is_shifted = first != self.ids;
        if is_shifted != (self.way == Way::Own) {
            return Ok(Err(format!("the container's root is {first} on the host")));
        }
        let root = process.join("root");
        let made = root.join("made");
        fs::write(&made, "").step("write in the container", &made)?;
        chown(&made, Some(first + 7), Some(first + 7)).step("give away in the container", &made)?;
        let in_volume = root.join("volume/made");
        fs::write(&in_volume, "").step("write in the container", &in_volume)?;
        chown(&in_volume, Some(first + 9), Some(first + 9)).step("give away in the container", &in_volume)?;
        let wanted = [
            (root.join("program"), first + 5),
            (self.home.join("box/diff/made"), self.ids + 7),
            (self.home.join("volume/made"), self.ids + 9),
        ];
        for (path, wanted) in wanted {
            let found = fs::metadata(&path).step("look at", &path)?.uid();
            if found != wanted {
                return Ok(Err(format!("{} belongs to {found} and not to {wanted}", path.display())));
            }
        }
        Ok(Ok(()))
    }
}

/// Says which step failed.
trait Step<T> {
    fn step(self, what: &'static str, path: impl AsRef<Path>) -> Result<T, ProbeError>;
}

impl<T, E: Into<io::Error>> Step<T> for Result<T, E> {
    fn step(self, what: &'static str, path: impl AsRef<Path>) -> Result<T, ProbeError> {
        self.map_err(|source| ProbeError::Step { what, path: path.as_ref().into(), source: source.into() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_words_name_the_best_way_and_why_not_the_better_ones() {
        let refused = |way: &str| Refused { way: way.to_owned(), reason: format!("no {way} here") };
        let answer =
            Answer { way: Some("shared".to_owned()), refused: vec![refused("own"), refused("account")] };
        assert_eq!(
            answer.words(),
            "shared: servers share one account with the kernel\n  not own: no own here\n  not account: no account here"
        );
        let none = Answer { way: None, refused: Vec::new() };
        assert_eq!(none.words(), "no server could be made");
    }
}
