//! The course of alarms: from the first sight to the end. Pure: what is remembered and what is seen in, what is told out.

use std::time::Duration;

use berth_schema::alarms::AlarmKind;
use jiff::{SignedDuration, Timestamp};

use crate::judge::{Alarm, Judgement};
use crate::message::{Message, News};
use crate::record::{Entry, Over, Record, Stage, name};
use crate::settings::Pace;

/// Takes a judgement into the record, and returns what is to be told now, if anything is.
pub fn advance(
    record: &mut Record,
    judged: &Judgement,
    now: Timestamp,
    is_silenced: &dyn Fn(AlarmKind, &str) -> bool,
    pace: &Pace,
) -> Option<Message> {
    for alarm in &judged.alarms {
        see(record, alarm, now);
    }
    end(record, judged, now, is_silenced, pace);
    tell(record, now, is_silenced, pace)
}

/// Takes in an alarm that is seen.
fn see(record: &mut Record, alarm: &Alarm, now: Timestamp) {
    let Alarm { kind, about, text, owner, hold } = alarm;
    let known = record.on.iter().position(|entry| entry.news.kind == *kind && entry.news.about == *about);
    let known = known.unwrap_or_else(|| {
        let news = News { kind: *kind, about: about.clone(), text: String::new(), owner: None, since: now };
        record.on.push(Entry { news, stage: Stage::Held, gone: None });
        record.on.len() - 1
    });
    let Some(entry) = record.on.get_mut(known) else { return };
    // A clock that went back must not hold an alarm for longer.
    entry.news.since = entry.news.since.min(now);
    entry.news.text.clone_from(text);
    entry.news.owner.clone_from(owner);
    entry.gone = None;
    if entry.stage == Stage::Held && has_passed(entry.news.since, now, *hold) {
        entry.stage = Stage::On { from: now };
    }
}

/// Ends alarms that could be seen and aren't any more.
fn end(
    record: &mut Record,
    judged: &Judgement,
    now: Timestamp,
    is_silenced: &dyn Fn(AlarmKind, &str) -> bool,
    pace: &Pace,
) {
    let is_seen =
        |news: &News| judged.alarms.iter().any(|alarm| alarm.kind == news.kind && alarm.about == news.about);
    let mut over = Vec::new();
    record.on.retain_mut(|entry| {
        if is_seen(&entry.news) || !judged.sees(entry.news.kind, &entry.news.about) {
            return true;
        }
        if entry.stage == Stage::Held {
            return false;
        }
        let gone = (*entry.gone.get_or_insert(now)).min(now);
        if !has_passed(gone, now, pace.rest) {
            return true;
        }
        // Nobody needs to hear of the end of what they haven't heard of.
        let was_told = matches!(entry.stage, Stage::Told { .. });
        if was_told && !is_silenced(entry.news.kind, &entry.news.about) {
            over.push(Over { news: entry.news.clone(), at: now });
        }
        false
    });
    record.over.append(&mut over);
}

/// Decides what is told now. What is due waits for the rest of what began with it.
fn tell(
    record: &mut Record,
    now: Timestamp,
    is_silenced: &dyn Fn(AlarmKind, &str) -> bool,
    pace: &Pace,
) -> Option<Message> {
    record.told.retain(|_, at| *at <= now && !has_passed(*at, now, pace.apart));
    let told = &record.told;
    let due = |entry: &Entry| match entry.stage {
        Stage::On { from }
            if entry.gone.is_none()
                && !is_silenced(entry.news.kind, &entry.news.about)
                && !told.contains_key(&name(entry.news.kind, &entry.news.about)) =>
        {
            Some(from)
        }
        _ => None,
    };
    let firsts = record.on.iter().filter_map(due).chain(record.over.iter().map(|over| over.at));
    if !has_passed(firsts.min()?, now, pace.gather) {
        return None;
    }
    let due: Vec<usize> = record
        .on
        .iter()
        .enumerate()
        .filter(|(_, entry)| due(entry).is_some())
        .map(|(place, _)| place)
        .collect();
    let mut began = Vec::new();
    for place in due {
        let Some(entry) = record.on.get_mut(place) else { continue };
        entry.stage = Stage::Told { at: now };
        record.told.insert(name(entry.news.kind, &entry.news.about), now);
        began.push(entry.news.clone());
    }
    let over = std::mem::take(&mut record.over).into_iter().map(|over| over.news).collect();
    record.number = record.number.saturating_add(1);
    let id = format!("alarms-{}-{}", now.as_second(), record.number);
    Some(Message { id, at: now, began, over })
}

/// Returns whether so much time has passed. A clock that went back has passed it all: nothing waits for a moment that may never come.
fn has_passed(from: Timestamp, now: Timestamp, time: Duration) -> bool {
    let time = SignedDuration::try_from(time).unwrap_or(SignedDuration::MAX);
    from > now || now.duration_since(from) >= time
}
