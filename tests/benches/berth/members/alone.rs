//! Pushes of one person, and single commands.

use std::fs;
use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::Stdio;
use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};

use super::memory::{at_most, words};
use super::state::{Size, domain, member, platform};
use super::{Build, Ground, Rows, Seat, done, row, seconds, timed};
use crate::times::Times;

/// Rounds of what is measured several times.
const ROUNDS: usize = 5;
/// Proposals in the list that is read.
const PROPOSALS: usize = 20;

/// A state repo of one commit: making it, and a member's first clone of it.
pub(crate) fn young(build: &Build, size: Size) -> anyhow::Result<Rows> {
    let (ground, made) = Ground::young(build, size)?;
    let (files, bytes) = held(&ground.repo())?;
    let mut rows = vec![row("`berth init --from`", seconds(made), String::new(), on_disk(files, bytes))];
    let door = ground.door(1);
    let pid = door.pid().context("a door")?;
    let began = Instant::now();
    let (cloned, most) = at_most(&[pid], || ground.clone_as(&door, &member(1)));
    let took = began.elapsed();
    cloned?;
    let (files, bytes) = held(&ground.data().join("views"))?;
    rows.push(row("a member’s first clone; their view", seconds(took), words(most), on_disk(files, bytes)));
    Ok(rows)
}

/// Commands on a state repo with a history, and pushes by one member.
pub(crate) fn commands(build: &Build, size: Size) -> anyhow::Result<Rows> {
    let ground = Ground::old(build, size)?;
    let mut rows = vec![checked(&ground)?, one_changed(&ground)?, a_default(&ground)?];
    let door = ground.door(1);
    let seat = ground.clone_as(&door, &member(1))?;
    let (mut domains, mut servers) = (Way::default(), Way::default());
    for round in 0..ROUNDS {
        let text = format!("server = \"{}\"\n", member(1));
        domains.push(&seat, &[(domain(&format!("y{round}")), text)])?;
        let (path, id) = ("servers/second.toml".to_owned(), size.members + 1 + round);
        servers.push(&seat, &[(path, format!("id = {id}\nowner = \"{}\"\n", member(1)))])?;
        // The next one is new as well.
        fs::remove_file(seat.path.join("servers/second.toml"))?;
        seat.commit(&[])?;
        done(&mut seat.git(&["push", "--quiet", "origin", "HEAD:main"]))?;
    }
    rows.push(row(
        "a push of a domain: to the plan",
        domains.planned.to_string(),
        String::new(),
        String::new(),
    ));
    rows.push(row("to the end", domains.ended.to_string(), String::new(), String::new()));
    let more = format!("{} commits", size.commits + 1);
    rows.push(row("a push of a new server: to the end", servers.ended.to_string(), String::new(), more));
    drop(door);
    rows.push(listed(&ground)?);
    Ok(rows)
}

fn checked(ground: &Ground<'_>) -> anyhow::Result<Vec<String>> {
    let mut times = Times::default();
    for _ in 0..ROUNDS {
        let mut check = ground.berth(&["check"]);
        check.arg(ground.repo());
        times.push(timed(&mut check)?);
    }
    Ok(row("`berth check`", times.to_string(), String::new(), String::new()))
}

/// From a change of one file to its plan, by a process that knows nothing yet.
fn one_changed(ground: &Ground<'_>) -> anyhow::Result<Vec<String>> {
    let mut times = Times::default();
    for _ in 0..ROUNDS {
        times.push(timed(&mut ground.berth(&["plan", "--from", "main~1", "--to", "main"]))?);
    }
    Ok(row("`berth plan` of the last commit", times.to_string(), String::new(), String::new()))
}

/// A change of a default for everybody, and the lines that tell of it.
fn a_default(ground: &Ground<'_>) -> anyhow::Result<Vec<String>> {
    let work = ground.place("default");
    let seat = Seat { path: work.clone(), ssh: String::new() };
    let mut clone = berth_testing::git(Path::new("."));
    done(clone.args(["clone", "--quiet"]).arg(ground.repo()).arg(&work))?;
    seat.commit(&[("platform.toml".to_owned(), platform("2 GiB"))])?;
    done(&mut seat.git(&["push", "--quiet", "origin", "HEAD:refs/heads/other"]))?;
    let began = Instant::now();
    let output = ground.berth(&["plan", "--from", "main", "--to", "other"]).output().context("run berth")?;
    let took = began.elapsed();
    let lines = String::from_utf8_lossy(&output.stdout).lines().count();
    ensure!(lines > 0, "no plan");
    Ok(row("a default changes for every server", seconds(took), String::new(), format!("{lines} lines")))
}

/// The list of proposals.
fn listed(ground: &Ground<'_>) -> anyhow::Result<Vec<String>> {
    let seat = Seat { path: ground.place("default"), ssh: String::new() };
    for number in 0..PROPOSALS {
        done(&mut seat.git(&["checkout", "--quiet", "--detach", "origin/main"]))?;
        seat.commit(&[(format!("docs/p{number}.md"), format!("# Page {number}\n"))])?;
        let mut push = seat.git(&["push", "--quiet", "origin", &format!("HEAD:review/p{number}")]);
        // A member may have ten of them open.
        done(push.env("BERTH_USER", member(2 + number / 5)))?;
    }
    let mut times = Times::default();
    let own = std::process::id();
    let (listed, most) = at_most(&[own], || -> anyhow::Result<()> {
        for _ in 0..ROUNDS {
            times.push(timed(&mut ground.berth(&["review", "list"]))?);
        }
        Ok(())
    });
    listed?;
    Ok(row(format!("`berth review list` with {PROPOSALS}"), times.to_string(), words(most), String::new()))
}

/// Pushes of one kind.
#[derive(Default)]
struct Way {
    planned: Times,
    ended: Times,
}

impl Way {
    fn push(&mut self, seat: &Seat, files: &[(String, String)]) -> anyhow::Result<()> {
        seat.commit(files)?;
        let (planned, ended) = pushed(seat)?;
        self.planned.push(planned);
        self.ended.push(ended);
        Ok(())
    }
}

/// Pushes to `main`, and returns when the plan was in the terminal and when all was over.
fn pushed(seat: &Seat) -> anyhow::Result<(Duration, Duration)> {
    let began = Instant::now();
    let mut push = seat.git(&["push", "-o", "no-color", "origin", "HEAD:main"]);
    let mut push = push.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().context("run git")?;
    let (mut planned, mut all) = (None, String::new());
    for line in BufReader::new(push.stderr.take().context("git's messages")?).lines() {
        let line = line?;
        if line.starts_with("remote: Planned") {
            planned.get_or_insert(began.elapsed());
        }
        all += &(line + "\n");
    }
    ensure!(push.wait()?.success(), "git push said\n{all}");
    Ok((planned.with_context(|| format!("no plan in\n{all}"))?, began.elapsed()))
}

/// Files below a folder, and their bytes.
pub(crate) fn held(folder: &Path) -> anyhow::Result<(u64, u64)> {
    let (mut files, mut bytes, mut folders) = (0, 0, vec![folder.to_owned()]);
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).with_context(|| format!("read {}", folder.display()))? {
            let entry = entry?;
            let meta = entry.metadata()?;
            if meta.is_dir() {
                folders.push(entry.path());
            } else {
                files += 1;
                bytes += meta.len();
            }
        }
    }
    Ok((files, bytes))
}

fn on_disk(files: u64, bytes: u64) -> String {
    format!("{} in {files} files", words(bytes))
}
