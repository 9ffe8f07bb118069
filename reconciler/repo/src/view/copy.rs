//! Objects that the state repo and a view have alike, copied as git has packed them: nothing is compressed anew, and
//! likenesses that are known aren't looked for again.

use std::io::{self, BufWriter, Write as _};
use std::path::Path;
use std::process::{ChildStdin, Stdio};
use std::thread;
use std::time::Duration;

use git2::Oid;

use super::error::ViewError;
use crate::git::{Ended, Git, GitError};

/// Time that each of the two programs may take: a first view of ten thousand servers takes seconds.
const PATIENCE: Duration = Duration::from_secs(300);

/// Copies exactly these objects of the repository `from` to `to`, and none that they name. The paths tell git which of
/// them may be alike.
pub(super) fn copy(from: &Path, to: &Path, objects: &[(Oid, Vec<u8>)]) -> Result<(), ViewError> {
    if objects.is_empty() {
        return Ok(());
    }
    between(from, to, objects).map_err(|source| ViewError::Copy { path: to.to_owned(), source })
}

fn between(from: &Path, to: &Path, objects: &[(Oid, Vec<u8>)]) -> Result<(), GitError> {
    let git = |repository| Git::at(repository, PATIENCE);
    let mut taker = git(to).spawn("index-pack", ["--stdin"], Stdio::piped(), Stdio::null())?;
    let pack = taker.input().map_or_else(Stdio::null, Stdio::from);
    // Neither `--revs` nor `--thin`: a pack of what is listed, and nothing else. Likenesses among loose objects are looked
    // for in the nearest alone: a folder is most like itself before.
    let giving = ["--stdout", "--quiet", "--delta-base-offset", "--window=2"];
    let mut giver = git(from).spawn("pack-objects", giving, Stdio::piped(), pack)?;
    let input = giver.input();
    let (listed, given, taken) = thread::scope(|scope| {
        let listing = scope.spawn(|| input.map_or(Ok(()), |input| list(input, objects)));
        let taking = scope.spawn(|| taker.wait());
        let given = giver.wait();
        (listing.join(), given, taking.join())
    });
    // Where the first of them failed, that is why the second did.
    given.and_then(Ended::expect_success)?;
    let broken = |command| move |_| GitError::Answer { command };
    taken.map_err(broken("index-pack"))?.and_then(Ended::expect_success)?;
    let command = "pack-objects";
    listed.map_err(broken(command))?.map_err(|source| GitError::Run { command, source })
}

fn list(input: ChildStdin, objects: &[(Oid, Vec<u8>)]) -> io::Result<()> {
    let mut input = BufWriter::new(input);
    for (id, path) in objects {
        write!(input, "{id}")?;
        // A line is an object: a path that somebody chose may not begin another one.
        if path.iter().all(u8::is_ascii_graphic) {
            input.write_all(b" ")?;
            input.write_all(path)?;
        }
        input.write_all(b"\n")?;
    }
    input.flush()
}
