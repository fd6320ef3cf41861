//! The mapping file as it is written, and what makes it a mapping.

use super::{Cast, ColumnSource, DateOrder, MappedColumn, Mapping, Misfit, Unmapped, check_name};
use crate::error::{Error, Result, quoted};
use crate::id::DatasetId;
use serde::Deserialize;
use std::collections::HashSet;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    profile: Option<String>,
    crs: Option<String>,
    encoding: Option<String>,
    region: Option<String>,
    time_zone: Option<String>,
    valid_on: Option<String>,
    #[serde(default)]
    unmapped: Unmapped,
    #[serde(default)]
    drop: Vec<String>,
    #[serde(default, rename = "column")]
    columns: Vec<Column>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Column {
    name: String,
    from: Option<String>,
    constant: Option<String>,
    split: Option<Split>,
    concat: Option<Vec<String>>,
    separator: Option<String>,
    lookup: Option<Lookup>,
    cast: Option<String>,
    notation: Option<String>,
    #[serde(default, rename = "true")]
    yes: Vec<String>,
    #[serde(default, rename = "false")]
    no: Vec<String>,
    #[serde(default)]
    misfit: Misfit,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Split {
    separator: String,
    part: usize,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Lookup {
    dataset: String,
    key: String,
    value: String,
}

pub(super) fn parse(text: &str) -> Result<Mapping> {
    if text.len() > Mapping::BYTES_MAX {
        return Err(Error::limit_reached(format!(
            "a mapping has at most {} bytes, found {}",
            Mapping::BYTES_MAX,
            text.len()
        )));
    }
    let file: File = toml::from_str(text).map_err(|error| {
        let place = error.span().map_or_else(String::new, |span| place(text, span.start));
        Error::invalid_request(format!("the mapping is not right{place}: {}", error.message().replace('\n', ", ")))
    })?;
    if file.columns.len() > Mapping::COLUMNS_MAX {
        return Err(Error::limit_reached(format!(
            "a mapping makes at most {} columns, found {}",
            Mapping::COLUMNS_MAX,
            file.columns.len()
        )));
    }
    let mut names = HashSet::new();
    let columns = file.columns.into_iter().map(|column| {
        let name = column.name.clone();
        let column =
            column.checked().map_err(|error| error.context(format_args!("mapping of column {}", quoted(&name))))?;
        if names.insert(name.clone()) {
            return Ok(column);
        }
        Err(Error::invalid_request(format!("the mapping makes column {} twice", quoted(&name))))
    });
    Ok(Mapping {
        columns: columns.collect::<Result<_>>()?,
        profile: file.profile,
        crs: file.crs,
        encoding: file.encoding,
        region: file.region,
        time_zone: file.time_zone,
        valid_on: file.valid_on.as_deref().map(day).transpose()?,
        unmapped: file.unmapped,
        drop: file.drop,
    })
}

fn day(text: &str) -> Result<jiff::civil::Date> {
    text.parse().map_err(|_| {
        Error::invalid_request(format!(
            "valid_on of the mapping is a day such as \"2022-06-08\", found {}",
            quoted(text)
        ))
    })
}

/// Line and column of a byte, from 1.
fn place(text: &str, at: usize) -> String {
    let before = text.get(..at).unwrap_or(text);
    let line = before.matches('\n').count() + 1;
    let column = before.rsplit('\n').next().unwrap_or_default().chars().count() + 1;
    format!(" at line {line}, column {column}")
}

impl Column {
    fn checked(self) -> Result<MappedColumn> {
        check_name(&self.name)?;
        let cast = self.cast()?;
        let (name, misfit) = (self.name.clone(), self.misfit);
        Ok(MappedColumn { name, source: self.source()?, cast, misfit })
    }

    fn source(self) -> Result<ColumnSource> {
        let Self { from, constant, split, concat, separator, lookup, .. } = self;
        if separator.is_some() && concat.is_none() {
            return Err(Error::invalid_request(
                "separator goes with concat; a split has its own: split = { separator, part }",
            ));
        }
        match (from, constant, concat, split, lookup) {
            (Some(from), None, None, None, None) => Ok(ColumnSource::Column(from)),
            (Some(from), None, None, Some(split), None) => split_source(from, split),
            (Some(from), None, None, None, Some(lookup)) => lookup.source(from),
            (None, Some(text), None, None, None) => Ok(ColumnSource::Constant(text)),
            (None, None, Some(from), None, None) if from.len() > 1 => {
                Ok(ColumnSource::Concat { from, separator: separator.unwrap_or_else(|| " ".to_owned()) })
            }
            _ => Err(Error::invalid_request(
                "expected one of: from, from with split, from with lookup, constant, or concat of two columns and more",
            )),
        }
    }

    fn cast(&self) -> Result<Option<Cast>> {
        let Some(cast) = self.cast.as_deref() else {
            let extra = self.notation.is_some() || !self.yes.is_empty() || !self.no.is_empty();
            return if extra {
                Err(Error::invalid_request("notation, true and false go with a cast"))
            } else {
                Ok(None)
            };
        };
        let notation = self.notation.as_deref();
        if (!self.yes.is_empty() || !self.no.is_empty()) && cast != "boolean" {
            return Err(Error::invalid_request("true and false go with cast = \"boolean\""));
        }
        Ok(Some(match (cast, notation) {
            ("text", None) => Cast::Text,
            ("integer", None) => Cast::Integer,
            ("decimal", None | Some(".")) => Cast::Decimal { comma: false },
            ("decimal", Some(",")) => Cast::Decimal { comma: true },
            ("date", None | Some("YYYY-MM-DD")) => Cast::Date(DateOrder::Iso),
            ("date", Some("DD.MM.YYYY")) => Cast::Date(DateOrder::Dotted),
            ("date", Some("DD/MM/YYYY")) => Cast::Date(DateOrder::Slashed),
            ("timestamp", None | Some("local")) => Cast::Timestamp { zoned: false },
            ("timestamp", Some("zoned")) => Cast::Timestamp { zoned: true },
            ("boolean", None) => self.boolean()?,
            _ => return Err(unknown_cast(cast, notation)),
        }))
    }

    fn boolean(&self) -> Result<Cast> {
        let or = |texts: &[String], word: &str| if texts.is_empty() { vec![word.to_owned()] } else { texts.to_vec() };
        let (yes, no) = (or(&self.yes, "true"), or(&self.no, "false"));
        match yes.iter().find(|text| no.contains(text)) {
            Some(both) => Err(Error::invalid_request(format!("{} cannot mean both true and false", quoted(both)))),
            None => Ok(Cast::Boolean { yes, no }),
        }
    }
}

fn split_source(from: String, split: Split) -> Result<ColumnSource> {
    if split.separator.is_empty() || split.part == 0 {
        return Err(Error::invalid_request("a split has a separator that is not empty, and a part counted from 1"));
    }
    Ok(ColumnSource::Split { from, separator: split.separator, part: split.part })
}

impl Lookup {
    fn source(self, from: String) -> Result<ColumnSource> {
        let dataset: DatasetId = self.dataset.parse()?;
        Ok(ColumnSource::Lookup { from, dataset, key: self.key, value: self.value })
    }
}

fn unknown_cast(cast: &str, notation: Option<&str>) -> Error {
    let found = notation
        .map_or_else(|| quoted(cast), |notation| format!("{} with notation {}", quoted(cast), quoted(notation)));
    Error::invalid_request(format!(
        "a cast is text, integer, decimal (notation \".\" or \",\"), boolean, date (YYYY-MM-DD, DD.MM.YYYY or \
         DD/MM/YYYY) or timestamp (local or zoned), found {found}"
    ))
}
