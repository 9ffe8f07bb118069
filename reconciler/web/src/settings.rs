//! Settings of the panel, which whoever starts it takes from `platform.toml` and from the host.

use std::net::IpAddr;
use std::path::PathBuf;

use berth_schema::access::Admission;
use berth_schema::country::Country;
use ipnet::IpNet;

use crate::acme::Acme;
use crate::way::Way;

/// Settings of the panel.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Name by which people reach it.
    pub domain: String,
    /// Port that it listens on.
    pub port: u16,
    /// Port at which the world reaches that.
    pub public_port: u16,
    /// Ports at which people reach it through the edge, the first one to tell them; none where the edge doesn't pass them on.
    pub edge_ports: Vec<u16>,
    /// Networks that may open it. Without any, and without countries, everybody may; this machine may in any case.
    pub networks: Vec<IpNet>,
    /// Countries that may open it besides.
    pub countries: Vec<Country>,
    /// Folder of the sockets of the door and the reconciler.
    pub sockets: PathBuf,
    /// Folder of the socket at which the SSH router takes tickets; without one, there are no terminals and no logs.
    pub tickets: Option<PathBuf>,
    /// Folder of its own data.
    pub data: PathBuf,
    /// Folder whose templates replace the embedded ones.
    pub templates: Option<PathBuf>,
    /// Program that draws diagrams; without one, the program that this process is.
    pub drawer: Option<PathBuf>,
    /// The CA that gives it a certificate, where one does.
    pub acme: Option<Acme>,
}

impl Settings {
    /// Socket of the door.
    pub fn web_socket(&self) -> PathBuf {
        self.sockets.join("web.sock")
    }

    /// Socket of the reconciler, which only reads.
    pub fn panel_socket(&self) -> PathBuf {
        self.sockets.join("panel.sock")
    }

    /// The origin to tell people.
    pub fn origin(&self) -> String {
        let port = self.edge_ports.first().copied().unwrap_or(self.public_port);
        format!("https://{}", authority(&self.domain, port))
    }

    /// Returns whether this is an origin of the panel: its pages are the same through the edge and at its own port.
    pub fn is_origin(&self, origin: &str) -> bool {
        let ports = self.edge_ports.iter().copied().chain([self.public_port, self.port]);
        let mut origins = ports.map(|port| format!("https://{}", authority(&self.domain, port)));
        origins.any(|own| own.eq_ignore_ascii_case(origin))
    }

    /// Returns whether somebody at the address `from` who has connected to the address `to` of this machine may open it.
    pub fn admits(&self, from: IpAddr, to: IpAddr) -> Admission {
        let (from, to) = (from.to_canonical(), to.to_canonical());
        match from.is_loopback() || from == to {
            // Whoever has the machine's own address is the machine.
            true => Admission::Open,
            false => self.admits_from_edge(from),
        }
    }

    /// Returns whether somebody whom the edge passes on may open it. The machine's own address means nothing there: others may appear
    /// under it.
    pub fn admits_from_edge(&self, from: IpAddr) -> Admission {
        Admission::of(from, &self.networks, &self.countries)
    }

    /// Returns whether a request from this address may be for this host: the panel's own name, and, from this machine, the
    /// machine's names for itself.
    pub fn answers(&self, host: &str, from: IpAddr, way: Way) -> bool {
        let is = |name: &str, port: u16| host.eq_ignore_ascii_case(&authority(name, port));
        match way {
            Way::Edge => self.edge_ports.iter().any(|port| is(&self.domain, *port)),
            Way::Own if is(&self.domain, self.port) || is(&self.domain, self.public_port) => true,
            Way::Own => {
                let near = ["localhost", "127.0.0.1", "[::1]"];
                from.to_canonical().is_loopback() && near.into_iter().any(|name| is(name, self.port))
            }
        }
    }
}

/// A host with its port, where that isn't the usual one.
fn authority(host: &str, port: u16) -> String {
    match port {
        443 => host.to_owned(),
        port => format!("{host}:{port}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(port: u16, networks: &[&str]) -> Settings {
        Settings {
            domain: "panel.example.org".to_owned(),
            port,
            public_port: port,
            edge_ports: Vec::new(),
            networks: networks.iter().map(|network| network.parse().unwrap()).collect(),
            countries: Vec::new(),
            sockets: PathBuf::new(),
            tickets: None,
            data: PathBuf::new(),
            templates: None,
            drawer: None,
            acme: None,
        }
    }

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn networks_let_in_their_own_and_this_machine() {
        let mut settings = settings(8443, &["10.0.0.0/8", "2001:db8::/32"]);
        let own = ip("198.51.100.1");
        for good in ["10.1.2.3", "::ffff:10.1.2.3", "2001:db8::7", "127.0.0.1", "::1", "::ffff:127.0.0.1"] {
            assert_eq!(settings.admits(ip(good), own), Admission::Open, "{good}");
        }
        for bad in ["192.0.2.1", "::ffff:192.0.2.1", "2001:db9::1"] {
            assert_eq!(settings.admits(ip(bad), own), Admission::Shut, "{bad}");
        }
        assert_eq!(settings.admits(own, ip("::ffff:198.51.100.1")), Admission::Open);
        settings.countries = vec!["LT".parse().unwrap()];
        let answers = ["10.1.2.3", "::ffff:192.0.2.1", "127.0.0.1", "192.168.1.1"]
            .map(|from| settings.admits(ip(from), own));
        assert_eq!(answers, [Admission::Open, Admission::ByCountry, Admission::Open, Admission::Shut]);
        assert_eq!(settings.admits_from_edge(ip("127.0.0.1")), Admission::Shut);
    }

    #[test]
    fn it_answers_to_its_own_name_and_on_the_machine_to_localhost() {
        let (far, near) = (ip("192.0.2.1"), ip("::ffff:127.0.0.1"));
        let odd = settings(8443, &[]);
        let own = |host: &str, from| odd.answers(host, from, Way::Own);
        assert!(own("panel.example.org:8443", far) && own("Panel.example.org:8443", far));
        assert!(own("localhost:8443", near) && own("[::1]:8443", near));
        for wrong in
            ["panel.example.org", "panel.example.org:443", "shop.example.org:8443", "localhost:8443", ""]
        {
            assert!(!own(wrong, far), "{wrong}");
        }
        let usual = settings(443, &[]);
        assert!(usual.answers("panel.example.org", far, Way::Own));
        assert!(!usual.answers("panel.example.org:8443", far, Way::Own));
        assert_eq!(
            (odd.origin().as_str(), usual.origin().as_str()),
            ("https://panel.example.org:8443", "https://panel.example.org")
        );
    }

    #[test]
    fn through_the_edge_it_has_the_edge_s_ports_and_no_machine_of_its_own() {
        let near = ip("127.0.0.1");
        let mut settings = settings(8443, &["10.0.0.0/8"]);
        assert!(!settings.answers("panel.example.org", near, Way::Edge), "nothing is passed on");
        settings.edge_ports = vec![443, 10443];
        settings.public_port = 9443;
        for (host, edge, own) in [
            ("panel.example.org", true, false),
            ("panel.example.org:10443", true, false),
            ("panel.example.org:8443", false, true),
            ("panel.example.org:9443", false, true),
            ("localhost:8443", false, true),
            ("localhost", false, false),
        ] {
            let found = [Way::Edge, Way::Own].map(|way| settings.answers(host, near, way));
            assert_eq!(found, [edge, own], "{host}");
        }
        assert_eq!(settings.origin(), "https://panel.example.org");
        for (origin, own) in [
            ("https://panel.example.org", true),
            ("https://panel.example.org:9443", true),
            ("https://panel.example.org:444", false),
            ("http://panel.example.org", false),
            ("https://shop.example.org", false),
        ] {
            assert_eq!(settings.is_origin(origin), own, "{origin}");
        }
        let answers = [ip("::ffff:10.1.2.3"), near].map(|from| settings.admits_from_edge(from));
        assert_eq!(answers, [Admission::Open, Admission::Shut]);
    }
}
