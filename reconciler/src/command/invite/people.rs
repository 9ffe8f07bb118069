//! A list of people, as a spreadsheet exports it.

use std::collections::HashMap;
use std::fs;
use std::io::{self, Read as _};
use std::path::Path;

use anyhow::{Context as _, bail};
use berth_schema::Kind;
use berth_schema::form::{self, Input};
use berth_schema::name::UserName;
use berth_schema::text::{safe, safe_line};
use csv::{ReaderBuilder, Trim};
use serde::Deserialize;

/// The most bytes of a list: ten thousand people with a key each.
const LONGEST: u64 = 8 << 20;
/// The most mistakes that are told at once.
const MISTAKES: usize = 20;

/// Columns of a line, as they were typed.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Typed {
    name: String,
    #[serde(default)]
    email: String,
    #[serde(default)]
    role: String,
    /// Keys, with `;` or a line break between them.
    #[serde(default)]
    ssh_keys: String,
}

/// Somebody of the list.
#[derive(Debug)]
pub(super) struct Row {
    pub(super) name: UserName,
    typed: Typed,
}

impl Row {
    /// Path of their file.
    pub(super) fn path(&self) -> String {
        format!("users/{}.toml", self.name)
    }

    /// Their file, as a form of the panel would write it. Whether its values are good is the schema's to say.
    pub(super) fn file(&self) -> anyhow::Result<String> {
        let Typed { email, role, ssh_keys, .. } = &self.typed;
        let keys = ssh_keys.split([';', '\n']).map(str::to_owned).collect();
        let values = [
            ("role", Input::Text(role.clone()).normal()),
            ("email", Input::Text(email.clone()).normal()),
            ("ssh_keys", Input::List(keys).normal()),
        ];
        let given: Vec<_> = values.into_iter().filter(|(_, value)| *value != Input::Unset).collect();
        Ok(form::create(Kind::User, None, &given)?)
    }
}

/// Reads a list. All of its mistakes are told at once.
pub(super) fn read(path: &Path) -> anyhow::Result<Vec<Row>> {
    let mut text = String::new();
    let name = if path == Path::new("-") { "standard input".to_owned() } else { path.display().to_string() };
    let read = match path == Path::new("-") {
        true => io::stdin().lock().take(LONGEST + 1).read_to_string(&mut text),
        false => fs::File::open(path).and_then(|file| file.take(LONGEST + 1).read_to_string(&mut text)),
    };
    read.with_context(|| format!("cannot read {name}: it has to be text in UTF-8"))?;
    if text.len() as u64 > LONGEST {
        bail!("{name} is longer than {} MiB: split it", LONGEST >> 20);
    }
    parse(&text, &name)
}

fn parse(text: &str, name: &str) -> anyhow::Result<Vec<Row>> {
    // Spreadsheets begin with a mark, and in half of the world's languages they part columns by semicolons.
    let text = text.trim_start_matches('\u{feff}');
    let first = text.lines().next().unwrap_or_default();
    let delimiter = if first.contains(';') && !first.contains(',') { b';' } else { b',' };
    let mut lines = ReaderBuilder::new().delimiter(delimiter).trim(Trim::All).from_reader(text.as_bytes());
    let (mut rows, mut mistakes, mut seen) = (Vec::new(), Vec::new(), HashMap::new());
    let headers = lines.headers().with_context(|| format!("cannot read {name}"))?.clone();
    if !headers.iter().any(|column| column == "name") {
        bail!(
            "{name}:1: no column is called `name`: the first line names the columns, `name` and as far as they are known `email`, `role` \
             and `ssh_keys`"
        );
    }
    for record in lines.records() {
        let (line, typed) = match record {
            Ok(record) => {
                let line = record.position().map_or(0, csv::Position::line);
                (line, record.deserialize::<Typed>(Some(&headers)).map_err(|error| error.to_string()))
            }
            Err(error) => (error.position().map_or(0, csv::Position::line), Err(error.to_string())),
        };
        let row = typed.map_err(|error| safe(&error)).and_then(|typed| match typed.name.parse() {
            Ok(name) => Ok(Row { name, typed }),
            Err(invalid) => Err(format!("`{}`: {invalid}", safe_line(&typed.name, 60))),
        });
        match row {
            Ok(row) => match seen.insert(row.name.clone(), line) {
                Some(before) => {
                    mistakes.push(format!("{name}:{line}: `{}` is in line {before} already", row.name));
                }
                None => rows.push(row),
            },
            Err(why) => mistakes.push(format!("{name}:{line}: {why}")),
        }
    }
    if !mistakes.is_empty() {
        let more = mistakes.len().saturating_sub(MISTAKES);
        mistakes.truncate(MISTAKES);
        if more > 0 {
            mistakes.push(format!("and {more} more"));
        }
        bail!("{}", mistakes.join("\n"));
    }
    if rows.is_empty() {
        bail!("{name} has no line of a person below its first line");
    }
    Ok(rows)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn files(text: &str) -> Vec<(String, String)> {
        let rows = parse(text, "list.csv").unwrap();
        rows.iter().map(|row| (row.path(), row.file().unwrap())).collect()
    }

    #[test]
    fn a_list_is_read_as_spreadsheets_write_it() {
        let eve = ("users/eve.toml".to_owned(), "role = \"admin\"\nemail = \"eve@example.org\"\n".to_owned());
        let bob = ("users/bob.toml".to_owned(), String::new());
        for text in [
            "name,email,role\neve,eve@example.org,admin\nbob,,\n",
            "\u{feff}role;name;email\r\nadmin; eve ;eve@example.org\r\n;bob;\r\n",
            "name,email,role\n\"eve\",\"eve@example.org\",\"admin\"\n\nbob,\"\",\n",
        ] {
            assert_eq!(files(text), [eve.clone(), bob.clone()], "{text}");
        }
        let keys = files("name,ssh_keys\nann,ssh-ed25519 AAAA a;ssh-ed25519 BBBB b\n");
        assert_eq!(keys[0].1, "ssh_keys = [\n    \"ssh-ed25519 AAAA a\",\n    \"ssh-ed25519 BBBB b\",\n]\n");
    }

    #[test]
    fn mistakes_are_told_with_their_lines() {
        for (text, told) in [
            ("", "no column is called `name`"),
            ("mail\nann@example.org\n", "no column is called `name`"),
            ("name\n", "no line of a person"),
            ("name,mail\nann,x\n", "list.csv:2: "),
            ("name\nAnn Smith\n", "list.csv:2: `Ann Smith`"),
            ("name\nann\nbob\nann\n", "list.csv:4: `ann` is in line 2 already"),
            ("name,email\nann\n", "list.csv:2: "),
        ] {
            let error = parse(text, "list.csv").unwrap_err().to_string();
            assert!(error.contains(told), "{text:?}: {error}");
        }
        let many: String = (0..30).map(|number| format!("N{number}\n")).collect();
        let error = parse(&format!("name\n{many}"), "list.csv").unwrap_err().to_string();
        assert!(error.ends_with("and 10 more"), "{error}");
    }
}
