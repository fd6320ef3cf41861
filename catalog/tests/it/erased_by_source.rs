//! Rows that are named by what the source called a column, in a dataset whose source called it otherwise later.

use crate::erasing::{DATASET, Push, codes, codes_of, of_codes, people};
use crate::erasure::{check_gone, checked, code, forgotten, id};
use crate::fixture::open;
use std::collections::BTreeSet;
use std::path::Path;
use ukimet_catalog::{Catalog, Erasure};
use ukimet_model::{RowQuery, Sha256, VersionNumber};

fn files_of(catalog: &Catalog, version: u64) -> BTreeSet<Sha256> {
    let selector = format!("{DATASET}@v{version}").parse().expect("a selector");
    let version = catalog.snapshot().version(&selector).expect("there").1;
    version.segments.iter().map(|segment| segment.parquet).collect()
}

/// Two versions that share a file with the person, though their sources name the columns otherwise; erased by a name.
fn erased_by(dir: &Path, before: [&'static str; 2], after: [&'static str; 2], name: &str) -> Erasure {
    let catalog = open(dir);
    let all = |more| people(0..50).into_iter().chain(more).chain([forgotten()]).collect();
    Push { columns: before, ..Push::replace("p1", all(people(0..0))) }.send(&catalog).expect("taken");
    Push { columns: after, ..Push::replace("p2", all(people(60..61))) }.send(&catalog).expect("taken");
    assert!(!files_of(&catalog, 1).is_disjoint(&files_of(&catalog, 2)), "they share a file");
    let mut intent = of_codes("e1", &[&code()]);
    intent.columns = vec![name.to_owned()];
    let (erasure, ..) = catalog.erase(&intent).expect("erased");
    let left = |version| codes(&catalog.snapshot(), version, &RowQuery::default()).expect("read");
    assert_eq!((left(1), left(2)), (codes_of(0..50), codes_of((0..50).chain([60]))));
    assert_eq!(catalog.snapshot().erasures(&id()).expect("read").len(), 1);
    check_gone(dir);
    checked(dir);
    erasure
}

#[test]
fn a_row_is_found_by_the_name_of_an_earlier_source_in_files_that_later_versions_share() {
    let dir = tempfile::tempdir().expect("a directory");
    let erasure = erased_by(dir.path(), ["ИИН", "Аты"], ["IIN", "Name"], "ИИН");
    let lost = [2, 1].map(|version| (VersionNumber(version), 1));
    assert_eq!((erasure.keys_found, erasure.rows, erasure.versions.as_slice()), (1, 1, &lost[..]));
    assert_eq!(erasure.versions_without_columns, [VersionNumber(2)]);
}

#[test]
fn a_name_that_means_another_column_in_a_later_source_is_looked_for_in_both() {
    let dir = tempfile::tempdir().expect("a directory");
    let erasure = erased_by(dir.path(), ["A", "B"], ["B", "A"], "A");
    assert_eq!((erasure.keys_found, erasure.rows), (1, 1));
    assert_eq!(erasure.versions_without_columns, []);
}
