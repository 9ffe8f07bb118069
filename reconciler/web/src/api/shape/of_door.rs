//! The API's shapes, made of the door's answers.

use berth_wire::web::{
    CommitLine, CommitSheet, DomainCard, DomainSheet, FieldFinding, FileDiff, Person, Planned, ProposalCard,
    ProposalSheet, PullCard, PullSheet, Quota, ServerCard, ServerSheet, Standing, UserCard, UserSheet,
};

use super::{
    Amount, Change, ChangeDetails, Diff, Domain, DomainDetails, Finding, Me, Plan, Platform, Pull,
    PullDetails, Review, ReviewDetails, Server, ServerDetails, Tool, User, UserDetails, all, word, words,
};

/// Billionths of a processor.
const NANO: f64 = 1e9;

impl From<ServerCard> for Server {
    fn from(card: ServerCard) -> Self {
        Self {
            id: card.id.get().into(),
            name: card.name.to_string(),
            owner: card.owner.to_string(),
            members: words(card.members),
            state: word(&card.wanted),
            // Exact below four million processors.
            cpus: card.nano_cpus as f64 / NANO,
            memory: card.memory,
            pids: card.pids.into(),
            disk: card.disk,
            domains: all(card.domains),
            ssh: card.ssh,
        }
    }
}

impl From<DomainCard> for Domain {
    fn from(card: DomainCard) -> Self {
        Self {
            fqdn: card.fqdn.to_string(),
            server: card.server.to_string(),
            port: card.port.into(),
            tls: word(&card.tls),
            access: word(&card.access),
            cloudflare: card.cloudflare,
            url: card.url,
        }
    }
}

impl From<ServerSheet> for ServerDetails {
    fn from(sheet: ServerSheet) -> Self {
        let tool = |tool: berth_wire::web::ToolCard| Tool { tool: word(&tool.tool), url: tool.url };
        Self {
            server: sheet.card.into(),
            file: sheet.text,
            may_edit: sheet.may_edit,
            tools: sheet.tools.into_iter().map(tool).collect(),
            made_by: sheet.made_by.map(Change::from),
            at: sheet.at.to_string(),
        }
    }
}

impl From<DomainSheet> for DomainDetails {
    fn from(sheet: DomainSheet) -> Self {
        Self {
            domain: sheet.card.into(),
            server_id: sheet.server.get().into(),
            file: sheet.text,
            may_edit: sheet.may_edit,
            made_by: sheet.made_by.map(Change::from),
        }
    }
}

impl From<UserCard> for User {
    fn from(card: UserCard) -> Self {
        Self {
            name: card.name.to_string(),
            role: word(&card.role),
            email: card.email,
            servers: card.servers.into(),
            keys: card.keys.into(),
            has_password: card.has_password,
            has_second_factor: card.has_second_factor,
            passkeys: card.passkeys.into(),
        }
    }
}

impl From<UserSheet> for UserDetails {
    fn from(sheet: UserSheet) -> Self {
        Self {
            user: sheet.card.into(),
            ssh_keys: sheet.ssh_keys,
            quota: all(sheet.quota),
            sessions: sheet.sessions.into(),
            made_by: sheet.made_by.map(Change::from),
        }
    }
}

impl From<Quota> for Amount {
    fn from(quota: Quota) -> Self {
        let Quota { field, used, allowed, used_text, allowed_text } = quota;
        Self { field, used, allowed, used_text, allowed_text }
    }
}

impl From<Person> for Me {
    fn from(person: Person) -> Self {
        let platform = person.platform;
        Self {
            name: person.name.to_string(),
            role: word(&person.role),
            scopes: person.scopes.map(words),
            quota: all(person.quota),
            platform: Platform {
                domain: platform.domain.to_string(),
                kept_days: platform.kept_days.into(),
                forge: platform.forge,
                opens_pulls: platform.opens_pulls,
                image: platform.image,
            },
        }
    }
}

impl From<CommitLine> for Change {
    fn from(line: CommitLine) -> Self {
        Self {
            revision: line.revision.to_string(),
            author: line.author,
            at: line.at.to_string(),
            summary: line.summary,
            door: line.door,
            paths: line.paths,
            outcome: line.outcome,
        }
    }
}

impl From<CommitSheet> for ChangeDetails {
    fn from(sheet: CommitSheet) -> Self {
        Self { change: sheet.line.into(), diffs: all(sheet.diffs), may_revert: sheet.may_revert }
    }
}

impl From<FileDiff> for Diff {
    fn from(diff: FileDiff) -> Self {
        Self { path: diff.path, lines: diff.lines }
    }
}

impl From<ProposalCard> for Review {
    fn from(card: ProposalCard) -> Self {
        Self {
            topic: card.topic,
            author: card.author.map(|author| author.to_string()),
            opened: card.opened.map(|opened| opened.to_string()),
            summary: card.summary,
            tip: card.tip.to_string(),
            need: card.need,
            fit: card.fit,
        }
    }
}

impl From<ProposalSheet> for ReviewDetails {
    fn from(sheet: ProposalSheet) -> Self {
        Self {
            review: sheet.card.into(),
            commits: all(sheet.commits),
            findings: all(sheet.findings),
            plan: sheet.plan,
            losses: sheet.losses,
            diffs: all(sheet.diffs),
            approvers: words(sheet.approvers),
            may_approve: sheet.may_approve,
            may_reject: sheet.may_reject,
            shuts_out: sheet.shuts_out,
        }
    }
}

impl From<PullCard> for Pull {
    fn from(card: PullCard) -> Self {
        Self {
            user: card.user.to_string(),
            topic: card.topic,
            summary: card.summary,
            revision: card.revision.to_string(),
            asked: card.asked.to_string(),
            state: word(&card.state),
            why: card.why,
            forge: card.forge,
            number: card.number,
            url: card.url,
            is_allowed: card.is_allowed,
            is_merged_here: card.is_merged_here,
            approvers: words(card.approvers),
            landed: card.landed.map(|landed| landed.to_string()),
            may_withdraw: card.may_withdraw,
        }
    }
}

impl From<PullSheet> for PullDetails {
    fn from(sheet: PullSheet) -> Self {
        Self {
            pull: sheet.card.into(),
            branch: sheet.branch,
            plan: sheet.plan,
            losses: sheet.losses,
            diffs: all(sheet.diffs),
        }
    }
}

impl From<FieldFinding> for Finding {
    fn from(finding: FieldFinding) -> Self {
        let FieldFinding { field, is_error, message, hint, place } = finding;
        Self { field, is_error, message, hint, place }
    }
}

impl From<Planned> for Plan {
    fn from(planned: Planned) -> Self {
        let (standing, approvers) = match planned.standing {
            Standing::Allowed => ("allowed", Vec::new()),
            Standing::Nothing => ("nothing", Vec::new()),
            Standing::NeedsReview { approvers } => ("needs-review", words(approvers)),
            Standing::Refused => ("refused", Vec::new()),
            Standing::Conflict { .. } => ("conflict", Vec::new()),
        };
        Self {
            standing: standing.to_owned(),
            approvers,
            digest: planned.digest,
            findings: all(planned.findings),
            plan: planned.plan,
            losses: planned.losses,
            diffs: all(planned.diffs),
            summary: planned.summary,
            shuts_out: planned.shuts_out,
            id: planned.id.map(|id| id.get().into()),
        }
    }
}
