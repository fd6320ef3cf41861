//! Geometries of one batch are tested by as many threads as the machine has processors.

use super::validity::{self, Verdict};
use arrow_array::BinaryArray;
use std::num::NonZero;
use std::panic::resume_unwind;
use std::thread;
use ukimet_model::wkb::{GeometryType, Shape};

/// Threads at most: what is left of a batch is not worth another one.
const THREADS_MAX: usize = 8;
/// Positions below which a thread costs more than it saves.
const THREAD_VERTICES_MIN: u64 = 4096;

/// What is found of each row that has a path or a face; rows above `repair_vertices_max` positions are not repaired.
pub(super) fn verdicts(
    column: &BinaryArray,
    shapes: &[Option<Shape>],
    repair_vertices_max: u64,
) -> Vec<Option<Verdict>> {
    let test = |i: usize| {
        let shape = shapes[i].filter(|shape| shape.vertices > 0 && !is_puntal(shape.kind))?;
        Some(validity::test(column.value(i), &shape, shape.vertices <= repair_vertices_max))
    };
    let threads = thread::available_parallelism().map_or(1, NonZero::get).min(THREADS_MAX);
    let mut parts = parts(shapes, threads).into_iter();
    let Some(first) = parts.next() else { return Vec::new() };
    thread::scope(|scope| {
        // A thread that cannot be had is this one.
        let others: Vec<_> = parts
            .map(|part| {
                let rows = part.clone();
                let thread = thread::Builder::new().spawn_scoped(scope, move || rows.map(test).collect::<Vec<_>>());
                thread.map_err(|_| part)
            })
            .collect();
        let mut verdicts: Vec<_> = first.map(test).collect();
        for other in others {
            match other {
                Ok(thread) => verdicts.extend(thread.join().unwrap_or_else(|panic| resume_unwind(panic))),
                Err(rows) => verdicts.extend(rows.map(test)),
            }
        }
        verdicts
    })
}

/// The rows in runs of about as many positions, one run a thread.
fn parts(shapes: &[Option<Shape>], threads: usize) -> Vec<std::ops::Range<usize>> {
    let vertices = |shape: &Option<Shape>| shape.map_or(0, |shape| shape.vertices);
    let total: u64 = shapes.iter().map(vertices).sum();
    let a_thread = (total / threads as u64 + 1).max(THREAD_VERTICES_MIN);
    let (mut parts, mut from, mut sum) = (Vec::new(), 0, 0);
    for (i, shape) in shapes.iter().enumerate() {
        sum += vertices(shape);
        if sum >= a_thread {
            parts.push(from..i + 1);
            (from, sum) = (i + 1, 0);
        }
    }
    if from < shapes.len() {
        parts.push(from..shapes.len());
    }
    parts
}

fn is_puntal(kind: GeometryType) -> bool {
    matches!(kind, GeometryType::Point | GeometryType::MultiPoint)
}

#[cfg(test)]
mod tests {
    use super::*;
    use ukimet_model::wkb;

    fn shapes(vertices: &[u64]) -> Vec<Option<Shape>> {
        let point = [&[1, 1, 0, 0, 0][..], &[0; 16]].concat();
        let shape = wkb::inspect(&point).expect("a point");
        vertices.iter().map(|count| (*count > 0).then_some(Shape { vertices: *count, ..shape })).collect()
    }

    #[test]
    fn rows_are_shared_out_by_their_positions() {
        assert_eq!(parts(&shapes(&[10; 100]), 2).len(), 1, "too few to share");
        assert_eq!(parts(&shapes(&[1000; 100]), 2), [0..51, 51..100]);
        assert_eq!(parts(&shapes(&[90_000, 0, 10, 10, 10]), 4), [0..1, 1..5], "one large geometry is one thread's");
        assert_eq!(parts(&shapes(&[0; 5]), 2).len(), 1);
        assert!(parts(&[], 2).is_empty());
    }

    #[test]
    fn the_verdict_of_a_row_is_its_own_however_many_threads_there_are() {
        // A square, a bow tie and a point in turns, enough of them for several threads.
        let ring = |corners: [(f64, f64); 4]| {
            let mut bytes = vec![1, 3, 0, 0, 0, 1, 0, 0, 0, 5, 0, 0, 0];
            for (x, y) in corners.into_iter().chain([corners[0]]) {
                bytes.extend(f64::to_le_bytes(x));
                bytes.extend(f64::to_le_bytes(y));
            }
            bytes
        };
        let square = ring([(70.0, 40.0), (71.0, 40.0), (71.0, 41.0), (70.0, 41.0)]);
        let bow_tie = ring([(70.0, 40.0), (71.0, 41.0), (71.0, 40.0), (70.0, 41.0)]);
        let point = [&[1, 1, 0, 0, 0][..], &[0; 16]].concat();
        let column: BinaryArray = (0..6000).map(|i| Some([&square, &bow_tie, &point][i % 3].as_slice())).collect();
        let shapes: Vec<_> = (0..6000).map(|i| wkb::inspect(column.value(i)).ok()).collect();
        let found = verdicts(&column, &shapes, 100);
        assert_eq!(found.len(), 6000);
        for (i, verdict) in found.iter().enumerate() {
            let is_as_expected = match i % 3 {
                0 => *verdict == Some(Verdict::Valid),
                1 => matches!(verdict, Some(Verdict::Repaired(_))),
                _ => verdict.is_none(),
            };
            assert!(is_as_expected, "row {i}: {verdict:?}");
        }
    }
}
