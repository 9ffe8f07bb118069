//! Traffic of servers, from the user plane's ends of their links. The kernel shows a process's interfaces in a file, so that
//! nobody has to enter the plane's namespace, and one file tells of all servers.

use std::collections::HashMap;
use std::fs;
use std::path::Path;

use berth_link::{REGISTRATIONS, Registration};
use berth_plan::names::server_of_port;
use berth_schema::name::ServerId;

/// Bytes that went through a server's link since it was made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Passed {
    /// Bytes that the server received.
    pub received: u64,
    /// Bytes that it sent.
    pub sent: u64,
}

/// Reads the counters of every server's link; nothing where the platform has no plane.
pub(super) fn read(platform: &str) -> HashMap<ServerId, Passed> {
    // A holder that can't be read, or has ended, is no reason to have no other figures.
    let Ok(Some(holder)) = Registration::read(Path::new(REGISTRATIONS), platform) else {
        return HashMap::new();
    };
    fs::read_to_string(format!("/proc/{}/net/dev", holder.pid)).map(|text| parse(&text)).unwrap_or_default()
}

/// Reads `/proc/<pid>/net/dev`: two lines of heads, then `name: 8 numbers received, 8 sent`. What the plane's end receives,
/// the server has sent.
fn parse(text: &str) -> HashMap<ServerId, Passed> {
    let one = |line: &str| {
        let (name, numbers) = line.split_once(':')?;
        let server = server_of_port(name.trim_start())?;
        let mut numbers = numbers.split_ascii_whitespace();
        let sent = numbers.next()?.parse().ok()?;
        let received = numbers.nth(7)?.parse().ok()?;
        Some((server, Passed { received, sent }))
    };
    text.lines().filter_map(one).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A plane of two servers, in the columns of Linux 6.18.
    const RECORDED: &str = "\
Inter-|   Receive                                                |  Transmit
 face |bytes    packets errs drop fifo frame compressed multicast|bytes    packets errs drop fifo colls carrier compressed
    lo:    3193      29    0    0    0     0          0         0     3193      29    0    0    0     0       0          0
  dns0:     876       9    0    0    0     0          0         0    50216     101    0    0    0     0       0          0
    s3: 1234567    9001    0    0    0     0          0         0  7654321    8002    0    0    0     0       0          0
   s12:       0       0    0    0    0     0          0         0      106       1    0    0    0     0       0          0
";

    #[test]
    fn a_server_has_sent_what_its_port_received() {
        let id = |number: u32| ServerId(number.try_into().unwrap());
        let expected = [
            (id(3), Passed { received: 7_654_321, sent: 1_234_567 }),
            (id(12), Passed { received: 106, sent: 0 }),
        ];
        assert_eq!(parse(RECORDED), expected.into());
        assert_eq!(parse("s3: 1 2\nnothing\n"), HashMap::new());
    }
}
