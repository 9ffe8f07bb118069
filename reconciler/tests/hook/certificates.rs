//! The budget of certificates: names that somebody exchanges, push by push, until there is no more of the CA's week for them.

use std::time::SystemTime;

use berth_repo::{Signature, StateRepo};
use berth_schema::certificate_register::CertificateRegister;

use super::{Bench, Said};

const FILES: [(&str, &str); 5] = [
    ("platform.toml", "domain = \"hosting.example.org\"\n[quota]\ndomains = 2\ncertificates = 5\n"),
    ("users/ann.toml", "role = \"admin\"\n"),
    ("users/eve.toml", ""),
    ("servers/eves.toml", "id = 1\nowner = \"eve\"\n"),
    ("domains/old.hosting.example.org.toml", "server = \"eves\"\n"),
];

impl Bench {
    fn with_certificates() -> Self {
        let bench = Self::holding(&FILES);
        assert!(bench.berth(&["hook", "install", bench.bare.to_str().unwrap()]).good);
        bench
    }

    /// Writes down what a pass does that begins now.
    fn keep_certificates(&self) {
        let mut repo = StateRepo::open(&self.bare).unwrap();
        let head = repo.head().unwrap().unwrap();
        let state = repo.load(&head).unwrap().state.unwrap();
        let kept = repo.kept_certificates().unwrap();
        let mut register = kept.unwrap_or_else(|| CertificateRegister::beginning_with(&state));
        register.learn(&state, SystemTime::now());
        repo.keep_certificates(&register, &Signature::now("Berth", "berth@localhost")).unwrap();
    }

    /// Pushes a domain of eve's in place of another.
    fn exchange(&self, user: &str, gone: &str, new: &str, tls: &str) -> Said {
        let path = |name: &str| format!("domains/{name}.hosting.example.org.toml");
        let (gone, new) = (path(gone), path(new));
        let text = format!("server = \"eves\"\n{tls}");
        let said = self.push_change(Some(user), &[(&gone, None), (&new, Some(&text))]);
        self.git(&["reset", "--quiet", "--hard", "origin/main"]);
        said
    }
}

#[test]
fn names_are_exchanged_until_the_week_is_used_up() {
    let bench = Bench::with_certificates();
    bench.keep_certificates();
    // A pass follows each push but the last.
    for (gone, new) in [("old", "a1"), ("a1", "a2"), ("a2", "a3"), ("a3", "a4")] {
        bench.exchange("eve", gone, new, "").accepted(&[]);
        bench.keep_certificates();
    }
    bench.exchange("eve", "a4", "a5", "").accepted(&[]);
    let said = bench.exchange("eve", "a5", "a6", "");
    said.refused(&[
        "domains/a6.hosting.example.org.toml:1:1",
        "this change needs 1 new certificate: `eve` took 5 within the last seven days, and may take 5",
        "take the next from 2",
        ":00 UTC on; until then, write `tls = \"internal\"`, or let `ann` raise `quota.certificates` in users/eve.toml",
    ]);
    // What was theirs within the seven days costs nothing, nor does a name without a certificate of the CA's.
    bench.exchange("eve", "a5", "a1", "").accepted(&[]);
    bench.exchange("eve", "a1", "a6", "tls = \"internal\"\n").accepted(&[]);
    let why = bench.berth(&["why", "eve", "domains/a7.hosting.example.org.toml"]);
    why.accepted(&["Within the last seven days `eve` took 4 names with a new certificate, and may take 5."]);
    // Somebody who is an admin isn't bound.
    bench.keep_certificates();
    for (gone, new) in [("a6", "b1"), ("b1", "b2")] {
        bench.exchange("ann", gone, new, "").accepted(&[]);
        bench.keep_certificates();
    }
}

#[test]
fn two_pushes_before_a_pass_are_no_way_round() {
    let bench = Bench::with_certificates();
    bench.keep_certificates();
    bench.push_change(Some("ann"), &[("users/eve.toml", Some("quota.certificates = 1\n"))]).accepted(&[]);
    bench.exchange("eve", "old", "a1", "").accepted(&[]);
    bench
        .exchange("eve", "a1", "a2", "")
        .refused(&["`eve` took 1 within the last seven days, and may take 1"]);
}

#[test]
fn an_upgrade_locks_nobody_out() {
    // No pass has kept a register yet: what stands wasn't taken, whoever pushes before the first one.
    let bench = Bench::with_certificates();
    bench.exchange("eve", "old", "a1", "").accepted(&[]);
    bench.keep_certificates();
    let why = bench.berth(&["why", "eve", "domains/a2.hosting.example.org.toml"]);
    why.accepted(&["`eve` took 0 names with a new certificate, and may take 5."]);
}
