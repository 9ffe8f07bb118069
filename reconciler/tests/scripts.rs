//! The scripts behind `make up`, in a clone of their own whose path has a space, with stand-ins for what they would install.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test says what it expects by unwrapping")]

use std::fs;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, chown};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use berth_testing::process::PATIENCE;
use berth_testing::{Ran, put, run, skipped};
use rustix::process::geteuid;
use tempfile::TempDir;

/// A user of every Debian, who owns nothing.
const NOBODY: u32 = 65534;
const KEY: &str = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIFwd4hDKVjkNV3t11OwpbDnynTRvcOgxT59FnA682koi agent";

/// A clone, a home, and programs that stand in for others.
struct Bench(TempDir);

impl Bench {
    fn new() -> Self {
        let bench = Self(TempDir::new().unwrap());
        let source = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
        fs::create_dir_all(bench.clone().join("scripts")).unwrap();
        for entry in fs::read_dir(source.join("scripts")).unwrap() {
            let entry = entry.unwrap();
            fs::copy(entry.path(), bench.clone().join("scripts").join(entry.file_name())).unwrap();
        }
        let packaging = source.join("packaging");
        for file in ["users.sh", "places.sh"] {
            put(&bench.clone().join("packaging"), file, fs::read_to_string(packaging.join(file)).unwrap());
        }
        for entry in fs::read_dir(packaging.join("units")).unwrap() {
            let path = entry.unwrap().path();
            let name = path.file_name().unwrap().to_str().unwrap();
            put(&bench.clone().join("packaging/units"), name, fs::read_to_string(&path).unwrap());
        }
        put(&bench.clone(), "Cargo.toml", "rust-version = \"1.90\"\n");
        fs::create_dir_all(bench.at("home")).unwrap();
        // Nobody's home is where this says, and no package is known, unless a test says otherwise.
        let home = bench.at("home").display().to_string();
        bench.program("getent", &format!("echo \"$2:x:0:0::{home}:/bin/sh\""));
        bench.program("apt-cache", "exit 100");
        bench.program("apt-get", "echo \"$@\" >> \"$0.calls\"; exit 100");
        bench.program("curl", "echo \"$@\" >> \"$0.calls\"; exit 6");
        bench.program("rustc", "exit 1");
        bench.program("cargo", "echo cargo 1.95.0");
        bench
    }

    fn at(&self, path: &str) -> PathBuf {
        self.0.path().join(path)
    }

    fn clone(&self) -> PathBuf {
        self.at("a clone")
    }

    /// A program that is found before any other of its name.
    fn program(&self, name: &str, script: &str) {
        let path = self.at("bin").join(name);
        put(&self.at("bin"), name, format!("#!/bin/sh\n{script}\n"));
        fs::set_permissions(path, fs::Permissions::from_mode(0o755)).unwrap();
    }

    /// The arguments that a stand-in was called with.
    fn calls(&self, name: &str) -> String {
        fs::read_to_string(self.at("bin").join(format!("{name}.calls"))).unwrap_or_default()
    }

    fn script(&self, name: &str, arguments: &[&str]) -> Ran {
        self.run(Command::new(self.clone().join("scripts").join(name)).args(arguments))
    }

    /// The same where the host's own services and processes can't be met: /run and systemd's folder of units are empty, and stay so
    /// from one call to the next only as far as `keeps` says.
    fn script_apart(&self, name: &str, keeps: &[&str]) -> Ran {
        let mut apart = Command::new("unshare");
        apart.args(["--mount", "bash", "-euc"]);
        let kept = keeps.iter().map(|place| {
            let own = self.at("kept").join(place.trim_start_matches('/'));
            fs::create_dir_all(&own).unwrap();
            format!("mkdir -p '{place}'; mount --bind '{}' '{place}'; ", own.display())
        });
        let script = self.clone().join("scripts").join(name);
        apart.arg(format!(
            "mount -t tmpfs tmpfs /run; {}exec '{}'",
            kept.collect::<String>(),
            script.display()
        ));
        self.run(&mut apart)
    }

    fn run(&self, script: &mut Command) -> Ran {
        script.env_clear().env("HOME", self.at("home"));
        script.env("PATH", format!("{}:/usr/sbin:/usr/bin:/sbin:/bin", self.at("bin").display()));
        script.env("BERTH_STATE", self.at("state.git")).env("BERTH_DATA", self.at("data"));
        script.env("BERTH_PENDING", self.at("pending"));
        run(script.current_dir(self.0.path()), PATIENCE)
    }
}

#[test]
fn rust_that_is_new_enough_is_left_alone() {
    let bench = Bench::new();
    for version in ["1.90.0", "1.100.0", "2.0.0", "1.95.0-nightly"] {
        bench.program("rustc", &format!("echo 'rustc {version} (abc 2026-01-01)'"));
        assert_eq!(bench.script("rust.sh", &[]).good().words(), "\n", "{version}");
    }
    assert_eq!(bench.calls("apt-get") + &bench.calls("curl"), "");
}

#[test]
fn an_old_rust_gives_way_to_a_newer_toolchain_that_is_there() {
    let bench = Bench::new();
    bench.program(
        "rustc",
        "[ \"$RUSTUP_TOOLCHAIN\" = stable ] && echo 'rustc 1.95.0 (a)' || echo 'rustc 1.89.0 (b)'",
    );
    assert_eq!(bench.script("rust.sh", &[]).good().words(), "stable\n");
    assert_eq!(bench.calls("curl"), "");
}

#[test]
fn a_missing_rust_comes_from_the_distributions_package() {
    if !geteuid().is_root() {
        return skipped("packages are installed by root");
    }
    let bench = Bench::new();
    let stable = bench.at("stable").display().to_string();
    let rustup = bench.at("bin/rustup").display().to_string();
    bench.program("apt-cache", "echo Package: $2");
    bench.program(
        "apt-get",
        &format!(
            "echo \"$@\" >> \"$0.calls\"; printf '#!/bin/sh\\necho $* >> \"$0.calls\"; touch {stable}\\n' > {rustup}; chmod +x {rustup}"
        ),
    );
    bench.program("rustc", &format!("[ -e {stable} ] && echo 'rustc 1.95.0 (a)'"));
    let ran = bench.script("rust.sh", &[]).good();
    ran.says("installing: rustup").says("Rust 1.90 or newer is needed");
    // Nobody's own Rust of the distribution goes for it.
    assert!(bench.calls("apt-get").contains("--no-remove rustup"), "{}", bench.calls("apt-get"));
    assert!(
        bench.calls("rustup").starts_with("toolchain install stable --profile minimal"),
        "{}",
        bench.calls("rustup")
    );
    assert_eq!(bench.calls("curl"), "");
}

#[test]
fn a_missing_rust_comes_from_rustups_site() {
    let bench = Bench::new();
    // What is fetched puts Rust where rustup does.
    bench.program(
        "curl",
        "echo \"$@\" >> \"$0.calls\"
while [ \"$1\" != --output ]; do shift; done
cat > \"$2\" <<'END'
echo \"$@\" > \"$HOME/installer.calls\"
mkdir -p \"$HOME/.cargo/bin\"
printf '#!/bin/sh\\necho \"rustc 1.95.0 (a)\"\\n' > \"$HOME/.cargo/bin/rustc\"
chmod +x \"$HOME/.cargo/bin/rustc\"
END",
    );
    bench.script("rust.sh", &[]).good().says("from https://rustup.rs");
    assert!(bench.calls("curl").contains("--proto =https --tlsv1.2"), "{}", bench.calls("curl"));
    let installer = fs::read_to_string(bench.at("home/installer.calls")).unwrap();
    assert_eq!(installer, "-y --quiet --no-modify-path --profile minimal --default-toolchain stable\n");
    // The next time it is there.
    let calls = bench.calls("curl");
    assert_eq!(bench.script("rust.sh", &[]).good().words(), "\n");
    assert_eq!(bench.calls("curl"), calls);
}

#[test]
fn without_any_way_to_rust_it_is_said_what_to_do() {
    let bench = Bench::new();
    bench.program("rustc", "echo 'rustc 1.63.0 (a)'");
    let ran = bench.script("rust.sh", &[]).coded(1);
    for words in ["has 1.63.0", "https_proxy", "~/.rustup"] {
        assert!(ran.stderr.contains(words), "{ran}");
    }
    assert_eq!(ran.stdout, "");
    bench.script("build.sh", &[]).coded(1);
}

#[test]
fn the_owner_of_the_clone_builds_and_the_rest_is_told_in_lines() {
    if !geteuid().is_root() {
        return skipped("only root becomes somebody else");
    }
    let bench = Bench::new();
    bench.program("getent", "exec /usr/bin/getent \"$@\"");
    bench.program("rustc", "echo 'rustc 1.95.0 (a)'");
    bench.program(
        "cargo",
        "[ \"$1\" = build ] || exit 0
id -un > who
echo \"$@\" > arguments
mkdir -p target/release && : > target/release/berth
printf '   Compiling a v1\\n    Building [>      ] 3/480: a\\r   Compiling b v1\\n    Building [=====> ] 240/480: b\\r' >&2
printf 'warning: something\\n    Finished\\n' >&2",
    );
    fs::create_dir_all(bench.clone().join("target/release")).unwrap();
    let paths = [bench.clone(), bench.clone().join("scripts"), bench.clone().join("Cargo.toml")];
    for path in &paths {
        chown(path, Some(NOBODY), Some(NOBODY)).unwrap();
    }
    // A home is closed to others, and open to root.
    fs::set_permissions(bench.clone(), fs::Permissions::from_mode(0o700)).unwrap();
    for open in [bench.0.path(), &bench.at("bin")] {
        fs::set_permissions(open, fs::Permissions::from_mode(0o755)).unwrap();
    }
    let ran = bench.script("build.sh", &[]).good();
    assert_eq!(
        ran.stdout,
        "  building: 3 of 480 crates; the first time takes minutes\nwarning: something\n    Finished\n",
        "{ran}"
    );
    assert_eq!(fs::read_to_string(bench.clone().join("who")).unwrap(), "nobody\n");
    assert!(
        fs::read_to_string(bench.clone().join("arguments"))
            .unwrap()
            .starts_with("build --release --locked -p berth ")
    );
    for made in ["target", "target/release", "target/release/berth", "who"] {
        assert_eq!(fs::metadata(bench.clone().join(made)).unwrap().uid(), NOBODY, "{made}");
    }
    // A build that fails fails.
    bench.program("cargo", "[ \"$1\" = build ] || exit 0\necho 'error: no' >&2; exit 101");
    bench.script("build.sh", &[]).coded(101).says("error: no");
}

#[test]
fn keys_are_those_that_open_something_from_here() {
    let bench = Bench::new();
    // Nobody has a key yet: one is made, once.
    let made = bench.script("keys.sh", &[]).good();
    made.says("had no SSH key");
    let public = fs::read_to_string(bench.at("home/.ssh/id_ed25519.pub")).unwrap();
    let again = bench.script("keys.sh", &[]).good();
    assert_eq!((again.stdout, again.stderr), (public.clone(), String::new()));
    // One without its other half, one that is too short, and one of an agent.
    put(&bench.at("home/.ssh"), "id_alone.pub", format!("{KEY}\n"));
    let short = bench.at("home/.ssh/id_rsa").display().to_string();
    run(Command::new("ssh-keygen").args(["-q", "-t", "rsa", "-b", "1024", "-N", "", "-f", &short]), PATIENCE)
        .good();
    assert_eq!(bench.script("keys.sh", &[]).good().stdout, public);
    bench.program("ssh-add", &format!("echo '{KEY}'"));
    let mut with_agent = Command::new(bench.clone().join("scripts/keys.sh"));
    with_agent.env_clear().env("SSH_AUTH_SOCK", "/agent").env("HOME", bench.at("home"));
    with_agent.env("PATH", format!("{}:/usr/bin:/bin", bench.at("bin").display()));
    assert_eq!(run(&mut with_agent, PATIENCE).good().stdout, format!("{public}{KEY}\n"));
}

#[test]
fn packages_that_can_t_be_had_are_told_with_what_to_do() {
    if !geteuid().is_root() {
        return skipped("packages are installed by root");
    }
    let bench = Bench::new();
    bench.program("dpkg-query", "exit 1");
    bench.program("dpkg", "echo \"$@\" >> \"$0.calls\"; [ \"$1\" != --audit ] || echo half");
    let ran = bench.script("install.sh", &["check"]).coded(1);
    ran.says("installing: build-essential pkg-config")
        .says("cannot install: build-essential pkg-config")
        .says("https_proxy")
        .says("--fix-broken");
    // What was cut off is finished first, without a question, and another apt is waited for.
    assert!(bench.calls("dpkg").contains("--configure -a --force-confold"), "{}", bench.calls("dpkg"));
    assert!(bench.calls("apt-get").contains("DPkg::Lock::Timeout=600"), "{}", bench.calls("apt-get"));
}

/// Programs that stand in for an engine: it answers once `dockerd` was called.
fn engine(bench: &Bench, code: i32) {
    let up = bench.at("up").display().to_string();
    bench.program("berth", &format!("echo \"$@\" >> \"$0.calls\"; exit {code}"));
    bench.program("berth-runtime", "exit 0");
    bench.program("docker", &format!("[ -e '{up}' ]"));
    bench.program(
        "dockerd",
        &format!("(echo begun; cd /run; ls docker.pid docker/*/*.pid) > \"$0.calls\"; : > '{up}'"),
    );
}

#[test]
fn a_process_that_has_an_old_engines_number_is_left_alone() {
    if !geteuid().is_root() {
        return skipped("the script's /run is a mount");
    }
    // Settings were changed; or nothing was, and no engine answers.
    for code in [2, 0] {
        let bench = Bench::new();
        engine(&bench, code);
        let mut other = Command::new("cat").stdin(Stdio::piped()).spawn().unwrap();
        fs::create_dir_all(bench.at("kept/run")).unwrap();
        put(&bench.at("kept/run"), "docker.pid", other.id().to_string());
        put(&bench.at("kept/run/docker/containerd"), "containerd.pid", "");
        bench.script_apart("engine.sh", &["/run", "/var/log"]).good();
        assert_eq!(other.try_wait().unwrap(), None, "somebody else's process was ended");
        assert_eq!(bench.calls("dockerd"), "begun\n", "the next engine would take it for one that lives");
        other.kill().unwrap();
        other.wait().unwrap();
    }
}

#[test]
fn what_was_replaced_is_started_anew_also_by_the_next_run() {
    if !geteuid().is_root() {
        return skipped("the folder of units is a mount");
    }
    let bench = Bench::new();
    bench.program("berth", "exit 0");
    let units = "/etc/systemd/system";
    let run = |systemctl: &str| {
        bench.program("systemctl", &format!("echo \"$@\" >> \"$0.calls\"; {systemctl}"));
        let ran = bench.script_apart("units.sh", &[units]);
        let calls = bench.calls("systemctl");
        fs::remove_file(bench.at("bin/systemctl.calls")).unwrap();
        (ran, calls)
    };
    // The first run is cut off before the services are started.
    let (ran, calls) = run("[ \"$1\" != daemon-reload ]");
    ran.coded(1);
    assert!(!calls.contains("restart"), "{calls}");
    let (ran, calls) = run("");
    ran.good();
    assert!(calls.contains("restart berth.target\n"), "{calls}");
    let (ran, calls) = run("");
    ran.good();
    assert!(calls.contains("start berth.target\n") && !calls.contains("restart"), "{calls}");
    // A program was replaced, and the run that did it has ended.
    fs::write(bench.at("pending"), "").unwrap();
    assert!(run("").1.contains("restart berth.target\n"));
}

#[test]
fn units_get_places_whatever_is_in_their_names() {
    if !geteuid().is_root() {
        return skipped("the folder of units is a mount");
    }
    let bench = Bench::new();
    bench.program("berth", "exit 0");
    bench.program("systemctl", "exit 0");
    let script = bench.clone().join("scripts/units.sh");
    let mut command = Command::new("unshare");
    command.args(["--mount", "bash", "-euc"]);
    let shown = "mount -t tmpfs tmpfs /etc/systemd/system; BERTH_STATE='/srv/my 5% \"disk\"/state.git' \"$0\" && \
                 cat /etc/systemd/system/berth-.service.d/places.conf && cat /etc/systemd/system/berth.service";
    let ran = bench.run(command.arg(shown).arg(script)).good();
    assert!(ran.stdout.contains(r#"Environment="BERTH_STATE=/srv/my 5%% \"disk\"/state.git" "#), "{ran}");
    assert!(ran.stdout.contains(r#"ReadWritePaths="/srv/my 5%% \"disk\"" "#), "{ran}");
    assert!(ran.stdout.contains("ExecStart=/usr/local/bin/berth reconcile"), "{ran}");
}

#[test]
fn the_last_lines_lead_into_the_platform() {
    let bench = Bench::new();
    put(&bench.at("home"), "key.pub", KEY);
    bench.program("berth", &format!("exec {} \"$@\"", env!("CARGO_BIN_EXE_berth")));
    let example = Path::new(env!("CARGO_MANIFEST_DIR")).join("../example-state");
    let mut init = Command::new(env!("CARGO_BIN_EXE_berth"));
    init.arg("init").arg(bench.at("state.git")).arg("--from").arg(example);
    init.args(["--domain", "berth.localhost", "--admin-key"]).arg(bench.at("home/key.pub"));
    run(&mut init, PATIENCE).good();
    let first = bench.script("ready.sh", &[]).good().stdout;
    for words in [
        "https://panel.localhost:8443/invite/",
        "the password of ann",
        "ssh -p 10022 shop@berth.localhost\n",
        "git clone ssh://git@berth.localhost:10022/state my-state",
        "curl -k https://shop.berth.localhost/",
        "make trust STATE=",
    ] {
        assert!(first.contains(words), "`{words}` is not in:\n{first}");
    }
    // A link works once, and a second one would end the first.
    let second = bench.script("ready.sh", &[]).good().stdout;
    assert!(second.contains("https://panel.localhost:8443/ ") && !second.contains("/invite/"), "{second}");
    assert_eq!(bench.script("field.sh", &["ssh", "port", "22"]).good().stdout, "10022\n");
    assert_eq!(bench.script("field.sh", &["nowhere", "x", "7"]).good().stdout, "7\n");
    if geteuid().is_root() {
        // Whose the state repo is, is the operator's affair.
        let owned = Command::new("chown").args(["-R", "65534"]).arg(bench.at("state.git")).status().unwrap();
        assert!(owned.success());
        let third = bench.script("ready.sh", &[]).good().stdout;
        assert!(third.contains("ssh -p 10022 shop@berth.localhost\n"), "{third}");
    }
}
