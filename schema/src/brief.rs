//! Texts for people that end. What is alike is told once with its number, and what has no room is counted, never dropped.
//!
//! One mechanism for plans, findings and lists, whichever door shows them. Pure: it knows lines, not what they say.

use std::collections::HashMap;
use std::hash::Hash;

/// Lines of a text for a person: two screens.
pub const LINES: usize = 100;

/// Things that are told one by one although they are alike. More of them become one line.
pub const FEW: usize = 8;

/// Names in a line that stands for many things.
const NAMED: usize = 3;

/// Extent of a text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Extent<'a> {
    /// Everything, however long.
    Whole,
    /// No more than so many lines.
    Brief {
        /// The most lines.
        lines: usize,
        /// Sentence that tells where everything is, without its full stop: "`berth plan --all` shows everything".
        whole: &'a str,
    },
}

/// One thing of a text, or several that are told together.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Item {
    /// Its lines, each with a line feed.
    pub text: String,
    /// Number of things that it stands for.
    pub count: usize,
    /// Number of those that must not go unnoticed: they lose data.
    pub grave: usize,
}

/// Items under a heading.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Section {
    /// The heading's lines, each with a line feed.
    pub head: String,
    /// The items, in order.
    pub items: Vec<Item>,
}

impl Item {
    /// An item that stands for itself.
    pub fn one(text: String) -> Self {
        Self { text, count: 1, grave: 0 }
    }

    fn lines(&self) -> usize {
        lines(&self.text)
    }
}

/// Groups of equal keys, in the order of the first of each.
pub fn grouped<'a, T, K: Hash + Eq>(
    items: impl IntoIterator<Item = &'a T>,
    key: impl Fn(&'a T) -> K,
) -> Vec<Vec<&'a T>> {
    let mut places = HashMap::new();
    let mut groups: Vec<Vec<&T>> = Vec::new();
    for item in items {
        let place = *places.entry(key(item)).or_insert(groups.len());
        match groups.get_mut(place) {
            Some(group) => group.push(item),
            None => groups.push(vec![item]),
        }
    }
    groups
}

/// The first few names and, where there are more, an ellipsis: "a, b, c, …".
pub fn named<S: AsRef<str>>(names: impl IntoIterator<Item = S>) -> String {
    named_up_to(NAMED, names)
}

/// The same with so many names.
pub fn named_up_to<S: AsRef<str>>(most: usize, names: impl IntoIterator<Item = S>) -> String {
    let mut names = names.into_iter();
    let mut text = String::new();
    for name in names.by_ref().take(most) {
        if !text.is_empty() {
            text.push_str(", ");
        }
        text.push_str(name.as_ref());
    }
    if names.next().is_some() {
        text.push_str(", …");
    }
    text
}

/// The form of a sentence: its words without what differs from one thing to the next, which are names in backticks, paths and
/// numbers.
pub fn form(sentence: &str) -> String {
    let mut form = String::with_capacity(sentence.len());
    // What stands between backticks is one name, whatever is in it.
    for (number, part) in sentence.split('`').enumerate() {
        if number % 2 == 1 {
            form.push('…');
            continue;
        }
        for word in part.split_inclusive(' ') {
            match word.contains(|c: char| c.is_ascii_digit() || c == '/') {
                true => form.push_str("… "),
                false => form.push_str(word),
            }
        }
    }
    form
}

/// Rows that are shown in so many lines, and the number of those that aren't: the last line tells it.
pub fn split<T>(rows: &[T], lines: usize) -> (&[T], usize) {
    match rows.len() > lines {
        true => {
            let (shown, others) = rows.split_at(lines.saturating_sub(1).min(rows.len()));
            (shown, others.len())
        }
        false => (rows, 0),
    }
}

/// The first lines of a text that is longer than so many, and a line that `more` makes of the number of the others.
pub fn cut(text: &str, lines: usize, more: impl Fn(usize) -> String) -> String {
    let all: Vec<&str> = text.split_inclusive('\n').collect();
    let (shown, others) = split(&all, lines);
    let mut cut = shown.concat();
    if others > 0 {
        cut.push_str(&more(others));
    }
    cut
}

/// Number of lines that the sections take, with an empty line between any two.
pub fn length(sections: &[Section]) -> usize {
    let filled = sections.iter().filter(|section| !section.items.is_empty());
    let parts =
        filled.map(|section| lines(&section.head) + section.items.iter().map(Item::lines).sum::<usize>());
    let (number, all) = parts.fold((0, 0), |(number, all), lines| (number + 1, all + lines));
    all + usize::saturating_sub(number, 1)
}

/// All sections in full.
pub fn whole(sections: &[Section]) -> String {
    let mut text = String::new();
    for section in sections.iter().filter(|section| !section.items.is_empty()) {
        begin(&mut text, section);
        section.items.iter().for_each(|item| text.push_str(&item.text));
    }
    text
}

/// As much of the sections as has room in so many lines. Each section that begins says by `more` how many of its things are left
/// out, and how many of those are grave; a last line tells the same of sections that have no room at all. The sections share the
/// lines in turns, so that a long one leaves room for the others.
pub fn fitted(sections: &[Section], room: usize, more: impl Fn(usize, usize) -> String) -> String {
    let filled: Vec<&Section> = sections.iter().filter(|section| !section.items.is_empty()).collect();
    // An empty line before it, its head, and the line that counts what is left out.
    let base = |section: &Section| 2 + lines(&section.head);
    let all_bases: usize = filled.iter().map(|section| base(section)).sum();
    let mut left = if all_bases <= room { room } else { room.saturating_sub(2) };
    let mut begun = 0;
    while let Some(rest) = filled.get(begun).and_then(|section| left.checked_sub(base(section))) {
        left = rest;
        begun += 1;
    }
    let (begun, others) = filled.split_at(begun);
    let shown = shares(begun, left);
    let mut text = String::new();
    for (section, shown) in begun.iter().zip(shown) {
        begin(&mut text, section);
        let (told, untold) = section.items.split_at(shown.min(section.items.len()));
        told.iter().for_each(|item| text.push_str(&item.text));
        count(&mut text, untold, &more);
    }
    let untold: Vec<Item> = others.iter().flat_map(|section| section.items.iter().cloned()).collect();
    if !untold.is_empty() {
        if !text.is_empty() {
            text.push('\n');
        }
        count(&mut text, &untold, &more);
    }
    text
}

/// Number of items that each section shows, so that they take no more than `left` lines together.
fn shares(sections: &[&Section], mut left: usize) -> Vec<usize> {
    let mut shown = vec![0; sections.len()];
    let mut open: Vec<usize> = (0..sections.len()).collect();
    while !open.is_empty() {
        open.retain(|&place| {
            let (Some(section), Some(shown)) = (sections.get(place), shown.get_mut(place)) else {
                return false;
            };
            let Some(item) = section.items.get(*shown) else { return false };
            // The last one takes the line that would count it.
            let spare = usize::from(*shown + 1 == section.items.len());
            match left.checked_sub(item.lines().saturating_sub(spare)) {
                Some(rest) => {
                    left = rest;
                    *shown += 1;
                    true
                }
                None => false,
            }
        });
    }
    shown
}

fn begin(text: &mut String, section: &Section) {
    if !text.is_empty() {
        text.push('\n');
    }
    text.push_str(&section.head);
}

fn count(text: &mut String, untold: &[Item], more: &impl Fn(usize, usize) -> String) {
    let sum = |of: fn(&Item) -> usize| untold.iter().map(of).sum::<usize>();
    if !untold.is_empty() {
        text.push_str(&more(sum(|item| item.count), sum(|item| item.grave)));
    }
}

fn lines(text: &str) -> usize {
    text.lines().count()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn sections() -> impl Strategy<Value = Vec<Section>> {
        let item = (1..6_usize, 1..50_usize, any::<bool>());
        let section = (0..3_usize, proptest::collection::vec(item, 0..40));
        proptest::collection::vec(section, 0..12).prop_map(|sections| {
            let made = sections.into_iter().map(|(head, items)| Section {
                head: "head\n".repeat(head),
                items: items
                    .into_iter()
                    .map(|(lines, count, grave)| Item {
                        text: format!(
                            "told {count} {}\n{}",
                            if grave { count } else { 0 },
                            "x\n".repeat(lines - 1)
                        ),
                        count,
                        grave: if grave { count } else { 0 },
                    })
                    .collect(),
            });
            made.collect()
        })
    }

    /// Sums of the numbers in the lines that tell and that count.
    fn sums(text: &str) -> (usize, usize) {
        let numbers = text.lines().filter_map(|line| {
            let mut words = line.strip_prefix("told ").or_else(|| line.strip_prefix("more "))?.split(' ');
            Some((words.next()?.parse::<usize>().ok()?, words.next()?.parse::<usize>().ok()?))
        });
        numbers.fold((0, 0), |(all, grave), (more, graver)| (all + more, grave + graver))
    }

    proptest! {
        #[test]
        fn whatever_is_left_out_is_counted_and_the_text_ends(sections in sections(), room in 10..120_usize) {
            let text = fitted(&sections, room, |count, grave| format!("more {count} {grave}\n"));
            prop_assert!(text.lines().count() <= room, "{} of {room}\n{text}", text.lines().count());
            prop_assert_eq!(sums(&text), sums(&whole(&sections)));
        }

        #[test]
        fn what_has_room_is_told_as_it_is(sections in sections()) {
            prop_assert_eq!(length(&sections), whole(&sections).lines().count());
            let heads: usize = sections.iter().map(|section| 2 + lines(&section.head)).sum();
            let fit = fitted(&sections, length(&sections) + heads, |_, _| "more\n".to_owned());
            prop_assert_eq!(fit, whole(&sections));
        }

        #[test]
        fn groups_hold_everything_once_in_the_order_of_the_first(items in proptest::collection::vec(0..9_u8, 0..60)) {
            let groups = grouped(&items, |item| *item);
            prop_assert_eq!(groups.iter().map(Vec::len).sum::<usize>(), items.len());
            let firsts: Vec<usize> = groups
                .iter()
                .map(|group| items.iter().position(|item| item == group[0]).unwrap())
                .collect();
            prop_assert!(firsts.is_sorted(), "{firsts:?}");
            prop_assert!(groups.iter().all(|group| group.iter().all(|item| *item == group[0])));
        }
    }

    #[test]
    fn a_long_section_leaves_room_for_the_others() {
        let long = Section { head: "long\n".to_owned(), items: vec![Item::one("a\n".to_owned()); 1000] };
        let short = Section { head: "short\n".to_owned(), items: vec![Item::one("b\n".to_owned()); 3] };
        let text = fitted(&[long, short], 20, |count, _| format!("and {count} more\n"));
        assert_eq!(text.matches("b\n").count(), 3, "{text}");
        assert!(text.contains("and 98") && text.lines().count() <= 20, "{text}");
    }

    #[test]
    fn rows_and_lines_that_have_no_room_are_counted() {
        assert_eq!(split(&[1, 2, 3], 3), (&[1, 2, 3][..], 0));
        assert_eq!(split(&[1, 2, 3, 4], 3), (&[1, 2][..], 2));
        assert_eq!(split(&[1, 2], 0), (&[][..], 2));
        assert_eq!(cut("a\nb\n", 2, |_| "more\n".to_owned()), "a\nb\n");
        assert_eq!(cut("a\nb\nc\nd\n", 2, |others| format!("and {others} more\n")), "a\nand 3 more\n");
    }

    #[test]
    fn names_stop_after_a_few_and_forms_leave_names_out() {
        assert_eq!(named(["a", "b", "c"]), "a, b, c");
        assert_eq!(named(["a", "b", "c", "d"]), "a, b, c, …");
        assert_eq!(named::<&str>([]), "");
        assert_eq!(form("`a b` is taken by servers/x.toml:3:1"), form("`c` is taken by servers/y.toml:9:9"));
        assert_eq!(form("memory 1 GiB → 2 GiB"), form("memory 3 GiB → 4 GiB"));
        assert_ne!(form("`a` is not a user name"), form("`a` is not a server name"));
    }
}
