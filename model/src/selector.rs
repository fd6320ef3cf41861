//! How a version is named: by its number, by a tag, or by a time.

use crate::error::{Error, Result, quoted};
use crate::id::{DatasetId, MajorNumber, VersionNumber};
use crate::tag::TagName;
use jiff::Timestamp;
use jiff::civil::Date;
use jiff::tz::TimeZone;
use serde::{Deserialize, Serialize};
use std::fmt;
use std::str::FromStr;

/// A dataset and, where one is named, its version: `almaty/schools`, `almaty/schools@v7`, `almaty/schools@final` or
/// `almaty/schools@2026-03-01T00:00Z`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VersionSelector {
    /// The dataset.
    pub dataset: DatasetId,
    /// The version; `None` for the newest of the snapshot.
    pub version: Option<VersionChoice>,
}

/// What names one version of a dataset. In JSON a number, or the text that [`VersionChoice::from_str`] reads.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "Written", into = "Written")]
pub enum VersionChoice {
    /// The version with this number.
    Number(VersionNumber),
    /// The version that has this tag.
    Tag(TagName),
    /// The newest version that was committed at or before this time.
    At(Timestamp),
    /// The newest version of this major.
    Major(MajorNumber),
}

#[derive(Serialize, Deserialize)]
#[serde(untagged)]
enum Written {
    Number(u64),
    Text(String),
}

impl From<VersionNumber> for VersionChoice {
    fn from(number: VersionNumber) -> Self {
        Self::Number(number)
    }
}

impl From<VersionChoice> for Written {
    fn from(choice: VersionChoice) -> Self {
        match choice {
            VersionChoice::Number(number) => Self::Number(number.0),
            other => Self::Text(other.to_string()),
        }
    }
}

impl TryFrom<Written> for VersionChoice {
    type Error = Error;

    fn try_from(written: Written) -> Result<Self> {
        match written {
            Written::Number(number) => number.to_string().parse(),
            Written::Text(text) => text.parse(),
        }
    }
}

impl FromStr for VersionChoice {
    type Err = Error;

    /// Reads `v7` or `7`; a major as `2.x`; a tag; or a time as in RFC 3339, of which a date alone is the start of that day in UTC.
    fn from_str(text: &str) -> Result<Self> {
        let digits = text.strip_prefix('v').unwrap_or(text);
        if !digits.starts_with(|c: char| c.is_ascii_digit()) {
            return text.parse().map(Self::Tag);
        }
        if let Some(major) = text.strip_suffix(".x") {
            return parse_major(major).map(Self::Major);
        }
        if digits.len() < text.len() || digits.bytes().all(|b| b.is_ascii_digit()) {
            return text.parse().map(Self::Number);
        }
        parse_time(text).map(Self::At)
    }
}

fn parse_major(text: &str) -> Result<MajorNumber> {
    let is_plain = text.bytes().all(|b| b.is_ascii_digit()) && !text.starts_with('0');
    text.parse().ok().filter(|_| is_plain).map(MajorNumber).ok_or_else(|| {
        Error::invalid_request(format!("the newest version of a major is written as 2.x, found {}.x", quoted(text)))
    })
}

fn parse_time(text: &str) -> Result<Timestamp> {
    let expected = || {
        Error::invalid_request(format!(
            "a time is written as 2026-03-01T00:00Z, 2026-03-01T05:00+05:00 or 2026-03-01, found {}",
            quoted(text)
        ))
    };
    // The library reads more than RFC 3339 has.
    let is_plain = text.bytes().all(|b| b.is_ascii_digit() || b"-+:.TZ".contains(&b));
    if !is_plain || text.as_bytes().get(4) != Some(&b'-') {
        return Err(expected());
    }
    if text.len() > 10 {
        return text.parse().map_err(|e| expected().caused_by(e));
    }
    let day = text.parse::<Date>().and_then(|date| date.to_zoned(TimeZone::UTC));
    day.map(|day| day.timestamp()).map_err(|e| expected().caused_by(e))
}

impl fmt::Display for VersionChoice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Number(number) => number.fmt(f),
            Self::Tag(tag) => tag.fmt(f),
            Self::At(time) => time.fmt(f),
            Self::Major(major) => write!(f, "{major}.x"),
        }
    }
}

impl FromStr for VersionSelector {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let (dataset, version) = match text.split_once('@') {
            Some((dataset, version)) => (dataset, Some(version.parse()?)),
            None => (text, None),
        };
        Ok(Self { dataset: dataset.parse()?, version })
    }
}

impl From<DatasetId> for VersionSelector {
    /// The newest version.
    fn from(dataset: DatasetId) -> Self {
        Self { dataset, version: None }
    }
}

impl fmt::Display for VersionSelector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.version {
            Some(version) => write!(f, "{}@{version}", self.dataset),
            None => self.dataset.fmt(f),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_selector_names_a_dataset_and_perhaps_a_version() {
        for text in
            ["almaty/schools", "almaty/schools@v7", "almaty/schools@final", "a/b@2026-03-01T00:00:00Z", "a/b@2.x"]
        {
            assert_eq!(text.parse::<VersionSelector>().expect("valid").to_string(), text);
        }
        assert!("almaty/schools@latest".parse::<VersionSelector>().is_err());
        assert!("almaty/schools@".parse::<VersionSelector>().is_err());
        assert!("almaty/schools@v1@v2".parse::<VersionSelector>().is_err());
    }

    #[test]
    fn numbers_tags_and_times_are_never_confused() {
        let of = |text: &str| text.parse::<VersionChoice>();
        assert_eq!(of("v7").expect("valid"), VersionNumber(7).into());
        assert_eq!(of("7").expect("valid"), VersionNumber(7).into());
        assert!(matches!(of("final-2026").expect("valid"), VersionChoice::Tag(_)));
        assert_eq!(of("2.x").expect("valid"), VersionChoice::Major(MajorNumber(2)));
        assert!(matches!(of("valid").expect("valid"), VersionChoice::Tag(_)));
        for (text, expected) in [
            ("2026-03-01", "2026-03-01T00:00:00Z"),
            ("2026-03-01T00:00Z", "2026-03-01T00:00:00Z"),
            ("2026-03-01T05:00+05:00", "2026-03-01T00:00:00Z"),
            ("2026-03-01T00:00:00.5Z", "2026-03-01T00:00:00.5Z"),
        ] {
            assert_eq!(of(text).expect(text), VersionChoice::At(expected.parse().expect("a time")), "{text}");
        }
        for text in [
            "v0",
            "v7x",
            "v7.1",
            "7x",
            "v2.x",
            "0.x",
            "02.x",
            "2.1.x",
            ".x",
            "2026-02-30",
            "2026-03-01T00:00",
            "20260301T00Z",
            "2026-03-01T00:00Z[UTC]",
        ] {
            assert!(of(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_choice_is_a_number_or_text_in_json() {
        for (json, text) in
            [("7", "v7"), ("\"v7\"", "v7"), ("\"final\"", "final"), ("\"2026-03-01\"", "2026-03-01T00:00:00Z")]
        {
            let choice: VersionChoice = serde_json::from_str(json).expect(json);
            assert_eq!(choice.to_string(), text);
            let again = serde_json::to_string(&choice).expect("plain data");
            assert_eq!(serde_json::from_str::<VersionChoice>(&again).expect("own text"), choice);
        }
        assert_eq!(serde_json::to_string(&VersionChoice::from(VersionNumber(7))).expect("plain data"), "7");
        assert!(serde_json::from_str::<VersionChoice>("0").is_err());
    }
}
