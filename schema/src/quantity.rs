//! Quantities with their units: processor time, bytes, processes, spans of time.

use std::fmt;
use std::num::NonZeroU32;
use std::str::FromStr;
use std::time::Duration;

use serde::{Serialize, Serializer};
use toml::de::DeValue;

use crate::invalid::Invalid;
use crate::json_schema::written::written_as;
use crate::text::shown;
use crate::value::{self, Value, text_values};

/// Processor time as a share of one processor, kept in billionths (Docker's `NanoCpus`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Cpus(u64);

impl Cpus {
    /// Converts a number of processors, from 0.01 to 1024.
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

    /// Returns the time in billionths of a processor.
    pub fn nanos(self) -> u64 {
        self.0
    }

    /// Converts billionths of a processor, as Docker reports them.
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
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Bytes(u64);

impl Bytes {
    /// Converts a plain number of bytes.
    pub fn new(bytes: u64) -> Self {
        Self(bytes)
    }

    /// The least memory or disk that a server can begin to work with.
    pub const SERVER_MIN: Self = Self(64 << 20);

    /// More than any machine has; sums of it still fit a machine word.
    pub const MAX: Self = Self(1 << 50);

    /// Refuses an amount that no server can have.
    pub(crate) fn suits_server(&self) -> Result<(), Invalid> {
        if *self < Self::SERVER_MIN {
            let hint = format!("write at least \"{}\"", Self::SERVER_MIN);
            return Err(Invalid::new(format!("{self} is too little for a server"), hint));
        }
        self.suits_quota()
    }

    /// Refuses an amount that no machine has.
    pub(crate) fn suits_quota(&self) -> Result<(), Invalid> {
        if *self > Self::MAX {
            let hint = format!("write at most \"{}\"", Self::MAX);
            return Err(Invalid::new(format!("{self} is more than any machine has"), hint));
        }
        Ok(())
    }

    /// Returns the plain number of bytes.
    pub fn get(self) -> u64 {
        self.0
    }

    /// The amount as people say it: exactly where that takes a short number, and otherwise with two decimals of a greater unit, rounded up.
    /// 922,368 MiB are 900.75 GiB.
    pub fn rounded(self) -> String {
        let (_, size) = self.exact_unit();
        let greater = UNITS.iter().filter(|(unit, _)| unit.contains('i')).find(|(_, size)| self.0 >= *size);
        let Some((unit, greater)) = greater.filter(|_| self.0 / size >= LONG) else {
            return self.to_string();
        };
        let hundredths = (u128::from(self.0) * 100).div_ceil(u128::from(*greater));
        let text = format!("{}.{:02}", hundredths / 100, hundredths % 100);
        format!("{} {unit}", text.trim_end_matches('0').trim_end_matches('.'))
    }

    /// The greatest unit that divides it, and the unit's size.
    fn exact_unit(self) -> (&'static str, u64) {
        let whole = |(_, size): &&(&str, u64)| self.0 >= *size && self.0.is_multiple_of(*size);
        UNITS.iter().find(whole).copied().unwrap_or(("B", 1))
    }
}

impl FromStr for Bytes {
    type Err = Invalid;
    fn from_str(value: &str) -> Result<Self, Invalid> {
        let has_unit = value.ends_with(|c: char| c.is_ascii_alphabetic());
        match value.parse::<bytesize::ByteSize>() {
            Ok(size) if has_unit => Ok(Self(size.as_u64())),
            _ => Err(Invalid::new(
                format!("`{}` is not a size", shown(value)),
                "write a number with its unit, such as \"512 MiB\" or \"2 GiB\"",
            )),
        }
    }
}

/// The least number that takes longer to read than one with two decimals of a greater unit.
const LONG: u64 = 1024;

/// The units that an amount is shown in, the greatest first. The first that divides it is taken, so that what is shown
/// reads back as exactly the same amount.
const UNITS: [(&str, u64); 8] = [
    ("TiB", bytesize::TIB),
    ("TB", bytesize::TB),
    ("GiB", bytesize::GIB),
    ("GB", bytesize::GB),
    ("MiB", bytesize::MIB),
    ("MB", bytesize::MB),
    ("KiB", bytesize::KIB),
    ("kB", bytesize::KB),
];

impl fmt::Display for Bytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (unit, size) = self.exact_unit();
        write!(f, "{} {unit}", self.0 / size)
    }
}

/// A span of time, written with units (`30d`, `12h`). Weeks, days, hours, minutes, seconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Span(Duration);

impl Span {
    /// A century. More would only overflow a calendar.
    const MAX: Duration = Duration::from_secs(100 * 366 * 24 * 60 * 60);

    /// Returns the span as a duration.
    pub fn duration(self) -> Duration {
        self.0
    }

    /// Converts a duration.
    pub fn new(duration: Duration) -> Self {
        Self(duration)
    }
}

impl FromStr for Span {
    type Err = Invalid;
    fn from_str(value: &str) -> Result<Self, Invalid> {
        let hint = "write a number with its unit, such as \"30d\" or \"12h\"";
        let span = humantime::parse_duration(value)
            .map_err(|_| Invalid::new(format!("`{}` is not a span of time", shown(value)), hint))?;
        if span > Self::MAX {
            return Err(Invalid::new(format!("`{}` is more than a century", shown(value)), hint));
        }
        Ok(Self(span))
    }
}

impl fmt::Display for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        humantime::format_duration(self.0).fmt(f)
    }
}

// Serialised as a state file says it.

impl Serialize for Cpus {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_f64(self.0 as f64 / 1e9)
    }
}

impl Serialize for Bytes {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl Serialize for Span {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// The fewest processes that systemd, Docker and a login need together.
const PIDS_MIN: u32 = 64;
/// The most that Linux numbers (`PID_MAX_LIMIT`).
const PIDS_MAX: u32 = 4_194_304;

/// A number of processes that a server can live with.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Pids(pub(crate) NonZeroU32);

impl Value for Pids {
    const WANTED: &'static str = "a whole number without quotes, such as 1024";
    fn read(value: &DeValue<'_>) -> Option<Result<Self, Invalid>> {
        Some(value::integer(value)?.and_then(|number| {
            let pids = u32::try_from(number).ok().filter(|pids| (PIDS_MIN..=PIDS_MAX).contains(pids));
            pids.and_then(NonZeroU32::new).map(Self).ok_or_else(|| {
                let hint = format!("write a whole number from {PIDS_MIN} to {PIDS_MAX}, such as 1024");
                Invalid::new(format!("{number} is not a number of processes that a server can have"), hint)
            })
        }))
    }
}

written_as! {
    Cpus: { "type": "number", "minimum": 0.01, "maximum": 1024 },
    Bytes: { "type": "string", "pattern": "^[0-9]+(\\.[0-9]+)? *([kKMGTP]i?[bB]?|[bB])$", "examples": ["512 MiB", "2 GiB"] },
    Span: { "type": "string", "pattern": "^([0-9]+ ?[a-zA-Z]+ ?)+$", "examples": ["30d", "12h"] },
}

text_values! {
    Bytes: "a number with its unit in quotes, such as \"512 MiB\" or \"2 GiB\"",
    Span: "a number with its unit in quotes, such as \"30d\" or \"12h\"",
}

impl Value for Cpus {
    const WANTED: &'static str = "a number of processors without quotes, such as 1 or 0.5";
    fn read(value: &DeValue<'_>) -> Option<Result<Self, Invalid>> {
        Some(value::number(value)?.and_then(Self::from_processors))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_amount_is_said_shortly_and_never_too_low() {
        for (bytes, text) in [
            (0, "0 B"),
            (512 << 20, "512 MiB"),
            (1536 << 20, "1.5 GiB"),
            (922_368 << 20, "900.75 GiB"),
            (900 << 30, "900 GiB"),
            ((900 << 30) + 1, "900.01 GiB"),
            (5_000_000_000, "5 GB"),
            (999_999, "976.57 KiB"),
            (1023, "1023 B"),
        ] {
            assert_eq!(Bytes::new(bytes).rounded(), text);
        }
    }
}
