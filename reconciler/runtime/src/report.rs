//! Says what failed where the engine looks for it: on standard error, and in runc's log file in runc's own format.
//!
//! The engine shows the last error of that file to the person who started the server.

use std::error::Error;
use std::fs::OpenOptions;
use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

use rustix::fs::OFlags;

use crate::arguments::{Invocation, LogFormat};

/// What becomes of the container.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Weight {
    /// It starts nevertheless. The engine would show an error of this attempt beside a later one that isn't ours.
    Warning,
    /// It doesn't start.
    Error,
}

/// Writes the error and its causes, once. Failing to write is not worth a second error.
pub(crate) fn report(invocation: &Invocation, weight: Weight, error: &dyn Error) {
    let message = format!("berth-runtime: {}", chain(error));
    let _ = writeln!(io::stderr(), "{message}");
    if let Some((path, format)) = invocation.log() {
        let _ = append(path, &line(&message, weight, format, SystemTime::now()));
    }
}

/// The error and its causes in one line.
fn chain(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text.push_str(": ");
        text.push_str(&cause.to_string());
        source = cause.source();
    }
    text
}

fn line(message: &str, weight: Weight, format: LogFormat, now: SystemTime) -> String {
    let level = match weight {
        Weight::Warning => "warning",
        Weight::Error => "error",
    };
    let time = rfc3339(now.duration_since(UNIX_EPOCH).map_or(0, |elapsed| elapsed.as_secs()));
    match format {
        LogFormat::Json => {
            format!("{}\n", serde_json::json!({"level": level, "msg": message, "time": time}))
        }
        LogFormat::Text => format!("time={time:?} level={level} msg={message:?}\n"),
    }
}

fn append(path: &Path, line: &str) -> io::Result<()> {
    let no_follow = i32::try_from(OFlags::NOFOLLOW.bits()).unwrap_or_default();
    OpenOptions::new()
        .append(true)
        .create(true)
        .mode(0o644)
        .custom_flags(no_follow)
        .open(path)?
        .write_all(line.as_bytes())
}

/// Seconds since 1970 as the engine's log reader wants them. Days become a date by counting in years that start in March,
/// so that the leap day is the last day of the year.
fn rfc3339(seconds: u64) -> String {
    let (days, rest) = (seconds / 86_400, seconds % 86_400);
    let days = days + 719_468;
    let (era, day_of_era) = (days / 146_097, days % 146_097);
    let year_of_era = (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = if month_from_march < 10 { month_from_march + 3 } else { month_from_march - 9 };
    let year = era * 400 + year_of_era + u64::from(month <= 2);
    let (hour, minute, second) = (rest / 3_600, rest % 3_600 / 60, rest % 60);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}Z")
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn writes_times_as_the_engine_reads_them() {
        for (seconds, text) in [
            (0, "1970-01-01T00:00:00Z"),
            (951_782_399, "2000-02-28T23:59:59Z"),
            (951_782_400, "2000-02-29T00:00:00Z"),
            (1_709_251_199, "2024-02-29T23:59:59Z"),
            (1_735_689_599, "2024-12-31T23:59:59Z"),
            (4_107_542_400, "2100-03-01T00:00:00Z"),
        ] {
            assert_eq!(rfc3339(seconds), text);
        }
    }

    #[test]
    fn a_json_line_survives_quotes_and_newlines() {
        let text = line("a \"b\"\nc", Weight::Error, LogFormat::Json, UNIX_EPOCH + Duration::from_secs(60));
        assert_eq!(text.lines().count(), 1);
        let value: serde_json::Value = serde_json::from_str(&text).expect("JSON");
        assert_eq!(
            value,
            serde_json::json!({"level": "error", "msg": "a \"b\"\nc", "time": "1970-01-01T00:01:00Z"})
        );
    }

    #[test]
    fn a_text_line_is_one_line_too() {
        let text = line("a\nb", Weight::Warning, LogFormat::Text, UNIX_EPOCH);
        assert_eq!(text, "time=\"1970-01-01T00:00:00Z\" level=warning msg=\"a\\nb\"\n");
    }
}
