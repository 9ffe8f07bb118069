//! The mean of samples, by which a longer span is made of a shorter one.

use berth_wire::figures::{DiskTraffic, Sample, Traffic};

/// Mean of the samples that there are; `None` where there is none. What some don't know is the mean of those that do.
pub(super) fn mean(samples: &[Option<Sample>]) -> Option<Sample> {
    let all = || samples.iter().flatten();
    let networks = || all().filter_map(|sample| sample.network);
    let ios = || all().filter_map(|sample| sample.io);
    let small = |number: u64| u32::try_from(number).unwrap_or(u32::MAX);
    let received = of(networks().map(|traffic| traffic.received.into()));
    let sent = of(networks().map(|traffic| traffic.sent.into()));
    Some(Sample {
        cpu_millis: small(of(all().map(|sample| sample.cpu_millis.into()))?),
        memory: of(all().map(|sample| sample.memory))?,
        processes: small(of(all().map(|sample| sample.processes.into()))?),
        network: received
            .zip(sent)
            .map(|(received, sent)| Traffic { received: small(received), sent: small(sent) }),
        io: of(ios().map(|traffic| traffic.read.into())).map(|read| DiskTraffic {
            read: small(read),
            written: of(ios().filter_map(|traffic| traffic.written).map(u64::from)).map(small),
        }),
        disk: of(all().filter_map(|sample| sample.disk)),
    })
}

fn of(numbers: impl Iterator<Item = u64>) -> Option<u64> {
    let (sum, count) =
        numbers.fold((0_u128, 0_u128), |(sum, count), number| (sum + u128::from(number), count + 1));
    u64::try_from(sum.checked_div(count)?).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mean_is_of_what_is_known() {
        let network = |received| Some(Traffic { received, sent: u32::MAX });
        let one =
            Sample { cpu_millis: 100, memory: 10, processes: 1, network: None, io: None, disk: Some(4) };
        let io = |written| Some(DiskTraffic { read: 6, written });
        let samples = [
            Some(one),
            None,
            Some(Sample { cpu_millis: 301, memory: 20, network: network(10), io: io(None), ..one }),
            Some(Sample { network: network(20), io: io(Some(8)), disk: None, ..one }),
        ];
        let expected = Sample {
            cpu_millis: 167,
            memory: 13,
            processes: 1,
            network: network(15),
            io: io(Some(8)),
            disk: Some(4),
        };
        assert_eq!(mean(&samples), Some(expected));
        assert_eq!(mean(&[None, None]), None);
        assert_eq!(mean(&[]), None);
    }
}
