//! Flow control: a slow or stalled reader slows its own channel, and nothing hangs.

use std::fs;
use std::io::{Read as _, Write as _};
use std::os::unix::fs::MetadataExt as _;
use std::process::Stdio;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use crate::harness::{Place, Running, await_end, await_that, most_memory_of, noise, text};

#[test]
fn a_large_transfer_is_equal_both_ways() {
    let place = Place::new();
    let big = place.path("big");
    noise(&big, 96 << 20);
    let up = place.path("up");
    let mut upload = place.ssh("ann", "shop", &[]);
    upload.arg(format!("cat > {}", up.display())).stdin(fs::File::open(&big).unwrap());
    assert!(upload.status().unwrap().success());
    let down = place.run(&format!("cat {}", big.display())).stdout;
    let bytes = fs::read(&big).unwrap();
    assert!(fs::read(&up).unwrap() == bytes && down == bytes);
}

#[test]
fn new_keys_in_the_middle_of_a_transfer_change_nothing() {
    let place = Place::new();
    let big = place.path("big");
    noise(&big, 24 << 20);
    let mut duplex = place.ssh("ann", "shop", &["-oRekeyLimit=2M"]);
    let output = duplex.arg("cat").stdin(fs::File::open(&big).unwrap()).output().unwrap();
    assert!(output.status.success());
    assert!(output.stdout == fs::read(&big).unwrap(), "{} bytes came back", output.stdout.len());
}

/// Both directions are full while the reader pauses; a proxy whose two connections wait for each other hangs here.
#[test]
fn a_duplex_transfer_survives_a_reader_that_pauses() {
    let place = Place::new();
    let big = place.path("big");
    noise(&big, 96 << 20);
    let mut child = place
        .ssh("ann", "shop", &[])
        .arg("cat")
        .stdin(fs::File::open(&big).unwrap())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stdout = child.stdout.take().unwrap();
    // A pipe holds 64 KiB: ssh is blocked for as long as nobody reads.
    std::thread::sleep(Duration::from_secs(4));
    let mut back = Vec::new();
    stdout.read_to_end(&mut back).unwrap();
    assert!(back == fs::read(&big).unwrap(), "{} bytes came back", back.len());
    assert!(await_end(&mut child, Duration::from_secs(60)).success());
}

/// One channel of a connection is read by nobody; the others go on as if it weren't there.
#[test]
fn a_stalled_channel_holds_up_no_other() {
    let place = Place::new();
    let control = format!("-oControlPath={}", place.path("control").display());
    let _master = Running(place.ssh("ann", "shop", &["-M", "-N", &control]).spawn().unwrap());
    await_that("the master", || place.path("control").exists());
    let mut stalled = Running(
        place
            .ssh("ann", "shop", &[&control])
            .arg("head -c 200000000 /dev/zero")
            .stdout(Stdio::piped())
            .spawn()
            .unwrap(),
    );
    let mut first = [0; 1];
    stalled.0.stdout.as_mut().unwrap().read_exact(&mut first).unwrap();
    std::thread::sleep(Duration::from_secs(1));
    for _ in 0..3 {
        let live = place.ssh("ann", "shop", &[&control]).arg("echo live").stdout(Stdio::piped()).spawn();
        let mut live = Running(live.unwrap());
        // Nobody reads the stalled one meanwhile: one that waited for it would wait for ever.
        await_end(&mut live.0, Duration::from_secs(60));
        let mut said = String::new();
        live.0.stdout.as_mut().unwrap().read_to_string(&mut said).unwrap();
        assert_eq!(said, "live\n");
    }
    let mut rest = Vec::new();
    stalled.0.stdout.as_mut().unwrap().read_to_end(&mut rest).unwrap();
    assert_eq!(rest.len() + 1, 200_000_000);
}

/// The reader takes nothing, then a part, then nothing, then all: the sender is held back to what it takes, and what is
/// on the way stays in little memory and little disk, however much there is to send.
#[test]
fn a_large_upload_to_a_reader_that_pauses_waits_for_it_in_little_memory_and_little_disk() {
    const MIB: u64 = 1 << 20;
    /// Of it, the first pause comes at nothing and the second at a half.
    const SIZE: u64 = 1024 * MIB;
    /// What is on the way: the queue, two windows, and what the programs and the sockets hold.
    const ON_THE_WAY: u64 = 64 * MIB;
    let place = Place::with(&["--overflow", "32MiB"]);
    let await_file = |name| format!("while [ ! -e {} ]; do sleep 0.1; done", place.path(name).display());
    let remote =
        format!("{}; head -c {} > /dev/null; {}; wc -c", await_file("go1"), SIZE / 2, await_file("go2"));
    let mut upload = place.ssh("ann", "shop", &["-caes256-gcm@openssh.com"]);
    let mut child = upload.arg(remote).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    let mut stdin = child.stdin.take().unwrap();
    let sent = Arc::new(AtomicU64::new(0));
    let sending = Arc::clone(&sent);
    let writer = std::thread::spawn(move || {
        let block = vec![7; 256 << 10];
        for _ in 0..SIZE / block.len() as u64 {
            stdin.write_all(&block).unwrap();
            sending.fetch_add(block.len() as u64, Ordering::Relaxed);
        }
    });
    for (go, taken) in [("go1", 0), ("go2", SIZE / 2)] {
        await_that("the part that is read", || sent.load(Ordering::Relaxed) >= taken);
        await_that("the sender to be held back", || {
            let before = sent.load(Ordering::Relaxed);
            std::thread::sleep(Duration::from_millis(700));
            before > taken && sent.load(Ordering::Relaxed) - before < 2 * MIB
        });
        let ahead = sent.load(Ordering::Relaxed) - taken;
        assert!(ahead < ON_THE_WAY, "{} MiB are on the way", ahead / MIB);
        assert!(on_disk(&place) <= 32 * MIB, "{} MiB on disk", on_disk(&place) / MIB);
        fs::write(place.path(go), "").unwrap();
    }
    writer.join().unwrap();
    let output = child.wait_with_output().unwrap();
    assert_eq!(text(&output.stdout), format!("{}\n", SIZE / 2));
    let most = most_memory_of(&place);
    assert!(most < 64 * MIB, "{} MiB of memory", most / MIB);
    await_that("the files to be gone", || on_disk(&place) == 0);
}

#[test]
fn a_channel_that_overflows_its_limit_ends_and_the_connection_does_not() {
    let place = Place::with(&["--overflow", "2MiB"]);
    let control = format!("-oControlPath={}", place.path("control").display());
    let _master = Running(place.ssh("ann", "shop", &["-M", "-N", &control]).spawn().unwrap());
    await_that("the master", || place.path("control").exists());
    let mut other =
        Running(place.ssh("ann", "shop", &[&control]).arg("cat").stdin(Stdio::piped()).spawn().unwrap());
    let mut stalled = Running(
        place.ssh("ann", "shop", &[&control]).arg("cat /dev/zero").stdout(Stdio::piped()).spawn().unwrap(),
    );
    // Half of the limit goes at once, the rest in turns.
    place.await_log("overflow limit is reached");
    std::io::copy(stalled.0.stdout.as_mut().unwrap(), &mut std::io::sink()).unwrap();
    assert!(!await_end(&mut stalled.0, Duration::from_secs(60)).success());
    let output = place.ssh("ann", "shop", &[&control]).arg("echo live").output().unwrap();
    assert_eq!(output.stdout, b"live\n");
    drop(other.0.stdin.take());
    assert!(await_end(&mut other.0, Duration::from_secs(60)).success());
}

/// Bytes of the router's files that have no name.
fn on_disk(place: &Place) -> u64 {
    let folder = format!("/proc/{}/fd", place.router.0.id());
    let files = fs::read_dir(folder).unwrap().flatten().filter(|file| {
        let target = fs::read_link(file.path()).unwrap_or_default();
        target.starts_with(place.folder.path()) && target.to_string_lossy().ends_with(" (deleted)")
    });
    // One may be closed meanwhile.
    files.filter_map(|file| fs::metadata(file.path()).ok()).map(|file| file.blocks() * 512).sum()
}
