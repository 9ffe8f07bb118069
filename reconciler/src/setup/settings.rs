//! Merging the needs into an engine's `daemon.json`.

use berth_engine::Swarm;
use berth_host::Way;
use berth_plan::recipe::RUNTIME;
use serde_json::{Map, Value, json};

use super::Needs;

/// A merged configuration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Merged {
    /// The whole file, as it should be.
    pub text: String,
    /// The additions, one setting a line, as a person would write them.
    pub additions: Vec<String>,
}

impl Merged {
    /// Tells whether the file has everything already.
    pub fn is_unchanged(&self) -> bool {
        self.additions.is_empty()
    }

    /// The difference for a person, one line a setting. Only the runtime's path is ever put in another's place.
    pub fn difference(&self) -> String {
        self.additions.iter().map(|line| format!("+ {line}\n")).collect()
    }
}

/// A configuration that can't be merged.
#[derive(Debug, thiserror::Error)]
pub enum MergeError {
    /// The file is not JSON.
    #[error("the engine's configuration is not valid JSON")]
    Parse(#[from] serde_json::Error),
    /// The file is JSON, but not an object.
    #[error("the engine's configuration is not a JSON object")]
    NotAnObject,
    /// Settings that say something else already.
    #[error("the engine's configuration says something else: {}", list(.0))]
    Conflicts(Vec<Conflict>),
}

/// One setting that stands in the way.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[expect(missing_docs, reason = "the fields' names say it")]
pub enum Conflict {
    /// Another user is remapped to. Changing it would hide every container and image of that mapping.
    #[error(
        "userns-remap is {found:?}, Berth wants {wanted:?}; all images and containers belong to one mapping, so this is yours to decide"
    )]
    UsernsRemap { found: String, wanted: String },
    /// A runtime of our name is another program.
    #[error("the runtime {RUNTIME:?} is {found}, Berth wants {wanted}")]
    Runtime { found: String, wanted: String },
    /// The runtime has arguments.
    #[error(
        "the runtime {RUNTIME:?} has the arguments {found}: the engine calls it by a script, which would go with them, and nobody \
         could stop the servers that run; stop all of them, take `runtimeArgs` out, restart the engine and ask again"
    )]
    Arguments { found: String },
    /// Live restore is switched off by hand.
    #[error("live-restore is false; servers would stop whenever the engine restarts")]
    LiveRestoreOff,
    /// A swarm refuses live restore.
    #[error(
        "this engine is in a swarm, which refuses live-restore; leave the swarm (`docker swarm leave`) or use another engine"
    )]
    Swarm,
    /// Networks would be connected by other rules than Berth's.
    #[error("{}", super::NFTABLES)]
    Nftables,
    /// A setting has a type that the engine itself would refuse.
    #[error("{setting} is {found}, which is not what the engine expects there")]
    Type { setting: &'static str, found: String },
}

fn list(conflicts: &[Conflict]) -> String {
    conflicts.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ")
}

/// Merges the needs into `existing`, the text of a `daemon.json`, or `None` where there is none. All conflicts are
/// reported at once, and then nothing is merged.
///
/// Keys come out sorted; apart from that, what was there stays.
pub fn merge(existing: Option<&str>, needs: &Needs, swarm: Swarm) -> Result<Merged, MergeError> {
    let mut document = match existing.map(str::trim) {
        None | Some("") => Map::new(),
        Some(text) => match serde_json::from_str(text)? {
            Value::Object(document) => document,
            _ => return Err(MergeError::NotAnObject),
        },
    };
    let mut merge = Merge { document: &mut document, additions: Vec::new(), conflicts: Vec::new() };
    merge.userns_remap(needs);
    merge.runtime(needs);
    merge.live_restore(swarm);
    merge.firewall();
    let Merge { additions, conflicts, .. } = merge;
    if !conflicts.is_empty() {
        return Err(MergeError::Conflicts(conflicts));
    }
    let text = match existing {
        Some(text) if additions.is_empty() => text.to_owned(),
        _ => format!("{:#}\n", Value::Object(document)),
    };
    Ok(Merged { text, additions })
}

/// A merge in progress.
struct Merge<'a> {
    document: &'a mut Map<String, Value>,
    additions: Vec<String>,
    conflicts: Vec<Conflict>,
}

impl Merge<'_> {
    fn userns_remap(&mut self, needs: &Needs) {
        let wanted = &needs.userns_remap;
        match self.document.get("userns-remap") {
            Some(Value::String(found)) if found == wanted => {}
            // An empty string is how the engine writes "off", which is what a missing key means too.
            None | Some(Value::Null) => self.add("userns-remap", json!(wanted)),
            Some(Value::String(found)) if found.is_empty() => self.add("userns-remap", json!(wanted)),
            Some(Value::String(found)) => {
                self.conflicts.push(Conflict::UsernsRemap { found: found.clone(), wanted: wanted.clone() });
            }
            Some(other) => {
                self.conflicts.push(Conflict::Type { setting: "userns-remap", found: other.to_string() });
            }
        }
    }

    fn runtime(&mut self, needs: &Needs) {
        let path = |way: Way| way.program(&needs.runtime).display().to_string();
        let runtimes = self.document.entry("runtimes").or_insert_with(|| json!({}));
        let Value::Object(runtimes) = runtimes else {
            self.conflicts.push(Conflict::Type { setting: "runtimes", found: runtimes.to_string() });
            return;
        };
        let Some(found) = runtimes.get_mut(RUNTIME) else {
            let value = json!({"path": path(needs.way.unwrap_or(Way::Account))});
            self.additions.push(format!("\"runtimes\": {{ \"{RUNTIME}\": {value} }}"));
            runtimes.insert(RUNTIME.to_owned(), value);
            return;
        };
        let there = found.get("path").and_then(Value::as_str).unwrap_or_default().to_owned();
        if !Way::ALL.map(path).contains(&there) {
            let found = if there.is_empty() { found.to_string() } else { there };
            self.conflicts.push(Conflict::Runtime { found, wanted: path(Way::Account) });
            return;
        }
        let arguments = found.get("runtimeArgs").and_then(Value::as_array).filter(|all| !all.is_empty());
        let words = arguments.into_iter().flatten().filter_map(Value::as_str);
        let Some(wanted) = needs.way.filter(|wanted| *wanted != Way::of_call(&there, words)) else { return };
        match arguments {
            Some(arguments) => {
                let found = Value::from(arguments.clone()).to_string();
                self.conflicts.push(Conflict::Arguments { found });
            }
            None => {
                found["path"] = json!(path(wanted));
                self.additions.push(format!("\"runtimes\": {{ \"{RUNTIME}\": {found} }}"));
            }
        }
    }

    fn live_restore(&mut self, swarm: Swarm) {
        if swarm == Swarm::Active {
            self.conflicts.push(Conflict::Swarm);
            return;
        }
        match self.document.get("live-restore") {
            Some(Value::Bool(true)) => {}
            None | Some(Value::Null) => self.add("live-restore", json!(true)),
            Some(Value::Bool(false)) => self.conflicts.push(Conflict::LiveRestoreOff),
            Some(other) => {
                self.conflicts.push(Conflict::Type { setting: "live-restore", found: other.to_string() });
            }
        }
    }

    fn firewall(&mut self) {
        match self.document.get("firewall-backend") {
            None | Some(Value::Null) => {}
            Some(Value::String(found)) if found == "nftables" => self.conflicts.push(Conflict::Nftables),
            Some(Value::String(_)) => {}
            Some(other) => {
                self.conflicts.push(Conflict::Type { setting: "firewall-backend", found: other.to_string() });
            }
        }
    }

    fn add(&mut self, key: &str, value: Value) {
        self.additions.push(format!("\"{key}\": {value}"));
        self.document.insert(key.to_owned(), value);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn needs() -> Needs {
        Needs::new("/usr/libexec/berth-runtime")
    }

    fn merged(existing: Option<&str>) -> Merged {
        merge(existing, &needs(), Swarm::Inactive).expect("a merge")
    }

    fn conflicts(existing: &str, swarm: Swarm) -> Vec<Conflict> {
        match merge(Some(existing), &needs(), swarm) {
            Err(MergeError::Conflicts(conflicts)) => conflicts,
            other => panic!("no conflicts: {other:?}"),
        }
    }

    #[test]
    fn a_missing_file_gets_exactly_the_three_needs() {
        for existing in [None, Some(""), Some("  \n"), Some("{}")] {
            let merged = merged(existing);
            let value: Value = serde_json::from_str(&merged.text).expect("JSON");
            assert_eq!(
                value,
                json!({
                    "live-restore": true,
                    "runtimes": {"berth": {"path": "/usr/libexec/berth-runtime"}},
                    "userns-remap": "default",
                })
            );
            assert_eq!(
                merged.difference(),
                "+ \"userns-remap\": \"default\"\n\
                 + \"runtimes\": { \"berth\": {\"path\":\"/usr/libexec/berth-runtime\"} }\n\
                 + \"live-restore\": true\n"
            );
        }
    }

    #[test]
    fn everything_that_was_there_stays() {
        let merged = merged(Some(
            r#"{"log-driver": "journald", "runtimes": {"nvidia": {"path": "nvidia-container-runtime", "runtimeArgs": []}},
                "userns-remap": "default", "data-root": "/srv/docker", "live-restore": null}"#,
        ));
        let value: Value = serde_json::from_str(&merged.text).expect("JSON");
        assert_eq!(value["log-driver"], "journald");
        assert_eq!(value["data-root"], "/srv/docker");
        assert_eq!(
            value["runtimes"]["nvidia"],
            json!({"path": "nvidia-container-runtime", "runtimeArgs": []})
        );
        assert_eq!(merged.additions.len(), 2);
    }

    #[test]
    fn merging_twice_changes_nothing_not_even_the_spacing() {
        let first = merged(Some(r#"{"debug":true}"#));
        assert!(!first.is_unchanged());
        let second = merged(Some(&first.text));
        assert!(second.is_unchanged());
        assert_eq!(second.text, first.text);

        let by_hand = "{\"live-restore\":true,\n\"userns-remap\":\"default\",\
                       \"runtimes\":{\"berth\":{\"path\":\"/usr/libexec/berth-runtime\"}}}";
        assert_eq!(merged(Some(by_hand)).text, by_hand);
    }

    #[test]
    fn a_way_is_asked_for_by_the_runtime_s_path() {
        let asked = |existing: &str, way| {
            merge(Some(existing), &Needs { way: Some(way), ..needs() }, Swarm::Inactive)
        };
        let berth = |merged: &Merged| {
            serde_json::from_str::<Value>(&merged.text).unwrap()["runtimes"]["berth"].clone()
        };
        for existing in
            ["{}", r#"{"runtimes": {"berth": {"path": "/usr/libexec/berth-runtime", "runtimeArgs": []}}}"#]
        {
            let own = asked(existing, Way::Own).unwrap();
            assert_eq!(berth(&own)["path"], "/usr/libexec/berth-runtime-own");
            assert!(own.difference().contains("berth-runtime-own"), "{}", own.difference());
            assert!(asked(&own.text, Way::Own).unwrap().is_unchanged());
            // Whoever doesn't ask leaves it as it is.
            assert!(merged(Some(&own.text)).is_unchanged());
            let back = asked(&own.text, Way::Account).unwrap();
            assert_eq!(berth(&back)["path"], "/usr/libexec/berth-runtime");
        }
    }

    #[test]
    fn arguments_that_somebody_gave_the_runtime_aren_t_taken_from_under_its_servers() {
        let given = r#"{"runtimes": {"berth": {"path": "/usr/libexec/berth-runtime", "runtimeArgs": ["--own-ranges"]}},
                        "userns-remap": "default", "live-restore": true}"#;
        let asked = |way| merge(Some(given), &Needs { way, ..needs() }, Swarm::Inactive);
        for way in [None, Some(Way::Own)] {
            assert!(asked(way).unwrap().is_unchanged());
        }
        let error = asked(Some(Way::Account)).unwrap_err().to_string();
        assert!(error.contains("--own-ranges") && error.contains("stop all of them"), "{error}");
    }

    #[test]
    fn an_empty_userns_remap_means_off() {
        assert!(merged(Some(r#"{"userns-remap": ""}"#)).difference().contains("userns-remap"));
    }

    #[test]
    fn all_conflicts_are_reported_at_once() {
        let found = conflicts(
            r#"{"userns-remap": "alice", "runtimes": {"berth": {"path": "/tmp/x"}}, "live-restore": false}"#,
            Swarm::Inactive,
        );
        assert_eq!(
            found,
            [
                Conflict::UsernsRemap { found: "alice".into(), wanted: "default".into() },
                Conflict::Runtime { found: "/tmp/x".into(), wanted: "/usr/libexec/berth-runtime".into() },
                Conflict::LiveRestoreOff,
            ]
        );
    }

    #[test]
    fn a_swarm_is_a_conflict_with_a_way_out() {
        let found = conflicts("{}", Swarm::Active);
        assert_eq!(found, [Conflict::Swarm]);
        assert!(found.first().expect("one").to_string().contains("swarm leave"));
    }

    #[test]
    fn rules_of_nftables_are_a_conflict_with_the_reason() {
        let found = conflicts(r#"{"firewall-backend": "nftables"}"#, Swarm::Inactive);
        assert_eq!(found, [Conflict::Nftables]);
        let said = found[0].to_string();
        assert!(said.contains("DOCKER-USER") && said.contains("iptables"), "{said}");
        for fine in [r#"{"firewall-backend": "iptables"}"#, r#"{"firewall-backend": ""}"#] {
            assert_eq!(merged(Some(fine)).additions.len(), 3);
        }
    }

    #[test]
    fn wrong_types_are_conflicts_and_wrong_files_are_errors() {
        assert_eq!(
            conflicts(r#"{"userns-remap": true, "runtimes": [], "live-restore": "yes"}"#, Swarm::Inactive)
                .len(),
            3
        );
        assert!(matches!(merge(Some("[]"), &needs(), Swarm::Inactive), Err(MergeError::NotAnObject)));
        assert!(matches!(merge(Some("{,}"), &needs(), Swarm::Inactive), Err(MergeError::Parse(_))));
    }
}
