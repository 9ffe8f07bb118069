//! Quantities with their units: processor time, bytes, processes, spans of time.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use serde::Serialize;

use crate::name::Invalid;

/// Processor time as a share of one processor, kept in billionths (Docker's `NanoCpus`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(transparent)]
pub struct Cpus(u64);

impl Cpus {
    /// From a number of processors: 0.01 to 1024.
    pub fn from_processors(processors: f64) -> Result<Self, Invalid> {
        if !(0.01..=1024.0).contains(&processors) {
            return Err(Invalid::new(
                format!("{processors} is not a number of processors"),
                "write a number from 0.01 to 1024, such as 1.5",
            ));
        }
        // In range, so the product is far below u64::MAX. Rounded to a thousandth of a processor, which is what
        // people write; a finer share would only show floating-point noise.
        Ok(Self((processors * 1000.0).round() as u64 * 1_000_000))
    }

    /// In billionths of a processor.
    pub fn nanos(self) -> u64 {
        self.0
    }

    /// From billionths of a processor, as Docker reports it.
    pub fn from_nanos(nanos: u64) -> Self {
        Self(nanos)
    }
}

impl fmt::Display for Cpus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0 as f64 / 1e9)
    }
}

/// A number of bytes, written with a unit (`512 MiB`, `2 GiB`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(transparent)]
pub struct Bytes(u64);

impl Bytes {
    /// From a plain number of bytes.
    pub fn new(bytes: u64) -> Self {
        Self(bytes)
    }

    /// As a plain number of bytes.
    pub fn get(self) -> u64 {
        self.0
    }
}

impl FromStr for Bytes {
    type Err = Invalid;
    fn from_str(value: &str) -> Result<Self, Invalid> {
        let unitless = !value.is_empty() && value.chars().all(|c| c.is_ascii_digit());
        match value.parse::<bytesize::ByteSize>() {
            Ok(size) if !unitless => Ok(Self(size.as_u64())),
            _ => Err(Invalid::new(
                format!("`{value}` is not a size"),
                "write a number with its unit, such as \"512 MiB\" or \"2 GiB\"",
            )),
        }
    }
}

impl fmt::Display for Bytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", bytesize::ByteSize(self.0).display().iec())
    }
}

/// A span of time, written with units (`30d`, `12h`). Weeks, days, hours, minutes, seconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(transparent)]
pub struct Span(Duration);

impl Span {
    /// As a duration.
    pub fn duration(self) -> Duration {
        self.0
    }

    /// From a duration.
    pub fn new(duration: Duration) -> Self {
        Self(duration)
    }
}

impl FromStr for Span {
    type Err = Invalid;
    fn from_str(value: &str) -> Result<Self, Invalid> {
        humantime::parse_duration(value).map(Self).map_err(|_| {
            Invalid::new(
                format!("`{value}` is not a span of time"),
                "write a number with its unit, such as \"30d\" or \"12h\"",
            )
        })
    }
}

impl fmt::Display for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        humantime::format_duration(self.0).fmt(f)
    }
}
