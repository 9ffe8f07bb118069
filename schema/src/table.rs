//! Table: every file of a kind as a row, with every field of the schema as a column.
//!
//! Owns which columns there are and how a value stands in one. No field is forgotten: the columns are those of the JSON Schema.
//! Hashes and digests stay out, whatever asks.

use serde_json::Value;

use crate::form;
use crate::json_schema::json_schema;
use crate::kind::Kind;
use crate::quantity::Bytes;
use crate::state::State;
use crate::user::User;
use crate::veil::blackened;

/// Column of a file's name.
pub const NAME: &str = "name";

/// A value in the table.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Cell {
    /// Entries of a list, or the one value; empty for none.
    pub entries: Vec<String>,
    /// Set if the file doesn't say it: it is the default that holds.
    pub is_default: bool,
}

/// Key by which cells are sorted: numbers and amounts by what they are worth, then texts, then nothing.
#[derive(Debug, Clone, PartialEq, PartialOrd)]
pub enum Rank {
    /// A number, or an amount in bytes.
    Number(f64),
    /// Anything else, in lower case.
    Text(String),
    /// No value.
    Nothing,
}

impl Cell {
    /// The cell as one text.
    pub fn text(&self) -> String {
        self.entries.join(", ")
    }

    /// The key by which it is sorted.
    pub fn rank(&self) -> Rank {
        let text = self.text();
        let number = text.parse::<f64>().ok().filter(|number| number.is_finite());
        let amount = || text.parse::<Bytes>().map(|bytes| bytes.get() as f64);
        match number.or_else(|| amount().ok()) {
            Some(number) => Rank::Number(number),
            None if text.is_empty() => Rank::Nothing,
            None => Rank::Text(text.to_lowercase()),
        }
    }

    /// Returns whether it is this value, or has it among its entries, in whatever case.
    pub fn is(&self, value: &str) -> bool {
        let value = value.trim().to_lowercase();
        self.text().to_lowercase() == value || self.entries.iter().any(|entry| entry.to_lowercase() == value)
    }
}

/// Returns the columns of a kind: the name of the file, the fields of a form in their order, and all the others.
pub fn columns(kind: Kind) -> Vec<String> {
    let mut columns = vec![NAME.to_owned()];
    columns.extend(form::names(kind).map(str::to_owned));
    let schema = json_schema(kind);
    let properties = |of: &Value| of.get("properties").and_then(Value::as_object).cloned();
    for (name, field) in properties(&schema).unwrap_or_default() {
        let names = match properties(&field) {
            Some(inner) => inner.keys().map(|key| format!("{name}.{key}")).collect(),
            None => vec![name],
        };
        columns.extend(names.into_iter().filter(|name| !columns.contains(name)).collect::<Vec<_>>());
    }
    columns
}

/// Returns the rows of a kind, in the order of names or ids: a cell for each of [`columns`]. The platform's settings are no table, and
/// have no rows.
pub fn rows(state: &State, kind: Kind) -> Vec<Vec<Cell>> {
    let columns = columns(kind);
    let row = |name: String, fields: Value| -> Vec<Cell> {
        columns.iter().map(|column| cell(state, kind, column, &name, &fields)).collect()
    };
    let json = |value: serde_json::Result<Value>| value.unwrap_or_default();
    match kind {
        Kind::Server => {
            let all = state.servers.values();
            all.map(|server| row(server.name.to_string(), json(serde_json::to_value(&**server)))).collect()
        }
        Kind::Domain => {
            let all = state.domains.values();
            all.map(|domain| row(domain.fqdn.to_string(), json(serde_json::to_value(&**domain)))).collect()
        }
        Kind::User => state.users.values().map(|user| row(user.name.to_string(), of_user(user))).collect(),
        Kind::Platform => Vec::new(),
    }
}

/// The fields of a member, without what lets them in.
fn of_user(user: &User) -> Value {
    let mut fields = serde_json::to_value(user).unwrap_or_default();
    if let Value::Object(fields) = &mut fields {
        let has_password = user.password_hash.is_some();
        fields.insert("password_hash".to_owned(), if has_password { "set".into() } else { Value::Null });
        let passkeys = user.passkeys.iter().map(|passkey| passkey.name().into()).collect();
        fields.insert("passkeys".to_owned(), Value::Array(passkeys));
        let tokens = user.tokens.iter().map(|token| {
            let scopes: Vec<&str> = token.scopes().into_iter().map(|scope| scope.word()).collect();
            format!("{} {} {} {} {}", token.id(), scopes.join("+"), token.made(), token.until(), token.name())
        });
        fields.insert("tokens".to_owned(), tokens.collect());
    }
    fields
}

fn cell(state: &State, kind: Kind, column: &str, name: &str, fields: &Value) -> Cell {
    if column == NAME {
        return Cell { entries: vec![name.to_owned()], is_default: false };
    }
    let value = column.split('.').try_fold(fields, |value, part| value.get(part));
    let entries: Vec<String> = match value {
        Some(Value::Array(entries)) => entries.iter().filter_map(word).collect(),
        Some(value) => word(value).into_iter().collect(),
        None => Vec::new(),
    };
    if !entries.is_empty() {
        // A field that is added one day may hold a secret, too.
        let shown = |entry: String| blackened("users/", &entry).unwrap_or_default();
        return Cell { entries: entries.into_iter().map(shown).collect(), is_default: false };
    }
    let default = form::default(kind, column, &state.platform);
    Cell { entries: (!default.is_empty()).then_some(default).into_iter().collect(), is_default: true }
}

fn word(value: &Value) -> Option<String> {
    match value {
        Value::Null => None,
        Value::String(text) => Some(text.clone()),
        other => Some(other.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::state::Parsed;

    const HASH: &str = "$2b$10$xiLPz6BtYbmkWds4bglkEeWbOOTxeYDAMqX4NbHh0NcDa/JnJVZ8.";

    fn state() -> State {
        let digest = "0a".repeat(32);
        let ann = format!(
            "role = \"admin\"\npassword_hash = \"{HASH}\"\ntokens = [\"{digest} read 2026-11-30T18:00:00Z 2027-02-28T18:00:00Z laptop\"]\n[quota]\nservers = 7\n"
        );
        let files = [
            ("platform.toml", "domain = \"h.example\"\n"),
            ("users/ann.toml", &ann),
            ("servers/shop.toml", "id = 1\nowner = \"ann\"\nmemory = \"2 GiB\"\n"),
            ("domains/shop.h.example.toml", "server = \"shop\"\nport = 8080\n"),
        ];
        let parsed: Vec<Parsed> = files.iter().map(|(path, text)| Parsed::parse(path, text)).collect();
        State::assemble(&parsed).unwrap()
    }

    fn of(kind: Kind, column: &str) -> Cell {
        let at = columns(kind).iter().position(|found| found == column).unwrap();
        rows(&state(), kind).swap_remove(0).swap_remove(at)
    }

    #[test]
    fn every_field_is_a_column_once() {
        let state = state();
        let (user, server) = (&state.users.values().next().unwrap(), &state.servers.values().next().unwrap());
        let domain = &state.domains.values().next().unwrap();
        for (kind, fields, own) in [
            (Kind::User, serde_json::to_value(&***user).unwrap(), "name"),
            (Kind::Server, serde_json::to_value(&***server).unwrap(), "name"),
            (Kind::Domain, serde_json::to_value(&***domain).unwrap(), "fqdn"),
        ] {
            let mut wanted = vec![NAME.to_owned()];
            for (name, value) in fields.as_object().unwrap() {
                match value.as_object() {
                    Some(inner) => wanted.extend(inner.keys().map(|key| format!("{name}.{key}"))),
                    None if name == own => {}
                    None => wanted.push(name.clone()),
                }
            }
            let mut columns = columns(kind);
            assert_eq!(rows(&state, kind)[0].len(), columns.len());
            wanted.sort();
            columns.sort();
            assert_eq!(columns, wanted, "{kind}");
        }
    }

    #[test]
    fn a_cell_says_what_holds_and_no_hash() {
        assert_eq!(of(Kind::Server, "memory"), Cell { entries: vec!["2 GiB".to_owned()], is_default: false });
        let cpus = of(Kind::Server, "cpus");
        assert!(cpus.is_default && cpus.rank() == Rank::Number(1.0), "{cpus:?}");
        assert_eq!(of(Kind::User, "quota.servers").text(), "7");
        assert_eq!(of(Kind::User, "password_hash").text(), "set");
        assert_eq!(
            of(Kind::User, "tokens").text(),
            "0a0a0a0a0a0a0a0a read 2026-11-30T18:00:00Z 2027-02-28T18:00:00Z laptop"
        );
        let all = format!("{:?}", rows(&state(), Kind::User));
        assert!(!all.contains(HASH) && !all.contains(&"0a".repeat(32)), "{all}");
    }

    #[test]
    fn amounts_are_sorted_by_what_they_are_worth() {
        let cell = |text: &str| Cell { entries: vec![text.to_owned()], is_default: false };
        let mut cells = ["2 GiB", "", "512 MiB", "Shop", "10", "blog", "9"].map(cell);
        cells.sort_by(|one, other| one.rank().partial_cmp(&other.rank()).unwrap());
        let sorted: Vec<String> = cells.iter().map(Cell::text).collect();
        assert_eq!(sorted, ["9", "10", "512 MiB", "2 GiB", "blog", "Shop", ""]);
        let members = Cell { entries: vec!["ann".to_owned(), "bob".to_owned()], is_default: false };
        assert!(members.is("BOB ") && members.is("ann, bob") && !members.is("b"));
    }
}
