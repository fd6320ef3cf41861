//! Seccomp: the system calls that reading a file and answering over an open socket need, and no others.
//!
//! Three filters, of whose answers the kernel takes the strictest. What no library does by accident kills the process,
//! what is not on the list is refused (`EPERM`), so that a library that only looks whether it may goes on without.

mod lists;

use super::{Held, LayerError};
use lists::{ALLOWED, ALLOWED_X86_64, HOSTILE, IOCTLS};
use rustix::process::getpid;
use seccompiler::{
    BpfProgram, SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition, SeccompFilter, SeccompRule,
    apply_filter,
};
use std::collections::BTreeMap;

/// System calls by number, each with the arguments that match; none stand for any arguments.
type Rules = BTreeMap<i64, Vec<SeccompRule>>;

/// Restricts this thread and those that it starts.
pub(super) fn restrict() -> Result<Held, LayerError> {
    let any = |calls: &[i64]| -> Rules { calls.iter().map(|&call| (call, Vec::new())).collect() };
    let is_absent = SeccompAction::Errno(libc::ENOSYS as u32);
    let is_refused = SeccompAction::Errno(libc::EPERM as u32);
    let filters = [
        filter(any(HOSTILE), SeccompAction::Allow, SeccompAction::KillProcess)?,
        // Its flags lie in memory where no filter sees them; the C library then takes `clone`.
        filter(any(&[libc::SYS_clone3]), SeccompAction::Allow, is_absent)?,
        filter(allowed()?, is_refused, SeccompAction::Allow)?,
    ];
    for filter in &filters {
        apply_filter(filter)?;
    }
    Ok(Held::Whole(String::new()))
}

fn filter(rules: Rules, otherwise: SeccompAction, action: SeccompAction) -> Result<BpfProgram, LayerError> {
    let filter = SeccompFilter::new(rules, otherwise, action, std::env::consts::ARCH.try_into()?)?;
    Ok(filter.try_into()?)
}

/// The list of what is allowed, the calls that are allowed only with some arguments among them.
fn allowed() -> Result<Rules, LayerError> {
    let mut rules: Rules = ALLOWED.iter().chain(ALLOWED_X86_64).map(|&call| (call, Vec::new())).collect();
    rules.insert(libc::SYS_clone3, Vec::new());
    // A thread of this process, never another process.
    let thread = libc::CLONE_THREAD as u64;
    rules.insert(libc::SYS_clone, vec![rule(&[(0, SeccompCmpOp::MaskedEq(thread), thread)])?]);
    // A pair of connected sockets reaches nobody else; a datagram socket could name an address.
    let stream = SeccompCmpOp::MaskedEq(0xf);
    rules.insert(
        libc::SYS_socketpair,
        vec![rule(&[(0, SeccompCmpOp::Eq, libc::AF_UNIX as u64), (1, stream, libc::SOCK_STREAM as u64)])?],
    );
    rules.insert(libc::SYS_sendto, vec![SeccompRule::new(vec![wide(4, 0)?])?]);
    // A signal to itself, as `abort` sends it.
    let own = u64::from(getpid().as_raw_nonzero().get().unsigned_abs());
    rules.insert(libc::SYS_tgkill, vec![rule(&[(0, SeccompCmpOp::Eq, own)])?]);
    // Limits are read and never set.
    rules.insert(libc::SYS_prlimit64, vec![SeccompRule::new(vec![wide(2, 0)?])?]);
    rules.insert(libc::SYS_prctl, one_of(0, &[libc::PR_SET_NAME as u64, libc::PR_GET_NAME as u64])?);
    rules.insert(libc::SYS_ioctl, one_of(1, IOCTLS)?);
    Ok(rules)
}

/// A call matches if each of these arguments, of 32 bits, does.
fn rule(arguments: &[(u8, SeccompCmpOp, u64)]) -> Result<SeccompRule, LayerError> {
    let conditions: Result<Vec<_>, _> = arguments
        .iter()
        .map(|(index, operator, value)| {
            SeccompCondition::new(*index, SeccompCmpArgLen::Dword, operator.clone(), *value)
        })
        .collect();
    Ok(SeccompRule::new(conditions?)?)
}

/// An argument of 64 bits, such as an address, that has this value.
fn wide(index: u8, value: u64) -> Result<SeccompCondition, LayerError> {
    Ok(SeccompCondition::new(index, SeccompCmpArgLen::Qword, SeccompCmpOp::Eq, value)?)
}

fn one_of(index: u8, values: &[u64]) -> Result<Vec<SeccompRule>, LayerError> {
    values.iter().map(|&value| rule(&[(index, SeccompCmpOp::Eq, value)])).collect()
}
