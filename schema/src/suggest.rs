//! "Did you mean …?": the known name that is nearest to an unknown one.

/// Longer names than this are not slips of the pen, and comparing them would cost too much.
const LENGTH_MAX: usize = 64;

/// The nearest name, if any is near enough to be a slip of the pen: one edit in three characters, or the
/// beginning of it.
pub(crate) fn nearest<'a>(unknown: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let room = (unknown.len() / 3).max(1);
    if unknown.len() > LENGTH_MAX {
        return None;
    }
    let distance = |name: &'a str| {
        // `mem` for `memory`, `password` for `password_hash`: cut short rather than mistyped.
        let shortened = unknown.len() >= 3 && name.starts_with(unknown);
        let near = name.len().abs_diff(unknown.len()) <= room;
        let distance = if near { strsim::osa_distance(unknown, name) } else { usize::MAX };
        (distance <= room || shortened).then_some((distance, name.len(), name))
    };
    known.into_iter().filter_map(distance).min().map(|(_, _, name)| name)
}

/// A hint that names the nearest known name, or else says what to do.
pub(crate) fn hint<'a>(unknown: &str, known: impl IntoIterator<Item = &'a str>, otherwise: String) -> String {
    match nearest(unknown, known) {
        Some(name) => format!("did you mean `{name}`?"),
        None => otherwise,
    }
}
