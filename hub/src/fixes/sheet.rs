//! The sheet that came back, read as text.

use super::order::find_header;
use crate::adapters::Reading;
use crate::ingest::Ingest;
use crate::report::{ROWS_SHEET, unguarded};
use crate::staging::Upload;
use arrow_array::cast::AsArray;
use arrow_array::{Array, RecordBatch};
use arrow_schema::Schema;
use std::path::PathBuf;
use std::sync::Arc;
use ukimet_model::batch::source_name;
use ukimet_model::{Declarations, Error, LayerReport, LayerSelection, Result, Verdict};
use ukimet_proto::ipc;
use ukimet_proto::v1::read_response::Message;

/// The sheet's cells, and how they were read.
pub(super) struct Sheet {
    pub(super) names: Vec<String>,
    pub(super) rows: Vec<Vec<Option<String>>>,
    /// Rows above the first of `rows` that the reader counts.
    pub(super) rows_skipped: u64,
    pub(super) verdicts: Vec<Verdict>,
    pub(super) report: LayerReport,
    /// Whether it is a workbook, whose cells may be numbers of its own.
    pub(super) is_book: bool,
}

/// The file of a sheet, and what is declared about it.
pub(super) struct SheetFile {
    pub(super) path: PathBuf,
    pub(super) file_name: String,
    pub(super) declared: Declarations,
}

impl SheetFile {
    pub(super) fn of(upload: &Upload) -> Self {
        let header = &upload.header;
        Self { path: upload.path(), file_name: header.file_name.clone(), declared: header.declared() }
    }
}

impl Sheet {
    pub(super) async fn read(ingest: &Ingest, file: SheetFile) -> Result<Self> {
        let name = file.file_name.to_lowercase();
        let ends_with = |endings: &[&str]| endings.iter().any(|ending| name.ends_with(ending));
        let (is_book, is_csv) = (ends_with(&[".xlsx", ".xlsm", ".ods"]), ends_with(&[".csv"]));
        let reading = Reading {
            path: file.path,
            file_name: file.file_name,
            // Crs, region and mapping are of the rows, not of the sheet.
            declared: Declarations {
                layers: match file.declared.layers {
                    LayerSelection::Only if is_book => LayerSelection::Named(ROWS_SHEET.to_owned()),
                    chosen => chosen,
                },
                media_type: file.declared.media_type,
                encoding: file.declared.encoding,
                ..Declarations::default()
            },
            // Every column as text.
            expected_schema: Some(bytes::Bytes::new()),
            ..Reading::default()
        };
        let mut stream = ingest.adapters.read(&reading).await?;
        let mut sheet = Self {
            names: Vec::new(),
            rows: Vec::new(),
            rows_skipped: 0,
            verdicts: Vec::new(),
            report: LayerReport::default(),
            is_book,
        };
        let (mut schema, mut is_whole) = (Arc::new(Schema::empty()), false);
        while let Some(message) = stream.next().await? {
            match message {
                Message::LayerBegin(begin) => {
                    schema = ipc::decode_schema(&begin.schema, &ingest.ipc_limits)?;
                    sheet.names = schema.fields().iter().map(|field| source_name(field).to_owned()).collect();
                }
                Message::Batch(batch) => sheet.take(&ipc::decode_batch(&batch, &schema, &ingest.ipc_limits)?)?,
                Message::Verdicts(verdicts) => sheet.verdicts.extend(verdicts.verdicts.into_iter().map(Verdict::from)),
                Message::Quarantined(_) => return Err(Error::internal("an adapter refused a row that was to be text")),
                // Sheets are tables; what else an adapter makes of one is not asked for.
                Message::AssetBegin(_) | Message::AssetData(_) | Message::AssetEnd(_) => (),
                Message::LayerEnd(report) => sheet.report = report.try_into()?,
                Message::Summary(_) => is_whole = true,
            }
            if sheet.rows.len() > ingest.fix_rows_max {
                let message = format!("corrections have at most {} rows, more came", ingest.fix_rows_max);
                return Err(Error::limit_reached(message));
            }
        }
        if !is_whole {
            return Err(Error::data_loss("the adapter's answer ended without a summary"));
        }
        sheet.rows_skipped = find_header(&mut sheet.names, &mut sheet.rows)?;
        if is_csv {
            let cells = sheet.rows.iter_mut().flatten().flatten();
            cells.for_each(|cell| *cell = unguarded(cell).to_owned());
            sheet.names.iter_mut().for_each(|name| *name = unguarded(name).to_owned());
        }
        Ok(sheet)
    }

    fn take(&mut self, batch: &RecordBatch) -> Result<()> {
        let columns = batch.columns().iter().map(|column| {
            column.as_string_opt::<i32>().ok_or_else(|| Error::internal("an adapter was asked for text and gave other"))
        });
        let columns = columns.collect::<Result<Vec<_>>>()?;
        let cell = |column: &arrow_array::StringArray, i| column.is_valid(i).then(|| column.value(i).to_owned());
        self.rows.extend((0..batch.num_rows()).map(|i| columns.iter().map(|column| cell(column, i)).collect()));
        Ok(())
    }
}
