//! The form that a difference is asked in: a table for people, or a file.

use crate::diff::DiffFormat;
use clap::ValueEnum;
use clap::builder::PossibleValue;
use std::path::Path;
use std::sync::LazyLock;
use ukimet_model::{Error, Result};

/// A table for people, or a file.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(in crate::cli) enum Form {
    /// Lines for people.
    Table,
    /// A file of this format.
    File(DiffFormat),
}

impl ValueEnum for Form {
    fn value_variants<'a>() -> &'a [Self] {
        static ALL: LazyLock<Vec<Form>> = LazyLock::new(|| {
            let files = DiffFormat::value_variants().iter().map(|format| Form::File(*format));
            std::iter::once(Form::Table).chain(files).collect()
        });
        &ALL
    }

    fn to_possible_value(&self) -> Option<PossibleValue> {
        match self {
            Self::Table => Some(PossibleValue::new("table").help("Lines for people")),
            Self::File(format) => format.to_possible_value(),
        }
    }
}

impl Form {
    /// The format of a file; `None` for the table.
    pub(in crate::cli) fn of_file(self) -> Option<DiffFormat> {
        match self {
            Self::Table => None,
            Self::File(format) => Some(format),
        }
    }

    /// The form that is asked for, or else that of the file's ending, or a table.
    ///
    /// # Errors
    ///
    /// `InvalidRequest` if the form is no text and there is no file for it, or a table is to be a file.
    pub(in crate::cli) fn choose(asked: Option<Self>, output: Option<&Path>) -> Result<Self> {
        let ending = output.and_then(Path::extension).map(|e| e.to_string_lossy().to_lowercase());
        let known = ending.and_then(|ending| Self::from_str(&ending.replace("geojson", "json"), false).ok());
        match (asked.or(known), output) {
            (Some(Self::Table), Some(_)) => Err(Error::invalid_request(
                "a table is for the screen; write json, ndjson, arrow, parquet, csv or html",
            )),
            (None, Some(path)) => Err(Error::invalid_request(format!(
                "the file's ending says the format: .json, .ndjson, .arrow, .parquet, .csv or .html, found {}",
                path.display()
            ))),
            (Some(Self::File(format @ (DiffFormat::Arrow | DiffFormat::Parquet))), None) => {
                Err(Error::invalid_request(format!("{} is no text: name a file with -o", format.name())))
            }
            (form, _) => Ok(form.unwrap_or(Self::Table)),
        }
    }
}
