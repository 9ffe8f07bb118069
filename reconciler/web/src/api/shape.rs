//! The API's own shapes. They are apart from what the panel and its door say to each other, so that either may change alone.

mod of_door;

use berth_wire::web::Page;
use serde::Serialize;
use utoipa::ToSchema;

/// Value that is written as a word.
pub(super) fn word<T: Serialize>(value: &T) -> String {
    match serde_json::to_value(value) {
        Ok(serde_json::Value::String(word)) => word,
        _ => String::new(),
    }
}

fn words<T: ToString>(values: impl IntoIterator<Item = T>) -> Vec<String> {
    values.into_iter().map(|value| value.to_string()).collect()
}

fn all<T, S: From<T>>(values: Vec<T>) -> Vec<S> {
    values.into_iter().map(S::from).collect()
}

macro_rules! shapes {
    ($($(#[$doc:meta])* $name:ident { $($(#[$field_doc:meta])* $field:ident: $type:ty,)* })*) => {$(
        $(#[$doc])*
        #[derive(Debug, Clone, Serialize, ToSchema)]
        pub(crate) struct $name { $($(#[$field_doc])* pub(super) $field: $type,)* }
    )*};
}

shapes! {
    /// A server.
    Server {
        /// Its number.
        id: u64,
        /// Its name.
        name: String,
        /// Its owner.
        owner: String,
        /// Members besides the owner.
        members: Vec<String>,
        /// State that its file asks for: `running` or `stopped`.
        state: String,
        /// Processors.
        cpus: f64,
        /// Bytes of memory.
        memory: u64,
        /// Processes and threads.
        pids: u64,
        /// Bytes of disk.
        disk: u64,
        /// Domains that it answers.
        domains: Vec<Domain>,
        /// Line that logs in.
        ssh: String,
    }
    /// A domain.
    Domain {
        /// Its name.
        fqdn: String,
        /// Server that answers.
        server: String,
        /// Port in the server.
        port: u64,
        /// Source of its certificate: `auto`, `internal` or `off`.
        tls: String,
        /// People who may open it: `public`, `users` or `owner`.
        access: String,
        /// Set if Cloudflare stands in front.
        cloudflare: bool,
        /// Address that visitors type.
        url: String,
    }
    /// One server.
    ServerDetails {
        /// The server.
        server: Server,
        /// Its file, as it is written.
        file: String,
        /// Set if whoever asks may change it without asking anybody.
        may_edit: bool,
        /// Pages of its own.
        tools: Vec<Tool>,
        /// Commit that made its file what it is.
        made_by: Option<Change>,
        /// Revision that all of this was read at.
        at: String,
    }
    /// A page that a server has of its own.
    Tool {
        /// The tool.
        tool: String,
        /// Address at which it opens.
        url: String,
    }
    /// One domain.
    DomainDetails {
        /// The domain.
        domain: Domain,
        /// Number of the server that answers.
        server_id: u64,
        /// Its file, as it is written.
        file: String,
        /// Set if whoever asks may change it without asking anybody.
        may_edit: bool,
        /// Commit that made its file what it is.
        made_by: Option<Change>,
    }
    /// A member.
    User {
        /// Name.
        name: String,
        /// Role: `admin` or `user`.
        role: String,
        /// Address.
        email: Option<String>,
        /// Number of servers that they own.
        servers: u64,
        /// Number of SSH keys.
        keys: u64,
        /// Set if a password opens the panel for them.
        has_password: bool,
        /// Set if a code is asked for after it.
        has_second_factor: bool,
        /// Number of passkeys.
        passkeys: u64,
    }
    /// One member.
    UserDetails {
        /// The member.
        user: User,
        /// Public keys.
        ssh_keys: Vec<String>,
        /// Amounts that they use and may use.
        quota: Vec<Amount>,
        /// Number of places where they are signed in.
        sessions: u64,
        /// Commit that made their file what it is.
        made_by: Option<Change>,
    }
    /// An amount of a quota.
    Amount {
        /// Field of the quota.
        field: String,
        /// Amount in use, in the field's smallest unit: pieces, billionths of a processor, bytes.
        used: u64,
        /// Amount allowed, in the same unit.
        allowed: u64,
        /// Amount in use, in words.
        used_text: String,
        /// Amount allowed, in words.
        allowed_text: String,
    }
    /// Whoever asks.
    Me {
        /// Name.
        name: String,
        /// Role: `admin` or `user`.
        role: String,
        /// Scopes of the token; nothing after a sign-in, which has all that the person has.
        scopes: Option<Vec<String>>,
        /// Amounts that they use and may use.
        quota: Vec<Amount>,
        /// The platform.
        platform: Platform,
    }
    /// The platform, as members know it.
    Platform {
        /// Domain below which every member may use names.
        domain: String,
        /// Days for which the data of a removed server is kept.
        kept_days: u64,
        /// Address of the forge where changes are made, where one hosts the state repo.
        forge: Option<String>,
        /// Set if a write becomes a pull request there. Where there is a forge and this isn't set, the API only reads.
        opens_pulls: bool,
        /// Image of a new server that names none.
        image: String,
    }
    /// A commit.
    Change {
        /// The commit.
        revision: String,
        /// Author.
        author: String,
        /// Time of it.
        at: String,
        /// First line of its message.
        summary: String,
        /// Door that it came through.
        door: Option<String>,
        /// Paths that it changed, as far as whoever asks may see them.
        paths: Vec<String>,
        /// Outcome of it, in a line, once a pass has told.
        outcome: Option<String>,
    }
    /// One commit.
    ChangeDetails {
        /// The commit.
        change: Change,
        /// Files before and after.
        diffs: Vec<Diff>,
        /// Set if whoever asks may take it back.
        may_revert: bool,
    }
    /// Lines of a file that change.
    Diff {
        /// Path of the file.
        path: String,
        /// A unified diff without its head, each line with its sign.
        lines: Vec<String>,
    }
    /// A proposal.
    Review {
        /// Its topic.
        topic: String,
        /// Author.
        author: Option<String>,
        /// Time at which it was opened.
        opened: Option<String>,
        /// First line of its newest commit.
        summary: String,
        /// Its newest commit.
        tip: String,
        /// Consent that it needs.
        need: String,
        /// Way it merges: `clean`, `landed` or `conflicts`.
        fit: String,
    }
    /// One proposal.
    ReviewDetails {
        /// The proposal.
        review: Review,
        /// Its commits, the youngest first.
        commits: Vec<Change>,
        /// Mistakes, and what has to be agreed to.
        findings: Vec<Finding>,
        /// Plan of it, in the words of a push.
        plan: String,
        /// Sentences about what is lost.
        losses: Vec<String>,
        /// Files before and after.
        diffs: Vec<Diff>,
        /// People any one of whom may approve it.
        approvers: Vec<String>,
        /// Set if whoever asks may approve it.
        may_approve: bool,
        /// Set if whoever asks may close it.
        may_reject: bool,
        /// Sentences about what whoever asks loses by it themselves.
        shuts_out: Vec<String>,
    }
    /// A change that went to the forge which hosts the state repo.
    Pull {
        /// Its author.
        user: String,
        /// Its topic, the only one of that name among the author's.
        topic: String,
        /// First line of its commit.
        summary: String,
        /// Its commit.
        revision: String,
        /// When it was asked for.
        asked: String,
        /// State: `waiting` (to be sent), `open`, `merged`, `closed`, `superseded` (`main` has it by another commit) or `failed`.
        state: String,
        /// Reason for the state, in a sentence.
        why: Option<String>,
        /// URL of the forge.
        forge: String,
        /// Number of the pull request.
        number: Option<u64>,
        /// Page of the pull request.
        url: Option<String>,
        /// Set if the policy allows it outright.
        is_allowed: bool,
        /// Set if Berth merges it itself.
        is_merged_here: bool,
        /// People any one of whom may agree to it by the policy, where somebody has to.
        approvers: Vec<String>,
        /// Revision by which `main` has it.
        landed: Option<String>,
        /// Set if it can be taken back here, since the forge doesn't have it.
        may_withdraw: bool,
    }
    /// One of these changes.
    PullDetails {
        /// The change.
        pull: Pull,
        /// Branch at the forge.
        branch: String,
        /// Plan in the words of a push, as it was when the change was asked for.
        plan: String,
        /// Sentences about what is lost.
        losses: Vec<String>,
        /// Files before and after.
        diffs: Vec<Diff>,
    }
    /// A mistake or a warning, at its field.
    Finding {
        /// The field; nothing for the change as a whole.
        field: Option<String>,
        /// Set if it forbids the change.
        is_error: bool,
        /// A sentence.
        message: String,
        /// Way to mend it.
        hint: Option<String>,
        /// Path, line and column, where it is in another file.
        place: Option<String>,
    }
    /// Effect of a change, on top of `main` as it is now.
    Plan {
        /// Permission for it: `allowed`, `nothing`, `needs-review`, `refused` or `conflict`.
        standing: String,
        /// People any one of whom has to agree, where somebody has to.
        approvers: Vec<String>,
        /// Digest of the change and of all that is shown here. A write with `digest` makes this and nothing else.
        digest: String,
        /// Mistakes and warnings, at their fields.
        findings: Vec<Finding>,
        /// Plan in the words of a push.
        plan: String,
        /// Sentences about what is lost.
        losses: Vec<String>,
        /// Files before and after.
        diffs: Vec<Diff>,
        /// First line of the commit's message.
        summary: String,
        /// Sentences about what whoever asks loses by it themselves.
        shuts_out: Vec<String>,
        /// Number of a new server.
        id: Option<u64>,
    }
    /// Outcome of a write.
    Written {
        /// `committed`, `unchanged` (everything is so already), `proposed`, `sent` (to the forge, as a pull request), `planned` or `done`
        /// (without a commit).
        outcome: String,
        /// The write, in a line.
        summary: String,
        /// The commit, or a proposal's, or a pull request's.
        revision: Option<String>,
        /// Path at which the API tells what comes of it.
        follow: Option<String>,
        /// Topic of the proposal, or of the pull request.
        topic: Option<String>,
        /// Number of a new server.
        id: Option<u64>,
        /// Effect of the change; nothing where there is no commit.
        plan: Option<Plan>,
    }
}

/// A part of a list.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct List<T> {
    /// Rows of this page, 50 at most.
    rows: Vec<T>,
    /// Number of this page, from 1.
    page: u64,
    /// Number of pages, 1 at least.
    pages: u64,
    /// Number of rows in all.
    all: u64,
}

impl<T, S: From<T>> From<Page<T>> for List<S> {
    fn from(page: Page<T>) -> Self {
        Self { rows: all(page.rows), page: page.page.into(), pages: page.pages.into(), all: page.all.into() }
    }
}

impl Finding {
    /// A mistake, at a field or in the whole.
    pub(super) fn error(field: Option<&str>, message: &str) -> Self {
        Self {
            field: field.map(str::to_owned),
            is_error: true,
            message: message.to_owned(),
            hint: None,
            place: None,
        }
    }
}

impl Written {
    /// Something that was done without a commit.
    pub(super) fn done(summary: impl Into<String>, follow: Option<String>) -> Self {
        Self {
            outcome: "done".to_owned(),
            summary: summary.into(),
            revision: None,
            follow,
            topic: None,
            id: None,
            plan: None,
        }
    }
}
