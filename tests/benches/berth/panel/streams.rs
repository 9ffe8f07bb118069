//! Many who look at one page, each with a stream of events.

use std::fs;
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use anyhow::Context as _;
use berth_tests::Panel;
use berth_tests::process::within;
use tempfile::TempDir;

use super::reader::Reader;

/// Addresses from which they come, since one may have 128 connections.
const ADDRESSES: usize = 5;
/// Time in which the streams come up.
const COME_UP: Duration = Duration::from_secs(120);

/// Streams that are open.
pub(super) struct Streams {
    curls: Vec<Child>,
    /// Where each leaves what it hears.
    heard: TempDir,
    each: usize,
}

impl Streams {
    /// Opens so many from each of five addresses.
    pub(super) fn open(panel: &Panel, reader: &Reader, each: usize) -> anyhow::Result<Self> {
        let mut streams = Self { curls: Vec::new(), heard: tempfile::tempdir()?, each };
        let host = panel.at("").trim_start_matches("https://").to_owned();
        for address in 0..ADDRESSES {
            let mut curl = panel.namespace().command();
            curl.args(["curl", "--silent", "--insecure", "--no-buffer", "--http1.1", "--parallel"]);
            curl.args(["--parallel-immediate", "--parallel-max", &each.to_string()]);
            curl.args(["--interface", &format!("127.0.0.{}", address + 2)]);
            curl.args(["--resolve", &format!("{host}:127.0.0.1")]);
            curl.args(["--header", &reader.credential]);
            curl.arg("--output").arg(streams.heard.path().join(format!("{address}-#1")));
            curl.arg(panel.at(&format!("/vm/1/events?[1-{each}]")));
            curl.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
            streams.curls.push(curl.spawn().context("run curl")?);
        }
        let begun = Instant::now();
        let folder = streams.heard.path();
        within(COME_UP, "every stream has begun", || {
            let files = fs::read_dir(folder).ok()?.flatten();
            let begun = files.filter(|file| file.metadata().is_ok_and(|file| file.len() > 0)).count();
            (begun == streams.number()).then_some(())
        });
        eprintln!("{} streams came up in {:.1} s", streams.number(), begun.elapsed().as_secs_f64());
        Ok(streams)
    }
}

impl Streams {
    /// Streams, all together.
    pub(super) fn number(&self) -> usize {
        self.each * ADDRESSES
    }
}

impl Drop for Streams {
    fn drop(&mut self) {
        for curl in &mut self.curls {
            let _ = curl.kill();
            let _ = curl.wait();
        }
    }
}
