//! Alarms: whether something is wrong, and who is told.
//!
//! Owns the judgement, which is pure, the course of an alarm from its first sight to its end, and the way of a message to a webhook, a chat and
//! the spool of mails. Sees what others tell it: it reaches neither the engine nor git, and changes nothing but its own folder and that
//! spool.

mod course;
mod deliver;
mod judge;
mod keeper;
mod message;
mod probe;
mod record;
mod settings;
mod sight;
mod silences;
mod trouble;

pub use course::advance;
pub use deliver::{Answer, test};
pub use judge::{Alarm, Judgement, judge};
pub use keeper::run;
pub use message::{Message, News, Target};
pub use probe::{Part, Sign};
pub use record::{Entry, Lost, Record, Sent, Stage};
pub use settings::{AlarmSettings, Look, Pace};
pub use sight::{Process, Sight, Waiting};
pub use silences::{Hushed, Silences};
pub use trouble::AlarmError;
