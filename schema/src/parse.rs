//! One file on its own: syntax, fields and values.

use std::collections::BTreeSet;
use std::ops::Range;
use std::sync::Arc;

use toml::de::{DeTable, Error};

use crate::domain::{Domain, DomainFile};
use crate::fields::Fields;
use crate::finding::{Collector, FINDINGS_MAX, Finding, Position};
use crate::invalid::Invalid;
use crate::kind::Subject;
use crate::platform::Platform;
use crate::server::{Server, ServerFile};
use crate::strict;
use crate::user::{User, UserFile};

/// One file, parsed on its own: what it says, or what is wrong with it. Cheap to keep, so that an unchanged file is
/// never parsed twice.
#[derive(Debug, Clone)]
pub struct Parsed {
    path: Arc<str>,
    source: Option<Arc<str>>,
    findings: Vec<Finding>,
    /// Parts of the text that nobody may repeat.
    hidden: Vec<Range<usize>>,
    pub(crate) content: Content,
}

/// Content of a file. The valid thing is there when the file has no errors; the other known parts serve to judge
/// the files that refer to it.
#[derive(Debug, Clone)]
pub(crate) enum Content {
    /// Nothing that the platform reads.
    Other,
    Platform(Option<Arc<Platform>>),
    User(UserFile, Option<Arc<User>>),
    Server(ServerFile, Option<Arc<Server>>),
    Domain(DomainFile, Option<Arc<Domain>>),
}

/// A file of more bytes than this is not one that a person wrote.
const SIZE_MAX: usize = 256 * 1024;

impl Parsed {
    /// Parses the file at `path` (relative to the repo's root, with `/`). Never fails: mistakes become findings.
    pub fn parse(path: &str, text: &str) -> Self {
        let path: Arc<str> = path.into();
        let mut found = Collector::new(&path, text);
        let subject = Subject::of(&path).unwrap_or_else(|invalid| {
            found.error(None, invalid);
            None
        });
        let Some(subject) = subject else {
            let findings = found.finish().0;
            return Self { path, source: None, findings, hidden: Vec::new(), content: Content::Other };
        };
        if let Some(invalid) = strict::of_name(&path, &subject) {
            found.strict(None, invalid);
        }
        let holds_secrets = matches!(subject, Subject::User(_));
        let (content, syntax) = read(subject, text, &mut found);
        let hidden = found.hidden().to_vec();
        let (findings, source) = found.finish();
        // In a broken file nobody knows where a password ends.
        let source = (syntax == Syntax::Good || !holds_secrets).then_some(source);
        Self { path, source, findings, hidden, content }
    }

    /// The path that the file was parsed with.
    pub fn path(&self) -> &str {
        &self.path
    }

    /// The text, for showing findings in it. Secrets in it are blackened; `None` where the platform reads nothing, or
    /// where a secret could hide in broken syntax.
    pub fn source(&self) -> Option<&str> {
        self.source.as_deref()
    }

    /// Returns the mistakes of the file on its own, in the order of the file.
    pub fn findings(&self) -> &[Finding] {
        &self.findings
    }

    /// Returns the parts of the text that are blackened in [`Parsed::source`].
    pub(crate) fn hidden(&self) -> &[Range<usize>] {
        &self.hidden
    }

    pub(crate) fn shared_path(&self) -> &Arc<str> {
        &self.path
    }

    /// The position of a value that was read from this file.
    pub(crate) fn position(&self, at: usize) -> Option<Position> {
        self.source.as_deref().map(|source| Position::of(source, at))
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Syntax {
    Good,
    Broken,
}

fn read(subject: Subject, text: &str, found: &mut Collector<'_>) -> (Content, Syntax) {
    // Too much text is not even looked at; what it would say counts as unknown.
    let text = if text.len() > SIZE_MAX {
        let message = format!("the file has {} bytes, and {SIZE_MAX} is the most that is read", text.len());
        found.error(None, Invalid::new(message, "move what isn't state to `docs/`"));
        ""
    } else {
        text
    };
    let too_long = found.has_errors();
    let (table, mut errors) = DeTable::parse_recoverable(text);
    // Where so much is broken, nothing can be said about the rest.
    let hopeless = errors.len() > FINDINGS_MAX;
    errors.truncate(FINDINGS_MAX);
    let broken_lines = record_syntax(&errors, found);
    let mut inner = Collector::like(found);
    let content = read_fields(subject, table.get_ref(), &mut inner);
    // What follows from a broken line would only confuse: a field that couldn't be read isn't missing.
    found.absorb(inner, |position| match position {
        _ if too_long || hopeless => false,
        Some(position) => !broken_lines.contains(&position.line),
        None => broken_lines.is_empty(),
    });
    let content = if found.has_errors() { content.without_value() } else { content };
    (content, if broken_lines.is_empty() { Syntax::Good } else { Syntax::Broken })
}

/// Records every syntax error, and says on which lines they are.
fn record_syntax(errors: &[Error], found: &mut Collector<'_>) -> BTreeSet<u32> {
    let mut lines = BTreeSet::new();
    for error in errors {
        let at = error.span().map_or(0, |span| span.start);
        // One slip makes the parser stumble more than once; the first stumble says it best.
        if lines.insert(found.position(at).line) {
            let message = error.message().trim().replace('\n', ", ");
            found
                .error(Some(at), Invalid::new(format!("this is not TOML: {message}"), syntax_hint(&message)));
        }
    }
    lines
}

fn syntax_hint(message: &str) -> &'static str {
    if message.contains("duplicate key") {
        "keep one of the two"
    } else {
        "write `name = value`, one on each line, with texts in quotes"
    }
}

fn read_fields<'a>(subject: Subject, table: &'a DeTable<'a>, found: &mut Collector<'a>) -> Content {
    let table = Some(table);
    match subject {
        Subject::Platform => {
            Content::Platform(Fields::read(table, "the platform", found, Platform::read).map(Arc::new))
        }
        Subject::User(name) => {
            let (file, user) = Fields::read(table, "a user", found, |fields| UserFile::read(name, fields));
            Content::User(file, Some(Arc::new(user)))
        }
        Subject::Server(name) => {
            let (file, server) =
                Fields::read(table, "a server", found, |fields| ServerFile::read(name, fields));
            Content::Server(file, server.map(Arc::new))
        }
        Subject::Domain(fqdn) => {
            let (file, domain) =
                Fields::read(table, "a domain", found, |fields| DomainFile::read(fqdn, fields));
            Content::Domain(file, domain.map(Arc::new))
        }
    }
}

impl Content {
    fn without_value(self) -> Self {
        match self {
            Self::Other => Self::Other,
            Self::Platform(_) => Self::Platform(None),
            Self::User(file, _) => Self::User(file, None),
            Self::Server(file, _) => Self::Server(file, None),
            Self::Domain(file, _) => Self::Domain(file, None),
        }
    }
}
