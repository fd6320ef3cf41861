//! What is worth knowing about a raster, and what its copy does not keep.

use super::RasterCrs;
use super::check::type_name;
use super::statistics::BandStatistics;
use crate::gdal::{BandHead, RasterHead, number};
use crate::source::{Staged, finding};
use gdal::spatial_ref::SpatialRef;
use ukimet_model::{Diagnostic, Severity};

fn note(rule: &str, message: &str) -> Diagnostic {
    finding(rule, Severity::Note, message.to_owned(), 1, &[])
}

fn warning(rule: &str, message: String, found: &[String]) -> Diagnostic {
    finding(rule, Severity::Warning, message, found.len().max(1) as u64, found)
}

/// Files beside the raster, which are not read.
pub(super) fn of_sidecars(staged: &Staged) -> Option<Diagnostic> {
    let main = staged.main.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    let beside: Vec<String> = staged.names.iter().filter(|name| **name != main).cloned().collect();
    let message = "files beside the raster (places, statistics, overviews) are not read; what matters belongs into it";
    (!beside.is_empty()).then(|| warning("raster.sidecar_ignored", message.to_owned(), &beside))
}

/// What the driver warned about.
pub(super) fn found_by_driver(warnings: &[String]) -> Option<Diagnostic> {
    let message = "the reader warned about the file".to_owned();
    (!warnings.is_empty()).then(|| finding("read.warning", Severity::Note, message, warnings.len() as u64, warnings))
}

/// What the head of the source shows.
pub(super) fn found_in_head(head: &RasterHead, driver: &str, crs: Option<&RasterCrs>) -> Vec<Diagnostic> {
    let mut found = Vec::new();
    if head.transform.is_some_and(|t| t[2] != 0.0 || t[4] != 0.0) {
        found.push(note("raster.rotated", "rows of pixels do not run from west to east; the raster is kept turned"));
    }
    if head.metadata.get("AREA_OR_POINT").is_some_and(|kind| kind == "Point") {
        found.push(note(
            "raster.pixel_is_point",
            "values belong to points; the footprint reaches half a pixel beyond the outer ones",
        ));
    }
    if head.control_points > 0 || head.has_polynomials {
        found.push(note(
            "raster.other_places",
            "control points or polynomials stand beside the transform, which is taken",
        ));
    }
    if head.bands.iter().any(|band| band.bits.as_deref() == Some("16") && type_name(band) == "Float32") {
        found.push(note(
            "raster.half_float",
            "values of 16-bit floats are given as 32-bit floats, which hold them exactly",
        ));
    }
    if driver == "netCDF" && crs.is_some_and(|crs| !crs.is_declared) && !has_grid_mapping(head) {
        let message =
            "no variable names its grid mapping: that longitude and latitude are on this datum is the reader's rule";
        let name = head.crs.as_ref().map(ToString::to_string).unwrap_or_default();
        found.push(warning("raster.crs_assumed", message.to_owned(), &[name]));
    }
    found
}

fn has_grid_mapping(head: &RasterHead) -> bool {
    let of_bands = head.bands.iter().flat_map(|band| band.metadata.keys());
    head.metadata.keys().chain(of_bands).any(|key| key.ends_with("grid_mapping") || key.ends_with("grid_mapping_name"))
}

/// What the copy does not keep of the source, and what its values show.
pub(super) fn found_in_copy(
    head: &RasterHead,
    copy: &RasterHead,
    crs: &RasterCrs,
    copied_crs: Option<&SpatialRef>,
    statistics: &[BandStatistics],
) -> Vec<Diagnostic> {
    let mut found = Vec::new();
    let lost: Vec<String> = head
        .bands
        .iter()
        .zip(&copy.bands)
        .enumerate()
        .flat_map(|(i, (band, copied))| {
            lost_of_band(band, copied).into_iter().map(move |what| format!("band {}: {what}", i + 1))
        })
        .collect();
    if !lost.is_empty() {
        let message = "the copy does not keep everything that bands say beside their values".to_owned();
        found.push(warning("raster.band_lost", message, &lost));
    }
    if head.transform.map(|t| t.map(f64::to_bits)) != copy.transform.map(|t| t.map(f64::to_bits)) {
        let message = "the copy's geotransform differs by rounding".to_owned();
        let both = [format!("{:?}", head.transform), format!("{:?}", copy.transform)];
        found.push(warning("raster.transform_changed", message, &both));
    }
    let kept = SpatialRef::from_wkt(&crs.wkt).ok().zip(copied_crs).is_some_and(|(own, copied)| {
        // Both from text, so that both have the order of axes that their definition says.
        copied.to_wkt().and_then(|wkt| SpatialRef::from_wkt(&wkt)).is_ok_and(|copied| own == copied)
    });
    if !kept {
        let message = "the copy names its crs in other words, as far as GeoTIFF can say it".to_owned();
        found.push(finding("raster.crs_reworded", Severity::Note, message, 1, &[]));
    }
    let keys: Vec<String> = head.metadata.keys().filter(|key| !copy.metadata.contains_key(*key)).cloned().collect();
    if !keys.is_empty() {
        let message = "metadata of the file is not kept in the copy; it stays in the bytes as sent".to_owned();
        found.push(finding("raster.metadata_lost", Severity::Note, message, keys.len() as u64, &keys));
    }
    let strange: Vec<String> = statistics
        .iter()
        .enumerate()
        .filter(|(_, band)| band.not_finite > 0)
        .map(|(i, band)| format!("band {}: {} pixels", i + 1, band.not_finite))
        .collect();
    if !strange.is_empty() {
        let message =
            "pixels that are no finite number, though nothing says that they are invalid; statistics leave them out";
        found.push(warning("raster.not_finite", message.to_owned(), &strange));
    }
    if statistics.iter().any(|band| band.valid == 0) {
        found.push(warning("raster.no_valid_pixel", "a band has no valid pixel".to_owned(), &[]));
    }
    found
}

fn lost_of_band(band: &BandHead, copy: &BandHead) -> Vec<String> {
    let shown = |value: Option<f64>| value.map_or_else(|| "none".to_owned(), number);
    let text = |value: &Option<String>| value.clone().unwrap_or_else(|| "none".to_owned());
    let pairs = [
        ("nodata", text(&band.nodata), text(&copy.nodata)),
        ("scale", shown(band.scale), shown(copy.scale)),
        ("offset", shown(band.offset), shown(copy.offset)),
        ("unit", band.unit.clone(), copy.unit.clone()),
        ("name", band.name.clone(), copy.name.clone()),
        ("color table", band.colors.to_string(), copy.colors.to_string()),
        ("categories", band.categories.to_string(), copy.categories.to_string()),
    ];
    let differ = pairs.into_iter().filter(|(_, source, copy)| source != copy);
    differ.map(|(what, source, copy)| format!("{what} was {source}, is {copy}")).collect()
}
