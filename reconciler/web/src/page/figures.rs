//! Use of the host by a server in the last hour, as amounts and lines.

use berth_schema::name::ServerId;
use berth_wire::client::{ClientError, Daemon};
use berth_wire::figures::{Figures, Sample};
use berth_wire::web::ServerCard;
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
    /// Path of the line, for an SVG.
    line: String,
}

/// Amounts that a server uses; none while nothing is known.
pub(crate) async fn amounts(app: &App, card: &ServerCard) -> Vec<Amount> {
    match ask(app, card.id).await {
        Ok(Some(figures)) => of(&figures, card),
        Ok(None) => Vec::new(),
        Err(error) => {
            tracing::warn!(error = berth_fault::chain(&error), "the figures of a server can't be had");
            Vec::new()
        }
    }
}

async fn ask(app: &App, id: ServerId) -> Result<Option<Figures>, ClientError> {
    match Daemon::find(&app.settings.panel_socket()).await? {
        Some(mut daemon) => daemon.figures([id]).await,
        None => Ok(None),
    }
}

fn of(figures: &Figures, card: &ServerCard) -> Vec<Amount> {
    let Some(server) = figures.servers.iter().find(|server| server.id == card.id) else { return Vec::new() };
    let Some(now) = server.newest() else { return Vec::new() };
    let line = |value: fn(&Sample) -> Option<u64>, most: u64| {
        let values: Vec<Option<u64>> =
            server.samples.iter().map(|sample| sample.as_ref().and_then(value)).collect();
        path(&values, most)
    };
    let millis = card.nano_cpus / 1_000_000;
    let percent = u64::from(now.cpu_millis) * 100 / millis.max(1);
    let mut amounts = vec![
        Amount {
            what: "Processors",
            now: format!("{percent} %"),
            of: Some(format!("of {}", processors(card.nano_cpus))),
            line: line(|sample| Some(sample.cpu_millis.into()), millis),
        },
        Amount {
            what: "Memory",
            now: bytes(now.memory),
            of: Some(format!("of {}", bytes(card.memory))),
            line: line(|sample| Some(sample.memory), card.memory),
        },
        Amount {
            what: "Processes",
            now: now.processes.to_string(),
            of: Some(format!("of {}", card.pids)),
            line: line(|sample| Some(sample.processes.into()), 0),
        },
    ];
    if let Some(traffic) = now.network {
        amounts.push(Amount {
            what: "Network",
            now: format!("{}/s in", bytes(traffic.received.into())),
            of: Some(format!("{}/s out", bytes(traffic.sent.into()))),
            line: line(
                |sample| sample.network.map(|traffic| u64::from(traffic.received) + u64::from(traffic.sent)),
                0,
            ),
        });
    }
    amounts
}

/// Line through these values, with gaps where there is none. It reaches up to `most`, or up to the largest of them.
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
    let most = most.max(points.iter().flatten().copied().max().unwrap_or(0)).max(1);
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
        assert_eq!(path(&[Some(1), Some(2)], 0), "M0 12L120 1", "without a bound, the largest is at the top");
        let many = path(&(0..360).map(Some).collect::<Vec<_>>(), 0);
        assert_eq!(many.matches(['M', 'L']).count(), POINTS);
        assert!(path(&[Some(u64::MAX), Some(0)], 0).starts_with("M0 1L"));
    }
}
