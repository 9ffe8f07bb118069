//! Objects that the state repo and a view have alike, copied as git has packed them: nothing is compressed anew, and
//! likenesses that are known aren't looked for again.

use std::io::{self, BufWriter, Write as _};
use std::path::Path;
use std::process::{Child, ChildStdin, Command, Stdio};

use git2::Oid;

use super::error::{ViewError, git};

/// Copies exactly these objects of the repository `from` to `to`, and none that they name. The paths tell git which of
/// them may be alike.
pub(super) fn copy(from: &Path, to: &Path, objects: &[(Oid, Vec<u8>)]) -> Result<(), ViewError> {
    if objects.is_empty() {
        return Ok(());
    }
    let failed = |act: &str, why: &dyn ToString| {
        let act = format!("{act} while objects are copied to the view {}", to.display());
        git(act)(git2::Error::from_str(&why.to_string()))
    };
    let mut taker = start(to, &["index-pack", "--stdin"], Stdio::null())
        .map_err(|error| failed("run `git index-pack`", &error))?;
    let pack = taker.stdin.take().map_or_else(Stdio::null, Stdio::from);
    // Neither `--revs` nor `--thin`: a pack of what is listed, and nothing else. Likenesses among loose objects are looked
    // for in the nearest alone: a folder is most like itself before.
    let giving = ["pack-objects", "--stdout", "--quiet", "--delta-base-offset", "--window=2"];
    let given = start(from, &giving, pack).and_then(|mut giver| {
        let listed = giver.stdin.take().map_or(Ok(()), |input| list(input, objects));
        giver.wait_with_output().map(|output| (listed, output))
    });
    // In any case it is waited for: its input has ended.
    let taken = taker.wait_with_output();
    let (listed, given) = given.map_err(|error| failed("run `git pack-objects`", &error))?;
    let taken = taken.map_err(|error| failed("run `git index-pack`", &error))?;
    for (name, output) in [("git pack-objects", given), ("git index-pack", taken)] {
        if !output.status.success() {
            let said = String::from_utf8_lossy(&output.stderr);
            return Err(failed(&format!("`{name}` ({})", output.status), &said.trim()));
        }
    }
    listed.map_err(|error| failed("list objects", &error))
}

/// A program of git's in a repository, with nothing of our own environment: a hook's would lead it elsewhere.
fn start(repository: &Path, arguments: &[&str], output: Stdio) -> io::Result<Child> {
    let mut command = Command::new("git");
    command.env_clear().envs(std::env::var_os("PATH").map(|path| ("PATH", path)));
    command.env("GIT_DIR", repository).env("GIT_CONFIG_NOSYSTEM", "1").env("LC_ALL", "C").args(arguments);
    command.stdin(Stdio::piped()).stdout(output).stderr(Stdio::piped()).spawn()
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
