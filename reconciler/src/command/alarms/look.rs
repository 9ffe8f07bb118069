//! A look at how things are, for alarms: the reconciler's facts, the state, the proposals and the signs of life of processes.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use berth_alarms::{AlarmSettings, Look, Part, Sight, Sign, Waiting};
use berth_fault::chain;
use berth_judge::review;
use berth_repo::StateRepo;
use berth_schema::platform::Platform;
use berth_schema::{Origin, State};
use berth_wire::client::{ClientError, Daemon};
use berth_wire::facts::Facts;
use berth_wire::trouble::Troubles;
use jiff::Timestamp;

use crate::settings::Settings;
use crate::source::Source;

/// Time for the reconciler's answer.
const PATIENCE: Duration = Duration::from_secs(20);

/// The last good state that was read, and where.
type Known = Arc<Mutex<Option<(Origin, Option<Arc<State>>)>>>;

/// Returns a look at this host's platform.
pub(super) fn of(settings: &Settings, platform: &Platform) -> Look {
    let parts = Arc::new(parts(settings, platform));
    let (settings, known) = (settings.clone(), Known::default());
    AlarmSettings::look(move || look(settings.clone(), Arc::clone(&parts), Arc::clone(&known)))
}

async fn look(settings: Settings, parts: Arc<Vec<Part>>, known: Known) -> Sight {
    let facts = facts(&settings).await;
    let mut processes = Vec::with_capacity(parts.len());
    for part in parts.iter() {
        processes.push(part.look().await);
    }
    tokio::task::block_in_place(|| Sight {
        at: Timestamp::now(),
        facts,
        state: state(&settings, &known),
        proposals: proposals(&settings),
        processes,
        troubles: Troubles::of(&settings.data).all().ok(),
    })
}

async fn facts(settings: &Settings) -> Result<Facts, String> {
    let asked = async {
        let mut daemon = Daemon::find(&settings.socket()).await?.ok_or(ClientError::Ended)?;
        daemon.facts().await
    };
    match tokio::time::timeout(PATIENCE, asked).await {
        Ok(Ok(facts)) => Ok(facts),
        Ok(Err(ClientError::Ended)) => Err("it doesn't run".to_owned()),
        Ok(Err(error)) => Err(chain(&error)),
        Err(_) => Err(format!("nothing within {} s", PATIENCE.as_secs())),
    }
}

/// The state at the tip of `main`, or the last good one. It is read again when `main` has moved.
fn state(settings: &Settings, known: &Known) -> Option<Arc<State>> {
    let mut known = known.lock().unwrap_or_else(PoisonError::into_inner);
    let mut source = Source::open(&settings.state).ok()?;
    let tip = source.tip().ok()?;
    if let Some((at, state)) = &*known
        && *at == tip
    {
        return state.clone();
    }
    let good = source.at(tip).ok()?.state.ok().map(|settled| settled.state);
    let before = known.take().and_then(|(_, state)| state);
    let state = good.or(before).or_else(|| source.applied().map(|settled| settled.state));
    *known = Some((tip, state.clone()));
    state
}

/// The proposals that wait; `None` where they can't be read.
fn proposals(settings: &Settings) -> Option<Vec<Waiting>> {
    let repo = StateRepo::open(&settings.state).ok()?;
    let all = review::all(&repo).ok()?.into_iter();
    let waiting = all.filter_map(|proposal| {
        let since = Timestamp::from_second(proposal.opened?).ok()?;
        Some(Waiting { topic: proposal.topic.to_string(), by: proposal.author, since })
    });
    Some(waiting.collect())
}

/// The processes that this platform has to have, beside the reconciler.
fn parts(settings: &Settings, platform: &Platform) -> Vec<Part> {
    let Platform { panel, remote, acme, mail, metrics, backup, .. } = platform;
    let lock = |name| Part { name, sign: Sign::Lock(settings.alive(name)) };
    let panel_folder = settings.panel(&platform.prefix);
    let mut parts =
        vec![Part { name: "door", sign: Sign::Socket(panel_folder.join(berth_door::web::SOCKET)) }];
    if let Some(panel) = panel {
        let address = panel.address.unwrap_or(Ipv4Addr::LOCALHOST.into());
        parts.push(Part { name: "panel", sign: Sign::Port(SocketAddr::new(address, panel.port.get())) });
    }
    parts.extend(remote.as_ref().map(|_| lock("remote")));
    parts.extend(acme.keeps_account().then(|| lock("acme")));
    parts.extend(panel.as_ref().and_then(|panel| panel.oidc.as_ref()).map(|_| lock("oidc")));
    parts.extend(mail.as_ref().map(|_| lock("mail")));
    parts.extend(backup.as_ref().map(|_| lock("backup")));
    parts.extend(
        metrics.as_ref().map(|metrics| Part { name: "metrics", sign: Sign::Port(near(metrics.listen)) }),
    );
    parts
}

/// The address at which this machine reaches a place that it listens at.
fn near(at: SocketAddr) -> SocketAddr {
    let ip: IpAddr = match at.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(ip) if ip.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        ip => ip,
    };
    SocketAddr::new(ip, at.port())
}

#[cfg(test)]
mod tests {
    use berth_schema::Parsed;

    use super::*;

    #[test]
    fn a_process_has_to_run_where_the_platform_wants_it() {
        let settings = Settings {
            state: "/s".into(),
            data: "/d".into(),
            docker: String::new(),
            panel_folder: None,
            templates: None,
            resolver: None,
        };
        let signs = |more: &str| {
            let text = format!("domain = \"hosting.example.org\"\n{more}");
            let state = State::assemble([&Parsed::parse("platform.toml", &text)]).unwrap();
            let parts = parts(&settings, &state.platform).into_iter();
            parts.filter(|part| part.name != "door").map(|part| (part.name, part.sign)).collect::<Vec<_>>()
        };
        assert_eq!(signs(""), []);
        let lock = |name| (name, Sign::Lock(settings.alive(name)));
        assert_eq!(signs("[backup]\nrepository = \"/srv/backup\"\n"), [lock("backup")]);
        assert_eq!(
            signs("[mail]\nserver = \"localhost\"\ntls = \"off\"\nfrom = \"h@example.org\"\n"),
            [lock("mail")]
        );
    }
}
