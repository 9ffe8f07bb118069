//! The host: whether Berth can work on it, and what should be otherwise, before anything is installed and later.

use std::net::{IpAddr, SocketAddr};
use std::path::Path;

use anyhow::Context as _;
use berth_dns::PORT;
use berth_plan::room::{self, Excess};
use berth_schema::State;
use berth_schema::text::counted;

use super::names;
use crate::checkup::read::{Lookup, Wanted};
use crate::checkup::{Diagnosis, Weight, judge, read};
use crate::command::{Exit, engine};
use crate::draw::{print, say};
use crate::settings::Settings;
use crate::source::Source;

pub(super) async fn run(runtime: Option<&Path>, json: bool, settings: &Settings) -> anyhow::Result<Exit> {
    let runtime = engine::installed(runtime)?;
    // There is none before the platform is set up, and one with mistakes is `berth check`'s to tell of.
    let found = Source::open(&settings.state).and_then(|mut source| source.find(None)).ok();
    let state = found.and_then(|found| found.state.ok()).map(|settled| settled.state);
    let resolver = Resolver { of_host: settings.resolver };
    let wanted = Wanted { state: state.as_deref(), lookup: &resolver };
    let facts = read(settings, &runtime, wanted).await;
    let mut diagnoses = judge(&facts);
    diagnoses.extend(state.as_deref().and_then(connections));
    diagnoses.sort_by_key(|diagnosis| diagnosis.weight);
    if json {
        print(&serde_json::to_string_pretty(&diagnoses).context("cannot write the report")?);
    } else {
        diagnoses.iter().for_each(|diagnosis| print(&line(diagnosis)));
    }
    let heaviest = diagnoses.first().map(|diagnosis| diagnosis.weight);
    let mends = diagnoses.iter().filter(|diagnosis| diagnosis.weight != Weight::Advice).count();
    Ok(match heaviest {
        None | Some(Weight::Advice) => {
            say(&format!("Host: {} has what Berth needs.", named(&facts.system, &facts.kernel)));
            Exit::Ok
        }
        Some(Weight::Wrong) => {
            say(&format!("Host: {} to mend.", counted(mends, "thing")));
            Exit::Changes
        }
        Some(Weight::Stops) => {
            say("Host: Berth can't work here as it is.");
            Exit::Failed
        }
    })
}

/// Tells that servers may have more connections together than the kernel's table has room for.
fn connections(state: &State) -> Option<Diagnosis> {
    let Excess { what, remedy } = room::connections(state.servers.len(), &state.platform)?;
    Some(Diagnosis { weight: Weight::Advice, about: "settings", what, remedy: remedy.to_owned() })
}

fn named(system: &str, kernel: &str) -> String {
    match system {
        "" => format!("Linux {kernel}"),
        _ => format!("{system}, Linux {kernel},"),
    }
}

/// A diagnosis, and the remedy on a line below.
fn line(diagnosis: &Diagnosis) -> String {
    let is = match diagnosis.weight {
        Weight::Stops => "STOPS",
        Weight::Wrong => "WRONG",
        Weight::Advice => "advice",
    };
    format!("{is:<8} {}: {}\n         → {}", diagnosis.about, diagnosis.what, diagnosis.remedy)
}

/// The resolvers by which names are looked up.
#[derive(Debug)]
struct Resolver {
    /// The one of this host's settings, before those of the platform.
    of_host: Option<SocketAddr>,
}

impl Lookup for Resolver {
    fn addresses(&self, state: &State, name: &str) -> Result<Vec<(IpAddr, bool)>, String> {
        let resolvers = match self.of_host {
            Some(resolver) => vec![resolver],
            None => state.platform.firewall.dns.iter().map(|address| (*address, PORT).into()).collect(),
        };
        let records = names::records(&resolvers, name).map_err(|error| format!("{error:#}"))?;
        let public = &state.platform.public.addresses;
        Ok(records.into_iter().map(|address| (address, names::is_here(public, address))).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_says_what_is_wrong_and_the_next_one_what_to_do() {
        let diagnosis = Diagnosis {
            weight: Weight::Wrong,
            about: "clock",
            what: "no time server sets it".to_owned(),
            remedy: "install chrony".to_owned(),
        };
        assert_eq!(line(&diagnosis), "WRONG    clock: no time server sets it\n         → install chrony");
    }
}
