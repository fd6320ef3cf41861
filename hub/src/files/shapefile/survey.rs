//! What the rows need of a table: how wide its columns are, what they are called, and which layers there are.

use super::super::cells::{Cell, Kind};
use super::super::losses::Losses;
use super::shapes::Layer;
use arrow_schema::Schema;
use std::borrow::Cow;
use std::collections::{BTreeSet, HashSet};
use ukimet_model::batch::source_name;

/// Bytes of a text.
const TEXT_BYTES_MAX: usize = 254;
/// Bytes of a column's name.
const NAME_BYTES_MAX: usize = 10;
/// Digits of a whole number that programs read as one.
const INTEGER_DIGITS_MAX: usize = 18;
/// Digits of a decimal fraction that a program which reads it as a binary one has back.
const DECIMAL_DIGITS_MAX: u8 = 15;
/// Characters of a number.
const NUMBER_WIDTH_MAX: usize = 32;

/// A column of a table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Column {
    /// Its place in the rows; `None` for the numbers of rows where there is no other column.
    pub(super) source: Option<usize>,
    /// What it is called in the table: ASCII.
    pub(super) name: String,
    /// What it is called by the hub, and in its source.
    pub(super) known_as: (String, String),
    pub(super) kind: Kind,
    pub(super) field: Field,
}

/// How a table has the values of a column.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Field {
    Text { width: u8 },
    Number { width: u8, decimals: u8 },
    Logical,
    Day,
}

/// What was seen of a column.
#[derive(Clone, Debug, Default)]
struct Widths {
    /// Bytes of the longest value.
    width: usize,
    /// Digits behind the point.
    decimals: usize,
    /// Values that are longer than a text may be.
    long: u64,
    /// Texts that are empty, which a table does not tell from none.
    empty: u64,
    /// Floats that are no numbers.
    no_numbers: u64,
    /// Days that are no eight digits.
    odd_days: u64,
}

/// What was seen of the rows.
pub(super) struct Survey {
    columns: Vec<Widths>,
    layers: BTreeSet<Layer>,
    without_place: u64,
    empty_geometries: u64,
}

/// A value as a table has it before it is laid out; nothing for none.
pub(super) fn written(kind: Kind, cell: Cell<'_>) -> Cow<'_, str> {
    match cell {
        Cell::Null => "".into(),
        Cell::Boolean(value) => if value { "T" } else { "F" }.into(),
        Cell::Signed(number) => number.to_string().into(),
        Cell::Unsigned(number) => number.to_string().into(),
        Cell::Float(number) if !number.is_finite() => "".into(),
        Cell::Float(number) if kind == (Kind::Float { bits: 32 }) => short(number as f32, number).into(),
        Cell::Float(number) => short(number, number).into(),
        Cell::Text(text) => text.into(),
        Cell::Bytes(bytes) => hex::encode(bytes).into(),
    }
}

/// The shortest text that reads back as the number, with an exponent if it is shorter by far.
fn short(number: impl std::fmt::Display + std::fmt::LowerExp, value: f64) -> String {
    let is_handy = value == 0.0 || (1e-5..1e15).contains(&value.abs());
    if is_handy { number.to_string() } else { format!("{number:e}") }
}

impl Survey {
    pub(super) fn new(columns: usize) -> Self {
        let columns = vec![Widths::default(); columns];
        Self { columns, layers: BTreeSet::new(), without_place: 0, empty_geometries: 0 }
    }

    /// Takes a row into account: its layer, and whether it has a geometry, be it an empty one.
    pub(super) fn layer(&mut self, layer: Option<Layer>, has_geometry: bool) {
        self.without_place += u64::from(layer.is_none());
        self.empty_geometries += u64::from(layer.is_none() && has_geometry);
        self.layers.extend(layer);
    }

    pub(super) fn value(&mut self, column: usize, kind: Kind, cell: Cell<'_>) {
        let (widths, text) = (&mut self.columns[column], written(kind, cell));
        widths.width = widths.width.max(text.len());
        widths.long += u64::from(text.len() > TEXT_BYTES_MAX);
        widths.empty += u64::from(text.is_empty() && matches!(cell, Cell::Text(_)));
        widths.no_numbers += u64::from(matches!(cell, Cell::Float(number) if !number.is_finite()));
        widths.odd_days += u64::from(kind == Kind::Date && !text.is_empty() && text.len() != "2026-03-01".len());
        let fraction = text.split(['e', 'E']).next().and_then(|number| number.split_once('.'));
        widths.decimals = widths.decimals.max(fraction.map_or(0, |(_, digits)| digits.len()));
    }

    /// The layer if there is one, which rows without a geometry may be in.
    pub(super) fn only_layer(&self) -> Option<Layer> {
        self.layers.first().copied().filter(|_| self.layers.len() == 1)
    }

    fn layers(&self) -> u64 {
        let has_table = self.without_place > 0 && self.only_layer().is_none();
        self.layers.len() as u64 + u64::from(has_table)
    }

    /// The columns of the tables, and what is lost.
    pub(super) fn plan(&self, schema: &Schema, kinds: &[Kind]) -> (Vec<Column>, Losses) {
        let (mut names, mut losses) = (HashSet::new(), Losses::default());
        let mut columns = Vec::new();
        for (source, (kind, widths)) in kinds.iter().zip(&self.columns).enumerate() {
            if *kind == Kind::Geometry {
                continue;
            }
            let field = schema.field(source);
            let (name, column) = (short_name(field.name(), &mut names), widths.field(*kind));
            losses.add("renamed-columns", u64::from(name != *field.name()));
            widths.tell(*kind, column, &mut losses);
            let known_as = (field.name().clone(), source_name(field).to_owned());
            columns.push(Column { source: Some(source), name, known_as, kind: *kind, field: column });
        }
        if columns.is_empty() {
            columns.push(row_numbers());
        }
        losses.add("layers", if self.layers() > 1 { self.layers() } else { 0 });
        losses.add("empty-geometries", self.empty_geometries);
        (columns, losses)
    }
}

/// What stands in a table that has no other column, which would be none.
fn row_numbers() -> Column {
    let kind = Kind::Integer { bits: 64, is_signed: true };
    let known_as = ("fid".to_owned(), "fid".to_owned());
    Column { source: None, name: "fid".to_owned(), known_as, kind, field: Field::Number { width: 11, decimals: 0 } }
}

impl Widths {
    fn field(&self, kind: Kind) -> Field {
        let text = Field::Text { width: self.width.clamp(1, TEXT_BYTES_MAX) as u8 };
        let number = |width: usize, decimals: usize| {
            // Programs take a number without digits behind the point for a whole one.
            let width = width.max(decimals + 2);
            let fits = width <= NUMBER_WIDTH_MAX;
            if fits { Field::Number { width: width as u8, decimals: decimals as u8 } } else { text }
        };
        match kind {
            Kind::Boolean => Field::Logical,
            Kind::Date if self.odd_days == 0 => Field::Day,
            Kind::Integer { .. } if self.width <= INTEGER_DIGITS_MAX => {
                Field::Number { width: self.width.max(1) as u8, decimals: 0 }
            }
            Kind::Float { .. } => number(self.width, self.decimals.clamp(1, usize::from(DECIMAL_DIGITS_MAX))),
            Kind::Decimal { digits, .. } if digits <= DECIMAL_DIGITS_MAX => number(self.width, self.decimals),
            _ => text,
        }
    }

    /// Counts what a column loses as this field.
    fn tell(&self, kind: Kind, field: Field, losses: &mut Losses) {
        let is_text = matches!(field, Field::Text { .. });
        losses.add("cut-texts", if is_text { self.long } else { 0 });
        losses.add("empty-texts", self.empty);
        losses.add("floats-that-are-no-numbers", self.no_numbers);
        let changed = match kind {
            Kind::Integer { .. } | Kind::Float { .. } | Kind::Decimal { .. } => "number-columns-as-text",
            Kind::Date | Kind::Time | Kind::LocalTime | Kind::Moment => "time-columns-as-text",
            Kind::Json | Kind::Bytes => "other-columns-as-text",
            _ => return,
        };
        losses.add(changed, u64::from(is_text));
    }
}

/// A name of at most ten bytes that no other column has; a number takes the place of its end if it must.
fn short_name(name: &str, taken: &mut HashSet<String>) -> String {
    let cut = |bytes: usize| name.get(..bytes.min(name.len())).unwrap_or(name);
    let mut short = cut(NAME_BYTES_MAX).to_owned();
    let mut number = 1;
    while !taken.insert(short.clone()) {
        let end = format!("_{number}");
        short = format!("{}{end}", cut(NAME_BYTES_MAX - end.len()));
        number += 1;
    }
    short
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_cut_and_stay_different() {
        let mut taken = HashSet::new();
        let names = ["number_of_pupils", "number_of_places", "number_of_p", "number_o_1", "name"];
        let short = names.map(|name| short_name(name, &mut taken));
        assert_eq!(short, ["number_of_", "number_o_1", "number_o_2", "number_o_3", "name"]);
    }

    #[test]
    fn numbers_are_written_so_that_they_read_back() {
        for (number, text) in [(0.1, "0.1"), (-5.0, "-5"), (1e300, "1e300"), (2.5e-7, "2.5e-7"), (0.0, "0")] {
            assert_eq!(written(Kind::Float { bits: 64 }, Cell::Float(number)), text);
        }
        assert_eq!(written(Kind::Float { bits: 32 }, Cell::Float(f64::from(0.1_f32))), "0.1");
    }

    #[test]
    fn a_column_is_as_wide_as_its_values_and_text_where_digits_would_go() {
        let seen = |kind: Kind, values: &[Cell]| {
            let mut survey = Survey::new(1);
            for value in values {
                survey.value(0, kind, *value);
            }
            survey.columns[0].field(kind)
        };
        let integer = Kind::Integer { bits: 64, is_signed: true };
        assert_eq!(seen(integer, &[Cell::Signed(-17), Cell::Null]), Field::Number { width: 3, decimals: 0 });
        assert_eq!(seen(integer, &[Cell::Signed(i64::MIN)]), Field::Text { width: 20 });
        let float = Kind::Float { bits: 64 };
        assert_eq!(seen(float, &[Cell::Float(5.0)]), Field::Number { width: 3, decimals: 1 });
        assert_eq!(seen(float, &[Cell::Float(43.251)]), Field::Number { width: 6, decimals: 3 });
        assert_eq!(seen(Kind::Text, &[Cell::Text("Абай")]), Field::Text { width: 8 });
        assert_eq!(seen(Kind::Date, &[Cell::Text("2026-03-01")]), Field::Day);
        assert_eq!(seen(Kind::Date, &[Cell::Text("-0044-03-15")]), Field::Text { width: 11 });
        let long = Kind::Decimal { digits: 38, scale: 2 };
        assert_eq!(seen(long, &[Cell::Text("12345678901234567.89")]), Field::Text { width: 20 });
    }
}
