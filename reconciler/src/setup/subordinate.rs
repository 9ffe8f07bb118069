//! Subordinate ids: the range of host ids that the servers' users are mapped to.
//!
//! `/etc/subuid` and `/etc/subgid` are shared with other programs. A range is appended where the user has none that is
//! long enough; lines that are there are never changed.

use std::ops::Range;

/// Number of ids that a server needs: everything that 16 bits can name.
pub const COUNT: u64 = 65_536;

/// The first id that is handed out, as the usual tools do.
const FIRST: u64 = 100_000;

/// The last id that the kernel has, less the two that mean "nobody" and "unchanged".
const LAST: u64 = u32::MAX as u64 - 2;

/// The change that a file needs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Subordinate {
    /// The user has enough. Other owners of the same ids are named: they could touch the servers' files.
    Present {
        /// Users whose ranges overlap.
        shared_with: Vec<String>,
    },
    /// A line is appended.
    Append {
        /// The line, without its end.
        line: String,
        /// The whole file with it.
        text: String,
    },
}

/// A range that can't be had.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SubordinateError {
    /// A line is not `user:first:count`, so nobody knows which ids it covers.
    #[error("line {line} of the subordinate ids is not `user:first:count`: {text:?}")]
    Line {
        /// The line's number, from 1.
        line: usize,
        /// The line's text.
        text: String,
    },
    /// All ids are given away.
    #[error("no {COUNT} subordinate ids in a row are free")]
    Full,
}

/// One line of the file.
struct Entry<'a> {
    user: &'a str,
    ids: Range<u64>,
}

/// Works out the change that `existing`, the text of one of the two files, needs so that `user` has [`COUNT`] ids.
pub fn ensure(existing: &str, user: &str) -> Result<Subordinate, SubordinateError> {
    let entries = parse(existing)?;
    let (own, others): (Vec<_>, Vec<_>) = entries.iter().partition(|entry| entry.user == user);
    let has: u64 = own.iter().map(|entry| entry.ids.end - entry.ids.start).sum();
    if has >= COUNT {
        let mut shared_with: Vec<String> = others
            .iter()
            .filter(|other| own.iter().any(|own| overlap(&own.ids, &other.ids)))
            .map(|other| other.user.to_owned())
            .collect();
        shared_with.sort();
        shared_with.dedup();
        return Ok(Subordinate::Present { shared_with });
    }
    let first = free(&entries)?;
    let line = format!("{user}:{first}:{COUNT}");
    let newline = if existing.is_empty() || existing.ends_with('\n') { "" } else { "\n" };
    Ok(Subordinate::Append { text: format!("{existing}{newline}{line}\n"), line })
}

/// Returns whether `passwd`, the text of `/etc/passwd`, knows the user.
pub fn user_exists(passwd: &str, user: &str) -> bool {
    passwd.lines().any(|line| line.split(':').next() == Some(user))
}

fn parse(text: &str) -> Result<Vec<Entry<'_>>, SubordinateError> {
    text.lines()
        .enumerate()
        .filter(|(_, line)| !line.trim().is_empty() && !line.trim_start().starts_with('#'))
        .map(|(index, line)| {
            entry(line).ok_or_else(|| SubordinateError::Line { line: index + 1, text: line.to_owned() })
        })
        .collect()
}

fn entry(line: &str) -> Option<Entry<'_>> {
    let mut fields = line.trim().split(':');
    let (user, first, count) = (fields.next()?, fields.next()?, fields.next()?);
    let (first, count): (u64, u64) = (first.parse().ok()?, count.parse().ok()?);
    let end = first.checked_add(count)?;
    (fields.next().is_none() && !user.is_empty()).then_some(Entry { user, ids: first..end })
}

/// The lowest start of a free range: the first candidate is the usual one, the others follow an entry's end.
fn free(entries: &[Entry<'_>]) -> Result<u64, SubordinateError> {
    let mut candidates: Vec<u64> = entries.iter().map(|entry| entry.ids.end.max(FIRST)).collect();
    candidates.push(FIRST);
    candidates.sort_unstable();
    candidates
        .into_iter()
        .find(|first| {
            let wanted = *first..first.saturating_add(COUNT);
            wanted.end <= LAST && entries.iter().all(|entry| !overlap(&entry.ids, &wanted))
        })
        .ok_or(SubordinateError::Full)
}

fn overlap(a: &Range<u64>, b: &Range<u64>) -> bool {
    a.start < b.end && b.start < a.end
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(existing: &str) -> String {
        match ensure(existing, "dockremap").expect("a range") {
            Subordinate::Append { line, text } => {
                assert_eq!(text.trim_end().lines().last(), Some(line.as_str()));
                assert!(text.starts_with(existing), "what was there stays");
                line
            }
            Subordinate::Present { .. } => "present".to_owned(),
        }
    }

    #[test]
    fn appends_the_first_free_range() {
        assert_eq!(line(""), "dockremap:100000:65536");
        assert_eq!(line("alice:100000:65536\n"), "dockremap:165536:65536");
        assert_eq!(line("alice:100000:65536"), "dockremap:165536:65536");
        assert_eq!(line("# ids\n\nalice:300000:10\nbob:100001:10\n"), "dockremap:100011:65536");
        assert_eq!(line("alice:1000:10\n"), "dockremap:100000:65536");
    }

    #[test]
    fn a_range_that_is_long_enough_is_kept() {
        assert_eq!(line("dockremap:500000:65536\n"), "present");
        assert_eq!(line("dockremap:500000:65000\ndockremap:600000:536\n"), "present");
        assert_eq!(line("dockremap:100000:1000\n"), "dockremap:101000:65536");
    }

    #[test]
    fn names_those_who_share_the_range() {
        let found =
            ensure("dockremap:100000:65536\nbob:165535:9\nalice:100:200000\neve:165536:9\n", "dockremap");
        assert_eq!(found, Ok(Subordinate::Present { shared_with: vec!["alice".into(), "bob".into()] }));
    }

    #[test]
    fn a_line_that_is_not_understood_stops_everything() {
        for text in ["alice:1\n", "alice:x:1\n", "alice:1:2:3\n", ":1:2\n"] {
            assert!(
                matches!(ensure(text, "dockremap"), Err(SubordinateError::Line { line: 1, .. })),
                "{text:?}"
            );
        }
    }

    #[test]
    fn a_full_file_is_an_error() {
        assert_eq!(ensure("alice:0:4294967295\n", "dockremap"), Err(SubordinateError::Full));
    }

    #[test]
    fn finds_a_user_by_the_whole_name() {
        let passwd = "root:x:0:0::/root:/bin/sh\ndockremap2:x:1:1::/:/bin/false\n";
        assert!(user_exists(passwd, "root"));
        assert!(!user_exists(passwd, "dockremap"));
    }
}
