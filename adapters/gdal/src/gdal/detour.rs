//! Layers that are read feature by feature, because the Arrow stream of their driver is wrong.
//!
//! The streams of GDAL 3.6 for `GeoPackage` and `FlatGeobuf` write each truth value to a byte where a bit belongs, so
//! that most of them are false and others land beyond the column; that of `GeoPackage` ends with an error where a layer
//! has more columns than a function of `SQLite` has arguments; that of `FlatGeobuf` never ends where the header
//! counts no row.

use arrow_schema::{DataType, Fields};

/// The drivers with streams of their own, and the option by which GDAL makes the stream of features.
const OWN_STREAMS: [(&str, &str); 2] =
    [("GPKG", "OGR_GPKG_STREAM_BASE_IMPL"), ("FlatGeobuf", "OGR_FLATGEOBUF_STREAM_BASE_IMPL")];
/// Columns above which the stream of `GeoPackage` may fail, well below the 100 arguments of a careful build.
const FIELDS_MAX: usize = 90;

/// How the stream of one layer is asked for its rows.
#[derive(Clone, Copy, Debug)]
pub(super) struct Detour(Option<&'static str>);

impl Detour {
    /// Whether a layer with these columns needs one; `is_counted` says whether its file gives a number of rows above 0.
    pub(super) fn of(driver: &str, fields: &Fields, is_counted: impl FnOnce() -> bool) -> Self {
        let Some((_, option)) = OWN_STREAMS.iter().find(|(own, _)| *own == driver) else { return Self(None) };
        let has_truth_values = fields.iter().any(|field| field.data_type() == &DataType::Boolean);
        let is_wrong = has_truth_values || fields.len() > FIELDS_MAX || !is_counted();
        Self(is_wrong.then_some(*option))
    }

    /// Whether the rows come feature by feature.
    pub(super) fn is_taken(self) -> bool {
        self.0.is_some()
    }

    /// Calls GDAL with the option set, for this thread and call only.
    pub(super) fn around<T>(self, call: impl FnOnce() -> T) -> T {
        let Some(option) = self.0 else { return call() };
        // Both fail for names and values with a zero byte only.
        let set = gdal::config::set_thread_local_config_option(option, "YES");
        debug_assert!(set.is_ok(), "{option}");
        let result = call();
        let cleared = gdal::config::clear_thread_local_config_option(option);
        debug_assert!(cleared.is_ok(), "{option}");
        result
    }
}
