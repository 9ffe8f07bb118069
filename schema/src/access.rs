//! `[access]`: who may open the panel, and names that no member may take.

use std::net::IpAddr;

use ipnet::IpNet;
use schemars::JsonSchema;
use serde::Serialize;

use crate::country::{Country, may_have_country};
use crate::fields::{At, Fields};
use crate::invalid::Invalid;
use crate::json_schema::written::Network;
use crate::name::Label;

/// Networks and countries that may open the panel, and names that no member may take.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
#[schemars(default)]
pub struct Access {
    /// Networks that may open the panel, such as `10.0.0.0/8`; with `panel_countries` empty too, an empty list means everybody.
    #[schemars(with = "Vec<Network>")]
    pub panel: Vec<IpNet>,
    /// Countries that may open the panel besides, such as `LT`. Needs MaxMind's country file on the machine (docs/panel.md).
    pub panel_countries: Vec<Country>,
    /// Labels below the platform's domain that no member may take, such as `www`.
    #[schemars(with = "Vec<Label>")]
    pub reserved: Vec<String>,
}

impl Default for Access {
    fn default() -> Self {
        let reserved = ["admin", "api", "git", "mail", "ns1", "ns2", "panel", "ssh", "www"];
        Self {
            panel: Vec::new(),
            panel_countries: Vec::new(),
            reserved: reserved.map(str::to_owned).to_vec(),
        }
    }
}

impl Access {
    pub(crate) fn read(fields: &mut Fields<'_, '_>) -> Self {
        let panel = fields.list::<IpNet>("panel").unwrap_or_default();
        let countries = fields.list::<Country>("panel_countries").unwrap_or_default();
        let reserved = fields.list::<Label>("reserved");
        let labels = |list: Vec<_>| list.into_iter().map(|label: At<Label>| label.value.0).collect();
        Self {
            panel: panel.into_iter().map(|network| network.value).collect(),
            panel_countries: keep_countries(&countries, fields),
            reserved: reserved.map_or_else(|| Self::default().reserved, labels),
        }
    }

    /// Returns whether a label below the platform's domain is one that no member may take.
    pub fn is_reserved(&self, label: &str) -> bool {
        self.reserved.iter().any(|reserved| reserved == label)
    }

    /// Returns what this says to an address that would open the panel.
    pub fn to_panel(&self, from: IpAddr) -> Admission {
        Admission::of(from, &self.panel, &self.panel_countries)
    }
}

/// Answer to an address that would open the panel, as far as the settings alone give one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Admission {
    /// It may: it is in one of the networks, or everybody may.
    Open,
    /// It may if it is in one of the countries, which only a file of the host's can say.
    ByCountry,
    /// It may not.
    Shut,
}

impl Admission {
    /// The answer of these networks and countries. Without any of either, everybody may.
    pub fn of(from: IpAddr, networks: &[IpNet], countries: &[Country]) -> Self {
        let from = from.to_canonical();
        match () {
            () if networks.is_empty() && countries.is_empty() => Self::Open,
            () if networks.iter().any(|network| network.contains(&from)) => Self::Open,
            () if !countries.is_empty() && may_have_country(from) => Self::ByCountry,
            () => Self::Shut,
        }
    }
}

/// The countries without repetitions, which are worth a warning.
fn keep_countries(listed: &[At<Country>], fields: &mut Fields<'_, '_>) -> Vec<Country> {
    let mut kept: Vec<Country> = Vec::with_capacity(listed.len());
    for At { value: country, at } in listed {
        if kept.contains(country) {
            let message = format!("`{country}` is listed twice");
            fields.found().warning(Some(*at), Invalid::new(message, "remove it from `panel_countries`"));
        } else {
            kept.push(*country);
        }
    }
    kept
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(from: &str, networks: &[&str], countries: &[&str]) -> Admission {
        let networks: Vec<IpNet> = networks.iter().map(|network| network.parse().unwrap()).collect();
        let countries: Vec<Country> = countries.iter().map(|country| country.parse().unwrap()).collect();
        Admission::of(from.parse().unwrap(), &networks, &countries)
    }

    #[test]
    fn a_network_or_a_country_lets_in_and_nothing_at_all_lets_in_everybody() {
        let (networks, countries) = (&["10.0.0.0/8", "2001:db8::/32"][..], &["LT"][..]);
        for (from, no_countries, no_networks, both) in [
            ("10.1.2.3", Admission::Open, Admission::Shut, Admission::Open),
            ("::ffff:10.1.2.3", Admission::Open, Admission::Shut, Admission::Open),
            ("2001:db8::1", Admission::Open, Admission::ByCountry, Admission::Open),
            ("8.8.8.8", Admission::Shut, Admission::ByCountry, Admission::ByCountry),
            ("::ffff:8.8.8.8", Admission::Shut, Admission::ByCountry, Admission::ByCountry),
            ("192.168.1.1", Admission::Shut, Admission::Shut, Admission::Shut),
            ("127.0.0.1", Admission::Shut, Admission::Shut, Admission::Shut),
        ] {
            assert_eq!(answer(from, networks, &[]), no_countries, "{from}");
            assert_eq!(answer(from, &[], countries), no_networks, "{from}");
            assert_eq!(answer(from, networks, countries), both, "{from}");
            assert_eq!(answer(from, &[], &[]), Admission::Open, "{from}");
        }
    }
}
