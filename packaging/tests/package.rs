//! The package held against the programs: its units call them as they can be called, and describe what there is.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test says what it expects by unwrapping")]

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use berth::setup::keys::QUOTAS;
use clap::Command;

fn folder() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// The files of the services, with their text.
fn services() -> Vec<(PathBuf, String)> {
    let files = fs::read_dir(folder().join("units")).unwrap().map(|file| file.unwrap().path());
    let services = files.filter(|path| path.extension().is_some_and(|extension| extension == "service"));
    let read: Vec<_> = services.map(|path| (path.clone(), fs::read_to_string(path).unwrap())).collect();
    assert!(read.len() >= 9, "the services are in packaging/units");
    read
}

/// The values of a setting of a unit.
fn values<'a>(unit: &'a str, name: &str) -> Vec<&'a str> {
    unit.lines().filter_map(|line| line.strip_prefix(name)?.strip_prefix('=')).collect()
}

#[test]
fn units_call_the_program_as_it_can_be_called() {
    for (path, unit) in services() {
        let [start] = values(&unit, "ExecStart")[..] else { panic!("{}: one ExecStart", path.display()) };
        let words: Vec<&str> = start.split_whitespace().collect();
        assert_eq!(words[0], "/usr/bin/berth", "{}", path.display());
        let called = berth::command::line().try_get_matches_from(&words);
        assert!(called.is_ok(), "{}: {}", path.display(), called.unwrap_err());
    }
}

#[test]
fn every_process_that_works_until_sigterm_has_a_service() {
    let started: BTreeSet<String> = services()
        .iter()
        .map(|(_, unit)| values(unit, "ExecStart")[0].split_whitespace().nth(1).unwrap().to_owned())
        .collect();
    let line = berth::command::line();
    let processes = line.get_subcommands().filter(|command| {
        let about = command.get_about().map(ToString::to_string).unwrap_or_default();
        about.contains("until SIGTERM")
    });
    let processes: BTreeSet<String> = processes.map(|command| command.get_name().to_owned()).collect();
    assert!(processes.contains("reconcile") && processes.len() >= 7, "{processes:?}");
    assert!(processes.is_subset(&started), "{processes:?} {started:?}");
}

#[test]
fn scripts_start_and_stop_every_service_that_is_enabled() {
    let mut enabled: BTreeSet<String> = services()
        .iter()
        .filter(|(_, unit)| unit.contains("[Install]"))
        .map(|(path, _)| path.file_name().unwrap().to_str().unwrap().to_owned())
        .collect();
    enabled.insert("berth.target".to_owned());
    for script in ["postinst", "prerm", "postrm"] {
        let text = fs::read_to_string(folder().join("debian").join(script)).unwrap();
        let [units] = values(&text, "UNITS")[..] else { panic!("{script}: one UNITS") };
        let units: BTreeSet<String> = units.trim_matches('"').split(' ').map(str::to_owned).collect();
        assert_eq!(units, enabled, "{script}");
    }
}

#[test]
fn services_are_watched_and_come_back() {
    for (path, unit) in services() {
        if values(&unit, "Type") == ["oneshot"] {
            continue;
        }
        let name = path.display();
        assert_eq!(values(&unit, "Type"), ["notify"], "{name}");
        assert_eq!(values(&unit, "WatchdogSec").len(), 1, "{name}");
        assert_eq!(values(&unit, "Restart"), ["on-failure"], "{name}");
        // An engine that isn't there keeps nobody from pushing or signing in.
        assert!(
            !unit.lines().any(|line| line.starts_with("Requires=") || line.starts_with("BindsTo=")),
            "{name}"
        );
        assert!(path.ends_with("berth.service") || !unit.contains("docker"), "{name}");
    }
}

#[test]
fn the_table_of_formats_can_be_read() {
    let text = fs::read_to_string(folder().join("formats")).unwrap();
    let rows: Vec<&str> = text.lines().filter(|line| !line.starts_with('#')).collect();
    assert!(!rows.is_empty());
    for row in rows {
        let [version, place, what] = row.split('\t').collect::<Vec<_>>()[..] else {
            panic!("three cells: {row}")
        };
        let is_number = |part: &str| part.parse::<u32>().is_ok();
        assert!(version.split('.').count() == 3 && version.split('.').all(is_number), "{row}");
        assert!(!place.is_empty() && !what.is_empty(), "{row}");
    }
}

/// The names of the pages that a command and those below it have.
fn pages(command: &Command, before: &str, found: &mut BTreeSet<String>) {
    let name = format!("{before}{}", command.get_name());
    for below in command.get_subcommands().filter(|below| !below.is_hide_set()) {
        pages(below, &format!("{name}-"), found);
    }
    found.insert(format!("{name}.1"));
}

#[test]
fn each_subcommand_has_a_man_page_and_each_shell_its_completions() {
    let home = tempfile::tempdir().unwrap();
    berth_packaging::write(home.path()).unwrap();
    let mut wanted = BTreeSet::new();
    pages(&berth::command::line(), "", &mut wanted);
    pages(&berth_web::arguments::line(), "", &mut wanted);
    assert!(wanted.contains("berth-engine-setup.1") && wanted.contains("berth-web.1"), "{wanted:?}");
    let name = |entry: std::io::Result<fs::DirEntry>| entry.unwrap().file_name().into_string().unwrap();
    let written: BTreeSet<String> = fs::read_dir(home.path().join("man")).unwrap().map(name).collect();
    let missing: Vec<_> = wanted.difference(&written).collect();
    assert!(missing.is_empty(), "{missing:?}");
    // Units and the scripts name pages, too.
    for (path, unit) in services() {
        for page in values(&unit, "Documentation")[0].split(' ') {
            let page = page.strip_prefix("man:").unwrap().replace("(1)", ".1");
            assert!(written.contains(&page), "{}: {page}", path.display());
        }
    }
    let setup = fs::read_to_string(home.path().join("man/berth-engine-setup.1")).unwrap();
    assert!(setup.contains("\\-\\-way"), "{setup}");
    for file in ["berth.bash", "_berth", "berth.fish"] {
        let text = fs::read_to_string(home.path().join(file)).unwrap();
        assert!(text.contains("engine") && text.contains("setup"), "{file}");
    }
}

#[test]
fn the_package_lowers_no_setting_of_the_kernel() {
    let home = tempfile::tempdir().unwrap();
    berth_packaging::write(home.path()).unwrap();
    let text = fs::read_to_string(home.path().join("sysctl.conf")).unwrap();
    let lines: Vec<&str> = text.lines().filter(|line| !line.starts_with('#')).collect();
    assert!(lines.contains(&"kernel.keys.maxkeys = 20000"), "{text}");
    // A host with much memory has more of these by itself.
    let grow = ["user.max_net_namespaces", "fs.inotify.max_user_watches"];
    assert!(grow.iter().all(|name| !text.contains(name)), "{text}");
    let known = |line: &str| QUOTAS.iter().any(|quota| line == format!("{} = {}", quota.sysctl, quota.least));
    assert!(lines.iter().all(|line| known(line)), "{text}");
    let modules = fs::read_to_string(home.path().join("modules.conf")).unwrap();
    assert!(modules.ends_with("nf_conntrack\n"), "{modules}");
}
