//! `berth top`: what servers use now, the largest first.
//!
//! On a terminal the table is drawn again and again until Ctrl-C; anywhere else it is printed once. The figures are those of the panel.

use std::collections::HashMap;
use std::io::{IsTerminal as _, Write as _};
use std::time::Duration;

use anyhow::{Context as _, bail};
use berth_schema::quantity::Cpus;
use berth_schema::text::{self, page, safe};
use berth_wire::client::Daemon;
use berth_wire::figures::{Figures, HostUse, Sample};
use berth_wire::status::{ServerRow, Status};
use clap::ValueEnum;
use comfy_table::{CellAlignment, Table, presets};
use serde::Serialize;

use super::Exit;
use crate::draw::print;
use crate::settings::Settings;

/// Clears the screen below the cursor's new place, its upper left corner, so that nothing flickers.
const HOME: &str = "\x1b[H";
const CLEAR_LINE: &str = "\x1b[K";
const CLEAR_BELOW: &str = "\x1b[J";
const CLEAR_ALL: &str = "\x1b[2J";
/// Rows of a terminal that doesn't tell.
const ROWS: usize = 24;

/// Order and form of the table.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Amount by which servers are sorted, the largest first
    #[arg(long, value_enum, default_value_t = Sort::Cpu)]
    sort: Sort,
    /// Seconds from one table to the next, on a terminal
    #[arg(long, value_name = "SECONDS", default_value_t = 5, value_parser = clap::value_parser!(u64).range(1..=3600))]
    every: u64,
    /// Print the table once, on a terminal too
    #[arg(long)]
    once: bool,
    /// Print JSON once, for programs
    #[arg(long)]
    json: bool,
}

/// Amount by which servers are sorted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Sort {
    /// Processors
    Cpu,
    /// Memory
    Memory,
    /// Disk space
    Disk,
    /// Traffic of the network, both ways
    Network,
    /// Traffic with disks, both ways
    Io,
    /// The name
    Name,
}

/// Everything that is shown.
#[derive(Debug, Serialize)]
struct View {
    host: Option<HostUse>,
    servers: Vec<Row>,
}

/// A server.
#[derive(Debug, Clone, Serialize)]
struct Row {
    id: u32,
    name: String,
    owner: String,
    /// Use at the newest sample; `None` where it doesn't run.
    now: Option<Sample>,
    /// Bytes of disk space, as they were measured last.
    disk: Option<u64>,
    /// Thousandths of a processor that it may use.
    cpu_limit_millis: u64,
    /// Bytes of memory that it may use.
    memory_limit: u64,
}

pub(super) async fn run(args: &Args, settings: &Settings) -> anyhow::Result<Exit> {
    let again = std::io::stdout().is_terminal() && !args.once && !args.json;
    if !again {
        let view = look(args, settings).await?;
        match args.json {
            true => print(&text::json(&view).context("cannot write the figures")?),
            false => print(&shown(&view)),
        }
        return Ok(Exit::Ok);
    }
    draw(CLEAR_ALL)?;
    loop {
        let view = look(args, settings).await?;
        draw(&frame(&shown(&view), rows()))?;
        tokio::select! {
            () = tokio::time::sleep(Duration::from_secs(args.every)) => {}
            ended = tokio::signal::ctrl_c() => {
                ended.context("cannot listen to signals")?;
                return Ok(Exit::Ok);
            }
        }
    }
}

async fn look(args: &Args, settings: &Settings) -> anyhow::Result<View> {
    let Some(mut daemon) = Daemon::find(&settings.socket()).await? else {
        bail!("no reconciler runs, and nobody else knows what servers use: start it with `berth up`");
    };
    let (Some(status), Some(figures)) = (daemon.status().await?, daemon.newest_figures().await?) else {
        bail!("the reconciler has just begun and has no figures yet; ask again in a moment");
    };
    Ok(view(&status, &figures, args.sort))
}

fn view(status: &Status, figures: &Figures, sort: Sort) -> View {
    let used: HashMap<u32, _> = figures.servers.iter().map(|server| (server.id.get(), server)).collect();
    let row = |row: &ServerRow| {
        let used = used.get(&row.id);
        Row {
            id: row.id,
            name: row.name.clone(),
            owner: row.owner.clone(),
            now: used.and_then(|used| used.newest()),
            disk: used.and_then(|used| used.disk).map(|disk| disk.bytes),
            cpu_limit_millis: row.nano_cpus / 1_000_000,
            memory_limit: row.memory,
        }
    };
    let mut servers: Vec<Row> = status.servers.iter().map(row).collect();
    servers.sort_by(|one, other| {
        other.amount(sort).cmp(&one.amount(sort)).then_with(|| one.name.cmp(&other.name))
    });
    View { host: figures.host, servers }
}

impl Row {
    /// Amount by which it is sorted; `None`, which comes last, where it isn't known.
    fn amount(&self, sort: Sort) -> Option<u64> {
        let now = self.now;
        match sort {
            Sort::Cpu => now.map(|now| now.cpu_millis.into()),
            Sort::Memory => now.map(|now| now.memory),
            Sort::Disk => self.disk,
            Sort::Network => {
                now.and_then(|now| now.network).map(|all| u64::from(all.received) + u64::from(all.sent))
            }
            Sort::Io => {
                let all = now.and_then(|now| now.io);
                all.map(|io| u64::from(io.read) + io.written.map(u64::from).unwrap_or_default())
            }
            Sort::Name => None,
        }
    }
}

fn shown(view: &View) -> String {
    let mut lines = Vec::new();
    if let Some(host) = &view.host {
        let HostUse { processors, memory, disk, sample } = host;
        let all = u64::from(*processors) * 1_000_000_000;
        lines.push(format!(
            "host: {} of {} processors, {} of {} memory, {} of {} disk, {} processes and threads",
            cpus(sample.cpu_millis),
            Cpus::from_nanos(all),
            amount(sample.memory),
            amount(*memory),
            sample.disk.map_or("?".to_owned(), amount),
            amount(*disk),
            sample.processes,
        ));
    }
    let mut table = Table::new();
    table.load_preset(presets::NOTHING).set_header([
        "SERVER", "OWNER", "CPU", "OF", "MEMORY", "OF", "THREADS", "DISK", "NET IN", "NET OUT", "READ",
        "WRITTEN",
    ]);
    for row in &view.servers {
        table.add_row(cells(row));
    }
    for column in table.column_iter_mut().skip(2) {
        column.set_cell_alignment(CellAlignment::Right);
    }
    lines.push(table.trim_fmt());
    lines.join("\n")
}

fn cells(row: &Row) -> [String; 12] {
    let none = || "-".to_owned();
    let rate = |bytes: Option<u32>| bytes.map_or_else(none, |bytes| format!("{}/s", amount(bytes.into())));
    let of = |value: fn(&Sample) -> String| row.now.as_ref().map_or_else(none, value);
    let network = row.now.and_then(|now| now.network);
    let io = row.now.and_then(|now| now.io);
    [
        safe(&row.name),
        safe(&row.owner),
        of(|now| cpus(now.cpu_millis)),
        Cpus::from_nanos(row.cpu_limit_millis * 1_000_000).to_string(),
        of(|now| amount(now.memory)),
        amount(row.memory_limit),
        of(|now| now.processes.to_string()),
        row.disk.map_or_else(none, amount),
        rate(network.map(|all| all.received)),
        rate(network.map(|all| all.sent)),
        rate(io.map(|io| io.read)),
        rate(io.and_then(|io| io.written)),
    ]
}

/// Bytes in the largest unit, with a digit behind the point.
fn amount(bytes: u64) -> String {
    let units = [(1_u64 << 40, "TiB"), (1 << 30, "GiB"), (1 << 20, "MiB"), (1 << 10, "KiB")];
    match units.into_iter().find(|(size, _)| bytes >= *size) {
        Some((size, unit)) => format!("{}.{} {unit}", bytes / size, bytes % size * 10 / size),
        None => format!("{bytes} B"),
    }
}

/// Processors with two digits behind the point.
fn cpus(millis: u32) -> String {
    format!("{}.{:02}", millis / 1000, millis % 1000 / 10)
}

/// The text in the place of the one before, as far as a terminal with so many rows shows it.
fn frame(text: &str, rows: usize) -> String {
    let text = page(text);
    let mut frame = HOME.to_owned();
    // The last row would scroll.
    for line in text.lines().take(rows.saturating_sub(1).max(1)) {
        frame.push_str(line);
        frame.push_str(CLEAR_LINE);
        frame.push('\n');
    }
    frame.push_str(CLEAR_BELOW);
    frame
}

fn rows() -> usize {
    let size = rustix::termios::tcgetwinsize(std::io::stdout());
    size.ok().map(|size| usize::from(size.ws_row)).filter(|rows| *rows > 0).unwrap_or(ROWS)
}

fn draw(text: &str) -> anyhow::Result<()> {
    let mut out = std::io::stdout().lock();
    out.write_all(text.as_bytes()).and_then(|()| out.flush()).context("cannot write to the terminal")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn status() -> Status {
        let server = |id: u32, name: &str| {
            json!({
                "id": id, "name": name, "owner": "ann", "wanted": "running", "actual": "running",
                "nano_cpus": 1_500_000_000_u64, "memory": 1 << 30, "image": "server",
            })
        };
        serde_json::from_value(json!({
            "version": "0", "pid": 1, "engine": "29", "engine_answers": true, "platform": "hosting",
            "last_applied": null, "last_pass": null, "tombstones": [], "system": [],
            "servers": [server(1, "shop"), server(2, "wiki"), server(3, "off")],
        }))
        .unwrap()
    }

    fn figures() -> Figures {
        let sample = |cpu: u32, memory: u64, received: u32| {
            json!({
                "cpu_millis": cpu, "memory": memory, "processes": 7, "network": {"received": received, "sent": 0},
                "io": {"read": 2048, "written": null}, "disk": null,
            })
        };
        let disk = |bytes: u64| json!({"bytes": bytes, "at": "2026-12-01T00:00:00Z", "extent": "whole"});
        serde_json::from_value(json!({
            "at": "2026-12-01T00:00:00Z", "every": 5,
            "host": {"processors": 4, "memory": 8_u64 << 30, "disk": 100_u64 << 30, "sample": sample(1234, 2 << 30, 0)},
            "servers": [
                {"id": 1, "samples": [], "now": sample(250, 64 << 20, 9), "disk": disk(5 << 30)},
                {"id": 2, "samples": [], "now": sample(1500, 32 << 20, 4096), "disk": null},
                {"id": 3, "samples": [], "now": null, "disk": disk(9 << 30)},
            ],
        }))
        .unwrap()
    }

    #[test]
    fn the_largest_comes_first() {
        let order = |sort| {
            let view = view(&status(), &figures(), sort);
            view.servers.into_iter().map(|row| row.name).collect::<Vec<_>>().join(" ")
        };
        assert_eq!(order(Sort::Cpu), "wiki shop off");
        assert_eq!(order(Sort::Memory), "shop wiki off");
        assert_eq!(order(Sort::Disk), "off shop wiki");
        assert_eq!(order(Sort::Network), "wiki shop off");
        assert_eq!(order(Sort::Io), "shop wiki off");
        assert_eq!(order(Sort::Name), "off shop wiki");
    }

    #[test]
    fn the_table_says_what_is_known() {
        let text = shown(&view(&status(), &figures(), Sort::Cpu));
        let rows: Vec<Vec<&str>> = text.lines().map(|line| line.split_whitespace().collect()).collect();
        assert_eq!(text.lines().next().unwrap().split(", ").next().unwrap(), "host: 1.23 of 4 processors");
        assert_eq!(rows[2][..3], ["wiki", "ann", "1.50"]);
        assert_eq!(rows[4][..3], ["off", "ann", "-"]);
        assert!(text.lines().nth(2).unwrap().ends_with('-'), "writes aren't counted: {text}");
        let json = serde_json::to_value(view(&status(), &figures(), Sort::Cpu)).unwrap();
        assert_eq!(json["servers"][1]["now"]["cpu_millis"], 250);
        assert_eq!(json["servers"][2]["now"], serde_json::Value::Null);
    }

    #[test]
    fn amounts_have_a_unit_and_a_digit() {
        let amounts = [0, 1023, 1 << 10, (1 << 20) - 1, 3 << 29, u64::MAX].map(amount);
        assert_eq!(amounts, ["0 B", "1023 B", "1.0 KiB", "1023.9 KiB", "1.5 GiB", "16777215.9 TiB"]);
    }

    #[test]
    fn a_frame_fits_the_terminal() {
        let frame = frame("one\ntwo\nthree\nfour", 3);
        assert_eq!(frame, "\x1b[Hone\x1b[K\ntwo\x1b[K\n\x1b[J");
    }
}
