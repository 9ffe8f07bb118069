//! An app behind the server's own Caddy, as the guide has it, that does what many do behind a proxy: it sends whoever comes without TLS to
//! `https://`, and tells visitors apart by their addresses. Neither may get lost on the way through two web servers.

use berth_tests::lab::{PUBLIC, WEBSITE};
use berth_tests::process::within;
use berth_tests::run;

use super::guide::BOB;
use super::scene::{PATIENCE, Scene};

/// The member's Caddyfile. Its second site is the app.
const CADDYFILE: &str = ":80 {
	import berth
	reverse_proxy localhost:3002
}
:3002 {
	@plain not header X-Forwarded-Proto https
	redir @plain https://{host}{uri} 301
	respond \"visitor {header.X-Forwarded-For}\"
}
";

pub(super) fn the_visitor_and_the_scheme_arrive(scene: &Scene<'_>) {
    scene.gets_in(BOB, "shop", "shop");
    scene.runs(BOB, "shop", &format!("cat > ~/Caddyfile <<'END'\n{CADDYFILE}END")).good();
    let (visitor, to) = (format!("visitor {WEBSITE}"), format!("::{PUBLIC}:"));
    within(PATIENCE, "the app hears who visits, and by which scheme", || {
        let mut curl = scene.lab.internet().namespace().command();
        curl.args(["curl", "-ksS", "--max-time", "20", "--connect-to", &to, "https://shop.stories.example.org/"]);
        run(&mut curl, PATIENCE).stdout.starts_with(&visitor).then_some(())
    });
}
