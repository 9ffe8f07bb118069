//! The panel in `berth status`: its certificate, and its countries. What is known of them are the panel's words and a CA's, so they are
//! shown as a stranger's.

use std::io::ErrorKind;
use std::net::IpAddr;

use berth_engine::address;
use berth_repo::StateRepo;
use berth_schema::country::Country;
use berth_schema::panel::PanelTls;
use berth_schema::text::{safe, safe_line};
use berth_wire::certificate::{CertificateSource, CertificateStanding, FailedOrder, Proof};
use berth_wire::countries::{CountriesStanding, CountryFile, listed};
use berth_wire::status::PanelRow;
use jiff::Timestamp;

use crate::settings::Settings;
use crate::source;

/// Characters of a failure that are shown.
const WORDS: usize = 1000;

/// Reads what is known of the panel, where `main` has one.
pub(super) fn panel(settings: &Settings) -> Option<PanelRow> {
    let platform = source::platform(&StateRepo::open(&settings.state).ok()?)?;
    let panel = platform.panel.as_ref()?;
    let told = CertificateStanding::read(&settings.panel_data());
    let certificate = told.filter(|told| told.domain == panel.domain.as_str());
    let origin = platform.panel_origins()?.own;
    let is_unprovable =
        panel.tls == PanelTls::Auto && !panel.domain.is_local() && Proof::of(&platform).is_none();
    let is_lacking = |address: &IpAddr| {
        address::require(*address).is_err_and(|error| error.kind() == ErrorKind::AddrNotAvailable)
    };
    let countries = platform.access.panel_countries.clone();
    let country_file =
        CountriesStanding::read(&settings.panel_data()).filter(|told| told.countries == countries);
    let lacks = panel.address.filter(is_lacking);
    Some(PanelRow { origin, certificate, is_unprovable, lacks, countries, country_file })
}

/// The panel in a few lines.
pub(super) fn lines(panel: &PanelRow) -> Vec<String> {
    let mut lines = certificate_lines(panel);
    // One that isn't up lets nobody in anyway.
    if panel.lacks.is_none() && panel.certificate.is_some() && !panel.countries.is_empty() {
        lines.extend(country_lines(&panel.countries, panel.country_file.as_ref()));
    }
    lines
}

/// Countries that may open it, in a few lines.
fn country_lines(countries: &[Country], told: Option<&CountriesStanding>) -> Vec<String> {
    let names = listed(countries);
    match told.map(|told| &told.found) {
        None => vec![format!(
            "  nobody in {names} is let in yet: the panel hasn't begun anew with these countries"
        )],
        Some(CountryFile::Good { made, unknown }) => {
            let day = made.strftime("%Y-%m-%d");
            let mut lines = vec![format!("  {names} may open it, by the country file of {day}")];
            if !unknown.is_empty() {
                lines.push(format!("  the country file knows no network in {}", listed(unknown)));
            }
            lines
        }
        Some(CountryFile::Bad { trouble, why }) => vec![
            format!(
                "  nobody in {names} is let in, only the networks of `access.panel` and this machine: {}",
                safe_line(why, WORDS)
            ),
            format!("  hint: {}", trouble.hint()),
        ],
    }
}

fn certificate_lines(panel: &PanelRow) -> Vec<String> {
    let origin = safe(&panel.origin);
    if let Some(address) = panel.lacks {
        return vec![
            format!("panel {origin}: it can't listen: this machine has no address {address}"),
            "  hint: give the machine that address, or change `panel.address` in platform.toml; the panel listens as soon as it can"
                .to_owned(),
        ];
    }
    let Some(certificate) = &panel.certificate else {
        return vec![format!("panel {origin}: it has not come up yet (`berth up` starts it)")];
    };
    let until =
        certificate.ends.map_or_else(String::new, |ends| format!(", good until {} UTC", moment(ends)));
    let order = certificate.order.as_ref();
    let source = match (certificate.source, order) {
        (CertificateSource::Files, _) => format!("the certificate that an admin gave it{until}"),
        (CertificateSource::Acme, Some(order)) => {
            format!("a certificate from {}{until}", safe(&order.directory))
        }
        (CertificateSource::Acme, None) => format!("a certificate from a CA{until}"),
        (CertificateSource::Own, _) => "a certificate of its own, of which browsers warn".to_owned(),
    };
    let mut lines = vec![format!("panel {origin}: {source}")];
    if panel.is_unprovable && certificate.source == CertificateSource::Own {
        lines.push(
            "  no CA can look at it: it has port 443 of no address, and `panel.edge` is \"none\" or there is no web server"
                .to_owned(),
        );
    }
    let Some(order) = order.filter(|_| certificate.source != CertificateSource::Files) else { return lines };
    let waits = certificate.source == CertificateSource::Own;
    match &order.failed {
        Some(failed) => lines.extend(failed_lines(failed, order.proof, waits)),
        None if waits => lines.push(format!(
            "  one is being ordered from {}, which is shown the name by {}",
            safe(&order.directory),
            order.proof.name()
        )),
        None => {}
    }
    lines
}

/// An order that failed, in a few lines.
pub(super) fn failed_lines(failed: &FailedOrder, proof: Proof, waits: bool) -> Vec<String> {
    let what = if waits { "it has none from the CA yet" } else { "it can't be renewed" };
    let FailedOrder { why, at, again, .. } = failed;
    let mut lines = vec![
        format!("  {what}: {}", safe_line(why, WORDS)),
        format!("  last tried at {} UTC, tried again at {} UTC", moment(*at), moment(*again)),
    ];
    lines.extend(failed.kind.hint(proof).map(|hint| format!("  hint: {hint}")));
    lines
}

/// A moment, as people read it.
pub(super) fn moment(at: Timestamp) -> impl std::fmt::Display {
    at.strftime("%Y-%m-%d %H:%M:%S")
}

/// A panel in which everything that somebody may have typed is `typed`.
#[cfg(test)]
pub(super) fn hostile(typed: String) -> PanelRow {
    use berth_wire::certificate::{OrderFailure, OrderStanding};
    use berth_wire::countries::CountryTrouble;

    let again = Timestamp::UNIX_EPOCH;
    let failed =
        FailedOrder { kind: OrderFailure::Unproven, why: typed.clone(), at: again, before: 0, again };
    let order = OrderStanding { directory: typed.clone(), proof: Proof::Http01, failed: Some(failed) };
    let source = CertificateSource::Acme;
    let certificate = CertificateStanding { domain: typed.clone(), source, ends: None, order: Some(order) };
    let found = CountryFile::Bad { trouble: CountryTrouble::Broken, why: typed.clone() };
    let countries: Vec<Country> = "LT".parse().into_iter().collect();
    let told = CountriesStanding { countries: countries.clone(), file: typed.clone().into(), found };
    PanelRow {
        origin: typed,
        certificate: Some(certificate),
        is_unprovable: false,
        lacks: None,
        countries,
        country_file: Some(told),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test says what it expects by unwrapping it")]
mod tests {
    use berth_wire::countries::CountryTrouble;

    use super::*;

    fn told(change: impl FnOnce(&mut CertificateStanding)) -> String {
        let mut panel = hostile("https://ca.example.org/dir".to_owned());
        panel.origin = "https://panel.example.org:8443".to_owned();
        panel.countries.clear();
        change(panel.certificate.as_mut().unwrap());
        lines(&panel).join("\n")
    }

    #[test]
    fn countries_are_told_with_their_file_and_what_is_wrong_with_it() {
        let told = |found: Option<CountryFile>| {
            let mut panel = hostile("x".to_owned());
            panel.countries.push("LV".parse().unwrap());
            panel.country_file =
                found.zip(panel.country_file).map(|(found, told)| CountriesStanding { found, ..told });
            let lines = lines(&panel);
            lines[lines.iter().position(|line| line.contains("LT and LV")).unwrap()..].join("\n")
        };
        let made = "2026-11-24T05:06:07Z".parse().unwrap();
        let good = |unknown: &[&str]| {
            let unknown = unknown.iter().map(|country| country.parse().unwrap()).collect();
            told(Some(CountryFile::Good { made, unknown }))
        };
        assert_eq!(good(&[]), "  LT and LV may open it, by the country file of 2026-11-24");
        assert!(good(&["LV"]).ends_with("\n  the country file knows no network in LV"));
        let why = "there is no file /data/countries.mmdb".to_owned();
        assert_eq!(
            told(Some(CountryFile::Bad { trouble: CountryTrouble::Missing, why })),
            "  nobody in LT and LV is let in, only the networks of `access.panel` and this machine: there is no file \
             /data/countries.mmdb\n  hint: put MaxMind's GeoLite2-Country.mmdb there, or a link to it; the panel finds it within ten seconds"
        );
        assert!(told(None).contains("nobody in LT and LV is let in yet"));
        let mut silent = hostile("x".to_owned());
        silent.certificate = None;
        assert_eq!(lines(&silent).len(), 1);
    }

    #[test]
    fn a_certificate_is_told_with_its_source_and_what_keeps_a_better_one_away() {
        let failed = told(|certificate| {
            certificate.source = CertificateSource::Own;
            certificate.order.as_mut().unwrap().failed.as_mut().unwrap().why = "nobody answers".to_owned();
        });
        assert_eq!(
            failed,
            "panel https://panel.example.org:8443: a certificate of its own, of which browsers warn\n  \
             it has none from the CA yet: nobody answers\n  \
             last tried at 1970-01-01 00:00:00 UTC, tried again at 1970-01-01 00:00:00 UTC\n  \
             hint: the name's DNS records have to lead here, and port 80 there to this platform's web server"
        );
        let good = told(|certificate| {
            certificate.ends = Some("2027-01-02T03:04:05Z".parse().unwrap());
            certificate.order.as_mut().unwrap().failed = None;
        });
        assert_eq!(
            good,
            "panel https://panel.example.org:8443: a certificate from https://ca.example.org/dir, good until 2027-01-02 03:04:05 UTC"
        );
        let ordered = told(|certificate| {
            certificate.source = CertificateSource::Own;
            certificate.order.as_mut().unwrap().failed = None;
        });
        assert!(ordered.ends_with(
            "one is being ordered from https://ca.example.org/dir, which is shown the name by HTTP-01"
        ));
        let given = told(|certificate| certificate.source = CertificateSource::Files);
        assert_eq!(given, "panel https://panel.example.org:8443: the certificate that an admin gave it");
        let row = PanelRow { certificate: None, ..hostile("https://panel.example.org".to_owned()) };
        assert!(lines(&row)[0].contains("has not come up yet"));
        let row =
            PanelRow { lacks: "192.0.2.1".parse().ok(), ..hostile("https://panel.example.org".to_owned()) };
        assert!(lines(&row)[0].ends_with("it can't listen: this machine has no address 192.0.2.1"));
        let mut row = PanelRow { is_unprovable: true, ..hostile("https://panel.example.org".to_owned()) };
        let certificate = row.certificate.as_mut().unwrap();
        (certificate.source, certificate.order) = (CertificateSource::Own, None);
        assert!(lines(&row)[1].contains("no CA can look at it"));
    }
}
