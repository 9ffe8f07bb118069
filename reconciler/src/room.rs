//! Room: what is left on this host for more servers.

use std::fs;
use std::io;
use std::path::Path;

use berth_plan::room::Left;
use rustix::fs::statvfs;

/// Reads what is left of memory, processes, and the disk that holds `engine`, the engine's folder.
pub fn left(engine: &Path) -> io::Result<Left> {
    let disk = statvfs(engine)?;
    let (running, most) = processes()?;
    Ok(Left {
        memory: available(&fs::read_to_string("/proc/meminfo")?).ok_or_else(|| strange("/proc/meminfo"))?,
        processes: most.saturating_sub(running),
        disk: disk.f_bavail.saturating_mul(disk.f_frsize),
    })
}

/// Reads how many processes and threads there are, and how many there may be.
pub fn processes() -> io::Result<(u64, u64)> {
    let number = |path: &str| -> io::Result<u64> {
        fs::read_to_string(path)?.trim().parse().map_err(|_| strange(path))
    };
    let most = number("/proc/sys/kernel/pid_max")?.min(number("/proc/sys/kernel/threads-max")?);
    let running = running(&fs::read_to_string("/proc/loadavg")?).ok_or_else(|| strange("/proc/loadavg"))?;
    Ok((running, most))
}

fn strange(path: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, format!("{path} is not what the kernel's documentation says"))
}

/// Bytes of `MemAvailable` (proc_meminfo(5)).
fn available(meminfo: &str) -> Option<u64> {
    let line = meminfo.lines().find_map(|line| line.strip_prefix("MemAvailable:"))?;
    line.split_whitespace().next()?.parse::<u64>().ok()?.checked_mul(1024)
}

/// Processes and threads that there are (proc_loadavg(5), after the slash).
fn running(loadavg: &str) -> Option<u64> {
    loadavg.split_whitespace().nth(3)?.split_once('/')?.1.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kernel_s_files_are_read() {
        assert_eq!(available("MemTotal:       24 kB\nMemAvailable:   10 kB\n"), Some(10 << 10));
        assert_eq!(available("MemTotal:       24 kB\n"), None);
        assert_eq!(running("0.20 0.18 0.12 1/80 11206\n"), Some(80));
        assert_eq!(running("0.20\n"), None);
        let left = left(Path::new("/")).unwrap();
        assert!(left.memory > 0 && left.processes > 0, "{left:?}");
    }
}
