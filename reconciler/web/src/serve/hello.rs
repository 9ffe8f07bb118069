//! The first words of a TLS client, read without taking them and without an answer.

use std::time::Duration;

use rustls::server::Acceptor;
use tokio::net::TcpStream;
use tokio::time::sleep;

use crate::acme::Validation;

/// The longest first words, in bytes: what fits into one record of TLS.
const LONGEST: usize = (16 << 10) + 5;
/// Time for more of them to arrive.
const MORE: Duration = Duration::from_millis(20);

/// Returns whether the client asks for this validation and for nothing else. It waits for as long as the client takes.
pub(super) async fn asks_for(validation: &Validation, stream: &TcpStream) -> bool {
    let mut words = vec![0; LONGEST];
    let mut known = 0;
    loop {
        let Ok(length) = stream.peek(&mut words).await else { return false };
        if length == known {
            // The other side is silent, has gone, or has said too much.
            if length == 0 || length == LONGEST {
                return false;
            }
            sleep(MORE).await;
            continue;
        }
        known = length;
        let mut acceptor = Acceptor::default();
        if acceptor.read_tls(&mut &words[..length]).is_err() {
            return false;
        }
        match acceptor.accept() {
            Ok(Some(accepted)) => return validation.is_asked_for(&accepted.client_hello()),
            Ok(None) => {}
            Err(_) => return false,
        }
    }
}
