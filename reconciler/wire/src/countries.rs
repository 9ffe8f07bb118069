//! Countries from which people may open the panel, as the panel tells of them: a file in the panel's data, like the one about its
//! certificate ([`crate::certificate`]), and read as carefully.

use std::io;
use std::path::{Path, PathBuf};

use berth_schema::country::Country;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::told_file;

/// The file's name in the panel's data.
const FILE: &str = "countries.json";

/// The countries that may open the panel, and the file that says which addresses are theirs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CountriesStanding {
    /// The countries that the settings name.
    pub countries: Vec<Country>,
    /// Path of MaxMind's file.
    pub file: PathBuf,
    /// The day on which it was made, and the countries that it doesn't know; or the reason for which nobody is let in by country.
    pub found: CountryFile,
}

/// A country file, as it was found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum CountryFile {
    /// It is in force.
    Good {
        /// Moment at which MaxMind made it.
        made: Timestamp,
        /// Countries of which it has no network.
        unknown: Vec<Country>,
    },
    /// It can't be used.
    Bad {
        /// Kind of the trouble.
        trouble: CountryTrouble,
        /// The trouble in a sentence.
        why: String,
    },
}

/// Kind of trouble with a country file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum CountryTrouble {
    /// There is none.
    Missing,
    /// The panel can't read it.
    Unreadable,
    /// It is no country file, or a broken one.
    Broken,
}

impl CountryTrouble {
    /// Advice on it.
    pub fn hint(self) -> &'static str {
        match self {
            Self::Missing => {
                "put MaxMind's GeoLite2-Country.mmdb there, or a link to it; the panel finds it within ten seconds"
            }
            Self::Unreadable => {
                "it has to be a file that the user berth-web can read; the panel looks again every ten seconds"
            }
            Self::Broken => {
                "put another one in its place, in one step as geoipupdate and `mv` do; the panel notices within ten seconds"
            }
        }
    }
}

impl CountriesStanding {
    /// Path of the file in the panel's data.
    pub fn path(data: &Path) -> PathBuf {
        data.join(FILE)
    }

    /// Reads what the panel has told; `None` where it never did, or told something else.
    pub fn read(data: &Path) -> Option<Self> {
        told_file::read(&Self::path(data))
    }

    /// Tells it.
    pub fn write(&self, data: &Path) -> io::Result<()> {
        told_file::write(&Self::path(data), self)
    }
}

/// Countries as a sentence lists them: `LT, LV and EE`.
pub fn listed(countries: &[Country]) -> String {
    let names: Vec<&str> = countries.iter().map(Country::as_str).collect();
    match names.split_last() {
        Some((last, [])) => (*last).to_owned(),
        Some((last, before)) => format!("{} and {last}", before.join(", ")),
        None => String::new(),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test says what it expects by unwrapping it")]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn it_is_read_as_it_was_told_and_anything_else_is_not() {
        let data = tempfile::tempdir().unwrap();
        let data = data.path();
        assert_eq!(CountriesStanding::read(data), None);
        let bad = CountryFile::Bad { trouble: CountryTrouble::Missing, why: "there is none".to_owned() };
        let unknown = vec!["LV".parse().unwrap()];
        for found in [bad, CountryFile::Good { made: Timestamp::UNIX_EPOCH, unknown }] {
            let countries = ["LT", "LV"].map(|country| country.parse().unwrap()).to_vec();
            let told = CountriesStanding { countries, file: "/data/countries.mmdb".into(), found };
            told.write(data).unwrap();
            assert_eq!(CountriesStanding::read(data), Some(told));
        }
        // No code of a country's.
        let told = fs::read_to_string(CountriesStanding::path(data)).unwrap();
        fs::write(CountriesStanding::path(data), told.replace("LT", "xx")).unwrap();
        assert_eq!(CountriesStanding::read(data), None);
    }

    #[test]
    fn countries_are_listed_as_in_a_sentence() {
        let told =
            |codes: &[&str]| listed(&codes.iter().map(|code| code.parse().unwrap()).collect::<Vec<_>>());
        assert_eq!([told(&[]), told(&["LT"])], ["", "LT"]);
        assert_eq!([told(&["LT", "LV"]), told(&["LT", "LV", "EE"])], ["LT and LV", "LT, LV and EE"]);
    }
}
