//! Ways on which requests come in.

/// Way on which a request came in. It is in the request's extensions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Way {
    /// The panel's own port.
    Own,
    /// The web server before all domains, which passes the panel's name on.
    Edge,
}
