//! Names below `localhost`, for which no CA vouches: they have certificates of the platform's own, count for nothing at the CA, and a
//! wildcard among them is as good as any other.
#![allow(clippy::unwrap_used, reason = "a test says what it expects by unwrapping")]

use berth_schema::domain::Tls;
use berth_schema::name::Fqdn;
use berth_schema::{Parsed, State};

#[test]
fn only_what_lies_below_it_is_local() {
    for (name, is_local) in [
        ("berth.localhost", true),
        ("*.shop.berth.localhost", true),
        ("localhost.example.org", false),
        ("my-localhost.example.org", false),
        ("example.notlocalhost", false),
    ] {
        let name: Fqdn = name.parse().unwrap();
        assert_eq!(name.is_local(), is_local, "{name}");
        let auto = if is_local { Tls::Internal } else { Tls::Auto };
        assert_eq!(
            [Tls::Auto, Tls::Internal, Tls::Off].map(|tls| tls.at(&name)),
            [auto, Tls::Internal, Tls::Off]
        );
    }
}

#[test]
fn no_certificate_of_the_ca_is_counted_or_missed() {
    for (domain, warnings, is_counted) in [("h.localhost", 0, false), ("h.example.org", 1, true)] {
        let files = [
            ("platform.toml".to_owned(), format!("domain = \"{domain}\"\n")),
            ("users/ann.toml".to_owned(), "role = \"admin\"\n".to_owned()),
            ("servers/one.toml".to_owned(), "id = 1\nowner = \"ann\"\n".to_owned()),
            (format!("domains/a.{domain}.toml"), "server = \"one\"\n".to_owned()),
            (format!("domains/_.a.{domain}.toml"), "server = \"one\"\n".to_owned()),
        ];
        let parsed: Vec<Parsed> = files.iter().map(|(path, text)| Parsed::parse(path, text)).collect();
        let state = State::assemble(&parsed).unwrap();
        assert_eq!(state.warnings.len(), warnings, "{:?}", state.warnings);
        let name = format!("a.{domain}").parse().unwrap();
        assert_eq!(state.platform.has_own_certificate(&name), is_counted);
    }
}
