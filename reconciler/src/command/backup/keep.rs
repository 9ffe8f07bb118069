//! `berth backup keep`: backs up at the times that `main` says, tries a copy now and then, and removes restored copies whose time is over.

use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use berth_backup::{BackupError, Drills, Heard, Progress, Runs};
use berth_fault::chain;
use berth_host::service;
use berth_schema::backup::{Backup, DayTime};
use berth_tasks::Tasks;
use jiff::civil::time;
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp, ToSpan as _};

use super::asked::find;
use super::{orders, tell, trouble};
use crate::backups::Wanted;
use crate::command::Exit;
use crate::command::following::give_sign;
use crate::settings::Settings;

/// Time between two looks at the clock and at `main`.
const LOOK: Duration = Duration::from_secs(30);
/// Time from a run that couldn't be until it is tried again.
const AGAIN: SignedDuration = SignedDuration::from_mins(15);

pub(in crate::command) async fn keep(settings: &Settings) -> anyhow::Result<Exit> {
    let tasks = Tasks::until_signalled().context("cannot listen to signals")?.with_pulse(service::alive);
    settings.make_data().with_context(|| format!("cannot make {}", settings.data.display()))?;
    let _alive = give_sign(settings, "backup");
    orders::listen(settings, &tasks).context("cannot open the socket for restores")?;
    let stop = tasks.stop().clone();
    let mut not_before = Timestamp::UNIX_EPOCH;
    while !stop.is_cancelled() {
        tasks.pulse().beat();
        if Timestamp::now() >= not_before {
            let looked = look(settings, &tasks).await;
            if let Err(error) = looked.or_else(|error| if stop.is_cancelled() { Ok(()) } else { Err(error) })
            {
                tracing::error!(error = %chain(error.as_ref()), "cannot back up; it is tried again");
                trouble::tell_failed(&settings.data, &chain(error.as_ref()).to_string());
                not_before = Timestamp::now().saturating_add(AGAIN)?;
            }
        }
        let waited = tokio::time::timeout(LOOK, stop.cancelled());
        let _ = tasks.pulse().wait(waited).await;
    }
    let ended = tasks.end().await;
    orders::close(&settings.data);
    ended?;
    Ok(Exit::Ok)
}

/// Does what is due.
async fn look(settings: &Settings, tasks: &Tasks) -> anyhow::Result<()> {
    let Some((wanted, state)) = tokio::task::block_in_place(|| find(settings))? else { return Ok(()) };
    let Some(backup) = &state.platform.backup else { return Ok(()) };
    let last = Runs::of(&wanted.folder).last_whole().context("cannot read the records of runs")?;
    let wanted = wanted.until(tasks.stop().clone()).context("cannot begin")?;
    if !is_due(&backup.at, &TimeZone::system(), last, Timestamp::now()) {
        return drill(wanted, backup, settings).await;
    }
    let means = wanted.means();
    let beat = tasks.pulse().clone();
    let heard: Heard = Arc::new(move |progress: Progress<'_>| {
        beat.beat();
        if let Progress::Ended(record) = progress {
            tracing::info!("{}", tell::line(record).trim());
        }
    });
    expire(&wanted, backup).await;
    match berth_backup::run(means, wanted.jobs, None, heard).await {
        // Somebody else's run does it, or the next look.
        Err(BackupError::Busy | BackupError::TooEarly) => Ok(()),
        Err(error) => Err(error.into()),
        Ok(record) => {
            trouble::tell(&settings.data, &record);
            for line in tell::told(&record) {
                match record.is_clean() {
                    true => tracing::info!("{line}"),
                    false => tracing::error!("{line}"),
                }
            }
            Ok(())
        }
    }
}

/// Tries a copy, if the last try is so long ago, and once there is a backup of everything.
async fn drill(wanted: Wanted, backup: &Backup, settings: &Settings) -> anyhow::Result<()> {
    let (runs, drills) = (Runs::of(&wanted.folder), Drills::of(&wanted.folder));
    let begins = runs.last_complete().context("cannot read the records of runs")?;
    let last = drills.all().context("cannot read the records of drills")?.pop().map(|drill| drill.began);
    if begins.is_none() || !is_over(last, backup.drill.duration(), Timestamp::now()) {
        return Ok(());
    }
    match berth_backup::drill(wanted.means(), wanted.jobs, None).await {
        // A platform without servers has nothing to try.
        Err(BackupError::Busy | BackupError::TooEarly | BackupError::NothingToTry) => Ok(()),
        Err(error) => Err(error.into()),
        Ok(record) => {
            trouble::tell_drilled(&settings.data, &record);
            let line = tell::drilled(&record);
            match record.is_passed() {
                true => tracing::info!("{line}"),
                false => tracing::error!("{line}"),
            }
            Ok(())
        }
    }
}

/// Checks whether so much time has passed since.
fn is_over(last: Option<Timestamp>, wait: Duration, now: Timestamp) -> bool {
    last.is_none_or(|last| Duration::try_from(now.duration_since(last)).is_ok_and(|passed| passed >= wait))
}

/// Removes restored copies whose time is over. One that can't be removed is no reason to have no backup.
async fn expire(wanted: &Wanted, backup: &Backup) {
    match berth_backup::expire(wanted.means(), None, backup.restored.duration()).await {
        Ok(0) => {}
        Ok(removed) => tracing::info!(removed, "restored copies whose time is over are removed"),
        Err(error) => tracing::warn!(error = %chain(&error), "restored copies stay for now"),
    }
}

/// Checks whether the last of the times that have come isn't served by a run since. A host that was off then makes up for it.
fn is_due(at: &[DayTime], zone: &TimeZone, last: Option<Timestamp>, now: Timestamp) -> bool {
    let today = now.to_zoned(zone.clone()).date();
    let days = [today.saturating_sub(1.day()), today];
    let moments = days.iter().flat_map(|day| {
        at.iter().filter_map(move |at| {
            let hour = i8::try_from(at.hour()).ok()?;
            let minute = i8::try_from(at.minute()).ok()?;
            Some(day.to_datetime(time(hour, minute, 0, 0)).to_zoned(zone.clone()).ok()?.timestamp())
        })
    });
    let due = moments.filter(|moment| *moment <= now).max();
    due.is_some_and(|due| last.is_none_or(|last| last < due))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test says what it expects by unwrapping it")]

    use super::*;

    #[test]
    fn a_drill_is_due_when_the_last_is_long_ago() {
        let at = |text: &str| -> Timestamp { text.parse().unwrap() };
        let day = Duration::from_secs(24 * 60 * 60);
        let noon = at("2026-12-01T12:00:00Z");
        assert!(is_over(None, day, noon));
        assert!(!is_over(Some(noon), day, at("2026-12-02T11:59:59Z")));
        assert!(is_over(Some(noon), day, at("2026-12-02T12:00:00Z")));
        assert!(!is_over(Some(noon), day, at("2026-11-30T12:00:00Z")), "a clock that jumped back");
    }

    #[test]
    fn a_run_is_due_once_for_each_time_and_is_made_up_for() {
        let at: Vec<DayTime> = ["03:00", "15:30"].iter().map(|at| at.parse().unwrap()).collect();
        let utc = |text: &str| -> Timestamp { format!("2026-12-{text}:00Z").parse().unwrap() };
        let due = |last: Option<&str>, now| is_due(&at, &TimeZone::UTC, last.map(utc), utc(now));
        assert!(due(None, "01T00:00"), "the first at once");
        assert!(!due(Some("01T03:00"), "01T15:29"));
        assert!(due(Some("01T03:00"), "01T15:30"));
        assert!(!due(Some("01T15:30"), "02T02:59"));
        assert!(due(Some("01T15:30"), "04T12:00"), "after days without power");
        assert!(!due(Some("04T12:00"), "04T12:01"), "and then once");
        assert!(!is_due(&[], &TimeZone::UTC, None, utc("01T00:00")));
        let kaunas = TimeZone::fixed(jiff::tz::offset(2));
        assert!(is_due(&at, &kaunas, Some(utc("01T00:59")), utc("01T01:00")), "03:00 there");
    }
}
