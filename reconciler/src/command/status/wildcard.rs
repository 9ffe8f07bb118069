//! The account at the CA and the wildcard certificate in `berth status`. What is known of them are a CA's words and a program's, so
//! they are shown as a stranger's.

use berth_repo::StateRepo;
use berth_schema::text::safe;
use berth_wire::acme::AcmeStanding;
use berth_wire::certificate::Proof;
use jiff::Timestamp;

use super::certificate::{failed_lines, moment};
use crate::settings::Settings;
use crate::source;

/// Reads what is known of them, where `main` has Berth keep them.
pub(super) fn standing(settings: &Settings) -> Option<AcmeStanding> {
    let platform = source::platform(&StateRepo::open(&settings.state).ok()?)?;
    let acme = platform.acme.keeps_account().then_some(&platform.acme)?;
    let told = AcmeStanding::read(&settings.acme_folder());
    let unknown = || AcmeStanding {
        directory: acme.directory.clone(),
        asked: String::new(),
        has_account: false,
        wildcard: None,
        failed: None,
    };
    Some(told.filter(|told| told.directory == acme.directory).unwrap_or_else(unknown))
}

/// The account and the certificate in a few lines.
pub(super) fn lines(standing: &AcmeStanding) -> Vec<String> {
    let AcmeStanding { directory, has_account, wildcard, failed, .. } = standing;
    let directory = safe(directory);
    let held = wildcard.as_ref().and_then(|wildcard| wildcard.ends).filter(|ends| Timestamp::now() < *ends);
    let name = wildcard.as_ref().map(|wildcard| format!("certificate *.{}", safe(&wildcard.domain)));
    let first = match (&name, held) {
        (Some(name), Some(ends)) => format!("{name}: from {directory}, good until {} UTC", moment(ends)),
        (Some(name), None) => format!("{name}: there is none yet, so each name gets one of its own"),
        (None, _) if *has_account => format!("account at {directory}: open"),
        (None, _) => format!("account at {directory}: it has not been opened yet (`berth up` does)"),
    };
    let mut lines = vec![first];
    let lacks = match wildcard {
        Some(_) => held.is_none(),
        None => !has_account,
    };
    if let Some(failed) = failed {
        lines.extend(failed_lines(failed, Proof::Dns01, lacks));
    }
    lines
}

/// A standing in which everything that somebody may have typed is `typed`.
#[cfg(test)]
pub(super) fn hostile(typed: String) -> AcmeStanding {
    use berth_wire::acme::WildcardStanding;
    use berth_wire::certificate::{FailedOrder, OrderFailure};

    let (at, again) = (Timestamp::UNIX_EPOCH, Timestamp::UNIX_EPOCH);
    AcmeStanding {
        directory: typed.clone(),
        asked: typed.clone(),
        has_account: true,
        wildcard: Some(WildcardStanding { domain: typed.clone(), ends: None }),
        failed: Some(FailedOrder { kind: OrderFailure::Zone, why: typed, at, before: 0, again }),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test says what it expects by unwrapping it")]
mod tests {
    use super::*;

    #[test]
    fn a_certificate_is_told_with_its_end_or_with_what_keeps_it_away() {
        let mut standing = hostile("h.org".to_owned());
        standing.directory = "https://ca.example.org/dir".to_owned();
        standing.failed.as_mut().unwrap().why = "the name server refuses".to_owned();
        assert_eq!(
            lines(&standing).join("\n"),
            "certificate *.h.org: there is none yet, so each name gets one of its own\n  \
             it has none from the CA yet: the name server refuses\n  \
             last tried at 1970-01-01 00:00:00 UTC, tried again at 1970-01-01 00:00:00 UTC\n  \
             hint: docs/domains.md says what `[acme.dns]` needs of a name server, and of a program"
        );
        standing.failed = None;
        standing.wildcard.as_mut().unwrap().ends = Some("2127-01-02T03:04:05Z".parse().unwrap());
        assert_eq!(
            lines(&standing),
            ["certificate *.h.org: from https://ca.example.org/dir, good until 2127-01-02 03:04:05 UTC"]
        );
        standing.wildcard = None;
        assert_eq!(lines(&standing), ["account at https://ca.example.org/dir: open"]);
        standing.has_account = false;
        assert!(lines(&standing)[0].ends_with("it has not been opened yet (`berth up` does)"));
    }
}
