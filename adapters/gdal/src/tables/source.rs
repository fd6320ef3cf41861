//! The tables of a file as its layers.

use super::grid::Grid;
use super::layer::{TableRows, long_name};
use super::report::TableContext;
use super::{Table, recognize};
use crate::limits::ReadLimits;
use crate::source::{Reader, Rows, Source, finding};
use std::collections::BTreeMap;
use ukimet_adapter_sdk::LayerInfo;
use ukimet_model::{Diagnostic, Error, Result, Severity};

/// Every table of some sheets as a layer, wide ones also in long form.
#[derive(Default)]
pub(crate) struct TableSource {
    grids: Vec<Grid>,
    sheets: Vec<Sheet>,
    layers: Vec<LayerInfo>,
    empty: Vec<String>,
    parameters: BTreeMap<String, String>,
    findings: Vec<Diagnostic>,
}

/// A layer: a table of a sheet, wide or long.
struct Sheet {
    grid: usize,
    table: Table,
    context: TableContext,
    is_long: bool,
}

impl TableSource {
    /// Finds the tables of the sheets; `known` is what is said of each of them.
    ///
    /// # Errors
    ///
    /// `LimitReached` for too many columns.
    pub(crate) fn new(grids: Vec<Grid>, known: &TableContext, limits: &ReadLimits) -> Result<Self> {
        let mut source = Self { grids, ..Self::default() };
        for grid in 0..source.grids.len() {
            source.add_tables(grid, known);
        }
        // Long forms come after every table, so that the tables keep their places.
        let is_wide = |sheet: &&Sheet| !sheet.table.periods.is_empty();
        let long: Vec<Sheet> = source.sheets.iter().filter(is_wide).map(Sheet::long).collect();
        source.sheets.extend(long);
        source.layers = source.sheets.iter().map(|sheet| sheet.info(&source.grids)).collect();
        let widest = source.layers.iter().map(|layer| layer.fields.len()).max().unwrap_or(0);
        if widest > limits.fields_max {
            let fields_max = limits.fields_max;
            return Err(Error::limit_reached(format!("a layer has at most {fields_max} columns, found {widest}")));
        }
        Ok(source)
    }

    /// Adds what the receipt says about the reading of the file.
    pub(crate) fn with_reading(mut self, parameters: BTreeMap<String, String>, findings: Vec<Diagnostic>) -> Self {
        self.parameters = parameters;
        self.findings = findings;
        self
    }

    /// The tables in the order of the layers, each with its grid.
    pub(crate) fn tables(&self) -> impl Iterator<Item = (&Grid, &Table)> {
        self.sheets.iter().filter(|sheet| !sheet.is_long).map(|sheet| (&self.grids[sheet.grid], &sheet.table))
    }

    fn add_tables(&mut self, grid: usize, known: &TableContext) {
        let name = self.grids[grid].name.clone();
        let tables = recognize(&self.grids[grid]);
        let names: Vec<String> = (1..=tables.len())
            .map(|number| if number == 1 { name.clone() } else { format!("{name} {number}") })
            .collect();
        if names.is_empty() {
            self.empty.push(name);
            return;
        }
        let siblings = if names.len() > 1 { names.clone() } else { Vec::new() };
        for (table, name) in tables.into_iter().zip(names) {
            let context = TableContext { name, siblings: siblings.clone(), ..known.clone() };
            self.sheets.push(Sheet { grid, table, context, is_long: false });
        }
    }
}

impl Sheet {
    fn long(&self) -> Self {
        let mut context = self.context.clone();
        context.name = long_name(&context.name);
        Self { grid: self.grid, table: self.table.clone(), context, is_long: true }
    }

    fn rows<'a>(&'a self, grids: &'a [Grid], rows_max: usize) -> TableRows<'a> {
        TableRows::new(&grids[self.grid], &self.table, self.context.clone(), self.is_long, rows_max)
    }

    fn info(&self, grids: &[Grid]) -> LayerInfo {
        let rows = self.rows(grids, 1);
        LayerInfo {
            name: self.context.name.clone(),
            rows_declared: Some(rows.count() as u64),
            fields: rows.names(),
            ..LayerInfo::default()
        }
    }
}

impl Source for TableSource {
    fn layers(&self) -> &[LayerInfo] {
        &self.layers
    }

    fn rows(&self, layer: usize, rows_max: usize) -> Result<Box<dyn Rows + '_>> {
        Ok(Box::new(self.sheets[layer].rows(&self.grids, rows_max)))
    }

    fn is_derived(&self, layer: usize) -> bool {
        self.sheets[layer].is_long
    }

    fn findings(&self) -> Vec<Diagnostic> {
        let message = "sheets without any cell were left out".to_owned();
        let empty = finding("table.empty_sheet", Severity::Note, message, self.empty.len() as u64, &self.empty);
        self.findings.iter().cloned().chain((!self.empty.is_empty()).then_some(empty)).collect()
    }

    fn reader(&self) -> Reader {
        Reader { version: format!("ukimet {}", env!("CARGO_PKG_VERSION")), parameters: self.parameters.clone() }
    }
}
