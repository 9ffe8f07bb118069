//! `[panel.oidc]`: sign-in by an OpenID provider.
//!
//! Owns which provider there is, what it is asked for, and who may join by it. Refuses every secret: it is named here and kept on the host.
//! Knows no tokens.

use std::num::NonZeroU32;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::certificate::Certificates;
use crate::fields::{At, Fields};
use crate::invalid::Invalid;
use crate::name::Fqdn;
use crate::secret::{Need, OIDC, Reference, SecretName};
use crate::text::shown;
use crate::user::User;
use crate::value::{Value, choice_values, integer};

pub use crate::oidc_account::{Issuer, OidcAccount};

/// Sign-in by an OpenID provider (OpenID Connect Core 1.0).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Oidc {
    /// The provider's issuer: a URL below which `/.well-known/openid-configuration` lies. HTTPS, but for a provider on this
    /// machine.
    pub issuer: Issuer,
    /// The identifier that the provider gave the panel.
    pub client_id: String,
    /// The name of the secret that the provider gave with it. `berth secret set` stores it.
    #[schemars(default = "Oidc::secret")]
    pub secret: SecretName,
    /// Set for a client that the provider gave no secret.
    #[schemars(default)]
    pub public: bool,
    /// The root certificate of the provider, in PEM, if that is a private one which the system doesn't know. None by default.
    #[schemars(default)]
    pub ca: Option<Certificates>,
    /// The words on the button of the sign-in page.
    #[schemars(default = "Oidc::label", length(min = 1, max = 60))]
    pub label: String,
    /// The scopes that are asked for beside `openid`.
    #[schemars(default = "Oidc::scopes")]
    pub scopes: Vec<String>,
    /// The way in for people who have an account at the provider and none here.
    #[schemars(default)]
    pub join: Join,
    /// Domains of e-mail addresses whose owners join at once. Only an address that the provider has verified counts.
    #[schemars(default)]
    pub email_domains: Vec<Fqdn>,
    /// Groups at the provider whose people join at once.
    #[schemars(default)]
    pub groups: Vec<String>,
    /// The claim in which the provider lists somebody's groups.
    #[schemars(default = "Oidc::groups_claim")]
    pub groups_claim: String,
    /// Days without a sign-in by the provider after which a member is listed for the admins.
    #[schemars(default = "Oidc::away", range(min = 1, max = 3650))]
    pub away: NonZeroU32,
}

/// Way in for people who have an account at the provider and none here.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Join {
    /// An admin makes their file, and they bind their account themselves.
    #[default]
    Invite,
    /// They choose a name, and an admin approves it.
    Propose,
    /// They choose a name and are in, if `email_domains` or `groups` has them.
    Allowed,
}

/// The longest words on the button.
const LABEL: usize = 60;

choice_values! {
    Join, "a way to join": "\"invite\", \"propose\" or \"allowed\"",
}

impl Value for NonZeroU32 {
    const WANTED: &'static str = "a whole number from 1, without quotes";
    fn read(value: &toml::de::DeValue<'_>) -> Option<Result<Self, Invalid>> {
        Some(integer(value)?.and_then(|number| {
            let fits = u32::try_from(number).ok().and_then(Self::new);
            fits.ok_or_else(|| {
                Invalid::new(format!("{number} is out of range"), format!("write {}", Self::WANTED))
            })
        }))
    }
}

impl Oidc {
    fn secret() -> SecretName {
        SecretName::default_of(&OIDC)
    }

    fn label() -> String {
        "Sign in with your organisation's account".to_owned()
    }

    fn scopes() -> Vec<String> {
        vec!["email".to_owned(), "profile".to_owned()]
    }

    fn groups_claim() -> String {
        "groups".to_owned()
    }

    fn away() -> NonZeroU32 {
        NonZeroU32::MIN.saturating_add(89)
    }

    /// The secrets that it refers to.
    pub fn secrets(&self) -> impl Iterator<Item = Reference> {
        let need = if self.public { Need::Unused } else { Need::Needed };
        [Reference { by: &OIDC, name: self.secret.clone(), need }].into_iter()
    }

    /// The account by which somebody gets in here, if they have one at this provider.
    pub fn account_of<'u>(&self, user: &'u User) -> Option<&'u OidcAccount> {
        user.oidc.iter().find(|account| account.issuer() == self.issuer.as_str())
    }

    /// The account that is somebody's only way into the panel. Accounts at a former provider let nobody in.
    pub fn only_way_of<'u>(&self, user: &'u User) -> Option<&'u OidcAccount> {
        let mut here = user.oidc.iter().filter(|account| account.issuer() == self.issuer.as_str());
        let only = here.next().filter(|_| user.password_hash.is_none() && user.passkeys.is_empty());
        only.filter(|_| here.next().is_none())
    }

    /// Returns whether people with this verified address, or in these groups, join at once.
    pub fn lets_in(&self, verified_email: Option<&str>, groups: &[String]) -> bool {
        let domain = verified_email.and_then(|email| email.rsplit_once('@')).map(|(_, domain)| domain);
        let by_domain =
            |domain: &str| self.email_domains.iter().any(|known| known.as_str().eq_ignore_ascii_case(domain));
        self.join == Join::Allowed
            && (domain.is_some_and(by_domain) || self.groups.iter().any(|group| groups.contains(group)))
    }

    /// Reads the table. `None` if there is none, or if it doesn't name a provider and a client.
    pub(crate) fn read(fields: &mut Fields<'_, '_>) -> Option<Self> {
        let issuer = fields.required::<Issuer>("issuer");
        let client_id =
            fields.required::<String>("client_id").and_then(|found| plain(fields, found, "client_id"));
        let secret = fields.value("secret").unwrap_or_else(Self::secret);
        let public = fields.value("public").unwrap_or_default();
        let label = fields.optional_if("label", |label: &String| check_label(label));
        let scopes = fields.list::<String>("scopes").map(|list| {
            let scopes = list.into_iter().filter_map(|scope| plain(fields, scope, "scopes"));
            scopes.filter(|scope| scope != "openid").collect()
        });
        let at_join = fields.optional::<Join>("join");
        let join = at_join.map(|found| found.value).unwrap_or_default();
        let email_domains = fields.list::<Fqdn>("email_domains").unwrap_or_default();
        let groups = fields.list::<String>("groups").unwrap_or_default();
        let first =
            email_domains.first().map(|found| found.at).or_else(|| groups.first().map(|found| found.at));
        match (join, first) {
            (Join::Allowed, None) => {
                let message = "nobody joins: `join = \"allowed\"` needs `email_domains` or `groups`";
                let hint =
                    "name whom you let in, or write `join = \"propose\"`, so that an admin looks at each";
                fields.found().error(at_join.map(|found| found.at), Invalid::new(message, hint));
            }
            (Join::Invite | Join::Propose, Some(at)) => {
                let message = "`email_domains` and `groups` do nothing without `join = \"allowed\"`";
                fields
                    .found()
                    .warning(Some(at), Invalid::new(message, "take them out, or write `join = \"allowed\"`"));
            }
            _ => {}
        }
        let domains = email_domains.into_iter().filter_map(|found| {
            if !found.value.is_wildcard() {
                return Some(found.value);
            }
            let message = format!("`{}` is a wildcard, and here each domain is named", found.value);
            fields
                .found()
                .error(Some(found.at), Invalid::new(message, format!("write \"{}\"", found.value.base())));
            None
        });
        let email_domains = domains.collect();
        let groups = groups.into_iter().filter_map(|group| {
            let is_good = !group.value.trim().is_empty() && !group.value.contains(char::is_control);
            if !is_good {
                let invalid = Invalid::new("a group needs a name", "write it as the provider sends it");
                fields.found().error(Some(group.at), invalid);
            }
            is_good.then_some(group.value)
        });
        let groups = groups.collect();
        let claim =
            fields.optional::<String>("groups_claim").and_then(|found| plain(fields, found, "groups_claim"));
        let away = fields.optional_if("away", |away: &NonZeroU32| match away.get() <= 3650 {
            true => Ok(()),
            false => {
                Err(Invalid::new(format!("{away} days are more than ten years"), "write days, such as 90"))
            }
        });
        Some(Self {
            secret,
            public,
            ca: fields.value("ca"),
            label: label.map_or_else(Self::label, |found| found.value),
            scopes: scopes.unwrap_or_else(Self::scopes),
            join,
            email_domains,
            groups,
            groups_claim: claim.unwrap_or_else(Self::groups_claim),
            away: away.map_or_else(Self::away, |found| found.value),
            issuer: issuer?.value,
            client_id: client_id?,
        })
    }
}

/// The text, if it has one word of printable ASCII.
fn plain(fields: &mut Fields<'_, '_>, found: At<String>, key: &'static str) -> Option<String> {
    let text = &found.value;
    if (1..=256).contains(&text.len())
        && text.bytes().all(|byte| byte.is_ascii_graphic() && !b"\"\\".contains(&byte))
    {
        return Some(found.value);
    }
    let message = format!("`{}` can't be in `{key}`", shown(text));
    let hint = "write it as the provider's page shows it: letters, digits and signs without spaces";
    fields.found().error(Some(found.at), Invalid::new(message, hint));
    None
}

fn check_label(label: &str) -> Result<(), Invalid> {
    let good =
        !label.trim().is_empty() && label.chars().count() <= LABEL && !label.contains(char::is_control);
    match good {
        true => Ok(()),
        false => Err(Invalid::new(
            "these are no words for a button",
            format!(
                "write 1 to {LABEL} characters on one line, such as \"Sign in with your university account\""
            ),
        )),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test says what it expects by unwrapping")]
mod tests {
    use super::*;

    #[test]
    fn who_joins_at_once_is_of_a_domain_or_a_group() {
        let oidc = Oidc {
            issuer: "https://h.org".parse().unwrap(),
            client_id: "berth".to_owned(),
            secret: Oidc::secret(),
            public: false,
            ca: None,
            label: Oidc::label(),
            scopes: Oidc::scopes(),
            join: Join::Allowed,
            email_domains: vec!["uni.example.org".parse().unwrap()],
            groups: vec!["staff".to_owned()],
            groups_claim: Oidc::groups_claim(),
            away: Oidc::away(),
        };
        let staff = ["staff".to_owned()];
        assert!(oidc.lets_in(Some("ann@UNI.example.org"), &[]) && oidc.lets_in(None, &staff));
        for email in [
            None,
            Some("ann@example.org"),
            Some("ann@x.uni.example.org"),
            Some("uni.example.org"),
            Some("a@uni.example.org@evil.org"),
        ] {
            assert!(!oidc.lets_in(email, &["Staff".to_owned()]), "{email:?}");
        }
        assert!(!Oidc { join: Join::Propose, ..oidc }.lets_in(Some("ann@uni.example.org"), &staff));
    }
}
