//! The panel's user, on a machine that has none: whoever is started for it sees one, and nobody else does.

use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};

use crate::process::built;

/// Name of the user and of its group, and of the program that it runs.
const NAME: &str = "berth-web";
/// Puts the files of users and groups in place of the machine's, in a mount namespace that the caller has made.
const SCRIPT: &str =
    "mount --bind \"$1\" /etc/passwd && mount --bind \"$2\" /etc/group && shift 2 && exec \"$@\"";

/// The user, its group, and the programs where it can reach them.
#[derive(Debug)]
pub struct PanelUser {
    id: u32,
    home: PathBuf,
}

impl PanelUser {
    /// Makes one, with an id that nobody on this machine has, and with what it needs in `home`.
    #[track_caller]
    pub fn make(home: &Path) -> Self {
        let files = ["passwd", "group"].map(|name| {
            let text = fs::read_to_string(Path::new("/etc").join(name)).expect("users or groups");
            (name, text)
        });
        let taken: Vec<u32> = files
            .iter()
            .flat_map(|(_, text)| text.lines())
            .filter_map(|line| line.split(':').nth(2)?.parse().ok())
            .collect();
        let id = (700..).find(|id| !taken.contains(id)).expect("a free id");
        for (name, text) in files {
            let own = match name {
                "passwd" => format!("{NAME}:x:{id}:{id}::/nonexistent:/usr/sbin/nologin\n"),
                _ => format!("{NAME}:x:{id}:\n"),
            };
            let others = text.lines().filter(|line| !line.starts_with(&format!("{NAME}:")));
            let others: String = others.map(|line| format!("{line}\n")).collect();
            fs::write(home.join(name), others + &own).expect("users or groups");
        }
        // Where the user gets to; the folder that they were built in may be closed.
        let bin = home.join("bin");
        fs::create_dir(&bin).expect("a folder");
        for program in ["berth", "berth-gate", "berth-ssh-router", NAME] {
            fs::copy(built(program), bin.join(program)).expect("a copy");
        }
        Self { id, home: home.to_owned() }
    }

    /// Its number, and that of its group.
    pub fn id(&self) -> u32 {
        self.id
    }

    /// The program `berth`, beside which it finds the panel's.
    pub(crate) fn berth(&self) -> PathBuf {
        self.home.join("bin/berth")
    }

    /// Beginning of a command that sees the user.
    pub(crate) fn sees_it(&self) -> Vec<OsString> {
        let words = ["unshare", "--mount", "--propagation", "slave", "sh", "-c", SCRIPT, "sh"];
        let files = ["passwd", "group"].map(|name| self.home.join(name).into_os_string());
        words.into_iter().map(OsString::from).chain(files).collect()
    }
}
