//! Changes that are alike, told as one.

use berth_schema::brief::{FEW, form, grouped};

use crate::step::{Action, Blocked, Change, Plan, Stage, Subject};

/// Grain of a text: how like each other things are that it tells as one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Grain {
    /// Each is told by itself.
    Each,
    /// Many with the same reasons and losses are one.
    Same,
    /// Many whose reasons and losses differ by names and numbers alone are one, too.
    Like,
}

/// Changes to tell together; one that stands by itself is told with everything.
pub(super) struct Alike<'a> {
    pub(super) changes: Vec<&'a Change>,
    /// True where the reasons of the others differ from those of the first by names and numbers.
    pub(super) differ: bool,
}

impl<'a> Alike<'a> {
    /// Returns the first change of them, which speaks for all.
    pub(super) fn first(&self) -> Option<&'a Change> {
        self.changes.first().copied()
    }

    /// Number of changes that lose data.
    pub(super) fn losing(&self) -> usize {
        self.changes.iter().filter(|change| !change.losses.is_empty()).count()
    }
}

/// The changes of a stage as they are told. In a text that leaves anything out, those that lose data come first.
pub(super) fn alike<'a>(stages: &[&'a Stage], grain: Grain) -> Vec<Alike<'a>> {
    let changes = stages.iter().flat_map(|stage| &stage.changes);
    let groups = match grain {
        Grain::Each => changes.map(|change| vec![change]).collect(),
        Grain::Same => grouped(changes, |change| {
            (kind(&change.subject), change.action, change.reasons.clone(), change.losses.clone())
        }),
        Grain::Like => grouped(changes, |change| {
            let forms =
                |sentences: &[String]| sentences.iter().map(|sentence| form(sentence)).collect::<Vec<_>>();
            (kind(&change.subject), change.action, forms(&change.reasons), forms(&change.losses))
        }),
    };
    let mut alike: Vec<Alike<'_>> = groups.into_iter().flat_map(|group| together(group, grain)).collect();
    if grain == Grain::Like {
        alike.sort_by_key(|alike| alike.losing() == 0);
    }
    alike
}

/// A group as one where it is large, and as its members where it isn't.
fn together(group: Vec<&Change>, grain: Grain) -> Vec<Alike<'_>> {
    if group.len() <= FEW {
        return group.into_iter().map(|change| Alike { changes: vec![change], differ: false }).collect();
    }
    let same = |one: &Change, other: &Change| one.reasons == other.reasons && one.losses == other.losses;
    let differ = grain == Grain::Like && !group.windows(2).all(|pair| same(pair[0], pair[1]));
    vec![Alike { changes: group, differ }]
}

/// Groups of changes that are held back for the same reason.
pub(super) fn obstacles(plan: &Plan) -> Vec<Vec<&Blocked>> {
    grouped(&plan.blocked, |blocked| (&blocked.why, &blocked.hint))
}

/// Noun for one subject or more.
pub(super) fn noun(subject: &Subject, number: usize) -> String {
    let (one, more) = match subject {
        Subject::Network(_) => ("network", "networks"),
        Subject::System(_) => ("system container", "system containers"),
        Subject::Links(_) => ("plane's links", "planes' links"),
        Subject::Configuration(_) => ("configuration", "configurations"),
        Subject::Server { .. } => ("server", "servers"),
    };
    format!("{number} {}", if number == 1 { one } else { more })
}

/// Name of a subject among others of its kind.
pub(super) fn name(subject: &Subject) -> String {
    match subject {
        Subject::Network(name) | Subject::System(name) | Subject::Links(name) => name.clone(),
        Subject::Configuration(kind) => kind.to_string(),
        Subject::Server { name, .. } => name.clone(),
    }
}

/// Phrase for an action, to follow several subjects.
pub(super) fn phrase_of_many(action: Action) -> &'static str {
    match action {
        Action::Create => "are created",
        Action::Update => "change in place",
        Action::Start => "are started",
        Action::Stop => "are stopped",
        Action::Recreate => "are made anew",
        Action::Entomb => "are stopped and kept as tombstones",
        Action::Resurrect => "come back, with their data",
        Action::Purge => "are purged",
        Action::Remove => "are removed",
    }
}

pub(super) fn kind(subject: &Subject) -> std::mem::Discriminant<Subject> {
    std::mem::discriminant(subject)
}
