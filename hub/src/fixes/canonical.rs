//! Corrected rows beside what was refused: every cell is the corrected one, or the one that was there.

use super::Base;
use super::order::{Cells, column_order, row_number};
use super::sheet::Sheet;
use crate::report::{each_quarantined, geometry_column, is_too_long_mark, quarantine_columns};
use arrow_array::{ArrayRef, RecordBatch, StringArray};
use arrow_ipc::writer::StreamWriter;
use arrow_schema::{DataType, Field, Schema};
use std::collections::{BTreeMap, HashSet};
use std::fs::File;
use std::io::BufWriter;
use std::path::Path;
use std::sync::Arc;
use ukimet_model::batch::{attribute_field, geometry_field, is_geometry};
use ukimet_model::error::quoted;
use ukimet_model::{Error, LayerReport, Result, Verdict};
use ukimet_proto::ipc;

/// Rows that an adapter reads in one batch at most.
const BATCH_ROWS: usize = 4096;

/// The corrected rows in the order of the push that refused them.
pub(super) struct Corrected {
    /// By the number that the row had in that push.
    pub(super) rows: BTreeMap<u64, Cells>,
    /// The columns of the source: unique names, and the source's own.
    pub(super) columns: Vec<String>,
    pub(super) source_columns: Vec<String>,
    /// What was said when the sheet was read, with the rows' own numbers.
    pub(super) verdicts: Vec<Verdict>,
    pub(super) report: LayerReport,
    schema: Schema,
    /// The column of geometries, and the name under which places are found.
    geometry: Option<(usize, String)>,
}

impl Corrected {
    pub(super) fn of(base: &Base, sheet: Sheet) -> Result<Self> {
        let (columns, source_columns) = quarantine_columns(&base.snapshot, &base.quarantine)?;
        let Sheet { names, rows, rows_skipped, verdicts, report } = sheet;
        let numbers = rows.iter().map(|row| row_number(&names, row)).collect::<Result<Vec<_>>>()?;
        let order = column_order(&columns, &names, &rows)?;
        let mut corrected: BTreeMap<u64, Cells> = BTreeMap::new();
        for (row, number) in rows.into_iter().zip(&numbers) {
            let Some(number) = *number else { continue };
            let cells = order.iter().map(|at| row[*at].clone()).collect();
            if corrected.insert(number, cells).is_some() {
                return Err(Error::invalid_data(format!("row {} is in the sheet twice", number + 1)));
            }
        }
        if corrected.is_empty() {
            return Err(Error::invalid_data("the sheet has no rows"));
        }
        let own_number = |verdict: Verdict| match verdict.row {
            None => Some(verdict),
            Some(row) => {
                let at = usize::try_from(row.checked_sub(rows_skipped)?).ok()?;
                Some(Verdict { row: Some(numbers.get(at).copied().flatten()?), ..verdict })
            }
        };
        let verdicts = verdicts.into_iter().filter_map(own_number).collect();
        restore(base, &mut corrected)?;
        let geometry = geometry_column(&base.first, &source_columns);
        let geometry = geometry.map(|at| (at, free_name(&columns, at)));
        let schema = expected(base, &columns, &source_columns)?;
        Ok(Self { rows: corrected, columns, source_columns, verdicts, report, schema, geometry })
    }

    pub(super) fn row_numbers(&self) -> impl Iterator<Item = u64> + '_ {
        self.rows.keys().copied()
    }

    /// The position of the column that is the geometry.
    pub(super) fn geometry_column(&self) -> Option<u32> {
        self.geometry.as_ref().and_then(|(at, _)| u32::try_from(*at).ok())
    }

    pub(super) fn expected_schema(&self) -> Result<bytes::Bytes> {
        ipc::encode_schema(&self.schema)
    }

    /// Writes the rows as a stream of Arrow batches, every column as text.
    pub(super) fn write(&self, path: &Path) -> Result<()> {
        let failed = |e| Error::unavailable("keeping corrected rows").caused_by(e);
        let unkept = |e: std::io::Error| Error::unavailable("keeping corrected rows").caused_by(e);
        let fields = self.columns.iter().enumerate().map(|(at, name)| {
            let of_places = self.geometry.as_ref().filter(|(geometry, _)| *geometry == at);
            Field::new(of_places.map_or(name, |(_, name)| name), DataType::Utf8, true)
        });
        let schema = Arc::new(Schema::new(fields.collect::<Vec<_>>()));
        let file = BufWriter::new(File::create(path).map_err(unkept)?);
        let mut writer = StreamWriter::try_new(file, &schema).map_err(failed)?;
        let rows: Vec<&Cells> = self.rows.values().collect();
        for rows in rows.chunks(BATCH_ROWS) {
            let column = |at: usize| -> ArrayRef {
                Arc::new(rows.iter().map(|row| row[at].as_deref()).collect::<StringArray>())
            };
            let columns = (0..self.columns.len()).map(column).collect();
            let batch = RecordBatch::try_new(Arc::clone(&schema), columns).map_err(failed)?;
            writer.write(&batch).map_err(failed)?;
        }
        writer.finish().map_err(failed)?;
        writer.into_inner().map_err(failed)?.into_inner().map_err(|e| unkept(e.into_error())).map(drop)
    }
}

/// Gives cells that a sheet cannot hold their value back, and tells empty from missing as the source did.
///
/// # Errors
///
/// `InvalidData` for a row that the push did not refuse.
fn restore(base: &Base, corrected: &mut BTreeMap<u64, Cells>) -> Result<()> {
    let mut known = HashSet::new();
    each_quarantined(&base.snapshot, &base.quarantine, &mut |refused| {
        if let Some(cells) = corrected.get_mut(&refused.row) {
            known.insert(refused.row);
            for (cell, before) in cells.iter_mut().zip(refused.values) {
                let text = cell.as_deref().unwrap_or_default();
                if is_too_long_mark(text) || (text.is_empty() && before.as_deref().is_none_or(str::is_empty)) {
                    *cell = before;
                } else if text.is_empty() {
                    *cell = None;
                }
            }
        }
        Ok(())
    })?;
    match corrected.keys().find(|row| !known.contains(row)) {
        None => Ok(()),
        Some(row) => {
            let push = &base.first.record.push_id;
            Err(Error::invalid_data(format!("row {} was not refused by push {push}", row + 1)))
        }
    }
}

/// A name that the column of geometries is found by.
fn free_name(columns: &[String], at: usize) -> String {
    let is_free = |name: &&str| columns.iter().enumerate().all(|(i, column)| i == at || column != name);
    ["geometry", "the_geom", "geom", "wkt"].iter().find(|name| is_free(name)).map_or("ewkt", |name| name).to_owned()
}

/// The version's schema, each column found by its name among the refused rows'.
fn expected(base: &Base, columns: &[String], source_columns: &[String]) -> Result<Schema> {
    let mut used = HashSet::new();
    let schema = base.snapshot.schema(&base.version)?;
    if base.first.record.declared.mapping.is_some() {
        // The mapping finds its own columns.
        return Ok(Schema::clone(&schema));
    }
    let fields = schema.fields().iter().zip(&base.version.fields).map(|(field, published)| {
        if is_geometry(field) {
            return Ok(Arc::new(geometry_field()));
        }
        let mut candidates = source_columns.iter().enumerate().filter(|(_, name)| **name == published.source_name);
        let at = candidates.find(|(at, _)| used.insert(*at)).map(|(at, _)| at).ok_or_else(|| {
            let (version, name) = (base.version.number, quoted(&published.source_name));
            Error::invalid_request(format!(
                "{version} has a column {name} that the refused rows do not have; push the whole corrected file"
            ))
        })?;
        Ok(attribute_field(&published.name, &columns[at], field.data_type().clone()))
    });
    Ok(Schema::new(fields.collect::<Result<Vec<_>>>()?))
}
