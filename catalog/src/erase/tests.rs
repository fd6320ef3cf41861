//! What comes between looking and committing.

use super::*;
use crate::catalog::tests::erasures::{DATASET, intent};
use crate::catalog::tests::{Push, open};
use crate::disk::recording::RecordingDisk;

#[test]
fn a_push_that_changes_nothing_while_rows_are_looked_for_is_asked_as_well() {
    let catalog = open(Arc::new(RecordingDisk::default())).expect("an empty disk");
    let push = |id: &str, dataset: &'static str| Push::new(id, dataset, 0..3).send(&catalog).expect("taken");
    push("p1", DATASET);
    let shared = catalog.shared();
    let commit = |prepared: PreparedErasure| shared.committer.commit(shared, Arc::new(prepared)).expect("asked");
    let (prepared, _claims) = prepare(shared, &intent()).expect("prepared");
    push("p2", DATASET);
    assert!(matches!(commit(prepared), Answer::Moved), "its bytes hold the row");
    let (prepared, _claims) = prepare(shared, &intent()).expect("prepared");
    push("p3", "almaty/others");
    assert!(matches!(commit(prepared), Answer::Recorded(..)), "other bytes into another dataset are no matter");
    let erasures = catalog.snapshot().erasures(&intent().dataset).expect("read");
    let pushes: Vec<_> = erasures[0].pushes.iter().map(ukimet_model::PushId::as_str).collect();
    assert_eq!(pushes, ["p1", "p2"]);
}

#[test]
fn what_would_be_erased_is_looked_for_again_if_another_erasure_took_files_meanwhile() {
    let catalog = open(Arc::new(RecordingDisk::default())).expect("an empty disk");
    Push::new("p1", DATASET, 0..3).send(&catalog).expect("taken");
    let (shared, intent) = (catalog.shared(), intent());
    let mut looks = 0;
    let told = look_through(shared, &intent.dataset, || {
        looks += 1;
        if looks == 1 {
            assert_eq!(foresee(shared, &intent).expect("told").rows, 1);
            catalog.erase(&intent).expect("erased");
            return Err(Error::not_found("a file that went"));
        }
        foresee(shared, &intent)
    });
    assert_eq!((told.expect("told").rows, looks), (0, 2));
    let damaged = look_through(shared, &intent.dataset, || Err::<(), _>(Error::internal("a damaged file")));
    assert!(damaged.expect_err("no erasure was the reason").message().contains("damaged"));
}
