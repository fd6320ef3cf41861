//! Lists read back as they were written, and compose to what the versions at both ends say.

use super::{Change, ChangeList, compose};
use crate::rows::Place;
use proptest::prelude::*;
use std::collections::BTreeMap;
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
    let change = |key: u8| Change {
        key: u128::from(key),
        before: before.get(&key).copied().map(place),
        after: after.get(&key).copied().map(place),
    };
    let changes = keys.into_iter().map(change).filter(|change| change.before != change.after).collect();
    ChangeList { segments: vec![SEGMENT], changes }
}

#[test]
fn every_cut_of_a_list_is_refused() {
    let list = between(&BTreeMap::from([(1, 1), (2, 2)]), &BTreeMap::from([(2, 5), (3, 3)]));
    let mut bytes = Vec::new();
    list.write(&mut bytes).expect("room");
    assert_eq!(ChangeList::parse(&bytes), Some(list));
    for length in 0..bytes.len() {
        assert_eq!(ChangeList::parse(&bytes[..length]), None, "{length} bytes");
    }
    let mut foreign = bytes.clone();
    foreign[8 + 8 + 32 + 8 + 16 + 3] = 9;
    assert_eq!(ChangeList::parse(&foreign), None, "a segment that is not in the list");
}

#[test]
fn equal_rows_that_come_and_go_leave_their_number() {
    let one = |before: Option<u32>, after: Option<u32>| ChangeList {
        segments: vec![SEGMENT],
        changes: vec![Change { key: 1, before: before.map(place), after: after.map(place) }],
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
