//! Countries, by their codes of two letters, and the addresses that can be in one.
//!
//! Owns which codes there are. Which address is in which country nobody here knows: that takes a file of the host's.

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::invalid::Invalid;
use crate::json_schema::written::written_as;
use crate::text::shown;
use crate::value::text_values;

/// Codes of ISO 3166-1, in the order of the alphabet, and `XK`: files of countries know Kosovo by it, and ISO has none for it yet.
const CODES: &str = "\
    AD AE AF AG AI AL AM AO AQ AR AS AT AU AW AX AZ BA BB BD BE BF BG BH BI BJ BL BM BN BO BQ BR BS BT BV BW BY BZ \
    CA CC CD CF CG CH CI CK CL CM CN CO CR CU CV CW CX CY CZ DE DJ DK DM DO DZ EC EE EG EH ER ES ET FI FJ FK FM FO FR \
    GA GB GD GE GF GG GH GI GL GM GN GP GQ GR GS GT GU GW GY HK HM HN HR HT HU ID IE IL IM IN IO IQ IR IS IT JE JM JO JP \
    KE KG KH KI KM KN KP KR KW KY KZ LA LB LC LI LK LR LS LT LU LV LY MA MC MD ME MF MG MH MK ML MM MN MO MP MQ MR MS MT \
    MU MV MW MX MY MZ NA NC NE NF NG NI NL NO NP NR NU NZ OM PA PE PF PG PH PK PL PM PN PR PS PT PW PY QA RE RO RS RU RW \
    SA SB SC SD SE SG SH SI SJ SK SL SM SN SO SR SS ST SV SX SY SZ TC TD TF TG TH TJ TK TL TM TN TO TR TT TV TW TZ UA UG UM \
    US UY UZ VA VC VE VG VI VN VU WF WS XK YE YT ZA ZM ZW";

/// A country's code, such as `LT`: two capital letters of ISO 3166-1.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Country([u8; 2]);

impl Country {
    /// The two letters.
    pub fn as_str(&self) -> &str {
        // They are ASCII, since `CODES` is.
        std::str::from_utf8(&self.0).unwrap_or_default()
    }
}

impl FromStr for Country {
    type Err = Invalid;

    fn from_str(text: &str) -> Result<Self, Invalid> {
        let code = text.as_bytes().try_into().ok().filter(|_| is_known(text));
        code.map(Self).ok_or_else(|| {
            let capitals = text.trim().to_ascii_uppercase();
            let hint = match capitals.as_str() {
                "UK" => "the United Kingdom is \"GB\"".to_owned(),
                "EL" => "Greece is \"GR\"".to_owned(),
                "EU" => "the European Union has no code: list its countries".to_owned(),
                known if is_known(known) => format!("write \"{known}\""),
                _ => "write the two capital letters of ISO 3166-1, such as \"LT\" for Lithuania".to_owned(),
            };
            Invalid::new(format!("`{}` is not a country's code", shown(text)), hint)
        })
    }
}

fn is_known(code: &str) -> bool {
    CODES.split(' ').any(|known| known == code)
}

impl TryFrom<String> for Country {
    type Error = Invalid;

    fn try_from(text: String) -> Result<Self, Invalid> {
        text.parse()
    }
}

impl From<Country> for String {
    fn from(country: Country) -> Self {
        country.as_str().to_owned()
    }
}

impl fmt::Display for Country {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

text_values! {
    Country: "countries' codes in quotes, such as \"LT\" or \"LV\"",
}

written_as! {
    Country: { "type": "string", "pattern": "^[A-Z]{2}$", "examples": ["LT", "LV"] },
}

/// Returns whether an address can be in a country. Those of a machine itself and of private networks are in none, whatever a file says.
pub fn may_have_country(address: IpAddr) -> bool {
    match address.to_canonical() {
        IpAddr::V4(address) => {
            let [first, second, ..] = address.octets();
            // Customers of a provider share 100.64.0.0/10 behind its own addresses (RFC 6598).
            let is_shared = first == 100 && second & 0xc0 == 0x40;
            let is_near = address.is_loopback() || address.is_link_local() || address.is_unspecified();
            !(is_near || address.is_private() || is_shared)
        }
        IpAddr::V6(address) => {
            let is_near =
                address.is_loopback() || address.is_unicast_link_local() || address.is_unspecified();
            !(is_near || address.is_unique_local())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_there_once_and_in_order() {
        let codes: Vec<&str> = CODES.split(' ').collect();
        assert!(
            codes.iter().all(|code| code.len() == 2 && code.bytes().all(|byte| byte.is_ascii_uppercase()))
        );
        assert!(codes.is_sorted_by(|one, next| one < next), "{codes:?}");
        // 249 of ISO 3166-1, and Kosovo's.
        assert_eq!(codes.len(), 250);
    }

    #[test]
    fn a_code_is_two_capital_letters_that_a_country_has() {
        for good in ["LT", "LV", "GB", "XK"] {
            assert_eq!(good.parse::<Country>().unwrap().to_string(), good);
        }
        for (bad, advice) in [
            ("lt", "\"LT\""),
            (" LT", "\"LT\""),
            ("UK", "\"GB\""),
            ("EU", "list its countries"),
            ("LTU", "two capital letters"),
            ("XX", "two capital letters"),
            ("A ", "two capital letters"),
            ("LT LV", "two capital letters"),
            ("", "two capital letters"),
        ] {
            let invalid = bad.parse::<Country>().unwrap_err();
            assert!(invalid.hint.contains(advice), "{bad}: {invalid:?}");
        }
    }

    #[test]
    fn addresses_of_a_machine_and_of_private_networks_are_in_no_country() {
        for none in [
            "127.0.0.1",
            "10.1.2.3",
            "172.31.0.1",
            "192.168.1.1",
            "169.254.1.1",
            "100.64.0.1",
            "100.127.255.255",
            "0.0.0.0",
            "::1",
            "::",
            "fd00::1",
            "fe80::1",
            "::ffff:10.0.0.1",
            "::ffff:127.0.0.1",
        ] {
            assert!(!may_have_country(none.parse().unwrap()), "{none}");
        }
        for some in [
            "8.8.8.8",
            "100.63.0.1",
            "100.128.0.1",
            "172.32.0.1",
            "203.0.113.5",
            "2001:db8::1",
            "::ffff:8.8.8.8",
        ] {
            assert!(may_have_country(some.parse().unwrap()), "{some}");
        }
    }
}
