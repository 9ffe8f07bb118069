//! (l) SSH: straight to a server's sshd, through a second sshd with `ssh -J`, and through the router.

use std::fs::{self, File};
use std::io::{Read as _, Write as _};
use std::process::{ChildStdin, ChildStdout, Stdio};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};
use berth_tests::process::eventually;

use crate::ssh_ground::{Client, Ground, OVERFLOW, Running, Way};
use crate::table;
use crate::times::Times;

const LOGINS: usize = 31;
const KEYSTROKES: usize = 1_000;
/// Size of a transfer, in MiB, and the number of transfers.
const TRANSFER: u64 = 512;
const TRANSFERS: usize = 5;
/// Idle sessions on each way.
const IDLE: usize = 500;
/// Sessions that transfer so many MiB each way at the same time.
const BULK: (usize, u64) = (10, 32);
/// Size of the upload to a slow reader, in GiB.
const UPLOAD: u64 = 10;
/// Memory that the router may take meanwhile, whatever the machine has.
const UPLOAD_MEMORY: u64 = 64 << 20;
const MIB: f64 = (1 << 20) as f64;

pub(crate) fn run() -> anyhow::Result<()> {
    logins()?;
    transfers()?;
    keystrokes()?;
    memory()?;
    slow_reader()
}

/// Load of the machine, for what is printed next.
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

/// First message of an sftp client. A shell would cost the machine more than what is measured.
const SFTP: [u8; 9] = [0, 0, 0, 5, 1, 0, 0, 0, 3];

/// Logs in so many times, hears an answer from the server, and stays.
fn stay(ground: &Ground, way: Way, count: usize) -> anyhow::Result<Vec<Running>> {
    let mut sessions = Vec::new();
    for _ in 0..count.div_ceil(10) {
        let mut burst = Vec::new();
        for _ in 0..10.min(count - sessions.len()) {
            let mut command = ground.ssh(way, Client::Unconfigured, &["-s"]);
            command.arg("sftp").stdin(Stdio::piped()).stdout(Stdio::piped());
            burst.push(Running(command.spawn().context("start ssh")?));
        }
        for session in &mut burst {
            session.0.stdin.as_mut().context("no pipe")?.write_all(&SFTP)?;
            session.0.stdout.as_mut().context("no pipe")?.read_exact(&mut [0])?;
        }
        sessions.append(&mut burst);
    }
    Ok(sessions)
}

/// Waits until the memory of a way is the same for a second, and tells it.
fn settled(ground: &Ground, way: Way) -> anyhow::Result<u64> {
    let start = Instant::now();
    let mut last = ground.memory(way)?;
    while start.elapsed() < Duration::from_secs(15) {
        thread::sleep(Duration::from_secs(1));
        let now = ground.memory(way)?;
        if now == last {
            break;
        }
        last = now;
    }
    Ok(last)
}

/// A ground, and the memory of a way on it when some sessions have come and gone: what they bring along may stay.
fn worn_in(way: Way) -> anyhow::Result<(Ground, u64)> {
    let ground = Ground::new()?;
    drop(stay(&ground, way, 10)?);
    let memory = settled(&ground, way)?;
    Ok((ground, memory))
}

fn memory() -> anyhow::Result<()> {
    let mut rows = Vec::new();
    let mut row = |when: &str, way: Way, count: usize, bytes: u64| {
        let each = format!("{:.0} KB", bytes as f64 / 1e3 / count as f64);
        rows.push(vec![when.to_owned(), way.name().to_owned(), count.to_string(), each]);
    };
    for way in Way::ALL {
        eprintln!("{IDLE} idle sessions, {} …", way.name());
        let (ground, before) = worn_in(way)?;
        let _sessions = stay(&ground, way, IDLE)?;
        row("idle", way, IDLE, settled(&ground, way)?.saturating_sub(before));
    }
    let (count, mib) = BULK;
    let mut most = 0;
    for way in Way::ALL {
        eprintln!("{count} sessions after bulk, {} …", way.name());
        let (ground, before) = worn_in(way)?;
        let _masters = masters(&ground, way, count)?;
        row(
            &format!("idle, before {mib} MiB each way"),
            way,
            count,
            settled(&ground, way)?.saturating_sub(before),
        );
        bulk(&ground, way)?;
        let after = settled(&ground, way)?.saturating_sub(before);
        row(&format!("idle, after {mib} MiB each way at once"), way, count, after);
        if way == Way::Berth {
            most = ground.router_peak()?;
        }
    }
    table::print("(l) SSH: memory for a session", &["when", "way", "sessions", "each"], &rows);
    println!("\nThe router had {:.0} MiB at most during the transfers.", most as f64 / MIB);
    Ok(())
}

/// Connections that others may share.
fn masters(ground: &Ground, way: Way, count: usize) -> anyhow::Result<Vec<Running>> {
    let master = |number| {
        let mut command = ground.ssh(way, Client::Unconfigured, &["-M", &control(ground, number)]);
        let master = Running(command.arg("exec sleep 10000").spawn().context("start ssh")?);
        let socket = ground.path(&format!("c{number}"));
        eventually("the session", || socket.exists().then_some(()));
        Ok(master)
    };
    (0..count).map(master).collect()
}

/// Option by which the client names a connection that is shared.
fn control(ground: &Ground, number: usize) -> String {
    format!("-S{}", ground.path(&format!("c{number}")).display())
}

/// Transfers both ways over each of the shared connections, all at once.
fn bulk(ground: &Ground, way: Way) -> anyhow::Result<()> {
    let (count, mib) = BULK;
    let zeros = ground.path("zeros");
    File::create(&zeros)?.set_len(mib << 20)?;
    let mut transfers = Vec::new();
    for number in 0..count {
        let session = || ground.ssh(way, Client::Unconfigured, &[&control(ground, number)]);
        let (mut down, mut up) = (session(), session());
        down.arg(format!("head -c {mib}M /dev/zero")).stdout(Stdio::null());
        up.arg("cat > /dev/null").stdin(File::open(&zeros)?);
        transfers.extend([Running(down.spawn()?), Running(up.spawn()?)]);
    }
    for transfer in &mut transfers {
        ensure!(transfer.0.wait()?.success(), "a transfer failed");
    }
    Ok(())
}

/// The reader takes a gibibyte and pauses for a second, again and again. How long it takes is told; that the router's memory
/// and disk are bounded is asserted.
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
    let (memory, disk) = (ground.router_peak()?, most_disk.load(Ordering::Relaxed));
    ensure!(memory < UPLOAD_MEMORY, "the router had {memory} bytes of memory");
    ensure!(disk <= OVERFLOW, "the router had {disk} bytes on disk");
    println!(
        "\n(l) SSH: {UPLOAD} GiB to a reader that pauses for a second before each GiB: {took:.0} s; the router had {:.0} \
         MiB of memory and {:.1} MiB on disk at most.",
        memory as f64 / MIB,
        disk as f64 / MIB
    );
    Ok(())
}
