//! Known failures: asked as well, and they must still fail.
//!
//! A line goes when its requirement passes; the report says so and counts the pass as a failure until then.

/// A requirement that is known not to hold.
#[derive(Clone, Copy, Debug)]
pub struct Known {
    /// The class it is in.
    pub class: &'static str,
    /// The requirement's name.
    pub requirement: &'static str,
    /// Why it does not hold, and where that is followed up.
    pub reason: &'static str,
}

/// What does not hold today. Empty: everything that is asked holds.
pub const KNOWN: &[Known] = &[];

/// Why a requirement is known to fail; `None` if it must hold.
pub fn reason(known: &[Known], class: &str, requirement: &str) -> Option<&'static str> {
    known.iter().find(|k| k.class == class && k.requirement == requirement).map(|k| k.reason)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_known_failure_is_found_by_class_and_name() {
        let known = [Known { class: "resume", requirement: "a_cut_is_resumed", reason: "not yet" }];
        assert_eq!(reason(&known, "resume", "a_cut_is_resumed"), Some("not yet"));
        assert_eq!(reason(&known, "refusal", "a_cut_is_resumed"), None);
    }
}
