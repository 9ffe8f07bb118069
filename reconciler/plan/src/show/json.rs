//! A plan for programs. The top level is stable: fields are added, never renamed; `format` counts the exceptions.

use serde::Serialize;

use crate::show::Counts;
use crate::step::{Action, Blocked, Capacity, Note, Plan, Removals, StageKind, Step, Subject};

/// Version of this format.
const FORMAT: u32 = 1;

#[derive(Serialize)]
struct Document<'a> {
    format: u32,
    empty: bool,
    counts: Counts,
    changes: Vec<FlatChange<'a>>,
    blocked: &'a [Blocked],
    notes: &'a [Note],
    unchanged: usize,
    removals: &'a Removals,
    capacity: Capacity,
}

#[derive(Serialize)]
struct FlatChange<'a> {
    /// Counts up; changes of one number may run side by side.
    stage: usize,
    kind: StageKind,
    subject: &'a Subject,
    action: Action,
    reasons: &'a [String],
    losses: &'a [String],
    steps: &'a [Step],
}

/// The plan as JSON:
///
/// ```json
/// {
///   "format": 1,
///   "empty": false,
///   "counts": { "create": 1, "update": 0, "recreate": 0, "remove": 0, "blocked": 0 },
///   "changes": [
///     { "stage": 0, "kind": "servers", "subject": { "server": { "id": 7, "name": "blog" } }, "action": "create",
///       "reasons": ["it has no container"], "losses": [], "steps": [{ "create-volume": { } }] }
///   ],
///   "blocked": [{ "subject": { "network": "a" }, "action": "create", "why": "", "hint": "" }],
///   "notes": [{ "about": "", "text": "", "audience": "everybody" }],
///   "unchanged": 4,
///   "removals": { "count": 0, "allowed": 5, "hash": null, "lifted": false },
///   "capacity": { "used": 3, "total": 238, "more": { "servers": 40, "scarcest": "memory" } }
/// }
/// ```
pub fn json(plan: &Plan) -> serde_json::Result<String> {
    let changes = plan.stages.iter().enumerate().flat_map(|(stage, at)| {
        at.changes.iter().map(move |change| FlatChange {
            stage,
            kind: at.kind,
            subject: &change.subject,
            action: change.action,
            reasons: &change.reasons,
            losses: &change.losses,
            steps: &change.steps,
        })
    });
    berth_schema::text::json(&Document {
        format: FORMAT,
        empty: plan.is_empty(),
        counts: Counts::of(plan),
        changes: changes.collect(),
        blocked: &plan.blocked,
        notes: &plan.notes,
        unchanged: plan.unchanged,
        removals: &plan.removals,
        capacity: plan.capacity,
    })
}
