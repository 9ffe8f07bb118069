//! Report: a file in which a supervisor says what came of the last program that it started.
//!
//! One line: the supervisor's process id, a number that grows with each report, and `serves <process id>` or `failed <words>`.

use std::fmt;
use std::io;
use std::path::Path;
use std::str::FromStr;

use berth_host::file;
use rustix::process::Pid;

/// Fate of the program that was started last.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum News {
    /// It listens, and everything before it finishes.
    Serves(Pid),
    /// It never listened, for this reason. The one before goes on.
    Failed(String),
}

/// One report.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Report {
    pub(crate) supervisor: Pid,
    pub(crate) number: u64,
    pub(crate) news: News,
}

impl Report {
    /// Reads the last report; `None` where there is none.
    pub(crate) fn read(path: &Path) -> io::Result<Option<Self>> {
        match std::fs::read_to_string(path) {
            Ok(text) => Ok(text.parse().ok()),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    pub(crate) fn write(&self, path: &Path) -> io::Result<()> {
        file::replace_for_now(path, format!("{self}\n").as_bytes(), 0o600)
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { supervisor, number, news } = self;
        write!(f, "{} {number} ", supervisor.as_raw_nonzero())?;
        match news {
            News::Serves(pid) => write!(f, "serves {}", pid.as_raw_nonzero()),
            News::Failed(words) => write!(f, "failed {words}"),
        }
    }
}

/// Text that is no report.
#[derive(Debug)]
pub(crate) struct NoReport;

impl FromStr for Report {
    type Err = NoReport;

    fn from_str(text: &str) -> Result<Self, NoReport> {
        let pid = |text: &str| text.parse().ok().and_then(Pid::from_raw).ok_or(NoReport);
        let mut words = text.trim().splitn(4, ' ');
        let mut next = || words.next().ok_or(NoReport);
        let (supervisor, number) = (pid(next()?)?, next()?.parse().map_err(|_| NoReport)?);
        let news = match (next()?, next()?) {
            ("serves", who) => News::Serves(pid(who)?),
            ("failed", why) => News::Failed(why.to_owned()),
            _ => return Err(NoReport),
        };
        Ok(Self { supervisor, number, news })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_report_is_read_as_it_was_written() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("report");
        assert_eq!(Report::read(&path).unwrap(), None);
        let pid = |number| Pid::from_raw(number).unwrap();
        for news in [News::Serves(pid(7)), News::Failed("it ended first (exit code 3)".to_owned())] {
            let report = Report { supervisor: pid(1), number: 12, news };
            report.write(&path).unwrap();
            assert_eq!(Report::read(&path).unwrap(), Some(report));
        }
        for text in ["", "1", "1 2", "1 2 serves", "1 2 serves x", "0 2 serves 3", "1 2 hopes 3"] {
            assert!(text.parse::<Report>().is_err(), "{text}");
        }
    }
}
