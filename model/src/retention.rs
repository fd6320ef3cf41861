//! Which versions of a dataset are kept, and what is left of those that are not.

use crate::error::{Error, Result};
use crate::id::{SnapshotId, VersionNumber};
use jiff::tz::TimeZone;
use jiff::{Timestamp, ToSpan};
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;
use std::fmt;

/// Which versions are kept: those that any part of the rule keeps. The newest is always kept.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RetentionRule {
    /// This many of the newest, at least 1; `None` for no such part.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub keep_newest: Option<u64>,
    /// Those that were the newest at some time within this many months, at least 1; `None` for no such part.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub keep_months: Option<u32>,
    /// Those that have a tag.
    pub keep_tagged: bool,
    /// Whether the bytes as they were sent stay when every version that came of them is gone.
    pub keep_raw: bool,
}

/// What is left of a version that was removed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Removal {
    /// The version.
    pub version: VersionNumber,
    /// The commit that removed it.
    pub snapshot: SnapshotId,
    /// When that commit was made, UTC.
    pub removed: Timestamp,
    /// The rule that did not keep it.
    pub rule: RetentionRule,
}

/// Months of a rule at most: a thousand years.
const MONTHS_MAX: u32 = 12_000;

impl RetentionRule {
    /// Checks that the rule says which versions are kept.
    ///
    /// # Errors
    ///
    /// `InvalidRequest` if it keeps neither a number of versions nor months, or none of them.
    pub fn check(&self) -> Result<()> {
        match (self.keep_newest, self.keep_months) {
            (None, None) => Err(Error::invalid_request(
                "a retention rule says how many of the newest versions are kept, or for how many months, found neither",
            )),
            (Some(0), _) => Err(Error::invalid_request("at least 1 version is kept, found 0")),
            (_, Some(months)) if !(1..=MONTHS_MAX).contains(&months) => {
                Err(Error::invalid_request(format!("versions are kept for 1 to {MONTHS_MAX} months, found {months}")))
            }
            _ => Ok(()),
        }
    }

    /// The versions that the rule does not keep, of those that there are: number and time of commit, the newest first.
    pub fn not_kept(
        &self,
        versions: &[(VersionNumber, Timestamp)],
        tagged: &BTreeSet<VersionNumber>,
        now: Timestamp,
    ) -> Vec<VersionNumber> {
        let newest = usize::try_from(self.keep_newest.unwrap_or(1)).unwrap_or(usize::MAX).max(1);
        let since = self.keep_months.map(|months| months_before(now, months));
        let was_newest_since = |position: usize| since.is_some_and(|since| versions[position - 1].1 > since);
        let others = versions.iter().enumerate().skip(newest).filter(|(position, (number, _))| {
            let is_tagged = self.keep_tagged && tagged.contains(number);
            !is_tagged && !was_newest_since(*position)
        });
        others.map(|(_, (number, _))| *number).collect()
    }
}

fn months_before(now: Timestamp, months: u32) -> Timestamp {
    let then = now.to_zoned(TimeZone::UTC).checked_sub(i64::from(months.min(MONTHS_MAX)).months());
    then.map_or(Timestamp::MIN, |then| then.timestamp())
}

impl fmt::Display for RetentionRule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let parts = [
            self.keep_newest.map(|count| format!("the {count} newest")),
            self.keep_months.map(|months| format!("those of {months} months")),
            self.keep_tagged.then(|| "those with a tag".to_owned()),
        ];
        write!(f, "keep {}", parts.into_iter().flatten().collect::<Vec<_>>().join(", "))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rule(keep_newest: Option<u64>, keep_months: Option<u32>, keep_tagged: bool) -> RetentionRule {
        RetentionRule { keep_newest, keep_months, keep_tagged, keep_raw: false }
    }

    /// Versions 1 to 6, committed on the first of January to June, the newest first.
    fn monthly() -> Vec<(VersionNumber, Timestamp)> {
        let day = |month: u64| format!("2026-{month:02}-01T00:00Z").parse().expect("a time");
        (1..=6).rev().map(|month| (VersionNumber(month), day(month))).collect()
    }

    #[test]
    fn a_rule_keeps_what_any_of_its_parts_keeps() {
        let now = "2026-06-15T00:00Z".parse().expect("a time");
        let tagged = BTreeSet::from([VersionNumber(2)]);
        for (rule, expected) in [
            (rule(Some(2), None, true), &[4, 3, 1][..]),
            (rule(Some(2), None, false), &[4, 3, 2, 1]),
            (rule(Some(9), None, false), &[]),
            // On 15 April version 4 was the newest: it is kept with those of the two months since.
            (rule(None, Some(2), false), &[3, 2, 1]),
            (rule(Some(4), Some(2), false), &[2, 1]),
            (rule(None, Some(12_000), false), &[]),
        ] {
            let found: Vec<u64> = rule.not_kept(&monthly(), &tagged, now).iter().map(|number| number.0).collect();
            assert_eq!(found, expected, "{rule}");
        }
        let late = "2036-01-01T00:00Z".parse().expect("a time");
        assert_eq!(rule(None, Some(1), false).not_kept(&monthly(), &tagged, late).len(), 5, "the newest always stays");
        assert!(rule(Some(1), None, false).not_kept(&[], &tagged, now).is_empty());
    }

    #[test]
    fn a_rule_that_says_nothing_or_keeps_nothing_is_refused() {
        for invalid in [rule(None, None, true), rule(Some(0), None, true), rule(None, Some(0), true)] {
            assert!(invalid.check().is_err(), "{invalid:?}");
        }
        rule(Some(1), None, false).check().expect("valid");
    }
}
