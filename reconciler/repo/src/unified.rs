//! Two texts, compared line by line. Needs no repository.

use git2::{DiffLineType, DiffOptions, Patch};

use crate::Error;

/// Lines around a change that show where it is.
const AROUND: u32 = 3;

/// Compares two texts: a unified diff without its head, each line with its sign and without its end. Empty where they are the
/// same.
pub fn unified(before: &str, after: &str) -> Result<Vec<String>, Error> {
    let failed = |source| Error::Compare { source };
    let mut options = DiffOptions::new();
    options.context_lines(AROUND).force_text(true);
    let (before, after) = (before.as_bytes(), after.as_bytes());
    let patch = Patch::from_buffers(before, None, after, None, Some(&mut options)).map_err(failed)?;
    let mut lines = Vec::new();
    for hunk in 0..patch.num_hunks() {
        let (head, count) = patch.hunk(hunk).map_err(failed)?;
        lines.push(String::from_utf8_lossy(head.header()).trim_end().to_owned());
        for line in 0..count {
            let line = patch.line_in_hunk(hunk, line).map_err(failed)?;
            let sign = match line.origin_value() {
                DiffLineType::Addition => '+',
                DiffLineType::Deletion => '-',
                DiffLineType::Context => ' ',
                // "No newline at end of file" says nothing about state.
                _ => continue,
            };
            let text = String::from_utf8_lossy(line.content());
            lines.push(format!("{sign}{}", text.trim_end_matches(['\n', '\r'])));
        }
    }
    Ok(lines)
}
