//! Rasters: each becomes one row (what it is, its statistics, its footprint) and one file (a Cloud Optimized `GeoTIFF`).
//!
//! The row goes through the rules of every other layer, so that a raster's CRS and axes get the same receipts and the
//! same refusals. The file has the source's pixels, value for value: both are read and compared while the statistics
//! are counted.

mod check;
mod cog;
mod footprint;
mod losses;
mod row;
mod statistics;
mod window;

use crate::gdal::{OpenOptions, RasterHead, RasterSource, declared_spatial_ref};
use crate::limits::ReadLimits;
use crate::source::{Context, Reader, Rows, Source, Staged};
use arrow_array::RecordBatch;
use cog::{MadeRaster, make};
use gdal::spatial_ref::SpatialRef;
use losses::{found_by_driver, found_in_head};
use std::cell::OnceCell;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use ukimet_adapter_sdk::{DerivedFile, LayerInfo};
use ukimet_model::error::quoted;
use ukimet_model::{Diagnostic, Error, Result};
use ukimet_normalize::{SourceEncoding, SourceLayer};

pub(crate) use window::cut;

/// Drivers that rasters need beside those that open them: the one that writes, and memory for overviews.
pub(crate) const RASTER_DRIVERS: &[&str] = &["COG", "MEM"];

/// The media type of the files.
pub(crate) const COG_MEDIA_TYPE: &str = "image/tiff; application=geotiff; profile=cloud-optimized";

/// What a format decides about reading a raster.
#[derive(Clone, Copy, Debug)]
pub(crate) struct RasterFormat {
    /// The format's name in the table.
    pub(crate) name: &'static str,
    /// The one driver that may open it.
    pub(crate) driver: &'static str,
    /// Open options.
    pub(crate) options: &'static [&'static str],
}

/// A file of rasters, each a layer with one row.
pub(crate) struct RasterFile {
    format: RasterFormat,
    folder: PathBuf,
    file_name: String,
    rasters: Vec<Raster>,
    layers: Vec<LayerInfo>,
    findings: Vec<Diagnostic>,
    limits: ReadLimits,
}

/// One raster of a file.
struct Raster {
    /// What opens it.
    opened_by: PathBuf,
    name: String,
    head: RasterHead,
    /// The CRS as GDAL has it, the declared one before the source's.
    crs: Option<RasterCrs>,
    made: OnceCell<MadeRaster>,
}

/// A CRS in GDAL's words.
#[derive(Clone, Debug)]
struct RasterCrs {
    wkt: String,
    is_declared: bool,
    is_geographic: bool,
    unit: String,
}

impl RasterCrs {
    fn of(srs: &SpatialRef, is_declared: bool) -> Result<Self> {
        let wkt = srs.to_wkt();
        let wkt = wkt.map_err(|e| Error::invalid_data("the raster's crs cannot be written").caused_by(e))?;
        let is_geographic = srs.is_geographic();
        let unit = if is_geographic { srs.angular_units_name() } else { srs.linear_units_name() };
        Ok(Self { wkt, is_declared, is_geographic, unit: unit.unwrap_or_default() })
    }
}

impl RasterFile {
    /// Opens a file and looks at its rasters, without reading pixels.
    ///
    /// # Errors
    ///
    /// `InvalidData` for a raster that cannot be kept, in words; `LimitReached` naming the limit; `InvalidRequest` for a
    /// declared CRS that GDAL does not know.
    pub(crate) fn open(format: RasterFormat, staged: &Staged, context: Context<'_>) -> Result<Box<dyn Source>> {
        let folder = staged.main.parent().unwrap_or(&staged.main).to_owned();
        let file_name = staged.main.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        let declared = context.options.crs.as_deref().map(declared_spatial_ref).transpose()?;
        let mut file = Self {
            format,
            folder,
            file_name,
            rasters: Vec::new(),
            layers: Vec::new(),
            findings: losses::of_sidecars(staged).into_iter().collect(),
            limits: *context.limits,
        };
        let (source, raised) = file.source(&staged.main)?;
        file.findings.extend(found_by_driver(&raised.warnings));
        let parts = source.parts();
        if parts.len() > file.limits.layers_max {
            let (found, limit) = (parts.len(), file.limits.layers_max);
            return Err(Error::limit_reached(format!("a file has at most {limit} layers, found {found}")));
        }
        if parts.is_empty() {
            file.add(&source, staged.main.clone(), staged.stem().to_owned(), declared.as_ref())?;
        }
        for (opened_by, name) in parts {
            if name.is_empty() || name.chars().any(|c| c.is_control() || "\"\\:/".contains(c)) {
                return Err(Error::invalid_data(format!("a raster of the file has the name {}", quoted(&name))));
            }
            let opened_by = PathBuf::from(opened_by);
            let (source, raised) = file.source(&opened_by)?;
            file.findings.extend(found_by_driver(&raised.warnings));
            file.add(&source, opened_by, name, declared.as_ref())?;
        }
        Ok(Box::new(file))
    }

    fn source(&self, opened_by: &Path) -> Result<(RasterSource, crate::gdal::Raised)> {
        let options: Vec<String> = self.format.options.iter().map(|&option| option.to_owned()).collect();
        // Of what lies beside it nothing is opened: overviews, statistics and places that others wrote are not the file.
        let siblings = [self.file_name.clone()];
        let how = OpenOptions { driver: self.format.driver, options: &options, siblings: &siblings };
        RasterSource::open(opened_by, &self.folder, &how)
    }

    fn add(
        &mut self,
        source: &RasterSource,
        opened_by: PathBuf,
        name: String,
        declared: Option<&SpatialRef>,
    ) -> Result<()> {
        let head = source.head()?;
        check::check(&head, &self.limits).map_err(|error| error.context(format!("raster {}", quoted(&name))))?;
        let own = source.spatial_ref().filter(|_| head.crs.is_some());
        let crs = match (declared, own) {
            (Some(declared), _) => Some(RasterCrs::of(declared, true)?),
            (None, Some(own)) => Some(RasterCrs::of(&own, false)?),
            (None, None) => None,
        };
        self.layers.push(LayerInfo {
            name: name.clone(),
            rows_declared: Some(1),
            crs: head.crs.as_ref().map(ToString::to_string),
            has_geometry: true,
            fields: row::schema().fields().iter().map(|field| field.name().clone()).collect(),
        });
        self.rasters.push(Raster { opened_by, name, head, crs, made: OnceCell::new() });
        Ok(())
    }

    /// The raster as it is kept, made at the first call; `None` without a CRS, for which the rules ask the publisher.
    fn made(&self, layer: usize) -> Result<Option<&MadeRaster>> {
        let raster = &self.rasters[layer];
        let Some(crs) = &raster.crs else { return Ok(None) };
        if raster.made.get().is_none() {
            let (source, _) = self.source(&raster.opened_by)?;
            let target = self.folder.join(format!("kept-{layer}.tif"));
            let made = make(&source, &raster.head, crs, target, &self.limits)?;
            raster.made.get_or_init(|| made);
        }
        Ok(raster.made.get())
    }
}

impl Source for RasterFile {
    fn layers(&self) -> &[LayerInfo] {
        &self.layers
    }

    fn rows(&self, layer: usize, _rows_max: usize) -> Result<Box<dyn Rows + '_>> {
        let raster = &self.rasters[layer];
        let made = self.made(layer)?;
        let ring = footprint::footprint(&raster.head, raster.crs.as_ref())?;
        let mut findings = found_in_head(&raster.head, self.format.driver, raster.crs.as_ref());
        findings.extend(ring.findings);
        findings.extend(made.into_iter().flat_map(|made| made.findings.clone()));
        let row = row::row(raster, made, &ring.wkb)?;
        Ok(Box::new(RasterRows { format: self.format.name, raster, row: Some(row), findings }))
    }

    fn asset(&self, layer: usize) -> Option<DerivedFile> {
        let raster = &self.rasters[layer];
        let path = raster.made.get()?.path.clone();
        Some(DerivedFile { name: raster.name.clone(), media_type: COG_MEDIA_TYPE.to_owned(), row: 0, path })
    }

    fn findings(&self) -> Vec<Diagnostic> {
        self.findings.clone()
    }

    fn reader(&self) -> Reader {
        let mut parameters = BTreeMap::from([("driver".to_owned(), self.format.driver.to_owned())]);
        parameters.insert("kept_as".to_owned(), format!("Cloud Optimized GeoTIFF, {}", cog::OPTIONS.join(" ")));
        Reader { version: format!("GDAL {}", crate::gdal::version()), parameters }
    }
}

/// The one row of a raster.
struct RasterRows<'a> {
    format: &'static str,
    raster: &'a Raster,
    row: Option<RecordBatch>,
    findings: Vec<Diagnostic>,
}

impl Rows for RasterRows<'_> {
    fn layer(&self) -> SourceLayer {
        SourceLayer {
            name: self.raster.name.clone(),
            format: self.format.to_owned(),
            schema: row::schema(),
            raw_names: None,
            crs: self.raster.head.crs.clone(),
            encoding: SourceEncoding::Utf8 { transcoded_from: None },
            untyped: false,
        }
    }

    fn next(&mut self) -> Result<Option<RecordBatch>> {
        Ok(self.row.take())
    }

    fn findings(&mut self) -> Vec<Diagnostic> {
        std::mem::take(&mut self.findings)
    }
}
