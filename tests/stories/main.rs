//! The stories: what Berth promises, told with real processes. One file for a behaviour; each reads from top to bottom.
//!
//! They need root, `docker.io`, `git` and a static busybox (`scripts/install.sh test`). Filters and flags are those of
//! `cargo test`. Everything that was made is removed at the end, whatever became of the stories.

use std::process::ExitCode;
use std::sync::Arc;
use std::sync::mpsc::{self, RecvTimeoutError, Sender};
use std::time::Duration;

use berth_tests::{Skipped, Turn, World};
use libtest_mimic::{Arguments, Completion, Trial};

/// A story: it panics when it isn't true.
pub(crate) type Story = fn(&World) -> Result<(), Skipped>;

macro_rules! tell {
    ($($file:ident),* $(,)?) => {
        $(mod $file;)*
        /// Every file, with its stories.
        const FILES: &[(&str, &[(&str, Story)])] = &[$((stringify!($file), $file::STORIES)),*];
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

// The long ones first, so that the short ones fill the gaps.
tell! {
    example_state,
    hostile_root,
    links,
    edge,
    certificates,
    web,
    cache,
    crash,
    engine_trouble,
    firewall,
    in_force,
    create,
    change,
    removal,
    repair,
    ownership,
    broken_commit,
    bad_input,
    plan,
    git_door,
    hosting_page,
    cli,
    lab,
    isolation,
    ssh,
    recovery,
    truth,
}

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
    arguments.test_threads = arguments.test_threads.or(Some(2));
    // A list needs no engine, and no turn.
    let _turn = (!arguments.list).then(Turn::take);
    let world = Arc::new(World::default());
    let mut trials =
        vec![Trial::test("guard::every_file_is_listed", || every_file_is_listed().map_err(Into::into))];
    for (file, stories) in FILES {
        for (name, story) in *stories {
            let world = Arc::clone(&world);
            let name = format!("{file}::{name}");
            trials.push(Trial::ignorable_test(name.clone(), move || {
                let _watch = Watch::over(name);
                match story(&world) {
                    Ok(()) => Ok(Completion::Completed),
                    Err(Skipped(why)) => Ok(Completion::ignored_with(why)),
                }
            }));
        }
    }
    let conclusion = libtest_mimic::run(&arguments, trials);
    match Arc::into_inner(world) {
        Some(mut world) => world.end(),
        None => eprintln!("a story is still being told; its engine is ended by the next run"),
    }
    conclusion.exit_code()
}

/// What a story takes at most. The longest takes two minutes on a quiet machine, and the first one waits for images.
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
        .filter(|name| name != "main" && !FILES.iter().any(|(file, _)| file == name))
        .collect();
    match unlisted.is_empty() {
        true => Ok(()),
        false => Err(format!("not listed in main.rs: {}", unlisted.join(", "))),
    }
}
