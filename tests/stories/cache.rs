//! The cache of images, as its image runs it: what it fetches once, what it counts, and how it takes a configuration.

use std::fs;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use berth_wire::usage::RateLimit;
use berth_tests::namespace::Namespace;
use berth_tests::ground::scratch;
use berth_tests::process::{PATIENCE, Ran, ending, send, source_tree, wait, within};
use berth_tests::{Platform, World, eventually, run};
use rustix::process::Signal;
use serde_json::{Value, json};
use tempfile::TempDir;

crate::stories! {
    what_one_has_fetched_the_others_need_not,
    it_waits_for_its_upstream_and_takes_nothing_bad,
    docker_hub_s_limit_is_told,
    a_platform_s_status_tells_of_its_cache,
}

const OWN: &str = "127.0.0.2:5000";
const UPSTREAM: &str = "127.0.0.3:5000";

/// A cache, and the registry that it fetches from.
struct Cache {
    namespace: Namespace,
    folder: TempDir,
    processes: Vec<Child>,
}

impl Cache {
    fn start() -> Self {
        let mut cache = Self { namespace: Namespace::make("cache"), folder: scratch(), processes: Vec::new() };
        for part in ["run", "config", "storage", "upstream"] {
            fs::create_dir_all(cache.path(part)).expect("a folder");
        }
        let mut command = cache.command("start");
        let log = fs::File::create(cache.path("log")).expect("a log");
        let start = command.stdin(Stdio::null()).stdout(log.try_clone().expect("a log")).stderr(log).spawn();
        cache.processes.push(start.expect("start the cache"));
        eventually("it waits", || cache.path("run/start.pid").exists().then_some(()));
        cache
    }

    fn path(&self, part: &str) -> PathBuf {
        self.folder.path().join(part)
    }

    fn command(&self, program: &str) -> Command {
        let mut command = self.namespace.command();
        command
            .arg(source_tree().join("templates/dockerhub-cache/rootfs/usr/lib/berth").join(program))
            .env("BERTH_RUN", self.path("run"))
            .env("BERTH_CONFIG", self.path("config"));
        command
    }

    fn start_upstream(&mut self) {
        let text = format!(
            "version: 0.1\nlog: {{level: error}}\nstorage: {{filesystem: {{rootdirectory: {}}}}}\nhttp: {{addr: {UPSTREAM}}}\n",
            self.path("upstream").display()
        );
        fs::write(self.path("upstream.yml"), text).expect("a file");
        let mut command = self.namespace.command();
        command.args(["docker-registry", "serve"]).arg(self.path("upstream.yml"));
        let upstream = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn();
        self.processes.push(upstream.expect("start a registry"));
        eventually("it answers", || self.status(&format!("http://{UPSTREAM}/v2/")).eq("200").then_some(()));
    }

    /// The configuration, as it is rendered for a platform, at this story's places.
    fn configuration(&self, upstream: &str) -> String {
        let platform = format!("domain = \"h.example.org\"\n[cache]\nupstream = \"{upstream}\"\n");
        let parsed = berth_schema::Parsed::parse("platform.toml", &platform);
        let state = berth_schema::State::assemble([&parsed]).expect("a state");
        let text = berth_plan::render::render(berth_plan::render::Kind::Cache, &state, &Default::default(), &berth_plan::Identities::example([]));
        let text = text.expect("a configuration");
        let storage = self.path("storage").display().to_string();
        text.replace("172.19.2.4:5000", OWN).replace("/var/lib/registry", &storage)
    }

    fn load(&self, text: &str) -> Ran {
        let file = self.path("config/registry.yml.next");
        fs::write(&file, text).expect("a file");
        run(self.command("load").arg("cache").arg(file), PATIENCE)
    }

    fn curl(&self, arguments: &[&str]) -> Ran {
        run(self.namespace.command().args(["curl", "-sS", "--noproxy", "*", "--max-time", "10"]).args(arguments), PATIENCE)
    }

    fn status(&self, url: &str) -> String {
        let accept = "Accept: application/vnd.docker.distribution.manifest.v2+json";
        self.curl(&["-o", "/dev/null", "-w", "%{http_code}", "-H", accept, url]).stdout
    }

    fn figures(&self) -> Value {
        serde_json::from_str(&run(&mut self.command("figures"), PATIENCE).good().stdout).expect("JSON")
    }

    /// Puts an image of one layer into the upstream, and returns the layer's digest.
    fn push(&self, name: &str) -> String {
        let layer = self.path("layer");
        fs::write(&layer, "a layer").expect("a file");
        let digest = self.namespace.shell(&format!("sha256sum {}", layer.display())).good().stdout;
        let digest = format!("sha256:{}", digest.split(' ').next().expect("a digest"));
        let repository = format!("http://{UPSTREAM}/v2/{name}");
        let begun = self.curl(&["-D", "-", "-X", "POST", &format!("{repository}/blobs/uploads/")]).good().stdout;
        let place = begun.lines().find_map(|line| line.strip_prefix("Location: ")).expect("a place").trim();
        let data = format!("@{}", layer.display());
        let octets = "Content-Type: application/octet-stream";
        self.curl(&["-X", "PUT", "-H", octets, "--data-binary", &data, &format!("{place}&digest={digest}")]).good();
        let part = |kind| json!({ "mediaType": kind, "size": 7, "digest": digest });
        let kind = "application/vnd.docker.distribution.manifest.v2+json";
        let manifest = json!({
            "schemaVersion": 2, "mediaType": kind,
            "config": part("application/vnd.docker.container.image.v1+json"),
            "layers": [part("application/vnd.docker.image.rootfs.diff.tar.gzip")],
        });
        let head = format!("Content-Type: {kind}");
        let target = format!("{repository}/manifests/latest");
        self.curl(&["-f", "-X", "PUT", "-H", &head, "-d", &manifest.to_string(), &target]).good();
        digest
    }
}

impl Drop for Cache {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("--- cache\n{}", fs::read_to_string(self.path("log")).unwrap_or_default());
        }
        for process in &mut self.processes {
            send(process.id(), Signal::TERM);
            wait(process, Duration::from_secs(5));
        }
        self.namespace.end();
    }
}

fn what_one_has_fetched_the_others_need_not(_: &World) {
    let mut cache = Cache::start();
    cache.start_upstream();
    cache.load(&cache.configuration(&format!("http://{UPSTREAM}"))).good();
    let digest = cache.push("library/tiny");
    let own = format!("http://{OWN}/v2/library/tiny");
    for _ in 0..3 {
        assert_eq!(cache.status(&format!("{own}/manifests/latest")), "200");
        assert_eq!(cache.curl(&[&format!("{own}/blobs/{digest}")]).good().stdout, "a layer");
        eventually("it is kept", || {
            let kept = cache.namespace.shell(&format!("find {} -name link", cache.path("storage").display()));
            kept.stdout.contains("_layers").then_some(())
        });
    }
    let figures = cache.figures();
    assert_eq!((&figures["misses"], &figures["hits"]), (&json!(2), &json!(4)), "{figures}");
    assert!(figures["bytes"].as_u64().is_some_and(|bytes| bytes > 7), "{figures}");
    assert_eq!(cache.status(&format!("{own}/manifests/other")), "404");
    // Nobody can put anything into it.
    let pushed = cache.curl(&["-o", "/dev/null", "-w", "%{http_code}", "-X", "POST", &format!("{own}/blobs/uploads/")]);
    assert_eq!(pushed.stdout, "405");
    // What nobody has isn't worth a line, or servers could fill the log.
    assert!(!fs::read_to_string(cache.path("log")).expect("a log").contains("response completed"));

    let mut start = cache.processes.remove(0);
    send(start.id(), Signal::TERM);
    assert_eq!(ending(wait(&mut start, Duration::from_secs(5)).expect("it ends")), "exit code 0");
    eventually("nothing listens", || cache.status(&format!("http://{OWN}/v2/")).eq("000").then_some(()));
}

fn it_waits_for_its_upstream_and_takes_nothing_bad(_: &World) {
    let mut cache = Cache::start();
    assert_eq!(cache.status(&format!("http://{OWN}/v2/")), "000", "closed before the first configuration");
    run(&mut cache.command("figures"), PATIENCE).coded(1).says("isn't configured");
    let good = cache.configuration(&format!("http://{UPSTREAM}"));
    // Without its upstream it serves what it has, which is nothing yet, and still nobody can put anything into it.
    cache.load(&good).good();
    let manifest = format!("http://{OWN}/v2/library/tiny/manifests/latest");
    assert_eq!(cache.status(&manifest), "404");
    let uploads = format!("http://{OWN}/v2/library/tiny/blobs/uploads/");
    assert_eq!(cache.curl(&["-o", "/dev/null", "-w", "%{http_code}", "-X", "POST", &uploads]).stdout, "405");
    cache.start_upstream();
    cache.push("library/tiny");
    eventually("the upstream is taken", || cache.status(&manifest).eq("200").then_some(()));

    for (bad, words) in [
        (good.replace("proxy:", "proxy"), "line"),
        (good.replace("filesystem:", "filesystm:"), "filesystm"),
        (good.replace("remoteurl:", "url:"), "`remoteurl:` is missing"),
        // Not an address of this container.
        (good.replace(OWN, "198.51.100.1:5000"), "cannot assign requested address"),
    ] {
        cache.load(&bad).coded(1).says(words);
        eventually("what was loaded before serves", || {
            cache.status(&format!("http://{OWN}/v2/")).eq("200").then_some(())
        });
    }
    let before = fs::read_to_string(cache.path("run/registry.pid")).expect("a pid");
    cache.load(&good).good();
    assert_eq!(fs::read_to_string(cache.path("run/registry.pid")).expect("a pid"), before, "the same bytes");
}

fn docker_hub_s_limit_is_told(_: &World) {
    let mut cache = Cache::start();
    cache.start_upstream();
    cache.load(&cache.configuration(&format!("http://{UPSTREAM}"))).good();
    run(&mut cache.command("rate-limit"), PATIENCE).coded(3).says("only Docker Hub tells its limit");

    let hub = |cache: &Cache, head: &str| {
        let head = head.to_owned();
        let listener = cache.namespace.enter(|| std::net::TcpListener::bind("127.0.0.1:0").expect("a port"));
        let address = listener.local_addr().expect("an address");
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten().take(2) {
                answer(stream, &head);
            }
        });
        run(
            cache
                .command("rate-limit")
                .env("BERTH_HUB", format!("http://{UPSTREAM}"))
                .env("BERTH_HUB_TOKENS", format!("http://{address}/token"))
                .env("BERTH_HUB_HEAD", format!("http://{address}")),
            PATIENCE,
        )
    };
    let limit = "RateLimit-Limit: 100;w=21600\r\nRateLimit-Remaining: 76;w=21600\r\nDocker-RateLimit-Source: 192.0.2.1\r\n";
    let told: Value = serde_json::from_str(&hub(&cache, limit).good().stdout).expect("JSON");
    assert_eq!(told, json!({ "limit": 100, "remaining": 76, "window_seconds": 21600, "source": "192.0.2.1" }));
    let read: RateLimit = serde_json::from_value(told).expect("what the reconciler reads");
    assert_eq!((read.limit, read.remaining, read.window_seconds), (Some(100), Some(76), Some(21600)));
    let told: Value = serde_json::from_str(&hub(&cache, "").good().stdout).expect("JSON");
    assert_eq!(told, json!({ "limit": null, "remaining": null, "window_seconds": null, "source": "" }));
}

fn a_platform_s_status_tells_of_its_cache(world: &World) {
    let platform = Platform::in_lab(world.lab(), |_| {});
    platform.apply();
    let daemon = platform.daemon();
    // Its upstream isn't Docker Hub, so there is no limit to tell.
    within(Duration::from_secs(60), "the figures are read", || {
        let status = platform.berth(&["status"]).stdout;
        let line = status.lines().find(|line| line.starts_with("image cache: "))?;
        (line.ends_with(" stored, 0 hits, 0 misses")).then_some(())
    });
    daemon.end();
}

/// Docker Hub, as far as it is asked here.
fn answer(mut stream: std::net::TcpStream, head: &str) {
    use std::io::Write as _;
    let request = berth_tests::web::head(&mut std::io::BufReader::new(&stream)).expect("a request");
    let (head, body) = match request.starts_with("GET /token?") {
        true => ("", "{\"token\":\"abc\",\"access_token\":\"abc\"}"),
        false if request.contains("Authorization: Bearer abc\r\n") => (head, ""),
        false => ("", "no token"),
    };
    let length = body.len();
    let _ = write!(stream, "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: {length}\r\n{head}\r\n{body}");
}
