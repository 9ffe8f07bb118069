//! Runs and copies, as people read them.

use std::io::IsTerminal as _;
use std::sync::Arc;
use std::time::Duration;

use berth_backup::{DrillRecord, DrillResult, Heard, PartRecord, PartResult, Progress, RunRecord, Snapshot};
use berth_schema::State;
use berth_schema::name::ServerId;
use berth_schema::quantity::Bytes;
use berth_schema::text::{counted, safe};
use berth_wire::hold::BootProof;
use comfy_table::{Table, presets};
use indicatif::{ProgressBar, ProgressStyle};
use jiff::Timestamp;
use serde::Serialize;

use crate::draw::say;

/// A copy in the repository.
#[derive(Debug, Serialize)]
pub(super) struct Row {
    /// Name of the server, or the part of the platform.
    of: String,
    /// The server's number.
    server: Option<ServerId>,
    at: Timestamp,
    id: String,
}

/// Shows a run as it goes on: a bar on a terminal, and a line for each part anywhere.
pub(super) fn draw() -> Heard {
    let bar = std::io::stderr().is_terminal().then(|| ProgressBar::new(1000));
    if let Some(bar) = &bar
        && let Ok(style) = ProgressStyle::with_template("  {bar:20} {percent:>3} %  {msg} {elapsed:.dim}")
    {
        bar.set_style(style);
    }
    Arc::new(move |progress: Progress<'_>| match progress {
        Progress::Begun { part, number, of } => {
            if let Some(bar) = &bar {
                bar.reset();
                bar.set_message(format!("{number}/{of} {}", safe(part)));
            }
        }
        Progress::Done(share) => {
            if let Some(bar) = &bar {
                // At most the whole, which is 1000.
                bar.set_position((share.clamp(0.0, 1.0) * 1000.0) as u64);
            }
        }
        Progress::Ended(record) => match &bar {
            Some(bar) => bar.suspend(|| say(&line(record))),
            None => say(&line(record)),
        },
    })
}

/// One part of a run.
pub(in crate::command) fn line(record: &PartRecord) -> String {
    let PartRecord { part, result, millis } = record;
    let seconds = |millis: u64| Duration::from_millis(millis).as_secs_f64();
    let took = seconds(*millis);
    match result {
        PartResult::Done { bytes, added, unread, paused, .. } => {
            let size = |bytes: &u64| Bytes::new(*bytes).rounded();
            let paused = match paused {
                0 => String::new(),
                paused => format!("; it stood still for {:.1} s", seconds(*paused)),
            };
            let unread = match unread {
                0 => String::new(),
                _ => format!("; {} could not be read", counted(unread, "file")),
            };
            format!(
                "  done    {} ({}, {} new, {took:.1} s){paused}{unread}",
                safe(part),
                size(bytes),
                size(added)
            )
        }
        PartResult::Tidied => format!("  done    {} ({took:.1} s)", safe(part)),
        PartResult::Off => format!("  off     {}", safe(part)),
        PartResult::Failed { error } => format!("  FAILED  {}: {}", safe(part), safe(error)),
    }
}

/// The result of a run: its failures once more, in one line.
pub(in crate::command) fn told(record: &RunRecord) -> Vec<String> {
    let failed: Vec<&PartRecord> =
        record.parts.iter().filter(|part| matches!(part.result, PartResult::Failed { .. })).collect();
    let when = record.began.strftime("%Y-%m-%d %H:%M UTC");
    if failed.is_empty() {
        return vec![format!("The backup of {when} is complete: {}.", counted(record.parts.len(), "part"))];
    }
    let parts: Vec<String> = failed.iter().map(|part| safe(&part.part)).collect();
    vec![format!(
        "The backup of {when} is not complete: {} of {} failed: {}.",
        failed.len(),
        counted(record.parts.len(), "part"),
        parts.join(", ")
    )]
}

/// The end of a drill, in one line.
pub(in crate::command) fn drilled(record: &DrillRecord) -> String {
    let DrillRecord { began, server, name, copy, result, millis } = record;
    let when = |at: &Timestamp| at.strftime("%Y-%m-%d %H:%M UTC").to_string();
    let (began, copy) = (when(began), when(copy));
    let of = format!("server {} (id {server}), from its copy of {copy},", safe(name));
    match result {
        DrillResult::Passed { files, boot, by } => {
            let seconds = |millis: u64| Duration::from_millis(millis).as_secs_f64();
            let (boot, took) = (seconds(*boot), seconds(*millis));
            let proof = match by {
                BootProof::Systemd => "systemd runs and no unit failed",
                BootProof::FirstProcess => "it has no systemd, and its first process runs",
            };
            let files = counted(usize::try_from(*files).unwrap_or(usize::MAX), "file");
            format!(
                "The drill of {began} passed: {of} has {files} as they were copied and was up in {boot:.1} s ({proof}); all in all {took:.1} s."
            )
        }
        DrillResult::Failed { error } => format!("The drill of {began} FAILED: {of} {}", safe(error)),
    }
}

/// The copies, the newest first; those of one server, if one is named.
pub(super) fn rows(found: &[Snapshot], state: &State, only: Option<ServerId>) -> Vec<Row> {
    let row = |snapshot: &Snapshot| {
        let tag = snapshot.tags.first()?;
        let server = tag.strip_prefix("server-").and_then(|id| id.parse().ok()).map(ServerId);
        let name = server.map(|id| {
            state.servers.get(&id).map_or_else(|| format!("server{id}"), |server| server.name.to_string())
        });
        let short = snapshot.id.get(..8).unwrap_or(&snapshot.id);
        let of = name.unwrap_or_else(|| tag.clone());
        Some(Row { of, server, at: snapshot.time, id: short.to_owned() })
    };
    let rows = found.iter().rev().filter_map(row);
    rows.filter(|row| only.is_none() || row.server == only).collect()
}

pub(super) fn table(rows: &[Row]) -> String {
    let mut table = Table::new();
    table.load_preset(presets::NOTHING);
    table.set_header(["WHAT", "SERVER", "WHEN (UTC)", "COPY"]);
    for Row { of, server, at, id } in rows {
        let server = server.map(|id| id.to_string()).unwrap_or_default();
        table.add_row([safe(of), server, at.strftime("%Y-%m-%d %H:%M:%S").to_string(), safe(id)]);
    }
    table.trim_fmt()
}
