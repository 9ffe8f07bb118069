//! Leases: the door's word that a ticket is good, and, on the same connection, that it is over.

use std::io;
use std::path::Path;
use std::time::Duration;

use berth_schema::ticket::{Errand, Lease, Redeem};
use tokio::io::{AsyncWriteExt as _, BufReader};
use tokio::net::UnixStream;
use tokio::net::unix::OwnedWriteHalf;

use super::frames::{Reader, read_line};
use super::over::Over;
use crate::words;

/// Longest wait for the door's answer.
const ANSWER_MAX: Duration = Duration::from_secs(10);
/// Longest sentence of the door's that is passed on, in bytes.
const WORDS_MAX: usize = 300;

/// A lease that lasts.
pub(super) struct Held {
    reader: Reader,
    // The door takes the end of this half for the end of the act.
    _writer: OwnedWriteHalf,
}

/// Redeems a ticket at the door.
pub(super) async fn redeem(socket: &Path, ticket: String) -> Result<(Errand, Held), Over> {
    let asked = async {
        let (reader, mut writer) = UnixStream::connect(socket).await?.into_split();
        let mut line = serde_json::to_vec(&Redeem { redeem: ticket })?;
        line.push(b'\n');
        writer.write_all(&line).await?;
        let mut held = Held { reader: BufReader::new(reader), _writer: writer };
        let answer: Lease = read_line(&mut held.reader).await?;
        Ok((answer, held))
    };
    let answered = tokio::time::timeout(ANSWER_MAX, asked).await;
    match answered.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into())) {
        Ok((Lease::Granted(errand), held)) => Ok((errand, held)),
        Ok((Lease::Over(why), _)) => Err(Over::Lease(words::cut(&why, WORDS_MAX).to_owned())),
        Err(error) => Err(Over::Door(error)),
    }
}

impl Held {
    /// Waits until the lease is over. A door that is gone can't say that a session has ended, so its end is the lease's.
    pub(super) async fn over(&mut self) -> Over {
        match read_line(&mut self.reader).await {
            Ok(Lease::Over(why)) => Over::Lease(words::cut(&why, WORDS_MAX).to_owned()),
            Ok(Lease::Granted(_)) => Over::Door(io::ErrorKind::InvalidData.into()),
            Err(error) => Over::Door(error),
        }
    }
}
