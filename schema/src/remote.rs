//! `[remote]`: the forge that hosts the state repo, where an organisation has one.
//!
//! Owns the place to fetch from and the kind of the forge. Refuses every secret: token, key and webhook's secret are
//! named here and stored on the host, because whoever can read the state repo would have them otherwise.

mod branch;
mod url;

use std::net::SocketAddr;
use std::time::Duration;

use http::Uri;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use toml::de::DeValue;

pub use self::branch::{Branch, StatusContext};
pub use self::url::{RemoteUrl, Transport};
use crate::fields::Fields;
use crate::forge_account::ForgeAccount;
use crate::invalid::Invalid;
use crate::json_schema::written::ListenAddress;
use crate::quantity::Span;
use crate::secret::{FORGE_DEPLOY_KEY, FORGE_TOKEN, FORGE_WEBHOOK, Need, Reference, SecretName, Use};
use crate::text::shown;
use crate::value::{Value, choice_values};

/// The forge that hosts the state repo. `berth remote` follows its branch, and nobody pushes to `main` here.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Remote {
    /// URL that git fetches from: `https://`, `ssh://`, `git@host:path`, or a path on this machine. It holds no password
    /// and no token: `token` names the one on the host.
    pub url: RemoteUrl,
    /// The branch that `main` follows.
    #[schemars(default)]
    pub branch: Branch,
    /// Time between two looks at the branch, from 1 s to a day.
    #[schemars(default = "Remote::poll")]
    pub poll: Span,
    /// Kind of the forge. Needed for `listen` and for the state of a commit on the forge.
    #[schemars(default)]
    pub forge: Option<Forge>,
    /// The repository in the forge's API, where that isn't what `url` and `forge` lead to, such as
    /// `https://git.example.org/api/v1/repos/org/state`.
    #[schemars(default, regex(pattern = "^https?://"))]
    pub api: Option<String>,
    /// What becomes of members' changes by forms, the API and SSH. They need `forge` and a token that may push branches and
    /// open pull requests.
    #[schemars(default)]
    pub pull_requests: PullRequests,
    /// The name under which the forge shows the state of a commit. Two platforms that follow one branch need two.
    #[schemars(default)]
    pub context: StatusContext,
    /// The account at the forge whose token this is, such as `github.com/berth-bot`: what it pushes is judged as the change of the member
    /// who is its author (`berth why --forge-account`).
    #[schemars(default)]
    pub account: Option<ForgeAccount>,
    /// Address and port for the forge's webhook, over plain HTTP. Without it, `berth remote` only looks from time to time.
    #[schemars(default, with = "Option<ListenAddress>")]
    pub listen: Option<SocketAddr>,
    /// The name of the access token, for fetching over HTTPS and for the forge's API. `berth secret set` stores it.
    #[schemars(default = "Remote::token")]
    pub token: SecretName,
    /// The name of the secret that the forge signs its webhook with.
    #[schemars(default = "Remote::webhook_secret")]
    pub webhook_secret: SecretName,
    /// The name of the private key, for fetching over SSH.
    #[schemars(default = "Remote::deploy_key")]
    pub deploy_key: SecretName,
}

/// Use of pull requests for what members change by forms, the API and SSH, where a forge hosts the state repo.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum PullRequests {
    /// None is opened: forms, the API and SSH change nothing.
    Off,
    /// Each change becomes one, and waits for people at the forge.
    #[default]
    Propose,
    /// Each change becomes one, and Berth merges those that its policy allows outright.
    Merge,
}

/// A kind of forge. It decides how webhooks are signed, and how the forge learns what became of a commit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Forge {
    /// github.com or GitHub Enterprise Server.
    Github,
    /// gitlab.com or a GitLab of one's own.
    Gitlab,
    /// Forgejo, and Gitea, whose interfaces are the same here.
    Forgejo,
}

/// The shortest and the longest time between two looks.
const POLL: [Duration; 2] = [Duration::from_secs(1), Duration::from_secs(24 * 60 * 60)];

impl Value for SocketAddr {
    const WANTED: &'static str = "address and port in quotes, such as \"127.0.0.1:10080\"";
    fn read(value: &DeValue<'_>) -> Option<Result<Self, Invalid>> {
        let text = value.as_str()?;
        let message = || format!("`{}` is not an address with a port", shown(text));
        Some(text.parse().map_err(|_| Invalid::new(message(), format!("write {}", Self::WANTED))))
    }
}

choice_values! {
    Forge, "a forge that Berth knows": "\"github\", \"gitlab\" or \"forgejo\"",
    PullRequests, "a use of pull requests": "\"off\", \"propose\" or \"merge\"",
}

impl Remote {
    /// Returns the sentence which tells that `main` follows the forge, so that nobody here may change it.
    pub fn in_charge(&self) -> String {
        format!("main follows {}: `[remote]` in platform.toml says so", self.url)
    }

    /// Returns whether what members change here becomes a pull request there.
    pub fn opens_pulls(&self) -> bool {
        self.pull_requests != PullRequests::Off && self.forge.is_some()
    }

    /// A forge at this URL, with everything else as it is by default.
    pub fn new(url: RemoteUrl) -> Self {
        Self {
            url,
            branch: Branch::default(),
            poll: Self::poll(),
            forge: None,
            api: None,
            pull_requests: PullRequests::default(),
            context: StatusContext::default(),
            account: None,
            listen: None,
            token: Self::token(),
            webhook_secret: Self::webhook_secret(),
            deploy_key: Self::deploy_key(),
        }
    }

    fn poll() -> Span {
        Span::new(Duration::from_secs(60))
    }

    fn token() -> SecretName {
        SecretName::default_of(&FORGE_TOKEN)
    }

    fn webhook_secret() -> SecretName {
        SecretName::default_of(&FORGE_WEBHOOK)
    }

    fn deploy_key() -> SecretName {
        SecretName::default_of(&FORGE_DEPLOY_KEY)
    }

    /// The secrets that it refers to.
    pub fn secrets(&self) -> [Reference; 3] {
        let transport = self.url.transport();
        let needed = |so: bool, need: Need| if so { need } else { Need::Unused };
        let reference = |by, name: &SecretName, need| Reference { by, name: name.clone(), need };
        [
            reference(
                &FORGE_TOKEN,
                &self.token,
                needed(transport == Transport::Https || self.forge.is_some(), Need::Useful),
            ),
            reference(&FORGE_WEBHOOK, &self.webhook_secret, needed(self.listen.is_some(), Need::Needed)),
            reference(&FORGE_DEPLOY_KEY, &self.deploy_key, needed(transport == Transport::Ssh, Need::Needed)),
        ]
    }

    /// Reads the table. `None` if there is none, or if it has no good `url`.
    pub(crate) fn read(fields: &mut Fields<'_, '_>) -> Option<Self> {
        let url = fields.required::<RemoteUrl>("url");
        let branch = fields.value("branch").unwrap_or_default();
        let poll = fields.optional_if("poll", |poll: &Span| {
            if (POLL[0]..=POLL[1]).contains(&poll.duration()) {
                return Ok(());
            }
            Err(Invalid::new(
                format!("{poll} is not how often to look at a forge"),
                "write from \"1s\" to \"1d\"; with a webhook, \"10m\" is enough, and finds what a lost request announced",
            ))
        });
        let forge = fields.value::<Forge>("forge");
        let api = fields.optional_if("api", |url: &String| check_api(url));
        if let (Some(api), None) = (&api, forge) {
            let message = "`api` is of no use without `forge`".to_owned();
            fields.found().error(Some(api.at), Invalid::new(message, "add `forge`: which kind of API it is"));
        }
        let pull_requests = fields.optional::<PullRequests>("pull_requests");
        if let (Some(asked), None) = (&pull_requests, forge)
            && asked.value != PullRequests::Off
        {
            let message = "`pull_requests` is of no use without `forge`".to_owned();
            let hint = "add `forge`: \"github\", \"gitlab\" or \"forgejo\"";
            fields.found().error(Some(asked.at), Invalid::new(message, hint));
        }
        let context = fields.value("context").unwrap_or_default();
        let account = fields.value("account");
        let listen = fields.optional::<SocketAddr>("listen");
        if let Some(listen) = &listen {
            if forge.is_none() {
                let message =
                    "`listen` is of no use without `forge`, which says how a webhook is signed".to_owned();
                fields.found().error(
                    Some(listen.at),
                    Invalid::new(message, "add `forge`: \"github\", \"gitlab\" or \"forgejo\""),
                );
            }
            if !listen.value.ip().is_loopback() {
                let message = format!("the webhook at {} is plain HTTP, open to the network", listen.value);
                let hint = "let a server with TLS stand before it, and listen on 127.0.0.1";
                fields.found().warning(Some(listen.at), Invalid::new(message, hint));
            }
        }
        let [token, webhook_secret, deploy_key] = read_secrets(fields);
        Some(Self {
            url: url?.value,
            branch,
            token,
            webhook_secret,
            deploy_key,
            poll: poll.map_or_else(Self::poll, |found| found.value),
            forge,
            api: api.map(|found| found.value),
            pull_requests: pull_requests.map_or_else(PullRequests::default, |found| found.value),
            context,
            account,
            listen: listen.map(|found| found.value),
        })
    }
}

/// The names of the token, the webhook's secret and the deploy key, of which no two are the same.
fn read_secrets(fields: &mut Fields<'_, '_>) -> [SecretName; 3] {
    let uses: [(&'static str, &Use); 3] =
        [("token", &FORGE_TOKEN), ("webhook_secret", &FORGE_WEBHOOK), ("deploy_key", &FORGE_DEPLOY_KEY)];
    let mut named: Vec<SecretName> = Vec::new();
    uses.map(|(key, of)| {
        let found = fields.optional::<SecretName>(key);
        let name = found.as_ref().map_or_else(|| SecretName::default_of(of), |found| found.value.clone());
        if named.contains(&name) {
            let message = format!("`{}` is the name of another secret of `[remote]` too", of.field);
            let hint = "give each its own name: they are different secrets";
            fields.found().error(found.map(|found| found.at), Invalid::new(message, hint));
        }
        named.push(name.clone());
        name
    })
}

/// Checks that the token travels to the API only over TLS, or not over a wire at all.
fn check_api(url: &str) -> Result<(), Invalid> {
    let uri = url.parse::<Uri>().ok();
    let authority = uri.as_ref().and_then(Uri::authority);
    let good = authority.is_some_and(|authority| match uri.as_ref().and_then(Uri::scheme_str) {
        _ if authority.as_str().contains('@') || authority.host().is_empty() => false,
        Some("https") => true,
        Some("http") => matches!(authority.host(), "127.0.0.1" | "[::1]" | "localhost"),
        _ => false,
    });
    match good && !url.contains(['?', '#']) {
        true => Ok(()),
        false => Err(Invalid::new(
            "this is not the URL of a repository in a forge's API",
            "write it in full, such as \"https://git.example.org/api/v1/repos/org/state\"; without TLS only on this machine",
        )),
    }
}
