//! The flags of the adapter process: every limit with its unit.

use clap::Parser;
use std::path::PathBuf;
use std::time::Duration;
use ukimet_adapter_gdal::ReadLimits;
use ukimet_adapter_sdk::{Listen, ResourceLimits, ServeLimits, Strictness};
use ukimet_model::Result;
use ukimet_normalize::{Grids, Limits};

/// Reads geodata for Ukimet Hub: files in, normalized rows out, over gRPC.
///
/// Prints one line when it is ready: `ready ADDRESS`.
#[derive(Debug, Parser)]
#[command(name = "ukimet-adapter-gdal", version)]
pub(crate) struct Flags {
    /// Where to listen: unix:PATH, or 127.0.0.1:PORT (0 for a free one).
    #[arg(long, value_name = "ADDRESS")]
    pub(crate) listen: Listen,
    /// Folder for scratch files.
    #[arg(long, value_name = "DIR")]
    pub(crate) scratch: PathBuf,
    /// File that a client may name by path, or folder below which it may; without it, bytes only.
    #[arg(long, value_name = "PATH")]
    pub(crate) grant: Option<PathBuf>,
    /// End when the first job is over.
    #[arg(long)]
    pub(crate) single_job: bool,
    /// Go on when the process that started this one is gone; else it ends with it.
    #[arg(long)]
    pub(crate) detached: bool,
    /// Namespaces, dropped privileges, Landlock and seccomp: required, best-effort or off.
    #[arg(long, default_value_t, value_name = "STRICTNESS")]
    pub(crate) confine: Strictness,
    /// Address space of the process.
    #[arg(long, default_value_t = 4 << 30, value_name = "BYTES")]
    pub(crate) memory_bytes: u64,
    /// Processor time of the process; 0 for any.
    #[arg(long, default_value_t = 0, value_name = "SECONDS")]
    pub(crate) cpu_seconds: u64,
    /// Size of a scratch file.
    #[arg(long, default_value_t = 8 << 30, value_name = "BYTES")]
    pub(crate) file_bytes: u64,
    /// Open files and connections.
    #[arg(long, default_value_t = 256, value_name = "COUNT")]
    pub(crate) open_files: u64,
    /// Time that a job may take.
    #[arg(long, default_value_t = 300, value_name = "SECONDS")]
    pub(crate) wall_seconds: u64,
    /// Jobs at a time.
    #[arg(long, default_value_t = 4, value_name = "COUNT")]
    pub(crate) jobs: usize,
    /// Size of an asset.
    #[arg(long, default_value_t = 8 << 30, value_name = "BYTES")]
    pub(crate) asset_bytes: u64,
    /// Bytes that an archive may unpack to.
    #[arg(long, default_value_t = ReadLimits::default().unpacked_bytes_max, value_name = "BYTES")]
    pub(crate) unpacked_bytes: u64,
    /// Unpacked bytes for each packed byte of an archive.
    #[arg(long, default_value_t = ReadLimits::default().unpack_ratio_max, value_name = "RATIO")]
    pub(crate) unpack_ratio: u64,
    /// Members of an archive.
    #[arg(long, default_value_t = ReadLimits::default().archive_members_max, value_name = "COUNT")]
    pub(crate) archive_members: usize,
    /// Archives inside each other.
    #[arg(long, default_value_t = ReadLimits::default().archives_max, value_name = "COUNT")]
    pub(crate) archives_max: u32,
    /// Layers of an asset.
    #[arg(long, default_value_t = ReadLimits::default().layers_max, value_name = "COUNT")]
    pub(crate) layers_max: usize,
    /// Columns of a layer.
    #[arg(long, default_value_t = ReadLimits::default().fields_max, value_name = "COUNT")]
    pub(crate) fields_max: usize,
    /// Positions of all geometries of a layer.
    #[arg(long, default_value_t = ReadLimits::default().vertices_max, value_name = "COUNT")]
    pub(crate) vertices_max: u64,
    /// Rows of a layer.
    #[arg(long, default_value_t = ReadLimits::default().rows_max, value_name = "COUNT")]
    pub(crate) rows_max: u64,
    /// Values inside each other: objects and lists of JSON, elements of XML.
    #[arg(long, default_value_t = ReadLimits::default().nesting_max, value_name = "COUNT")]
    pub(crate) nesting_max: u32,
    /// Cells of a sheet of a workbook.
    #[arg(long, default_value_t = ReadLimits::default().cells_max, value_name = "COUNT")]
    pub(crate) cells_max: u64,
    /// Bytes of a CSV file that is looked through for titles, totals and further tables; a larger one is rows below a header.
    #[arg(long, default_value_t = ReadLimits::default().examined_bytes_max, value_name = "BYTES")]
    pub(crate) examined_bytes: u64,
    /// Bytes of the pages of a Parquet file that are unpacked at the same time: of each column the largest, and its dictionary.
    #[arg(long, default_value_t = ReadLimits::default().pages_bytes_max, value_name = "BYTES")]
    pub(crate) pages_bytes: u64,
    /// Values of a raster: pixels of all bands.
    #[arg(long, default_value_t = ReadLimits::default().raster_values_max, value_name = "COUNT")]
    pub(crate) raster_values_max: u64,
    /// Bands of a raster.
    #[arg(long, default_value_t = ReadLimits::default().raster_bands_max, value_name = "COUNT")]
    pub(crate) raster_bands_max: usize,
    /// Bytes of a tile or strip of a raster, unpacked.
    #[arg(long, default_value_t = ReadLimits::default().raster_block_bytes_max, value_name = "BYTES")]
    pub(crate) raster_block_bytes: u64,
    /// Bytes of a raster as it is kept.
    #[arg(long, default_value_t = ReadLimits::default().raster_bytes_max, value_name = "BYTES")]
    pub(crate) raster_bytes: u64,
    /// Folder of grids for datum shifts, such as `qazgrid_kz.gsb`; nothing else may be in it.
    #[arg(long, value_name = "DIR")]
    pub(crate) grids: Option<PathBuf>,
    /// Verdicts that one rule family lists in one batch; what comes above is counted.
    #[arg(long, default_value_t = Limits::default().verdicts_waiting_max, value_name = "COUNT")]
    pub(crate) verdicts_waiting_max: usize,
    /// Share of a layer's rows whose place may be impossible: those rows are refused; above it, the layer is.
    #[arg(long, default_value_t = Limits::default().misplaced_share_max, value_name = "SHARE")]
    pub(crate) misplaced_share_max: f64,
    /// Share of its area that a geometry may lose or gain by repair; a row above it is refused.
    #[arg(long, default_value_t = Limits::default().repair_area_change_max, value_name = "SHARE")]
    pub(crate) repair_area_change_max: f64,
}

impl Flags {
    /// What the operating system enforces.
    pub(crate) fn resources(&self) -> ResourceLimits {
        ResourceLimits {
            memory_bytes: self.memory_bytes,
            cpu_max: (self.cpu_seconds > 0).then(|| Duration::from_secs(self.cpu_seconds)),
            file_bytes: self.file_bytes,
            open_files: self.open_files,
        }
    }

    /// What reading enforces.
    pub(crate) fn read_limits(&self) -> ReadLimits {
        ReadLimits {
            unpacked_bytes_max: self.unpacked_bytes,
            unpack_ratio_max: self.unpack_ratio.max(1),
            archive_members_max: self.archive_members,
            archives_max: self.archives_max,
            layers_max: self.layers_max,
            fields_max: self.fields_max,
            vertices_max: self.vertices_max,
            rows_max: self.rows_max,
            nesting_max: self.nesting_max,
            cells_max: self.cells_max,
            examined_bytes_max: self.examined_bytes,
            pages_bytes_max: self.pages_bytes,
            raster_values_max: self.raster_values_max,
            raster_bands_max: self.raster_bands_max,
            raster_block_bytes_max: self.raster_block_bytes,
            raster_bytes_max: self.raster_bytes,
        }
    }

    /// What the rules enforce.
    ///
    /// # Errors
    ///
    /// `InvalidRequest` naming a share that is none; what [`Grids::open`] says about the grids.
    pub(crate) fn rules(&self) -> Result<Limits> {
        let rules = Limits {
            verdicts_waiting_max: self.verdicts_waiting_max,
            misplaced_share_max: self.misplaced_share_max,
            repair_area_change_max: self.repair_area_change_max,
            grids: self.grids.as_deref().map(Grids::open).transpose()?.unwrap_or_default(),
            ..Limits::default()
        };
        rules.check()?;
        Ok(rules)
    }

    /// What serving enforces.
    pub(crate) fn serve_limits(&self) -> ServeLimits {
        ServeLimits {
            asset_bytes_max: self.asset_bytes,
            jobs_max: if self.single_job { 1 } else { self.jobs },
            wall_max: Duration::from_secs(self.wall_seconds),
            ..ServeLimits::default()
        }
    }
}
