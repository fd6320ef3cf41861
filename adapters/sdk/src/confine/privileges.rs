//! Privileges: none are kept, and no program that is started could have any.

use super::{Held, LayerError};
use rustix::thread::{CapabilitySet, CapabilitySets, clear_ambient_capability_set, set_capabilities, set_no_new_privs};

/// Drops every capability, also that of root to read what belongs to others.
pub(super) fn drop_all() -> Result<Held, LayerError> {
    set_no_new_privs(true)?;
    clear_ambient_capability_set()?;
    let none = CapabilitySet::empty();
    set_capabilities(None, CapabilitySets { effective: none, permitted: none, inheritable: none })?;
    Ok(Held::Whole(String::new()))
}
