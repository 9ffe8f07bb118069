//! `/admin/state/table`: the files of a kind as rows with every field, found, filtered, sorted, and as a file for spreadsheets.

use axum::extract::{RawQuery, State as Of};
use axum::response::{IntoResponse as _, Response};
use berth_wire::web::{Rows, StateTable, TableCell, TableRow, TableSheet};
use http::header::{CACHE_CONTROL, CONTENT_DISPOSITION, CONTENT_TYPE};
use minijinja::context;
use serde::Serialize;

use super::trail::in_address;
use crate::app::App;
use crate::page;
use crate::page::words::{query, value};
use crate::problem::Problem;
use crate::visitor::Visitor;

/// What is asked for. Whatever isn't a word of the table's own is a field with a value.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Wanted {
    kind: Rows,
    search: String,
    having: Vec<(String, String)>,
    /// Column, with a minus before it for the greatest first.
    sort: String,
    page: u32,
}

impl Wanted {
    fn read(text: &str) -> Self {
        let pairs: Vec<(String, String)> =
            axum::extract::Query::try_from_uri(&format!("/?{text}").parse().unwrap_or_default())
                .map(|axum::extract::Query(pairs)| pairs)
                .unwrap_or_default();
        let mut wanted = Self { page: 1, ..Self::default() };
        for (name, text) in pairs {
            match name.as_str() {
                "kind" => wanted.kind = kind(&text),
                "q" => wanted.search = text.trim().to_owned(),
                "sort" => wanted.sort = text,
                "page" => wanted.page = text.parse().unwrap_or(1).max(1),
                // The form's own fields for one filter more.
                "field" => wanted.having.push((text, String::new())),
                "value" => {
                    if let Some((_, value)) = wanted.having.last_mut() {
                        *value = text;
                    }
                }
                _ => wanted.having.push((name, text)),
            }
        }
        wanted.having.retain(|(name, _)| !name.is_empty());
        wanted
    }

    fn question(&self, page: Option<u32>) -> StateTable {
        StateTable {
            kind: self.kind,
            search: self.search.clone(),
            having: self.having.clone(),
            sort: self.sort.trim_start_matches('-').to_owned(),
            is_falling: self.sort.starts_with('-'),
            page,
        }
    }

    /// The same as words of a query, with `&` at their end.
    fn query(&self) -> String {
        let mut out = format!("kind={}&", word(self.kind));
        let pairs = [("q", &self.search), ("sort", &self.sort)];
        for (name, text) in pairs.into_iter().filter(|(_, text)| !text.is_empty()) {
            out.push_str(&format!("{name}={}&", query(text)));
        }
        for (name, text) in &self.having {
            out.push_str(&format!("{}={}&", query(name), query(text)));
        }
        out
    }

    fn sorted_by(&self, column: &str) -> Self {
        let sort = if self.sort == column { format!("-{column}") } else { column.to_owned() };
        Self { sort, ..self.clone() }
    }

    fn without(&self, at: usize) -> Self {
        let mut having = self.having.clone();
        having.remove(at);
        Self { having, ..self.clone() }
    }
}

fn kind(text: &str) -> Rows {
    match text {
        "users" => Rows::Users,
        "domains" => Rows::Domains,
        _ => Rows::Servers,
    }
}

fn word(kind: Rows) -> &'static str {
    match kind {
        Rows::Servers => "servers",
        Rows::Users => "users",
        Rows::Domains => "domains",
    }
}

/// A column's head.
#[derive(Debug, Serialize)]
struct Head<'a> {
    name: &'a str,
    url: String,
    /// Way in which it is sorted, as `aria-sort` has it.
    sorted: Option<&'static str>,
}

/// A filter that holds.
#[derive(Debug, Serialize)]
struct Filter<'a> {
    name: &'a str,
    value: &'a str,
    /// Address of the table without it.
    less: String,
    is_unknown: bool,
}

/// A row as its template shows it.
#[derive(Debug, Serialize)]
struct Row<'a> {
    url: String,
    cells: &'a [TableCell],
}

pub(crate) async fn show(
    Of(app): Of<App>,
    visitor: Visitor,
    RawQuery(asked): RawQuery,
) -> Result<Response, Problem> {
    let wanted = Wanted::read(&asked.unwrap_or_default());
    let sheet = visitor.ask(&app, &wanted.question(Some(wanted.page))).await?;
    let TableSheet { columns, rows, unknown } = &sheet;
    let address =
        |wanted: &Wanted| format!("/admin/state/table?{}", wanted.query()).trim_end_matches('&').to_owned();
    let heads = columns.iter().map(|name| Head {
        name,
        url: address(&wanted.sorted_by(name)),
        sorted: match wanted.sort.strip_prefix('-') {
            Some(sort) if sort == name => Some("descending"),
            None if wanted.sort == *name => Some("ascending"),
            _ => None,
        },
    });
    let filters = wanted.having.iter().enumerate().map(|(at, (name, value))| Filter {
        name,
        value,
        less: address(&wanted.without(at)),
        is_unknown: unknown.contains(name),
    });
    let kinds = [Rows::Servers, Rows::Users, Rows::Domains].map(|kind| {
        let name = match kind {
            Rows::Servers => "Servers",
            Rows::Users => "Members",
            Rows::Domains => "Domains",
        };
        context! { name, url => format!("/admin/state/table?kind={}", word(kind)), is_here => kind == wanted.kind }
    });
    let shown = rows.rows.iter().map(|TableRow { path, cells }| Row {
        url: format!("/admin/state/file/{}", in_address(path)),
        cells,
    });
    let context = context! {
        tab => "state",
        kind => word(wanted.kind),
        kinds => kinds.to_vec(),
        search => wanted.search.as_str(),
        sort => wanted.sort.as_str(),
        no_sort => unknown.iter().any(|name| *name == wanted.sort.trim_start_matches('-') && !name.is_empty()),
        columns => value(columns),
        heads => value(heads.collect::<Vec<_>>()),
        filters => value(filters.collect::<Vec<_>>()),
        rows => value(shown.collect::<Vec<_>>()),
        page => rows.page,
        pages => rows.pages,
        all => rows.all,
        base => format!("/admin/state/table?{}", wanted.query()),
        csv => format!("/admin/state/table.csv?{}", wanted.query()).trim_end_matches('&').to_owned(),
    };
    Ok(page::render(&app, &visitor, "state_table.html", context))
}

/// The whole table as a file.
pub(crate) async fn file(
    Of(app): Of<App>,
    visitor: Visitor,
    RawQuery(asked): RawQuery,
) -> Result<Response, Problem> {
    let wanted = Wanted::read(&asked.unwrap_or_default());
    let sheet = visitor.ask(&app, &wanted.question(None)).await?;
    if let Some(name) = sheet.unknown.first() {
        let message =
            format!("There is no field `{name}` in this table, so it can’t be filtered or sorted by it.");
        return Err(
            Problem::new(http::StatusCode::BAD_REQUEST, message).hint("Open the table: it names the fields.")
        );
    }
    let text = csv(&sheet).map_err(|error| {
        tracing::error!(%error, "a table can't be written");
        Problem::internal()
    })?;
    let name = format!("attachment; filename=\"{}.csv\"", word(wanted.kind));
    let headers = [
        (CONTENT_TYPE, "text/csv; charset=utf-8".to_owned()),
        (CONTENT_DISPOSITION, name),
        (CACHE_CONTROL, "no-store".to_owned()),
    ];
    Ok((headers, text).into_response())
}

fn csv(sheet: &TableSheet) -> Result<Vec<u8>, csv::Error> {
    let mut writer = csv::Writer::from_writer(Vec::new());
    writer.write_record(&sheet.columns)?;
    for row in &sheet.rows.rows {
        writer.write_record(row.cells.iter().map(|cell| harmless(&cell.text)))?;
    }
    writer.into_inner().map_err(|error| error.into_error().into())
}

/// A cell that no spreadsheet takes for a formula: one that begins as one gets an apostrophe before it.
fn harmless(text: &str) -> String {
    match text.chars().next() {
        Some('=' | '+' | '-' | '@' | '\t' | '\r') => format!("'{text}"),
        _ => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use berth_wire::web::Page;

    use super::*;

    #[test]
    fn an_address_says_all_of_it() {
        let wanted = Wanted::read(
            "kind=users&q=+ann+&role=admin&quota.cpus=2&sort=-name&page=3&field=email&value=a%40b",
        );
        assert_eq!((wanted.kind, wanted.search.as_str(), wanted.page), (Rows::Users, "ann", 3));
        let having = [("role", "admin"), ("quota.cpus", "2"), ("email", "a@b")];
        assert_eq!(wanted.having, having.map(|(name, value)| (name.to_owned(), value.to_owned())));
        let question = wanted.question(None);
        assert!(question.is_falling && question.sort == "name");
        assert_eq!(Wanted { page: 3, ..Wanted::read(&wanted.query()) }, wanted);
        assert_eq!(wanted.without(0).having.len(), 2);
        assert_eq!(
            (wanted.sorted_by("name").sort, Wanted::read("sort=name").sorted_by("name").sort),
            ("name".to_owned(), "-name".to_owned())
        );
        assert_eq!(Wanted::read("field=&value=").having, []);
    }

    #[test]
    fn no_cell_is_a_formula() {
        let cell = |text: &str| TableCell { text: text.to_owned(), is_default: false };
        let texts = ["=1+1", "+1", "-1", "@x", "a, \"b\"\nc", "plain"];
        let row = TableRow { path: String::new(), cells: texts.map(cell).to_vec() };
        let rows = Page { rows: vec![row], page: 1, pages: 1, all: 1 };
        let sheet = TableSheet { columns: texts.map(str::to_owned).to_vec(), rows, unknown: Vec::new() };
        let text = csv(&sheet).unwrap();
        let mut read = csv::Reader::from_reader(text.as_slice());
        let record = read.records().next().unwrap().unwrap();
        let cells: Vec<&str> = record.iter().collect();
        assert_eq!(cells, ["'=1+1", "'+1", "'-1", "'@x", "a, \"b\"\nc", "plain"]);
    }
}
