//! Rasters: opened by one driver, looked at, read window by window, copied as Cloud Optimized `GeoTIFF`.

use super::raised::watched;
use super::{OpenOptions, Raised, not_opened, to_crs};
use gdal::cpl::CslStringList;
use gdal::raster::{ColorInterpretation, GdalDataType, GdalType, RasterBand};
use gdal::spatial_ref::SpatialRef;
use gdal::{Dataset, DatasetOptions, GdalOpenFlags, Metadata};
use std::collections::BTreeMap;
use std::ffi::{CStr, CString};
use std::path::Path;
use ukimet_model::error::quoted;
use ukimet_model::{Crs, Error, Result};

/// What a raster declares about itself.
#[derive(Clone, Debug)]
pub(crate) struct RasterHead {
    /// Pixels from left to right and from top to bottom.
    pub(crate) width: usize,
    pub(crate) height: usize,
    /// From column and row of a pixel's corner to x and y; `None` if it has none.
    pub(crate) transform: Option<[f64; 6]>,
    pub(crate) crs: Option<Crs>,
    /// Ground control points instead of a transform.
    pub(crate) control_points: usize,
    /// Whether it has rational polynomials of a sensor.
    pub(crate) has_polynomials: bool,
    /// Metadata of the default domain.
    pub(crate) metadata: BTreeMap<String, String>,
    pub(crate) bands: Vec<BandHead>,
}

/// What a band declares about itself.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct BandHead {
    pub(crate) data_type: GdalDataType,
    /// A byte that is signed.
    pub(crate) is_signed_byte: bool,
    /// Bits of a value if they are not those of the type.
    pub(crate) bits: Option<String>,
    pub(crate) name: String,
    pub(crate) nodata: Option<String>,
    pub(crate) scale: Option<f64>,
    pub(crate) offset: Option<f64>,
    pub(crate) unit: String,
    /// What the band is in a picture: `Gray`, `Palette`, `Red` and so on.
    pub(crate) color: String,
    pub(crate) colors: usize,
    pub(crate) categories: usize,
    /// Width and height of what is read at once.
    pub(crate) block: (usize, usize),
    pub(crate) overviews: usize,
    /// Whether some pixels may be invalid.
    pub(crate) has_mask: bool,
    pub(crate) metadata: BTreeMap<String, String>,
}

/// Where a window lies, in pixels: left, top, width, height.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct PixelWindow {
    pub(crate) left: usize,
    pub(crate) top: usize,
    pub(crate) width: usize,
    pub(crate) height: usize,
}

/// How a copy is made.
#[derive(Clone, Debug, Default)]
pub(crate) struct Copying {
    /// Creation options, `KEY=VALUE`.
    pub(crate) options: Vec<String>,
    /// The CRS that it gets instead of the source's, as WKT.
    pub(crate) crs_wkt: Option<String>,
    /// The part of the source; `None` for all.
    pub(crate) window: Option<PixelWindow>,
}

/// An open raster.
pub(crate) struct RasterSource {
    dataset: Dataset,
    folder: String,
}

impl RasterSource {
    /// Opens a raster by a path that we made, or by a name that a driver gave for a part of such a file.
    ///
    /// # Errors
    ///
    /// `InvalidData` with GDAL's text.
    pub(crate) fn open(name: &Path, folder: &Path, how: &OpenOptions<'_>) -> Result<(Self, Raised)> {
        let options: Vec<&str> = how.options.iter().map(String::as_str).collect();
        let siblings: Vec<&str> = how.siblings.iter().map(String::as_str).collect();
        let (opened, raised) = watched(|| {
            Dataset::open_ex(
                name,
                DatasetOptions {
                    open_flags: GdalOpenFlags::GDAL_OF_RASTER | GdalOpenFlags::GDAL_OF_VERBOSE_ERROR,
                    allowed_drivers: Some(&[how.driver]),
                    open_options: Some(&options),
                    sibling_files: Some(&siblings),
                },
            )
        });
        let folder = format!("{}/", folder.display());
        let raised = raised.without(&folder);
        match (opened, raised.failures.first()) {
            (Ok(dataset), None) => Ok((Self { dataset, folder }, raised)),
            (Err(_), _) => Err(not_opened(how.driver, &raised)),
            (Ok(_), Some(failure)) => {
                let what = quoted(failure);
                Err(Error::data_loss(format!("driver {} opened the file and then raised {what}", how.driver)))
            }
        }
    }

    /// The rasters inside, by the name that opens them and a name for people; none if the file is one raster itself.
    pub(crate) fn parts(&self) -> Vec<(String, String)> {
        let entries = self.dataset.metadata_domain("SUBDATASETS").unwrap_or_default();
        let names = entries.iter().filter_map(|entry| entry.split_once("_NAME="));
        let name = |(_, name): (&str, &str)| {
            let last = name.rsplit_once(':').map_or(name, |(_, last)| last).to_owned();
            let page = name.strip_prefix("GTIFF_DIR:").and_then(|rest| rest.split_once(':'));
            (name.to_owned(), page.map_or(last, |(page, _)| format!("page {page}")))
        };
        names.map(name).collect()
    }

    /// What it declares.
    ///
    /// # Errors
    ///
    /// `InvalidData` with GDAL's text.
    pub(crate) fn head(&self) -> Result<RasterHead> {
        let (head, raised) = watched(|| self.unwatched_head());
        let raised = raised.without(&self.folder);
        head.map_err(|error| {
            let text = raised.failures.first().map_or("no reason", String::as_str);
            Error::invalid_data(format!("the head of the raster cannot be read: {}", quoted(text))).caused_by(error)
        })
    }

    fn unwatched_head(&self) -> gdal::errors::Result<RasterHead> {
        let (width, height) = self.dataset.raster_size();
        let bands = self.dataset.rasterbands().map(|band| band_head(&band?)).collect::<gdal::errors::Result<_>>()?;
        // SAFETY: the handle is open and belongs to this thread.
        let control_points = unsafe { gdal_sys::GDALGetGCPCount(self.dataset.c_dataset()) };
        Ok(RasterHead {
            width,
            height,
            transform: self.dataset.geo_transform().ok(),
            crs: self.dataset.spatial_ref().ok().and_then(|srs| to_crs(&srs)),
            control_points: usize::try_from(control_points).unwrap_or(0),
            has_polynomials: self.dataset.metadata_domain("RPC").is_some_and(|rpc| !rpc.is_empty()),
            metadata: metadata(&self.dataset),
            bands,
        })
    }

    /// The CRS as GDAL has it.
    pub(crate) fn spatial_ref(&self) -> Option<SpatialRef> {
        self.dataset.spatial_ref().ok()
    }

    /// Reads the values of a window of a band, row by row from the top; bands are counted from 1.
    ///
    /// # Errors
    ///
    /// `DataLoss` with GDAL's text.
    pub(crate) fn values<T: Copy + GdalType>(&self, band: usize, window: PixelWindow) -> Result<Vec<T>> {
        self.read(band, window, |band, at, size| Ok(band.read_as::<T>(at, size, size, None)?.into_shape_and_vec().1))
    }

    /// Reads whether the pixels of a window of a band are valid: 0 for those that are not.
    ///
    /// # Errors
    ///
    /// `DataLoss` with GDAL's text.
    pub(crate) fn mask(&self, band: usize, window: PixelWindow) -> Result<Vec<u8>> {
        self.read(band, window, |band, at, size| {
            Ok(band.open_mask_band()?.read_as::<u8>(at, size, size, None)?.into_shape_and_vec().1)
        })
    }

    fn read<T>(
        &self,
        band: usize,
        window: PixelWindow,
        read: impl FnOnce(&RasterBand<'_>, (isize, isize), (usize, usize)) -> gdal::errors::Result<Vec<T>>,
    ) -> Result<Vec<T>> {
        let at = (window.left as isize, window.top as isize);
        let (values, raised) =
            watched(|| self.dataset.rasterband(band).and_then(|band| read(&band, at, (window.width, window.height))));
        let raised = raised.without(&self.folder);
        match (values, raised.failures.first()) {
            (Ok(values), None) => Ok(values),
            (_, failure) => {
                let text = failure.map_or("no reason", String::as_str);
                // People count from 1.
                let (left, top) = (window.left + 1, window.top + 1);
                Err(pixels_lost(&format!("band {band} cannot be read at column {left}, row {top}"), text))
            }
        }
    }

    /// Writes a Cloud Optimized `GeoTIFF`. What was raised without harm is given back.
    ///
    /// # Errors
    ///
    /// `DataLoss` with GDAL's text if pixels cannot be read, `LimitReached` without memory or space.
    pub(crate) fn write_cog(&self, target: &Path, how: &Copying) -> Result<Raised> {
        let failed = |error| Error::internal("the options of a copy are no text").caused_by(error);
        let mut words: Vec<String> = vec!["-of".to_owned(), "COG".to_owned()];
        how.options.iter().for_each(|option| words.extend(["-co".to_owned(), option.clone()]));
        if let Some(wkt) = &how.crs_wkt {
            words.extend(["-a_srs".to_owned(), wkt.clone()]);
        }
        if let Some(PixelWindow { left, top, width, height }) = how.window {
            words.push("-srcwin".to_owned());
            words.extend([left, top, width, height].map(|number| number.to_string()));
        }
        let mut list = CslStringList::new();
        for word in &words {
            list.add_string(word).map_err(failed)?;
        }
        let path = CString::new(target.as_os_str().as_encoded_bytes())
            .map_err(|error| Error::internal("a path of ours holds a zero byte").caused_by(error))?;
        let (is_written, raised) = watched(|| translate(&self.dataset, &path, &list));
        let raised = raised.without(&self.folder);
        match (is_written, raised.failures.first()) {
            (true, None) => Ok(raised),
            (_, failure) => {
                let text = failure.map_or("no reason", String::as_str);
                Err(pixels_lost("the raster cannot be copied", text))
            }
        }
    }
}

/// Copies a raster and closes the copy, so that all of it is written.
fn translate(source: &Dataset, target: &CStr, words: &CslStringList) -> bool {
    // SAFETY: the words are a list of C strings that ends with null and outlives the call, which does not change them;
    // the source is open; the options are freed once; a copy that was made is closed once.
    unsafe {
        let options = gdal_sys::GDALTranslateOptionsNew(words.as_ptr().cast(), std::ptr::null_mut());
        if options.is_null() {
            return false;
        }
        let mut usage_error = 0;
        let copy = gdal_sys::GDALTranslate(target.as_ptr(), source.c_dataset(), options, &raw mut usage_error);
        gdal_sys::GDALTranslateOptionsFree(options);
        if copy.is_null() {
            return false;
        }
        gdal_sys::GDALClose(copy);
        usage_error == 0
    }
}

fn pixels_lost(what: &str, text: &str) -> Error {
    let message = format!("{what}: {}", quoted(text));
    let lower = text.to_ascii_lowercase();
    if ["memory", "allocat", "no space", "too large", "too big"].iter().any(|word| lower.contains(word)) {
        return Error::limit_reached(message);
    }
    Error::data_loss(message)
}

fn metadata(of: &impl Metadata) -> BTreeMap<String, String> {
    let entries = of.metadata_domain("").unwrap_or_default();
    let pairs = entries.iter().filter_map(|entry| entry.split_once('='));
    pairs.map(|(key, value)| (key.to_owned(), value.to_owned())).collect()
}

fn band_head(band: &RasterBand<'_>) -> gdal::errors::Result<BandHead> {
    let data_type = band.band_type();
    let nodata = match data_type {
        GdalDataType::Int64 => band.no_data_value_i64().map(|value| value.to_string()),
        GdalDataType::UInt64 => band.no_data_value_u64().map(|value| value.to_string()),
        _ => band.no_data_value().map(number),
    };
    Ok(BandHead {
        data_type,
        is_signed_byte: band.metadata_item("PIXELTYPE", "IMAGE_STRUCTURE").as_deref() == Some("SIGNEDBYTE"),
        bits: band.metadata_item("NBITS", "IMAGE_STRUCTURE"),
        name: band.description()?,
        nodata,
        scale: band.scale().filter(|scale| (*scale - 1.0).abs() > 0.0),
        offset: band.offset().filter(|offset| *offset != 0.0),
        unit: band.unit(),
        color: match band.color_interpretation() {
            ColorInterpretation::Undefined => String::new(),
            color => color.name(),
        },
        colors: band.color_table().map_or(0, |table| table.entry_count()),
        categories: categories(band),
        block: band.block_size(),
        overviews: usize::try_from(band.overview_count()?).unwrap_or(0),
        has_mask: !band.mask_flags()?.is_all_valid(),
        metadata: metadata(band),
    })
}

fn categories(band: &RasterBand<'_>) -> usize {
    // SAFETY: the band is open; the list belongs to it and ends with null, or is null.
    unsafe { gdal_sys::CSLCount(gdal_sys::GDALGetRasterCategoryNames(band.c_rasterband())) }.try_into().unwrap_or(0)
}

/// A number in few characters: `-9999`, `1.5`, `-3.4e38`, `nan`.
pub(crate) fn number(value: f64) -> String {
    let text = format!("{value:?}");
    text.strip_suffix(".0").map_or(text.clone(), str::to_owned).to_ascii_lowercase()
}

/// The CRS that a publisher declared, for GDAL. No file and no address is looked up.
///
/// # Errors
///
/// `InvalidRequest` naming what was declared if GDAL does not know it.
pub(crate) fn declared_spatial_ref(text: &str) -> Result<SpatialRef> {
    let text = text.trim();
    let code = |prefix: &str| {
        let start = text.get(..prefix.len()).filter(|start| start.eq_ignore_ascii_case(prefix))?;
        text[start.len()..].rsplit(':').next()?.parse::<u32>().ok()
    };
    let epsg = code("EPSG:").or_else(|| code("urn:ogc:def:crs:EPSG:"));
    let is_proj = text.starts_with('+') || text.starts_with("proj=");
    let (found, raised) = watched(|| match epsg {
        Some(code) => SpatialRef::from_epsg(code),
        None if text.eq_ignore_ascii_case("OGC:CRS84") => SpatialRef::from_definition("OGC:CRS84"),
        None if text.starts_with('{') => SpatialRef::from_definition(text),
        None if is_proj => SpatialRef::from_proj4(text),
        None => SpatialRef::from_wkt(text),
    });
    found.map_err(|error| {
        let why = raised.failures.first().map_or_else(String::new, |text| format!(": {}", quoted(text)));
        let message = format!("a raster needs a declared crs that GDAL knows, found {}{why}", quoted(text));
        Error::invalid_request(message).caused_by(error)
    })
}
