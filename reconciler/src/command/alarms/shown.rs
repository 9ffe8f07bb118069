//! The list of alarms, as people and programs read it.

use anyhow::Context as _;
use berth_alarms::{AlarmSettings, Entry, Hushed, Record, Stage};
use berth_schema::text::{self, safe, safe_line};
use comfy_table::{Table, presets};
use jiff::Timestamp;
use serde_json::json;

/// Messages that are shown.
const SENT: usize = 10;
/// Characters of somebody's words.
const WORDS: usize = 300;

/// Everything that is shown.
pub(super) struct Shown<'a> {
    pub(super) record: &'a Record,
    pub(super) hushed: &'a [Hushed],
    /// The rules; `None` where `platform.toml` has no `[alarms]`.
    pub(super) rules: Option<&'a AlarmSettings>,
    /// Set if the process runs that tells.
    pub(super) runs: bool,
}

impl Shown<'_> {
    pub(super) fn json(&self) -> anyhow::Result<String> {
        let on = self.on().map(|entry| {
            json!({
                "kind": entry.news.kind, "about": entry.news.about, "text": entry.news.text, "since": entry.news.since,
                "told": told(entry), "silenced": self.is_silenced(entry),
            })
        });
        let waiting = self.record.outbox.iter().map(|one| {
            json!({ "target": one.target.words(), "tries": one.tries, "again": one.again, "why": one.why })
        });
        let sent = self.record.sent.iter().map(|one| {
            json!({ "id": one.id, "target": one.target.words(), "at": one.at, "began": one.began, "over": one.over })
        });
        let lost = self
            .record
            .lost
            .iter()
            .map(|one| json!({ "target": one.target.words(), "at": one.at, "why": one.why }));
        let shown = json!({
            "runs": self.runs,
            "on": on.collect::<Vec<_>>(),
            "waiting": waiting.collect::<Vec<_>>(),
            "sent": sent.collect::<Vec<_>>(),
            "lost": lost.collect::<Vec<_>>(),
            "silences": self.hushed,
        });
        text::json(&shown).context("cannot write the alarms")
    }

    pub(super) fn text(&self) -> String {
        let mut lines = vec![self.head()];
        let on: Vec<&Entry> = self.on().collect();
        if on.is_empty() {
            let nothing = match (self.runs, self.rules) {
                (true, _) => Some("Nothing is wrong."),
                (false, Some(_)) => Some("Nothing was wrong when somebody looked last."),
                // It may be that nobody ever looked.
                (false, None) => None,
            };
            lines.extend(nothing.map(str::to_owned));
        } else {
            let mut table = Table::new();
            table.load_preset(presets::NOTHING);
            table.set_header(["ALARM", "SINCE (UTC)", "TOLD (UTC)", ""]);
            for entry in on {
                let told = match (self.is_silenced(entry), told(entry)) {
                    (true, None) => "silenced".to_owned(),
                    (_, told) => told.map_or_else(|| "not yet".to_owned(), moment),
                };
                let name = format!("{} {}", entry.news.kind.word(), safe(&entry.news.about));
                let text = safe_line(&entry.news.text, WORDS);
                table.add_row([name, moment(entry.news.since), told, text]);
            }
            lines.push(table.trim_fmt());
        }
        for hushed in self.hushed {
            lines.push(format!("Silenced until {} UTC: {}", moment(hushed.until), safe(&hushed.of)));
        }
        for silence in self.rules.iter().flat_map(|rules| &rules.rules.silence) {
            if !silence.is_over(Timestamp::now().into()) {
                lines.push(format!("Silenced by platform.toml: {silence}"));
            }
        }
        for one in &self.record.outbox {
            let why = one.why.as_ref().map(|why| format!(": {}", safe_line(why, WORDS))).unwrap_or_default();
            lines.push(format!(
                "Waiting for {}, tried again at {} UTC{why}",
                safe(one.target.words()),
                moment(one.again)
            ));
        }
        for one in self.record.sent.iter().rev().take(SENT) {
            let over = one.over.iter().map(|name| format!("{name} (over)"));
            let news: Vec<String> = one.began.iter().cloned().chain(over).collect();
            lines.push(format!(
                "Sent at {} UTC, {}: {}",
                moment(one.at),
                safe(one.target.words()),
                safe_line(&news.join(", "), WORDS)
            ));
        }
        for one in self.record.lost.iter().rev().take(SENT) {
            lines.push(format!(
                "Given up at {} UTC, {}: {}",
                moment(one.at),
                safe(one.target.words()),
                safe_line(&one.why, WORDS)
            ));
        }
        lines.join("\n")
    }

    fn head(&self) -> String {
        let Some(rules) = self.rules else {
            return "platform.toml has no [alarms], so nobody looks and nobody is told (docs/alarms.md)."
                .to_owned();
        };
        let targets: Vec<String> = rules.targets().iter().map(|target| safe(target.words())).collect();
        let told = match (targets.is_empty(), rules.rules.members) {
            (true, true) => "`[alarms]` names no target, so only members hear of their own".to_owned(),
            (true, false) => "`[alarms]` names no target, so nobody is told".to_owned(),
            (false, _) => format!("told: {}", targets.join(", ")),
        };
        match self.runs {
            true => told,
            false => {
                format!("NOBODY LOOKS: `berth alarms send` doesn't run (start it with `berth up`); {told}")
            }
        }
    }

    fn on(&self) -> impl Iterator<Item = &Entry> {
        self.record.on.iter().filter(|entry| entry.is_on())
    }

    fn is_silenced(&self, entry: &Entry) -> bool {
        let (kind, about) = (entry.news.kind, entry.news.about.as_str());
        let now = Timestamp::now().into();
        let by_state = self.rules.iter().flat_map(|rules| &rules.rules.silence);
        by_state.filter(|silence| !silence.is_over(now)).any(|silence| silence.of.has(kind, about))
            || self.hushed.iter().any(|hushed| hushed.has(kind, about))
    }
}

fn told(entry: &Entry) -> Option<Timestamp> {
    match entry.stage {
        Stage::Told { at } => Some(at),
        Stage::Held | Stage::On { .. } => None,
    }
}

fn moment(at: Timestamp) -> String {
    at.strftime("%Y-%m-%d %H:%M").to_string()
}
