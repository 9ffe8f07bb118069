//! Others' text, cut short before it is repeated.

/// Returns the longest beginning of `text` that fits into `most` bytes.
pub(crate) fn cut(text: &str, most: usize) -> &str {
    let end = (0..=most.min(text.len())).rev().find(|at| text.is_char_boundary(*at));
    &text[..end.unwrap_or_default()]
}

#[cfg(test)]
mod tests {
    use super::cut;

    #[test]
    fn no_character_is_cut_in_two() {
        assert_eq!(cut("aéb", 4), "aéb");
        assert_eq!(cut("aéb", 3), "aé");
        assert_eq!(cut("aéb", 2), "a");
        assert_eq!(cut("é", 1), "");
    }
}
