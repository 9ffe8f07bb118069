//! Countries that may open the panel, as the page for admins tells of them.

use berth_wire::countries::{CountriesStanding, CountryFile, listed};
use jiff::Timestamp;
use serde::Serialize;

/// The countries and their file, in words.
#[derive(Debug, PartialEq, Eq, Serialize)]
pub(super) struct Countries {
    look: &'static str,
    text: String,
    /// The moment at which the file was made.
    made: Option<Timestamp>,
    why: Option<String>,
    hint: Option<&'static str>,
}

impl Countries {
    pub(super) fn of(standing: &CountriesStanding) -> Self {
        let names = listed(&standing.countries);
        match &standing.found {
            CountryFile::Good { made, unknown } => {
                let mut text = format!("Whoever is in {names} may open the panel.");
                if !unknown.is_empty() {
                    text += &format!(" The file knows no network in {}.", listed(unknown));
                }
                let look = if unknown.is_empty() { "good" } else { "warn" };
                Self { look, text, made: Some(*made), why: None, hint: None }
            }
            CountryFile::Bad { trouble, why } => Self {
                look: "bad",
                text: format!(
                    "Nobody in {names} is let in, only the networks of access.panel and the machine itself."
                ),
                made: None,
                why: Some(why.clone()),
                hint: Some(trouble.hint()),
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use berth_wire::countries::CountryTrouble;

    use super::*;

    #[test]
    fn a_file_is_told_by_its_day_and_trouble_by_its_remedy() {
        let standing = |found| CountriesStanding {
            countries: ["LT", "LV"].map(|country| country.parse().unwrap()).to_vec(),
            file: "/data/countries.mmdb".into(),
            found,
        };
        let made = Timestamp::UNIX_EPOCH;
        let good = Countries::of(&standing(CountryFile::Good { made, unknown: Vec::new() }));
        assert_eq!((good.look, &*good.text), ("good", "Whoever is in LT and LV may open the panel."));
        assert_eq!((good.made, good.why, good.hint), (Some(made), None, None));
        let unknown = vec!["LV".parse().unwrap()];
        let half = Countries::of(&standing(CountryFile::Good { made, unknown }));
        assert!(half.look == "warn" && half.text.ends_with(" The file knows no network in LV."), "{half:?}");
        let why = "there is no file /data/countries.mmdb".to_owned();
        let bad = Countries::of(&standing(CountryFile::Bad { trouble: CountryTrouble::Missing, why }));
        assert!(bad.look == "bad" && bad.text.starts_with("Nobody in LT and LV is let in"), "{bad:?}");
        assert!(
            bad.hint.unwrap().contains("GeoLite2-Country.mmdb") && bad.why.is_some() && bad.made.is_none()
        );
    }
}
