//! One column that a mapping makes: its text out of the source's columns, then its type.

use super::SourceColumns;
use super::cast::Reader;
use crate::findings::{Findings, example};
use crate::layer::Declared;
use crate::types::Zone;
use crate::types::expected::as_text;
use arrow_array::builder::StringBuilder;
use arrow_array::{Array, ArrayRef, RecordBatch, StringArray};
use arrow_schema::DataType;
use std::borrow::Cow;
use std::collections::HashMap;
use ukimet_model::error::quoted;
use ukimet_model::mapping::{Cast, ColumnSource, MappedColumn, Misfit};
use ukimet_model::{Error, Result, Severity};

/// Makes one column.
pub(super) struct Maker {
    name: String,
    recipe: Recipe,
    reader: Reader,
    misfit: Misfit,
}

/// How the text comes about; columns by their number in the source.
enum Recipe {
    Copy(usize),
    Constant(String),
    Split { from: usize, separator: String, part: usize },
    Concat { from: Vec<usize>, separator: String },
    Lookup { from: usize, values: HashMap<String, Option<String>> },
}

/// A text that was made, or why there is none.
enum Text<'a> {
    There(Cow<'a, str>),
    Null,
    Unknown(Cow<'a, str>),
}

impl Maker {
    pub(super) fn new(column: &MappedColumn, source: &SourceColumns<'_>, declared: &Declared) -> Result<Self> {
        let recipe = match &column.source {
            ColumnSource::Column(from) => Recipe::Copy(source.raw(from)?),
            ColumnSource::Constant(text) => Recipe::Constant(text.clone()),
            ColumnSource::Split { from, separator, part } => {
                Recipe::Split { from: source.raw(from)?, separator: separator.clone(), part: *part }
            }
            ColumnSource::Concat { from, separator } => {
                let from = from.iter().map(|from| source.raw(from)).collect::<Result<_>>()?;
                Recipe::Concat { from, separator: separator.clone() }
            }
            ColumnSource::Lookup { from, dataset, key, value } => {
                let table = declared.references.get(&dataset.to_string()).ok_or_else(|| {
                    Error::invalid_request(format!("values are looked up in {dataset}, which was not given"))
                })?;
                Recipe::Lookup { from: source.raw(from)?, values: table_of(table, key, value)? }
            }
        };
        let zone = declared.time_zone.as_deref().map(Zone::declared).transpose()?;
        let reader = Reader::new(column.cast.as_ref().unwrap_or(&Cast::Text), zone.as_ref());
        Ok(Self { name: column.name.clone(), recipe, reader, misfit: column.misfit })
    }

    /// The published type.
    pub(super) fn data_type(&self) -> DataType {
        self.reader.data_type()
    }

    /// The column for one batch; rows that misfit are marked in `refused`, which is empty as long as there are none.
    pub(super) fn apply(
        &self,
        decoded: &[ArrayRef],
        row_first: u64,
        refused: &mut Vec<bool>,
        findings: &mut Findings,
    ) -> Result<ArrayRef> {
        let rows = decoded.first().map_or(0, Array::len);
        let inputs = self.inputs().into_iter().map(|at| as_text(&decoded[at])).collect::<Result<Vec<_>>>()?;
        let mut made = StringBuilder::new();
        for i in 0..rows {
            match self.text(&inputs, i) {
                Text::There(text) if self.reader.fits(&text) => made.append_value(text),
                Text::Null => made.append_null(),
                Text::There(found) | Text::Unknown(found) => {
                    self.report(&found, row_first + i as u64, findings);
                    made.append_null();
                    if self.misfit == Misfit::Refuse {
                        refused.resize(rows, false);
                        refused[i] = true;
                    }
                }
            }
        }
        self.reader.read(&made.finish(), &self.name, row_first, findings)
    }

    /// The source columns that it is made of, by their numbers.
    pub(super) fn inputs(&self) -> Vec<usize> {
        match &self.recipe {
            Recipe::Copy(from) | Recipe::Split { from, .. } | Recipe::Lookup { from, .. } => vec![*from],
            Recipe::Concat { from, .. } => from.clone(),
            Recipe::Constant(_) => Vec::new(),
        }
    }

    fn text<'a>(&'a self, inputs: &'a [StringArray], i: usize) -> Text<'a> {
        let input = |at: usize| inputs.get(at).filter(|column| column.is_valid(i)).map(|column| column.value(i));
        let there = |text: Option<&'a str>| text.map_or(Text::Null, |text| Text::There(text.into()));
        match &self.recipe {
            Recipe::Copy(_) => there(input(0)),
            Recipe::Constant(text) => Text::There(text.into()),
            Recipe::Split { separator, part, .. } => {
                let nth = |text: &'a str| text.split(separator.as_str()).nth(part - 1).map(str::trim);
                there(input(0).and_then(nth))
            }
            Recipe::Concat { from, separator } => {
                let parts: Vec<&str> = (0..from.len()).filter_map(input).filter(|text| !text.is_empty()).collect();
                if parts.is_empty() { Text::Null } else { Text::There(parts.join(separator).into()) }
            }
            Recipe::Lookup { values, .. } => match input(0).filter(|key| !key.is_empty()) {
                None => Text::Null,
                Some(key) => match values.get(key) {
                    Some(Some(value)) => Text::There(value.into()),
                    Some(None) => Text::Null,
                    None => Text::Unknown(key.into()),
                },
            },
        }
    }

    fn report(&self, found: &str, row: u64, findings: &mut Findings) {
        let is_key = matches!(self.recipe, Recipe::Lookup { .. }) && self.reader.is_text();
        let (severity, end) = match self.misfit {
            Misfit::Refuse => (Severity::Error, "the rows were refused"),
            Misfit::Null => (Severity::Warning, "the values are null, as the mapping says"),
        };
        // A rule of its own for each, for a mapping may say the one of one column and the other of another.
        let rule = match (is_key, self.misfit) {
            (true, Misfit::Refuse) => "mapping.unknown_key",
            (true, Misfit::Null) => "mapping.unknown_key_null",
            (false, Misfit::Refuse) => "mapping.misfit",
            (false, Misfit::Null) => "mapping.misfit_null",
        };
        let examples = [example(Some(row), Some(&self.name), found, None)];
        if is_key {
            let message = format!("keys are not in the dataset that the mapping looks them up in; {end}");
            findings.add(rule, severity, message, 1, examples);
        } else {
            let message =
                format!("values do not fit the type that the mapping gives them ({}); {end}", self.reader.name());
            findings.add(rule, severity, message, 1, examples);
        }
    }
}

/// Keys and values of a reference table.
fn table_of(table: &RecordBatch, key: &str, value: &str) -> Result<HashMap<String, Option<String>>> {
    let column = |name: &str| {
        let column = table.column_by_name(name);
        let column = column
            .ok_or_else(|| Error::invalid_request(format!("the looked-up dataset has no column {}", quoted(name))));
        column.and_then(as_text)
    };
    let (keys, values) = (column(key)?, column(value)?);
    let mut table = HashMap::with_capacity(keys.len());
    for (key, value) in keys.iter().zip(values.iter()) {
        let (Some(key), value) = (key, value.map(str::to_owned)) else { continue };
        match table.insert(key.to_owned(), value.clone()) {
            Some(before) if before != value => {
                return Err(Error::invalid_data(format!(
                    "key {} stands twice in the looked-up dataset, with {} and {}",
                    quoted(key),
                    quoted(before.as_deref().unwrap_or_default()),
                    quoted(value.as_deref().unwrap_or_default())
                )));
            }
            _ => (),
        }
    }
    Ok(table)
}
