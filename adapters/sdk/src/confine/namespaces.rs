//! Namespaces of our own: a network without a device, shared memory and queues that nobody else has.

use super::{Held, LayerError};
use nix::sched::{CloneFlags, unshare};
use rustix::process::{getegid, geteuid};
use std::fs;

/// Leaves the namespaces of the parent. Sockets that are open already stay where they were made.
///
/// The user keeps its number, so that its files stay its own; what it may do inside is taken by `privileges`.
pub(super) fn leave() -> Result<Held, LayerError> {
    let (user, group) = (geteuid().as_raw(), getegid().as_raw());
    match unshare(CloneFlags::CLONE_NEWUSER | CloneFlags::CLONE_NEWNET | CloneFlags::CLONE_NEWIPC) {
        Ok(()) => {
            fs::write("/proc/self/setgroups", "deny")?;
            fs::write("/proc/self/uid_map", format!("{user} {user} 1"))?;
            fs::write("/proc/self/gid_map", format!("{group} {group} 1"))?;
            Ok(Held::Whole(" (user, network, ipc)".to_owned()))
        }
        // Where users may not have namespaces of their own, root may still have the others.
        Err(refused) => match unshare(CloneFlags::CLONE_NEWNET | CloneFlags::CLONE_NEWIPC) {
            Ok(()) => Ok(Held::Part(format!(" (network and ipc only, no user namespace: {refused})"))),
            Err(_) => Err(refused.into()),
        },
    }
}
