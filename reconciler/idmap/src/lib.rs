//! Shifting the ids of a mount, as the kernel's `mount_setattr(2)` does.
//!
//! rustix and nix have the calls that make a mount, and not the one that gives it a user namespace to read ids by. This crate is that
//! call and nothing else, so that all other crates can go on forbidding `unsafe`.

#![cfg_attr(not(test), deny(clippy::disallowed_methods, clippy::disallowed_types))]

use std::ffi::c_long;
use std::io;
use std::os::fd::{AsFd, AsRawFd as _};

/// Reach of a shift.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reach {
    /// The mount alone.
    Alone,
    /// The mount and everything mounted below it.
    Below,
}

/// Shifts the ids of a mount that isn't attached to any place yet (`open_tree` with `OPEN_TREE_CLONE`). Whoever looks through it sees
/// a file of the disk's id `n` as one of the id that `namespace`, a user namespace, gives to its own `n`.
///
/// The kernel refuses where the file system can't do it (`EINVAL`), or where the mount has been shifted or attached already.
pub fn shift(mount: impl AsFd, namespace: impl AsFd, reach: Reach) -> io::Result<()> {
    let (mount, namespace) = (mount.as_fd(), namespace.as_fd());
    let unusable = |_| io::Error::from(io::ErrorKind::InvalidInput);
    let attributes = libc::mount_attr {
        attr_set: libc::MOUNT_ATTR_IDMAP,
        attr_clr: 0,
        propagation: 0,
        userns_fd: u64::try_from(namespace.as_raw_fd()).map_err(unusable)?,
    };
    let flags = match reach {
        Reach::Alone => libc::AT_EMPTY_PATH,
        Reach::Below => libc::AT_EMPTY_PATH | libc::AT_RECURSIVE,
    };
    #[expect(unsafe_code, reason = "no safe library has this call; see the crate's first lines")]
    // SAFETY: The kernel reads an empty string that lasts for ever, and `attributes`, which is of the size that it is told and outlives
    // the call. It keeps neither and writes to neither. Both descriptors are borrowed, and so open until the call has returned.
    let answer: c_long = unsafe {
        libc::syscall(
            libc::SYS_mount_setattr,
            mount.as_raw_fd(),
            c"".as_ptr(),
            flags,
            &raw const attributes,
            size_of::<libc::mount_attr>(),
        )
    };
    match answer {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}

#[cfg(test)]
mod tests {
    use std::fs::File;

    use super::*;

    #[test]
    fn what_the_kernel_refuses_is_an_error_of_its_own_words() {
        let namespace = File::open("/proc/self/ns/user").unwrap();
        let no_mount = File::open("/dev/null").unwrap();
        for reach in [Reach::Alone, Reach::Below] {
            // The namespace that a mount has already shifts nothing, and without privileges nothing is shifted at all.
            let error = shift(&no_mount, &namespace, reach).unwrap_err().raw_os_error();
            assert!([Some(libc::EINVAL), Some(libc::EPERM)].contains(&error), "{error:?}");
        }
    }
}
