//! Marks: how one is written, and how one is known.

/// Characters of a secret's name in its mark.
pub const NAME: usize = 12;

pub(super) const BEGINS: &str = "‹hidden-";
pub(super) const ENDS: char = '›';

/// The mark of a secret of this name.
pub(super) fn mark(name: &str) -> String {
    format!("{BEGINS}{name}{ENDS}")
}

/// Returns the length in bytes of the mark that a text begins with; 0 where it begins with none.
pub(super) fn mark_length(text: &str) -> usize {
    let Some(rest) = text.strip_prefix(BEGINS) else { return 0 };
    let is_name = |name: &str| name.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
    match rest.split_at_checked(NAME) {
        Some((name, rest)) if is_name(name) && rest.starts_with(ENDS) => {
            BEGINS.len() + NAME + ENDS.len_utf8()
        }
        _ => 0,
    }
}
