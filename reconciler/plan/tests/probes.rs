//! Probes that confirm a configuration, for a state that has something of everything.

#![allow(clippy::expect_used, clippy::panic, reason = "a test says what it expects by unwrapping it")]

use berth_plan::Desired;
use berth_plan::configuration::{Holds, Probe};
use berth_plan::render::{Kind, Templates};
use berth_schema::{Parsed, State};

fn state(files: &[(&str, &str)]) -> State {
    let parsed: Vec<Parsed> = files.iter().map(|(path, text)| Parsed::parse(path, text)).collect();
    State::assemble(&parsed).unwrap_or_else(|found| panic!("{found:#?}"))
}

/// The probes of a kind, in words; those that count only if they held before begin with `before`.
fn probes(kind: Kind, state: &State) -> Vec<String> {
    let desired = Desired::with_templates(state, &Templates::default());
    let found = desired.configurations.into_iter().find(|configuration| configuration.kind == kind);
    let spec = found.expect("a configuration").text.expect("its text");
    let told = |probe: &Probe| match probe {
        Probe::Resolves { name, answer, .. } => format!("{name} is {answer}"),
        Probe::Forwards { .. } => "names outside".to_owned(),
        Probe::Opens { to, .. } => format!("open {to:?}"),
        Probe::Refused { to, .. } => format!("closed {to}"),
        Probe::Greets { at } => format!("SSH at {at}"),
        Probe::Answers { at, host, status } => format!("{host} at {at} answers {status}"),
        Probe::Serves { at: [http, https], visits, .. } => {
            let hosts: Vec<String> =
                visits.iter().map(|visit| format!("{} ({:?})", visit.host, visit.tls)).collect();
            format!("{} at {http} and {https}", hosts.join(" or "))
        }
    };
    let all = spec.probes.iter().map(|one| match one.holds {
        Holds::Always => told(&one.probe),
        Holds::AsBefore => format!("before: {}", told(&one.probe)),
    });
    all.collect()
}

#[test]
fn what_worked_must_work_and_what_is_denied_must_be_denied() {
    let one_of_each = state(&[
        ("platform.toml", "domain = \"h.org\"\n[firewall]\ndns = [\"9.9.9.9\", \"10.0.0.53\"]\n"),
        ("users/ann.toml", "role = \"admin\"\n[quota]\nservers = 9\ndomains = 9\n"),
        ("servers/one.toml", "id = 1\nowner = \"ann\"\n"),
        ("servers/two.toml", "id = 2\nowner = \"ann\"\n"),
        ("servers/off.toml", "id = 3\nowner = \"ann\"\nstate = \"stopped\"\n"),
        // Whose app may answer: one of each server that runs, for everybody, at a name of its own.
        ("domains/a.h.org.toml", "server = \"off\"\ntls = \"off\"\n"),
        ("domains/b.h.org.toml", "server = \"one\"\ntls = \"off\"\naccess = \"users\"\n"),
        ("domains/_.c.h.org.toml", "server = \"one\"\ntls = \"off\"\n"),
        ("domains/d.h.org.toml", "server = \"one\"\n"),
        ("domains/e.h.org.toml", "server = \"one\"\ntls = \"off\"\n"),
        ("domains/f.h.org.toml", "server = \"two\"\ntls = \"internal\"\n"),
    ]);
    let apps = "before: e.h.org (Off) or f.h.org (Internal) at 172.19.1.1:80 and 172.19.1.1:443";
    let in_plane = [
        "before: gateway.berth.internal is 172.19.2.1",
        "before: names outside",
        // Not the private one, which only the gateway reaches.
        "before: open [9.9.9.9:53]",
        "before: open [172.19.2.4:5000]",
        "closed 172.19.2.2:80",
        "closed 172.19.1.1:80",
        "closed 172.19.1.1:10022",
        "closed 169.254.169.254:80",
        apps,
    ];
    assert_eq!(probes(Kind::Firewall, &one_of_each), in_plane);
    assert_eq!(probes(Kind::Host, &one_of_each), in_plane);
    let names = ["gateway.berth.internal is 172.19.2.1", "before: names outside"];
    assert_eq!(probes(Kind::Dns, &one_of_each), names);
    assert_eq!(probes(Kind::Cache, &one_of_each), ["open [172.19.2.4:5000]"]);
    let [known, unknown] =
        ["d.h.org at 172.19.1.1:80 answers 308", "probe.invalid at 172.19.1.1:80 answers 404"];
    assert_eq!(probes(Kind::Sites, &one_of_each), [known, unknown, apps]);
    let before = [format!("before: {known}"), format!("before: {unknown}"), apps.to_owned()];
    assert_eq!(probes(Kind::Caddy, &one_of_each), before);
    assert_eq!(probes(Kind::Routes, &one_of_each), ["before: SSH at 172.19.1.1:10022"]);
}

#[test]
fn an_address_that_is_public_is_kept_from_nobody() {
    let closed = |web: &str, ssh: &str| -> Vec<String> {
        let platform =
            format!("domain = \"h.org\"\n[web]\naddress = \"{web}\"\n[ssh]\naddress = \"{ssh}\"\n");
        let told = probes(Kind::Firewall, &state(&[("platform.toml", &platform), ("users/ann.toml", "")]));
        told.into_iter().filter(|probe| probe.starts_with("closed")).collect()
    };
    let always = ["closed 172.19.2.2:80", "closed 169.254.169.254:80"];
    assert_eq!(closed("51.0.0.10", "51.0.0.10"), always);
    let private = [always[0], "closed 192.168.7.10:80", "closed 192.168.7.11:10022", always[1]];
    assert_eq!(closed("192.168.7.10", "192.168.7.11"), private);
}

#[test]
fn where_there_is_nobody_nobody_is_asked() {
    let least = state(&[
        (
            "platform.toml",
            "domain = \"h.org\"\n[services]\ncache = false\nweb = false\nrouter = false\n\
             [firewall]\ndns = [\"10.0.0.53\"]\n",
        ),
        ("users/ann.toml", ""),
    ]);
    let in_plane = [
        "before: gateway.berth.internal is 172.19.2.1",
        "before: names outside",
        "closed 169.254.169.254:80",
    ];
    assert_eq!(probes(Kind::Firewall, &least), in_plane);
}

#[test]
fn no_member_decides_alone_whether_a_configuration_is_kept() {
    let asked = |owners: [&str; 3]| {
        let server = |id: usize| format!("id = {}\nowner = \"{}\"\n", id + 1, owners[id]);
        let state = state(&[
            ("platform.toml", "domain = \"h.org\"\n"),
            ("users/admin.toml", "role = \"admin\"\n"),
            ("users/bo.toml", ""),
            ("users/eve.toml", ""),
            ("servers/one.toml", &server(0)),
            ("servers/two.toml", &server(1)),
            ("servers/zed.toml", &server(2)),
            ("domains/a.h.org.toml", "server = \"one\"\ntls = \"off\"\n"),
            ("domains/b.h.org.toml", "server = \"two\"\ntls = \"off\"\n"),
            ("domains/c.h.org.toml", "server = \"zed\"\ntls = \"off\"\n"),
        ]);
        probes(Kind::Sites, &state).into_iter().find(|probe| probe.contains("(Off)"))
    };
    let at = "at 172.19.1.1:80 and 172.19.1.1:443";
    assert_eq!(asked(["eve", "eve", "eve"]), None);
    // Each one's first app is asked before the second of anybody.
    let both = format!("before: a.h.org (Off) or c.h.org (Off) or b.h.org (Off) {at}");
    assert_eq!(asked(["eve", "eve", "bo"]), Some(both.clone()));
    assert_eq!(asked(["eve", "eve", "admin"]), Some(both));
}
