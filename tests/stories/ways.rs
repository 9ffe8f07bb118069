//! The ways in which the kernel tells servers from each other: a server goes over from one to the next at its next start and keeps all of
//! its files as they are, and where a way isn't possible the server isn't made and the reason is said.

use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

use berth_tests::engine::{OWN_RANGES, SWITCHED};
use berth_tests::{Docker, Platform, World, image};
use serde_json::json;

crate::stories! { a_server_goes_over_and_back_with_its_files, a_server_that_can_t_have_its_ids_isn_t_made }

const ID: u32 = 7;

/// Makes files of every kind of owner and right: in the server's root, which is an overlay, and in a volume.
const MAKE: &str = r#"
set -e
[ $(uname -m) = x86_64 ] && set=188 || set=5
useradd --create-home ann
su ann -c 'echo mine > ~/note; chmod 600 ~/note'
for folder in /srv /apps; do
    mkdir $folder/it
    cp /bin/busybox $folder/it/setuid 2>/dev/null || cp /usr/bin/id $folder/it/setuid
    cp /usr/bin/id $folder/it/capable
    echo text > $folder/it/shared
    chown ann:www-data $folder/it/shared
    chmod 4755 $folder/it/setuid
    perl -e 'my ($name, $value) = ("security.capability", pack("L5", 0x02000001, 1 << 13, 0, 0, 0));
        syscall($ARGV[1] + 0, $ARGV[0], $name, $value, 20, 0) == 0 or die $!' $folder/it/capable $set
    perl -e 'my $acl = pack("L", 2) . join "", map { pack("SSl", @$_) } [1, 6, -1], [2, 4, 33], [4, 4, -1], [16, 4, -1], [32, 0, -1];
        my $name = "system.posix_acl_access";
        syscall($ARGV[1] + 0, $ARGV[0], $name, $acl, length $acl, 0) == 0 or die $!' $folder/it/shared $set
done
"#;

/// Lists them, as the server sees them.
const LIST: &str = r#"
[ $(uname -m) = x86_64 ] && get=191 || get=8
for folder in /srv /apps; do
    stat -c '%u:%g %a %s %n' $folder/it $folder/it/*
    for name in capable:security.capability shared:system.posix_acl_access; do
        perl -e 'my $value = "\0" x 100; my $got = syscall($ARGV[2] + 0, $ARGV[0], $ARGV[1], $value, 100); print "$ARGV[1] ", unpack("H*", substr($value, 0, $got)), "\n"' $folder/it/${name%%:*} ${name#*:} $get
    done
done
stat -c '%u:%g %a %n' /home/ann/note
su ann -c 'cat ~/note'
"#;

fn a_server_goes_over_and_back_with_its_files(world: &World) {
    let engine = world.engine_with_servers();
    let platform = Platform::new(engine, |first| {
        let settings = first.read("platform.toml");
        let settings =
            settings.replace(image::TINY, image::SERVER).replace(image::HOLDER, image::SERVER_HOLDER);
        first.write("platform.toml", &settings);
        first.server("mover", ID, "state = \"stopped\"\nmemory = \"512 MiB\"\n");
    });
    platform.apply();
    let (docker, name) = (platform.docker(), platform.name(ID));
    engine.switch(SWITCHED, "--shared-account");
    docker.make_again(&name, |body| {
        body["HostConfig"]["Runtime"] = json!(SWITCHED);
        // Its files are what this is about, and systemd takes its time.
        body["Entrypoint"] = json!(["sleep", "infinity"]);
        body["Cmd"] = json!([]);
        body["StopSignal"] = json!("SIGKILL");
    });
    let (engine_s, note) = (root_of(docker, &name), format!("/home/ann/note-{ID}"));
    docker.run(&["exec", &name, "sh", "-c", MAKE]);
    docker.run(&["exec", &name, "su", "ann", "-c", &format!(": > {note}")]);
    let before = docker.run(&["exec", &name, "sh", "-c", LIST]);
    let on_disk = owners_on_disk(docker, &name);
    assert!(before.contains("4755") && before.contains("security.capability 0100000200200000"), "{before}");
    assert!(on_disk.iter().all(|owner| (engine_s..engine_s + 0x1_0000).contains(owner)), "{on_disk:?}");

    for (argument, way) in
        [("--own-ranges", "own"), ("", "account"), ("--own-ranges", "own"), ("--shared-account", "shared")]
    {
        engine.switch(SWITCHED, argument);
        // Those that run stay as they are, and can be entered.
        assert_eq!(docker.run(&["exec", &name, "echo", "in"]), "in");
        docker.run(&["restart", "-t", "1", &name]);
        let root = root_of(docker, &name);
        assert_eq!(root != engine_s, way == "own", "root is {root} by `{way}`");
        assert_eq!(recorded(docker, &name), way);
        assert_eq!(docker.run(&["exec", &name, "sh", "-c", LIST]), before, "by `{way}`");
        // It works on as before, and what it writes is in the engine's ids.
        docker.run(&["exec", &name, "su", "ann", "-c", &format!("echo {way} >> {note}; cat ~/note")]);
        assert_eq!(owners_on_disk(docker, &name), on_disk, "by `{way}`");
        if way == "own" {
            // As after a start of the machine. Another process may be about to enter a server, and then it stays.
            let _ = fs::remove_dir("/run/berth-ranges/root");
            assert_eq!(docker.run(&["exec", &name, "sh", "-c", "echo out > /dev/stdout"]), "out");
        }
        nothing_is_mounted_here();
    }
    let said = docker.run(&["exec", &name, "cat", &note]);
    assert_eq!(said.lines().collect::<Vec<_>>(), ["own", "account", "own", "shared"]);
}

fn a_server_that_can_t_have_its_ids_isn_t_made(world: &World) {
    let docker = world.engine().docker();
    let name = format!("refused-{}", std::process::id());
    let attempt = |more: &[&str]| {
        let asked = ["create", "--name", &name, "--network", "none", "--runtime", OWN_RANGES];
        let ran = docker.attempt(&[&asked[..], more, &[image::TINY]].concat()).is_good();
        assert!(ran, "{more:?}");
        let started = docker.attempt(&["start", &name]);
        assert!(!started.is_good(), "{more:?}");
        assert_eq!(docker.run(&["inspect", "--format", "{{.State.Pid}}", &name]), "0");
        docker.run(&["rm", &name]);
        nothing_is_mounted_here();
        started.words()
    };
    let words = attempt(&["-e", "BERTH_SERVER_ID=3", "-v", "/proc/version:/x"]);
    assert!(words.contains("cannot shift the ids of /proc/version"), "{words}");
    let words = attempt(&["-e", "BERTH_SERVER_ID=4095"]);
    assert!(words.contains("server 4095 has no range of ids"), "{words}");
}

/// The host's id of a server's root.
fn root_of(docker: &Docker, server: &str) -> u32 {
    let pid = docker.run(&["inspect", "--format", "{{.State.Pid}}", server]);
    let state = || docker.run(&["inspect", "--format", "{{json .State}}", server]);
    assert_ne!(pid, "0", "{} {}", state(), docker.attempt(&["logs", server]));
    let map = fs::read_to_string(format!("/proc/{pid}/uid_map")).expect("a mapping");
    map.split_ascii_whitespace().nth(1).and_then(|id| id.parse().ok()).expect("an id")
}

/// The way that is written down for a server.
fn recorded(docker: &Docker, server: &str) -> String {
    let id = docker.run(&["inspect", "--format", "{{.Id}}", server]);
    let record = fs::read_to_string(Path::new("/run/berth/servers").join(id)).expect("a record");
    record.split(' ').next().unwrap_or_default().to_owned()
}

/// Owners of the server's files on the host's disk: of its root's upper layer, and of its volumes.
fn owners_on_disk(docker: &Docker, server: &str) -> Vec<u32> {
    let inspected = docker.inspect(server);
    let upper = inspected["GraphDriver"]["Data"]["UpperDir"].as_str().expect("a layer").to_owned();
    let volumes = inspected["Mounts"].as_array().expect("mounts").iter();
    let apps = volumes.clone().find(|mount| mount["Destination"] == "/apps").expect("a volume");
    let home = volumes.clone().find(|mount| mount["Destination"] == "/home").expect("a volume");
    let source = |mount: &serde_json::Value| mount["Source"].as_str().expect("a folder").to_owned();
    let mut owners = Vec::new();
    for folder in [format!("{upper}/srv/it"), format!("{}/it", source(apps)), format!("{}/ann", source(home))] {
        let mut paths: Vec<_> = fs::read_dir(&folder).expect("a folder").map(|entry| entry.expect("an entry").path()).collect();
        paths.push(folder.into());
        paths.sort();
        owners.extend(paths.iter().flat_map(|path| {
            let metadata = fs::symlink_metadata(path).expect("a file");
            [metadata.uid(), metadata.gid()]
        }));
    }
    owners
}

/// Checks that this machine's mount table knows nothing of how servers see their files.
fn nothing_is_mounted_here() {
    let table = fs::read_to_string("/proc/self/mountinfo").expect("a table");
    let ours: Vec<&str> = table.lines().filter(|line| line.contains("berth-ranges")).collect();
    assert!(ours.is_empty(), "{ours:#?}");
}
