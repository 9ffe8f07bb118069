//! The judge: a sight in, alarms out. Pure, without a clock and without a memory.

use std::time::Duration;

use berth_schema::State;
use berth_schema::alarms::{AlarmKind, Alarms};
use berth_schema::domain::Tls;
use berth_schema::name::UserName;
use berth_schema::quantity::{Bytes, Span};
use berth_schema::server::Server;
use berth_schema::text::safe_line;
use berth_wire::facts::{Amount, CertificateFacts, Facts, FileSystemUse, Limited, ServerFacts, percent};
use berth_wire::status::{SystemRow, TombstoneRow, word};
use berth_wire::{Ended, PassRecord, Status};
use jiff::Timestamp;

use crate::sight::{Sight, Waiting};

/// Time for which something has to last that mends itself in most cases: a process is started again, a file is removed.
const HOLD: Duration = Duration::from_secs(60);
/// Time for which a certificate may be missing: a new name gets one when somebody visits it.
const FIRST_CERTIFICATE: Duration = Duration::from_secs(10 * 60);
/// Ends within [`Alarms::calm`] from which on a server ends again and again.
const ENDS: usize = 3;
/// Characters of somebody's words in an alarm.
const WORDS: usize = 300;

/// Something that is wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Alarm {
    /// Its kind.
    pub kind: AlarmKind,
    /// The thing that it is about, such as `server/shop`.
    pub about: String,
    /// The rest of a sentence about that thing.
    pub text: String,
    /// Member whose own it is.
    pub owner: Option<UserName>,
    /// Time for which it has to last until somebody is told.
    pub hold: Duration,
}

/// Everything that is wrong, and what nobody could see.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Judgement {
    /// Everything that is wrong.
    pub alarms: Vec<Alarm>,
    has_facts: bool,
    has_status: bool,
    has_state: bool,
    has_proposals: bool,
    has_troubles: bool,
    /// Processes that were looked at, whatever the reconciler tells.
    probed: Vec<String>,
}

impl Judgement {
    /// Returns whether an alarm of this kind about this thing would have been seen. One that wouldn't is neither on nor over.
    pub fn sees(&self, kind: AlarmKind, about: &str) -> bool {
        match kind {
            AlarmKind::Unapplied | AlarmKind::Restarts | AlarmKind::Oom | AlarmKind::Limit => self.has_facts,
            AlarmKind::Disk | AlarmKind::Certificate => self.has_facts && self.has_state,
            AlarmKind::Expiry => self.has_status,
            AlarmKind::Proposal => self.has_proposals,
            AlarmKind::Backup | AlarmKind::Drill => self.has_troubles,
            AlarmKind::Process => {
                self.has_status || about == RECONCILER || self.probed.iter().any(|probed| probed == about)
            }
        }
    }
}

/// The reconciler, as a thing that alarms are about.
const RECONCILER: &str = "process/reconciler";
/// The engine.
const ENGINE: &str = "process/engine";

/// Judges what is wrong.
pub fn judge(sight: &Sight, rules: &Alarms) -> Judgement {
    let bench = Bench { at: sight.at, rules, state: sight.state.as_deref() };
    let mut alarms = Vec::new();
    match &sight.facts {
        Ok(facts) => bench.facts(facts, &mut alarms),
        Err(why) => alarms.push(process(RECONCILER, format!("it doesn't answer: {}", words(why)))),
    }
    let gone = sight.processes.iter().filter(|process| !process.runs);
    alarms.extend(gone.map(|gone| process(&thing("process", gone.name), "it doesn't run".to_owned())));
    alarms.extend(sight.proposals.iter().flatten().filter_map(|waiting| bench.proposal(waiting)));
    alarms.extend(sight.troubles.iter().flatten().map(|trouble| Alarm {
        kind: trouble.kind,
        about: trouble.about.clone(),
        text: format!("it has failed since {}: {}", moment(trouble.since), words(&trouble.why)),
        owner: None,
        hold: Duration::ZERO,
    }));
    let facts = sight.facts.as_ref().ok();
    Judgement {
        alarms,
        has_facts: facts.is_some(),
        has_status: facts.is_some_and(|facts| facts.status.is_some()),
        has_state: sight.state.is_some(),
        has_proposals: sight.proposals.is_some(),
        has_troubles: sight.troubles.is_some(),
        probed: sight.processes.iter().map(|process| thing("process", process.name)).collect(),
    }
}

/// Everything that stays the same while one sight is judged.
struct Bench<'a> {
    at: Timestamp,
    rules: &'a Alarms,
    state: Option<&'a State>,
}

impl Bench<'_> {
    fn facts(&self, facts: &Facts, alarms: &mut Vec<Alarm>) {
        match &facts.status {
            Some(status) => self.status(status, alarms),
            None => {
                alarms.push(self.unapplied("the reconciler's first pass is still running".to_owned()));
            }
        }
        alarms.extend(facts.file_systems.iter().flat_map(|found| self.file_system(found)));
        alarms.extend(facts.limits.iter().filter_map(|amount| self.limit(amount)));
        for server in &facts.servers {
            let Some(known) = self.server(server.id) else { continue };
            alarms.extend(self.server_disk(server, known));
            alarms.extend(self.out_of_memory(server, known));
            alarms.extend(self.restarts(server, known));
        }
        alarms.extend(facts.certificates.iter().filter_map(|found| self.certificate(found)));
    }

    fn status(&self, status: &Status, alarms: &mut Vec<Alarm>) {
        if !status.engine_answers {
            alarms.push(process(ENGINE, "Docker doesn't answer".to_owned()));
        }
        if let Some(pass) = &status.last_pass
            && !(pass.is_clean() && pass.attempted.is_some() && pass.attempted == status.last_applied)
        {
            alarms.push(self.unapplied(why(pass)));
        }
        let down = status.system.iter().filter(|row| !row.is_running());
        alarms.extend(down.map(container));
        alarms.extend(status.tombstones.iter().filter_map(|stone| self.expiry(stone)));
    }

    fn unapplied(&self, text: String) -> Alarm {
        let hold = self.rules.unapplied.duration();
        Alarm { kind: AlarmKind::Unapplied, about: "platform".to_owned(), text, owner: None, hold }
    }

    fn is_full(&self, percent: Option<u64>) -> Option<u64> {
        percent.filter(|percent| *percent >= u64::from(self.rules.full))
    }

    fn file_system(&self, found: &FileSystemUse) -> impl Iterator<Item = Alarm> {
        let device = found.device.trim_start_matches('/');
        let left = Bytes::new(found.bytes.saturating_sub(found.used)).rounded();
        let room = self.is_full(percent(found.used, found.bytes)).map(|percent| Alarm {
            kind: AlarmKind::Disk,
            about: thing("host", device),
            text: format!("{percent} % of its room is taken, and {left} are left"),
            owner: None,
            hold: HOLD,
        });
        let taken = found.inodes.saturating_sub(found.inodes_free);
        let inodes = self.is_full(percent(taken, found.inodes)).map(|percent| Alarm {
            kind: AlarmKind::Limit,
            about: thing("host/inodes", device),
            text: format!("{percent} % of its inodes are taken, and {} are left", found.inodes_free),
            owner: None,
            hold: HOLD,
        });
        room.into_iter().chain(inodes)
    }

    fn limit(&self, amount: &Amount) -> Option<Alarm> {
        let percent = self.is_full(amount.percent())?;
        let (about, used, most) = match amount.of {
            Limited::Memory => {
                let words = |bytes| Bytes::new(bytes).rounded();
                ("host/memory", words(amount.used), words(amount.most))
            }
            Limited::Processes => ("host/processes", amount.used.to_string(), amount.most.to_string()),
            Limited::Files => ("host/files", amount.used.to_string(), amount.most.to_string()),
            Limited::Connections => ("host/connections", amount.used.to_string(), amount.most.to_string()),
        };
        let text = format!("{percent} % of all {} are taken: {used} of {most}", amount.of.words());
        Some(Alarm { kind: AlarmKind::Limit, about: about.to_owned(), text, owner: None, hold: HOLD })
    }

    fn server(&self, id: u32) -> Option<&Server> {
        self.state?.servers.values().find(|server| server.id.get() == id).map(|server| &**server)
    }

    fn server_disk(&self, facts: &ServerFacts, server: &Server) -> Option<Alarm> {
        let most = server.disk(&self.state?.platform.defaults).get();
        let used = facts.disk?;
        let percent = self.is_full(percent(used, most))?;
        let (used, most) = (Bytes::new(used).rounded(), Bytes::new(most).rounded());
        let text = format!("{percent} % of its disk is taken: {used} of {most}");
        Some(of_server(AlarmKind::Disk, server, text))
    }

    fn out_of_memory(&self, facts: &ServerFacts, server: &Server) -> Option<Alarm> {
        let full = facts.out_of_memory?;
        if !self.is_recent(full.last) {
            return None;
        }
        let times = if full.times == 1 { "once".to_owned() } else { format!("{} times", full.times) };
        let text = format!(
            "its memory was full and the kernel ended a program in it, {times} so far, last at {}",
            moment(full.last)
        );
        Some(of_server(AlarmKind::Oom, server, text))
    }

    fn restarts(&self, facts: &ServerFacts, server: &Server) -> Option<Alarm> {
        let ended = facts.ended.iter().filter(|at| self.is_recent(**at)).count();
        let within = self.rules.calm;
        let text = format!("it ended by itself {ended} times within {within}, and was started again");
        (ended >= ENDS).then(|| of_server(AlarmKind::Restarts, server, text))
    }

    /// Returns whether a moment lies no further back than [`Alarms::calm`].
    fn is_recent(&self, moment: Timestamp) -> bool {
        moment.saturating_add(self.rules.calm.duration()).unwrap_or(Timestamp::MAX) > self.at
    }

    fn certificate(&self, found: &CertificateFacts) -> Option<Alarm> {
        let domain = self.state?.domains.values().find(|domain| domain.fqdn.as_str() == found.domain);
        if domain.is_some_and(|domain| domain.tls.at(&domain.fqdn) != Tls::Auto) {
            // No CA is asked for it.
            return None;
        }
        let failed = found.failed.as_ref().map(|why| format!(": {}", words(why))).unwrap_or_default();
        let (text, hold) = match found.ends {
            Some(ends) if self.is_within(ends, self.rules.certificate) => {
                (format!("its certificate ends at {}, and there is no newer one{failed}", moment(ends)), HOLD)
            }
            Some(_) => return None,
            None => {
                found.failed.as_ref()?;
                (format!("it has no certificate{failed}"), FIRST_CERTIFICATE)
            }
        };
        let server = domain.and_then(|domain| self.state?.server(&domain.server));
        let owner = server.map(|server| server.owner.clone());
        Some(Alarm { kind: AlarmKind::Certificate, about: thing("domain", &found.domain), text, owner, hold })
    }

    /// Returns whether a moment is past, or comes within that time.
    fn is_within(&self, moment: Timestamp, time: Span) -> bool {
        moment <= self.at.saturating_add(time.duration()).unwrap_or(Timestamp::MAX)
    }

    fn expiry(&self, stone: &TombstoneRow) -> Option<Alarm> {
        if !self.is_within(stone.purge_after, self.rules.expiry) {
            return None;
        }
        let text =
            format!("it was removed, and its data will be gone for good at {}", moment(stone.purge_after));
        Some(Alarm {
            kind: AlarmKind::Expiry,
            about: thing("server", &stone.name),
            text,
            owner: stone.owner.parse().ok(),
            hold: Duration::ZERO,
        })
    }

    fn proposal(&self, waiting: &Waiting) -> Option<Alarm> {
        let due = waiting.since.saturating_add(self.rules.proposal.duration()).unwrap_or(Timestamp::MAX);
        let by = waiting.by.as_ref().map(|by| format!("{by}'s, ")).unwrap_or_default();
        let text =
            format!("it has waited for a decision since {} ({by}`berth review list`)", moment(waiting.since));
        (due <= self.at).then(|| Alarm {
            kind: AlarmKind::Proposal,
            about: thing("proposal", &waiting.topic),
            text,
            owner: None,
            hold: Duration::ZERO,
        })
    }
}

/// Reason for which a pass left something undone.
fn why(pass: &PassRecord) -> String {
    let failed = pass.outcomes.iter().find_map(|outcome| match &outcome.result {
        Ended::Failed { error, .. } => Some(format!("{}: {error}", outcome.subject)),
        Ended::Done | Ended::Interrupted => None,
    });
    match failed.or_else(|| pass.problems.first().cloned()) {
        Some(why) => format!("main isn't applied: {}", words(&why)),
        None => "main isn't applied yet".to_owned(),
    }
}

fn container(row: &SystemRow) -> Alarm {
    process(&thing("process", &row.name), format!("it is {}", word(row.actual)))
}

fn process(about: &str, text: String) -> Alarm {
    Alarm { kind: AlarmKind::Process, about: about.to_owned(), text, owner: None, hold: HOLD }
}

fn of_server(kind: AlarmKind, server: &Server, text: String) -> Alarm {
    let about = thing("server", server.name.as_str());
    Alarm { kind, about, text, owner: Some(server.owner.clone()), hold: Duration::ZERO }
}

/// A thing that alarms are about: the same letters everywhere, so that it can be typed and silenced.
fn thing(sort: &str, name: &str) -> String {
    let plain = |c: char| if c.is_ascii_alphanumeric() || "/._*-".contains(c) { c } else { '.' };
    let name: String = name.chars().map(plain).take(253).collect();
    format!("{sort}/{name}")
}

fn words(text: &str) -> String {
    safe_line(text, WORDS)
}

/// A moment as people read it.
pub(crate) fn moment(at: Timestamp) -> String {
    at.strftime("%Y-%m-%d %H:%M UTC").to_string()
}
