//! (i) Requests straight to an app, through a single Caddy with a site block for each domain, and through the edge and its
//! table. `wrk` sends them.

use std::fmt;
use std::fs;
use std::time::Duration;

use anyhow::{Context as _, ensure};

use crate::caddy::{APP_PORT, EDGE_PORT, Ground, Pair, SINGLE_PORT, Single};
use crate::domains::{self, Domains, Tls};
use crate::table;
use crate::times::Times;

const SIZES: [usize; 3] = [100, 1_000, 10_000];
const ROUNDS: usize = 5;
/// Duration of each measurement.
const SECONDS: &str = "2s";
const CONNECTIONS: usize = 32;

/// Measured rates, in requests a second.
#[derive(Default)]
struct Rates(Vec<f64>);

impl Rates {
    fn median(&self) -> f64 {
        let mut sorted = self.0.clone();
        sorted.sort_unstable_by(f64::total_cmp);
        sorted.get(sorted.len() / 2).copied().unwrap_or_default()
    }
}

impl fmt::Display for Rates {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let least = self.0.iter().copied().fold(f64::INFINITY, f64::min);
        let most = self.0.iter().copied().fold(0.0, f64::max);
        write!(f, "{:.0} ({least:.0}–{most:.0})", self.median())
    }
}

#[derive(Default)]
struct Measured {
    rate: Rates,
    alone: Times,
}

pub(crate) fn run() -> anyhow::Result<()> {
    let mut rows = Vec::new();
    for count in SIZES {
        eprintln!("requests with {count} domains …");
        let ground = Ground::new()?;
        let state = Domains::new(count).state()?;
        let blocks = ground.path("blocks");
        fs::write(&blocks, domains::blocks(&state, &Single::options(&ground), Tls::Off)?)?;
        let _pair = Pair::start(&ground, &state)?;
        let _single = Single::start(&ground, &blocks)?;
        // The way to the middle one is as long as that to all of them on average.
        let number = count / 2;
        let (host, answer) = (domains::name(number), domains::answer(&state, number)?);
        let address = answer.split(' ').next().unwrap_or_default();
        let ways = [
            ("straight to the app", format!("http://{address}:{APP_PORT}/")),
            ("a site block each", format!("http://127.0.0.1:{SINGLE_PORT}/")),
            ("Berth: edge and table", format!("http://127.0.0.1:{EDGE_PORT}/")),
        ];
        for port in [SINGLE_PORT, EDGE_PORT] {
            ground.answered(port, &host, &answer)?;
        }
        let mut measured: [Measured; 3] = Default::default();
        for _ in 0..ROUNDS {
            for ((_, url), Measured { rate, alone }) in ways.iter().zip(&mut measured) {
                rate.0.push(wrk(&ground, url, &host, CONNECTIONS)?.0);
                alone.push(wrk(&ground, url, &host, 1)?.1);
            }
        }
        for ((what, _), it) in ways.iter().zip(&measured) {
            let [_, single, _] = &measured;
            rows.push(vec![
                count.to_string(),
                (*what).to_owned(),
                it.rate.to_string(),
                format!("{:.2}", it.rate.median() / single.rate.median()),
                it.alone.to_string(),
                ROUNDS.to_string(),
            ]);
        }
    }
    table::print(
        "(i) Requests for one of many domains",
        &[
            "domains",
            "how",
            "requests a second, 32 connections",
            "of a site block's",
            "one alone takes",
            "rounds",
        ],
        &rows,
    );
    Ok(())
}

/// Requests a second, and the median time of one. Every answer was good.
fn wrk(ground: &Ground, url: &str, host: &str, connections: usize) -> anyhow::Result<(f64, Duration)> {
    let output = ground
        .command("wrk")
        .arg(format!("-t{}", connections.min(2)))
        .arg(format!("-c{connections}"))
        .args(["-d", SECONDS, "--latency", "-H", &format!("Host: {host}"), url])
        .output()
        .context("run wrk")?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    ensure!(output.status.success(), "wrk {url}: {text}{}", String::from_utf8_lossy(&output.stderr));
    ensure!(!text.contains("Non-2xx") && !text.contains("Socket errors"), "not all was answered: {text}");
    let value = |name: &str| -> anyhow::Result<String> {
        let mut words = text.lines().filter_map(|line| line.trim().strip_prefix(name));
        Ok(words.next().with_context(|| format!("no `{name}` in {text}"))?.trim().to_owned())
    };
    let rate: f64 = value("Requests/sec:")?.parse()?;
    let latency = value("50%")?;
    let number = latency.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let scale = match latency.get(number.len()..) {
        Some("us") => 1e-6,
        Some("ms") => 1e-3,
        _ => 1.0,
    };
    Ok((rate, Duration::from_secs_f64(number.parse::<f64>()? * scale)))
}
