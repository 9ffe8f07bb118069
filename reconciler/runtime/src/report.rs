//! Says what failed where the engine looks for it: on standard error, and in runc's log file in runc's own format.
//!
//! The engine shows the last error of that file to the person who started the server.

use std::error::Error;
use std::fs::OpenOptions;
use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;
use std::time::SystemTime;

use berth_fault::chain;
use rustix::fs::OFlags;

use crate::arguments::{Invocation, LogFormat};

/// Weight of an error: what becomes of the container.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Weight {
    /// It starts nevertheless. The engine would show an error of this attempt beside a later one that isn't ours.
    Warning,
    /// It doesn't start.
    Error,
}

/// Writes the error and its causes, once. Failing to write is not worth a second error.
pub(crate) fn report(invocation: &Invocation, weight: Weight, error: &(dyn Error + 'static)) {
    let message = format!("berth-runtime: {}", chain(error));
    let _ = writeln!(io::stderr(), "{message}");
    if let Some((path, format)) = invocation.log() {
        let _ = append(path, &line(&message, weight, format, SystemTime::now()));
    }
}

fn line(message: &str, weight: Weight, format: LogFormat, now: SystemTime) -> String {
    let level = match weight {
        Weight::Warning => "warning",
        Weight::Error => "error",
    };
    // As the engine's log reader wants it.
    let time = humantime::format_rfc3339_seconds(now).to_string();
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

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::{Duration, UNIX_EPOCH};

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
