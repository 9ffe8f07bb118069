//! The closed world itself: stories about it would prove nothing if it leaked, or if nobody were at home.

use berth_tests::World;
use berth_tests::lab::{DENIED, MAIL, NAME, NAME_OF_PRIVATE, NAME_SERVERS, PRIVATE, WEBSITE};
use berth_tests::image::HOLDER;

crate::stories! { nothing_leads_out_of_it, everybody_is_at_home, its_engine_has_a_way_out }

fn nothing_leads_out_of_it(world: &World) {
    let lab = world.lab();
    for (namespace, line) in [(lab.host(), "up0"), (lab.internet().namespace(), "down0")] {
        let links = namespace.shell("ip -o link | cut -d: -f2 | tr -d ' '").good().stdout;
        let own = |link: &&str| *link == "lo" || link.starts_with("docker") || link.starts_with("br-") || link.starts_with("veth");
        let others: Vec<&str> = links.lines().map(|l| l.split('@').next().unwrap_or(l)).filter(|l| !own(l)).collect();
        assert_eq!(others, [line]);
    }
}

fn everybody_is_at_home(world: &World) {
    let lab = world.lab();
    for address in DENIED.iter().chain(&[WEBSITE, MAIL]) {
        let ran = lab.host().shell(&format!("curl -sS --noproxy '*' --max-time 5 http://{address}/")).good();
        assert!(ran.stdout.ends_with(&format!("asked {address}\n")), "{ran}");
    }
    lab.host().shell(&format!("busybox nc -w 3 {MAIL} 25 < /dev/null")).good().says("220 ");
    assert!(lab.internet().visits().iter().any(|visit| visit.to.ip() == MAIL && visit.to.port() == 25));
    for (name, address) in [(NAME, WEBSITE), (NAME_OF_PRIVATE, PRIVATE)] {
        lab.host().shell(&format!("busybox nslookup {name} {}", NAME_SERVERS[1])).good().says(&address.to_string());
    }
}

fn its_engine_has_a_way_out(world: &World) {
    let docker = world.lab().engine().docker();
    let page = format!("http://{WEBSITE}/");
    docker.attempt(&["run", "--rm", HOLDER, "/bin/busybox", "wget", "-q", "-O", "-", &page]).good().says("51.0.0.10 asked");
}
