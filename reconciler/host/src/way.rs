//! Ways in which servers are kept apart by the kernel's counters, and the record of the one that a running server got.
//!
//! `berth-runtime` writes the record when it has made a server; others read it. A record is about one process: once that has ended
//! it says nothing, also where another process has its number by now.

use std::fmt;
use std::fs::{self, DirBuilder};
use std::io;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use crate::file::replace_for_now;
use crate::process::started;

/// The folder of records. It vanishes with the machine's start, as the servers do.
pub const SERVERS: &str = "/run/berth/servers";

/// Number of what `berth-runtime` gives to servers. It rises with each change of that, so that everybody sees which servers were started
/// before one and get it at their next start. A test of `berth-runtime` fails until it does.
pub const EDITION: u32 = 1;

/// Name of the runtime's program.
const PROGRAM: &str = "berth-runtime";

/// Ids of one range.
pub const RANGE: u32 = 0x1_0000;

/// The first id of all ranges. Up to 0x7ffd_ffff ids are nobody's in systemd's plan (systemd.io/UIDS-GIDS).
pub const FIRST_RANGE: u32 = 0x7000_0000;

/// Number of ranges of ids, and so the largest id of a server that can have one ([`Way::Own`]).
pub const RANGES: u32 = 0xffe;

/// The way in which the kernel tells a server from others.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Way {
    /// Not at all: all servers and the host's root are one account, and the servers have the same ids.
    Shared,
    /// By an account of its own, with the ids that all servers have.
    Account,
    /// By an account and a range of ids of its own.
    Own,
}

impl Way {
    /// All of them, the best first.
    pub const ALL: [Self; 3] = [Self::Own, Self::Account, Self::Shared];

    /// Its name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Shared => "shared",
            Self::Account => "account",
            Self::Own => "own",
        }
    }

    /// The program that starts servers in it: `runtime`, or a link to it beside it. An engine that is given arguments for a runtime
    /// calls it by a script, and removes that with the arguments: then nobody could stop the servers that run.
    pub fn program(self, runtime: &Path) -> PathBuf {
        let name = runtime.file_name().unwrap_or_default().to_string_lossy();
        match self {
            Self::Account => runtime.to_owned(),
            Self::Shared | Self::Own => runtime.with_file_name(format!("{name}-{}", self.name())),
        }
    }

    /// Reads how `berth-runtime` is called: by the end of its own name, unless its first argument says a way.
    pub fn of_call<'a>(program: &str, arguments: impl IntoIterator<Item = &'a str>) -> Self {
        let first = arguments.into_iter().next();
        let ways = || Self::ALL.into_iter();
        let asked = ways().find(|way| first.is_some() && way.argument() == first);
        let named = || ways().find(|way| program.ends_with(&format!("{PROGRAM}-{}", way.name())));
        asked.or_else(named).unwrap_or(Self::Account)
    }

    /// Argument of `berth-runtime` that asks for it; none for the usual one.
    pub fn argument(self) -> Option<&'static str> {
        match self {
            Self::Shared => Some("--shared-account"),
            Self::Account => None,
            Self::Own => Some("--own-ranges"),
        }
    }
}

impl fmt::Display for Way {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.name())
    }
}

/// A word that names no way.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NoWay;

impl FromStr for Way {
    type Err = NoWay;

    fn from_str(text: &str) -> Result<Self, NoWay> {
        Self::ALL.into_iter().find(|way| way.name() == text).ok_or(NoWay)
    }
}

/// A server's way, and the process that it is true of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct WayRecord {
    /// The way.
    pub way: Way,
    /// The server's first process.
    pub pid: u32,
    /// Start of that process, in clock ticks since the machine's start.
    pub started: u64,
    /// The [`EDITION`] that it was started by; 0 where the record was written before there was one.
    pub edition: u32,
}

impl WayRecord {
    /// Makes the record of a process.
    pub fn of_process(way: Way, pid: u32) -> io::Result<Self> {
        Ok(Self { way, pid, started: started(pid)?, edition: EDITION })
    }

    /// Reads the record of a container. `None` when there is none, or its process has ended.
    pub fn read(folder: &Path, container: &str) -> io::Result<Option<Self>> {
        let text = match fs::read_to_string(file(folder, container)?) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error),
        };
        // Half a file can't be there, and one of another version says nothing: both count as none.
        let record = Self::parse(&text);
        Ok(record.filter(|record| started(record.pid).is_ok_and(|started| started == record.started)))
    }

    /// Writes it as a whole.
    pub fn write(&self, folder: &Path, container: &str) -> io::Result<()> {
        DirBuilder::new().recursive(true).mode(0o755).create(folder)?;
        let text = format!("{} {} {} {}\n", self.way, self.pid, self.started, self.edition);
        replace_for_now(&file(folder, container)?, text.as_bytes(), 0o644)
    }

    /// Removes the record of a container, if there is one.
    pub fn remove(folder: &Path, container: &str) -> io::Result<()> {
        match fs::remove_file(file(folder, container)?) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        }
    }

    /// Checks that the server has all that it would get if it were started now, apart from its way.
    pub fn is_current(&self) -> bool {
        self.edition == EDITION
    }

    /// Checks it against the kernel, which shows whether the process's ids are of a range.
    pub fn is_borne_out(&self) -> bool {
        let map = fs::read_to_string(format!("/proc/{}/uid_map", self.pid)).unwrap_or_default();
        is_of_range(&map) == (self.way == Way::Own)
    }

    fn parse(text: &str) -> Option<Self> {
        let mut words = text.split_ascii_whitespace();
        let (way, pid, started) = (words.next()?, words.next()?, words.next()?);
        let edition = words.next().map_or(Ok(0), str::parse).ok()?;
        Some(Self { way: way.parse().ok()?, pid: pid.parse().ok()?, started: started.parse().ok()?, edition })
    }
}

/// Tells whether a mapping leads to a range of ids.
fn is_of_range(map: &str) -> bool {
    let first = map.split_ascii_whitespace().nth(1).and_then(|first| first.parse::<u32>().ok());
    first.is_some_and(|first| (FIRST_RANGE..FIRST_RANGE + RANGES * RANGE).contains(&first))
}

/// A container's id is a plain name.
fn file(folder: &Path, container: &str) -> io::Result<PathBuf> {
    let plain = !container.is_empty()
        && container.len() <= 128
        && !container.starts_with('.')
        && container.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte));
    match plain {
        true => Ok(folder.join(container)),
        false => {
            Err(io::Error::new(io::ErrorKind::InvalidInput, format!("{container:?} is no container's id")))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_holds_while_its_process_lives() {
        let folder = tempfile::tempdir().unwrap();
        let folder = folder.path().join("servers");
        assert_eq!(WayRecord::read(&folder, "abc").unwrap(), None);
        let mut of_us = WayRecord::of_process(Way::Own, std::process::id()).unwrap();
        of_us.write(&folder, "abc").unwrap();
        assert_eq!(WayRecord::read(&folder, "abc").unwrap(), Some(of_us));
        of_us.started += 1;
        of_us.write(&folder, "abc").unwrap();
        assert_eq!(WayRecord::read(&folder, "abc").unwrap(), None, "another process's number");
        let of_us = WayRecord::of_process(Way::Own, std::process::id()).unwrap();
        fs::write(folder.join("abc"), format!("own {} {}\n", of_us.pid, of_us.started)).unwrap();
        let before =
            WayRecord::read(&folder, "abc").unwrap().expect("a record of before there were editions");
        assert!(of_us.is_current() && !before.is_current() && before.way == Way::Own);
        fs::write(folder.join("abc"), "own 1").unwrap();
        assert_eq!(WayRecord::read(&folder, "abc").unwrap(), None, "half a file");
        WayRecord::remove(&folder, "abc").unwrap();
        WayRecord::remove(&folder, "abc").unwrap();
        assert!(!folder.join("abc").exists());
    }

    #[test]
    fn the_kernel_shows_whose_ids_a_server_has() {
        assert!(is_of_range("         0 1879048192      65536\n") && is_of_range("0 2147287040 65536"));
        assert!(!is_of_range("0 100000 65536") && !is_of_range("0 2147352576 65536") && !is_of_range(""));
        let record = |way| WayRecord::of_process(way, std::process::id()).unwrap();
        assert!(record(Way::Account).is_borne_out() && !record(Way::Own).is_borne_out());
    }

    #[test]
    fn a_container_s_id_is_a_plain_name() {
        for id in ["", "..", ".hidden", "a/b", "../x", "a b"] {
            assert!(WayRecord::read(Path::new("/nowhere"), id).is_err(), "{id}");
        }
    }

    #[test]
    fn the_name_says_the_way_and_the_first_argument_before_it() {
        let runtime = Path::new("/usr/local/bin/berth-runtime");
        assert_eq!(Way::Account.program(runtime), runtime);
        for way in Way::ALL {
            let program = way.program(runtime);
            let program = program.to_str().unwrap();
            assert_eq!(Way::of_call(program, []), way);
            assert_eq!(Way::of_call(program, ["create"]), way);
            assert_eq!(Way::of_call("/somewhere/berth-runtime", way.argument()), way);
            assert_eq!(way.name().parse(), Ok(way));
        }
        assert_eq!(Way::of_call("berth-runtime", ["--debug", "--own-ranges"]), Way::Account);
        assert_eq!(Way::of_call("/usr/local/bin/berth-runtime-own", ["--shared-account"]), Way::Shared);
        assert_eq!("".parse::<Way>(), Err(NoWay));
    }
}
