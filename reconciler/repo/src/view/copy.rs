//! Objects that the state repo and a view have alike, copied as git has packed them: nothing is compressed anew, and
//! likenesses that are known aren't looked for again.

use std::io::{self, BufWriter, Read as _, Write as _};
use std::path::Path;
use std::process::{Child, ChildStderr, ChildStdin, Command, ExitStatus, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use git2::Oid;

use super::error::{ViewError, git};

/// How long both programs together may take: a first view of ten thousand servers takes seconds.
const PATIENCE: Duration = Duration::from_secs(300);
/// How often it is looked whether they have ended.
const LOOK_AGAIN: Duration = Duration::from_millis(2);

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
    let mut giver = match start(from, &giving, pack) {
        Ok(giver) => giver,
        Err(error) => {
            // Its input has ended, so it comes to its own end.
            let _ = taker.wait();
            return Err(failed("run `git pack-objects`", &error));
        }
    };
    let (input, giver_says, taker_says) = (giver.stdin.take(), giver.stderr.take(), taker.stderr.take());
    let until = Instant::now() + PATIENCE;
    let (listed, said, ended) = thread::scope(|scope| {
        let listing = scope.spawn(|| input.map_or(Ok(()), |input| list(input, objects)));
        let saying = [scope.spawn(|| hear(giver_says)), scope.spawn(|| hear(taker_says))];
        let ended = [end(&mut giver, until), end(&mut taker, until)];
        (listing.join(), saying.map(|said| said.join().unwrap_or_default()), ended)
    });
    for ((name, said), ended) in ["git pack-objects", "git index-pack"].into_iter().zip(said).zip(ended) {
        match ended.map_err(|error| failed(&format!("run `{name}`"), &error))? {
            Some(status) if status.success() => {}
            Some(status) => return Err(failed(&format!("`{name}` ({status})"), &said.trim())),
            None => {
                let why = format!("it hadn't ended after {} s", PATIENCE.as_secs());
                return Err(failed(&format!("`{name}`"), &why));
            }
        }
    }
    let listed = listed.unwrap_or_else(|_| Err(io::Error::other("the list broke off")));
    listed.map_err(|error| failed("list objects", &error))
}

/// Waits for a program; `None` where it had to be killed because its time was over.
fn end(program: &mut Child, until: Instant) -> io::Result<Option<ExitStatus>> {
    loop {
        if let Some(status) = program.try_wait()? {
            return Ok(Some(status));
        }
        if Instant::now() >= until {
            program.kill()?;
            program.wait()?;
            return Ok(None);
        }
        thread::sleep(LOOK_AGAIN);
    }
}

/// What a program says on its standard error, to its end.
fn hear(from: Option<ChildStderr>) -> String {
    let mut said = Vec::new();
    // What can't be read is only words.
    let _ = from.map(|mut from| from.read_to_end(&mut said));
    String::from_utf8_lossy(&said).into_owned()
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
