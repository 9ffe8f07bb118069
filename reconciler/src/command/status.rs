//! `berth status`: how things are.

mod backup;
mod certificate;
mod mail;
mod oidc;
mod servers;
mod wildcard;

use std::collections::BTreeMap;

use anyhow::Context as _;
use berth_engine::{Inspections, Reader, connect};
use berth_forge::configured;
use berth_host::Way;
use berth_plan::Desired;
use berth_repo::StateRepo;
use berth_schema::brief::{named_up_to, split};
use berth_schema::quantity::Bytes;
use berth_schema::text::{self, safe, safe_line};
use berth_wire::Standing;
use berth_wire::client::Daemon;
use berth_wire::figures::Figures;
use berth_wire::status::{RemoteRow, ServerRow, Status, word};
use berth_wire::usage::CacheFigures;

use self::servers::{Length, Used, servers};
use super::apply::tell;
use super::{Exit, show_findings};
use crate::draw::{print, say};
use crate::servers::way_of;
use crate::settings::Settings;
use crate::source::Source;

/// Characters of an error that are shown.
const WORDS: usize = 2000;

/// Form of the status.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Print JSON, for programs
    #[arg(long)]
    json: bool,
    /// Show every server, however many there are
    #[arg(long)]
    all: bool,
}

/// Outcomes in a brief status.
const OUTCOMES: usize = 20;
/// Ids in a line.
const IDS: usize = 20;

pub(super) async fn run(args: &Args, settings: &Settings) -> anyhow::Result<Exit> {
    let mut used = Used::new();
    let status = match Daemon::find(&settings.socket()).await? {
        Some(mut daemon) => match daemon.status().await? {
            Some(status) => {
                used = samples(daemon.newest_figures().await?);
                status
            }
            None => {
                say("The reconciler's first pass is still running; ask again in a moment.");
                return Ok(Exit::Failed);
            }
        },
        None => match look(settings).await? {
            Some(status) => status,
            None => return Ok(Exit::Failed),
        },
    };
    let status = Status {
        remote: remote(settings),
        panel: certificate::panel(settings),
        acme: wildcard::standing(settings),
        mail: mail::standing(settings),
        oidc: oidc::standing(settings).await,
        ..status
    };
    if args.json {
        print(&json(&status)?);
    } else {
        let length = if args.all { Length::Whole } else { Length::Brief };
        show(&status, &used, length);
        backup::lines(settings).iter().for_each(|line| print(line));
        connections(settings).iter().for_each(|line| say(line));
    }
    let as_wanted = status.servers.iter().all(ServerRow::is_as_wanted);
    let follows = status.remote.as_ref().is_none_or(|remote| remote.runs && remote.standing.is_fine());
    let fine = as_wanted && status.engine_answers && follows;
    Ok(if fine && status.last_pass.is_none_or(|pass| pass.is_clean()) { Exit::Ok } else { Exit::Failed })
}

/// Reads what is known of the forge, where `main` names one.
fn remote(settings: &Settings) -> Option<RemoteRow> {
    let repo = StateRepo::open(&settings.state).ok()?;
    let remote = configured(&repo).ok()??;
    let folder = settings.remote();
    let known = Standing::read(&folder).filter(|known| known.url == remote.url.as_str());
    let nothing =
        || Standing { url: remote.url.to_string(), branch: remote.branch.to_string(), ..Standing::default() };
    Some(RemoteRow { runs: Standing::is_kept(&folder), standing: known.unwrap_or_else(nothing) })
}

/// Without a daemon: look for ourselves.
async fn look(settings: &Settings) -> anyhow::Result<Option<Status>> {
    let mut source = Source::open(&settings.state)?;
    let last_applied = source.applied().map(|applied| applied.revision);
    let found = source.find(None)?;
    show_findings(&found.loaded);
    let Ok(settled) = found.state else { return Ok(None) };
    let (connection, engine) = connect(&settings.docker).await?;
    let desired = Desired::from_state(&settled.state);
    let observed = Reader::new(&connection).observe(&desired, &mut Inspections::default()).await?;
    let status = Status::of(&desired, &observed, engine.way, way_of);
    Ok(Some(Status { engine: engine.version, last_applied, ..status }))
}

fn json(status: &Status) -> anyhow::Result<String> {
    text::json(status).context("cannot write the status")
}

fn samples(figures: Option<Figures>) -> Used {
    let servers = figures.into_iter().flat_map(|figures| figures.servers);
    servers.filter_map(|server| Some((server.id.get(), server.newest()?))).collect()
}

/// Tells that the servers may have more connections together than the kernel's table has room for.
fn connections(settings: &Settings) -> Option<String> {
    // What can't be read is told where it is asked for.
    let found = Source::open(&settings.state).and_then(|mut source| source.find(None)).ok()?;
    let state = found.state.ok()?.state;
    let excess = berth_plan::room::connections(state.servers.len(), &state.platform)?;
    Some(format!("the kernel's table of connections: {excess}"))
}

fn show(status: &Status, used: &Used, length: Length) {
    print(&page(status, used, length));
    if let Some(pass) = status.last_pass.as_ref().filter(|pass| !pass.is_clean()) {
        say("The last pass left something to look at:");
        let failed: Vec<_> = pass.outcomes.iter().filter(|outcome| !outcome.is_done()).collect();
        let (shown, others) = match length {
            Length::Brief => split(&failed, OUTCOMES),
            Length::Whole => (&failed[..], 0),
        };
        shown.iter().for_each(|outcome| say(&crate::draw::outcome_line(outcome)));
        if others > 0 {
            say(&format!("  … and {others} more: `berth status --all` shows them"));
        }
        tell(pass);
    }
}

/// Everything but the last pass.
fn page(status: &Status, used: &Used, length: Length) -> String {
    let daemon = match status.pid {
        Some(pid) => format!("reconciler {} runs (pid {pid})", safe(&status.version)),
        None => "no reconciler runs (start it with `berth up`)".to_owned(),
    };
    let applied = status.last_applied.map_or_else(|| "none yet".to_owned(), |applied| applied.short());
    let mut lines = vec![format!(
        "platform {}: {daemon}, engine {}, last applied revision {applied}",
        safe(&status.platform),
        safe(&status.engine)
    )];
    if !status.engine_answers {
        lines
            .push("THE ENGINE DOES NOT ANSWER. What follows is how things were when it last did.".to_owned());
    }
    lines.push(servers(status, used, length));
    lines.extend(status.way.iter().flat_map(|way| way_lines(*way, &status.servers)));
    let down = status.system.iter().filter(|row| !row.is_running());
    lines.extend(down.map(|row| format!("system container {} is {}", safe(&row.name), word(row.actual))));
    lines.extend(status.cache.as_ref().map(cache_line));
    lines.extend(status.remote.iter().flat_map(remote_lines));
    lines.extend(status.panel.iter().flat_map(certificate::lines));
    lines.extend(status.acme.iter().flat_map(wildcard::lines));
    lines.extend(status.mail.iter().flat_map(mail::lines));
    lines.extend(status.oidc.iter().flat_map(oidc::lines));
    lines.join("\n")
}

/// Lines on how the kernel tells servers apart, and on which of those that run were started otherwise.
pub(super) fn way_lines(way: Way, servers: &[ServerRow]) -> Vec<String> {
    let mut lines = vec![match way {
        Way::Own => "servers are kept apart by ids and an account of each one's own".to_owned(),
        Way::Account => "servers are kept apart by an account of each one's own".to_owned(),
        Way::Shared => {
            "servers share one account with the host's root (`berth engine setup --way account` ends that)"
                .to_owned()
        }
    }];
    let mut waiting: BTreeMap<Option<Way>, Vec<String>> = BTreeMap::new();
    for row in servers.iter().filter(|row| row.awaits_restart(Some(way))) {
        waiting.entry(row.way).or_default().push(row.id.to_string());
    }
    for (found, ids) in waiting {
        let found = match found {
            Some(Way::Own) => "with ids and an account of its own",
            Some(Way::Account) => "with an account of its own",
            Some(Way::Shared) => "in an account that all share",
            None => "by an earlier berth-runtime",
        };
        lines.push(format!(
            "  until its next start, each of these runs as it was started, {found}: {}{}",
            named_up_to(IDS, &ids),
            if ids.len() > IDS { format!(" ({} in all)", ids.len()) } else { String::new() }
        ));
    }
    lines
}

/// The forge in a few lines.
fn remote_lines(remote: &RemoteRow) -> Vec<String> {
    let standing = &remote.standing;
    let looked = match &standing.looked_at {
        Some(at) => format!("last looked at {} UTC", at.strftime("%Y-%m-%d %H:%M:%S")),
        None => "not looked at yet".to_owned(),
    };
    let tip = standing.tip.map_or(String::new(), |tip| format!(", its tip was {}", tip.short()));
    let mut lines =
        vec![format!("forge {}, branch {}: {looked}{tip}", safe(&standing.url), safe(&standing.branch))];
    if !remote.runs {
        lines.push("  nothing follows it (start it with `berth up` or `berth remote`)".to_owned());
    }
    if let Some(address) = standing.listening.filter(|_| remote.runs) {
        lines.push(format!("  its webhook may call http://{address}{}", berth_forge::PATH));
    }
    if let Some(trouble) = &standing.trouble {
        lines.push(format!("  it can't be followed: {}", words(trouble)));
    }
    if let Some(refusal) = &standing.refused {
        lines.push(format!("  main doesn't follow {}:", refusal.revision.short()));
        let (shown, others) = split(&refusal.why, OUTCOMES);
        lines.extend(shown.iter().map(|why| format!("    {}", words(why))));
        if others > 0 {
            lines.push(format!("    … and {others} more: `berth check --all` in a clone shows them"));
        }
        lines.push(format!("    hint: {}", words(&refusal.hint)));
    }
    if let Some(trouble) = &standing.webhook_trouble {
        lines.push(format!("  its webhook can't call: {}", words(trouble)));
    }
    if let Some(trouble) = &standing.telling_trouble {
        lines.push(format!("  it can't be told what became of its commits: {}", words(trouble)));
    }
    if let Some(trouble) = &standing.pulls_trouble {
        lines.push(format!("  no change becomes a pull request there: {}", words(trouble)));
    }
    lines
}

/// The image cache in a line.
fn cache_line(cache: &CacheFigures) -> String {
    let mut line = "image cache: ".to_owned();
    match &cache.usage {
        Some(usage) => {
            let size = Bytes::new(usage.bytes);
            line.push_str(&format!("{size} stored, {} hits, {} misses", usage.hits, usage.misses));
        }
        None => line.push_str("nothing known of it yet"),
    }
    if let Some(limit) = &cache.rate_limit {
        let asked = limit.at.strftime("%H:%M");
        match (limit.remaining, limit.limit) {
            (Some(remaining), Some(limit)) => {
                line.push_str(&format!(
                    "; Docker Hub allows {remaining} more of {limit} pulls (asked {asked} UTC)"
                ));
            }
            _ => line.push_str(&format!("; Docker Hub sets no limit (asked {asked} UTC)")),
        }
    }
    if let Some(trouble) = &cache.trouble {
        line.push_str(&format!("; {}", words(trouble)));
    }
    line
}

/// Words of somebody's program, on one line.
fn words(said: &str) -> String {
    safe_line(said, WORDS)
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test says what it expects by unwrapping it")]
mod tests {
    use berth_plan::observed::RunState;
    use berth_schema::Revision;
    use berth_schema::server::PowerState;
    use berth_schema::testing::{harm, hostile_text};
    use berth_wire::standing::Refusal;
    use berth_wire::status::{SystemRow, TombstoneRow};
    use berth_wire::usage::{RateLimit, Usage};
    use jiff::Timestamp;
    use proptest::prelude::*;

    use super::*;

    /// A status in which everything that somebody may have typed is `typed`.
    pub(super) fn status(typed: &str) -> Status {
        let typed = || typed.to_owned();
        let revision = Revision::from_bytes([10; 20]);
        let standing = Standing {
            url: typed(),
            branch: typed(),
            trouble: Some(typed()),
            refused: Some(Refusal { revision, main: revision, why: vec![typed(), typed()], hint: typed() }),
            webhook_trouble: Some(typed()),
            telling_trouble: Some(typed()),
            ..Standing::default()
        };
        let server = ServerRow {
            id: 1,
            name: typed(),
            owner: typed(),
            wanted: PowerState::Running,
            actual: Some(RunState::Running),
            nano_cpus: 1,
            memory: 1,
            image: typed(),
            way: Some(Way::Account),
        };
        Status {
            version: typed(),
            pid: Some(1),
            engine: typed(),
            engine_answers: false,
            platform: typed(),
            last_applied: None,
            last_pass: None,
            way: Some(Way::Own),
            servers: vec![server],
            tombstones: vec![TombstoneRow {
                id: 2,
                name: typed(),
                owner: typed(),
                purge_after: Timestamp::UNIX_EPOCH,
                revision: typed(),
            }],
            system: vec![SystemRow { name: typed(), actual: None }],
            power: Vec::new(),
            cache: Some(CacheFigures { trouble: Some(typed()), ..CacheFigures::default() }),
            remote: Some(RemoteRow { runs: true, standing }),
            panel: Some(certificate::hostile(typed())),
            acme: Some(wildcard::hostile(typed())),
            mail: Some(mail::hostile(typed())),
            oidc: Some(oidc::hostile(&typed())),
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        #[test]
        fn no_status_harms_its_reader(typed in hostile_text()) {
            let shown = page(&status(&typed), &Used::new(), Length::Brief);
            prop_assert_eq!(harm(&shown), None, "{}", shown);
            prop_assert_eq!(shown.lines().count(), page(&status("usual"), &Used::new(), Length::Brief).lines().count(), "{}", shown);
            let json = json(&status(&typed)).unwrap();
            prop_assert_eq!(harm(&json), None, "{}", json);
        }
    }

    #[test]
    fn servers_that_were_started_otherwise_are_named_until_their_next_start() {
        let row = |id, way, actual| ServerRow { id, way, actual, ..status("shop").servers[0].clone() };
        let running = Some(RunState::Running);
        let rows = [
            row(1, Some(Way::Own), running),
            row(2, Some(Way::Account), running),
            row(3, None, running),
            row(4, Some(Way::Account), running),
            row(5, None, Some(RunState::Exited)),
        ];
        let lines = way_lines(Way::Own, &rows);
        assert_eq!(lines.len(), 3, "{lines:#?}");
        assert!(lines[1].contains("by an earlier berth-runtime: 3"), "{lines:#?}");
        assert!(lines[2].contains("with an account of its own: 2, 4"), "{lines:#?}");
        assert_eq!(way_lines(Way::Account, &rows[1..2]).len(), 1);
    }

    #[test]
    fn the_cache_is_told_in_a_line_whatever_is_known_of_it() {
        let limit = |limit, remaining| RateLimit {
            limit,
            remaining,
            window_seconds: Some(21_600),
            at: "2026-03-01T10:20:30Z".parse().unwrap(),
        };
        let mut figures = CacheFigures::default();
        assert_eq!(cache_line(&figures), "image cache: nothing known of it yet");
        figures.usage = Some(Usage { bytes: 3 << 30, hits: 41, misses: 7 });
        assert_eq!(cache_line(&figures), "image cache: 3 GiB stored, 41 hits, 7 misses");
        figures.rate_limit = Some(limit(Some(100), Some(76)));
        let with_limit = "image cache: 3 GiB stored, 41 hits, 7 misses; \
                          Docker Hub allows 76 more of 100 pulls (asked 10:20 UTC)";
        assert_eq!(cache_line(&figures), with_limit);
        figures.trouble = Some("the registry doesn't answer".to_owned());
        assert_eq!(cache_line(&figures), format!("{with_limit}; the registry doesn't answer"));
        figures = CacheFigures { rate_limit: Some(limit(None, None)), ..CacheFigures::default() };
        assert_eq!(
            cache_line(&figures),
            "image cache: nothing known of it yet; Docker Hub sets no limit (asked 10:20 UTC)"
        );
    }
}
