//! The rows of a table, and its columns that are read without GDAL.

use super::{CURRENCY, Column, Form, logical, moment, trimmed};
use arrow_array::builder::{
    BinaryBuilder, BooleanBuilder, Float64Builder, Int32Builder, Int64Builder, StringBuilder,
    TimestampMicrosecondBuilder,
};
use arrow_array::{ArrayRef, Decimal128Array};
use std::fs::File;
use std::io::{BufReader, Read};
use std::sync::Arc;
use ukimet_model::{Error, Result};

/// The rows of a table, one after the other.
pub(crate) struct DbfRows {
    pub(super) reader: BufReader<File>,
    pub(super) row: Vec<u8>,
    pub(super) columns: Vec<Column>,
}

impl DbfRows {
    pub(super) fn next_row(&mut self) -> Result<&[u8]> {
        self.reader
            .read_exact(&mut self.row)
            .map_err(|error| Error::data_loss("the .dbf ends before its last row").caused_by(error))?;
        Ok(&self.row)
    }

    /// Replaces the columns that are read from here by the cells of the next rows that are not deleted.
    ///
    /// # Errors
    ///
    /// `DataLoss` if there are no more rows.
    pub(crate) fn corrected(&mut self, columns: &mut [ArrayRef], rows: usize) -> Result<()> {
        let read: Vec<(usize, Column)> =
            self.columns.iter().cloned().enumerate().filter(|(_, column)| column.form.is_some()).collect();
        let mut cells: Vec<Vec<Vec<u8>>> = vec![Vec::with_capacity(rows); read.len()];
        let mut count = 0;
        while count < rows {
            let row = self.next_row()?;
            if row.first() == Some(&b'*') {
                continue;
            }
            for ((_, column), cells) in read.iter().zip(&mut cells) {
                cells.push(row[column.at..column.at + column.width].to_vec());
            }
            count += 1;
        }
        for ((position, column), cells) in read.into_iter().zip(cells) {
            if let (Some(slot), Some(form)) = (columns.get_mut(position), column.form) {
                *slot = array(form, &cells);
            }
        }
        Ok(())
    }
}

fn array(form: Form, cells: &[Vec<u8>]) -> ArrayRef {
    let text = |cell: &Vec<u8>| {
        let text = trimmed(cell);
        let is_empty = text.is_empty() || text.iter().all(|byte| *byte == b'*');
        (!is_empty).then(|| String::from_utf8_lossy(text).into_owned())
    };
    let bytes = |cell: &Vec<u8>| <[u8; 8]>::try_from(cell.as_slice()).ok();
    match form {
        Form::Text => Arc::new(filled(StringBuilder::new(), cells, |to, cell| to.append_option(text(cell))).finish()),
        Form::Bytes => {
            let whole = |cell: &Vec<u8>| {
                let end = cell.iter().rposition(|byte| !matches!(byte, 0 | b' ')).map(|at| at + 1);
                end.map(|end| cell[..end].to_vec())
            };
            Arc::new(filled(BinaryBuilder::new(), cells, |to, cell| to.append_option(whole(cell))).finish())
        }
        Form::Int64 => {
            let number = |cell: &Vec<u8>| text(cell).and_then(|text| text.trim_start_matches('+').parse().ok());
            Arc::new(filled(Int64Builder::new(), cells, |to, cell| to.append_option(number(cell))).finish())
        }
        Form::Boolean => {
            Arc::new(filled(BooleanBuilder::new(), cells, |to, cell| to.append_option(logical(trimmed(cell)))).finish())
        }
        Form::Int32 => {
            let number = |cell: &Vec<u8>| cell.as_slice().try_into().ok().map(i32::from_le_bytes);
            Arc::new(filled(Int32Builder::new(), cells, |to, cell| to.append_option(number(cell))).finish())
        }
        Form::Double => {
            let number = |cell: &Vec<u8>| bytes(cell).map(f64::from_le_bytes);
            Arc::new(filled(Float64Builder::new(), cells, |to, cell| to.append_option(number(cell))).finish())
        }
        Form::Currency => {
            let values: Decimal128Array =
                cells.iter().map(|cell| bytes(cell).map(|bytes| i128::from(i64::from_le_bytes(bytes)))).collect();
            Arc::new(values.with_data_type(CURRENCY))
        }
        Form::Moment => {
            let builder = TimestampMicrosecondBuilder::new();
            Arc::new(filled(builder, cells, |to, cell| to.append_option(bytes(cell).and_then(moment))).finish())
        }
    }
}

fn filled<B>(mut builder: B, cells: &[Vec<u8>], append: impl Fn(&mut B, &Vec<u8>)) -> B {
    for cell in cells {
        append(&mut builder, cell);
    }
    builder
}
