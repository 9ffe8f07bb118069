//! `berth status`: how things are.

use anyhow::Context as _;
use berth_plan::Desired;
use berth_repo::StateRepo;
use berth_schema::quantity::{Bytes, Cpus};
use comfy_table::{Table, presets};

use super::apply::{short, tell};
use super::{Exit, show_findings};
use crate::client::Daemon;
use crate::docker::connect;
use crate::draw::{print, say};
use crate::figures::CacheFigures;
use crate::observe::{Inspections, Reader};
use crate::remote::{Standing, configured};
use crate::settings::Settings;
use crate::source::Source;
use crate::status::{RemoteRow, Status};

/// How to show it.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Print JSON, for programs
    #[arg(long)]
    json: bool,
}

pub(super) async fn run(args: &Args, settings: &Settings) -> anyhow::Result<Exit> {
    let status = match Daemon::find(&settings.socket()).await? {
        Some(mut daemon) => match daemon.status().await? {
            Some(status) => status,
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
    let status = Status { remote: remote(settings), ..status };
    if args.json {
        print(&serde_json::to_string_pretty(&status).context("write the status")?);
    } else {
        show(&status);
    }
    let as_wanted = status.servers.iter().all(|row| row.wanted == row.actual);
    let follows = status.remote.as_ref().is_none_or(|remote| remote.runs && remote.standing.is_fine());
    let fine = as_wanted && status.engine_answers && follows;
    Ok(if fine && status.last_pass.is_none_or(|pass| pass.is_clean()) { Exit::Ok } else { Exit::Failed })
}

/// What is known of the forge, where `main` names one.
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
    let (docker, engine) = connect(&settings.docker).await?;
    let desired = Desired::from_state(&settled.state);
    let observed = Reader::new(docker).observe(&desired, &mut Inspections::default()).await?;
    Ok(Some(Status { engine: engine.version, last_applied, ..Status::of(&desired, &observed) }))
}

fn show(status: &Status) {
    let daemon = match status.pid {
        Some(pid) => format!("reconciler {} runs (pid {pid})", status.version),
        None => "no reconciler runs (start it with `berth up`)".to_owned(),
    };
    let applied = status.last_applied.as_deref().map_or("none yet", short);
    print(&format!(
        "platform {}: {daemon}, engine {}, last applied revision {applied}",
        status.platform, status.engine
    ));
    if !status.engine_answers {
        print("THE ENGINE DOES NOT ANSWER. What follows is how things were when it last did.");
    }
    let mut table = Table::new();
    table.load_preset(presets::NOTHING);
    table.set_header(["ID", "SERVER", "OWNER", "WANTED", "IS", "CPUS", "MEMORY", "IMAGE"]);
    for row in &status.servers {
        table.add_row([
            row.id.to_string(),
            row.name.clone(),
            row.owner.clone(),
            row.wanted.clone(),
            row.actual.clone(),
            Cpus::from_nanos(row.nano_cpus).to_string(),
            Bytes::new(row.memory).to_string(),
            row.image.clone(),
        ]);
    }
    for row in &status.tombstones {
        let until = row.purge_after.strftime("%Y-%m-%d");
        let state = format!("removed, kept until {until}");
        table.add_row([&row.id.to_string(), &row.name, &row.owner, &state, "tombstone", "", "", ""]);
    }
    print(&table.trim_fmt());
    for row in status.system.iter().filter(|row| row.actual != "running") {
        print(&format!("system container {} is {}", row.name, row.actual));
    }
    if let Some(cache) = &status.cache {
        print(&cache_line(cache));
    }
    if let Some(remote) = &status.remote {
        remote_lines(remote).iter().for_each(|line| print(line));
    }
    if let Some(pass) = status.last_pass.as_ref().filter(|pass| !pass.is_clean()) {
        say("The last pass left something to look at:");
        for outcome in pass.outcomes.iter().filter(|outcome| !outcome.is_done()) {
            say(&crate::draw::outcome_line(outcome));
        }
        tell(pass);
    }
}

/// The forge in a few lines.
fn remote_lines(remote: &RemoteRow) -> Vec<String> {
    let standing = &remote.standing;
    let looked = match &standing.looked_at {
        Some(at) => format!("last looked at {} UTC", at.strftime("%Y-%m-%d %H:%M:%S")),
        None => "not looked at yet".to_owned(),
    };
    let tip = standing.tip.as_deref().map_or(String::new(), |tip| format!(", its tip was {}", short(tip)));
    let mut lines = vec![format!("forge {}, branch {}: {looked}{tip}", standing.url, standing.branch)];
    if !remote.runs {
        lines.push("  nothing follows it (start it with `berth up` or `berth remote`)".to_owned());
    }
    if let Some(address) = standing.listening.filter(|_| remote.runs) {
        lines.push(format!("  its webhook may call http://{address}{}", berth_web::PATH));
    }
    if let Some(trouble) = &standing.trouble {
        lines.push(format!("  it can't be followed: {trouble}"));
    }
    if let Some(refusal) = &standing.refused {
        lines.push(format!("  main doesn't follow {}:", short(&refusal.revision)));
        lines.extend(refusal.why.iter().map(|why| format!("    {why}")));
        lines.push(format!("    hint: {}", refusal.hint));
    }
    if let Some(trouble) = &standing.webhook_trouble {
        lines.push(format!("  its webhook can't call: {trouble}"));
    }
    if let Some(trouble) = &standing.telling_trouble {
        lines.push(format!("  it can't be told what became of its commits: {trouble}"));
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
        line.push_str(&format!("; {trouble}"));
    }
    line
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test says what it expects by unwrapping it")]
mod tests {
    use super::cache_line;
    use crate::figures::{CacheFigures, RateLimit, Usage};

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
