//! Profiles: the columns that datasets of one kind share, so that a school has the same columns in twenty cities.
//!
//! A mapping names the profile that its columns must fit. Columns beyond the profile are welcome.

use crate::error::{Error, Result, quoted};
use arrow_schema::{DataType, Schema, TimeUnit};
use serde::Deserialize;
use std::collections::BTreeMap;
use std::sync::LazyLock;

/// The columns that datasets of one kind share.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Profile {
    /// Its name, e.g. `school`.
    pub name: String,
    /// What it is about, by language (`kk`, `ru`, `en`).
    pub title: BTreeMap<String, String>,
    /// What the places of its rows are as a rule. Datasets without places fit too.
    pub geometry: ProfileGeometry,
    /// Its columns, in the order in which a mapping suggests them.
    #[serde(rename = "column")]
    pub columns: Vec<ProfileColumn>,
}

/// What the places of a profile's rows are as a rule.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ProfileGeometry {
    /// Points.
    Point,
    /// Lines.
    Line,
    /// Areas.
    Polygon,
}

/// One column of a profile.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ProfileColumn {
    /// Its published name.
    pub name: String,
    /// Its type.
    #[serde(rename = "type")]
    pub kind: ProfileType,
    /// Whether a dataset without it does not fit.
    #[serde(default)]
    pub required: bool,
    /// The kind of code that its texts are, e.g. `kato`.
    pub role: Option<String>,
    /// The unit of its numbers.
    pub unit: Option<String>,
    /// What it means, by language (`kk`, `ru`, `en`).
    pub title: BTreeMap<String, String>,
    /// How sources call it: lower case, words parted by one space.
    pub known_as: Vec<String>,
}

/// The type of a profile's column, in the words of a mapping's casts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ProfileType {
    /// Text.
    Text,
    /// Whole numbers.
    Integer,
    /// Numbers.
    Decimal,
    /// Truth values.
    Boolean,
    /// Days.
    Date,
    /// Date and time.
    Timestamp,
}

impl ProfileType {
    /// The type in the words of a mapping's casts.
    pub fn cast(self) -> &'static str {
        match self {
            Self::Text => "text",
            Self::Integer => "integer",
            Self::Decimal => "decimal",
            Self::Boolean => "boolean",
            Self::Date => "date",
            Self::Timestamp => "timestamp",
        }
    }

    /// Whether a published column of this type serves: whole numbers are numbers, days are no times.
    pub fn accepts(self, data_type: &DataType) -> bool {
        match self {
            Self::Text => data_type == &DataType::Utf8,
            Self::Integer => data_type.is_integer(),
            Self::Decimal => data_type.is_numeric(),
            Self::Boolean => data_type == &DataType::Boolean,
            Self::Date => data_type == &DataType::Date32,
            Self::Timestamp => matches!(data_type, DataType::Timestamp(TimeUnit::Microsecond, _)),
        }
    }
}

/// Every profile there is.
static PROFILES: LazyLock<Vec<Profile>> = LazyLock::new(|| {
    let files = [
        include_str!("../profiles/address.toml"),
        include_str!("../profiles/building.toml"),
        include_str!("../profiles/parcel.toml"),
        include_str!("../profiles/school.toml"),
        include_str!("../profiles/health_facility.toml"),
        include_str!("../profiles/citizen_request.toml"),
        include_str!("../profiles/transport_stop.toml"),
        include_str!("../profiles/road_segment.toml"),
        include_str!("../profiles/sensor_reading.toml"),
        include_str!("../profiles/accessibility_passport.toml"),
        include_str!("../profiles/administrative_unit.toml"),
    ];
    files.map(|file| toml::from_str(file).expect("profiles are part of the program and tested")).to_vec()
});

impl Profile {
    /// Every profile, in a fixed order.
    pub fn all() -> &'static [Self] {
        &PROFILES
    }

    /// The profile of this name.
    ///
    /// # Errors
    ///
    /// `InvalidRequest` listing the profiles there are.
    pub fn named(name: &str) -> Result<&'static Self> {
        Self::all().iter().find(|profile| profile.name == name).ok_or_else(|| {
            let names: Vec<&str> = Self::all().iter().map(|profile| profile.name.as_str()).collect();
            Error::invalid_request(format!("there is no profile {}, only {}", quoted(name), names.join(", ")))
        })
    }

    /// Checks that published columns fit: every required one is there, and each has its type.
    ///
    /// # Errors
    ///
    /// `InvalidRequest` listing everything that does not fit.
    pub fn check(&self, schema: &Schema) -> Result<()> {
        let wrong: Vec<String> = self.columns.iter().filter_map(|column| column.misfit(schema)).collect();
        if wrong.is_empty() {
            return Ok(());
        }
        Err(Error::invalid_request(format!("the columns do not fit profile {}: {}", self.name, wrong.join("; "))))
    }

    /// The column that a source's name stands for, if the profile knows it.
    pub fn column_known_as(&self, source_name: &str) -> Option<&ProfileColumn> {
        let name = folded(source_name);
        let same = |column: &&ProfileColumn| folded(&column.name) == name;
        let known = |column: &&ProfileColumn| column.known_as.contains(&name);
        let mut columns = self.columns.iter();
        columns.find(same).or_else(|| self.columns.iter().find(known))
    }
}

impl ProfileColumn {
    fn misfit(&self, schema: &Schema) -> Option<String> {
        match schema.field_with_name(&self.name) {
            Err(_) if self.required => Some(format!("{} is missing", self.name)),
            Ok(field) if !self.kind.accepts(field.data_type()) => {
                Some(format!("{} is {}, expected {}", self.name, field.data_type(), self.kind.cast()))
            }
            _ => None,
        }
    }
}

/// A name for comparison: lower case, words parted by one space, what stands in parentheses or after a comma left out.
fn folded(name: &str) -> String {
    let plain = name.split(['(', ',']).next().unwrap_or(name);
    let words = plain.split(|c: char| !c.is_alphanumeric()).filter(|word| !word.is_empty());
    words.collect::<Vec<_>>().join(" ").to_lowercase()
}

#[cfg(test)]
mod tests {
    use super::*;
    use arrow_schema::Field;

    #[test]
    fn every_profile_is_whole_in_three_languages_and_knows_each_word_once() {
        assert_eq!(Profile::all().len(), 11);
        for profile in Profile::all() {
            let mut words = Vec::new();
            for column in &profile.columns {
                for language in ["kk", "ru", "en"] {
                    assert!(column.title.contains_key(language), "{} {} {language}", profile.name, column.name);
                }
                for word in &column.known_as {
                    assert_eq!(&folded(word), word, "{} {}", profile.name, column.name);
                    assert!(!words.contains(word), "{} knows {word} twice", profile.name);
                    words.push(word.clone());
                }
            }
            assert_eq!(profile.title.len(), 3, "{}", profile.name);
        }
    }

    #[test]
    fn a_source_name_is_known_in_any_case_and_with_its_unit() {
        let parcel = Profile::named("parcel").expect("there");
        let known = |name: &str| parcel.column_known_as(name).map(|column| column.name.as_str());
        assert_eq!(known("Площадь, га"), Some("area_ha"));
        assert_eq!(known("КАДАСТРОВЫЙ_НОМЕР"), Some("cadastral_number"));
        assert_eq!(known("Код  КАТО (9 знаков)"), Some("kato"));
        assert_eq!(known("Собака"), None);
        assert!(Profile::named("dog").expect_err("none").to_string().contains("parcel"));
    }

    #[test]
    fn a_schema_that_does_not_fit_is_told_column_by_column() {
        let school = Profile::named("school").expect("there");
        let schema = |fields: &[(&str, DataType)]| {
            Schema::new(fields.iter().map(|(name, t)| Field::new(*name, t.clone(), true)).collect::<Vec<_>>())
        };
        let fits = schema(&[("name_ru", DataType::Utf8), ("pupils", DataType::Int64), ("dogs", DataType::Int8)]);
        school.check(&fits).expect("fits");
        let error = school.check(&schema(&[("pupils", DataType::Utf8)])).expect_err("two faults").to_string();
        assert!(error.contains("name_ru is missing") && error.contains("pupils is Utf8, expected integer"), "{error}");
    }
}
