//! Lists read back as they were written, and compose to what the versions at both ends say.

use super::{Change, ChangeList, ColumnSet, ListWriter, compose};
use crate::disk::Disk;
use crate::disk::recording::RecordingDisk;
use crate::objects::{Object, Objects};
use crate::rows::Place;
use arrow_array::{ArrayRef, Int64Array};
use arrow_schema::{DataType, Field, Schema};
use proptest::prelude::*;
use std::collections::BTreeMap;
use std::sync::Arc;
use ukimet_model::Sha256;

const SEGMENT: Sha256 = Sha256([7; 32]);

fn place(position: u32) -> Place {
    Place { segment: 0, position }
}

/// The list from one state to the next; a state says for each key where its row lies.
fn between(before: &BTreeMap<u8, u32>, after: &BTreeMap<u8, u32>) -> ChangeList {
    let mut keys: Vec<u8> = before.keys().chain(after.keys()).copied().collect();
    keys.sort_unstable();
    keys.dedup();
    let side = |state: &BTreeMap<u8, u32>, key: u8| state.get(&key).copied().map(place);
    let change = |key: u8| Change::new(u128::from(key), side(before, key), side(after, key));
    let changes = keys.into_iter().map(change).filter(|change| change.before != change.after).collect();
    ChangeList { segments: vec![SEGMENT], column_sets: Vec::new(), changes }
}

fn store() -> Objects {
    let disk = RecordingDisk::default();
    for dir in [crate::paths::SCRATCH, "raw"] {
        disk.create_dir(dir).expect("room");
    }
    Objects::new(Arc::new(disk))
}

/// Bytes as an object of a store in memory.
fn object(bytes: &[u8]) -> Object {
    let objects = store();
    objects.put_if_absent("raw/list", bytes).expect("room");
    objects.open("raw/list").expect("there")
}

fn bytes_of(object: &Object) -> Vec<u8> {
    object.read(0, object.size_bytes() as usize).expect("whole").to_vec()
}

/// A list of one row with another value, one that is gone, one that is new; the file with it, and the values in it.
fn described() -> (ChangeList, Vec<u8>) {
    let mut list = between(&BTreeMap::from([(1, 1), (2, 2)]), &BTreeMap::from([(2, 5), (3, 3)]));
    list.sort();
    list.column_sets = vec![vec![1], vec![0, 1]];
    (list.changes[1].columns, list.changes[0].values, list.changes[1].values) =
        (Some(1), Some(place(0)), Some(place(1)));
    let objects = store();
    let mut writer = ListWriter::begin(&objects).expect("room");
    let column: ArrayRef = Arc::new(Int64Array::from(vec![Some(7), None]));
    let schema = Schema::new(vec![Field::new("value", DataType::Int64, false)]);
    let mut values = writer.values(&schema).expect("begun");
    values.write(vec![column]).expect("taken");
    values.finish().expect("room");
    writer.finish(&list).expect("room").publish("raw/list").expect("room");
    (list, bytes_of(&objects.open("raw/list").expect("there")))
}

#[test]
fn a_list_comes_back_with_its_columns_and_values() {
    let (list, bytes) = described();
    let (found, values) = ChangeList::read(&object(&bytes)).expect("a list");
    assert_eq!(found, list);
    let values = bytes_of(&values.expect("there are some"));
    assert_eq!((&values[..4], &values[values.len() - 4..]), (&b"PAR1"[..], &b"PAR1"[..]));
    for length in 0..bytes.len() {
        assert!(ChangeList::read(&object(&bytes[..length])).is_err(), "{length} bytes");
    }
}

#[test]
fn a_list_of_an_earlier_release_is_read() {
    let list = between(&BTreeMap::from([(1, 1), (2, 2)]), &BTreeMap::from([(2, 5), (3, 3)]));
    let mut bytes = b"UKMCHNG1".to_vec();
    bytes.extend_from_slice(&1_u64.to_be_bytes());
    bytes.extend_from_slice(&SEGMENT.0);
    bytes.extend_from_slice(&3_u64.to_be_bytes());
    for change in &list.changes {
        bytes.extend_from_slice(&change.key.to_be_bytes());
        for side in [change.before, change.after] {
            let Place { segment, position } = side.unwrap_or(Place { segment: u32::MAX, position: 0 });
            bytes.extend([segment, position].iter().flat_map(|number| number.to_be_bytes()));
        }
    }
    let (found, values) = ChangeList::read(&object(&bytes)).expect("a list");
    assert_eq!((found, values.is_none()), (list, true));
    for length in 0..bytes.len() {
        assert!(ChangeList::read(&object(&bytes[..length])).is_err(), "{length} bytes");
    }
    bytes[8 + 8 + 32 + 8 + 16 + 3] = 9;
    assert!(ChangeList::read(&object(&bytes)).is_err(), "a segment that is not in the list");
}

#[test]
fn columns_add_up_and_values_stay_where_they_are_enough() {
    let list = |sides: [Option<u32>; 2], columns: Option<ColumnSet>| ChangeList {
        segments: vec![SEGMENT],
        column_sets: columns.iter().cloned().collect(),
        changes: vec![Change {
            columns: columns.map(|_| 0),
            values: sides[0].map(|_| place(4)),
            ..Change::new(1, sides[0].map(place), sides[1].map(place))
        }],
    };
    let changed = |columns: &[u32]| list([Some(1), Some(2)], Some(columns.to_vec()));
    let check = |lists: &[ChangeList], columns: Option<&[u32]>, has_values: bool| {
        let composed = compose(lists, true);
        let [change] = &composed.changes[..] else { panic!("one change, found {composed:?}") };
        let found = change.columns.map(|set| &composed.column_sets[set as usize][..]);
        assert_eq!((found, change.values), (columns, has_values.then_some(place(4))));
    };
    check(&[changed(&[1]), changed(&[1])], Some(&[1]), true);
    check(&[changed(&[0, 2]), changed(&[2])], Some(&[0, 2]), true);
    check(&[changed(&[2]), changed(&[0, 2])], Some(&[0, 2]), false);
    check(&[changed(&[1]), list([Some(2), Some(3)], None)], None, false);
    check(&[changed(&[1]), list([Some(2), None], None)], None, false);
    check(&[list([Some(1), None], None), list([None, Some(3)], None)], None, true);
}

#[test]
fn equal_rows_that_come_and_go_leave_their_number() {
    let one = |before: Option<u32>, after: Option<u32>| ChangeList {
        segments: vec![SEGMENT],
        column_sets: Vec::new(),
        changes: vec![Change::new(1, before.map(place), after.map(place))],
    };
    let lists = [one(None, Some(1)), one(None, Some(2)), one(Some(1), None), one(None, Some(3))];
    assert_eq!(compose(&lists, false).changes.len(), 2, "two more than before");
    assert_eq!(compose(&[one(Some(4), None), one(None, Some(5))], false).changes, []);
}

proptest! {
    #[test]
    fn lists_compose_to_the_list_between_the_ends(
        states in proptest::collection::vec(proptest::collection::btree_map(0..6_u8, 0..4_u32, 0..6), 2..6),
    ) {
        let lists: Vec<_> = states.windows(2).map(|pair| between(&pair[0], &pair[1])).collect();
        let mut composed = compose(&lists, true);
        // There and back again: only the values tell, which here are the places.
        composed.changes.retain(|change| change.before != change.after);
        prop_assert_eq!(composed.changes, between(&states[0], &states[states.len() - 1]).changes);
    }
}
