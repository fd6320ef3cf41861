//! The form that a difference is asked in: a table for people, or a file.

use crate::diff::DiffFormat;
use clap::ValueEnum;
use std::path::Path;
use ukimet_model::{Error, Result};

/// A table for people, or a file.
#[derive(Clone, Copy, Debug, PartialEq, ValueEnum)]
pub(in crate::cli) enum Form {
    /// Lines for people.
    Table,
    /// `GeoJSON`.
    Json,
    /// `GeoJSON`, a feature a line.
    Ndjson,
    /// Arrow IPC.
    Arrow,
    /// `GeoParquet`.
    Parquet,
    /// Comma-separated values, geometries as WKT.
    Csv,
    /// One page with a map and a table.
    Html,
}

impl Form {
    /// The format of a file; `None` for the table.
    pub(in crate::cli) fn of_file(self) -> Option<DiffFormat> {
        Some(match self {
            Self::Table => return None,
            Self::Json => DiffFormat::Json,
            Self::Ndjson => DiffFormat::Ndjson,
            Self::Arrow => DiffFormat::Arrow,
            Self::Parquet => DiffFormat::Parquet,
            Self::Csv => DiffFormat::Csv,
            Self::Html => DiffFormat::Html,
        })
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
            (Some(form @ (Self::Arrow | Self::Parquet)), None) => {
                Err(Error::invalid_request(format!("{form:?} is no text: name a file with -o").to_lowercase()))
            }
            (form, _) => Ok(form.unwrap_or(Self::Table)),
        }
    }
}
