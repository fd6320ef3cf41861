//! Corrected rows beside what was refused: every cell is the corrected one, or the one that was there.

use super::Base;
use super::order::{Cells, column_order, row_number};
use super::sheet::Sheet;
use crate::report::{each_quarantined, geometry_column, is_too_long_mark, quarantine_columns};
use arrow_array::{ArrayRef, RecordBatch, StringArray};
use arrow_ipc::writer::StreamWriter;
use arrow_schema::{DataType, Field, Schema};
use std::collections::{BTreeMap, HashMap, HashSet};
use std::fs::File;
use std::io::BufWriter;
use std::path::Path;
use std::sync::Arc;
use ukimet_model::batch::{attribute_field, described_field, geometry_field, is_geometry, source_name, unit};
use ukimet_model::error::quoted;
use ukimet_model::{
    COLUMNS_KEY, ColumnDecision, Error, GROUPED_BY_POINTS, LayerReport, Result, SOURCE_NAMES_KEY, Verdict,
};
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
        let (columns, source_columns) = quarantine_columns(&base.snapshot, &base.first.record, &base.quarantine)?;
        let Sheet { names, rows, rows_skipped, verdicts, report, is_book } = sheet;
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
        let doubtful = if is_book { columns_grouped_by_points(base)? } else { Vec::new() };
        restore(base, &mut corrected, &columns, &doubtful)?;
        let geometry = geometry_column(&base.first, &source_columns);
        let geometry = geometry.map(|at| (at, free_name(&columns, at)));
        let published = base.snapshot.schema(&base.version)?;
        let basis = Basis {
            schema: &published,
            decided: base.first.parameter("types", COLUMNS_KEY),
            has_mapping: base.first.record.declared.mapping.is_some(),
            name: &base.version.number.to_string(),
        };
        let schema = basis.expected(&columns, &source_columns)?;
        Ok(Self { rows: corrected, columns, source_columns, verdicts, report, schema, geometry })
    }

    /// Rows that were corrected before, beside another reading of the rest.
    pub(super) fn beside(
        basis: &Basis<'_>,
        rows: BTreeMap<u64, Cells>,
        columns: Vec<String>,
        source_columns: Vec<String>,
        geometry: Option<usize>,
    ) -> Result<Self> {
        let schema = basis.expected(&columns, &source_columns)?;
        let geometry = geometry.map(|at| (at, free_name(&columns, at)));
        let (verdicts, report) = (Vec::new(), LayerReport::default());
        Ok(Self { rows, columns, source_columns, verdicts, report, schema, geometry })
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

/// Columns in which `1.234` means another number than a spreadsheet's own number that is shown so.
fn columns_grouped_by_points(base: &Base) -> Result<Vec<usize>> {
    let is_grouped = |decision: &ColumnDecision| decision.notation.as_deref() == Some(GROUPED_BY_POINTS);
    let decided = base.first.decisions()?.unwrap_or_default();
    Ok(decided.iter().filter(|decision| is_grouped(decision)).map(|decision| decision.column).collect())
}

/// Gives cells that a sheet cannot hold their value back, and tells empty from missing as the source did.
///
/// # Errors
///
/// `InvalidData` for a row that the push did not refuse, and for a new number in one of the columns `doubtful` that may
/// mean two.
fn restore(base: &Base, corrected: &mut BTreeMap<u64, Cells>, columns: &[String], doubtful: &[usize]) -> Result<()> {
    let mut known = HashSet::new();
    each_quarantined(&base.snapshot, &base.first.record, &base.quarantine, &mut |refused| {
        if let Some(cells) = corrected.get_mut(&refused.row) {
            known.insert(refused.row);
            for (at, (cell, before)) in cells.iter_mut().zip(refused.values).enumerate() {
                let text = cell.as_deref().unwrap_or_default();
                if doubtful.contains(&at) && *cell != before && has_one_point_before_three_digits(text) {
                    return Err(Error::invalid_data(format!(
                        "row {} has {} in column {}, which may be a number of the spreadsheet or have a point between \
                         thousands; write it with a comma or without any mark",
                        refused.row + 1,
                        quoted(text),
                        quoted(&columns[at])
                    )));
                }
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

/// Whether a number may have a fraction of three digits as well as a point between thousands.
fn has_one_point_before_three_digits(text: &str) -> bool {
    let is_digits = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    let parts = text.trim().trim_start_matches('-').split_once('.');
    parts.is_some_and(|(whole, rest)| is_digits(whole) && whole.len() <= 3 && is_digits(rest) && rest.len() == 3)
}

/// A name that the column of geometries is found by.
fn free_name(columns: &[String], at: usize) -> String {
    let is_free = |name: &&str| columns.iter().enumerate().all(|(i, column)| i == at || column != name);
    ["geometry", "the_geom", "geom", "wkt"].iter().find(|name| is_free(name)).map_or("ewkt", |name| name).to_owned()
}

/// The rows that the corrected ones come beside.
pub(super) struct Basis<'a> {
    pub(super) schema: &'a Schema,
    /// How their columns were read, as their receipt has it.
    pub(super) decided: Option<&'a str>,
    pub(super) has_mapping: bool,
    /// What they are, for an error.
    pub(super) name: &'a str,
}

impl Basis<'_> {
    /// The schema, each column found by its name among the refused rows', and how the columns were read.
    fn expected(&self, columns: &[String], source_columns: &[String]) -> Result<Schema> {
        let names = serde_json::to_string(source_columns);
        let names = names.map_err(|error| Error::internal("writing the names of columns").caused_by(error))?;
        let decided = self.decided.map(|text| (COLUMNS_KEY.to_owned(), text.to_owned()));
        let known: HashMap<String, String> =
            decided.into_iter().chain([(SOURCE_NAMES_KEY.to_owned(), names)]).collect();
        if self.has_mapping {
            // The mapping finds its own columns.
            return Ok(self.schema.clone().with_metadata(known));
        }
        let mut used = HashSet::new();
        let fields = self.schema.fields().iter().map(|field| {
            if is_geometry(field) {
                return Ok(Arc::new(geometry_field()));
            }
            let source = source_name(field);
            let mut candidates = source_columns.iter().enumerate().filter(|(_, name)| *name == source);
            let at = candidates.find(|(at, _)| used.insert(*at)).map(|(at, _)| at).ok_or_else(|| {
                let (whose, name) = (self.name, quoted(source));
                Error::invalid_request(format!(
                    "{whose} has a column {name} that the refused rows do not have; push the whole corrected file"
                ))
            })?;
            let found = attribute_field(field.name(), &columns[at], field.data_type().clone());
            Ok(described_field(&found, None, unit(field)))
        });
        Ok(Schema::new_with_metadata(fields.collect::<Result<Vec<_>>>()?, known))
    }
}
