//! HTTPS on a whole platform: the certificates of a platform subdomain and of a custom domain come from a CA out in the
//! internet, which looks for itself whose they are, and are renewed.

use std::time::Duration;

use berth_tests::acme::Acme;
use berth_tests::lab::{PUBLIC, WEBSITE};
use berth_tests::ground::scratch;
use berth_tests::process::within;
use berth_tests::{Lab, Platform, Ran, World, eventually};
use berth_wire::client::Daemon;
use berth_wire::site::SiteCertificate;

crate::stories! { a_domain_s_certificate_comes_by_itself_and_is_renewed }

/// Lifetime of a certificate: it is renewed when two thirds of that are over.
const SECONDS: u32 = 60;
/// Asking the CA takes some round trips between busy processes.
const ISSUING: Duration = Duration::from_secs(60);

fn a_domain_s_certificate_comes_by_itself_and_is_renewed(world: &World) {
    let lab = world.lab();
    let folder = scratch();
    let acme = Acme::between(lab.internet().namespace(), folder.path(), SECONDS, WEBSITE, PUBLIC);
    let platform = Platform::in_lab(lab, |first| {
        let settings = first.read("platform.toml").replace("[quota]", "[quota]\ncustom_domains = true");
        first.write("platform.toml", &format!("{settings}\n{}", acme.settings()));
        first.server("one", 1, "memory = \"512 MiB\"\ncpus = 1\npids = 1024\n");
        let site = "server = \"one\"\nport = 8080\n";
        for (domain, more) in [
            ("shop.stories.example.org", ""),
            ("shop.example.com", ""),
            ("inner.stories.example.org", "tls = \"internal\"\n"),
        ] {
            first.write(&format!("domains/{domain}.toml"), &format!("{site}{more}"));
        }
    });
    platform.apply();
    platform.serve_page(1, "app one");
    let root = acme.root();
    let root = root.to_str().expect("a path");

    for domain in ["shop.stories.example.org", "shop.example.com"] {
        let seen = within(ISSUING, "a certificate that the world trusts", || {
            Some(secure(lab, domain, &["--cacert", root])).filter(|ran| ran.stdout.contains("app one"))
        });
        seen.says("app one");
        // Plain HTTP leads there.
        let plain = lab.visit(&["-H", &format!("Host: {domain}"), "-w", "%{redirect_url}", &format!("http://{PUBLIC}/")]);
        assert_eq!(plain.good().stdout.lines().last(), Some(&*format!("https://{domain}/")));
    }
    // The platform's own CA, which only who knows it trusts.
    assert!(!secure(lab, "inner.stories.example.org", &["--cacert", root]).is_good());
    secure(lab, "inner.stories.example.org", &["-k", "-v"]).good().says("app one").says("Caddy Local Authority");
    // Nobody can make it ask for a name that is no domain of the platform's.
    assert!(!secure(lab, "other.stories.example.org", &["--cacert", root]).is_good());

    // Whoever reads the page of the server is told, of each domain alone.
    let _daemon = platform.daemon();
    let held = eventually("the certificate is found", || {
        told(&platform, "shop.example.com").filter(|told| told.held.is_some())
    });
    assert_eq!(held.failed, None, "{held:?}");
    let issuer = held.held.expect("a certificate").issuer;
    assert!(issuer.contains("Pebble"), "{issuer}");
    assert_eq!(told(&platform, "inner.stories.example.org").and_then(|told| told.held), None);

    let expires = || {
        let words = secure(lab, "shop.example.com", &["--cacert", root, "-v"]).words();
        words.lines().find_map(|line| Some(line.split_once("expire date: ")?.1.to_owned()))
    };
    let first = expires().expect("an end");
    within(ISSUING + Duration::from_secs(SECONDS.into()), "a new certificate", || {
        expires().filter(|date| *date != first).map(drop)
    });
    secure(lab, "shop.example.com", &["--cacert", root]).good().says("app one");
}

/// What the reconciler tells of a domain's certificate.
fn told(platform: &Platform, domain: &str) -> Option<SiteCertificate> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    runtime.block_on(async {
        let mut daemon = Daemon::find(&platform.panel().join("panel.sock")).await.expect("a socket")?;
        daemon.certificates(&[domain.to_owned()]).await.expect("certificates")?.pop()
    })
}

/// A visit over HTTPS from the internet.
fn secure(lab: &Lab, domain: &str, more: &[&str]) -> Ran {
    let (resolve, url) = (format!("{domain}:443:{PUBLIC}"), format!("https://{domain}/"));
    lab.visit(&[more, &["--resolve", &resolve, &url]].concat())
}
