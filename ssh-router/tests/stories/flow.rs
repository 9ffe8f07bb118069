//! Flow control: a slow or stalled reader slows its own channel, and nothing hangs.

use std::fs;
use std::io::{Read as _, Write as _};
use std::process::Stdio;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bytesize::ByteSize;

use crate::harness::{PATIENCE, Place, Running, await_end, await_that, noise};
use crate::measure::{await_growth, await_overflow, await_standstill, most_memory_of, on_disk};

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
    // A pipe holds 64 KiB, so ssh is blocked for as long as nobody reads. Then both directions fill up.
    await_overflow(&place, 2);
    let mut back = Vec::new();
    stdout.read_to_end(&mut back).unwrap();
    assert!(back == fs::read(&big).unwrap(), "{} bytes came back", back.len());
    assert!(await_end(&mut child, PATIENCE).success());
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
    await_overflow(&place, 1);
    for _ in 0..3 {
        let live = place.ssh("ann", "shop", &[&control]).arg("echo live").stdout(Stdio::piped()).spawn();
        let mut live = Running(live.unwrap());
        // Nobody reads the stalled one meanwhile: one that waited for it would wait for ever.
        await_end(&mut live.0, PATIENCE);
        let mut said = String::new();
        live.0.stdout.as_mut().unwrap().read_to_string(&mut said).unwrap();
        assert_eq!(said, "live\n");
    }
    let mut rest = Vec::new();
    stalled.0.stdout.as_mut().unwrap().read_to_end(&mut rest).unwrap();
    assert_eq!(rest.len() + 1, 200_000_000);
}

/// Variable with the size of a large upload, such as `10GiB`, and the size without it.
const UPLOAD: (&str, u64) = ("BERTH_STORY_UPLOAD", 1 << 30);

/// The reader takes nothing, then a part, then nothing, then all: the sender is held back to what it takes, and what is
/// on the way stays in little memory and little disk, however much there is to send.
#[test]
fn a_large_upload_to_a_reader_that_pauses_waits_for_it_in_little_memory_and_little_disk() {
    const MIB: u64 = 1 << 20;
    /// Most bytes on the way: in the queue, two windows, the programs and the sockets.
    const ON_THE_WAY: u64 = 64 * MIB;
    let said = std::env::var(UPLOAD.0);
    let asked = said.map_or(UPLOAD.1, |size| size.parse::<ByteSize>().unwrap().as_u64());
    // The first pause comes at nothing and the second at a half.
    let half = asked.next_multiple_of(2 * MIB) / 2;
    let place = Place::with(&["--overflow", "32MiB"]);
    place.watch.allow(Duration::from_secs(half / (2 * MIB)));
    // Until the story says so, or is over.
    let await_file = |name| {
        let (folder, file) = (place.folder.path().display(), place.path(name));
        format!("while [ -d {folder} ] && [ ! -e {} ]; do sleep 0.1; done", file.display())
    };
    let remote = format!("{}; head -c {half} > /dev/null; {}; wc -c", await_file("go1"), await_file("go2"));
    let mut upload = place.ssh("ann", "shop", &["-caes256-gcm@openssh.com"]);
    upload.arg(remote).stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut upload = Running(upload.spawn().unwrap());
    let mut stdin = upload.0.stdin.take().unwrap();
    let sent = Arc::new(AtomicU64::new(0));
    let sending = Arc::clone(&sent);
    let sent = || sent.load(Ordering::Relaxed);
    let writer = std::thread::spawn(move || {
        let block = vec![7; 256 << 10];
        for _ in 0..2 * half / block.len() as u64 {
            stdin.write_all(&block).unwrap();
            sending.fetch_add(block.len() as u64, Ordering::Relaxed);
        }
    });
    for (go, taken) in [("go1", 0), ("go2", half)] {
        await_growth("the part that is read", taken, sent);
        await_overflow(&place, 1);
        await_standstill("the sender to be held back", taken, sent);
        let ahead = sent() - taken;
        assert!(ahead < ON_THE_WAY, "{} MiB are on the way", ahead / MIB);
        assert!(on_disk(&place) <= 32 * MIB, "{} MiB on disk", on_disk(&place) / MIB);
        fs::write(place.path(go), "").unwrap();
    }
    await_growth("the rest", 2 * half, sent);
    writer.join().unwrap();
    let mut counted = String::new();
    upload.0.stdout.take().unwrap().read_to_string(&mut counted).unwrap();
    assert_eq!(counted, format!("{half}\n"));
    assert!(await_end(&mut upload.0, PATIENCE).success());
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
    assert!(!await_end(&mut stalled.0, PATIENCE).success());
    let output = place.ssh("ann", "shop", &[&control]).arg("echo live").output().unwrap();
    assert_eq!(output.stdout, b"live\n");
    drop(other.0.stdin.take());
    assert!(await_end(&mut other.0, PATIENCE).success());
}
