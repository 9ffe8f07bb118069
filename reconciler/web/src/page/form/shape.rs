//! A field of a form: how it is called, how it is filled in, and where it stands.

/// A field as the forms of a kind have it.
#[derive(Debug)]
pub(crate) struct Shape {
    /// Its name in the file.
    pub(crate) name: &'static str,
    /// Its name in words.
    pub(crate) label: &'static str,
    /// Sentence below that.
    pub(crate) help: &'static str,
    /// Kind of its input.
    pub(crate) control: Control,
    /// Place of the field.
    pub(crate) place: Place,
}

/// Kind of a field's input.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Control {
    /// A line.
    Line,
    /// A line for an amount.
    Amount,
    /// A line for a whole number.
    Number,
    /// A list, with a line for each entry.
    List,
    /// One of these values, each with its words. Beside them, nothing may be chosen: then the default holds.
    Choice(&'static [(&'static str, &'static str)]),
    /// A text of many lines.
    Text,
}

/// Place of a field in the form.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Place {
    /// Before everything else, and never left empty.
    Needed,
    /// Open to see.
    Open,
    /// Folded away with what is rarely used.
    Folded,
    /// Not to see: the form carries it.
    Carried,
}

/// The name of what is to be removed, typed once more.
pub(crate) static CONFIRMED: Shape = Shape {
    name: "confirm",
    label: "Its name, to be sure",
    help: "Type it as it is written above.",
    control: Control::Line,
    place: Place::Needed,
};
