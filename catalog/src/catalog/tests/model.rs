//! Sequences of everything that is done to a dataset, with power cuts in between, compared with a model.
//!
//! `UKIMET_MODEL_SEQUENCES` says how many sequences are tried (2000 unless told otherwise), `UKIMET_MODEL_SEED` the
//! number of the first; the same number is always the same sequence. One that fails is named with its number, and the
//! shortest one found that fails the same way is shown.

mod expected;
mod real;

use crate::disk::recording::{Operation, RecordingDisk, Survival};
use expected::{Model, Rows};
use proptest::prelude::*;
use proptest::test_runner::{Config, RngAlgorithm, TestError, TestRng, TestRunner};
use real::Dataset;
use std::collections::BTreeSet;
use std::panic::resume_unwind;
use std::thread;
use ukimet_model::SnapshotId;

/// Something that is asked for. What is new is a variant here, its effect an arm in
/// [`Model::apply`], and how it is asked for an arm in [`Dataset::take`].
#[derive(Clone, Debug)]
enum Action {
    Replace(Rows),
    Upsert(Rows, BTreeSet<i64>),
    Append(Rows),
    RollBack(Pick),
    SetTag(u8, Pick, bool),
    DeleteTag(u8),
    AddNote(Pick),
    /// Keeps so many versions, and those with a tag, or all.
    Keep(Option<(u64, bool)>),
    /// Puts the rows of the newest version into fresh files: nobody can tell.
    Compact,
    /// Erases the rows of a number from every version.
    Erase(i64),
    /// Removes what is not kept, then the files that nobody needs.
    Clean,
}

/// One of the versions that ever were, by chance.
type Pick = prop::sample::Index;

/// What happens while an action is taken.
#[derive(Clone, Debug)]
enum Weather {
    Calm,
    /// The catalog is opened again afterwards, closed well before or not.
    Restart(bool),
    /// The power is cut after a part of the action's disk operations; of what was not synced, the number says what stays.
    PowerCut(Pick, Option<u64>),
}

/// Rows by number: a value, and a place along the 43rd parallel in hundredths of a degree.
fn rows(max: usize) -> impl Strategy<Value = Rows> {
    prop::collection::btree_map(0..10_i64, (0..3_i64, 0..3_i64), 0..max)
}

fn action() -> impl Strategy<Value = Action> {
    let pick = any::<Pick>;
    prop_oneof![
        4 => rows(9).prop_map(Action::Replace),
        5 => (rows(4), prop::collection::btree_set(0..10_i64, 0..4)).prop_map(|(rows, deletes)| Action::Upsert(rows, deletes)),
        3 => rows(3).prop_map(Action::Append),
        3 => pick().prop_map(Action::RollBack),
        2 => (0..2_u8, pick(), any::<bool>()).prop_map(|(tag, version, is_move)| Action::SetTag(tag, version, is_move)),
        1 => (0..2_u8).prop_map(Action::DeleteTag),
        1 => pick().prop_map(Action::AddNote),
        2 => prop::option::weighted(0.8, (1..4_u64, any::<bool>())).prop_map(Action::Keep),
        3 => Just(Action::Compact),
        2 => (0..10_i64).prop_map(Action::Erase),
        3 => Just(Action::Clean),
    ]
}

fn weather() -> impl Strategy<Value = Weather> {
    prop_oneof![
        6 => Just(Weather::Calm),
        1 => any::<bool>().prop_map(Weather::Restart),
        3 => (any::<Pick>(), any::<Option<u64>>()).prop_map(|(cut, kept)| Weather::PowerCut(cut, kept)),
    ]
}

type Sequence = (Rows, Vec<(Action, Weather)>);

fn sequence() -> impl Strategy<Value = Sequence> {
    (rows(9), prop::collection::vec((action(), weather()), 2..9))
}

/// What was true after a commit.
type Moment = (SnapshotId, Model);

/// Takes the actions one after the other; a panic tells what went wrong.
fn run((first, steps): &Sequence) {
    let mut disk = RecordingDisk::default();
    let mut dataset = Dataset::open(&disk);
    let mut model = Model::default();
    let mut past: Vec<Moment> = Vec::new();
    let first = (Action::Replace(first.clone()), Weather::Calm);
    for (number, (action, weather)) in std::iter::once(&first).chain(steps).enumerate() {
        let before = model.clone();
        let expected = model.apply(action);
        let begun = disk.operations().len();
        assert_eq!(dataset.take(number, action, &before), expected, "{number}: {action:?} onto {before:?}");
        match weather {
            Weather::Calm => (),
            Weather::Restart(is_closed) => {
                if *is_closed {
                    dataset.close();
                }
                disk = disk.copy();
                dataset = Dataset::open(&disk);
            }
            Weather::PowerCut(cut, kept) => {
                disk = cut_power(&disk, begun, *cut, *kept);
                dataset = Dataset::open(&disk);
                let found = dataset.observe();
                assert!(found == before || found == model, "{number}: {action:?} was cut and left {found:?}");
                let again = dataset.take(number, action, &before);
                assert_eq!(again, expected, "{number}: {action:?} again");
            }
        }
        past.push((dataset.snapshot(), model.clone()));
    }
    assert_eq!(dataset.observe(), model);
    dataset.check_diffs(&model);
    dataset.check_past(&past, &model);
    dataset.check_store();
}

/// The disk after a power cut during the operations from `begun` on. Those before it were acknowledged.
fn cut_power(disk: &RecordingDisk, begun: usize, cut: Pick, kept: Option<u64>) -> RecordingDisk {
    let operations: Vec<Operation> = disk.operations();
    let count = begun + cut.index(operations.len() - begun + 1);
    let survival = kept.map_or(Survival::Everything, |kept| match kept % 8 {
        0 => Survival::Nothing,
        _ => Survival::Some(kept),
    });
    RecordingDisk::crash_over(&disk.beginning(), &operations, count, survival)
}

fn number_of(variable: &str, default: u64) -> u64 {
    std::env::var(variable).map_or(default, |text| text.parse().expect("a number"))
}

fn try_sequence(seed: u64) {
    let config = Config { cases: 1, failure_persistence: None, max_shrink_iters: 400, ..Config::default() };
    let mut bytes = [0; 32];
    bytes[..8].copy_from_slice(&seed.to_le_bytes());
    let mut runner = TestRunner::new_with_rng(config, TestRng::from_seed(RngAlgorithm::ChaCha, &bytes));
    let tried = runner.run(&sequence(), |sequence| {
        run(&sequence);
        Ok(())
    });
    match tried {
        Ok(()) => (),
        Err(TestError::Fail(reason, shortest)) => {
            panic!("UKIMET_MODEL_SEED={seed} UKIMET_MODEL_SEQUENCES=1 fails: {reason}\nshortest: {shortest:#?}")
        }
        Err(other) => panic!("UKIMET_MODEL_SEED={seed}: {other}"),
    }
}

#[test]
fn any_sequence_of_actions_and_power_cuts_gives_what_the_model_says() {
    let (first, count) = (number_of("UKIMET_MODEL_SEED", 1), number_of("UKIMET_MODEL_SEQUENCES", 2000));
    let workers = thread::available_parallelism().map_or(1, usize::from);
    thread::scope(|scope| {
        let threads: Vec<_> = (0..workers)
            .map(|worker| {
                scope.spawn(move || (first..first + count).skip(worker).step_by(workers).for_each(try_sequence))
            })
            .collect();
        for thread in threads {
            thread.join().unwrap_or_else(|panic| resume_unwind(panic));
        }
    });
}
