//! Sign-in by the OpenID provider in `berth status`. What is known of it are a stranger's words, so they are shown as such.

use berth_fault::chain;
use berth_repo::StateRepo;
use berth_schema::text::{safe, safe_line};
use berth_wire::oidc::{Fetcher, ProviderFailure, ProviderRow, ProviderStanding};

use super::certificate::moment;
use crate::settings::Settings;
use crate::source;

/// Characters of a reason.
const WORDS: usize = 300;

/// Asks how it does, where `main` names a provider.
pub(super) async fn standing(settings: &Settings) -> Option<ProviderRow> {
    let platform = source::platform(&StateRepo::open(&settings.state).ok()?)?;
    let issuer = platform.panel.as_ref()?.oidc.as_ref()?.issuer.to_string();
    let nothing = |unheard: String| ProviderRow {
        standing: ProviderStanding { issuer: issuer.clone(), ..ProviderStanding::default() },
        unheard: Some(unheard),
    };
    Some(match Fetcher::of(&settings.data).standing().await {
        Ok(standing) if standing.issuer == issuer => ProviderRow { standing, unheard: None },
        Ok(_) => nothing("it still reaches the provider of before; `berth up` starts it anew".to_owned()),
        Err(error) => nothing(chain(&error)),
    })
}

/// The provider in a few lines.
pub(super) fn lines(row: &ProviderRow) -> Vec<String> {
    let ProviderRow { standing: ProviderStanding { issuer, fetched, failed }, unheard } = row;
    let issuer = safe(issuer);
    if let Some(unheard) = unheard {
        return vec![
            format!("sign-in by {issuer}: nobody can, `berth oidc` doesn't answer"),
            format!("  {}", safe_line(unheard, WORDS)),
            "  hint: `berth up` starts it".to_owned(),
        ];
    }
    let keys = match fetched {
        Some(at) => format!("the provider's keys were fetched at {} UTC", moment(*at)),
        None => "the provider's keys were never fetched, so nobody can".to_owned(),
    };
    let mut lines = vec![format!("sign-in by {issuer}: {keys}")];
    if let Some(ProviderFailure { why, at }) = failed {
        lines.push(format!("  last failed at {} UTC: {}", moment(*at), safe_line(why, WORDS)));
        lines.push(
            "  hint: it is tried again when somebody signs in; docs/panel.md says what each provider needs"
                .to_owned(),
        );
    }
    lines
}

/// A row in which everything that somebody may have typed is `typed`.
#[cfg(test)]
pub(super) fn hostile(typed: &str) -> ProviderRow {
    let at = jiff::Timestamp::UNIX_EPOCH;
    let failed = Some(ProviderFailure { why: typed.to_owned(), at });
    let standing = ProviderStanding { issuer: typed.to_owned(), fetched: Some(at), failed };
    ProviderRow { standing, unheard: None }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_says_how_sign_in_does_and_what_to_do() {
        let mut row = hostile("x");
        assert_eq!(
            lines(&row),
            [
                "sign-in by x: the provider's keys were fetched at 1970-01-01 00:00:00 UTC",
                "  last failed at 1970-01-01 00:00:00 UTC: x",
                "  hint: it is tried again when somebody signs in; docs/panel.md says what each provider needs",
            ]
        );
        (row.standing.fetched, row.standing.failed) = (None, None);
        assert_eq!(lines(&row), ["sign-in by x: the provider's keys were never fetched, so nobody can"]);
        row.unheard = Some("cannot reach `berth oidc` at /data/oidc.sock: no such file".to_owned());
        assert_eq!(
            lines(&row),
            [
                "sign-in by x: nobody can, `berth oidc` doesn't answer",
                "  cannot reach `berth oidc` at /data/oidc.sock: no such file",
                "  hint: `berth up` starts it",
            ]
        );
    }
}
