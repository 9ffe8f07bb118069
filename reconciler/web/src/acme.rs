//! ACME: orders a certificate for the panel's name, proves that the name is the panel's, and renews it in time.
//!
//! Nothing here holds up a page: the panel serves with what it has while a CA is slow, refuses, or is silent. A request has a
//! deadline, and so has an order; after one that failed, the next waits longer each time, across restarts too.

mod ca;
mod keeper;
mod order;
mod settings;
mod store;
mod trouble;
mod validation;

pub use keeper::Keeper;
pub use settings::Acme;
pub use store::Store;
pub use validation::{Validation, Validations};
