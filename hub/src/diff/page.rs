//! A difference as one page that needs no other file and no network: a map, and a table that is linked to it.
//!
//! The policy of the page allows its own script and style by their hashes and nothing else, so that nothing a publisher
//! wrote could run; and every published text is escaped.

mod text;

use super::shapes::drawn;
use super::words::{RowWords, words};
use super::{DiffHeading, PageLimits, count_rows};
use crate::report::texts::Language;
use arrow_array::cast::AsArray;
use arrow_array::{Array, BinaryArray, RecordBatch, StructArray};
use base64::Engine;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use std::io::Write;
use std::sync::LazyLock;
use text::Text;
use ukimet_model::{ChangeCounts, Error, GEOMETRY_COLUMN, Result};

const SCRIPT: &str = include_str!("page/map.js");
const STYLE: &str = include_str!("page/page.css");

static POLICY: LazyLock<String> = LazyLock::new(|| {
    let hash = |text: &str| base64::engine::general_purpose::STANDARD.encode(Sha256::digest(text));
    format!(
        "default-src 'none'; script-src 'sha256-{}'; style-src 'sha256-{}'; base-uri 'none'; form-action 'none'",
        hash(SCRIPT),
        hash(STYLE)
    )
});

/// What the page may do, as a Content-Security-Policy.
pub fn policy() -> &'static str {
    &POLICY
}

/// How a page is written.
#[derive(Clone, Copy, Debug)]
pub struct PageOptions {
    /// Its language.
    pub language: Language,
    /// How much it shows.
    pub limits: PageLimits,
}

/// A page that rows are gathered for.
pub struct Page {
    heading: DiffHeading,
    options: PageOptions,
    counts: ChangeCounts,
    rows: Vec<RowWords>,
    /// What the map draws of each row: `[before, after]`; null if it is not drawn.
    shapes: Vec<Value>,
    positions: usize,
    tally: Tally,
}

/// What became of the rows that are listed.
#[derive(Clone, Copy, Default)]
pub(super) struct Tally {
    /// Not drawn because the map has enough positions.
    pub(super) too_many: u64,
    /// Not drawn because they have no place.
    pub(super) without_place: u64,
    /// Drawn.
    pub(super) drawn: u64,
}

impl Page {
    /// Begins a page.
    pub fn new(heading: DiffHeading, options: PageOptions) -> Self {
        Self {
            heading,
            options,
            counts: ChangeCounts::default(),
            rows: Vec::new(),
            shapes: Vec::new(),
            positions: 0,
            tally: Tally::default(),
        }
    }

    /// Adds rows; those above the limits are counted only.
    ///
    /// # Errors
    ///
    /// `InvalidData` if the batch is none of a difference.
    pub fn add(&mut self, batch: &RecordBatch) -> Result<()> {
        count_rows(&mut self.counts, batch)?;
        let room = self.options.limits.diff_rows_max.saturating_sub(self.rows.len());
        let listed = batch.slice(0, room.min(batch.num_rows()));
        let sides = ["before", "after"].map(|name| Shapes::of(&listed, name));
        for (row, words) in words(&listed)?.into_iter().enumerate() {
            let shape = self.shape(&sides, row)?;
            self.shapes.push(shape);
            self.rows.push(words);
        }
        Ok(())
    }

    fn shape(&mut self, sides: &[Option<Shapes<'_>>; 2], row: usize) -> Result<Value> {
        let [before, after] = sides.each_ref().map(|side| side.as_ref().map_or(Ok(None), |side| side.drawn(row)));
        let (before, after) = (before?, after?);
        // A place that stayed is drawn once.
        let before = if before == after { None } else { before };
        let count = [&before, &after].into_iter().flatten().map(|shape| shape.1).sum::<usize>();
        if count == 0 {
            self.tally.without_place += 1;
            return Ok(Value::Null);
        }
        if self.positions + count > self.options.limits.diff_positions_max {
            self.tally.too_many += 1;
            return Ok(Value::Null);
        }
        self.positions += count;
        self.tally.drawn += 1;
        Ok(json!([before.map(|shape| shape.0), after.map(|shape| shape.0)]))
    }

    /// Writes the page.
    ///
    /// # Errors
    ///
    /// `Unavailable` if it cannot be written.
    pub fn write(&self, mut out: impl Write) -> Result<()> {
        let text = Text { heading: &self.heading, language: self.options.language };
        let operations: Vec<_> = self.rows.iter().map(|row| &row.operation.name()[..1]).collect();
        let drawing = json!({ "operations": operations, "shapes": self.shapes });
        // Inside of an element a `<` could end it.
        let drawing = drawing.to_string().replace('<', "\\u003c");
        let mut write = |part: &str| {
            out.write_all(part.as_bytes()).map_err(|e| Error::unavailable("writing a page failed").caused_by(e))
        };
        write(&text.head(policy(), STYLE))?;
        write(&text.summary(self.counts, self.rows.len() as u64, self.tally))?;
        if self.tally.drawn > 0 {
            write(&text.map())?;
        }
        write(&text.table_head())?;
        for (number, row) in self.rows.iter().enumerate() {
            write(&text.table_row(number, row, !self.shapes[number].is_null()))?;
        }
        write("</tbody></table></div></main>\n<script type=\"application/json\" id=\"drawing\">")?;
        write(&drawing)?;
        write("</script>\n<script>")?;
        write(SCRIPT)?;
        write("</script></body></html>\n")
    }
}

/// The geometries of one side; rows that are not there have none.
struct Shapes<'a> {
    rows: &'a StructArray,
    shapes: &'a BinaryArray,
}

impl<'a> Shapes<'a> {
    fn of(batch: &'a RecordBatch, side: &str) -> Option<Self> {
        let rows = batch.column_by_name(side)?.as_struct_opt()?;
        Some(Self { rows, shapes: rows.column_by_name(GEOMETRY_COLUMN)?.as_binary_opt()? })
    }

    fn drawn(&self, row: usize) -> Result<Option<(Value, usize)>> {
        let is_there = self.rows.is_valid(row) && self.shapes.is_valid(row);
        let shape = is_there.then(|| drawn(self.shapes.value(row))).transpose()?;
        Ok(shape.filter(|(_, positions)| *positions > 0))
    }
}
