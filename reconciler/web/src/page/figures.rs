//! Use of the host by a server in the last hour, day or month, as amounts and lines.

use berth_schema::name::ServerId;
use berth_wire::client::{ClientError, Daemon};
use berth_wire::figures::{DiskUse, Extent, Figures, Sample, ServerFigures, Span};
use berth_wire::web::ServerCard;
use jiff::Timestamp;
use serde::Serialize;

use super::words::{bytes, processors};
use crate::app::App;

/// Points of a line, at most: more than that, nobody sees.
const POINTS: usize = 60;
/// Size of a line's picture.
const SIZE: (u32, u32) = (120, 24);

/// One amount.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct Amount {
    what: &'static str,
    now: String,
    of: Option<String>,
    /// Path of the line, for an SVG; empty where there is none.
    line: String,
    /// Time that it is from, where that isn't now.
    at: Option<Timestamp>,
    /// A remark that needs somebody's eye.
    warning: Option<&'static str>,
    /// When the kernel last ended a program for want of it.
    ended: Option<Timestamp>,
}

impl Amount {
    fn new(what: &'static str, now: String, of: String, line: String) -> Self {
        Self { what, now, of: Some(of), line, at: None, warning: None, ended: None }
    }
}

/// Amounts that a server uses; none while nothing is known.
pub(crate) async fn amounts(app: &App, card: &ServerCard, span: Span) -> Vec<Amount> {
    match ask(app, card.id, span).await {
        Ok(Some(figures)) => of(&figures, card),
        Ok(None) => Vec::new(),
        Err(error) => {
            tracing::warn!(error = berth_fault::chain(&error), "the figures of a server can't be had");
            Vec::new()
        }
    }
}

async fn ask(app: &App, id: ServerId, span: Span) -> Result<Option<Figures>, ClientError> {
    match Daemon::find(&app.settings.panel_socket()).await? {
        Some(mut daemon) => daemon.figures([id], span).await,
        None => Ok(None),
    }
}

fn of(figures: &Figures, card: &ServerCard) -> Vec<Amount> {
    let Some(server) = figures.servers.iter().find(|server| server.id == card.id) else { return Vec::new() };
    let now = server.newest();
    let mut amounts = now.map(|now| running(server, now, card)).unwrap_or_default();
    amounts.extend(server.disk.map(|disk| space(server, disk, card)));
    amounts.extend(now.and_then(|now| moving(server, now)));
    amounts
}

/// Line of one value of a server's samples.
fn line(server: &ServerFigures, value: fn(&Sample) -> Option<u64>, most: u64) -> String {
    let samples = server.samples.iter();
    path(&samples.map(|sample| sample.as_ref().and_then(value)).collect::<Vec<_>>(), most)
}

/// Amounts of a server that runs.
fn running(server: &ServerFigures, now: Sample, card: &ServerCard) -> Vec<Amount> {
    let millis = card.nano_cpus / 1_000_000;
    let percent = u64::from(now.cpu_millis) * 100 / millis.max(1);
    let mut amounts = vec![
        Amount::new(
            "Processors",
            format!("{percent} %"),
            format!("of {}", processors(card.nano_cpus)),
            line(server, |sample| Some(sample.cpu_millis.into()), millis),
        ),
        Amount {
            ended: server.out_of_memory.map(|full| full.last),
            ..Amount::new(
                "Memory",
                bytes(now.memory),
                format!("of {}", bytes(card.memory)),
                line(server, |sample| Some(sample.memory), card.memory),
            )
        },
        Amount::new(
            "Processes",
            now.processes.to_string(),
            format!("of {}", card.pids),
            line(server, |sample| Some(sample.processes.into()), 0),
        ),
    ];
    amounts.extend(now.network.map(|traffic| {
        let all = |sample: &Sample| {
            sample.network.map(|traffic| u64::from(traffic.received) + u64::from(traffic.sent))
        };
        Amount::new(
            "Network",
            format!("{}/s in", bytes(traffic.received.into())),
            format!("{}/s out", bytes(traffic.sent.into())),
            line(server, all, 0),
        )
    }));
    amounts
}

/// Disk space of a server, which may not run.
fn space(server: &ServerFigures, disk: DiskUse, card: &ServerCard) -> Amount {
    let at_least = match disk.extent {
        Extent::Whole => "",
        Extent::Part => "at least ",
    };
    Amount {
        at: Some(disk.at),
        warning: (disk.bytes > card.disk).then_some("More than its share"),
        ..Amount::new(
            "Disk",
            format!("{at_least}{}", bytes(disk.bytes)),
            format!("of {}", bytes(card.disk)),
            line(server, |sample| sample.disk, card.disk),
        )
    }
}

/// Traffic with disks.
fn moving(server: &ServerFigures, now: Sample) -> Option<Amount> {
    let io = now.io?;
    let all = |sample: &Sample| {
        sample.io.map(|io| u64::from(io.read) + io.written.map(u64::from).unwrap_or_default())
    };
    let written = match io.written {
        Some(written) => format!("{}/s written", bytes(written.into())),
        None => "writes not counted".to_owned(),
    };
    Some(Amount::new(
        "Disk traffic",
        format!("{}/s read", bytes(io.read.into())),
        written,
        line(server, all, 0),
    ))
}

/// Line through these values, with gaps where there is none. Its picture reaches up to `most`; without a bound, a little above the largest.
fn path(values: &[Option<u64>], most: u64) -> String {
    let each = values.len().div_ceil(POINTS).max(1);
    let points: Vec<Option<u64>> = values
        .chunks(each)
        .map(|chunk| {
            let known: Vec<u64> = chunk.iter().flatten().copied().collect();
            let number = u64::try_from(known.len()).unwrap_or(u64::MAX);
            known
                .iter()
                .try_fold(0_u64, |sum, value| sum.checked_add(*value))
                .and_then(|sum| sum.checked_div(number))
        })
        .collect();
    let largest = points.iter().flatten().copied().max().unwrap_or(0);
    // Without a bound there is room above the largest, or a steady line would stand right below the number.
    let most = if most == 0 { largest.saturating_add(largest.div_ceil(2)) } else { most.max(largest) }.max(1);
    let (width, height) = (u128::from(SIZE.0), u128::from(SIZE.1 - 2));
    let steps = u128::try_from(points.len().saturating_sub(1).max(1)).unwrap_or(1);
    let mut path = String::new();
    let mut pen = 'M';
    for (place, point) in (0_u128..).zip(&points) {
        match point {
            None => pen = 'M',
            Some(value) => {
                let x = place * width / steps;
                let y = 1 + height - u128::from(*value) * height / u128::from(most);
                path.push_str(&format!("{pen}{x} {y}"));
                pen = 'L';
            }
        }
    }
    path
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_has_its_gaps_and_stays_in_its_picture() {
        assert_eq!(path(&[], 0), "");
        assert_eq!(path(&[Some(0), Some(10), None, Some(5)], 10), "M0 23L40 1M120 12");
        assert_eq!(
            path(&[Some(2), Some(4)], 0),
            "M0 16L120 9",
            "without a bound, there is room above the largest"
        );
        let many = path(&(0..360).map(Some).collect::<Vec<_>>(), 0);
        assert_eq!(many.matches(['M', 'L']).count(), POINTS);
        assert!(path(&[Some(u64::MAX), Some(0)], u64::MAX).starts_with("M0 1L"));
    }

    fn card() -> ServerCard {
        serde_json::from_value(serde_json::json!({
            "id": 3, "name": "shop", "owner": "bob", "members": [], "wanted": "running", "nano_cpus": 2_000_000_000_u64,
            "memory": 1 << 30, "pids": 100, "disk": 10_u64 << 30, "domains": [], "ssh": "ssh shop",
        }))
        .unwrap()
    }

    /// Words of the page about a server with these figures.
    fn said(samples: serde_json::Value, disk: serde_json::Value) -> Vec<String> {
        let at = "2026-11-29T18:40:09Z";
        let figures = serde_json::from_value(serde_json::json!({
            "at": at, "every": 5, "servers": [{
                "id": 3, "samples": samples, "now": samples.as_array().unwrap().last(), "disk": disk,
                "out_of_memory": {"times": 2, "last": at},
            }],
        }));
        let amounts = of(&figures.unwrap(), &card());
        let ended: Vec<&str> =
            amounts.iter().filter(|amount| amount.ended.is_some()).map(|amount| amount.what).collect();
        let runs = amounts.iter().any(|amount| amount.what == "Memory");
        assert_eq!(ended, if runs { &["Memory"][..] } else { &[] });
        let words = |amount: &Amount| {
            let warning = amount.warning.unwrap_or_default();
            format!("{}: {} {} {warning}", amount.what, amount.now, amount.of.as_deref().unwrap_or_default())
        };
        amounts.iter().map(|amount| words(amount).trim().to_owned()).collect()
    }

    #[test]
    fn the_page_says_what_is_known_and_no_more() {
        let sample = serde_json::json!({
            "cpu_millis": 500, "memory": 1 << 20, "processes": 7, "network": {"received": 1024, "sent": 0},
            "io": {"read": 2048, "written": 1024}, "disk": 5_u64 << 30,
        });
        let disk = |bytes: u64, extent: &str| serde_json::json!({"bytes": bytes, "at": "2026-11-29T18:40:00Z", "extent": extent});
        let running = [
            "Processors: 25 % of 2",
            "Memory: 1 MiB of 1 GiB",
            "Processes: 7 of 100",
            "Network: 1 KiB/s in 0 B/s out",
        ];
        let all = said(serde_json::json!([null, sample]), disk(5 << 30, "whole"));
        assert_eq!(all[..4], running);
        assert_eq!(all[4..], ["Disk: 5 GiB of 10 GiB", "Disk traffic: 2 KiB/s read 1 KiB/s written"]);
        // An older kernel's groups, and a disk that wasn't measured yet.
        let mut old = sample.clone();
        old["io"]["written"] = serde_json::Value::Null;
        let some = said(serde_json::json!([old]), serde_json::Value::Null);
        assert_eq!(some[4..], ["Disk traffic: 2 KiB/s read writes not counted"]);
        // A server that doesn't run, and takes more than it should.
        let off = said(serde_json::json!([sample, null]), disk(11 << 30, "part"));
        assert_eq!(off, ["Disk: at least 11 GiB of 10 GiB More than its share"]);
        assert_eq!(said(serde_json::json!([]), serde_json::Value::Null), [""; 0]);
    }
}
