//! What the reading of one asset may use; what the operating system enforces stands in `main`.

/// Limits of a read. Each that is reached ends it with `LimitReached` naming the limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ReadLimits {
    /// Bytes that an archive may unpack to.
    pub unpacked_bytes_max: u64,
    /// Unpacked bytes for each packed byte, of an archive as a whole and of each member above 1 MiB.
    pub unpack_ratio_max: u64,
    /// Members of an archive.
    pub archive_members_max: usize,
    /// Archives inside each other.
    pub archives_max: u32,
    /// Layers of an asset.
    pub layers_max: usize,
    /// Columns of a layer.
    pub fields_max: usize,
    /// Positions of all geometries of a layer.
    pub vertices_max: u64,
    /// Rows of a layer.
    pub rows_max: u64,
    /// Values inside each other: objects and lists of JSON, elements of XML.
    pub nesting_max: u32,
    /// Cells of a sheet of a workbook that are not empty.
    pub cells_max: u64,
    /// Bytes of a CSV file that is looked through for titles, totals and further tables; a larger one is rows below a header.
    pub examined_bytes_max: u64,
    /// Bytes of the pages of a Parquet file that are unpacked at the same time: of each column the largest, and its
    /// dictionary.
    pub pages_bytes_max: u64,
    /// Values of a raster: pixels of all bands.
    pub raster_values_max: u64,
    /// Bands of a raster.
    pub raster_bands_max: usize,
    /// Bytes that have to be read at once for one pixel: a tile or strip of a raster, unpacked.
    pub raster_block_bytes_max: u64,
    /// Bytes of a raster as it is kept.
    pub raster_bytes_max: u64,
}

impl Default for ReadLimits {
    fn default() -> Self {
        Self {
            unpacked_bytes_max: 8 << 30,
            unpack_ratio_max: 100,
            archive_members_max: 10_000,
            archives_max: 2,
            layers_max: 64,
            fields_max: 2_048,
            vertices_max: 1 << 31,
            rows_max: 200_000_000,
            nesting_max: 128,
            cells_max: 20_000_000,
            examined_bytes_max: 16 << 20,
            pages_bytes_max: 1 << 30,
            raster_values_max: 10_000_000_000,
            raster_bands_max: 4_096,
            raster_block_bytes_max: 256 << 20,
            raster_bytes_max: 16 << 30,
        }
    }
}
