//! A part of a kept raster: a box in degrees becomes whole pixels, which are copied as they are.

use super::cog::{open, write};
use super::footprint::ring;
use super::{COG_MEDIA_TYPE, DerivedFile};
use crate::formats::Format;
use crate::gdal::{PixelWindow, RasterHead};
use crate::source::Staged;
use ukimet_model::{BoundingBox, Crs, Error, Result};
use ukimet_normalize::from_crs84;

/// Parts of each edge of a box that is brought into the raster's CRS.
const EDGE_PARTS: f64 = 32.0;

/// Cuts a kept raster: every pixel that the box touches, and no more than the rows and columns that this takes.
///
/// # Errors
///
/// `InvalidRequest` if the box does not touch the raster or crosses the antimeridian; `InvalidData` if the file is no
/// raster with a place.
pub(crate) fn cut(datasets: &[(Staged, &'static Format)], bbox: BoundingBox) -> Result<DerivedFile> {
    let [(staged, format)] = datasets else {
        return Err(Error::invalid_request("a window is cut from one raster, found an archive"));
    };
    if format.driver != Some("GTiff") {
        return Err(Error::invalid_request(format!("a window is cut from a GeoTIFF, found {}", format.name)));
    }
    if bbox.west > bbox.east {
        return Err(Error::invalid_request("the box crosses the antimeridian; ask for each side by itself"));
    }
    let source = open(&staged.main)?;
    let head = source.head()?;
    let (transform, crs) = (head.transform, head.crs.clone());
    let (Some(transform), Some(crs)) = (transform, crs) else {
        return Err(Error::invalid_data("a raster with a place and a crs was expected, found one without"));
    };
    let outside = || {
        Error::invalid_request(format!(
            "the box {} {} {} {} lies outside the raster",
            bbox.west, bbox.south, bbox.east, bbox.north
        ))
    };
    let window = pixels(&head, &transform, &crs, bbox)?.ok_or_else(outside)?;
    let path = staged.main.with_file_name("window.tif");
    write(&source, &head, None, Some(window), &path)?;
    Ok(DerivedFile { name: staged.stem().to_owned(), media_type: COG_MEDIA_TYPE.to_owned(), row: 0, path })
}

/// The window of pixels that a box touches; `None` if it touches none.
fn pixels(head: &RasterHead, transform: &[f64; 6], crs: &Crs, bbox: BoundingBox) -> Result<Option<PixelWindow>> {
    let (width, height) = (head.width as f64, head.height as f64);
    let at = |column: f64, row: f64| {
        (
            transform[0] + column * transform[1] + row * transform[2],
            transform[3] + column * transform[4] + row * transform[5],
        )
    };
    let outline = ring(transform, width, height);
    let east = outline.iter().map(|p| p.0).fold(f64::NEG_INFINITY, f64::max);
    let west = outline.iter().map(|p| p.0).fold(f64::INFINITY, f64::min);
    let mut places = edges(bbox);
    from_crs84(crs, at(width / 2.0, height / 2.0), &mut places)?;
    // A raster in degrees may count its longitudes from 0 to 360.
    let is_degrees = places == edges(bbox);
    let turn = if is_degrees && bbox.east < west {
        360.0
    } else if is_degrees && bbox.west > east {
        -360.0
    } else {
        0.0
    };
    let determinant = transform[1] * transform[5] - transform[2] * transform[4];
    let pixel = |(x, y): (f64, f64)| {
        let (x, y) = (x + turn - transform[0], y - transform[3]);
        ((x * transform[5] - y * transform[2]) / determinant, (y * transform[1] - x * transform[4]) / determinant)
    };
    let pixels: Vec<(f64, f64)> =
        places.into_iter().map(pixel).filter(|p| p.0.is_finite() && p.1.is_finite()).collect();
    let range = |part: fn(&(f64, f64)) -> f64, max: f64| {
        let from = pixels.iter().map(part).fold(f64::INFINITY, f64::min);
        let to = pixels.iter().map(part).fold(f64::NEG_INFINITY, f64::max);
        // A border that rounding moved by less than a millionth of a pixel is still the border.
        let (from, to) = ((from + 1e-6).floor().max(0.0), (to - 1e-6).ceil().min(max));
        (from < to).then_some((from as usize, to as usize))
    };
    let ranges = range(|p| p.0, width).zip(range(|p| p.1, height));
    Ok(ranges.map(|((left, right), (top, bottom))| PixelWindow {
        left,
        top,
        width: right - left,
        height: bottom - top,
    }))
}

/// Positions along the four edges of a box, and inside, where a curved edge may reach farther.
fn edges(bbox: BoundingBox) -> Vec<(f64, f64)> {
    let parts = EDGE_PARTS as usize;
    let at = |from: f64, to: f64, part: usize| {
        if part == parts { to } else { from + (to - from) * part as f64 / EDGE_PARTS }
    };
    let line =
        |row: usize| (0..=parts).map(move |column| (at(bbox.west, bbox.east, column), at(bbox.south, bbox.north, row)));
    (0..=parts).flat_map(line).collect()
}
