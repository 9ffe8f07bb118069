//! News of certificates in the web server's log, which Caddy writes as JSON.

use berth_schema::text::safe_line;
use berth_wire::site::Failed;
use jiff::Timestamp;
use serde_json::Value;

/// Loggers that tell of certificates.
const LOGGERS: [&str; 2] = ["tls.obtain", "tls.renew"];
/// Characters of a failure that are kept.
const WORDS: usize = 500;

/// News of one domain's certificate.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct News {
    pub(super) domain: String,
    /// A certificate came, or why none did.
    pub(super) what: Result<(), Failed>,
}

/// Reads a line; `None` where it tells of something else.
pub(super) fn news(line: &str) -> Option<News> {
    let line: Value = serde_json::from_str(line.get(line.find('{')?..)?).ok()?;
    let text = |name: &str| line.get(name).and_then(Value::as_str);
    let logger = text("logger")?;
    if !LOGGERS.iter().any(|known| logger == *known || logger.starts_with(&format!("{known}."))) {
        return None;
    }
    let domain = text("identifier")?.to_owned();
    let is_success = text("msg").is_some_and(|words| words.contains("successfully"));
    let what = match text("error") {
        None if is_success => Ok(()),
        None => return None,
        Some(why) => {
            let at = line.get("ts").and_then(Value::as_f64)?;
            let at = Timestamp::from_millisecond((at * 1000.0) as i64).ok()?;
            Err(Failed { why: safe_line(why, WORDS), at })
        }
    };
    Some(News { domain, what })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_tells_of_a_failure_or_of_a_certificate_or_of_nothing() {
        // As Caddy 2.6.2 writes them.
        let failed = r#"{"level":"error","ts":1795978810.5,"logger":"tls.obtain","msg":"could not get certificate from issuer","identifier":"shop.example.org","issuer":"ca.example.org-dir","error":"HTTP 400 urn:ietf:params:acme:error:dns - no\u001b[31m such name"}"#;
        let News { domain, what } = news(failed).unwrap();
        let failed = what.unwrap_err();
        assert_eq!((domain.as_str(), failed.at.as_millisecond()), ("shop.example.org", 1_795_978_810_500));
        assert!(failed.why.starts_with("HTTP 400") && !failed.why.contains('\u{1b}'), "{}", failed.why);
        let came = r#"{"level":"info","ts":1.0,"logger":"tls.renew","msg":"certificate renewed successfully","identifier":"shop.example.org"}"#;
        assert_eq!(news(came).unwrap().what, Ok(()));
        for other in [
            "edge: it begins",
            "",
            "{",
            r#"{"level":"info","ts":1.0,"logger":"tls.obtain","msg":"acquiring lock","identifier":"shop.example.org"}"#,
            r#"{"level":"error","ts":1.0,"logger":"http.log.error","msg":"no","identifier":"x.example.org","error":"no"}"#,
            r#"{"level":"error","ts":1.0,"logger":"tls.obtain","msg":"will retry","error":"no"}"#,
        ] {
            assert_eq!(news(other), None, "{other}");
        }
    }
}
