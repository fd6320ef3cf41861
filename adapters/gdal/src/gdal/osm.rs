//! OpenStreetMap files, copied into a scratch `GeoPackage` in one pass.
//!
//! GDAL gives the five layers of such a file interleaved, and has to look up the nodes of every way: reading them one
//! by one, twice each, would take ten passes. So all of them are written once into a file that reads fast.

use super::raised::watched;
use super::{OgrSource, OpenOptions, refuse_changed_values};
use gdal::cpl::CslStringList;
use std::ffi::CString;
use std::path::Path;
use ukimet_model::error::quoted;
use ukimet_model::{Error, Result};

/// Which tags make a closed way an area, and which are columns; every other tag goes to `other_tags`.
const CONFIG: &str = include_str!("osm.ini");
const CONFIG_PATH: &str = "/vsimem/osm.ini";

/// Makes GDAL take our choice of columns.
pub(super) fn set_up() -> gdal::errors::Result<()> {
    gdal::vsi::create_mem_file(CONFIG_PATH, CONFIG.as_bytes().to_vec())?;
    gdal::config::set_config_option("OSM_CONFIG_FILE", CONFIG_PATH)
}

/// Copies every layer of an OSM XML or PBF file into a new `GeoPackage`; gives the warnings that were raised.
///
/// # Errors
///
/// `DataLoss` with GDAL's text if the file cannot be read to its end, `InvalidData` if it is none.
pub(crate) fn copy_osm(from: &Path, to: &Path) -> Result<Vec<String>> {
    let name = from.file_name().map(|name| name.to_string_lossy().into_owned());
    let siblings: Vec<String> = name.into_iter().collect();
    let how = OpenOptions { driver: "OSM", options: &[], siblings: &siblings };
    let (source, _) = OgrSource::open(from, &how)?;
    let (is_copied, raised) = watched(|| translate(&source, to));
    let raised = raised.without(&source.folder);
    if let Some(failure) = raised.failures.first() {
        return Err(Error::data_loss(format!("the OpenStreetMap file is cut or broken: {}", quoted(failure))));
    }
    if !is_copied? {
        return Err(Error::data_loss("the OpenStreetMap file could not be read to its end"));
    }
    refuse_changed_values(&raised)?;
    Ok(raised.warnings)
}

/// Whether the copy was made.
fn translate(source: &OgrSource, to: &Path) -> Result<bool> {
    let failed = |error| Error::internal("GDAL refused an option").caused_by(error);
    let mut arguments = CslStringList::new();
    for argument in ["-f", "GPKG", "-lco", "SPATIAL_INDEX=NO", "-gt", "100000"] {
        arguments.add_string(argument).map_err(failed)?;
    }
    let path = CString::new(to.to_string_lossy().as_bytes())
        .map_err(|error| Error::internal("a scratch path has a zero byte").caused_by(error))?;
    let mut handle = source.dataset.c_dataset();
    // SAFETY: the options are freed once, after their use; the source is open as long as the call; the copy is closed
    // once, which also writes its last pages.
    unsafe {
        let options = gdal_sys::GDALVectorTranslateOptionsNew(arguments.as_ptr(), std::ptr::null_mut());
        let mut usage_error = 0;
        let copy = gdal_sys::GDALVectorTranslate(
            path.as_ptr(),
            std::ptr::null_mut(),
            1,
            &raw mut handle,
            options,
            &raw mut usage_error,
        );
        gdal_sys::GDALVectorTranslateOptionsFree(options);
        if copy.is_null() {
            return Ok(false);
        }
        gdal_sys::GDALClose(copy);
        Ok(usage_error == 0)
    }
}
