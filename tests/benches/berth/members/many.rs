//! Acts of many people at the same moment.

use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Barrier;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, anyhow, ensure};
use berth_tests::GitDoor;

use super::memory::{at_most, resident, words};
use super::state::{Size, domain, member};
use super::{Build, Ground, Rows, Seat, done, row, seconds, timed};

/// Members who look for the first time at once.
const FIRST_LOOKS: usize = 4;
/// Tries after which somebody gives up.
const TRIES: usize = 60;

/// Members who push a domain to `main` at the same moment, and again when it was refused.
pub(crate) fn pushes_at_once(build: &Build, size: Size) -> anyhow::Result<Rows> {
    let (ground, _) = Ground::young(build, size)?;
    let (door, seats) = seated(&ground)?;
    let pid = door.pid().context("a door")?;
    let began = Instant::now();
    let (tries, most) = at_most(&[pid], || {
        together(&seats, |number, seat| {
            let text = format!("server = \"{}\"\n", member(number));
            seat.commit(&[(domain(&format!("z{number}")), text)])?;
            for tries in 1..=TRIES {
                let push =
                    seat.git(&["push", "--quiet", "origin", "HEAD:main"]).output().context("run git")?;
                if push.status.success() {
                    return Ok(tries);
                }
                done(&mut seat.git(&["pull", "--quiet", "--rebase", "origin", "main"]))?;
            }
            Err(anyhow!("member {number} gave up"))
        })
    });
    let (took, tries) = (began.elapsed(), tries?);
    ensure!(landed(&ground, "z")? == size.together, "not every domain is on main");
    let refused = tries.iter().sum::<usize>() - tries.len();
    let worst = tries.iter().max().copied().unwrap_or_default();
    let besides = format!("{refused} refusals, at most {worst} tries");
    let what = format!("{} push a domain at once: until all are in", size.together);
    Ok(vec![row(what, seconds(took), words(most), besides)])
}

/// Members who propose a domain of their own at the same moment.
pub(crate) fn proposals_at_once(build: &Build, size: Size) -> anyhow::Result<Rows> {
    let (ground, _) = Ground::young(build, size)?;
    let (door, seats) = seated(&ground)?;
    let pid = door.pid().context("a door")?;
    let began = Instant::now();
    let (pushed, most) = at_most(&[pid], || {
        together(&seats, |number, seat| {
            let text = format!("server = \"{}\"\n", member(number));
            seat.commit(&[(domain(&format!("w{number}")), text)])?;
            done(&mut seat.git(&["push", "--quiet", "origin", &format!("HEAD:review/w{number}")]))
        })
    });
    let took = began.elapsed();
    pushed?;
    let besides = format!("{} of {} merged", landed(&ground, "w")?, size.together);
    let what = format!("{} proposals of one’s own at once", size.together);
    Ok(vec![row(what, seconds(took), words(most), besides)])
}

/// First looks at a long history: one, then several at once, beside what git alone takes for the same history.
pub(crate) fn first_looks(build: &Build, size: Size) -> anyhow::Result<Rows> {
    let ground = Ground::old(build, size)?;
    let plain = ground.place("plain");
    let mut clone = berth_testing::git(Path::new("."));
    // As by SSH: whatever is sent goes through a pipe.
    let from = format!("file://{}", ground.repo().display());
    let git_alone = timed(clone.args(["clone", "--quiet", &from]).arg(&plain))?;
    let door = ground.door(1 + FIRST_LOOKS);
    let pid = door.pid().context("a door")?;
    let idle = resident(pid).unwrap_or_default();
    let (one, most) = at_most(&[pid], || first_look(&ground, &door, 1));
    let one = one?;
    let ratio = one.cloned.as_secs_f64() / git_alone.as_secs_f64();
    let besides = format!("the whole clone {}, {ratio:.2} × git’s own", seconds(one.cloned));
    let mut rows =
        vec![row("a first look: to the door’s last byte", seconds(one.sent), words(most), besides)];
    let (several, most) = at_most(&[pid], || {
        thread::scope(|scope| {
            let (ground, door) = (&ground, &door);
            let looks: Vec<_> = (2..2 + FIRST_LOOKS)
                .map(|number| scope.spawn(move || first_look(ground, door, number)))
                .collect();
            looks.into_iter().map(joined).collect::<anyhow::Result<Vec<Look>>>()
        })
    });
    let slowest = several?.into_iter().map(|look| look.sent).max().unwrap_or_default();
    let after = resident(pid).unwrap_or_default();
    let besides = format!("the door has {} then, {} before all", words(after), words(idle));
    rows.push(row(format!("{FIRST_LOOKS} at once: the slowest"), seconds(slowest), words(most), besides));
    Ok(rows)
}

/// Times of a first clone.
struct Look {
    /// Until the door had sent its last byte.
    sent: Duration,
    cloned: Duration,
}

fn first_look(ground: &Ground<'_>, door: &GitDoor, number: usize) -> anyhow::Result<Look> {
    let name = member(number);
    let (at, ended) = (ground.place(&format!("look-{number}")), ground.place(&format!("ended-{number}")));
    // The connection ends with the door's last byte, and git goes on by itself.
    let ssh = format!("sh -c '{} \"$@\"; touch {}' ssh", door.ssh(&name), ended.display());
    let (began, now) = (Instant::now(), std::time::SystemTime::now());
    let mut clone = super::git(&ssh);
    done(clone.args(["clone", "--quiet", &door.url()]).arg(&at).stdin(Stdio::null()))?;
    let cloned = began.elapsed();
    let sent = std::fs::metadata(&ended)?.modified()?.duration_since(now).unwrap_or_default();
    Ok(Look { sent, cloned })
}

/// The door, and members with clones.
fn seated(ground: &Ground<'_>) -> anyhow::Result<(GitDoor, Vec<Seat>)> {
    let door = ground.door(ground.size.together);
    let seats = (1..=ground.size.together).map(|number| ground.clone_as(&door, &member(number)));
    let seats = seats.collect::<anyhow::Result<_>>()?;
    Ok((door, seats))
}

/// Lets everybody begin at the same moment.
fn together<T: Send>(
    seats: &[Seat],
    act: impl Fn(usize, &Seat) -> anyhow::Result<T> + Sync,
) -> anyhow::Result<Vec<T>> {
    let begin = Barrier::new(seats.len());
    thread::scope(|scope| {
        let (begin, act) = (&begin, &act);
        let everybody: Vec<_> = seats
            .iter()
            .enumerate()
            .map(|(place, seat)| {
                scope.spawn(move || {
                    begin.wait();
                    act(place + 1, seat)
                })
            })
            .collect();
        everybody.into_iter().map(joined).collect()
    })
}

fn joined<T>(thread: thread::ScopedJoinHandle<'_, anyhow::Result<T>>) -> anyhow::Result<T> {
    thread.join().map_err(|_| anyhow!("a thread ended"))?
}

/// Counts the domains on `main` whose label is this letter and a number.
fn landed(ground: &Ground<'_>, letter: &str) -> anyhow::Result<usize> {
    let mut list = Command::new("git");
    list.arg("--git-dir").arg(ground.repo()).args(["ls-tree", "--name-only", "main", "domains/"]);
    let output = list.output().context("run git")?;
    let names = String::from_utf8_lossy(&output.stdout).into_owned();
    let own = |line: &&str| {
        let label = line.strip_prefix("domains/").and_then(|name| name.split('.').next()).unwrap_or_default();
        label.strip_prefix(letter).is_some_and(|number| number.parse::<usize>().is_ok())
    };
    Ok(names.lines().filter(own).count())
}
