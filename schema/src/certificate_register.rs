//! The register of names with certificates of their own: whose each is, and since when a state in force has it.
//!
//! A CA gives a domain a number of new certificates a week, whoever asks for them, so each member has a part of it
//! (`quota.certificates`). Owns the count, and the register as text. Who keeps it, and where, is for others. The time comes from them, too.

use std::collections::{BTreeMap, HashMap};
use std::fmt::Write as _;
use std::mem;
use std::time::{Duration, SystemTime};

use serde::Deserialize;
use toml::value::Datetime;

use crate::domain::Tls;
use crate::invalid::Invalid;
use crate::name::{Fqdn, ServerName, UserName};
use crate::panel::PanelTls;
use crate::state::State;

/// First line of the register as text.
const HEADER: &str = "# Names with certificates of their own: whose each is, and since when. Berth keeps this: docs/policy.md.\n";

/// Span in which a name that was taken counts. It is the one in which CAs count.
pub const WINDOW: Duration = Duration::from_secs(7 * 24 * 60 * 60);

/// Register of the names that have a certificate of their own, and of those that had one within [`WINDOW`].
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct CertificateRegister(BTreeMap<Fqdn, Entry>);

/// A name's line.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Entry {
    owner: UserName,
    /// `None` where the name was there before the register was.
    taken: Option<SystemTime>,
    standing: Standing,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Standing {
    InForce,
    Gone,
}

/// A name's line as text.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Line {
    owner: UserName,
    taken: Option<Datetime>,
    #[serde(default)]
    gone: bool,
}

impl CertificateRegister {
    /// The register of a platform that kept none so far: nothing of what stands there has been taken of late.
    pub fn beginning_with(state: &State) -> Self {
        let entry =
            |owner: &UserName| Entry { owner: owner.clone(), taken: None, standing: Standing::InForce };
        Self(counted(state).map(|name| (name.fqdn, entry(name.owner))).collect())
    }

    /// Reads a register as [`CertificateRegister::text`] writes it.
    pub fn parse(text: &str) -> Result<Self, Invalid> {
        let hint = "remove the ref that holds it: Berth begins to count anew";
        let bad =
            |why: String| Invalid::new(format!("the register of certificates can't be read: {why}"), hint);
        let lines: BTreeMap<String, Line> =
            toml::from_str(text).map_err(|error| bad(error.message().to_owned()))?;
        let entry = |(name, line): (String, Line)| {
            let fqdn = name.parse::<Fqdn>().map_err(|invalid| bad(invalid.message))?;
            let moment = |taken: Datetime| {
                let taken = taken.to_string();
                humantime::parse_rfc3339(&taken).map_err(|_| bad(format!("`{taken}` is not a time in UTC")))
            };
            let taken = line.taken.map(moment).transpose()?;
            let standing = if line.gone { Standing::Gone } else { Standing::InForce };
            Ok((fqdn, Entry { owner: line.owner, taken, standing }))
        };
        lines.into_iter().map(entry).collect::<Result<_, _>>().map(Self)
    }

    /// The register as text: TOML, a line for each name, in their order.
    pub fn text(&self) -> String {
        let mut text = HEADER.to_owned();
        for (fqdn, Entry { owner, taken, standing }) in &self.0 {
            // Writing to a text can't fail, and names need no escapes.
            let _ = write!(text, "\"{fqdn}\" = {{ owner = \"{owner}\"");
            if let Some(taken) = taken {
                let _ = write!(text, ", taken = {}", humantime::format_rfc3339_seconds(*taken));
            }
            text.push_str(match standing {
                Standing::InForce => " }\n",
                Standing::Gone => ", gone = true }\n",
            });
        }
        text
    }

    /// Learns from a state that is in force at `now` which names stand, and whose they are. A name that wasn't there is taken now.
    /// One that is gone stays for the rest of [`WINDOW`], unless its owner isn't a member any more.
    pub fn learn(&mut self, state: &State, now: SystemTime) {
        let mut known = mem::take(&mut self.0);
        for entry in known.values_mut() {
            // A clock that was ahead once would hold its names for as long.
            entry.taken = entry.taken.map(|taken| taken.min(now));
        }
        for Counted { fqdn, owner, .. } in counted(state) {
            let known = known.remove(&fqdn);
            let known = known.filter(|entry| entry.standing == Standing::InForce || entry.is_recent(now));
            // A name that an admin gives to somebody else keeps its certificate, and its time.
            let taken = known.map_or(Some(now), |entry| entry.taken);
            self.0.insert(fqdn, Entry { owner: owner.clone(), taken, standing: Standing::InForce });
        }
        let gone = known
            .into_iter()
            .filter(|(_, entry)| entry.is_recent(now) && state.users.contains_key(&entry.owner));
        self.0.extend(gone.map(|(fqdn, entry)| (fqdn, Entry { standing: Standing::Gone, ..entry })));
    }

    /// Returns whether a member took this name within [`WINDOW`], so that it is counted already.
    pub fn has_taken(&self, member: &UserName, fqdn: &Fqdn, now: SystemTime) -> bool {
        self.0.get(fqdn).is_some_and(|entry| entry.owner == *member && entry.is_recent(now))
    }

    /// Counts the names that a member took within [`WINDOW`].
    pub fn taken(&self, member: &UserName, now: SystemTime) -> usize {
        self.times(member, now).count()
    }

    /// The time from which a member who may take `allowed` names, at least one, can take one more than now.
    pub fn next(&self, member: &UserName, allowed: usize, now: SystemTime) -> SystemTime {
        let mut times: Vec<SystemTime> = self.times(member, now).collect();
        times.sort_unstable();
        // Of those that are too many, each has to be over first.
        let first = times.get(times.len().saturating_sub(allowed)).copied().unwrap_or(now);
        first.checked_add(WINDOW).unwrap_or(first)
    }

    fn times(&self, member: &UserName, now: SystemTime) -> impl Iterator<Item = SystemTime> {
        let own = self.0.values().filter(move |entry| entry.owner == *member && entry.is_recent(now));
        own.filter_map(|entry| entry.taken)
    }
}

impl Entry {
    fn is_recent(&self, now: SystemTime) -> bool {
        let is_over = |taken| now.duration_since(taken).is_ok_and(|age| age >= WINDOW);
        self.taken.is_some_and(|taken| !is_over(taken))
    }
}

/// A name with a certificate of its own.
pub(crate) struct Counted<'a> {
    pub(crate) fqdn: Fqdn,
    pub(crate) owner: &'a UserName,
    /// Its server, where it is the name of a tool of the server's; `None` for a domain.
    pub(crate) tool_of: Option<&'a ServerName>,
}

/// The names of a state that have a certificate of their own: domains, and the tools of servers.
pub(crate) fn counted(state: &State) -> impl Iterator<Item = Counted<'_>> {
    let platform = &state.platform;
    let owners: HashMap<&str, &UserName> =
        state.servers.values().map(|server| (server.name.as_str(), &server.owner)).collect();
    let domains = state.domains.values().filter(|domain| domain.tls == Tls::Auto);
    let domains = domains.filter_map(move |domain| {
        let owner = *owners.get(domain.server.as_str())?;
        Some(Counted { fqdn: domain.fqdn.clone(), owner, tool_of: None })
    });
    let tools = state.servers.values().flat_map(move |server| {
        let tools = platform.tools(server).into_iter().filter(|site| site.tls == PanelTls::Auto);
        tools.map(|site| Counted { fqdn: site.host, owner: &server.owner, tool_of: Some(&server.name) })
    });
    domains.chain(tools).filter(|name| platform.has_own_certificate(&name.fqdn))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::state::Parsed;

    const FILES: [(&str, &str); 5] = [
        ("platform.toml", "domain = \"h.org\"\n"),
        ("users/bob.toml", ""),
        ("users/cyn.toml", ""),
        ("servers/bobs.toml", "id = 1\nowner = \"bob\"\n"),
        ("servers/cyns.toml", "id = 2\nowner = \"cyn\"\n"),
    ];
    const DAY: u64 = 24 * 60 * 60;

    /// A state in which these names below `h.org` lead to these servers.
    fn state(names: &[(&str, &str)]) -> State {
        let files = FILES.iter().map(|(path, text)| Parsed::parse(path, text));
        let domain = |(name, server): &(&str, &str)| {
            let text = format!("server = \"{server}\"\n");
            Parsed::parse(&format!("domains/{name}.h.org.toml"), &text)
        };
        let parsed: Vec<Parsed> = files.chain(names.iter().map(domain)).collect();
        State::assemble(&parsed).unwrap()
    }

    fn day(day: u64) -> SystemTime {
        SystemTime::UNIX_EPOCH + Duration::from_secs(20_000 * DAY + day * DAY)
    }

    fn name(name: &str) -> UserName {
        name.parse().unwrap()
    }

    #[test]
    fn what_is_written_is_read() {
        let text = format!(
            "{HEADER}\"a.h.org\" = {{ owner = \"bob\" }}\n\
             \"b.h.org\" = {{ owner = \"bob\", taken = 2026-12-07T14:03:00Z }}\n\
             \"c.h.org\" = {{ owner = \"cyn\", taken = 2026-12-07T14:03:00Z, gone = true }}\n"
        );
        assert_eq!(CertificateRegister::parse(&text).unwrap().text(), text);
        for bad in [
            "\"a.h.org\" = { owner = \"BOB!\" }\n",
            "\"a.h.org\" = { owner = \"bob\", taken = 2026-12-07 }\n",
            "\"a.h.org\" = { owner = \"bob\", since = 2026-12-07T14:03:00Z }\n",
            "\"-\" = { owner = \"bob\" }\n",
            "\"a.h.org\" = 1\n",
            "1",
        ] {
            let invalid = CertificateRegister::parse(bad).unwrap_err();
            assert!(
                invalid.message.starts_with("the register of certificates can't be read: "),
                "{}",
                invalid.message
            );
        }
    }

    #[test]
    fn a_name_counts_for_seven_days_from_when_it_was_taken() {
        let bob = name("bob");
        let mut register = CertificateRegister::beginning_with(&state(&[("old", "bobs")]));
        assert_eq!(register.taken(&bob, day(0)), 0, "what stands already wasn't taken");
        register.learn(&state(&[("old", "bobs"), ("a", "bobs"), ("b", "cyns")]), day(1));
        register.learn(&state(&[("old", "bobs"), ("a", "bobs"), ("c", "bobs")]), day(3));
        assert_eq!((register.taken(&bob, day(3)), register.taken(&name("cyn"), day(3))), (2, 1));
        // One goes and comes back: it counts once.
        register.learn(&state(&[("old", "bobs"), ("c", "bobs")]), day(4));
        assert!(register.has_taken(&bob, &"a.h.org".parse().unwrap(), day(4)));
        register.learn(&state(&[("old", "bobs"), ("a", "bobs"), ("c", "bobs")]), day(5));
        assert_eq!((register.taken(&bob, day(5)), register.taken(&bob, day(8))), (2, 1));
        assert_eq!(register.taken(&bob, day(10)), 0);
    }

    #[test]
    fn a_name_that_comes_back_after_its_time_is_taken_anew() {
        let bob = name("bob");
        let mut register = CertificateRegister::beginning_with(&state(&[("old", "bobs")]));
        register.learn(&state(&[("a", "bobs")]), day(0));
        register.learn(&state(&[]), day(1));
        // Nothing has been written since, so both lines may still be there.
        register.learn(&state(&[("a", "bobs"), ("old", "bobs")]), day(30));
        assert_eq!(register.taken(&bob, day(30)), 2);
        register.learn(&state(&[]), day(40));
        assert_eq!(register, CertificateRegister::default(), "what is over and gone is forgotten");
    }

    #[test]
    fn a_name_counts_with_whoever_has_it() {
        let (bob, cyn) = (name("bob"), name("cyn"));
        let mut register = CertificateRegister::beginning_with(&state(&[("old", "bobs")]));
        register.learn(&state(&[("old", "bobs"), ("a", "bobs")]), day(0));
        // An admin gives both to cyn; neither needs another certificate.
        register.learn(&state(&[("old", "cyns"), ("a", "cyns")]), day(2));
        assert_eq!((register.taken(&bob, day(2)), register.taken(&cyn, day(2))), (0, 1));
        assert_eq!(register.taken(&cyn, day(7)), 0);
        // Whoever isn't a member any more leaves nothing to a new one of the same name.
        let mut without = state(&[]);
        without.users.remove(&cyn);
        register.learn(&without, day(3));
        assert_eq!(register, CertificateRegister::default());
    }

    #[test]
    fn the_next_one_is_possible_when_the_first_is_over() {
        let bob = name("bob");
        let mut register = CertificateRegister::default();
        assert_eq!(register.next(&bob, 1, day(0)), day(7));
        register.learn(&state(&[("a", "bobs")]), day(0));
        register.learn(&state(&[("a", "bobs"), ("b", "bobs")]), day(1));
        assert_eq!(register.next(&bob, 3, day(2)), day(7));
        assert_eq!(register.next(&bob, 2, day(2)), day(7));
        // They may have less by now: the first one that is over doesn't help yet.
        assert_eq!(register.next(&bob, 1, day(2)), day(8));
    }

    #[test]
    fn a_clock_that_was_ahead_holds_nothing_for_longer() {
        let mut register = CertificateRegister::default();
        register.learn(&state(&[("a", "bobs")]), day(3000));
        register.learn(&state(&[("a", "bobs")]), day(0));
        assert_eq!((register.taken(&name("bob"), day(6)), register.taken(&name("bob"), day(7))), (1, 0));
    }

    #[test]
    fn only_names_with_a_certificate_of_their_own_count() {
        let texts = ["tls = \"internal\"\n", "tls = \"off\"\n", ""];
        let paths = ["domains/a.h.org.toml", "domains/b.h.org.toml", "domains/_.c.h.org.toml"];
        let domain = |(path, text): (&str, &str)| Parsed::parse(path, &format!("server = \"bobs\"\n{text}"));
        let files = FILES.iter().map(|(path, text)| Parsed::parse(path, text));
        let parsed: Vec<Parsed> = files.chain(paths.into_iter().zip(texts).map(domain)).collect();
        let mut register = CertificateRegister::default();
        register.learn(&State::assemble(&parsed).unwrap(), day(0));
        assert_eq!(register, CertificateRegister::default());
    }
}
