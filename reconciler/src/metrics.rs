//! Metrics in the Prometheus text format (version 0.0.4): a few gauges that follow from the status.

use std::fmt::Write as _;

use crate::outcome::Outcome;
use crate::status::Status;

/// The metrics; before the first pass only that the daemon is up.
pub fn text(status: Option<&Status>) -> String {
    let mut out = String::new();
    let mut gauge = |name: &str, help: &str, value: i64| {
        // Writing to a String can't fail.
        let _ = write!(out, "# HELP berth_{name} {help}\n# TYPE berth_{name} gauge\nberth_{name} {value}\n");
    };
    gauge("up", "The reconciler runs.", 1);
    let Some(status) = status else { return out };
    let count = |number: usize| i64::try_from(number).unwrap_or(i64::MAX);
    let as_wanted = status.servers.iter().filter(|row| row.wanted == row.actual).count();
    gauge("engine_answers", "The Docker engine answered last.", i64::from(status.engine_answers));
    gauge("servers", "Servers in the state repo.", count(status.servers.len()));
    gauge("servers_as_wanted", "Servers that are as the state repo says.", count(as_wanted));
    gauge("tombstones", "Removed servers whose data is kept.", count(status.tombstones.len()));
    if let Some(usage) = status.cache.as_ref().and_then(|cache| cache.usage.as_ref()) {
        let figure = |number: u64| i64::try_from(number).unwrap_or(i64::MAX);
        gauge("image_cache_bytes", "Bytes that the image cache stores.", figure(usage.bytes));
        gauge(
            "image_cache_hits",
            "Requests that it answered by itself since it started.",
            figure(usage.hits),
        );
        gauge("image_cache_misses", "Requests for which it asked its upstream.", figure(usage.misses));
    }
    let pulls = status.cache.as_ref().and_then(|cache| cache.rate_limit.as_ref()?.remaining);
    if let Some(pulls) = pulls.and_then(|pulls| i64::try_from(pulls).ok()) {
        gauge("dockerhub_pulls_remaining", "Pulls that Docker Hub still allows in its window.", pulls);
    }
    if let Some(pass) = &status.last_pass {
        let failed = pass.outcomes.iter().filter(|outcome| !Outcome::is_done(outcome)).count();
        gauge("last_pass_timestamp_seconds", "When the last pass ended.", pass.at.as_second());
        gauge("last_pass_changes", "Changes of the last pass.", count(pass.outcomes.len()));
        gauge("last_pass_failures", "Changes of the last pass that failed.", count(failed));
        gauge("last_pass_problems", "Findings, blocked and waiting changes.", count(pass.problems.len()));
        let converged = i64::from(status.last_applied.as_ref() == Some(&pass.attempted));
        gauge("converged", "The tip of the state repo is applied.", converged);
    }
    out
}

#[cfg(test)]
mod tests {
    #[test]
    fn every_metric_has_its_help_and_type() {
        let text = super::text(None);
        assert_eq!(text, "# HELP berth_up The reconciler runs.\n# TYPE berth_up gauge\nberth_up 1\n");
    }
}
