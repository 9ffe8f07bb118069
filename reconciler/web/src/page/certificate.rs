//! The panel's own certificate, as the page for admins tells of it.

use berth_wire::certificate::{CertificateSource, CertificateStanding, FailedOrder, OrderStanding};
use http::Uri;
use jiff::Timestamp;
use serde::Serialize;

/// The panel's certificate in words.
#[derive(Debug, PartialEq, Eq, Serialize)]
pub(super) struct Certificate {
    look: &'static str,
    text: String,
    /// End of it, unless it is made anew before anybody notices.
    ends: Option<Timestamp>,
    trouble: Option<Trouble>,
}

/// The order for a better one, where it failed.
#[derive(Debug, PartialEq, Eq, Serialize)]
struct Trouble {
    what: &'static str,
    why: String,
    at: Timestamp,
    again: Timestamp,
    hint: Option<&'static str>,
}

impl Certificate {
    /// Words for the certificate that the panel serves with at this moment.
    pub(super) fn of(standing: &CertificateStanding, now: Timestamp) -> Self {
        let CertificateStanding { source, ends, order, .. } = standing;
        let is_own = *source == CertificateSource::Own;
        let text = match (source, order) {
            (CertificateSource::Files, _) => "It is the one that an admin put on the machine.".to_owned(),
            (CertificateSource::Acme, Some(order)) => format!("It comes from {}.", ca(order)),
            (CertificateSource::Acme, None) => "It comes from a CA.".to_owned(),
            (CertificateSource::Own, None) => {
                "It is the panel’s own, which browsers warn about. No CA is asked for another.".to_owned()
            }
            (CertificateSource::Own, Some(order)) if order.failed.is_some() => {
                "It is the panel’s own, which browsers warn about.".to_owned()
            }
            (CertificateSource::Own, Some(order)) => format!(
                "It is the panel’s own, which browsers warn about. Another is being ordered from {}.",
                ca(order)
            ),
        };
        let has_ended = ends.is_some_and(|ends| ends <= now);
        let failed = order.as_ref().filter(|_| *source != CertificateSource::Files);
        let trouble = failed.and_then(|order| Some(Trouble::of(order.failed.as_ref()?, order, is_own)));
        let look = match () {
            () if has_ended => "bad",
            () if is_own || trouble.is_some() => "warn",
            () => "good",
        };
        Self { look, text, ends: ends.filter(|_| !is_own), trouble }
    }
}

impl Trouble {
    fn of(failed: &FailedOrder, order: &OrderStanding, is_own: bool) -> Self {
        let what = if is_own { "There is none from the CA yet" } else { "It can’t be renewed" };
        let hint = failed.kind.hint(order.proof);
        Self { what, why: failed.why.clone(), at: failed.at, again: failed.again, hint }
    }
}

/// Name of the CA's host.
fn ca(order: &OrderStanding) -> String {
    let host = order.directory.parse::<Uri>().ok().and_then(|uri| uri.host().map(str::to_owned));
    host.unwrap_or_else(|| order.directory.clone())
}

#[cfg(test)]
mod tests {
    use berth_wire::certificate::{OrderFailure, Proof};

    use super::*;

    fn standing(source: CertificateSource, failed: bool) -> CertificateStanding {
        let failed = failed.then(|| FailedOrder {
            kind: OrderFailure::Unproven,
            why: "nobody answers".to_owned(),
            at: Timestamp::UNIX_EPOCH,
            before: 0,
            again: Timestamp::UNIX_EPOCH,
        });
        let directory = "https://ca.example.org:14000/dir".to_owned();
        CertificateStanding {
            domain: "panel.example.org".to_owned(),
            source,
            ends: Some("2027-01-02T03:04:05Z".parse().unwrap()),
            order: Some(OrderStanding { directory, proof: Proof::Http01, failed }),
        }
    }

    #[test]
    fn a_certificate_is_told_with_its_source_its_end_and_what_keeps_a_better_one_away() {
        let now = "2026-12-01T00:00:00Z".parse().unwrap();
        let of = |source, failed| Certificate::of(&standing(source, failed), now);
        let good = of(CertificateSource::Acme, false);
        assert_eq!((good.look, good.text.as_str()), ("good", "It comes from ca.example.org."));
        assert!(good.ends.is_some() && good.trouble.is_none());
        let renewing = of(CertificateSource::Acme, true);
        assert_eq!((renewing.look, renewing.trouble.unwrap().what), ("warn", "It can’t be renewed"));
        let own = of(CertificateSource::Own, true);
        let trouble = own.trouble.unwrap();
        assert_eq!((own.look, own.ends, trouble.why.as_str()), ("warn", None, "nobody answers"));
        assert!(trouble.hint.unwrap().contains("port 80"));
        assert!(of(CertificateSource::Own, false).text.ends_with("ordered from ca.example.org."));
        // An admin's own is nobody's to renew.
        let files = of(CertificateSource::Files, true);
        assert_eq!((files.look, files.trouble), ("good", None));
        let late = "2027-02-01T00:00:00Z".parse().unwrap();
        assert_eq!(Certificate::of(&standing(CertificateSource::Files, false), late).look, "bad");
    }
}
