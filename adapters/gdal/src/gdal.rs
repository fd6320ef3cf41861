//! GDAL's handles with lifetimes and drained error state: this module and its parts hold all `unsafe`.
//!
//! GDAL tells the end of a layer and an error in the same way, so every call here clears the error state, makes the
//! call, and looks at what was raised meanwhile. Text is imported as bytes: GDAL promises UTF-8 and does not keep it.
//!
//! A handle belongs to the thread that opened it.
#![allow(unsafe_code)]

mod cells;
mod detour;
mod installed;
mod linearize;
mod moments;
mod osm;
mod raised;
mod raster;
mod seconds;

use arrow_array::ffi::{FFI_ArrowArray, from_ffi_and_data_type};
use arrow_array::{Array, RecordBatch, RecordBatchOptions, StructArray};
use arrow_schema::ffi::FFI_ArrowSchema;
use arrow_schema::{DataType, Field, Fields, Schema, SchemaRef};
use gdal::cpl::CslStringList;
use gdal::vector::LayerAccess;
use gdal::{Dataset, DatasetOptions, DriverManager, GdalOpenFlags};
use std::ffi::CStr;
use std::path::Path;
use std::sync::{Arc, Once};
use ukimet_model::error::quoted;
use ukimet_model::{AuthorityCode, Crs, Error, Result};
use ukimet_normalize::{GEOMETRY_KEY, TEXT_KEY};

pub(crate) use cells::{CellColumns, CellPlace};
use detour::Detour;
pub use installed::{installed_files, prepare_libraries};
pub(crate) use linearize::linearize;
pub(crate) use moments::{MomentColumns, Moments};
pub(crate) use osm::copy_osm;
pub(crate) use raised::Raised;
use raised::{MESSAGES_MAX, watched};
pub(crate) use raster::{BandHead, Copying, PixelWindow, RasterHead, RasterSource, declared_spatial_ref, number};
pub(crate) use seconds::set_right;

/// Options that hold for the whole process. What a build does not know it ignores, so the tests try each door.
const CONFIG: &[(&str, &str)] = &[
    ("GDAL_DISABLE_READDIR_ON_OPEN", "EMPTY_DIR"),
    ("GDAL_PAM_ENABLED", "NO"),
    ("GDAL_DRIVER_PATH", "disable"),
    ("GDAL_VRT_ENABLE_PYTHON", "NO"),
    // A table of a database may not be another file.
    ("OGR_SQLITE_STATIC_VIRTUAL_OGR", "NO"),
    ("SPATIALITE_SECURITY", "strict"),
    ("GDAL_CACHEMAX", "128"),
    ("GDAL_NUM_THREADS", "1"),
    ("OGR_GPKG_NUM_THREADS", "1"),
    // Without a schema GDAL would make a number of 007.
    ("GML_FIELDTYPES", "ALWAYS_STRING"),
    ("GML_SKIP_RESOLVE_ELEMS", "ALL"),
    ("GML_SKIP_CORRUPTED_FEATURES", "NO"),
    ("OGR_EXPAT_UNLIMITED_MEM_ALLOC", "NO"),
    ("OGR_GEOJSON_MAX_OBJ_SIZE", "256"),
    ("SHAPE_RESTORE_SHX", "YES"),
    ("CPL_VSIL_CURL_ALLOWED_EXTENSIONS", "{none}"),
    ("GDAL_HTTP_PROXY", "127.0.0.1:9"),
    ("GDAL_HTTP_NETRC", "NO"),
    ("GDAL_HTTP_MAX_RETRY", "0"),
    ("OGR_ARC_STEPSIZE", "4"),
    // Elevations are both a coordinate and a column.
    ("GPX_ELE_AS_25D", "YES"),
];

/// Sets GDAL up once for the process: options, error handler, and no driver but these.
pub(crate) fn set_up(drivers: &[&str], scratch: &Path) -> Result<()> {
    static ONCE: Once = Once::new();
    let mut outcome = Ok(());
    ONCE.call_once(|| outcome = set_up_once(drivers, scratch));
    outcome
}

fn set_up_once(drivers: &[&str], scratch: &Path) -> Result<()> {
    let failed = |error| Error::internal("GDAL could not be set up").caused_by(error);
    for (key, value) in CONFIG {
        gdal::config::set_config_option(key, value).map_err(failed)?;
    }
    gdal::config::set_config_option("CPL_TMPDIR", &scratch.to_string_lossy()).map_err(failed)?;
    osm::set_up().map_err(failed)?;
    raised::listen();
    for index in (0..DriverManager::count()).rev() {
        let driver = DriverManager::get_driver(index).map_err(failed)?;
        if !drivers.contains(&driver.short_name().as_str()) {
            DriverManager::deregister_driver(&driver);
        }
    }
    Ok(())
}

/// GDAL's version, e.g. `3.6.2`.
pub(crate) fn version() -> String {
    gdal::version::version_info("RELEASE_NAME")
}

/// How a file is opened.
#[derive(Clone, Debug)]
pub(crate) struct OpenOptions<'a> {
    /// The one driver that may open it.
    pub(crate) driver: &'a str,
    /// The driver's options, `KEY=VALUE`.
    pub(crate) options: &'a [String],
    /// Names of every file beside it that may be opened, its own included.
    pub(crate) siblings: &'a [String],
}

/// A warning that a value was changed to fit its type is no note: the value would be wrong.
fn refuse_changed_values(raised: &Raised) -> Result<()> {
    match raised.warnings.iter().find(|text| text.to_ascii_lowercase().contains("clamped")) {
        Some(text) => Err(Error::invalid_data(format!("a number does not fit its column: {}", quoted(text)))),
        None => Ok(()),
    }
}

/// What a failure means that a driver raised although it opened the file: a CRS that nobody knows, an address that is
/// not followed, or bytes that are missing.
fn raised_after_opening(driver: &str, failure: &str) -> Error {
    let what = quoted(failure);
    if failure.starts_with("PROJ:") || failure.contains("crs not found") {
        return Error::invalid_data(format!("the file names a crs that is not known: {what}; declare the crs"));
    }
    if ["connect", "resolve", "HTTP", "proxy"].iter().any(|word| failure.contains(word)) {
        return Error::invalid_data(format!("the file points to an address, which is not followed: {what}"));
    }
    Error::data_loss(format!("driver {driver} opened the file and then raised {what}"))
}

/// What a layer declares about itself.
#[derive(Clone, Debug)]
pub(crate) struct OgrHead {
    /// Its place among the layers of the file.
    pub(crate) position: usize,
    pub(crate) name: String,
    pub(crate) rows_declared: Option<u64>,
    pub(crate) crs: Option<Crs>,
    pub(crate) has_geometry: bool,
    pub(crate) fields: Vec<String>,
    /// Fields of whole numbers too wide for any integer, which come as floats.
    pub(crate) wide_numbers: Vec<String>,
}

/// An open file.
pub(crate) struct OgrSource {
    dataset: Dataset,
    folder: String,
}

impl OgrSource {
    /// Opens a file that we made or linked ourselves; the path is never foreign text.
    ///
    /// # Errors
    ///
    /// `InvalidData` with GDAL's text, `Internal` if the driver is not in this build of GDAL.
    pub(crate) fn open(path: &Path, how: &OpenOptions<'_>) -> Result<(Self, Raised)> {
        let options: Vec<&str> = how.options.iter().map(String::as_str).collect();
        let siblings: Vec<&str> = how.siblings.iter().map(String::as_str).collect();
        let (opened, raised) = watched(|| {
            Dataset::open_ex(
                path,
                DatasetOptions {
                    open_flags: GdalOpenFlags::GDAL_OF_VECTOR | GdalOpenFlags::GDAL_OF_VERBOSE_ERROR,
                    allowed_drivers: Some(&[how.driver]),
                    open_options: Some(&options),
                    sibling_files: Some(&siblings),
                },
            )
        });
        let folder = format!("{}/", path.parent().unwrap_or(path).display());
        let raised = raised.without(&folder);
        let dataset = opened.map_err(|_| not_opened(how.driver, &raised))?;
        refuse_changed_values(&raised)?;
        match raised.failures.first() {
            Some(failure) => Err(raised_after_opening(how.driver, failure)),
            None => Ok((Self { dataset, folder }, raised)),
        }
    }

    /// The layers in the order of the source.
    pub(crate) fn layers(&self) -> Vec<OgrHead> {
        self.dataset.layers().enumerate().map(|(position, layer)| head(&self.dataset, position, &layer)).collect()
    }

    /// Whether a layer has no row; one that cannot be read is not called empty.
    pub(crate) fn is_empty(&self, position: usize) -> bool {
        let (first, raised) =
            watched(|| self.dataset.layer(position).map(|mut layer| layer.features().next().is_some()));
        raised.failures.is_empty() && matches!(first, Ok(false))
    }

    /// The name of a layer's table and of the column with its identifiers, which is empty if it has none.
    fn table(&self, layer: usize) -> Result<(String, String)> {
        let gone = |error| Error::internal("a layer is gone").caused_by(error);
        let layer = self.dataset.layer(layer).map_err(gone)?;
        Ok((layer.name(), key_column(&self.dataset, &layer)))
    }

    /// How many layers.
    pub(crate) fn layer_count(&self) -> usize {
        self.dataset.layer_count()
    }

    /// Begins to read a layer, batches of at most `rows_max`.
    pub(crate) fn into_rows(self, layer: usize, rows_max: usize) -> Result<OgrRows> {
        let Self { dataset, folder } = self;
        let mut has_fid = false;
        let mut keeps_fid = false;
        let (stream, raised) = watched(|| {
            let mut layer = dataset.layer(layer)?;
            keeps_fid = !key_column(&dataset, &layer).is_empty();
            // GDAL 3.6 gives empty geometries for a GeoPackage layer that has neither attributes nor ids.
            has_fid = keeps_fid || layer.defn().fields().next().is_none();
            let mut options = CslStringList::new();
            options.set_name_value("INCLUDE_FID", if has_fid { "YES" } else { "NO" })?;
            options.set_name_value("MAX_FEATURES_IN_BATCH", &rows_max.to_string())?;
            let mut stream = ArrowStream::empty();
            // SAFETY: the stream is empty and lives as long as the call; GDAL fills it as the C interface says.
            unsafe { layer.read_arrow_stream(&raw mut stream.0, &options) }?;
            Ok::<_, gdal::errors::GdalError>(stream)
        });
        let mut stream = stream.map_err(|error| lost(0, &raised).caused_by(error))?;
        let columns = stream.columns()?;
        let fields: Fields = columns.iter().map(|column| column.field.clone()).collect();
        let raw_names = columns.into_iter().map(|column| column.raw_name).collect();
        let driver = dataset.driver().short_name();
        let count = || dataset.layer(layer).ok().and_then(|layer| layer.try_feature_count());
        let detour = Detour::of(&driver, &fields, || driver != "FlatGeobuf" || count().is_some_and(|count| count > 0));
        let first = usize::from(has_fid && !keeps_fid);
        let visible: Vec<_> = fields.iter().skip(first).cloned().collect();
        Ok(OgrRows {
            stream,
            detour,
            _dataset: dataset,
            stream_fields: fields,
            schema: Schema::new(visible).into(),
            raw_names,
            first,
            keys: usize::from(keeps_fid),
            folder,
            rows_read: 0,
            warnings: raised.warnings,
        })
    }
}

/// The column of a layer's identifiers, where they are the publisher's own and no field; else empty.
fn key_column(dataset: &Dataset, layer: &gdal::vector::Layer<'_>) -> String {
    const WITH_KEYS: [&str; 2] = ["GPKG", "OpenFileGDB"];
    if !WITH_KEYS.contains(&dataset.driver().short_name().as_str()) {
        return String::new();
    }
    // SAFETY: the definition belongs to the layer, which is borrowed.
    let has_geometry = unsafe { gdal_sys::OGR_FD_GetGeomFieldCount(layer.defn().c_defn()) } > 0;
    if !has_geometry && layer.defn().fields().next().is_none() {
        return String::new();
    }
    // SAFETY: the layer is borrowed; the name is a C string that lives as long as it.
    let key = unsafe { CStr::from_ptr(gdal_sys::OGR_L_GetFIDColumn(layer.c_layer())) };
    let key = key.to_string_lossy().into_owned();
    if layer.defn().fields().any(|field| field.name() == key) { String::new() } else { key }
}

fn head(dataset: &Dataset, position: usize, layer: &gdal::vector::Layer<'_>) -> OgrHead {
    let definition = layer.defn();
    // SAFETY: the definition belongs to the layer, which is borrowed.
    let geometry_fields = unsafe { gdal_sys::OGR_FD_GetGeomFieldCount(definition.c_defn()) };
    let crs = layer.spatial_ref().and_then(|srs| to_crs(&srs));
    let keys = Some(key_column(dataset, layer)).filter(|key| !key.is_empty());
    OgrHead {
        position,
        name: layer.name(),
        rows_declared: layer.try_feature_count(),
        crs: crs.filter(|_| geometry_fields > 0),
        has_geometry: geometry_fields > 0,
        fields: keys.into_iter().chain(definition.fields().map(|field| field.name())).collect(),
        wide_numbers: definition.fields().filter(is_wide_number).map(|field| field.name()).collect(),
    }
}

/// Digits that a float keeps of every number.
const FLOAT_DIGITS: i32 = 15;

fn is_wide_number(field: &gdal::vector::Field<'_>) -> bool {
    field.field_type() == gdal_sys::OGRFieldType::OFTReal && field.precision() == 0 && field.width() > FLOAT_DIGITS
}

/// A CRS by a name that a file gives: `EPSG:n` and the like, a URN, an address of the OGC's register, or WKT.
///
/// # Errors
///
/// `InvalidData` if nobody knows it. Addresses are not fetched and files not opened.
pub(crate) fn named_crs(name: &str) -> Result<Crs> {
    let name = name.trim();
    let unknown =
        || Error::invalid_data(format!("the file names a crs that is not known: {}; declare the crs", quoted(name)));
    let parts: Vec<&str> = name.trim_end_matches('/').split(['/', '#', ':']).filter(|part| !part.is_empty()).collect();
    let code = match parts.as_slice() {
        ["http" | "https", "www.opengis.net" | "opengis.net", "def", "crs", authority, .., code] => {
            format!("{authority}:{code}")
        }
        ["http" | "https", "www.opengis.net" | "opengis.net", "gml", "srs", register, code] => {
            format!("{}:{code}", register.trim_end_matches(".xml"))
        }
        [urn, _, def, crs, authority, .., code]
            if [*urn, *def, *crs].map(str::to_ascii_lowercase) == ["urn", "def", "crs"] =>
        {
            format!("{authority}:{code}")
        }
        [authority, code] => format!("{authority}:{code}"),
        _ if name.contains('[') && !name.contains("://") => name.to_owned(),
        _ => return Err(unknown()),
    };
    if code.eq_ignore_ascii_case("OGC:CRS84") {
        return Ok(Crs::crs84());
    }
    let is_word = |text: &str| !text.is_empty() && text.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
    let is_code = code.split_once(':').is_some_and(|(authority, code)| is_word(authority) && is_word(code));
    if !is_code && !name.contains('[') {
        return Err(unknown());
    }
    let (srs, _) = watched(|| gdal::spatial_ref::SpatialRef::from_definition(&code));
    srs.ok().and_then(|srs| to_crs(&srs)).ok_or_else(unknown)
}

/// A CRS, unless it only says that nobody knows.
fn to_crs(srs: &gdal::spatial_ref::SpatialRef) -> Option<Crs> {
    let name = srs.name();
    let code = srs
        .auth_name()
        .zip(srs.auth_code().ok())
        .map(|(authority, code)| AuthorityCode { authority: authority.to_ascii_uppercase(), code: code.to_string() });
    let is_unknown = name.as_ref().is_some_and(|n| {
        let n = n.to_ascii_lowercase();
        n.starts_with("undefined") || n == "unknown" || n == "nonearth"
    });
    if code.is_none() && (is_unknown || srs.is_local()) {
        return None;
    }
    let definition = srs.to_projjson().or_else(|_| srs.to_wkt()).ok()?;
    Some(Crs { definition, code, name })
}

/// A column of an OGR layer as it is imported.
struct Column {
    field: Field,
    raw_name: Vec<u8>,
}

struct ArrowStream(gdal_sys::ArrowArrayStream);

impl ArrowStream {
    fn empty() -> Self {
        Self(gdal_sys::ArrowArrayStream {
            get_schema: None,
            get_next: None,
            get_last_error: None,
            release: None,
            private_data: std::ptr::null_mut(),
        })
    }

    /// The columns, text as bytes. Names may be any bytes, so they are read before anything takes them for UTF-8.
    fn columns(&mut self) -> Result<Vec<Column>> {
        let get_schema = self.0.get_schema.ok_or_else(|| Error::internal("GDAL gave a stream without a schema"))?;
        let mut schema = FFI_ArrowSchema::empty();
        // SAFETY: both are structs of the Arrow C interface, laid out alike; GDAL fills the empty one.
        let (code, raised) = watched(|| unsafe { get_schema(&raw mut self.0, (&raw mut schema).cast()) });
        if code != 0 || !raised.failures.is_empty() {
            return Err(lost(0, &raised));
        }
        schema.children().map(column).collect()
    }

    /// The next struct of columns, not yet looked at; `None` at the end.
    fn next(&mut self) -> (Option<FFI_ArrowArray>, i32, Raised) {
        let mut array = FFI_ArrowArray::empty();
        let Some(get_next) = self.0.get_next else { return (None, 1, Raised::default()) };
        // SAFETY: both are structs of the Arrow C interface, laid out alike; GDAL fills the empty one or leaves it.
        let (code, raised) = watched(|| unsafe { get_next(&raw mut self.0, (&raw mut array).cast()) });
        (Some(array).filter(|array| !array.is_released()), code, raised)
    }
}

impl Drop for ArrowStream {
    fn drop(&mut self) {
        if let Some(release) = self.0.release {
            // SAFETY: GDAL's own release function on the stream that it filled, once.
            unsafe { release(&raw mut self.0) };
        }
    }
}

fn column(schema: &FFI_ArrowSchema) -> Result<Column> {
    let c_schema = std::ptr::from_ref(schema).cast::<gdal_sys::ArrowSchema>();
    // SAFETY: the two structs are laid out alike; a name is null or a C string that lives as long as the schema.
    let raw_name = unsafe {
        let name = (*c_schema).name;
        if name.is_null() { Vec::new() } else { CStr::from_ptr(name).to_bytes().to_vec() }
    };
    let name = String::from_utf8_lossy(&raw_name).into_owned();
    let found = |error| Error::internal(format!("column {} has no Arrow type", quoted(&name))).caused_by(error);
    let data_type = DataType::try_from(schema).map_err(found)?;
    let is_geometry = schema
        .metadata()
        .map_err(found)?
        .get("ARROW:extension:name")
        .is_some_and(|extension| extension == "ogc.wkb" || extension == "geoarrow.wkb");
    let mut field = Field::new(&name, as_bytes(&data_type), true);
    if is_geometry {
        field = field.with_metadata([(GEOMETRY_KEY.to_owned(), "1".to_owned())].into());
    } else if holds_text(&data_type) {
        field = field.with_metadata([(TEXT_KEY.to_owned(), "1".to_owned())].into());
    }
    Ok(Column { field, raw_name })
}

fn holds_text(data_type: &DataType) -> bool {
    match data_type {
        DataType::Utf8 | DataType::LargeUtf8 => true,
        DataType::List(item) | DataType::LargeList(item) => holds_text(item.data_type()),
        _ => false,
    }
}

/// The type under which text is imported: the same bytes, not yet believed to be UTF-8.
fn as_bytes(data_type: &DataType) -> DataType {
    let item = |item: &Field| Arc::new(Field::new("item", as_bytes(item.data_type()), true));
    match data_type {
        DataType::Utf8 => DataType::Binary,
        DataType::LargeUtf8 => DataType::LargeBinary,
        DataType::List(field) => DataType::List(item(field)),
        DataType::LargeList(field) => DataType::LargeList(item(field)),
        other => other.clone(),
    }
}

/// The rows of one layer. The stream goes before the file it reads from, so the order of the fields matters.
pub(crate) struct OgrRows {
    stream: ArrowStream,
    detour: Detour,
    _dataset: Dataset,
    stream_fields: Fields,
    schema: SchemaRef,
    raw_names: Vec<Vec<u8>>,
    /// How many columns of the stream stand before ours.
    first: usize,
    /// How many of our columns are keys, which are no fields.
    keys: usize,
    folder: String,
    rows_read: u64,
    warnings: Vec<String>,
}

impl OgrRows {
    /// Columns in order: text as `Binary` marked with [`TEXT_KEY`], geometry as `Binary` marked with [`GEOMETRY_KEY`].
    pub(crate) fn schema(&self) -> &SchemaRef {
        &self.schema
    }

    /// Whether the stream is not the driver's own but made of features.
    pub(crate) fn is_by_feature(&self) -> bool {
        self.detour.is_taken()
    }

    /// How many columns stand before the first field.
    pub(crate) fn keys(&self) -> usize {
        self.keys
    }

    /// The columns' names as bytes, before anyone decodes them.
    pub(crate) fn raw_names(&self) -> &[Vec<u8>] {
        &self.raw_names[self.first..]
    }

    /// The next rows; `None` at the end.
    ///
    /// # Errors
    ///
    /// `DataLoss` with the number of rows before it and GDAL's text, if anything was raised: OGR ends a layer that it
    /// cannot read any further as if it were complete.
    pub(crate) fn next(&mut self) -> Result<Option<RecordBatch>> {
        let (array, code, raised) = self.detour.around(|| self.stream.next());
        let raised = raised.without(&self.folder);
        if self.warnings.len() < MESSAGES_MAX {
            self.warnings.extend(raised.warnings.iter().cloned());
        }
        if code != 0 || !raised.failures.is_empty() {
            return Err(lost(self.rows_read, &raised));
        }
        refuse_changed_values(&raised)?;
        let Some(array) = array else { return Ok(None) };
        let struct_type = DataType::Struct(self.stream_fields.clone());
        // SAFETY: GDAL filled the array for the schema it gave; text was replaced by bytes, which have the same layout.
        let data = unsafe { from_ffi_and_data_type(array, struct_type) }
            .and_then(|data| data.validate_full().map(|()| data))
            .map_err(|error| Error::internal("GDAL gave columns that contradict their types").caused_by(error))?;
        let columns = StructArray::from(data);
        let count = columns.len();
        let columns = columns.columns()[self.first..].to_vec();
        let options = RecordBatchOptions::new().with_row_count(Some(count));
        let rows = RecordBatch::try_new_with_options(SchemaRef::clone(&self.schema), columns, &options)
            .map_err(|error| Error::internal("GDAL gave columns of another schema").caused_by(error))?;
        self.rows_read += count as u64;
        Ok(Some(rows))
    }

    /// The warnings so far, given away.
    pub(crate) fn take_warnings(&mut self) -> Vec<String> {
        std::mem::take(&mut self.warnings)
    }
}

fn lost(rows: u64, raised: &Raised) -> Error {
    let text = raised.failures.first().map_or("an error without a text", String::as_str);
    Error::data_loss(format!("the layer ends with an error after {rows} features: {}", quoted(text)))
}

/// What the XML parser says where the text ends before its elements do.
const XML_ENDS: [&str; 4] = ["no element found", "unclosed token", "unclosed CDATA section", "partial character"];

fn not_opened(driver: &str, raised: &Raised) -> Error {
    match raised.failures.first() {
        Some(text) if XML_ENDS.iter().any(|end| text.contains(end)) => {
            Error::data_loss(format!("driver {driver} found the file cut: {}", quoted(text)))
        }
        Some(text) => Error::invalid_data(format!("driver {driver} did not open the file: {}", quoted(text))),
        None => Error::invalid_data(format!("driver {driver} did not recognise the file")),
    }
}
