//! `platform.toml`: the settings of the whole platform.

use std::num::NonZeroU32;
use std::time::Duration;

use ipnet::IpNet;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use toml::de::DeValue;

pub use crate::access::Access;
pub use crate::acme::Acme;
use crate::alarms::Alarms;
use crate::backup::Backup;
use crate::cache::Cache;
use crate::docs::Docs;
use crate::fields::Fields;
use crate::firewall::Firewall;
use crate::invalid::Invalid;
use crate::listen::Place;
use crate::mail::Mail;
use crate::metrics::Metrics;
use crate::name::{Fqdn, ImageRef, Prefix, ServerId};
pub use crate::network::Networks;
use crate::oidc::Join;
pub use crate::organisation::Organisation;
use crate::panel::Panel;
use crate::public::Public;
use crate::quantity::{Bytes, Cpus, Pids, Span};
use crate::remote::Remote;
use crate::removal::Removal;
use crate::ssh::Ssh;
use crate::text::shown;
use crate::user::{Quota, QuotaOverride};
use crate::value::{Value, choice_values};
use crate::web::Web;

/// The settings of the whole platform.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
pub struct Platform {
    /// The name under which members reach the platform. Every member may use names below it, such as
    /// `shop.<domain>`.
    pub domain: Fqdn,
    /// Begins the name of every container, network and volume that the platform makes, at most 12 characters. Two
    /// platforms on one host differ in it, and never touch each other's objects. It can't change later.
    #[schemars(default)]
    pub prefix: Prefix,
    /// The face of whoever runs the platform, on pages and in messages.
    #[schemars(default)]
    pub organisation: Organisation,
    /// Isolation of servers from the host.
    #[schemars(default)]
    pub isolation: Isolation,
    /// Source of certificates.
    #[schemars(default)]
    pub acme: Acme,
    /// The platform's subnets.
    #[schemars(default)]
    pub networks: Networks,
    /// Limits on what servers may reach.
    #[schemars(default)]
    pub firewall: Firewall,
    /// The images that containers are made of.
    #[schemars(default)]
    pub images: Images,
    /// The platform's own services that run here.
    #[schemars(default)]
    pub services: Services,
    /// Networks and countries that may open the panel, and names that no member may take.
    #[schemars(default)]
    pub access: Access,
    /// Amounts for servers, unless their files set others.
    #[schemars(default)]
    pub defaults: Defaults,
    /// Amounts that each member may use, unless the member's file sets others.
    #[schemars(default)]
    pub quota: Quota,
    /// Time for which removed things are kept.
    #[schemars(default)]
    pub retention: Retention,
    /// The web server before all domains.
    #[schemars(default)]
    pub web: Web,
    /// The SSH router before all servers.
    #[schemars(default)]
    pub ssh: Ssh,
    /// The web pages for members and admins. Without this table there are none.
    #[schemars(default)]
    pub panel: Option<Panel>,
    /// The server by which the platform sends mails. Without this table it sends none.
    #[schemars(default)]
    pub mail: Option<Mail>,
    /// Backups. Without this table there are none.
    #[schemars(default)]
    pub backup: Option<Backup>,
    /// The place at which scrapers read metrics. Without this table there is none.
    #[schemars(default)]
    pub metrics: Option<Metrics>,
    /// People and programs who are told when something is wrong. Without this table nobody is.
    #[schemars(default)]
    pub alarms: Option<Alarms>,
    /// The world's way to the platform, where that isn't what it listens on.
    #[schemars(default)]
    pub public: Public,
    /// The organisation's wiki.
    #[schemars(default)]
    pub docs: Docs,
    /// The cache of images, from which servers pull.
    #[schemars(default)]
    pub cache: Cache,
    /// Limit on what one revision may remove.
    #[schemars(default)]
    pub removal_budget: RemovalBudget,
    /// The forge that hosts the state repo. Without it, the state repo is hosted here.
    #[schemars(default)]
    pub remote: Option<Remote>,
}

/// Isolation of servers from the host (docs/isolation.md).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Isolation {
    /// A user namespace: root in a server is nobody on the host.
    #[default]
    Userns,
    /// The Sysbox runtime, where it is installed.
    Sysbox,
    /// Capabilities without a user namespace: root in a server is root on the host.
    Capabilities,
}

/// The images that containers are made of.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
#[schemars(default)]
pub struct Images {
    /// A server whose file names none gets this one when it is created, and keeps it.
    pub server: ImageRef,
    /// The holder of the user plane's network namespace.
    pub holder: ImageRef,
    /// The firewall, with DNS.
    pub firewall: ImageRef,
    /// The web server in front of the domains.
    pub caddy: ImageRef,
    /// The cache of images.
    pub cache: ImageRef,
    /// The SSH router.
    pub router: ImageRef,
}

/// The platform's own services that run here. All of them by default.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, JsonSchema)]
#[schemars(default)]
pub struct Services {
    /// The firewall and DNS. Without them servers reach nothing, and nothing reaches them.
    pub firewall: bool,
    /// The cache of images, which servers pull through.
    pub cache: bool,
    /// The web server, without which no domain is answered.
    pub web: bool,
    /// The SSH router, without which nobody can log in to a server.
    pub router: bool,
}

/// Amounts for servers, unless their files set others.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, JsonSchema)]
#[schemars(default)]
pub struct Defaults {
    /// Processors, such as 1 or 0.5.
    pub cpus: Cpus,
    /// Memory with its unit, at least 64 MiB.
    pub memory: Bytes,
    /// Processes and threads, at least 64.
    #[schemars(range(min = 64, max = 4_194_304))]
    pub pids: NonZeroU32,
    /// Disk with its unit, at least 64 MiB.
    pub disk: Bytes,
}

/// Time for which removed things are kept.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
#[schemars(default)]
pub struct Retention {
    /// Time for which the data of a removed server is kept, with its unit. Until then, putting the file back brings the
    /// server back with its data.
    pub servers: Span,
    /// Removed servers whose data isn't kept any longer, such as `5@4f3a2b1c`: the id, and the revision that removed it.
    pub ended: Vec<Removal>,
}

impl Retention {
    /// Returns whether the data of a server that this revision removed isn't kept any longer, whatever the time.
    pub fn has_ended(&self, id: ServerId, revision: &str) -> bool {
        self.ended.iter().any(|removal| removal.is_of(id, revision))
    }
}

/// Limit on what one revision may remove. Both are ceilings: the lower one holds.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, JsonSchema)]
#[schemars(default)]
pub struct RemovalBudget {
    /// The share of all servers, from 0 to 1, rounded up to whole servers.
    #[schemars(range(min = 0.0, max = 1.0))]
    pub share: f64,
    /// The number of servers. With 0, nothing is ever removed.
    pub count: u32,
}

impl RemovalBudget {
    /// Returns how many of `owned` servers one revision may remove.
    pub fn allowed(&self, owned: usize) -> usize {
        // `share` is within 0..=1, so the product is within 0..=owned.
        let by_share = (self.share * owned as f64).ceil() as usize;
        by_share.min(self.count as usize)
    }
}

impl Default for Images {
    fn default() -> Self {
        Self {
            server: ImageRef::known("berth-server:latest"),
            holder: ImageRef::known("berth-holder:latest"),
            firewall: ImageRef::known("berth-firewall:latest"),
            caddy: ImageRef::known("berth-caddy:latest"),
            cache: ImageRef::known("berth-dockerhub-cache:latest"),
            router: ImageRef::known("berth-ssh-router:latest"),
        }
    }
}

impl Default for Services {
    fn default() -> Self {
        Self { firewall: true, cache: true, web: true, router: true }
    }
}

impl Default for Defaults {
    fn default() -> Self {
        Self {
            cpus: Cpus::from_nanos(1_000_000_000),
            memory: Bytes::new(1 << 30),
            pids: NonZeroU32::MIN.saturating_add(2047),
            disk: Bytes::new(10 << 30),
        }
    }
}

impl Default for Quota {
    fn default() -> Self {
        Self {
            servers: 3,
            cpus: Cpus::from_nanos(4_000_000_000),
            memory: Bytes::new(8 << 30),
            pids: None,
            disk: Bytes::new(50 << 30),
            domains: 10,
            // As many as `domains`, so that a new member can have all of theirs at once.
            certificates: 20,
            custom_domains: false,
        }
    }
}

impl Default for Retention {
    fn default() -> Self {
        Self { servers: Span::new(Duration::from_secs(30 * DAY)), ended: Vec::new() }
    }
}

impl Default for RemovalBudget {
    fn default() -> Self {
        Self { share: 0.25, count: 5 }
    }
}

const DAY: u64 = 24 * 60 * 60;

choice_values! {
    Isolation, "a kind of isolation": "\"userns\", \"sysbox\" or \"capabilities\"",
}

impl Platform {
    /// Returns whether a name with `tls = "auto"` gets a certificate that no other name shares, so that it counts against
    /// `quota.certificates`. A wildcard and a name below `localhost` get none from the CA, and the names directly below the
    /// platform's domain may share one.
    pub fn has_own_certificate(&self, fqdn: &Fqdn) -> bool {
        !fqdn.is_wildcard() && !fqdn.is_local() && !self.is_under_wildcard(fqdn)
    }

    pub(crate) fn read(fields: &mut Fields<'_, '_>) -> Option<Self> {
        let domain = fields.required::<Fqdn>("domain");
        if let Some(domain) = domain.as_ref().filter(|domain| domain.value.is_wildcard()) {
            let message = format!("the platform can't have the wildcard `{}` as its domain", domain.value);
            let hint = format!("write \"{}\": subdomains lie below it anyway", domain.value.base());
            fields.found().error(Some(domain.at), Invalid::new(message, hint));
        }
        let networks = fields.table("networks", "`[networks]`", Networks::read);
        let web = fields.table("web", "`[web]`", Web::read);
        let ssh = fields.table("ssh", "`[ssh]`", |fields| Ssh::read(fields, &web));
        let members = domain.as_ref().map(|domain| &domain.value);
        let panel = fields.table("panel", "`[panel]`", |fields| Panel::read(fields, members, &web, &ssh));
        let [http, https] = web.places();
        let taken: Vec<Place> =
            [http, https, ssh.place()].into_iter().chain(panel.as_ref().map(Panel::place)).collect();
        let metrics = fields.table("metrics", "`[metrics]`", |fields| Metrics::read(fields, &taken));
        let mail = fields.table("mail", "`[mail]`", Mail::read);
        let remote = fields.table("remote", "`[remote]`", Remote::read);
        let joins =
            panel.as_ref().and_then(|panel| panel.oidc.as_ref()).filter(|oidc| oidc.join != Join::Invite);
        if remote.is_some() && joins.is_some() {
            let message = "nobody joins by the provider: members' files are written where `[remote]` hosts the state repo";
            let hint = "write `join = \"invite\"` in `[panel.oidc]`; whoever has a line `oidc` in their file signs in all the same";
            fields.found().warning(None, Invalid::new(message, hint));
        }
        Some(Self {
            prefix: fields.value("prefix").unwrap_or_default(),
            organisation: fields.table("organisation", "`[organisation]`", Organisation::read),
            isolation: fields.value("isolation").unwrap_or_default(),
            acme: fields.table("acme", "`[acme]`", Acme::read),
            firewall: fields.table("firewall", "`[firewall]`", |fields| Firewall::read(fields, &networks)),
            networks,
            images: fields.table("images", "`[images]`", Images::read),
            services: fields.table("services", "`[services]`", Services::read),
            access: fields.table("access", "`[access]`", Access::read),
            defaults: fields.table("defaults", "`[defaults]`", Defaults::read),
            quota: fields.table("quota", "`[quota]`", QuotaOverride::read).over(&Quota::default()),
            retention: fields.table("retention", "`[retention]`", Retention::read),
            ssh,
            web,
            panel,
            alarms: fields.table("alarms", "`[alarms]`", |fields| Alarms::read(fields, mail.is_some())),
            mail,
            backup: fields.table("backup", "`[backup]`", |fields| {
                fields.is_there().then(|| Backup::read(fields)).flatten()
            }),
            metrics,
            public: fields.table("public", "`[public]`", Public::read),
            docs: fields.table("docs", "`[docs]`", Docs::read),
            cache: fields.table("cache", "`[cache]`", Cache::read),
            removal_budget: fields.table("removal_budget", "`[removal_budget]`", RemovalBudget::read),
            remote,
            domain: domain?.value,
        })
    }
}

impl Images {
    fn read(fields: &mut Fields<'_, '_>) -> Self {
        let default = Self::default();
        Self {
            server: fields.image("server").unwrap_or(default.server),
            holder: fields.image("holder").unwrap_or(default.holder),
            firewall: fields.image("firewall").unwrap_or(default.firewall),
            caddy: fields.image("caddy").unwrap_or(default.caddy),
            cache: fields.image("cache").unwrap_or(default.cache),
            router: fields.image("router").unwrap_or(default.router),
        }
    }
}

impl Services {
    fn read(fields: &mut Fields<'_, '_>) -> Self {
        let default = Self::default();
        Self {
            firewall: fields.value("firewall").unwrap_or(default.firewall),
            cache: fields.value("cache").unwrap_or(default.cache),
            web: fields.value("web").unwrap_or(default.web),
            router: fields.value("router").unwrap_or(default.router),
        }
    }
}

impl Defaults {
    fn read(fields: &mut Fields<'_, '_>) -> Self {
        let default = Self::default();
        let bytes = Bytes::suits_server;
        Self {
            cpus: fields.value("cpus").unwrap_or(default.cpus),
            memory: fields.optional_if("memory", bytes).map_or(default.memory, |found| found.value),
            pids: fields.value("pids").map_or(default.pids, |Pids(pids)| pids),
            disk: fields.optional_if("disk", bytes).map_or(default.disk, |found| found.value),
        }
    }
}

impl Retention {
    fn read(fields: &mut Fields<'_, '_>) -> Self {
        let servers = fields.optional::<Span>("servers");
        if let Some(short) = servers.filter(|found| found.value.duration() < Duration::from_secs(DAY)) {
            let message = format!("a removed server's data is gone for good after {}", short.value);
            fields.found().warning(
                Some(short.at),
                Invalid::new(message, "keep it for a day at least, such as \"30d\""),
            );
        }
        let servers = servers.map_or_else(|| Self::default().servers, |found| found.value);
        let ended = fields.list::<Removal>("ended").unwrap_or_default();
        Self { servers, ended: ended.into_iter().map(|found| found.value).collect() }
    }
}

impl RemovalBudget {
    fn read(fields: &mut Fields<'_, '_>) -> Self {
        let default = Self::default();
        let share = fields.optional_if("share", |share: &f64| {
            if (0.0..=1.0).contains(share) {
                return Ok(());
            }
            Err(Invalid::new(
                format!("{share} is not a share"),
                "write a number from 0 to 1, such as 0.25 for a quarter",
            ))
        });
        Self {
            share: share.map_or(default.share, |found| found.value),
            count: fields.value("count").unwrap_or(default.count),
        }
    }
}

impl Value for IpNet {
    const WANTED: &'static str = "networks in quotes, such as \"10.0.0.0/8\" or \"2001:db8::/32\"";
    fn read(value: &DeValue<'_>) -> Option<Result<Self, Invalid>> {
        let text = value.as_str()?;
        let Ok(network) = text.parse::<Self>() else {
            let message = format!("`{}` is not a network", shown(text));
            let hint =
                "write address and prefix length, such as \"10.0.0.0/8\"; a single address has /32 or /128";
            return Some(Err(Invalid::new(message, hint)));
        };
        if network != network.trunc() {
            let message = format!("`{network}` is an address in a network, not the network");
            return Some(Err(Invalid::new(message, format!("write \"{}\"", network.trunc()))));
        }
        Some(Ok(network))
    }
}
