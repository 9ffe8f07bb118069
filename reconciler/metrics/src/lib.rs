//! The metrics of a platform: their registry, their text, and the process that scrapers ask.
//!
//! Owns the names, and that nothing is told that the registry doesn't list. The reconciler makes the text, since it reads the figures
//! already; the process that listens has a socket for it and nothing else.

mod registry;
mod scrape;
mod snapshot;
mod text;

pub use registry::{Kind, METRICS, Metric};
pub use scrape::{ScrapeError, ScrapeSettings, run};
pub use snapshot::{
    Certificate, FileSystem, HostFigures, Io, Network, ServerMetrics, Snapshot, Usage, Wanted,
};
pub use text::{Format, text};
