//! The packed Hilbert R-tree beside a segment: item `i` is row `i`, boxes are `f32`, rounded outward.

use arrow_buffer::{Buffer, MutableBuffer};
use geo_index::rtree::sort::HilbertSort;
use geo_index::rtree::{RTreeBuilder, RTreeIndex, RTreeRef};
use ukimet_model::{BoundingBox, Error, Result};

/// A box `[min x, min y, max x, max y]` that holds the one it was rounded from.
pub(crate) type OuterBox = [f32; 4];

/// Rounds a box outward, so that it never shrinks.
pub(crate) fn outer_box([min_x, min_y, max_x, max_y]: [f64; 4]) -> OuterBox {
    [round_down(min_x), round_down(min_y), round_up(max_x), round_up(max_y)]
}

fn round_down(value: f64) -> f32 {
    let near = value as f32;
    if f64::from(near) > value { near.next_down() } else { near }
}

fn round_up(value: f64) -> f32 {
    let near = value as f32;
    if f64::from(near) < value { near.next_up() } else { near }
}

/// Builds the tree's bytes; the same boxes give the same bytes.
pub(crate) fn build(boxes: &[OuterBox]) -> Vec<u8> {
    // A segment's rows fit `u32`: the option that limits them is far below.
    let mut builder = RTreeBuilder::<f32>::new(boxes.len() as u32);
    for [min_x, min_y, max_x, max_y] in boxes {
        builder.add(*min_x, *min_y, *max_x, *max_y);
    }
    builder.finish::<HilbertSort>().into_inner()
}

/// A tree in memory.
pub(crate) struct Tree(Aligned);

struct Aligned(Buffer);

impl AsRef<[u8]> for Aligned {
    fn as_ref(&self) -> &[u8] {
        &self.0
    }
}

/// A row that a window may hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Candidate {
    /// The row's number in its segment.
    pub(crate) row: u32,
    /// Whether its box lies inside the window, so that the row surely does.
    pub(crate) is_inside: bool,
}

impl Tree {
    /// Takes the bytes of a tree, which were checked against their hash.
    ///
    /// # Errors
    ///
    /// `Internal` if they are not a tree.
    pub(crate) fn try_new(bytes: &[u8]) -> Result<Self> {
        // Numbers are read in place, which needs aligned bytes.
        let mut aligned = MutableBuffer::with_capacity(bytes.len());
        aligned.extend_from_slice(bytes);
        let tree = Self(Aligned(aligned.into()));
        tree.get()?;
        Ok(tree)
    }

    fn get(&self) -> Result<RTreeRef<'_, f32>> {
        RTreeRef::try_new(&self.0).map_err(|e| Error::internal("an R-tree does not parse").caused_by(e))
    }

    pub(crate) fn size_bytes(&self) -> usize {
        self.0.as_ref().len()
    }

    /// Every row with its box, sorted.
    pub(crate) fn items(&self) -> Result<Vec<(u32, OuterBox)>> {
        let tree = self.get()?;
        let (boxes, indices) = (tree.boxes(), tree.indices());
        let leaves = boxes.chunks_exact(4).take(tree.num_items() as usize);
        let item = |(at, sides): (usize, &[f32])| (indices.get(at) as u32, [sides[0], sides[1], sides[2], sides[3]]);
        let mut items: Vec<_> = leaves.enumerate().map(item).collect();
        items.sort_unstable_by_key(|(row, _)| *row);
        Ok(items)
    }

    /// The rows whose box shares a place with a part of the window, sorted.
    pub(crate) fn candidates(&self, window: &BoundingBox) -> Result<Vec<Candidate>> {
        let tree = self.get()?;
        let mut found = Vec::new();
        for part in window.parts() {
            search(&tree, &part, &mut found);
        }
        // A row that two parts share counts once, and as inside if it is inside one of them.
        found.sort_unstable_by_key(|candidate: &Candidate| (candidate.row, !candidate.is_inside));
        found.dedup_by_key(|candidate| candidate.row);
        Ok(found)
    }
}

fn search(tree: &RTreeRef<'_, f32>, window: &BoundingBox, found: &mut Vec<Candidate>) {
    let [west, south, east, north] = outer_box((*window).into());
    let mut open = if tree.num_items() == 0 { Vec::new() } else { vec![tree.boxes().len() - 4] };
    let (boxes, indices) = (tree.boxes(), tree.indices());
    let leaves_end = tree.num_items() as usize * 4;
    while let Some(at) = open.pop() {
        let [min_x, min_y, max_x, max_y] = [boxes[at], boxes[at + 1], boxes[at + 2], boxes[at + 3]];
        if max_x < west || max_y < south || min_x > east || min_y > north {
            continue;
        }
        let index = indices.get(at >> 2);
        if at < leaves_end {
            let outer = [min_x, min_y, max_x, max_y].map(f64::from);
            found.push(Candidate { row: index as u32, is_inside: window.contains(&outer.into()) });
        } else {
            let level_end = tree.level_bounds().iter().copied().find(|end| *end > index).unwrap_or(boxes.len());
            let end = (index + tree.node_size() as usize * 4).min(level_end);
            open.extend((index..end).step_by(4));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_rounded_box_never_shrinks() {
        let exact = [76.123_456_789, 43.2, 76.123_456_79, 43.200_000_1];
        let outer = outer_box(exact).map(f64::from);
        assert!(outer[0] <= exact[0] && outer[1] <= exact[1] && outer[2] >= exact[2] && outer[3] >= exact[3]);
        assert_eq!(outer_box([1.0, 2.0, 3.0, 4.0]).map(f32::to_bits), [1.0_f32, 2.0, 3.0, 4.0].map(f32::to_bits));
    }

    fn boxes() -> impl Strategy<Value = Vec<[f64; 4]>> {
        let one = (-180.0..180.0, -90.0..90.0, 0.0..5.0, 0.0..5.0);
        proptest::collection::vec(one.prop_map(|(x, y, w, h): (f64, f64, f64, f64)| [x, y, x + w, y + h]), 1..200)
    }

    proptest! {
        #[test]
        fn every_row_that_the_window_meets_is_a_candidate(
            boxes in boxes(), x in -180.0..180.0, y in -90.0..80.0, east in -180.0..180.0, height in 0.0..10.0,
        ) {
            let (x, y, east, height): (f64, f64, f64, f64) = (x, y, east, height);
            let window = BoundingBox::from([x, y, east, y + height]);
            let outer: Vec<OuterBox> = boxes.iter().copied().map(outer_box).collect();
            let tree = Tree::try_new(&build(&outer)).expect("own bytes");
            let found = tree.candidates(&window).expect("own bytes");
            for (row, exact) in boxes.iter().enumerate() {
                let candidate = found.iter().find(|candidate| candidate.row as usize == row);
                let meets = window.intersects(&(*exact).into());
                prop_assert!(!meets || candidate.is_some());
                prop_assert!(candidate.is_none_or(|c| !c.is_inside || window.contains(&(*exact).into())));
            }
        }
    }
}
