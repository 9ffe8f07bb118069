//! Objects written as one pack: as git has packed them elsewhere, so that nothing is compressed anew, and likenesses that are known
//! aren't looked for again.

use std::ffi::OsStr;
use std::io::Read as _;
use std::path::Path;
use std::time::Duration;

use git2::Oid;

use super::error::ViewError;
use crate::git::{Git, GitError, Objects};

/// Time that git may take: a first view of ten thousand servers takes seconds.
const PATIENCE: Duration = Duration::from_secs(900);

/// Writes a pack of exactly these objects into the repository `to`, and none that they name. Those that it doesn't have are read in
/// the folder `from`. The paths tell git which of them may be alike. Returns the pack's name, without an ending.
pub(super) fn copy(
    from: Option<&Path>,
    to: &Path,
    objects: &[(Oid, Vec<u8>)],
) -> Result<Option<String>, ViewError> {
    if objects.is_empty() {
        return Ok(None);
    }
    pack(from, to, objects).map(Some).map_err(|source| ViewError::Copy { path: to.to_owned(), source })
}

fn pack(from: Option<&Path>, to: &Path, objects: &[(Oid, Vec<u8>)]) -> Result<String, GitError> {
    let git = Git::at(to, PATIENCE);
    let git = match from {
        Some(from) => git.objects(Objects::Beside(from.to_owned())),
        None => git,
    };
    let place = to.join("objects/pack/pack");
    // Neither `--revs` nor `--thin`: a pack of what is listed, and nothing else. Likenesses among loose objects are looked
    // for in the nearest alone: a folder is most like itself before.
    let arguments = ["--quiet", "--delta-base-offset", "--window=2"].map(OsStr::new);
    let arguments = arguments.into_iter().chain([place.as_os_str()]);
    git.stream("pack-objects", arguments, listed(objects), |output| {
        let mut id = String::new();
        output.read_to_string(&mut id)?;
        Ok(format!("pack-{}", id.trim()))
    })
}

/// The objects as git reads them, a line for each.
fn listed(objects: &[(Oid, Vec<u8>)]) -> Vec<u8> {
    let mut lines = Vec::with_capacity(objects.len() * 64);
    for (id, path) in objects {
        lines.extend_from_slice(id.to_string().as_bytes());
        // A path that somebody chose may not begin another line.
        if !path.is_empty() && path.iter().all(u8::is_ascii_graphic) {
            lines.push(b' ');
            lines.extend_from_slice(path);
        }
        lines.push(b'\n');
    }
    lines
}
