//! Structure of the house, read from what builds it: `cargo metadata`, `deny.toml`, the crates' `clippy.toml` and the
//! sources themselves. The test `house` holds it against `docs/architecture.md`.
//!
//! Nothing of Berth is linked here, so that an edit anywhere is judged in a second.

pub mod circles;
pub mod crates;
pub mod imports;
pub mod modules;
pub mod page;
pub mod privileges;
