//! The record of an outgoing change: everything known of it besides its commit, as TOML in the message of its mark.

use berth_schema::Revision;
use berth_schema::name::UserName;
use berth_schema::text::safe_line;
use berth_wire::web::PullState;
use serde::{Deserialize, Serialize};

/// The longest plan that is kept, in characters: a forge takes 65,536 for all that it shows.
const LONGEST_PLAN: usize = 30_000;
/// Lines about losses and findings that are kept of each.
const LINES: usize = 50;
/// The longest of these lines, in characters.
const LONGEST_LINE: usize = 400;
/// The longest reason, in characters.
const LONGEST_WHY: usize = 500;

/// The longest URL that is kept, in bytes.
const LONGEST_URL: usize = 2000;

/// Reason beside a change that was taken back while it reached the forge.
pub const TOO_LATE: &str =
    "it was taken back, and had reached the forge by then: close it there. Berth doesn't merge it";

/// Everything known of an outgoing change.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Record {
    /// Its state.
    pub state: PullState,
    /// Reason for the state, in a sentence, where there is one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub why: Option<String>,
    /// First line of its commit.
    pub title: String,
    /// Door that it came through, as the commit's trailer names it.
    pub door: String,
    /// Set if its author acted as a member, whatever their role is.
    pub as_member: bool,
    /// Set if the policy allowed it outright when it was asked for.
    pub is_allowed: bool,
    /// Set if its author committed it, and didn't propose it.
    pub is_committed: bool,
    /// People any one of whom may agree to it by the policy.
    pub approvers: Vec<UserName>,
    /// Points of the policy's and warnings, each in a line.
    pub findings: Vec<String>,
    /// Lines of the plan that say what is lost.
    pub losses: Vec<String>,
    /// The plan in the words of a push.
    pub plan: String,
    /// URL of the forge that it goes to.
    pub forge: String,
    /// Branch at the forge.
    pub branch: String,
    /// Number of the pull request.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub number: Option<u64>,
    /// Page of the pull request.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub url: Option<String>,
    /// The commit that the forge says it was merged by.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub merged_as: Option<Revision>,
    /// The revision by which `main` has it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub landed: Option<Revision>,
    /// Set once somebody has taken it back here.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub withdrawn: bool,
}

impl Record {
    /// The same within bounds.
    pub(crate) fn bounded(mut self) -> Self {
        if self.plan.chars().count() > LONGEST_PLAN {
            self.plan = self.plan.chars().take(LONGEST_PLAN).collect();
            self.plan.push_str("\n… The plan is longer than a forge shows; `berth plan` shows all of it.\n");
        }
        // A part of a URL leads elsewhere.
        self.url = self.url.filter(|url| url.len() <= LONGEST_URL);
        self.why = self.why.map(|why| safe_line(&why, LONGEST_WHY));
        for lines in [&mut self.findings, &mut self.losses] {
            let more = lines.len().saturating_sub(LINES);
            lines.truncate(LINES);
            lines.iter_mut().for_each(|line| *line = safe_line(line, LONGEST_LINE));
            if more > 0 {
                lines.push(format!("… and {more} more"));
            }
        }
        self
    }

    /// Returns whether it can be taken back here: nobody at the forge knows of it, or the forge doesn't show it any more.
    pub fn may_withdraw(&self) -> bool {
        self.is_open() && (self.number.is_none() || self.state == PullState::Failed)
    }

    /// Takes it back. One that the forge has by now stays as it is there, and Berth doesn't merge it.
    pub(crate) fn withdraw(&mut self) {
        self.withdrawn = true;
        if self.may_withdraw() {
            let why = match self.number {
                None => "it was taken back before it reached the forge".to_owned(),
                Some(number) => {
                    format!("it was taken back, since the forge doesn't show pull request #{number} any more")
                }
            };
            (self.state, self.why) = (PullState::Closed, Some(why));
        } else if self.is_open() {
            self.why = Some(TOO_LATE.to_owned());
        }
    }

    /// Returns whether something may still happen to it at the forge.
    pub fn is_open(&self) -> bool {
        !self.state.is_over()
    }
}
