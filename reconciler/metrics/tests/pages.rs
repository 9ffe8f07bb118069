//! The page of metrics, the dashboard and the alerts, held against the registry.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test says what it expects by unwrapping")]

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use berth_metrics::{Kind, METRICS};
use serde_json::Value;

fn docs() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs")
}

fn read(name: &str) -> String {
    fs::read_to_string(docs().join(name)).unwrap()
}

#[test]
fn the_page_lists_every_metric_as_the_registry_has_it() {
    let row = |metric: &berth_metrics::Metric| {
        let labels: Vec<String> = metric.labels.iter().map(|name| format!("`{name}`")).collect();
        let cells = [
            format!("`{}`", metric.name),
            metric.kind.word().to_owned(),
            labels.join(", "),
            metric.help.to_owned(),
        ];
        format!("| {} |", cells.join(" | ")).replace("|  |", "| |")
    };
    let expected: Vec<String> = METRICS.iter().map(row).collect();
    let page = read("metrics.md");
    let listed = page.lines().filter(|line| {
        line.starts_with("| `berth_") || line.starts_with("| `container_") || line.starts_with("| `machine_")
    });
    assert_eq!(listed.collect::<Vec<_>>(), expected);
}

/// Words of an expression of Prometheus', without texts in quotes and without durations.
fn words(expression: &str) -> BTreeSet<String> {
    let mut words = BTreeSet::new();
    // What is in quotes are values of labels.
    for (place, part) in expression.split('"').enumerate() {
        if place % 2 == 1 {
            continue;
        }
        // A range in brackets is a duration.
        let outside = part.split('[').map(|part| part.split_once(']').map_or(part, |(_, rest)| rest));
        for part in outside {
            let is_word = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == ':';
            let found = part.split(|c| !is_word(c)).filter(|word| !word.is_empty());
            words.extend(
                found.filter(|word| !word.starts_with(|c: char| c.is_ascii_digit())).map(str::to_owned),
            );
        }
    }
    words
}

/// Functions and operators that the expressions use.
const LANGUAGE: [&str; 14] = [
    "and",
    "by",
    "group_left",
    "histogram_quantile",
    "increase",
    "label_values",
    "le",
    "min",
    "on",
    "rate",
    "sort",
    "sum",
    "or",
    "time",
];

/// Words that are neither a series of the registry's, nor one of its labels, nor of the language.
fn strange(expression: &str) -> Vec<String> {
    let is_series = |word: &str| {
        METRICS.iter().any(|metric| match metric.kind {
            Kind::Histogram => {
                ["_bucket", "_sum", "_count"].iter().any(|ending| word == format!("{}{ending}", metric.name))
            }
            Kind::Gauge | Kind::Counter => word == metric.name,
        })
    };
    let is_label = |word: &str| METRICS.iter().any(|metric| metric.labels.contains(&word));
    let all = words(expression).into_iter();
    all.filter(|word| !is_series(word) && !is_label(word) && !LANGUAGE.contains(&word.as_str())).collect()
}

#[test]
fn a_metric_that_there_is_not_would_be_found() {
    assert_eq!(strange("rate(berth_passes_total{result=\"nothing\"}[5m]) * 60 > 1"), [""; 0]);
    assert_eq!(strange("sum by (le) (rate(berth_pass_duration_seconds_bucket[10m]))"), [""; 0]);
    for (expression, word) in [
        ("berth_passes", "berth_passes"),
        ("berth_pass_duration_seconds", "berth_pass_duration_seconds"),
        ("container_cpu_load{id=\"/\"}", "container_cpu_load"),
        ("berth_up{sever=\"a\"}", "sever"),
    ] {
        assert_eq!(strange(expression), [word]);
    }
}

/// Every text of this key, wherever it is.
fn texts<'a>(value: &'a Value, key: &str, found: &mut Vec<&'a str>) {
    match value {
        Value::Object(fields) => {
            for (name, field) in fields {
                match field {
                    Value::String(text) if name == key => found.push(text),
                    other => texts(other, key, found),
                }
            }
        }
        Value::Array(values) => values.iter().for_each(|value| texts(value, key, found)),
        _ => {}
    }
}

/// Metrics that occur in these expressions.
fn named(expressions: &[&str]) -> BTreeSet<&'static str> {
    let words: BTreeSet<String> = expressions.iter().flat_map(|expression| words(expression)).collect();
    let is_named =
        |name: &&str| words.iter().any(|word| word == name || word.strip_suffix("_bucket") == Some(name));
    METRICS.iter().map(|metric| metric.name).filter(is_named).collect()
}

#[test]
fn the_dashboard_names_what_there_is() {
    let dashboard: Value = serde_json::from_str(&read("monitoring/dashboard.json")).unwrap();
    let mut expressions = Vec::new();
    for key in ["expr", "definition", "query"] {
        texts(&dashboard, key, &mut expressions);
    }
    // The kind of the source that it asks for.
    expressions.retain(|expression| *expression != "prometheus");
    assert!(expressions.len() > 20);
    for expression in &expressions {
        assert_eq!(strange(expression), [""; 0], "{expression}");
    }
    assert!(named(&expressions).len() > 20);
    let panels = dashboard["panels"].as_array().unwrap();
    let ids: BTreeSet<u64> = panels.iter().map(|panel| panel["id"].as_u64().unwrap()).collect();
    assert_eq!(ids.len(), panels.len(), "each panel has a number of its own");
    let mut sources = Vec::new();
    texts(&dashboard, "uid", &mut sources);
    assert!(sources.iter().all(|uid| ["berth", "${source}"].contains(uid)), "it belongs to nobody's Grafana");
}

#[test]
fn the_alerts_name_what_there_is_and_say_what_to_do() {
    let rules: Value = serde_saphyr::from_str(&read("monitoring/alerts.yml")).unwrap();
    let groups = rules["groups"].as_array().unwrap();
    let rules: Vec<&Value> = groups.iter().flat_map(|group| group["rules"].as_array().unwrap()).collect();
    assert!(rules.len() >= 12);
    let names: BTreeSet<&str> = rules.iter().map(|rule| rule["alert"].as_str().unwrap()).collect();
    assert_eq!(names.len(), rules.len());
    for rule in rules {
        let name = rule["alert"].as_str().unwrap();
        let expression = rule["expr"].as_str().unwrap();
        assert_eq!(strange(expression), [""; 0], "{name}");
        assert!(!named(&[expression]).is_empty(), "{name}");
        let severity = rule["labels"]["severity"].as_str().unwrap();
        assert!(["critical", "warning", "info"].contains(&severity), "{name}");
        // An owner's own trouble is told at once; all else has time to mend itself.
        assert!(rule["for"].is_string() || name.ends_with("OutOfMemory"), "{name}");
        for part in ["summary", "description"] {
            let text = rule["annotations"][part].as_str().unwrap();
            let labels = text.split("$labels.").skip(1).map(|rest| rest.split([' ', '}']).next().unwrap());
            let known = |label: &str| METRICS.iter().any(|metric| metric.labels.contains(&label));
            assert!(!text.is_empty() && labels.into_iter().all(known), "{name}: {text}");
        }
    }
}
