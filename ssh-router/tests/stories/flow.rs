//! Flow control: a slow or stalled reader slows its own channel, and nothing hangs.

use std::fs;
use std::io::{Read as _, Write as _};
use std::process::Stdio;
use std::time::{Duration, Instant};

use crate::harness::{Place, Running, await_end, await_that, memory_of, noise};

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
    let start = Instant::now();
    let mut back = Vec::new();
    stdout.read_to_end(&mut back).unwrap();
    assert!(back == fs::read(&big).unwrap(), "{} bytes came back", back.len());
    assert!(await_end(&mut child, Duration::from_secs(2)).success());
    assert!(start.elapsed() < Duration::from_secs(20), "{:?}", start.elapsed());
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
    let start = Instant::now();
    for _ in 0..3 {
        let output = place.ssh("ann", "shop", &[&control]).arg("echo live").output().unwrap();
        assert_eq!(output.stdout, b"live\n");
    }
    assert!(start.elapsed() < Duration::from_secs(3), "{:?}", start.elapsed());
    let mut rest = Vec::new();
    stalled.0.stdout.as_mut().unwrap().read_to_end(&mut rest).unwrap();
    assert_eq!(rest.len() + 1, 200_000_000);
}

#[test]
fn an_upload_to_a_reader_that_pauses_waits_for_it_in_little_memory_and_little_disk() {
    let place = Place::new();
    let mut child = place
        .ssh("ann", "shop", &[])
        .arg("sleep 3; wc -c")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stdin = child.stdin.take().unwrap();
    let writer = std::thread::spawn(move || {
        let block = vec![7; 1 << 20];
        for _ in 0..128 {
            stdin.write_all(&block).unwrap();
        }
    });
    std::thread::sleep(Duration::from_millis(2500));
    assert!(!writer.is_finished(), "the writer is held back");
    let memory = memory_of(&place);
    assert!(memory < 80 << 20, "{} MiB", memory >> 20);
    writer.join().unwrap();
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.stdout, b"134217728\n");
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
    assert!(!await_end(&mut stalled.0, Duration::from_secs(5)).success());
    let output = place.ssh("ann", "shop", &[&control]).arg("echo live").output().unwrap();
    assert_eq!(output.stdout, b"live\n");
    drop(other.0.stdin.take());
    assert!(await_end(&mut other.0, Duration::from_secs(5)).success());
}
