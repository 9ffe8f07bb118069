//! The search over the pages of the wiki: every page that holds all the words, the best first.

use std::sync::Arc;

use berth_schema::text::safe;
use berth_wire::web::{DocFound, DocsFound, Excerpt, Words};
use memchr::memmem::Finder;

use super::wiki::{Leaf, Shelf, Text};

/// The most pages of an answer.
const ROWS: usize = 50;
/// Characters of an excerpt, and of it before the first word.
const EXCERPT: usize = 160;
const BEFORE: usize = 50;
/// Worth of a word in the title, in the path, in a heading, and in the text.
const WORTH: [u32; 4] = [1000, 200, 50, 1];
/// Occurrences in a text that count.
const MOST: usize = 20;

/// Searches pages. No words find nothing.
pub(super) fn search(shelf: &Shelf, words: &Words) -> DocsFound {
    let finders: Vec<Finder<'_>> = words.all().iter().map(|word| Finder::new(word.as_bytes())).collect();
    let texts = || shelf.pages.iter().filter_map(|leaf| Some((leaf, leaf.text.as_ref()?)));
    let mut found: Vec<(u32, &Arc<Leaf>, &Text)> = Vec::new();
    if !finders.is_empty() {
        found.extend(texts().filter_map(|(leaf, text)| Some((worth(leaf, text, &finders)?, leaf, text))));
    }
    found.sort_by(|a, b| b.0.cmp(&a.0).then_with(|| a.1.card.path.cmp(&b.1.card.path)));
    let row = |(_, leaf, text): &(u32, &Arc<Leaf>, &Text)| DocFound {
        page: leaf.card.clone(),
        heading: heading(text, words.all()),
        excerpt: excerpt(text, words.all()),
    };
    let number = |number: usize| u32::try_from(number).unwrap_or(u32::MAX);
    let searched = texts().count();
    DocsFound {
        rows: found.iter().take(ROWS).map(row).collect(),
        all: number(found.len()),
        searched: number(searched),
        left_out: number(shelf.pages.len() - searched + shelf.left_out),
    }
}

/// Worth of a page; `None` where one of the words is missing.
fn worth(leaf: &Leaf, text: &Text, words: &[Finder<'_>]) -> Option<u32> {
    let path = leaf.card.path.to_lowercase();
    let mut all = 0_u32;
    for word in words {
        let has = |text: &str| word.find(text.as_bytes()).is_some();
        let times = word.find_iter(text.lower.as_bytes()).take(MOST).count();
        let counts = [
            usize::from(has(&text.title)),
            usize::from(has(&path)),
            usize::from(text.headings.iter().any(|(_, lower)| has(lower))),
            times,
        ];
        let worth: u32 =
            counts.iter().zip(WORTH).map(|(count, worth)| worth * u32::try_from(*count).unwrap_or(1)).sum();
        if worth == 0 {
            return None;
        }
        all = all.saturating_add(worth);
    }
    Some(all)
}

/// The first heading below the title that holds a word.
fn heading(text: &Text, words: &[String]) -> Option<String> {
    let mut below = text.headings.iter().filter(|(_, lower)| *lower != text.title);
    let found = below.find(|(_, lower)| words.iter().any(|word| lower.contains(word.as_str())))?;
    Some(found.0.chars().take(EXCERPT).collect())
}

/// The line that holds most of the words, cut to a readable length, with the words told apart.
fn excerpt(text: &Text, words: &[String]) -> Vec<Excerpt> {
    let count = |line: &str| words.iter().filter(|word| line.contains(word.as_str())).count();
    let lines = text.lower.lines().enumerate().filter(|(_, line)| !line.starts_with('#'));
    let best = lines.map(|(at, line)| (count(line), at)).filter(|(count, _)| *count > 0);
    let best = best.max_by_key(|(count, at)| (*count, std::cmp::Reverse(*at)));
    let first = || text.whole.lines().find(|line| !line.trim().is_empty() && !line.starts_with('#'));
    let line = match best {
        Some((_, at)) => text.whole.lines().nth(at),
        None => first(),
    };
    parts(&safe(line.unwrap_or_default().trim()), words)
}

/// A line in parts.
fn parts(line: &str, words: &[String]) -> Vec<Excerpt> {
    // Lower case may be longer, so each of its bytes knows where its character stands in the line.
    let (mut lower, mut at) = (String::new(), Vec::new());
    for (start, c) in line.char_indices() {
        lower.extend(c.to_lowercase());
        at.resize(lower.len(), start);
    }
    at.push(line.len());
    let place = |byte: usize| at.get(byte).copied().unwrap_or(line.len());
    let spans = words.iter().flat_map(|word| lower.match_indices(word.as_str()));
    let mut hits: Vec<(usize, usize)> =
        spans.map(|(start, word)| (place(start), place(start + word.len()))).collect();
    hits.retain(|(start, end)| start < end);
    hits.sort_unstable();
    // Words that overlap, or follow each other, are one.
    hits.dedup_by(|later, kept| {
        let is_one = later.0 <= kept.1;
        kept.1 = if is_one { kept.1.max(later.1) } else { kept.1 };
        is_one
    });
    let first = hits.first().map_or(0, |(start, _)| *start);
    let starts: Vec<usize> = line.char_indices().map(|(start, _)| start).collect();
    let number = starts.partition_point(|start| *start < first);
    let from = number.saturating_sub(BEFORE);
    let begin = starts.get(from).copied().unwrap_or(0);
    let end = starts.get(from + EXCERPT).copied().unwrap_or(line.len());
    let mut parts = Vec::new();
    let mut add = |text: &str, is_hit| {
        if !text.is_empty() {
            parts.push(Excerpt { text: text.to_owned(), is_hit });
        }
    };
    add(if begin > 0 { "…" } else { "" }, false);
    let mut done = begin;
    for (start, stop) in hits {
        let (start, stop) = (start.max(done), stop.min(end));
        if start < stop {
            add(line.get(done..start).unwrap_or_default(), false);
            add(line.get(start..stop).unwrap_or_default(), true);
            done = stop;
        }
    }
    add(line.get(done..end).unwrap_or_default(), false);
    add(if end < line.len() { "…" } else { "" }, false);
    parts
}

#[cfg(test)]
mod tests {
    use super::*;

    fn marked(line: &str, words: &str) -> String {
        let parts = parts(line, Words::of(words).all());
        parts
            .iter()
            .map(|part| if part.is_hit { format!("[{}]", part.text) } else { part.text.clone() })
            .collect()
    }

    #[test]
    fn words_are_told_apart_in_any_case() {
        assert_eq!(marked("A Server and SERVERS", "server"), "A [Server] and [SERVER]S");
        assert_eq!(marked("overlapping", "over lapp verl"), "[overlapp]ing");
        assert_eq!(marked("İstanbul Größe", "größe"), "İstanbul [Größe]");
        assert_eq!(marked("nothing", "else"), "nothing");
        assert_eq!(marked("", "else"), "");
    }

    #[test]
    fn a_long_line_is_cut_around_the_first_word() {
        let line = format!("{}needle{}", "ä".repeat(200), "ö".repeat(300));
        let cut = marked(&line, "needle");
        assert!(cut.starts_with('…') && cut.ends_with('…') && cut.contains("[needle]"), "{cut}");
        assert!(cut.chars().count() < EXCERPT + 6, "{cut}");
    }
}
