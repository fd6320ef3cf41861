//! What of a file is read for a filter.

use super::differences::{Parcel, open, outline, parcel, publish, small_pages};
use crate::catalog::Catalog;
use crate::disk::counting::CountingDisk;
use ukimet_model::{Comparison, Filter, Folding, PushMode, RowQuery, SpatialRelation, Term};

/// Rows that a filter takes of the newest version, and bytes that were read for them.
fn read((catalog, disk): &(Catalog, CountingDisk), filter: Option<Filter>) -> (usize, u64) {
    let snapshot = catalog.snapshot();
    let (dataset, version) = snapshot.dataset(&"almaty/parcels".parse().expect("valid")).expect("there");
    disk.take();
    let query = RowQuery { filter, ..RowQuery::default() };
    let scan = snapshot.scan(&dataset, &version, &query, 0..version.segments.len()).expect("opens");
    let rows = scan.map(|batch| batch.expect("whole").num_rows()).sum();
    (rows, disk.take().values().sum())
}

fn is(column: &str, comparison: Comparison, right: Term) -> Filter {
    Filter::Compare { left: Term::Column(column.to_owned(), Folding::default()), comparison, right }
}

#[test]
fn of_a_file_only_the_pages_are_read_that_can_have_a_wanted_row() {
    let dir = tempfile::tempdir().expect("a directory");
    let opened = open(dir.path(), &small_pages());
    let parcels: Vec<Parcel> = (0..5000).map(parcel).collect();
    publish(&opened.0, "v1", PushMode::Replace, &parcels, &[]);
    // The first reading hashes the file.
    read(&opened, None);
    let (rows, whole) = read(&opened, None);
    assert_eq!(rows, 5000);
    let number = |comparison, number: f64| is("parcel_id", comparison, Term::Number(number));
    let near = Filter::Spatial {
        column: "geometry".to_owned(),
        relation: SpatialRelation::WithinDistance(50.0),
        geometry: outline(parcel(4321)),
    };
    let of_list =
        Filter::Any(["x", "y"].map(|text| is("category", Comparison::Equal, Term::Text(text.to_owned()))).to_vec());
    // Words of a whole column stand together in front of its pages, so that a row costs more than its share.
    for (what, filter, rows_expected, share) in [
        ("a number", number(Comparison::Equal, 17.0), 1..2, 3),
        ("no number", number(Comparison::Less, 0.0), 0..1, 10_000),
        ("numbers from on", number(Comparison::GreaterOrEqual, 4990.0), 10..11, 3),
        ("a place", near, 1..20, 3),
        ("texts that no page can have", of_list, 0..1, 10_000),
    ] {
        let (rows, bytes) = read(&opened, Some(filter));
        assert!(rows_expected.contains(&rows), "{what}: {rows} rows");
        assert!(bytes * share < whole, "{what}: {bytes} bytes of {whole}");
    }
}
