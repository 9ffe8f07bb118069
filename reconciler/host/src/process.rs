//! Processes that lead a group of their own, so that whatever they start ends with them.

use std::env;
use std::fs;
use std::io::{self, PipeReader, PipeWriter, Read, Write as _};
use std::os::fd::{AsFd as _, BorrowedFd};
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::process::CommandExt as _;
use std::path::PathBuf;
use std::process::{Child, ChildStderr, ChildStdin, ChildStdout, Command, ExitStatus, Output, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use rustix::process::{
    Pid, PidfdFlags, Resource, Rlimit, Signal, getrlimit, kill_process, kill_process_group, pidfd_open,
    prlimit, test_kill_process, test_kill_process_group,
};

/// Start of a process, in clock ticks since the machine's start (proc(5), `starttime`): process ids are used again.
pub fn started(pid: u32) -> io::Result<u64> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat"))?;
    // The second field is the program's name in parentheses, which may hold anything; the 22nd is asked for.
    let fields = stat.rsplit_once(')').map(|(_, rest)| rest.split_ascii_whitespace());
    fields
        .and_then(|mut fields| fields.nth(19)?.parse().ok())
        .ok_or_else(|| io::Error::new(io::ErrorKind::InvalidData, "not what proc(5) says"))
}

/// Returns whether a process runs, be it somebody else's.
pub fn is_running(pid: u32) -> bool {
    Pid::from_raw(pid.cast_signed()).is_some_and(|pid| test_kill_process(pid) != Err(Errno::SRCH))
}

/// Folders of programs besides those in `PATH`, which may lack those of root's.
const FOLDERS: [&str; 4] = ["/usr/sbin", "/usr/bin", "/sbin", "/bin"];

/// Finds a program by its name; `None` where it isn't installed.
pub fn installed(program: &str) -> Option<PathBuf> {
    let path = env::var_os("PATH").unwrap_or_default();
    let folders = env::split_paths(&path).chain(FOLDERS.iter().map(PathBuf::from));
    let found = folders.map(|folder| folder.join(program));
    let is_program = |path: &PathBuf| {
        fs::metadata(path).is_ok_and(|found| found.is_file() && found.permissions().mode() & 0o111 != 0)
    };
    found.filter(|path| path.is_absolute()).find(is_program)
}

/// A process group, known by the process that leads it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Group(Pid);

impl Group {
    /// The group that the process with this id leads.
    pub fn led_by(id: u32) -> Option<Self> {
        Pid::from_raw(id.cast_signed()).map(Self)
    }

    /// Asks all of the group to end.
    pub fn ask(self) {
        // Without such a group all of it has ended, which is what is wanted. The same goes for the others.
        let _ = kill_process_group(self.0, Signal::TERM);
    }

    /// Asks the leader to end, which ends what it started in its own way.
    pub fn ask_leader(self) {
        let _ = kill_process(self.0, Signal::TERM);
    }

    /// Kills all of the group.
    pub fn kill(self) {
        let _ = kill_process_group(self.0, Signal::KILL);
    }

    /// Returns whether any of the group still runs.
    pub fn is_running(self) -> bool {
        test_kill_process_group(self.0) != Err(Errno::SRCH)
    }

    /// Limits the leader's processor time. Processes that it starts from then on inherit the limit.
    pub fn limit_processor(self, seconds: u64) -> io::Result<()> {
        self.limit(Resource::Cpu, seconds)
    }

    /// Limits the memory, in bytes, that the leader writes to and that nobody shares with it (`RLIMIT_DATA`). Processes that it
    /// starts from then on inherit the limit, each for itself.
    pub fn limit_memory(self, bytes: u64) -> io::Result<()> {
        self.limit(Resource::Data, bytes)
    }

    fn limit(self, resource: Resource, most: u64) -> io::Result<()> {
        let maximum = getrlimit(resource).maximum.unwrap_or(u64::MAX).min(most);
        let limit = Rlimit { current: Some(maximum), maximum: Some(maximum) };
        Ok(prlimit(Some(self.0), resource, limit).map(drop)?)
    }
}

/// A child process that leads a group of its own. Dropping it kills the group.
#[derive(Debug)]
pub struct Leader {
    child: Child,
    group: Option<Group>,
}

impl Leader {
    /// Starts a program.
    pub fn start(command: &mut Command) -> io::Result<Self> {
        let child = command.process_group(0).spawn()?;
        let group = Group::led_by(child.id());
        Ok(Self { child, group })
    }

    /// Standard input of the program, once, where it was started with a pipe.
    pub fn input(&mut self) -> Option<ChildStdin> {
        self.child.stdin.take()
    }

    /// Standard output of the program, in the same way.
    pub fn output(&mut self) -> Option<ChildStdout> {
        self.child.stdout.take()
    }

    /// Standard error of the program, in the same way.
    pub fn error(&mut self) -> Option<ChildStderr> {
        self.child.stderr.take()
    }

    /// Waits for the leader's end, and kills what it leaves behind. `None` when the time is over, or `stop` was dropped:
    /// then the group was killed.
    pub fn wait(mut self, until: Instant, stop: Option<&Stopped>) -> io::Result<Option<ExitStatus>> {
        let has_ended = self.has_ended(Some(until), stop)?;
        self.end_group();
        let status = self.child.wait()?;
        Ok(has_ended.then_some(status))
    }

    /// Ends the group: asks it, and kills what is left of it when the leader has ended or the grace is over.
    pub fn end(mut self, grace: Duration) -> io::Result<ExitStatus> {
        if let Some(group) = self.group {
            group.ask();
        }
        self.has_ended(Some(Instant::now() + grace), None)?;
        self.end_group();
        self.child.wait()
    }

    /// Kills the group. Nobody has waited for the leader yet, so the number is still its own.
    fn end_group(&mut self) {
        if let Some(group) = self.group.take() {
            group.kill();
        }
    }

    /// Waits until the leader has ended, and leaves it to be waited for.
    fn has_ended(&self, until: Option<Instant>, stop: Option<&Stopped>) -> io::Result<bool> {
        let Some(group) = self.group else { return Ok(true) };
        let ended = pidfd_open(group.0, PidfdFlags::empty())?;
        let mut watched = vec![ended.as_fd()];
        watched.extend(stop.map(Stopped::descriptor));
        loop {
            let left = until.map(|until| until.saturating_duration_since(Instant::now()));
            let mut looks: Vec<_> = watched.iter().map(|fd| PollFd::new(fd, PollFlags::IN)).collect();
            let timeout = left.map(Timespec::try_from).transpose().map_err(io::Error::other)?;
            match poll(&mut looks, timeout.as_ref()) {
                Err(Errno::INTR) => {}
                Err(error) => return Err(error.into()),
                Ok(0) if left.is_some_and(|left| left.is_zero()) => return Ok(false),
                Ok(0) => {}
                Ok(_) => return Ok(looks.first().is_some_and(|look| !look.revents().is_empty())),
            }
        }
    }
}

impl Drop for Leader {
    fn drop(&mut self) {
        self.end_group();
        // A process that was killed ends at once; without this it would stay in the table of processes.
        let _ = self.child.wait();
    }
}

/// Runs a program with this input to its end, and hears what it says. Where it doesn't end in time it is killed with all that
/// it started, and the error is of the kind `TimedOut`.
pub fn run(command: &mut Command, input: &[u8], deadline: Duration) -> io::Result<Output> {
    let until = Instant::now() + deadline;
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut leader = Leader::start(command)?;
    let (stdin, stdout, stderr) = (leader.input(), leader.output(), leader.error());
    thread::scope(|scope| {
        // One that ends without reading it has said why.
        scope.spawn(move || stdin.map(|mut stdin| stdin.write_all(input)));
        let output = scope.spawn(|| hear(stdout));
        let error = scope.spawn(|| hear(stderr));
        let late = || io::Error::new(io::ErrorKind::TimedOut, format!("it took more than {deadline:?}"));
        let status = leader.wait(until, None)?.ok_or_else(late)?;
        let broken = |_| io::Error::other("a thread broke off");
        let (stdout, stderr) = (output.join().map_err(broken)??, error.join().map_err(broken)??);
        Ok(Output { status, stdout, stderr })
    })
}

fn hear(from: Option<impl Read>) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    from.map(|mut from| from.read_to_end(&mut bytes)).transpose()?;
    Ok(bytes)
}

/// Stops, when it is dropped, whoever waits with the other half.
#[derive(Debug)]
pub struct Stop(#[expect(dead_code, reason = "its closing is what stops")] PipeWriter);

/// The half of a [`Stop`] that a wait heeds.
#[derive(Debug)]
pub struct Stopped(PipeReader);

impl Stopped {
    /// Makes the two halves.
    pub fn pair() -> io::Result<(Stop, Self)> {
        let (reader, writer) = io::pipe()?;
        Ok((Stop(writer), Self(reader)))
    }

    /// Returns whether the other half has been dropped.
    pub fn is_over(&self) -> bool {
        let mut looks = [PollFd::new(&self.0, PollFlags::IN)];
        poll(&mut looks, Some(&Timespec { tv_sec: 0, tv_nsec: 0 })).is_ok_and(|ready| ready > 0)
    }

    fn descriptor(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test says what it expects by unwrapping it")]

    use std::io::{BufRead as _, BufReader};

    use super::*;

    const LONG: Duration = Duration::from_secs(60);

    fn shell(script: &str) -> Leader {
        let mut command = Command::new("sh");
        command.args(["-c", script]).stdin(Stdio::null()).stdout(Stdio::piped());
        Leader::start(&mut command).unwrap()
    }

    /// Waits for the end of everything that holds the program's output open.
    fn all_ended(output: ChildStdout) -> bool {
        let mut rest = Vec::new();
        BufReader::new(output).read_to_end(&mut rest).is_ok()
    }

    #[test]
    fn what_a_program_leaves_behind_ends_with_it() {
        let mut leader = shell("sleep 600 & exit 3");
        let output = leader.output().unwrap();
        let status = leader.wait(Instant::now() + LONG, None).unwrap().unwrap();
        assert_eq!(status.code(), Some(3));
        assert!(all_ended(output));
    }

    #[test]
    fn a_program_that_takes_too_long_is_ended_with_its_children() {
        let mut leader = shell("sleep 600 & sleep 600");
        let output = leader.output().unwrap();
        assert!(leader.wait(Instant::now() + Duration::from_millis(20), None).unwrap().is_none());
        assert!(all_ended(output));
    }

    #[test]
    fn a_wait_ends_when_somebody_stops_it() {
        let mut leader = shell("sleep 600");
        let output = leader.output().unwrap();
        let (stop, stopped) = Stopped::pair().unwrap();
        std::thread::scope(|scope| {
            let waiting = scope.spawn(|| leader.wait(Instant::now() + LONG, Some(&stopped)));
            drop(stop);
            assert!(waiting.join().unwrap().unwrap().is_none());
        });
        assert!(all_ended(output));
    }

    #[test]
    fn a_program_is_fed_and_heard_and_has_its_time() {
        let limit = Duration::from_millis(20);
        let output = run(&mut Command::new("cat"), b"words", LONG).unwrap();
        assert_eq!((output.status.success(), output.stdout.as_slice()), (true, &b"words"[..]));
        let refusing =
            run(Command::new("sh").args(["-c", "echo no >&2; exit 2"]), &[0; 1 << 20], LONG).unwrap();
        assert_eq!((refusing.status.code(), refusing.stderr.as_slice()), (Some(2), &b"no\n"[..]));
        let late = run(Command::new("sleep").arg("600"), b"", limit).unwrap_err();
        assert_eq!(late.kind(), io::ErrorKind::TimedOut);
    }

    #[test]
    fn a_program_is_asked_before_it_is_killed() {
        let start = |script| {
            let mut leader = shell(script);
            let mut output = BufReader::new(leader.output().unwrap());
            // The trap is set.
            output.read_line(&mut String::new()).unwrap();
            (leader, output)
        };
        let (leader, _output) = start("trap 'exit 7' TERM; echo ready; while :; do sleep 600 & wait; done");
        assert_eq!(leader.end(LONG).unwrap().code(), Some(7));
        let (leader, _output) = start("trap '' TERM; echo ready; sleep 600");
        assert_eq!(leader.end(Duration::from_millis(20)).unwrap().code(), None);
    }
}
