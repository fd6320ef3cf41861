//! Whether a geometry shares a place with a window, exactly.

use crate::shape::{bounds, geometry};
use geo::{Intersects, Rect};
use ukimet_model::BoundingBox;

/// A window as one or two rectangles.
pub(crate) struct Window {
    bbox: BoundingBox,
    parts: Vec<Rect<f64>>,
}

impl Window {
    pub(crate) fn new(bbox: &BoundingBox) -> Self {
        let rectangle = |part: BoundingBox| Rect::new((part.west, part.south), (part.east, part.north));
        Self { bbox: *bbox, parts: bbox.parts().into_iter().map(rectangle).collect() }
    }

    /// Whether a geometry, as WKB, shares a place with the window, borders included. An empty one never does.
    pub(crate) fn meets(&self, wkb: &[u8]) -> bool {
        let Some(bounds) = bounds(wkb) else { return false };
        if !self.bbox.intersects(&bounds) {
            return false;
        }
        if self.bbox.contains(&bounds) {
            return true;
        }
        geometry(wkb).is_some_and(|geometry| self.parts.iter().any(|part| part.intersects(&geometry)))
    }
}
