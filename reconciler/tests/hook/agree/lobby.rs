//! The same changes as lines for the lobby.

use berth_schema::form::Input;
use berth_wire::web::{Change, Deed, Object};
use serde_json::Value;

use super::super::InTime as _;
use super::answer::{Answer, Word};
use super::house::House;

impl House {
    /// A change as a line for the lobby, and the answer to a plan of it; `None` where the lobby has no words for the change.
    pub(super) fn lobby(&self, who: &str, change: &Change) -> Option<(String, Answer)> {
        let line = as_line(change)?;
        let mut berth = self.berth();
        berth.arg("--data").arg(self.folder.path().join("data"));
        berth.args(["lobby", "--as", who, "--", &format!("plan {line} --json")]);
        let output = berth.in_time();
        let said: Value = serde_json::from_slice(&output.stdout).unwrap();
        Some((line, read(&said)))
    }
}

fn read(said: &Value) -> Answer {
    if let Some(message) = said["error"]["message"].as_str() {
        return Answer { verdict: Word::Deny, reasons: [message.to_owned()].into() };
    }
    let plan = &said["plan"];
    let texts = |key: &str| -> Vec<String> {
        let all = plan[key].as_array().unwrap().iter();
        all.map(|one| one["message"].as_str().or(one.as_str()).unwrap().to_owned()).collect()
    };
    let locks_out = texts("locks_out");
    let verdict = match plan["standing"].as_str().unwrap() {
        "allowed" if !locks_out.is_empty() => Word::Confirm,
        "allowed" => Word::Allow,
        "needs-review" => Word::Review,
        "refused" => Word::Deny,
        other => panic!("{other}: {said}"),
    };
    Answer { verdict, reasons: texts("findings").into_iter().chain(locks_out).collect() }
}

/// The line, for servers and domains.
fn as_line(change: &Change) -> Option<String> {
    let (of, name) = match &change.of {
        Object::Server(name) => ("", name),
        Object::Domain(name) => ("domain ", name),
        Object::User(_) | Object::Platform | Object::File(_) | Object::Doc(_) => return None,
    };
    let said = |before: &str, after: &str| match &change.deed {
        Deed::Create { fields } | Deed::Edit { fields } => {
            let changed = fields.iter().filter(|field| field.was != field.now);
            let words = changed.map(|field| format!("{before}{}{after}{}'", field.name, value(&field.now)));
            words.collect::<Vec<_>>().join(" ")
        }
        Deed::Remove | Deed::Write { .. } | Deed::Put { .. } | Deed::Move { .. } => String::new(),
    };
    Some(match &change.deed {
        Deed::Create { .. } if of.is_empty() => format!("new {name} {}", said("--", " '")),
        Deed::Create { .. } => format!("domain add {name} {}", said("--", " '")),
        Deed::Edit { .. } => format!("{of}set {name} {}", said("'", "=")),
        Deed::Remove => format!("{of}rm {name}"),
        Deed::Write { .. } | Deed::Put { .. } | Deed::Move { .. } => return None,
    })
}

fn value(input: &Input) -> String {
    match input {
        Input::Unset => String::new(),
        Input::Text(text) => text.clone(),
        Input::List(entries) => entries.join(","),
    }
}
