//! Certificates of a server's domains, in words at each of them.

use std::collections::BTreeMap;

use berth_schema::domain::Tls;
use berth_wire::client::{ClientError, Daemon};
use berth_wire::site::{DOMAINS_AT_ONCE, Held, SiteCertificate};
use berth_wire::web::ServerCard;
use jiff::Timestamp;
use serde::Serialize;

use super::words::{sentence, value};
use crate::app::App;

/// Words about a domain's certificate, before and after a time.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(super) struct Words {
    look: &'static str,
    text: String,
    at: Option<Timestamp>,
}

/// Words by name. Names of which nothing is known have none; a reconciler that doesn't tell is no reason to show no page.
pub(super) async fn of(app: &App, card: &ServerCard) -> BTreeMap<String, Words> {
    // Names below a wildcard have certificates of their own.
    let domains = card.domains.iter().filter(|domain| domain.tls == Tls::Auto && !domain.fqdn.is_wildcard());
    let names: Vec<String> = domains.map(|domain| domain.fqdn.to_string()).take(DOMAINS_AT_ONCE).collect();
    if names.is_empty() {
        return BTreeMap::new();
    }
    let told = ask(app, &names).await.unwrap_or_else(|error| {
        tracing::warn!(error = berth_fault::chain(&error), "the certificates of domains can't be had");
        Vec::new()
    });
    let now = Timestamp::now();
    told.iter().map(|told| (told.fqdn.to_string(), Words::of(told, now))).collect()
}

async fn ask(app: &App, names: &[String]) -> Result<Vec<SiteCertificate>, ClientError> {
    match Daemon::find(&app.settings.panel_socket()).await? {
        Some(mut daemon) => Ok(daemon.certificates(names).await?.unwrap_or_default()),
        None => Ok(Vec::new()),
    }
}

impl Words {
    fn of(told: &SiteCertificate, now: Timestamp) -> Self {
        let why = |failed: &berth_wire::site::Failed| sentence(value(&failed.why));
        match (&told.held, &told.failed) {
            (Some(Held { ends, .. }), failed) if *ends <= now => {
                let why = failed.as_ref().map(|failed| format!("{} ", why(failed))).unwrap_or_default();
                Self { look: "bad", text: format!("{why}Its certificate ended"), at: Some(*ends) }
            }
            (Some(Held { issuer, ends }), Some(failed)) => Self {
                look: "warn",
                text: format!(
                    "Its certificate can’t be renewed: {} The one from {issuer} is good until",
                    why(failed)
                ),
                at: Some(*ends),
            },
            (Some(Held { issuer, ends }), None) => {
                Self { look: "good", text: format!("Certificate from {issuer}, good until"), at: Some(*ends) }
            }
            (None, Some(failed)) => Self {
                look: "warn",
                text: format!("No certificate yet: {} Last tried", why(failed)),
                at: Some(failed.at),
            },
            (None, None) => Self {
                look: "muted",
                text: "No certificate yet: one is ordered when somebody opens the site".to_owned(),
                at: None,
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use berth_wire::site::Failed;

    use super::*;

    #[test]
    fn a_certificate_is_told_with_its_end_or_with_what_keeps_it_away() {
        let at = |second| Timestamp::from_second(second).unwrap();
        let said = |ends: Option<i64>, failed: bool| {
            let held = ends.map(|ends| Held { issuer: "Let’s Encrypt".to_owned(), ends: at(ends) });
            let failed = failed.then(|| Failed { why: "no such name".to_owned(), at: at(50) });
            let told = SiteCertificate { fqdn: "shop.example.org".parse().unwrap(), held, failed };
            let Words { look, text, at } = Words::of(&told, at(100));
            format!("{look}: {text} {}", at.map_or(-1, Timestamp::as_second))
        };
        assert_eq!(said(Some(200), false), "good: Certificate from Let’s Encrypt, good until 200");
        assert_eq!(
            said(Some(200), true),
            "warn: Its certificate can’t be renewed: No such name. The one from Let’s Encrypt is good until 200"
        );
        assert_eq!(said(Some(90), true), "bad: No such name. Its certificate ended 90");
        assert_eq!(said(Some(90), false), "bad: Its certificate ended 90");
        assert_eq!(said(None, true), "warn: No certificate yet: No such name. Last tried 50");
        assert!(said(None, false).starts_with("muted: No certificate yet: one is ordered when"));
    }
}
