//! Headers, positions and boxes of WKB are read.

use crate::kernel::Work;
use crate::parcels::rings;
use ukimet_model::Error;
use ukimet_model::wkb::inspect as inspect_wkb;

pub(crate) const ROWS: u64 = 50_000;
/// Vertices of a ring, the last one repeated.
const VERTICES: u64 = 13;

/// Each polygon is looked at as the normalizer and the catalog do first.
pub(crate) fn inspect(rows: u64) -> Work {
    let column = rings(rows, (76.5, 43.0), (4e-4, 3e-4));
    Work::new(rows * VERTICES, move || {
        column.iter().flatten().try_fold(0, |vertices, wkb| match inspect_wkb(wkb) {
            Ok(shape) => Ok(vertices + shape.vertices),
            Err(error) => Err(Error::internal("a made-up ring is no WKB").caused_by(error)),
        })
    })
}
