//! The output of a build, as it goes on and when it has failed.

/// Listener to a build: it is told one line of the output at a time.
pub type Line<'a> = &'a (dyn Fn(&str) + Send + Sync);

/// The last lines of an output, for an error message.
#[derive(Debug, Default)]
pub(super) struct Tail(std::collections::VecDeque<String>);

impl Tail {
    const LINES: usize = 15;

    pub(super) fn push(&mut self, line: &str) {
        if self.0.len() == Self::LINES {
            self.0.pop_front();
        }
        self.0.push_back(format!("  | {line}"));
    }

    pub(super) fn text(&self) -> String {
        self.0.iter().map(String::as_str).collect::<Vec<_>>().join("\n")
    }
}
