//! The stories: what Berth promises, told with real processes. One file for a behaviour; each reads from top to bottom.
//!
//! They need root, `docker.io`, `git`, a static busybox and, for the panel, Chromium (`scripts/install.sh test`). Filters and flags are those of
//! `cargo test`. Everything that was made is removed at the end, whatever became of the stories.

use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::mpsc::{self, RecvTimeoutError, Sender};
use std::time::Duration;

use berth_testing::skip::all_must_run;
use berth_tests::seats::{Needs, Seats};
use berth_tests::shared::hush_panics;
use berth_tests::{NoGround, Skipped, Turn, World};
use libtest_mimic::{Arguments, Completion, Failed, Trial};
use parking_lot::Mutex;

/// A story: it panics when it isn't true.
pub(crate) type Story = fn(&World) -> Result<(), Skipped>;

macro_rules! tell {
    ($($file:ident: $needs:ident),* $(,)?) => {
        $(mod $file;)*
        /// Every file, with what its stories need and the stories.
        const FILES: &[(&str, Needs, &[(&str, Story)])] = &[$((stringify!($file), Needs::$needs, $file::STORIES)),*];
    };
}

/// The stories of a file, by their functions' names.
macro_rules! stories {
    ($($name:ident),* $(,)?) => {
        pub(crate) const STORIES: &[(&str, crate::Story)] =
            &[$((stringify!($name), |world| crate::Told::told($name(world)))),*];
    };
}
pub(crate) use stories;

// The lab's first, since they are told one after the other, and the long ones of both kinds first, so that the short ones fill
// the gaps.
tell! {
    recovery: SeatAndLab,
    ssh: SeatAndLab,
    isolation: SeatAndLab,
    edge: SeatAndLab,
    in_force: SeatAndLab,
    certificates: SeatAndLab,
    newcomer: SeatAndLab,
    forwarded: SeatAndLab,
    lab: SeatAndLab,
    tools: SeatAndLab,
    example_state: Seat,
    hostile_root: Seat,
    links: Seat,
    ways: Seat,
    web: Seat,
    gate: Seat,
    walls: Seat,
    wiki: Seat,
    own_address: SeatAndLab,
    cache: Seat,
    crash: Seat,
    engine_trouble: Seat,
    firewall: Seat,
    create: Seat,
    change: Seat,
    removal: Seat,
    repair: Seat,
    backup: Seat,
    running: Seat,
    metrics: Seat,
    alarms: Seat,
    ownership: Seat,
    broken_commit: Seat,
    bad_input: Seat,
    panel: Seat,
    factors: Seat,
    oidc: Seat,
    forge_change: Seat,
    panel_certificate: Seat,
    wildcard: Seat,
    pages: Seat,
    state_browser: Seat,
    intruders: Seat,
    browsing: Seat,
    plan: Seat,
    git_door: Seat,
    lobby: Seat,
    hosting_page: Seat,
    api_page: Seat,
    cli: Seat,
    truth: Seat,
    many_servers: Seat,
    programs: Seat,
    a_shell_survives: SeatAndLab,
}

/// Stories that take too long for every run: `make stories-long` tells them, and only them.
const LONG: [&str; 5] = [
    "many_servers::thirty_idle_servers_run",
    "many_servers::thirty_idle_servers_run_beside_a_hog",
    "many_servers::thirty_idle_servers_with_accounts_run_beside_a_hog",
    "programs::what_people_run_runs",
    "a_shell_survives::idle_minutes_and_an_outage",
];

/// A story that can always be told returns nothing; one that can't says why.
pub(crate) trait Told {
    fn told(self) -> Result<(), Skipped>;
}

impl Told for () {
    fn told(self) -> Result<(), Skipped> {
        Ok(())
    }
}

impl Told for Result<(), Skipped> {
    fn told(self) -> Result<(), Skipped> {
        self
    }
}

fn main() -> ExitCode {
    let mut arguments = Arguments::from_args();
    // More would only wait for the engine, and their timings would say nothing.
    let number = arguments.test_threads.unwrap_or(2);
    let seats = Arc::new(Seats::new(number));
    if number > 1 {
        // A thread that waits for the lab keeps no other from its seat.
        let of_lab = FILES.iter().filter(|(_, needs, _)| *needs == Needs::SeatAndLab);
        arguments.test_threads = Some(number + of_lab.map(|(.., stories)| stories.len()).sum::<usize>());
    }
    // A list needs no engine, and no turn.
    let _turn = (!arguments.list).then(Turn::take);
    hush_panics();
    let world = Arc::new(World::default());
    let reasons = Arc::new(Reasons::default());
    let mut trials =
        vec![Trial::test("guard::every_file_is_listed", || every_file_is_listed().map_err(Into::into))];
    for (file, needs, stories) in FILES {
        for (name, story) in *stories {
            let (world, reasons, seats) = (Arc::clone(&world), Arc::clone(&reasons), Arc::clone(&seats));
            let place = trials.len();
            let name = format!("{file}::{name}");
            let is_long = LONG.contains(&name.as_str());
            let trial = Trial::ignorable_test(name.clone(), move || {
                let _seat = seats.take(place, *needs);
                let _watch = Watch::over(name);
                match catch_unwind(AssertUnwindSafe(|| story(&world))) {
                    Ok(Ok(())) => Ok(Completion::Completed),
                    Ok(Err(Skipped(why))) if all_must_run() => {
                        Err(format!("BERTH_TESTS=all, and {why}").into())
                    }
                    Ok(Err(Skipped(why))) => Ok(Completion::ignored_with(why)),
                    Err(panic) => match panic.downcast::<NoGround>() {
                        Ok(reason) => Err(reasons.add(*reason)),
                        Err(panic) => resume_unwind(panic),
                    },
                }
            });
            trials.push(trial.with_ignored_flag(is_long));
        }
    }
    let conclusion = libtest_mimic::run(&arguments, trials);
    match Arc::into_inner(world) {
        Some(mut world) => world.end(),
        None => eprintln!("a story is still being told; its engine is ended by the next run"),
    }
    reasons.tell();
    conclusion.exit_code()
}

/// Reasons for which stories could not be told, and how many failed for each.
#[derive(Default)]
struct Reasons(Mutex<BTreeMap<NoGround, usize>>);

impl Reasons {
    /// Notes a story that failed for `reason`, which is told at the end and not with the story.
    fn add(&self, reason: NoGround) -> Failed {
        *self.0.lock().entry(reason).or_default() += 1;
        Failed::without_message()
    }

    /// Tells each reason once, in three lines or so.
    fn tell(&self) {
        for (NoGround(words), stories) in self.0.lock().iter() {
            eprintln!("stories that failed for one reason: {stories}\n  {}", words.replace('\n', "\n  "));
        }
    }
}

/// Time that a story may take. The longest takes two minutes on a quiet machine, and the first one waits for images.
const STORY_MAX: Duration = Duration::from_secs(1200);

/// Ends a run in which a story hangs. What it leaves is removed by the next one.
struct Watch(Sender<()>);

impl Watch {
    fn over(story: String) -> Self {
        let (sender, over) = mpsc::channel();
        std::thread::spawn(move || {
            if over.recv_timeout(STORY_MAX) == Err(RecvTimeoutError::Timeout) {
                eprintln!("{story} took more than {STORY_MAX:?}, so the run ends here");
                std::process::abort();
            }
        });
        Self(sender)
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        // The watch may be over.
        let _ = self.0.send(());
    }
}

/// A file that nobody lists would be a story that nobody hears.
fn every_file_is_listed() -> Result<(), String> {
    let folder = berth_tests::process::source_tree().join("tests/stories");
    let entries = std::fs::read_dir(&folder).map_err(|error| format!("{}: {error}", folder.display()))?;
    let unlisted: Vec<String> = entries
        .flatten()
        .filter_map(|entry| entry.file_name().to_str()?.strip_suffix(".rs").map(str::to_owned))
        .filter(|name| name != "main" && !FILES.iter().any(|(file, ..)| file == name))
        .collect();
    match unlisted.is_empty() {
        true => Ok(()),
        false => Err(format!("not listed in main.rs: {}", unlisted.join(", "))),
    }
}
