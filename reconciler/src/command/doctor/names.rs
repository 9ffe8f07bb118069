//! DNS records of the platform's names: whether each name leads here, and over IPv4 alone where visitors over IPv6 would look like
//! the machine itself.

use std::collections::BTreeSet;
use std::io;
use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};
use berth_dns::{Code, Kind, PORT};
use berth_schema::State;
use berth_schema::brief::{LINES, split};
use berth_schema::name::Fqdn;
use berth_schema::panel::PanelEdge;
use berth_schema::text::{counted, safe};
use serde::Serialize;

use crate::command::{Exit, show_findings};
use crate::draw::{print, say};
use crate::settings::Settings;
use crate::source::Source;

/// Time for one answer.
const ANSWER: Duration = Duration::from_secs(3);

/// Lines for names.
const ROWS: usize = LINES - 5;

/// Program that answers to a name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum By {
    /// The web server or the SSH router: a container, to which the engine's own program forwards visitors over IPv6.
    Container,
    /// The panel at its own port, which sees every visitor's address.
    Panel,
}

/// State of one name's records.
#[derive(Debug, PartialEq, Eq, Serialize)]
struct Line {
    name: String,
    /// Reasons to change them.
    wrong: Vec<String>,
}

pub(super) fn run(json: bool, settings: &Settings) -> anyhow::Result<Exit> {
    let found = Source::open(&settings.state)?.find(None)?;
    let Ok(settled) = found.state else {
        show_findings(&found.loaded);
        return Ok(Exit::Failed);
    };
    let state = settled.state;
    let resolvers = match settings.resolver {
        Some(resolver) => vec![resolver],
        None => state.platform.firewall.dns.iter().map(|address| (*address, PORT).into()).collect(),
    };
    let mut lines = Vec::new();
    for (name, by) in names(&state) {
        let records =
            records(&resolvers, name.as_str()).with_context(|| format!("cannot ask DNS about {name}"))?;
        let wrong = wrong(by, &records, &|address| is_here(&state.platform.public.addresses, address));
        lines.push(Line { name: name.to_string(), wrong });
    }
    if json {
        print(&serde_json::to_string_pretty(&lines).context("cannot write the report")?);
    } else {
        print(&page(&lines));
    }
    let bad = lines.iter().filter(|line| !line.wrong.is_empty()).count();
    Ok(match bad {
        0 => {
            say("Names: all lead here.");
            Exit::Ok
        }
        _ => {
            say(&format!("Names: {} to mend.", counted(bad, "name")));
            Exit::Changes
        }
    })
}

/// A line for each name, as far as two screens have room; those to mend come first where they haven't.
fn page(lines: &[Line]) -> String {
    let mut rows: Vec<&Line> = lines.iter().collect();
    if rows.len() > ROWS {
        rows.sort_by_key(|line| line.wrong.is_empty());
    }
    let (shown, others) = split(&rows, ROWS);
    let mut page: Vec<String> = shown
        .iter()
        .map(|line| {
            let is = if line.wrong.is_empty() { "good" } else { "WRONG" };
            let why = line.wrong.join("; ");
            format!("{is:<8} {}{}{why}", line.name, if why.is_empty() { "" } else { ": " })
        })
        .collect();
    if others > 0 {
        page.push(format!("… and {others} more: `berth doctor --names --json` has every name"));
    }
    page.join("\n")
}

/// The platform's names. A wildcard has no record of its own to look at, and a domain behind Cloudflare leads there.
fn names(state: &State) -> Vec<(&Fqdn, By)> {
    let platform = &state.platform;
    let mut names = Vec::new();
    if platform.services.web {
        names.push((&platform.domain, By::Container));
    }
    if platform.services.router {
        names.push((platform.public_ssh().0, By::Container));
    }
    if let Some(panel) = &platform.panel {
        let is_alone = platform.panel_edge() == PanelEdge::None;
        names.push((&panel.domain, if is_alone { By::Panel } else { By::Container }));
    }
    let domains = state.domains.values().filter(|domain| !domain.fqdn.is_wildcard());
    names.extend(domains.map(|domain| (&domain.fqdn, By::Container)));
    // The platform's domain may be one of the domains, and what the router is called.
    let mut seen = BTreeSet::new();
    let is_behind = |name: &Fqdn| state.domains.get(name).is_some_and(|domain| domain.cloudflare);
    names.retain(|(name, _)| !is_behind(name) && seen.insert(*name));
    names
}

/// Addresses at a name. The first resolver that answers decides.
pub(super) fn records(resolvers: &[SocketAddr], name: &str) -> anyhow::Result<Vec<IpAddr>> {
    let mut failure = None;
    for resolver in resolvers {
        match [Kind::Address, Kind::Address6].map(|kind| addresses(*resolver, name, kind)) {
            [Ok(four), Ok(six)] => return Ok([four, six].concat()),
            [Err(error), _] | [_, Err(error)] => {
                failure = Some(io::Error::new(error.kind(), format!("{}: {}", resolver.ip(), safe(error))));
            }
        }
    }
    match failure {
        Some(failure) => Err(failure.into()),
        None => bail!("there is no resolver: `firewall.dns` in platform.toml names them"),
    }
}

fn addresses(resolver: SocketAddr, name: &str, kind: Kind) -> io::Result<Vec<IpAddr>> {
    let answer = berth_dns::ask_for_all(resolver, name, kind, Instant::now() + ANSWER)?;
    match answer.code {
        Code::Name => {
            let six = answer.addresses6.into_iter().map(IpAddr::from);
            Ok(answer.addresses.into_iter().map(IpAddr::from).chain(six).collect())
        }
        Code::NoName => Ok(Vec::new()),
        Code::Failure(code) => Err(io::Error::other(format!("the answer is {code}"))),
    }
}

/// Returns whether an address leads here: it is one of those in `[public]`, or one of the machine's own where that names none.
pub(super) fn is_here(public: &[IpAddr], address: IpAddr) -> bool {
    let mut of_family = public.iter().filter(|own| own.is_ipv4() == address.is_ipv4()).peekable();
    match of_family.peek() {
        Some(_) => of_family.any(|own| *own == address),
        None => UdpSocket::bind((address, 0)).is_ok(),
    }
}

/// Reasons to change the records of a name.
fn wrong(by: By, records: &[IpAddr], is_here: &dyn Fn(IpAddr) -> bool) -> Vec<String> {
    let mut wrong = Vec::new();
    if records.is_empty() {
        wrong.push("it has no address: add an A record that leads here".to_owned());
    }
    for address in records {
        if !is_here(*address) {
            wrong.push(format!(
                "{address} isn't this machine: change the record, or name that address in `public.addresses`"
            ));
        } else if address.is_ipv6() && by == By::Container {
            wrong.push(format!(
                "its AAAA record {address} leads here, but every visitor over IPv6 looks like the machine itself, to apps, to \
                 `access.panel` and where guessing is slowed down: take the record out"
            ));
        }
    }
    wrong
}

#[cfg(test)]
mod tests {
    use berth_schema::Parsed;

    use super::*;

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn a_name_leads_here_and_over_ipv6_only_to_the_panel_s_own_port() {
        let (four, six) = (ip("198.51.100.1"), ip("2001:db8::1"));
        let here = |address: IpAddr| address == four || address == six;
        assert_eq!(wrong(By::Container, &[four], &here), Vec::<String>::new());
        assert_eq!(wrong(By::Panel, &[four, six], &here), Vec::<String>::new());
        let refused = wrong(By::Container, &[four, six], &here);
        assert!(refused.len() == 1 && refused[0].contains("take the record out"), "{refused:?}");
        let elsewhere = wrong(By::Container, &[ip("192.0.2.1"), ip("2001:db8::2")], &here);
        assert!(elsewhere.iter().all(|why| why.contains("isn't this machine")), "{elsewhere:?}");
        assert_eq!(elsewhere.len(), 2);
        assert!(wrong(By::Panel, &[], &here)[0].contains("no address"));
    }

    #[test]
    fn the_public_addresses_stand_for_the_machine_s_of_the_same_family() {
        let public = [ip("198.51.100.1")];
        assert!(is_here(&public, ip("198.51.100.1")) && !is_here(&public, ip("127.0.0.1")));
        // Nothing is said of IPv6, so the machine's own addresses count, as they do of both without any.
        assert!(!is_here(&public, ip("2001:db8::1")));
        assert!(is_here(&[], ip("127.0.0.1")) && !is_here(&[], ip("198.51.100.1")));
    }

    #[test]
    fn every_name_is_looked_at_but_wildcards_and_those_behind_cloudflare() {
        let mut files = vec![
            (
                "platform.toml",
                "domain = \"h.org\"\n[panel]\ndomain = \"panel.example.org\"\nedge = \"none\"\n",
            ),
            ("users/ann.toml", ""),
            ("servers/shop.toml", "id = 1\nowner = \"ann\"\n"),
            ("domains/shop.h.org.toml", "server = \"shop\"\n"),
            ("domains/cloud.h.org.toml", "server = \"shop\"\ncloudflare = true\n"),
            ("domains/_.wild.h.org.toml", "server = \"shop\"\ntls = \"internal\"\n"),
        ];
        let named = |files: &[(&str, &str)]| {
            let parsed: Vec<Parsed> = files.iter().map(|(path, text)| Parsed::parse(path, text)).collect();
            let state = State::assemble(&parsed).unwrap();
            names(&state).iter().map(|(name, by)| (name.to_string(), *by)).collect::<Vec<(String, By)>>()
        };
        let of = |name: &str, by| (name.to_owned(), by);
        let (base, panel) = (of("h.org", By::Container), of("panel.example.org", By::Panel));
        let shop = of("shop.h.org", By::Container);
        assert_eq!(named(&files), [base.clone(), panel.clone(), shop.clone()]);
        // The platform's own domain is one of them, once, and may be behind Cloudflare as well.
        files.push(("domains/h.org.toml", "server = \"shop\"\n"));
        assert_eq!(named(&files), [base, panel.clone(), shop.clone()]);
        files.pop();
        files.push(("domains/h.org.toml", "server = \"shop\"\ncloudflare = true\n"));
        assert_eq!(named(&files), [panel, shop]);
    }
}
