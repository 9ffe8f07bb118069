//! The text of metrics: OpenMetrics 1.0 for those who ask for it, and Prometheus' own format for everybody else.

use std::fmt;
use std::sync::Arc;

use berth_count::BUCKETS;
use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric as _, NoLabelSet, prometheus_text, text};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::gauge::ConstGauge;
use prometheus_client::registry::Registry;

use crate::registry::{Kind, METRICS, Sample, Value};
use crate::snapshot::Snapshot;

/// Format of the text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// Prometheus' text format 0.0.4.
    Prometheus,
    /// OpenMetrics 1.0.
    OpenMetrics,
}

impl Format {
    /// The format for whoever accepts these media types.
    pub fn accepted(accept: Option<&str>) -> Self {
        match accept.is_some_and(|accept| accept.contains("application/openmetrics-text")) {
            true => Self::OpenMetrics,
            false => Self::Prometheus,
        }
    }

    /// Its media type.
    pub const fn media_type(self) -> &'static str {
        match self {
            Self::Prometheus => "text/plain; version=0.0.4; charset=utf-8",
            Self::OpenMetrics => "application/openmetrics-text; version=1.0.0; charset=utf-8",
        }
    }
}

/// Returns the text of all metrics. One that has no value isn't in it.
pub fn text(snapshot: &Arc<Snapshot>, format: Format) -> String {
    let mut registry = Registry::default();
    registry.register_collector(Box::new(Told(Arc::clone(snapshot))));
    let mut out = String::new();
    // Writing to a String can't fail.
    let _ = match format {
        Format::Prometheus => prometheus_text::encode(&mut out, &registry),
        Format::OpenMetrics => text::encode(&mut out, &registry),
    };
    out
}

#[derive(Debug)]
struct Told(Arc<Snapshot>);

impl Collector for Told {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        for metric in METRICS {
            let samples = (metric.samples)(&self.0);
            if samples.is_empty() {
                continue;
            }
            let (name, kind) = match metric.kind {
                Kind::Gauge => (metric.name, MetricType::Gauge),
                // The crate adds the ending.
                Kind::Counter => {
                    (metric.name.strip_suffix("_total").unwrap_or(metric.name), MetricType::Counter)
                }
                Kind::Histogram => (metric.name, MetricType::Histogram),
            };
            let mut family = encoder.encode_descriptor(name, metric.help, None, kind)?;
            for Sample { labels, value } in samples {
                let mut encoder = family.encode_family(&labels)?;
                match (metric.kind, value) {
                    (Kind::Gauge, Value::Whole(number)) => ConstGauge::new(number).encode(encoder)?,
                    (Kind::Gauge, Value::Real(number)) => ConstGauge::new(number).encode(encoder)?,
                    (Kind::Counter, Value::Whole(number)) => ConstCounter::new(number).encode(encoder)?,
                    (Kind::Counter, Value::Real(number)) => ConstCounter::new(number).encode(encoder)?,
                    (Kind::Histogram, Value::Times { buckets, seconds }) => {
                        let bounds = BUCKETS.into_iter().chain([f64::INFINITY]);
                        let buckets: Vec<(f64, u64)> = bounds.zip(buckets).collect();
                        let all = buckets.iter().map(|(_, number)| number).sum();
                        encoder.encode_histogram::<NoLabelSet>(seconds, all, &buckets, None)?;
                    }
                    (Kind::Histogram, _) | (_, Value::Times { .. }) => return Err(fmt::Error),
                }
            }
        }
        Ok(())
    }
}

#[cfg(test)]
#[path = "text_tests.rs"]
mod tests;
