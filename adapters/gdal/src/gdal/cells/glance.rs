//! Cells that fit their column at a glance: the database hands them over one by one, and no query judges them.
//!
//! A query of sums takes microseconds a row, most of them for days and times, a glance a tenth. What fits here fits there;
//! a column with a cell of which that is not sure is left to the query.

use super::super::OgrSource;
use super::{Counts, LARGEST_IN_FLOAT, identifier};
use arrow_schema::{DataType, Field, Schema};
use rusqlite::Connection;
use rusqlite::types::ValueRef;
use std::ops::RangeInclusive;
use ukimet_normalize::{GEOMETRY_KEY, TEXT_KEY};

/// Columns of one query; `SQLite` itself gives no more than 2,000.
const COLUMNS_MAX: usize = 999;

/// What a column's cells have to be.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Glance {
    Whole(RangeInclusive<i64>),
    Float,
    Day,
    Time,
    Text,
    Bytes,
    /// Of a geometry it is only asked whether it is null.
    Geometry,
    /// Nothing contradicts the column.
    Anything,
}

/// The counts of every column; `None` for those with a cell that has to be judged by a query.
pub(super) fn counts(source: &OgrSource, from: &str, schema: &Schema) -> Vec<Option<Counts>> {
    let counts = source.look_into(|database| counts_in(database, from, schema));
    // What is no answer here is an error of the query, which then comes.
    counts.and_then(Result::ok).unwrap_or_else(|| vec![None; schema.fields().len()])
}

fn counts_in(database: &Connection, from: &str, schema: &Schema) -> rusqlite::Result<Vec<Option<Counts>>> {
    let encoding: String = database.query_row("PRAGMA encoding", [], |row| row.get(0))?;
    let mut counts = Vec::with_capacity(schema.fields().len());
    for fields in schema.fields().chunks(COLUMNS_MAX) {
        let glances: Vec<Glance> = fields.iter().map(|field| Glance::of(field)).collect();
        if encoding == "UTF-8" {
            let columns: Vec<(&Field, Glance)> = fields.iter().map(AsRef::as_ref).zip(glances).collect();
            counts.extend(look(database, from, &columns)?);
        } else {
            counts.extend(fields.iter().map(|_| None));
        }
    }
    Ok(counts)
}

/// Looks at every cell of some columns, of each as long as all before are sure.
fn look(database: &Connection, from: &str, columns: &[(&Field, Glance)]) -> rusqlite::Result<Vec<Option<Counts>>> {
    let shown = |(field, glance): &(&Field, Glance)| match glance {
        Glance::Anything => "NULL".to_owned(),
        Glance::Geometry => format!("{} IS NULL", identifier(field.name())),
        _ => identifier(field.name()),
    };
    let shown: Vec<String> = columns.iter().map(shown).collect();
    let mut statement = database.prepare(&format!("SELECT {} {from}", shown.join(", ")))?;
    let mut rows = statement.query([])?;
    let mut counts: Vec<Option<Counts>> = columns.iter().map(|_| Some(Counts::default())).collect();
    while let Some(row) = rows.next()? {
        for (i, (_, glance)) in columns.iter().enumerate() {
            let count = |counts: &mut Counts| row.get_ref(i).is_ok_and(|cell| glance.count(cell, counts));
            let is_sure = counts[i].as_mut().is_some_and(count);
            if !is_sure {
                counts[i] = None;
            }
        }
    }
    Ok(counts)
}

impl Glance {
    pub(super) fn of(field: &Field) -> Self {
        if field.metadata().contains_key(GEOMETRY_KEY) {
            return Self::Geometry;
        }
        match field.data_type() {
            DataType::Boolean => Self::Whole(0..=1),
            DataType::Int16 => Self::Whole(i16::MIN.into()..=i16::MAX.into()),
            DataType::Int32 => Self::Whole(i32::MIN.into()..=i32::MAX.into()),
            DataType::Int64 => Self::Whole(i64::MIN..=i64::MAX),
            DataType::Float32 | DataType::Float64 => Self::Float,
            DataType::Date32 => Self::Day,
            DataType::Timestamp(..) => Self::Time,
            _ if field.metadata().contains_key(TEXT_KEY) => Self::Text,
            DataType::Binary | DataType::LargeBinary => Self::Bytes,
            _ => Self::Anything,
        }
    }

    /// Counts a cell; false if it is not sure that it fits.
    pub(super) fn count(&self, cell: ValueRef<'_>, counts: &mut Counts) -> bool {
        use ValueRef as V;
        match (self, cell) {
            (Self::Anything, _)
            | (_, V::Null)
            | (Self::Bytes, V::Blob(_))
            | (Self::Float, V::Real(_))
            | (Self::Text, V::Integer(_)) => true,
            (Self::Geometry, V::Integer(is_null)) => {
                counts.zoned += u64::from(is_null == 1);
                true
            }
            (Self::Whole(range), V::Integer(number)) => range.contains(&number),
            (Self::Float, V::Integer(number)) => number.unsigned_abs() <= LARGEST_IN_FLOAT,
            (Self::Text, V::Text(text)) => memchr::memchr(0, text).is_none(),
            (Self::Day, V::Text(text)) => is_day(text),
            (Self::Time, V::Text(text)) => {
                let is_zoned = text.last() == Some(&b'Z');
                counts.zoned += u64::from(is_zoned);
                counts.unzoned += u64::from(!is_zoned);
                is_time(text)
            }
            _ => false,
        }
    }
}

/// Whether a text is `YYYY-MM-DD` and a day of the calendar after the year 0.
fn is_day(text: &[u8]) -> bool {
    let [y1, y2, y3, y4, b'-', m1, m2, b'-', d1, d2] = text else { return false };
    let Some(year) = number(&[*y1, *y2, *y3, *y4]) else { return false };
    let (Some(month), Some(day)) = (number(&[*m1, *m2]), number(&[*d1, *d2])) else { return false };
    let is_leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    let days = match month {
        2 => 28 + u32::from(is_leap),
        4 | 6 | 9 | 11 => 30,
        1..=12 => 31,
        _ => return false,
    };
    year > 0 && (1..=days).contains(&day)
}

/// Whether a text is such a day, `T` or a space, and `HH:MM:SS` with three decimals or none, in UTC or without a zone.
fn is_time(text: &[u8]) -> bool {
    let text = text.strip_suffix(b"Z").unwrap_or(text);
    let Some((day, [b'T' | b' ', time @ ..])) = text.split_at_checked(10) else { return false };
    let Some(([h1, h2, b':', m1, m2, b':', s1, s2], decimals)) = time.split_at_checked(8) else { return false };
    let below = |digits: [u8; 2], end: u32| number(&digits).is_some_and(|number| number < end);
    let is_clock = below([*h1, *h2], 24) && below([*m1, *m2], 60) && below([*s1, *s2], 60);
    let is_fraction =
        decimals.is_empty() || matches!(decimals, [b'.', digits @ ..] if digits.len() == 3 && number(digits).is_some());
    is_clock && is_fraction && is_day(day)
}

/// The number that a few digits make.
fn number(digits: &[u8]) -> Option<u32> {
    digits.iter().try_fold(0, |number, digit| digit.is_ascii_digit().then(|| number * 10 + u32::from(digit - b'0')))
}

#[cfg(test)]
mod tests {
    use super::super::sums;
    use super::*;
    use arrow_schema::TimeUnit;
    use proptest::prelude::*;
    use rusqlite::Row;
    use rusqlite::types::Value;
    use std::collections::HashMap;

    fn marked(data_type: DataType, key: &str) -> Field {
        Field::new("c", data_type, true).with_metadata(HashMap::from([(key.to_owned(), "1".to_owned())]))
    }

    fn fields() -> Vec<Field> {
        let plain = [
            DataType::Boolean,
            DataType::Int16,
            DataType::Int32,
            DataType::Int64,
            DataType::Float32,
            DataType::Float64,
            DataType::Date32,
            DataType::Timestamp(TimeUnit::Millisecond, None),
            DataType::Binary,
            DataType::Time32(TimeUnit::Millisecond),
        ];
        let mut fields: Vec<Field> = plain.map(|data_type| Field::new("c", data_type, true)).to_vec();
        fields.extend([marked(DataType::Binary, TEXT_KEY), marked(DataType::Binary, GEOMETRY_KEY)]);
        fields
    }

    /// What the query of sums counts of one cell.
    fn summed(database: &Connection, field: &Field, value: &Value) -> [i64; 3] {
        let query = format!("SELECT {} FROM (SELECT ?1 AS c)", sums(field).join(", "));
        let count = |row: &Row<'_>, i| Ok::<i64, rusqlite::Error>(row.get::<_, Option<i64>>(i)?.unwrap_or(0));
        let row = database.query_row(&query, [value], |row| Ok([count(row, 0)?, count(row, 1)?, count(row, 2)?]));
        row.expect("counts")
    }

    fn check(database: &Connection, value: &Value) {
        for field in fields() {
            let (glance, mut counts) = (Glance::of(&field), Counts::default());
            let is_null = i64::from(*value == Value::Null);
            let cell = if glance == Glance::Geometry { ValueRef::Integer(is_null) } else { value.into() };
            if glance.count(cell, &mut counts) {
                let found = [counts.misfits, counts.zoned, counts.unzoned].map(|count| count as i64);
                assert_eq!(found, summed(database, &field, value), "{value:?} in {}", field.data_type());
            }
        }
    }

    /// Pieces of days and times, right ones and wrong ones.
    const PIECES: [&str; 26] = [
        "2024", "1900", "0000", "0001", "9999", "02", "29", "30", "31", "04", "13", "12", "-", "T", " ", ":", "23",
        "24", "59", "60", ".", "250", "Z", "+05:00", "\0", "x",
    ];

    fn digits(end: u32, width: usize) -> impl Strategy<Value = String> {
        (0..end).prop_map(move |number| format!("{number:0width$}"))
    }

    fn value() -> impl Strategy<Value = Value> {
        let day = || (digits(10_000, 4), digits(14, 2), digits(33, 2)).prop_map(|(y, m, d)| format!("{y}-{m}-{d}"));
        let clock = (digits(26, 2), digits(62, 2), digits(62, 2)).prop_map(|(h, m, s)| format!("{h}:{m}:{s}"));
        let end = proptest::sample::select(vec!["", "Z", ".999", ".250Z", ".5", ".9999", "z", " Z", "+05:00"]);
        let mark = proptest::sample::select(vec!["T", " ", "t", ""]);
        let time = (day(), mark, clock, end).prop_map(|(day, mark, clock, end)| format!("{day}{mark}{clock}{end}"));
        let pieces =
            proptest::collection::vec(proptest::sample::select(&PIECES[..]), 0..9).prop_map(|all| all.concat());
        let edge =
            proptest::sample::select(vec![0, 1, 2, -1, 1 << 15, 1 << 31, 1 << 53, (1 << 53) + 1, i64::MAX, i64::MIN]);
        prop_oneof![
            day().prop_map(Value::Text),
            time.prop_map(Value::Text),
            pieces.prop_map(Value::Text),
            any::<i64>().prop_map(Value::Integer),
            edge.prop_map(Value::Integer),
            any::<f64>().prop_filter("a null to the database", |number| !number.is_nan()).prop_map(Value::Real),
            proptest::collection::vec(any::<u8>(), 0..4).prop_map(Value::Blob),
            Just(Value::Null),
        ]
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 3_000, ..ProptestConfig::default() })]

        #[test]
        fn what_fits_at_a_glance_fits_the_query(values in proptest::collection::vec(value(), 1..4)) {
            let database = Connection::open_in_memory().expect("a database");
            for value in values {
                check(&database, &value);
            }
        }
    }

    #[test]
    fn what_registers_hold_is_seen_at_a_glance() {
        let sure = |glance: &Glance, cell| glance.count(cell, &mut Counts::default());
        for day in ["2024-02-29", "1899-12-31", "0001-01-01", "9999-12-31"] {
            assert!(sure(&Glance::Day, ValueRef::Text(day.as_bytes())), "{day}");
        }
        for day in [
            "2023-02-29",
            "1900-02-29",
            "2024-13-01",
            "2024-00-10",
            "2024-1-10",
            "0000-01-01",
            "2024-04-31",
            "2024/04/30",
            "",
        ] {
            assert!(!sure(&Glance::Day, ValueRef::Text(day.as_bytes())), "{day}");
        }
        for time in
            ["2024-03-01T23:59:59Z", "2024-03-01 00:00:00", "2024-03-01T00:00:00.250Z", "2024-03-01T00:00:00.999"]
        {
            assert!(sure(&Glance::Time, ValueRef::Text(time.as_bytes())), "{time}");
        }
        for time in [
            "2024-03-01T24:00:00",
            "2024-03-01T00:60:00",
            "2024-03-01T00:00",
            "2024-03-01T00:00:00+05:00",
            "2024-03-01T00:00:00.25",
        ] {
            assert!(!sure(&Glance::Time, ValueRef::Text(time.as_bytes())), "{time}");
        }
        assert!(
            sure(&Glance::Text, ValueRef::Text("Абай".as_bytes())) && !sure(&Glance::Text, ValueRef::Text(b"a\0b"))
        );
        assert!(
            sure(&Glance::Whole(0..=1), ValueRef::Integer(1)) && !sure(&Glance::Whole(0..=1), ValueRef::Integer(2))
        );
    }

    #[test]
    fn a_column_that_is_not_sure_leaves_the_others_counted() {
        let database = Connection::open_in_memory().expect("a database");
        let rows = "CREATE TABLE t (a, b, c); INSERT INTO t VALUES (1, '2024-03-01T00:00:00Z', NULL), ('x', NULL, 2.5), (3, NULL, 3)";
        database.execute_batch(rows).expect("rows");
        let time = DataType::Timestamp(TimeUnit::Millisecond, None);
        let fields = [("a", DataType::Int32), ("b", time), ("c", DataType::Float64)];
        let schema = Schema::new(fields.map(|(name, data_type)| Field::new(name, data_type, true)).to_vec());
        let counts = counts_in(&database, "FROM t", &schema).expect("counts");
        let counts =
            counts.iter().map(|counts| counts.as_ref().map(|counts| [counts.misfits, counts.zoned, counts.unzoned]));
        assert_eq!(counts.collect::<Vec<_>>(), [None, Some([0, 1, 0]), Some([0; 3])]);
        assert!(counts_in(&database, "FROM nothing", &schema).is_err());
    }
}
