//! Ids, a newtype each.

use crate::error::{Error, Result, quoted};
use serde::{Deserialize, Serialize};
use std::fmt;
use std::str::FromStr;

/// The identity of a dataset: `agency/name`, each part in `[a-z0-9-]`.
///
/// A part has 1 to 64 characters and neither begins nor ends with a hyphen.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct DatasetId(String);

const PART_MAX: usize = 64;

impl DatasetId {
    /// The agency that publishes the dataset.
    pub fn agency(&self) -> &str {
        self.0.split_once('/').expect("a dataset id has a slash, checked when it was made").0
    }

    /// The dataset's name within its agency.
    pub fn name(&self) -> &str {
        self.0.split_once('/').expect("a dataset id has a slash, checked when it was made").1
    }

    /// The whole id.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The id for one layer of a file that is published under this id: `agency/name-<layer>`.
    ///
    /// Letters outside `[a-z0-9]` are transliterated or turned into hyphens; a layer name of which
    /// nothing is left becomes `layer-<number>`. What does not fit into a name of 64 characters is cut,
    /// the dataset's own name included if it leaves no room, and ends with `-<number>`: so the ids of the
    /// layers of one file stay apart if `number` differs, `1` for the first layer.
    pub fn for_layer(&self, layer: &str, number: usize) -> Result<Self> {
        let mut slug = slug(layer);
        if slug.is_empty() {
            slug = format!("layer-{number}");
        }
        let mut name = format!("{}-{slug}", self.name());
        if name.len() > PART_MAX {
            let ending = format!("-{number}");
            name.truncate(PART_MAX - ending.len());
            name.truncate(name.trim_end_matches('-').len());
            name += &ending;
        }
        format!("{}/{name}", self.agency()).parse()
    }
}

/// Turns any text into `[a-z0-9-]`: Cyrillic transliterated, the rest to hyphens, none doubled.
pub fn slug(text: &str) -> String {
    ascii_words(text, '-')
}

/// Turns any text into lower-case ASCII words joined by `separator`, Cyrillic transliterated.
///
/// Letters without a counterpart are left out; everything else is a border between words.
pub fn ascii_words(text: &str, separator: char) -> String {
    let mut words = String::with_capacity(text.len());
    for letter in text.chars().flat_map(char::to_lowercase) {
        if letter.is_ascii_alphanumeric() {
            words.push(letter);
        } else if let Some(latin) = latin(letter) {
            words.push_str(latin);
        } else if !words.is_empty() && !words.ends_with(separator) {
            words.push(separator);
        }
    }
    words.truncate(words.trim_end_matches(separator).len());
    words
}

/// The Latin letters for one lower-case Cyrillic letter, Russian or Kazakh.
fn latin(letter: char) -> Option<&'static str> {
    Some(match letter {
        'а' | 'ә' => "a",
        'б' => "b",
        'в' => "v",
        'г' | 'ғ' => "g",
        'д' => "d",
        'е' | 'ё' | 'э' => "e",
        'ж' => "zh",
        'з' => "z",
        'и' | 'і' | 'й' => "i",
        'к' | 'қ' => "k",
        'л' => "l",
        'м' => "m",
        'н' => "n",
        'ң' => "ng",
        'о' | 'ө' => "o",
        'п' => "p",
        'р' => "r",
        'с' => "s",
        'т' => "t",
        'у' | 'ұ' | 'ү' => "u",
        'ф' => "f",
        'х' | 'һ' => "h",
        'ц' => "ts",
        'ч' => "ch",
        'ш' => "sh",
        'щ' => "shch",
        'ъ' | 'ь' => "",
        'ы' => "y",
        'ю' => "yu",
        'я' => "ya",
        _ => return None,
    })
}

impl FromStr for DatasetId {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let part_is_valid = |part: &str| {
            (1..=PART_MAX).contains(&part.len())
                && part.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
                && !part.starts_with('-')
                && !part.ends_with('-')
        };
        match text.split_once('/') {
            Some((agency, name)) if part_is_valid(agency) && part_is_valid(name) => Ok(Self(text.to_owned())),
            _ => Err(Error::invalid_request(format!(
                "a dataset id is agency/name, each part 1 to {PART_MAX} of a-z, 0-9 and inner hyphens (almaty/schools), found {}",
                quoted(text)
            ))),
        }
    }
}

impl TryFrom<String> for DatasetId {
    type Error = Error;

    fn try_from(text: String) -> Result<Self> {
        text.parse()
    }
}

impl From<DatasetId> for String {
    fn from(id: DatasetId) -> Self {
        id.0
    }
}

impl fmt::Display for DatasetId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for DatasetId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A dataset's folder name in the store: 32 hex digits, random.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct DatasetUuid(String);

impl DatasetUuid {
    /// From 128 random bits.
    pub fn from_random(bits: u128) -> Self {
        Self(format!("{bits:032x}"))
    }
}

impl TryFrom<String> for DatasetUuid {
    type Error = Error;

    fn try_from(text: String) -> Result<Self> {
        if text.len() == 32 && text.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f')) {
            return Ok(Self(text));
        }
        Err(Error::invalid_data(format!("a dataset uuid is 32 hex digits, found {}", quoted(&text))))
    }
}

impl From<DatasetUuid> for String {
    fn from(uuid: DatasetUuid) -> Self {
        uuid.0
    }
}

impl fmt::Display for DatasetUuid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// What a client names one push by, so that a repeated push changes nothing.
///
/// 1 to 128 printable ASCII characters without space, unique within an agency.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct PushId(String);

impl PushId {
    /// The id as the client chose it.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for PushId {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        if (1..=128).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_graphic()) {
            return Ok(Self(text.to_owned()));
        }
        Err(Error::invalid_request(format!(
            "push_id is 1 to 128 printable ASCII characters without space, found {} bytes: {}",
            text.len(),
            quoted(text)
        )))
    }
}

impl TryFrom<String> for PushId {
    type Error = Error;

    fn try_from(text: String) -> Result<Self> {
        text.parse()
    }
}

impl From<PushId> for String {
    fn from(id: PushId) -> Self {
        id.0
    }
}

impl fmt::Display for PushId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The published number of a dataset's version: 1, 2, 3 … without gaps.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct VersionNumber(pub u64);

impl fmt::Display for VersionNumber {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "v{}", self.0)
    }
}

impl FromStr for VersionNumber {
    type Err = Error;

    /// Reads `v7` or `7`.
    fn from_str(text: &str) -> Result<Self> {
        match text.strip_prefix('v').unwrap_or(text).parse() {
            Ok(number) if number > 0 => Ok(Self(number)),
            _ => Err(Error::invalid_request(format!("a version is v1, v2, …, found {}", quoted(text)))),
        }
    }
}

/// The number of a run of versions that keep what their readers rely on: 1, 2, 3 … without gaps. Versions from before
/// majors were counted are of the first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct MajorNumber(pub u64);

impl MajorNumber {
    /// The major of a dataset's first version.
    pub const FIRST: Self = Self(1);

    /// The one after it.
    #[must_use]
    pub fn next(self) -> Self {
        Self(self.0 + 1)
    }

    /// Whether it is the first.
    pub fn is_first(&self) -> bool {
        *self == Self::FIRST
    }
}

impl Default for MajorNumber {
    fn default() -> Self {
        Self::FIRST
    }
}

impl fmt::Display for MajorNumber {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// The number of a commit, and so of the state of the whole catalog after it. 0 is the empty catalog.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct SnapshotId(pub u64);

impl fmt::Display for SnapshotId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_dataset_id_is_two_plain_words() {
        for valid in ["almaty/schools", "kz-stat/kato-2025", "a/b"] {
            assert_eq!(valid.parse::<DatasetId>().expect("valid").to_string(), valid);
        }
        let long = format!("a/{}", "b".repeat(65));
        for invalid in [
            "",
            "a",
            "a/",
            "/a",
            "../x",
            "a/b/c",
            "A/b",
            "a/b ",
            "a/%2e%2e",
            "a/b\0",
            "a/-b",
            "а/b",
            "a/\u{202e}b",
            long.as_str(),
        ] {
            let error = invalid.parse::<DatasetId>().expect_err(invalid);
            assert_eq!(error.kind(), crate::ErrorKind::InvalidRequest);
            assert!(error.message().contains("agency/name"), "{error}");
        }
    }

    #[test]
    fn a_layer_gets_an_id_of_its_own() {
        let id: DatasetId = "osm/kz".parse().expect("valid");
        let of = |layer: &str| id.for_layer(layer, 3).expect("valid").to_string();
        assert_eq!(of("Астана: малы"), "osm/kz-astana-maly");
        assert_eq!(of("Қарағанды"), "osm/kz-karagandy");
        assert_eq!(of("서울"), "osm/kz-layer-3");
    }

    #[test]
    fn long_layer_names_are_cut_and_stay_apart() {
        let of = |name: &str, layer: &str, number: usize| {
            let id: DatasetId = format!("osm/{name}").parse().expect("valid");
            id.for_layer(layer, number).expect("valid").name().to_owned()
        };
        let layer = "long ".repeat(50);
        for room in 0..64 {
            let name = "a".repeat(64 - room);
            let (first, second) = (of(&name, &layer, 9), of(&name, &layer, 10));
            assert!(first.ends_with("-9") && second.ends_with("-10"), "{first} {second}");
            assert!(first.len() <= 64 && second.len() <= 64, "{first} {second}");
        }
        assert_eq!(of(&"a".repeat(58), "roads", 3), format!("{}-roads", "a".repeat(58)));
        assert_eq!(of(&"a".repeat(59), "roads", 3), format!("{}-ro-3", "a".repeat(59)));
        assert_eq!(of(&"a".repeat(64), "roads", 3), format!("{}-3", "a".repeat(62)));
    }

    #[test]
    fn a_push_id_is_printable_and_short() {
        assert!("2026-11-22T10:00/schools#1".parse::<PushId>().is_ok());
        for invalid in ["", "a b", "a\n", "ключ", &"x".repeat(129)] {
            assert!(invalid.parse::<PushId>().is_err(), "{invalid}");
        }
    }

    #[test]
    fn a_version_is_counted_from_one() {
        assert_eq!("v7".parse::<VersionNumber>().expect("valid"), VersionNumber(7));
        assert!("v0".parse::<VersionNumber>().is_err());
        assert!("seven".parse::<VersionNumber>().is_err());
    }
}
