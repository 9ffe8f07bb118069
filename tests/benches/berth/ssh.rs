//! (l) SSH: straight to a server's sshd, through a second sshd with `ssh -J`, and through the router.

use std::fs::{self, File};
use std::io::{Read as _, Write as _};
use std::process::{ChildStdin, ChildStdout, Stdio};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};
use berth_tests::process::eventually;

use crate::ssh_ground::{Client, Ground, Running, Way};
use crate::table;
use crate::times::Times;

const LOGINS: usize = 31;
const KEYSTROKES: usize = 1_000;
/// Of a transfer, in MiB, and how often.
const TRANSFER: u64 = 1024;
const TRANSFERS: usize = 7;
/// Idle sessions through the router, and through the sshd that is jumped through.
const IDLE: usize = 500;
const IDLE_JUMPS: usize = 50;
/// Sessions that transfer so many MiB each way at the same time.
const BULK: (usize, u64) = (20, 64);
/// Of the upload to a slow reader, in GiB.
const UPLOAD: u64 = 10;
const MIB: f64 = (1 << 20) as f64;

pub(crate) fn run() -> anyhow::Result<()> {
    logins()?;
    transfers()?;
    keystrokes()?;
    memory()?;
    slow_reader()
}

/// How busy the machine is, for what is printed next.
fn load() -> String {
    let load = fs::read_to_string("/proc/loadavg").unwrap_or_default();
    load.split(' ').next().unwrap_or_default().to_owned()
}

/// Connect, log in by key, run `true`.
fn logins() -> anyhow::Result<()> {
    eprintln!("logins …");
    let ground = Ground::new()?;
    let kinds = [(Client::EqualKeyExchange, "equal key exchange"), (Client::Unconfigured, "unconfigured")];
    let mut rows = Vec::new();
    for (client, kind) in kinds {
        let mut times: [Times; 3] = Default::default();
        // The first of each only warms up.
        for round in 0..=LOGINS {
            for (way, times) in Way::ALL.into_iter().zip(&mut times) {
                let mut command = ground.ssh(way, client, &[]);
                let mut ignored = Times::default();
                let times = if round == 0 { &mut ignored } else { times };
                let status = times.measure(|| command.arg("true").status())?;
                ensure!(status.success(), "{way:?}: {status}");
            }
        }
        for (way, measured) in Way::ALL.into_iter().zip(&times) {
            let ratio = format!("{:.2}", measured.ratio_to(&times[0]));
            rows.push(vec![kind.to_owned(), way.name().to_owned(), measured.to_string(), ratio]);
        }
    }
    table::print(
        &format!("(l) SSH: connect, log in, run `true` ({LOGINS} rounds, load {})", load()),
        &["client", "way", "time", "of direct"],
        &rows,
    );
    Ok(())
}

/// One transfer of zeros each way.
fn transfers() -> anyhow::Result<()> {
    let ground = Ground::new()?;
    let zeros = ground.path("zeros");
    File::create(&zeros)?.set_len(TRANSFER << 20)?;
    let kinds = [(Client::Unconfigured, "unconfigured"), (Client::EqualCipher, "AES-256-GCM everywhere")];
    let mut down: [[Times; 3]; 2] = Default::default();
    let mut up: [[Times; 3]; 2] = Default::default();
    let mut seconds = [[0.0; 2]; 2];
    for round in 1..=TRANSFERS {
        eprintln!("transfers, round {round} of {TRANSFERS} …");
        for (number, (client, _)) in kinds.into_iter().enumerate() {
            for (place, way) in Way::ALL.into_iter().enumerate() {
                let before = ground.router_seconds()?;
                let mut command = ground.ssh(way, client, &[]);
                command.arg(format!("head -c {TRANSFER}M /dev/zero")).stdout(Stdio::null());
                let status = down[number][place].measure(|| command.status())?;
                ensure!(status.success(), "{way:?}: {status}");
                let between = ground.router_seconds()?;
                let mut command = ground.ssh(way, client, &[]);
                command.arg("cat > /dev/null").stdin(File::open(&zeros)?);
                let status = up[number][place].measure(|| command.status())?;
                ensure!(status.success(), "{way:?}: {status}");
                seconds[number][0] += between - before;
                seconds[number][1] += ground.router_seconds()? - between;
            }
        }
    }
    let mut rows = Vec::new();
    for (direction, (what, times)) in [("download", &down), ("upload", &up)].into_iter().enumerate() {
        for (number, (_, kind)) in kinds.into_iter().enumerate() {
            for (place, way) in Way::ALL.into_iter().enumerate() {
                let measured = &times[number][place];
                let rate = TRANSFER as f64 / measured.median().as_secs_f64();
                // Faster is more.
                let against = |other: &Times| format!("{:.2}", other.ratio_to(measured));
                let cost = match way {
                    Way::Berth => {
                        let each = seconds[number][direction] / TRANSFERS as f64 / (TRANSFER as f64 / 1024.0);
                        format!("{each:.2} s")
                    }
                    _ => String::new(),
                };
                rows.push(vec![
                    what.to_owned(),
                    kind.to_owned(),
                    way.name().to_owned(),
                    measured.to_string(),
                    format!("{rate:.0} MiB/s"),
                    against(&times[number][0]),
                    against(&times[number][1]),
                    cost,
                ]);
            }
        }
    }
    table::print(
        &format!("(l) SSH: {TRANSFER} MiB in one session ({TRANSFERS} rounds, load {})", load()),
        &["what", "client", "way", "time", "rate", "× direct", "× `-J`", "processor of the router for a GiB"],
        &rows,
    );
    Ok(())
}

/// A session with a terminal in which every byte comes back.
struct Typist {
    _ssh: Running,
    to: ChildStdin,
    from: ChildStdout,
}

impl Typist {
    fn start(ground: &Ground, way: Way) -> anyhow::Result<Self> {
        let mut command = ground.ssh(way, Client::Unconfigured, &["-tt"]);
        command.arg("stty raw -echo; printf :; cat").stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut ssh = Running(command.spawn().context("start ssh")?);
        let (to, mut from) =
            ssh.0.stdin.take().zip(ssh.0.stdout.take()).context("the session has no pipes")?;
        from.read_exact(&mut [0])?;
        Ok(Self { _ssh: ssh, to, from })
    }

    fn type_one(&mut self) -> std::io::Result<()> {
        self.to.write_all(b"x")?;
        self.from.read_exact(&mut [0])
    }
}

fn keystrokes() -> anyhow::Result<()> {
    eprintln!("keystrokes …");
    let ground = Ground::new()?;
    let mut typists = Vec::new();
    for way in Way::ALL {
        typists.push(Typist::start(&ground, way)?);
    }
    let mut times: [Times; 3] = Default::default();
    for _ in 0..KEYSTROKES {
        for (typist, times) in typists.iter_mut().zip(&mut times) {
            times.measure(|| typist.type_one())?;
        }
        // Nobody types faster.
        thread::sleep(Duration::from_millis(2));
    }
    let row = |(way, measured): (Way, &Times)| {
        let ratio = format!("{:.2}", measured.ratio_to(&times[0]));
        vec![way.name().to_owned(), measured.to_string(), ratio]
    };
    table::print(
        &format!("(l) SSH: echo of a keystroke ({KEYSTROKES} each, load {})", load()),
        &["way", "time", "of direct"],
        &Way::ALL.into_iter().zip(&times).map(row).collect::<Vec<_>>(),
    );
    Ok(())
}

/// Logs in so many times and stays.
fn stay(ground: &Ground, way: Way, count: usize) -> anyhow::Result<Vec<Running>> {
    let mut sessions = Vec::new();
    for _ in 0..count.div_ceil(10) {
        let mut burst = Vec::new();
        for _ in 0..10.min(count - sessions.len()) {
            let mut command = ground.ssh(way, Client::Unconfigured, &[]);
            command.arg("echo; exec sleep 10000").stdout(Stdio::piped());
            burst.push(Running(command.spawn().context("start ssh")?));
        }
        for session in &mut burst {
            session.0.stdout.as_mut().context("no pipe")?.read_exact(&mut [0])?;
        }
        sessions.append(&mut burst);
    }
    Ok(sessions)
}

/// Waits until the router's memory is the same for a second, and tells it.
fn settled(ground: &Ground) -> anyhow::Result<u64> {
    let start = Instant::now();
    let mut last = ground.router_memory()?;
    while start.elapsed() < Duration::from_secs(15) {
        thread::sleep(Duration::from_secs(1));
        let now = ground.router_memory()?;
        if now == last {
            break;
        }
        last = now;
    }
    Ok(last)
}

fn memory() -> anyhow::Result<()> {
    let kilobytes = |bytes: u64, count: usize| format!("{:.0} KB", bytes as f64 / 1e3 / count as f64);
    eprintln!("{IDLE} idle sessions …");
    let ground = Ground::new()?;
    // What the first sessions bring along stays.
    drop(stay(&ground, Way::Berth, 10)?);
    let before = settled(&ground)?;
    let sessions = stay(&ground, Way::Berth, IDLE)?;
    let idle = settled(&ground)?.saturating_sub(before);
    drop(sessions);
    let gate_before = ground.gate_memory()?;
    let jumps = stay(&ground, Way::Jump, IDLE_JUMPS)?;
    let jump = ground.gate_memory()?.saturating_sub(gate_before);
    drop(jumps);

    eprintln!("{} sessions after bulk …", BULK.0);
    let ground = Ground::new()?;
    drop(stay(&ground, Way::Berth, 10)?);
    let empty = settled(&ground)?;
    let (count, mib) = BULK;
    let control = |number: usize| format!("-S{}", ground.path(&format!("c{number}")).display());
    let mut masters = Vec::new();
    for number in 0..count {
        let mut command = ground.ssh(Way::Berth, Client::Unconfigured, &["-M", &control(number)]);
        command.arg("exec sleep 10000");
        masters.push(Running(command.spawn().context("start ssh")?));
        eventually("the session", || ground.path(&format!("c{number}")).exists().then_some(()));
    }
    let quiet = settled(&ground)?.saturating_sub(empty);
    let zeros = ground.path("zeros");
    File::create(&zeros)?.set_len(mib << 20)?;
    let mut transfers = Vec::new();
    for number in 0..count {
        let session = || ground.ssh(Way::Berth, Client::Unconfigured, &[&control(number)]);
        let (mut down, mut up) = (session(), session());
        down.arg(format!("head -c {mib}M /dev/zero")).stdout(Stdio::null());
        up.arg("cat > /dev/null").stdin(File::open(&zeros)?);
        transfers.extend([Running(down.spawn()?), Running(up.spawn()?)]);
    }
    for transfer in &mut transfers {
        ensure!(transfer.0.wait()?.success(), "a transfer failed");
    }
    let after = settled(&ground)?.saturating_sub(empty);
    let most = ground.router_peak()?;
    table::print(
        "(l) SSH: memory for a session",
        &["when", "sessions", "each"],
        &[
            vec!["idle, through the router".into(), IDLE.to_string(), kilobytes(idle, IDLE)],
            vec![
                "idle, `ssh -J`: in the second sshd".into(),
                IDLE_JUMPS.to_string(),
                kilobytes(jump, IDLE_JUMPS),
            ],
            vec![format!("idle, before {mib} MiB each way"), count.to_string(), kilobytes(quiet, count)],
            vec![
                format!("idle, after {mib} MiB each way at once"),
                count.to_string(),
                kilobytes(after, count),
            ],
        ],
    );
    println!("\nThe router had {:.0} MiB at most during the transfers.", most as f64 / MIB);
    Ok(())
}

/// The reader takes a gibibyte and pauses for a second, again and again.
fn slow_reader() -> anyhow::Result<()> {
    eprintln!("{UPLOAD} GiB to a slow reader …");
    let ground = Ground::new()?;
    let zeros = ground.path("zeros");
    File::create(&zeros)?.set_len(UPLOAD << 30)?;
    let remote = format!("for n in $(seq {UPLOAD}); do sleep 1; head -c 1G; done | wc -c");
    let mut command = ground.ssh(Way::Berth, Client::Unconfigured, &[]);
    command.arg(remote).stdin(File::open(&zeros)?);
    let (ended, most_disk) = (AtomicBool::new(false), AtomicU64::new(0));
    let started = Instant::now();
    let output = thread::scope(|scope| {
        scope.spawn(|| {
            while !ended.load(Ordering::Relaxed) {
                most_disk.fetch_max(ground.router_disk(), Ordering::Relaxed);
                thread::sleep(Duration::from_millis(20));
            }
        });
        let output = command.output();
        ended.store(true, Ordering::Relaxed);
        output
    })?;
    let took = started.elapsed().as_secs_f64();
    let counted = String::from_utf8_lossy(&output.stdout).trim().to_owned();
    ensure!(counted == (UPLOAD << 30).to_string(), "{counted} bytes arrived");
    println!(
        "\n(l) SSH: {UPLOAD} GiB to a reader that pauses for a second before each GiB: {took:.0} s; the router had {:.0} \
         MiB of memory and {:.1} MiB on disk at most.",
        ground.router_peak()? as f64 / MIB,
        most_disk.load(Ordering::Relaxed) as f64 / MIB
    );
    Ok(())
}
