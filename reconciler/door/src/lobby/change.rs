//! Commands that change: from words to the judge's forms, and to what came of it. A change is made as it was planned, or not.

use std::thread;
use std::time::Duration;

use berth_judge::Sights as _;
use berth_judge::form::{Author, FormError, Forms, Via};
use berth_repo::{Revision, StateRepo, Turn};
use berth_schema::form::{self, FieldEdit, Input};
use berth_schema::kind::Kind;
use berth_schema::server::PowerState;
use berth_schema::text::{any_of, safe};
use berth_wire::web::{Change, Commit, Committed, Deed, Object, Planned, Proposed, Revert, Standing, Why};

use super::answer::{Made, Plan, PullRow, Trouble};
use super::guest::{Guest, failed, not_yours};
use super::read::NOT_OLDER;
use super::words::{Domain, Fields, Manner, Write, with_flag};
use crate::asking::Asking;
use crate::web::Extent;

/// Time for a look at the engine. Without one, the plan is from state to state.
const LOOK: Duration = Duration::from_secs(10);
/// Plans of one change. Each one after the first means that it came to something else meanwhile.
const ATTEMPTS: usize = 5;
/// Time between two of them: while a pass works, the plan gets shorter with each change that it has made.
const PAUSE: Duration = Duration::from_secs(1);

/// End of a change that went to the forge.
pub(super) const SENT: &str = "sent";

/// A change that was asked for.
pub(super) enum Order {
    /// Of one file.
    Change(Change),
    /// Of everything that a revision changed.
    Undo(Revision),
}

/// A change that was made, and the tip of `main` that it made.
pub(super) struct Ended {
    pub(super) made: Made,
    pub(super) revision: Option<Revision>,
}

/// Outcome of the order that these words give.
pub(super) fn order(guest: &Guest, write: &Write) -> Result<Order, Trouble> {
    let set = |kind, name: &str, values: &[String]| edit(guest, kind, name, &typed(kind, values)?);
    let change = match write {
        Write::New { name, fields, .. } => create(Object::Server(name.clone()), new_server(fields)?),
        Write::Start(named) => turn(guest, &named.server, PowerState::Running)?,
        Write::Stop(named) => turn(guest, &named.server, PowerState::Stopped)?,
        Write::Reset(named) => reset(guest, &named.server)?,
        Write::Set { server, values, .. } => set(Kind::Server, server, values)?,
        Write::Rm(named) => remove(guest, Kind::Server, &named.server)?,
        Write::Domain(Domain::Add { fqdn, server, port, tls, access, .. }) => {
            let fields = [
                ("server", Some(server)),
                ("port", port.as_ref()),
                ("tls", tls.as_ref()),
                ("access", access.as_ref()),
            ];
            create(Object::Domain(fqdn.clone()), filled(Kind::Domain, fields)?)
        }
        Write::Domain(Domain::Set { fqdn, values, .. }) => set(Kind::Domain, fqdn, values)?,
        Write::Domain(Domain::Rm { fqdn, .. }) => remove(guest, Kind::Domain, fqdn)?,
        Write::Domain(Domain::Ls { .. }) => {
            return Err(Trouble::new(
                "a list changes nothing, so it has no plan",
                "`domain ls` lists your domains",
            ));
        }
        Write::Undo { revision, .. } => return undo(guest, revision).map(Order::Undo),
    };
    Ok(Order::Change(change))
}

/// Plans an order. Nothing is kept of it.
pub(super) fn plan(guest: &Guest, order: &Order) -> Result<Plan, Trouble> {
    with(guest, |forms, author| Ok(order.plan(forms, author)?.into()))
}

/// The changes that went to the forge and that somebody may see.
pub(super) fn pulls(guest: &Guest) -> Result<Vec<PullRow>, Trouble> {
    let cards = with(guest, |forms, author| forms.pulls(author))?;
    Ok(cards.into_iter().map(PullRow::from).collect())
}

/// Takes back a change of theirs that the forge doesn't have.
pub(super) fn withdraw(guest: &Guest, topic: &str) -> Result<(), Trouble> {
    with(guest, |forms, author| forms.withdraw(author, &guest.name, topic))
}

/// Makes an order, or proposes it where that is asked for. `line` is what was typed, for the next step to be written in full.
/// With the turn from the plan on, nobody else's change comes between what is shown and what is made.
pub(super) fn make(
    guest: &Guest,
    order: &Order,
    manner: Manner,
    line: &str,
    turn: &Turn,
) -> Result<Ended, Trouble> {
    let in_turn = guest.forms().in_turn(turn);
    for _ in 0..ATTEMPTS {
        let planned = with(guest, |forms, author| order.plan(forms, author))?;
        if planned.standing == Standing::Nothing {
            let made = ended("nothing", None, None, planned.into());
            return Ok(Ended { made, revision: None });
        }
        if manner.propose {
            refuse_mistakes(&planned)?;
            let proposed = with(guest, |forms, author| order.propose(forms, author))?;
            let result = if proposed.is_sent { SENT } else { "proposed" };
            let made = ended(result, Some(&proposed.revision), Some(proposed.topic), planned.into());
            return Ok(Ended { made: at_forge(guest, made), revision: None });
        }
        refuse(order, &planned, manner, line)?;
        match with_forms(guest, &in_turn, |forms, author| order.commit(forms, author, &planned.digest))? {
            Committed::Made { revision } => {
                let made = ended("made", Some(&revision), None, planned.into());
                return Ok(Ended { made, revision: Some(revision) });
            }
            Committed::Sent { topic, revision } => {
                let made = ended(SENT, Some(&revision), Some(topic), planned.into());
                return Ok(Ended { made: at_forge(guest, made), revision: None });
            }
            // Somebody else was faster, or the reconciler works. What it comes to now is shown in place of what it came to before.
            Committed::Changed { .. } => thread::sleep(PAUSE),
        }
    }
    Err(Trouble::new(
        "what this would do changes from moment to moment, because a pass is at work or others change the same, so it was not made",
        format!("try again: `{line}`"),
    ))
}

fn ended(result: &str, revision: Option<&Revision>, topic: Option<String>, plan: Plan) -> Made {
    Made {
        result: result.to_owned(),
        revision: revision.map(ToString::to_string),
        topic,
        forge: None,
        plan,
        applied: None,
    }
}

/// The same with the forge that it went to, where it did.
fn at_forge(guest: &Guest, made: Made) -> Made {
    let remote = guest.good.state.platform.remote.as_ref().filter(|_| made.result == SENT);
    Made { forge: remote.map(|remote| remote.url.to_string()), ..made }
}

impl Order {
    fn plan(&self, forms: &Forms, author: Author<'_>) -> Result<Planned, FormError> {
        match self {
            Self::Change(change) => forms.plan(author, change),
            Self::Undo(revision) => match forms.revert(author, &undoing(revision, author, None))? {
                Committed::Changed { planned } => Ok(*planned),
                // Nothing is made without a digest.
                Committed::Made { .. } | Committed::Sent { .. } => Err(FormError::Busy),
            },
        }
    }

    /// Makes what was planned. Whoever got here has confirmed whatever there is to confirm.
    fn commit(&self, forms: &Forms, author: Author<'_>, digest: &str) -> Result<Committed, FormError> {
        let digest = digest.to_owned();
        match self {
            Self::Change(change) => forms
                .commit(author, &Commit { change: change.clone(), digest, from: author.from, knows: true }),
            Self::Undo(revision) => forms.revert(author, &undoing(revision, author, Some(digest))),
        }
    }

    fn propose(&self, forms: &Forms, author: Author<'_>) -> Result<Proposed, FormError> {
        match self {
            Self::Change(change) => forms.propose(author, change),
            Self::Undo(revision) => forms.propose_revert(author, revision),
        }
    }

    /// Returns whether it has to be confirmed whatever the plan says: a server goes.
    fn is_removal(&self) -> bool {
        matches!(self, Self::Change(Change { of: Object::Server(_), deed: Deed::Remove }))
    }
}

fn undoing(revision: &Revision, author: Author<'_>, digest: Option<String>) -> Revert {
    Revert { revision: *revision, knows: digest.is_some(), digest, from: author.from }
}

/// Refuses what can't be made as it is.
fn refuse(order: &Order, planned: &Planned, manner: Manner, line: &str) -> Result<(), Trouble> {
    refuse_mistakes(planned)?;
    let trouble = match &planned.standing {
        Standing::NeedsReview { approvers } => Trouble::new(
            format!("somebody else has to agree to this: {}", any_of(approvers)),
            format!("propose it: `{}`", with_flag(line, "--propose")),
        ),
        _ if !planned.shuts_out.is_empty() && !manner.allow_lockout => Trouble::new(
            format!("you lose something by this yourself: {}", planned.shuts_out.join("; ")),
            format!("if that is meant: `{}`", with_flag(line, "--allow-lockout")),
        ),
        _ if !manner.yes && order.is_removal() => {
            Trouble::new("this removes a server", format!("if that is meant: `{}`", with_flag(line, "--yes")))
        }
        _ if !manner.yes && !planned.losses.is_empty() => Trouble::new(
            "something is lost by this",
            format!("if that is meant: `{}`", with_flag(line, "--yes")),
        ),
        _ => return Ok(()),
    };
    Err(trouble.about(planned.clone().into()))
}

/// Refuses what nobody may make, or has to be settled first.
fn refuse_mistakes(planned: &Planned) -> Result<(), Trouble> {
    let message = match &planned.standing {
        Standing::Allowed | Standing::NeedsReview { .. } | Standing::Nothing => return Ok(()),
        Standing::Refused => "this is refused",
        Standing::Conflict { .. } => "others changed the same meanwhile",
    };
    let first = planned.findings.iter().find(|finding| finding.is_error);
    let message = first.map_or_else(|| message.to_owned(), |finding| finding.message.clone());
    let hint = first.and_then(|finding| finding.hint.clone());
    let hint = hint.unwrap_or_else(|| "mend that and try again; {help} can tell more".to_owned());
    Err(Trouble::new(message, hint).about(planned.clone().into()))
}

/// Lets `work` ask the judge in somebody's name, with the engine in sight.
fn with<T>(
    guest: &Guest,
    work: impl FnOnce(&Forms, Author<'_>) -> Result<T, FormError>,
) -> Result<T, Trouble> {
    with_forms(guest, &guest.forms(), work)
}

fn with_forms<T>(
    guest: &Guest,
    forms: &Forms,
    work: impl FnOnce(&Forms, Author<'_>) -> Result<T, FormError>,
) -> Result<T, Trouble> {
    let engine = Asking::new(guest.socket(), LOOK);
    engine.begin();
    let author = Author { name: &guest.name, engine: &engine, from: guest.from, via: Via::Ssh };
    work(forms, author).map_err(|error| match error.why() {
        Why::Unavailable => failed(&error),
        _ => Trouble::new(
            safe(&error),
            error.advice().unwrap_or_else(|| "`ls` lists what is yours".to_owned()),
        ),
    })
}

fn create(of: Object, values: Vec<(&'static str, Input)>) -> Change {
    let edit = |(name, now): (&str, Input)| FieldEdit { name: name.to_owned(), was: Input::Unset, now };
    Change { of, deed: Deed::Create { fields: values.into_iter().map(edit).collect() } }
}

fn new_server(fields: &Fields) -> Result<Vec<(&'static str, Input)>, Trouble> {
    let Fields { memory, cpus, pids, disk, image, owner, members } = fields;
    let said = [
        ("owner", owner.as_ref()),
        ("members", members.as_ref()),
        ("cpus", cpus.as_ref()),
        ("memory", memory.as_ref()),
        ("pids", pids.as_ref()),
        ("disk", disk.as_ref()),
        ("image", image.as_ref()),
    ];
    filled(Kind::Server, said)
}

/// The fields that somebody said.
fn filled<const N: usize>(
    kind: Kind,
    fields: [(&str, Option<&String>); N],
) -> Result<Vec<(&'static str, Input)>, Trouble> {
    let said = fields.into_iter().filter_map(|(name, value)| Some((name, value?)));
    said.map(|(name, value)| form::typed(kind, name, value).map_err(Trouble::from)).collect()
}

/// The fields of `field=value`, each once.
fn typed(kind: Kind, values: &[String]) -> Result<Vec<(&'static str, Input)>, Trouble> {
    let mut fields: Vec<(&'static str, Input)> = Vec::new();
    for value in values {
        let Some((name, value)) = value.split_once('=') else {
            let message = format!("`{}` is not `field=value`", safe(value));
            return Err(Trouble::new(message, "write the field, `=` and its new value, as in `memory=1GiB`"));
        };
        let field = form::typed(kind, name, value)?;
        if fields.iter().any(|(known, _)| *known == field.0) {
            return Err(Trouble::new(format!("`{}` is set twice", field.0), "say each field once"));
        }
        fields.push(field);
    }
    Ok(fields)
}

fn edit(guest: &Guest, kind: Kind, name: &str, values: &[(&'static str, Input)]) -> Result<Change, Trouble> {
    let is = form::read(kind, &text(guest, kind, name)?);
    let was = |field: &str| is.iter().find(|(known, _)| *known == field).map(|(_, value)| value.clone());
    let fields = values.iter().map(|(field, now)| FieldEdit {
        name: (*field).to_owned(),
        was: was(field).unwrap_or_default(),
        now: now.clone(),
    });
    Ok(Change { of: object(kind, name), deed: Deed::Edit { fields: fields.collect() } })
}

/// A server whose file says nothing is in the default state already.
fn turn(guest: &Guest, name: &str, to: PowerState) -> Result<Change, Trouble> {
    let is = form::read(Kind::Server, &text(guest, Kind::Server, name)?);
    let is_unset = is.iter().any(|(field, value)| *field == "state" && *value == Input::Unset);
    let now = match to {
        _ if is_unset && to == PowerState::default() => Input::Unset,
        PowerState::Running => Input::Text("running".to_owned()),
        PowerState::Stopped => Input::Text("stopped".to_owned()),
    };
    edit(guest, Kind::Server, name, &[("state", now)])
}

/// A higher number makes the server's system anew.
fn reset(guest: &Guest, name: &str) -> Result<Change, Trouble> {
    let is = form::read(Kind::Server, &text(guest, Kind::Server, name)?);
    let number = is.iter().find_map(|(field, value)| match value {
        Input::Text(text) if *field == "reset" => text.parse::<u32>().ok(),
        _ => None,
    });
    let next = number.unwrap_or_default().saturating_add(1).to_string();
    edit(guest, Kind::Server, name, &[("reset", Input::Text(next))])
}

fn remove(guest: &Guest, kind: Kind, name: &str) -> Result<Change, Trouble> {
    text(guest, kind, name)?;
    Ok(Change { of: object(kind, name), deed: Deed::Remove })
}

fn object(kind: Kind, name: &str) -> Object {
    if kind == Kind::Domain { Object::Domain(name.to_owned()) } else { Object::Server(name.to_owned()) }
}

/// The text of a file on `main` that somebody may see. Of one that isn't theirs they learn as much as of one that isn't there.
fn text(guest: &Guest, kind: Kind, name: &str) -> Result<String, Trouble> {
    let path = form::path(kind, name)?;
    let repo = guest.repo()?;
    let text = if guest.viewer().sight().shows(&path) { on_main(&repo, &path)? } else { None };
    text.ok_or_else(|| not_yours(kind, name))
}

fn on_main(repo: &StateRepo, path: &str) -> Result<Option<String>, Trouble> {
    let Some(main) = repo.head().map_err(|error| failed(&error))? else { return Ok(None) };
    let bytes = repo.read(&main, path).map_err(|error| failed(&error))?;
    Ok(bytes.and_then(|bytes| String::from_utf8(bytes).ok()))
}

/// The revision that these digits begin, if all that it changed is somebody's to change: the plan of taking it back shows all
/// of it.
fn undo(guest: &Guest, digits: &str) -> Result<Revision, Trouble> {
    let digits: berth_schema::door::CommitId =
        digits.parse().map_err(|invalid: berth_schema::name::Invalid| Trouble::new(invalid.message, LOG))?;
    let viewer = guest.viewer();
    let sight = viewer.sight();
    // Where a forge hosts the state, the judge says so and plans nothing.
    let is_elsewhere = viewer.state.platform.remote.as_ref().is_some_and(|remote| !remote.opens_pulls());
    let is_all_of_it = digits.as_str().len() == WHOLE;
    let mut found = Vec::new();
    let looked = guest.past.look(&guest.repo()?, |made| {
        if made.revision.to_string().starts_with(digits.as_str()) && sight.sees(made) {
            found.push((made.revision, viewer.is_admin || is_elsewhere || viewer.may_revert(made)));
        }
        found.len() > usize::from(!is_all_of_it)
    });
    let looked = looked.map_err(|error| failed(&error))?;
    match found.as_slice() {
        [_] if looked == Extent::Newest => Err(Trouble::new(
            format!("more changes may begin with `{digits}`{NOT_OLDER}"),
            format!("type all {WHOLE} digits"),
        )),
        [] if looked == Extent::Newest => {
            Err(Trouble::new(format!("no change `{digits}` touched what is yours{NOT_OLDER}"), "ask {help}"))
        }
        [(revision, true)] => Ok(*revision),
        [(revision, false)] => {
            let message =
                format!("{} changes what isn't yours, too, so you can't take it back", revision.short());
            Err(Trouble::new(message, "ask {help} to take it back"))
        }
        [] => Err(Trouble::new(format!("no change `{digits}` touched what is yours"), LOG)),
        _ => Err(Trouble::new(
            format!("more than one change begins with `{digits}`"),
            "type more of its digits",
        )),
    }
}

/// Digits of a whole id.
const WHOLE: usize = 40;
/// Next step of whoever names no revision.
const LOG: &str = "`log` lists the changes that touched what is yours, each with its revision";
