//! The formats, by the endings of their files.

use ukimet_model::error::quoted;
use ukimet_model::{Error, Result};

/// A format of files of rows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FileFormat {
    /// Arrow IPC with a directory of its batches at the end.
    Arrow,
    /// Arrow IPC, batch after batch.
    ArrowStream,
    /// `GeoParquet` 1.1.
    Parquet,
    /// RFC 7946, one document.
    GeoJson,
    /// A `GeoJSON` feature a line.
    NdJson,
    /// RFC 4180, geometries as WKT.
    Csv,
    /// `FlatGeobuf` 3.
    FlatGeobuf,
    /// `GeoPackage` 1.3.
    GeoPackage,
    /// Shapefiles in an archive.
    Shapefile,
    /// Office Open XML, geometries as WKT.
    Xlsx,
}

/// Each format with the endings that mean it, the first of which it is called by.
const ENDINGS: [(FileFormat, &[&str]); 10] = [
    (FileFormat::Arrow, &["arrow"]),
    (FileFormat::ArrowStream, &["arrows"]),
    (FileFormat::Parquet, &["parquet"]),
    (FileFormat::GeoJson, &["geojson", "json"]),
    (FileFormat::NdJson, &["ndjson", "geojsonl", "geojsonseq"]),
    (FileFormat::Csv, &["csv"]),
    (FileFormat::FlatGeobuf, &["fgb"]),
    (FileFormat::GeoPackage, &["gpkg"]),
    (FileFormat::Shapefile, &["shp.zip"]),
    (FileFormat::Xlsx, &["xlsx"]),
];

impl FileFormat {
    /// The format of a file by its name.
    ///
    /// # Errors
    ///
    /// `InvalidRequest` for an unknown ending, naming the known ones.
    pub fn of_file(name: &str) -> Result<Self> {
        let name = name.to_lowercase();
        let mut endings =
            ENDINGS.iter().flat_map(|(format, endings)| endings.iter().map(move |ending| (format, ending)));
        let found = endings.find(|(_, ending)| name.strip_suffix(**ending).is_some_and(|rest| rest.ends_with('.')));
        found.map(|(format, _)| *format).ok_or_else(|| {
            let known: Vec<_> = ENDINGS.iter().map(|(_, endings)| format!(".{}", endings[0])).collect();
            let found = name.rsplit_once('.').map_or("none", |(_, ending)| ending);
            let known = known.join(", ");
            Error::invalid_request(format!("the file's ending says the format: {known}, found {}", quoted(found)))
        })
    }

    /// The formats of downloads; their Arrow is the one that streams.
    pub fn downloads() -> impl Iterator<Item = Self> {
        ENDINGS.iter().map(|(format, _)| *format).filter(|format| *format != Self::Arrow)
    }

    /// The ending that it is called by.
    pub fn name(self) -> &'static str {
        let found = ENDINGS.iter().find(|(format, _)| *format == self);
        found.map_or("", |(_, endings)| endings[0])
    }

    /// The ending of a download.
    pub fn download_ending(self) -> &'static str {
        if self == Self::ArrowStream { "arrow" } else { self.name() }
    }

    /// What its bytes are, for HTTP.
    pub fn media_type(self) -> &'static str {
        match self {
            Self::Arrow => "application/vnd.apache.arrow.file",
            Self::ArrowStream => "application/vnd.apache.arrow.stream",
            Self::Parquet => "application/vnd.apache.parquet",
            Self::GeoJson => "application/geo+json",
            Self::NdJson => "application/x-ndjson",
            Self::Csv => "text/csv; charset=utf-8; header=present",
            Self::FlatGeobuf => "application/flatgeobuf",
            Self::GeoPackage => "application/geopackage+sqlite3",
            Self::Shapefile => "application/zip",
            Self::Xlsx => "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
        }
    }

    /// Whether the file is complete before its first byte is known.
    pub fn is_staged(self) -> bool {
        matches!(self, Self::FlatGeobuf | Self::GeoPackage | Self::Shapefile | Self::Xlsx)
    }

    /// Checks that rows stay in the order in which they are written.
    ///
    /// # Errors
    ///
    /// `InvalidRequest` for the format that puts them into an order of its own.
    pub fn check_order(self) -> Result<()> {
        if self == Self::FlatGeobuf {
            return Err(Error::invalid_request(
                "a .fgb has its rows in the order of its index: leave order out, or take another format",
            ));
        }
        Ok(())
    }

    /// Whether it is text, which compresses well on its way.
    pub fn is_text(self) -> bool {
        matches!(self, Self::GeoJson | Self::NdJson | Self::Csv)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_ending_says_the_format_and_an_unknown_one_is_named() {
        for (name, format) in [
            ("x.parquet", FileFormat::Parquet),
            ("x.y/Schools.SHP.ZIP", FileFormat::Shapefile),
            ("x.json", FileFormat::GeoJson),
            ("x.arrows", FileFormat::ArrowStream),
        ] {
            assert_eq!(FileFormat::of_file(name).expect(name), format);
        }
        let error = FileFormat::of_file("x.docx").expect_err("unknown");
        assert!(error.message().contains("docx") && error.message().contains(".shp.zip"), "{error}");
        assert!(FileFormat::of_file("x.zip").is_err() && FileFormat::of_file("csv").is_err());
    }

    #[test]
    fn each_download_has_an_ending_of_its_own() {
        let endings: Vec<_> = FileFormat::downloads().map(FileFormat::download_ending).collect();
        let expected = ["arrow", "parquet", "geojson", "ndjson", "csv", "fgb", "gpkg", "shp.zip", "xlsx"];
        assert_eq!(endings, expected);
    }
}
