//! Answers of the lobby: what a program gets, as one JSON document. [`super::schema`] describes it from these types.

use berth_schema::organisation::addressed;
use berth_wire::web::{DomainCard, FieldFinding, FileDiff, Planned, PullCard, Quota, Standing};
use schemars::JsonSchema;
use serde::Serialize;

/// Answer of the lobby over SSH: an object with one entry, whose name says which answer it is.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Answer {
    /// Answer to a line without a command, and to `ls`.
    List(List),
    /// Answer to `domain ls`.
    Domains(Vec<DomainRow>),
    /// Answer to `log`, the newest change first.
    Log(Log),
    /// Answer to `plan`. Nothing was changed.
    Plan(Box<Plan>),
    /// Answer to `pulls`, and to `withdraw` once it is done, the newest first.
    Pulls(Vec<PullRow>),
    /// Answer to a command that changes the state repo, once it has.
    Change(Box<Made>),
    /// Answer to `restart`.
    Restart(Restarted),
    /// Answer to `restore`.
    Restore(Restored),
    /// Answer to `help`.
    Help {
        /// The help, as people read it.
        text: String,
    },
    /// A refusal, a mistake or a failure. Nothing was changed.
    Error(Trouble),
}

/// What is somebody's, or everybody's.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
pub(super) struct List {
    /// The person who asks.
    pub(super) user: String,
    /// True if they are an admin.
    pub(super) is_admin: bool,
    /// Servers.
    pub(super) servers: Vec<ServerRow>,
    /// Domains that lead to these servers.
    pub(super) domains: Vec<DomainRow>,
    /// Their quota.
    pub(super) quota: Vec<QuotaRow>,
}

/// A server.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
pub(super) struct ServerRow {
    /// Its number.
    pub(super) id: u32,
    /// Its name.
    pub(super) name: String,
    /// Its owner.
    pub(super) owner: String,
    /// The members besides.
    pub(super) members: Vec<String>,
    /// State that its file asks for: `running` or `stopped`.
    pub(super) wanted: String,
    /// State that the reconciler saw last, in a word; `missing` without a container, `unknown` where nobody could be asked.
    pub(super) actual: String,
    /// Billionths of a processor.
    pub(super) nano_cpus: u64,
    /// Bytes of memory.
    pub(super) memory: u64,
    /// Processes and threads.
    pub(super) pids: u32,
    /// Bytes of disk.
    pub(super) disk: u64,
    /// Line that logs in to it.
    pub(super) ssh: String,
}

/// A domain.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
pub(super) struct DomainRow {
    /// Its name.
    pub(super) fqdn: String,
    /// Server that answers.
    pub(super) server: String,
    /// Port in the server.
    pub(super) port: u16,
    /// Address that visitors type.
    pub(super) url: String,
}

/// One amount of a quota.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
pub(super) struct QuotaRow {
    /// Field of the quota: `servers`, `cpus`, `memory`, `pids`, `disk` or `domains`.
    pub(super) field: String,
    /// Amount in use: pieces, billionths of a processor, bytes.
    pub(super) used: u64,
    /// Amount allowed, in the same unit.
    pub(super) allowed: u64,
    /// Amount in use, in words.
    pub(super) used_text: String,
    /// Amount allowed, in words.
    pub(super) allowed_text: String,
}

/// Changes of the past.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
pub(super) struct Log {
    /// The newest first.
    pub(super) changes: Vec<LogRow>,
    /// False if older changes weren't looked through, since that takes too long.
    pub(super) is_whole: bool,
}

/// A change of the past.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
pub(super) struct LogRow {
    /// The commit.
    pub(super) revision: String,
    /// Author of it.
    pub(super) author: String,
    /// Time of it, by RFC 3339.
    pub(super) at: String,
    /// First line of its message.
    pub(super) summary: String,
    /// Door that it came through, where that is known: `panel` or `ssh`.
    pub(super) door: Option<String>,
    /// Its paths, as far as the person may see them.
    pub(super) paths: Vec<String>,
    /// Outcome, in a word or two, where a pass has told.
    pub(super) outcome: Option<String>,
}

/// Effect of a change.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
pub(super) struct Plan {
    /// Permission for it: `allowed`, `nothing`, `needs-review`, `refused` or `conflict`.
    pub(super) standing: String,
    /// People any one of whom may agree to it.
    pub(super) approvers: Vec<String>,
    /// First line of the commit's message.
    pub(super) summary: String,
    /// Mistakes, warnings and notes.
    pub(super) findings: Vec<FindingRow>,
    /// The plan, in the words of a push.
    pub(super) plan: String,
    /// Data and state that is lost, in sentences.
    pub(super) losses: Vec<String>,
    /// Sentences about what the person loses by it themselves.
    pub(super) locks_out: Vec<String>,
    /// The files before and after.
    pub(super) diffs: Vec<DiffRow>,
    /// Number of a new server.
    pub(super) id: Option<u32>,
}

/// A finding.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
pub(super) struct FindingRow {
    /// True if it forbids the change.
    pub(super) is_error: bool,
    /// Field that it is about.
    pub(super) field: Option<String>,
    /// Path, line and column, where it is in another file.
    pub(super) place: Option<String>,
    /// Sentence.
    pub(super) message: String,
    /// Way to mend it.
    pub(super) hint: Option<String>,
}

/// The lines of a file that a change touches.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
pub(super) struct DiffRow {
    /// Path of the file.
    pub(super) path: String,
    /// Lines of a unified diff, each with its sign.
    pub(super) lines: Vec<String>,
}

/// A change that went to the forge which hosts the state repo.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
pub(super) struct PullRow {
    /// Its author.
    pub(super) user: String,
    /// Its topic.
    pub(super) topic: String,
    /// First line of its commit.
    pub(super) summary: String,
    /// Its commit.
    pub(super) revision: String,
    /// When it was asked for, by RFC 3339.
    pub(super) asked: String,
    /// State: `waiting` (to be sent), `open`, `merged`, `closed`, `superseded` (`main` has it by another commit) or `failed`.
    pub(super) state: String,
    /// Reason for the state, in a sentence.
    pub(super) why: Option<String>,
    /// Number of the pull request.
    pub(super) number: Option<u64>,
    /// Page of the pull request.
    pub(super) url: Option<String>,
    /// Revision by which `main` has it.
    pub(super) landed: Option<String>,
}

/// A change that was made, or that there was no need for.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
pub(super) struct Made {
    /// End of it: `made`, `proposed`, `sent` (to the forge, as a pull request) or `nothing`.
    pub(super) result: String,
    /// The commit, on `main`, of the proposal or of the pull request.
    pub(super) revision: Option<String>,
    /// Topic of the proposal, or of the pull request among one's own.
    pub(super) topic: Option<String>,
    /// URL of the forge that it went to.
    pub(super) forge: Option<String>,
    /// Effect of the change.
    pub(super) plan: Plan,
    /// Outcome on the engine; none where nobody waited for it.
    pub(super) applied: Option<Applied>,
}

/// Outcome of a commit on the engine.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Applied {
    /// State: `applied`, `failed`, `pending` after the longest wait, with the failures so far, or `unknown` where no reconciler
    /// could be asked.
    pub state: String,
    /// Revision that the reconciler worked on, where that is another one by now.
    pub attempted: Option<String>,
    /// Changes that were made, without those of servers that the commit doesn't touch.
    pub done: usize,
    /// Changes that failed, without those of servers that the commit doesn't touch, and problems of the pass, each in a line.
    pub failures: Vec<String>,
}

/// A restart.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub(super) struct Restarted {
    /// Server's name.
    pub(super) server: String,
    /// True once it is done; it goes on otherwise.
    pub(super) is_done: bool,
}

/// Restored data.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub(super) struct Restored {
    /// Server's name.
    pub(super) server: String,
    /// Folder of the data in the server, once it is there; it goes on otherwise.
    pub(super) folder: Option<String>,
    /// Day on which it goes again.
    pub(super) until: Option<String>,
}

/// A refusal, a mistake or a failure.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
pub struct Trouble {
    /// Sentence that says what is wrong.
    pub(super) message: String,
    /// The next step.
    pub(super) hint: Option<String>,
    /// Effect that the change would have, where it could be planned.
    pub(super) plan: Option<Box<Plan>>,
}

impl Trouble {
    /// A trouble with its next step.
    pub fn new(message: impl Into<String>, hint: impl Into<String>) -> Self {
        Self { message: message.into(), hint: Some(hint.into()), plan: None }
    }

    /// The same with whom the person asks in its next step.
    pub(super) fn addressed(self, contact: Option<&str>) -> Self {
        Self { hint: self.hint.map(|hint| addressed(&hint, contact)), ..self }
    }

    /// The same, about a change that was planned.
    pub(super) fn about(self, plan: Plan) -> Self {
        Self { plan: Some(Box::new(plan)), ..self }
    }
}

impl From<DomainCard> for DomainRow {
    fn from(card: DomainCard) -> Self {
        let DomainCard { fqdn, server, port, url, .. } = card;
        Self { fqdn: fqdn.to_string(), server: server.to_string(), port, url }
    }
}

impl From<Quota> for QuotaRow {
    fn from(Quota { field, used, allowed, used_text, allowed_text }: Quota) -> Self {
        Self { field, used, allowed, used_text, allowed_text }
    }
}

impl From<PullCard> for PullRow {
    fn from(card: PullCard) -> Self {
        Self {
            user: card.user.to_string(),
            topic: card.topic,
            summary: card.summary,
            revision: card.revision.to_string(),
            asked: card.asked.to_string(),
            state: card.state.word().to_owned(),
            why: card.why,
            number: card.number,
            url: card.url,
            landed: card.landed.map(|landed| landed.to_string()),
        }
    }
}

impl From<FieldFinding> for FindingRow {
    fn from(FieldFinding { field, is_error, message, hint, place }: FieldFinding) -> Self {
        Self { is_error, field, place, message, hint }
    }
}

impl From<FileDiff> for DiffRow {
    fn from(FileDiff { path, lines }: FileDiff) -> Self {
        Self { path, lines }
    }
}

impl From<Planned> for Plan {
    fn from(planned: Planned) -> Self {
        let (standing, approvers) = match planned.standing {
            Standing::Allowed => ("allowed", Vec::new()),
            Standing::Nothing => ("nothing", Vec::new()),
            Standing::NeedsReview { approvers } => ("needs-review", approvers),
            Standing::Refused => ("refused", Vec::new()),
            Standing::Conflict { .. } => ("conflict", Vec::new()),
        };
        Self {
            standing: standing.to_owned(),
            approvers: approvers.iter().map(ToString::to_string).collect(),
            summary: planned.summary,
            findings: planned.findings.into_iter().map(FindingRow::from).collect(),
            plan: planned.plan,
            losses: planned.losses,
            locks_out: planned.shuts_out,
            diffs: planned.diffs.into_iter().map(DiffRow::from).collect(),
            id: planned.id.map(|id| id.get()),
        }
    }
}
