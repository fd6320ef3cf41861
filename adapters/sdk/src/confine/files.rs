//! Landlock: the files that may be opened, and what else the kernel's module closes with them.

use super::{Held, LayerError};
use landlock::{
    ABI, Access, AccessFs, AccessNet, BitFlags, LandlockStatus, PathBeneath, PathFd, Ruleset, RulesetAttr,
    RulesetCreatedAttr, RulesetStatus, Scope, path_beneath_rules,
};
use std::path::PathBuf;

/// The newest set of rights that we know. An older kernel enforces what it knows of them.
const RIGHTS: ABI = ABI::V6;

/// Closes every file but these, TCP, and abstract sockets and signals of other processes.
pub(super) fn restrict(readable: &[PathBuf], writable: &[PathBuf]) -> Result<Held, LayerError> {
    let mut rules = Ruleset::default()
        .handle_access(AccessFs::from_all(RIGHTS))?
        .handle_access(AccessNet::from_all(RIGHTS))?
        .scope(Scope::from_all(RIGHTS))?
        .create()?
        .add_rules(path_beneath_rules(readable, AccessFs::ReadFile | AccessFs::ReadDir))?;
    for folder in writable {
        rules = rules.add_rule(PathBeneath::new(PathFd::new(folder)?, writing()))?;
    }
    let status = rules.restrict_self()?;
    let abi = match status.landlock {
        LandlockStatus::Available { effective_abi, .. } => effective_abi,
        LandlockStatus::NotEnabled => return Err("not enabled in this kernel".into()),
        LandlockStatus::NotImplemented => return Err("not in this kernel".into()),
    };
    match status.ruleset {
        RulesetStatus::FullyEnforced => Ok(Held::Whole(format!(" (ABI {abi})"))),
        RulesetStatus::PartiallyEnforced => Ok(Held::Part(format!(" (ABI {abi} of {RIGHTS}, the rest not enforced)"))),
        RulesetStatus::NotEnforced => Err("not enforced".into()),
    }
}

/// What is done in a scratch folder: plain files, folders and links; no devices, no sockets, nothing executed.
fn writing() -> BitFlags<AccessFs> {
    AccessFs::from_all(RIGHTS)
        & !(AccessFs::Execute
            | AccessFs::MakeChar
            | AccessFs::MakeBlock
            | AccessFs::MakeFifo
            | AccessFs::MakeSock
            | AccessFs::IoctlDev)
}
