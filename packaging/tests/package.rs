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
    for line in berth_packaging::lines() {
        pages(&line, "", &mut wanted);
    }
    // That of berth-runtime is a file.
    for program in
        ["berth-engine-setup", "berth-gate", "berth-gate-supervise", "berth-ssh-router-check", "berth-web"]
    {
        assert!(wanted.contains(&format!("{program}.1")), "{program}: {wanted:?}");
    }
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

/// The places that the package's scripts find in such a file of settings.
fn places(settings: &[u8]) -> [String; 2] {
    let home = tempfile::tempdir().unwrap();
    let file = home.path().join("berth");
    fs::write(&file, settings).unwrap();
    let script = ". \"$0\"; berth_places \"$1\"; printf '%s\\n%s\\n' \"$BERTH_STATE\" \"$BERTH_DATA\"";
    let shell = std::process::Command::new("sh")
        .args(["-euc", script])
        .arg(folder().join("places.sh"))
        .arg(&file)
        .current_dir(home.path())
        .output()
        .unwrap();
    assert!(shell.status.success() && shell.stderr.is_empty(), "{shell:?}");
    assert!(!home.path().join("ran").exists(), "a value is no command");
    let said = String::from_utf8(shell.stdout).unwrap();
    let [state, data] = said.lines().collect::<Vec<_>>()[..] else { panic!("two places: {said}") };
    [state.to_owned(), data.to_owned()]
}

#[test]
fn places_are_read_as_systemd_reads_them() {
    let usual = ["/var/lib/berth/state.git", "/var/lib/berth/data"];
    assert_eq!(places(b""), usual);
    assert_eq!(
        places(b"#BERTH_STATE=/a\nBERTH_STATE=/srv/b\n BERTH_DATA= /srv/c/ \n"),
        ["/srv/b", "/srv/c"],
        "a comment says nothing, and a folder has no slash behind it"
    );
    assert_eq!(
        places(b"BERTH_STATE=\"/srv/my berth/s\"\nBERTH_DATA='/srv/d'\n"),
        ["/srv/my berth/s", "/srv/d"]
    );
    assert_eq!(places(b"BERTH_DATA=/srv/a\nBERTH_DATA=/srv/b\n")[1], "/srv/b", "the last one counts");
    // A purge removes folders in this place: what is none must not become the root of all.
    for none in [
        "BERTH_DATA=",
        "BERTH_DATA=/",
        "BERTH_DATA=//",
        "BERTH_DATA=here",
        "BERTH_DATA=\"\"",
        "XBERTH_DATA=/a",
    ] {
        assert_eq!(places(none.as_bytes()), usual, "{none}");
    }
    // No shell could read these.
    let words =
        b"BERTH_LOG=info, berth=debug\nX=$(touch ran)\nY=; touch ran\nZ=it's (\n\xff\nBERTH_DATA=/srv/e\n";
    assert_eq!(places(words)[1], "/srv/e");
}

#[test]
fn the_documents_say_of_each_unit_what_systemd_says() {
    let systemd = std::process::Command::new("systemd-analyze").arg("--version").output();
    if !systemd.is_ok_and(|said| said.stdout.starts_with(b"systemd 252 ")) {
        return berth_testing::skipped("the figures are those of systemd 252");
    }
    let page = fs::read_to_string(folder().join("../docs/operations.md")).unwrap();
    for (path, _) in services() {
        let name = path.file_stem().unwrap().to_str().unwrap();
        let row = page.lines().find(|line| {
            line.starts_with("| ")
                && line.split('|').nth(1).is_some_and(|units| units.contains(&format!("`{name}`")))
                && line.split('|').nth(2).is_some_and(|figure| figure.trim().parse::<f32>().is_ok())
        });
        let figure = row.unwrap_or_else(|| panic!("{name} has no figure")).split('|').nth(2).unwrap().trim();
        let said = std::process::Command::new("systemd-analyze")
            .args(["security", "--offline=true", "--no-pager"])
            .arg(&path)
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&said.stdout).into_owned();
        assert!(said.contains(&format!("{name}.service: {figure} ")), "{figure}: {said}");
    }
}
