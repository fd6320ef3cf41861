//! Rasters: a row, a file with the same pixels, and what is refused.

use crate::adapter::{Adapter, Ask, ReadLayer, messages, read};
use arrow_array::RecordBatch;
use arrow_array::cast::AsArray;
use arrow_array::types::{Float64Type, Int64Type};
use gdal::raster::{Buffer, GdalType, RasterCreationOptions};
use gdal::spatial_ref::SpatialRef;
use gdal::{Dataset, DriverManager, Metadata};
use std::path::Path;
use ukimet_model::{Error, ErrorKind};
use ukimet_proto::status::from_status;
use ukimet_proto::v1;
use ukimet_proto::v1::read_response::Message as Response;

/// A raster to be made: degrees from 76 east and 44 north, pixels of 0.01 degrees.
struct Made<'a, T> {
    values: &'a dyn Fn(usize, usize) -> T,
    size: (usize, usize),
    bands: usize,
    epsg: Option<u32>,
    transform: Option<[f64; 6]>,
    options: &'a [&'a str],
    change: &'a dyn Fn(&mut Dataset),
}

impl<T: GdalType + Copy> Made<'_, T> {
    fn bytes(&self, driver: &str) -> Vec<u8> {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("made.tif");
        let driver = DriverManager::get_driver_by_name(driver).expect("a driver");
        let options = self.options.iter().copied().collect::<RasterCreationOptions>();
        let (width, height) = self.size;
        let made = driver.create_with_band_type_with_options::<T, _>(&path, width, height, self.bands, &options);
        let mut dataset = made.expect("made");
        if let Some(transform) = &self.transform {
            dataset.set_geo_transform(transform).expect("a transform");
        }
        if let Some(code) = self.epsg {
            dataset.set_spatial_ref(&SpatialRef::from_epsg(code).expect("known")).expect("a crs");
        }
        for band in 1..=self.bands {
            let values = (0..height).flat_map(|row| (0..width).map(move |column| (column, row)));
            let values: Vec<T> = values.map(|(column, row)| (self.values)(column + band - 1, row)).collect();
            let mut buffer = Buffer::new((width, height), values);
            dataset.rasterband(band).expect("a band").write((0, 0), (width, height), &mut buffer).expect("written");
        }
        (self.change)(&mut dataset);
        dataset.close().expect("closed");
        std::fs::read(&path).expect("read")
    }
}

const DEGREES: [f64; 6] = [76.0, 0.01, 0.0, 44.0, 0.0, -0.01];

fn heights(column: usize, row: usize) -> f32 {
    (column as f32) * 0.5 + (row as f32) * 3.0
}

fn elevation() -> Made<'static, f32> {
    Made {
        values: &heights,
        size: (700, 600),
        bands: 1,
        epsg: Some(4326),
        transform: Some(DEGREES),
        options: &[],
        change: &|_| (),
    }
}

async fn one(adapter: &Adapter, name: &str, bytes: &[u8]) -> Result<ReadLayer, Error> {
    let mut layers = read(adapter, &Ask::named(name), bytes).await?;
    assert_eq!(layers.len(), 1);
    Ok(layers.remove(0))
}

fn row(layer: &ReadLayer) -> &RecordBatch {
    assert_eq!((layer.rows(), layer.assets.len()), (1, 1));
    &layer.batches[0]
}

fn whole(row: &RecordBatch, name: &str) -> i64 {
    row.column_by_name(name).expect(name).as_primitive::<Int64Type>().value(0)
}

fn band_number(row: &RecordBatch, name: &str) -> f64 {
    let bands = row.column_by_name("bands").expect("bands").as_list::<i32>().value(0);
    bands.as_struct().column_by_name(name).expect(name).as_primitive::<Float64Type>().value(0)
}

/// The pixels of a file in memory, first band.
fn pixels<T: GdalType + Copy>(bytes: &[u8]) -> (Vec<T>, (usize, usize), [f64; 6]) {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("a.tif");
    std::fs::write(&path, bytes).expect("written");
    let dataset = Dataset::open(&path).expect("opens");
    let band = dataset.rasterband(1).expect("a band");
    let values = band.read_band_as::<T>().expect("read").into_shape_and_vec().1;
    (values, dataset.raster_size(), dataset.geo_transform().expect("a transform"))
}

#[tokio::test]
async fn a_raster_is_a_row_with_statistics_and_a_file_with_the_same_pixels() {
    let adapter = Adapter::start(&[]).await;
    let bytes = elevation().bytes("GTiff");
    let layer = one(&adapter, "relief.tif", &bytes).await.expect("read");
    let row = row(&layer);
    assert_eq!((whole(row, "width"), whole(row, "height"), whole(row, "band_count")), (700, 600, 1));
    assert_eq!(row.column_by_name("data_type").expect("a type").as_string::<i32>().value(0), "Float32");
    assert_eq!((band_number(row, "min"), band_number(row, "max")), (0.0, 349.5 + 1797.0));
    assert!((band_number(row, "mean") - f64::midpoint(349.5, 1797.0)).abs() < 1e-6);
    assert!((band_number(row, "valid_share") - 1.0).abs() < 1e-12);
    let asset = &layer.assets[0];
    assert_eq!(whole(row, "asset_size_bytes") as usize, asset.len());
    assert_eq!(whole(row, "overviews"), 1);
    assert_eq!(pixels::<f32>(asset), pixels::<f32>(&bytes));
    let wkb = row.column_by_name("geometry").expect("a place").as_binary::<i32>().value(0);
    let shape = ukimet_model::wkb::inspect(wkb).expect("wkb");
    assert_eq!(shape.bounds, Some([76.0, 38.0, 83.0, 44.0]));
    assert_eq!(layer.report.rows_refused, 0);
    let again = one(&adapter, "relief.tif", &bytes).await.expect("read");
    assert!(again.assets == layer.assets && again.batches == layer.batches, "the same bytes give the same file");
}

#[tokio::test]
async fn a_raster_without_a_crs_is_a_question_and_a_declared_one_is_written_into_the_file() {
    let adapter = Adapter::start(&[]).await;
    let transform = Some([500_000.0, 30.0, 0.0, 4_800_000.0, 0.0, -30.0]);
    let bytes = Made { epsg: None, transform, size: (90, 70), ..elevation() }.bytes("GTiff");
    let error = one(&adapter, "a.tif", &bytes).await.expect_err("no crs");
    assert_eq!(error.kind(), ErrorKind::Undeclared, "{error}");
    let ask = Ask { crs: Some("EPSG:32643".to_owned()), ..Ask::named("a.tif") };
    let layers = read(&adapter, &ask, &bytes).await.expect("declared");
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("a.tif");
    std::fs::write(&path, &layers[0].assets[0]).expect("written");
    let crs = Dataset::open(&path).expect("opens").spatial_ref().expect("a crs");
    assert_eq!(crs.auth_code().expect("a code"), 32643);
    let wkb = layers[0].batches[0].column_by_name("geometry").expect("a place").as_binary::<i32>().value(0);
    let bounds = ukimet_model::wkb::inspect(wkb).expect("wkb").bounds.expect("bounds");
    assert!((bounds[0] - 75.0).abs() < 0.001 && (bounds[3] - 43.35).abs() < 0.02, "{bounds:?}");
}

/// The answer to a window: the file.
async fn window(adapter: &Adapter, bytes: &[u8], [west, south, east, north]: [f64; 4]) -> Result<Vec<u8>, Error> {
    let window = Some(v1::BoundingBox { west, south, east, north });
    let ask = Ask { window, ..Ask::named("a.tif") };
    let stream = tokio_stream::iter(messages(&ask, bytes));
    let mut client = adapter.client.clone();
    let mut stream = client.read(stream).await.map_err(|s| from_status(&s))?.into_inner();
    let (mut file, mut has_ended) = (Vec::new(), false);
    while let Some(response) = stream.message().await.map_err(|s| from_status(&s))? {
        match response.message.expect("a message") {
            Response::AssetData(data) => file.extend(data),
            Response::AssetEnd(end) => assert_eq!(end.size_bytes as usize, file.len()),
            Response::Summary(summary) => has_ended = summary.layers == 0,
            Response::AssetBegin(_) => (),
            other => panic!("a file was expected, found {other:?}"),
        }
    }
    assert!(has_ended);
    Ok(file)
}

#[tokio::test]
async fn a_window_holds_the_pixels_that_the_box_touches() {
    let adapter = Adapter::start(&[]).await;
    let bytes = elevation().bytes("GTiff");
    let kept = one(&adapter, "relief.tif", &bytes).await.expect("read").assets.remove(0);
    let cut = window(&adapter, &kept, [76.105, 43.5, 76.2, 43.603]).await.expect("cut");
    let (values, size, transform) = pixels::<f32>(&cut);
    assert_eq!(size, (10, 11));
    assert!((transform[0] - 76.1).abs() < 1e-9 && (transform[3] - 43.61).abs() < 1e-9, "{transform:?}");
    let expected: Vec<f32> = (39..50).flat_map(|row| (10..20).map(move |column| heights(column, row))).collect();
    assert_eq!(values, expected);
    let error = window(&adapter, &kept, [10.0, 43.5, 11.0, 43.6]).await.expect_err("outside");
    assert!(error.to_string().contains("lies outside the raster"), "{error:?}");
    let error = window(&adapter, &kept, [170.0, 43.5, -170.0, 43.6]).await.expect_err("across");
    assert!(error.to_string().contains("antimeridian"), "{error}");
}

#[tokio::test]
async fn nodata_scale_unit_name_and_colors_are_kept_and_classes_are_not_averaged() {
    let adapter = Adapter::start(&[]).await;
    let classes = |column: usize, row: usize| if (column + row).is_multiple_of(2) { 10_u8 } else { 20 };
    let change = |dataset: &mut Dataset| {
        let mut band = dataset.rasterband(1).expect("a band");
        band.set_no_data_value(Some(20.0)).expect("nodata");
        band.set_scale(0.1).expect("scale");
        band.set_offset(5.0).expect("offset");
        band.set_description("cover").expect("a name");
    };
    let made = Made {
        values: &classes,
        size: (1200, 1100),
        bands: 1,
        epsg: Some(4326),
        transform: Some(DEGREES),
        options: &[],
        change: &change,
    };
    let bytes = made.bytes("GTiff");
    let layer = one(&adapter, "cover.tif", &bytes).await.expect("read");
    assert!((band_number(row(&layer), "valid_share") - 0.5).abs() < 1e-12);
    assert_eq!((band_number(row(&layer), "scale"), band_number(row(&layer), "offset")), (0.1, 5.0));
    assert!(!layer.rules().contains(&"raster.band_lost"), "{:?}", layer.report.diagnostics);
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("a.tif");
    std::fs::write(&path, &layer.assets[0]).expect("written");
    let dataset = Dataset::open(&path).expect("opens");
    let band = dataset.rasterband(1).expect("a band");
    assert_eq!((band.no_data_value(), band.scale(), band.offset()), (Some(20.0), Some(0.1), Some(5.0)));
    assert_eq!(band.description().expect("a name"), "cover");
    let overview = band.overview(0).expect("an overview").read_band_as::<u8>().expect("read").into_shape_and_vec().1;
    assert!(overview.iter().all(|value| [10, 20].contains(value)), "a class that is not there");
}

#[tokio::test]
async fn what_cannot_be_kept_is_refused_in_words() {
    let adapter = Adapter::start(&["--raster-values-max", "1000000", "--raster-block-bytes", "1000000"]).await;
    let no_place = Made { transform: None, ..elevation() }.bytes("GTiff");
    let whole = elevation().bytes("GTiff");
    let large = Made { size: (1001, 1000), ..elevation() }.bytes("GTiff");
    let block = Made { size: (900, 900), options: &["TILED=YES", "BLOCKXSIZE=512", "BLOCKYSIZE=512"], ..elevation() }
        .bytes("GTiff");
    for (bytes, kind, words) in [
        (no_place.as_slice(), ErrorKind::InvalidData, "a place for every pixel was expected, found none"),
        (&whole[..whole.len() / 2], ErrorKind::DataLoss, ""),
        (&whole[..100], ErrorKind::InvalidData, ""),
        (&large, ErrorKind::LimitReached, "at most 1000000 values"),
        (&block, ErrorKind::LimitReached, "a tile or strip"),
        (b"\x89PNG\r\n\x1a\n", ErrorKind::InvalidData, "a picture has no place"),
    ] {
        let error = one(&adapter, "a.tif", bytes).await.map(|_| ()).expect_err(words);
        assert!(error.kind() == kind && error.to_string().contains(words), "{words}: {error:?}");
        assert!(!error.to_string().contains("scratch"), "no path of ours: {error}");
    }
    assert_eq!(adapter.left_behind(), Vec::<String>::new());
}

#[tokio::test]
async fn bands_and_bytes_of_a_raster_have_limits() {
    let bytes = Made { bands: 3, ..elevation() }.bytes("GTiff");
    for (flag, limit, words) in
        [("--raster-bands-max", "2", "at most 2 bands, found 3"), ("--raster-bytes", "1000", "at most 1000 bytes")]
    {
        let adapter = Adapter::start(&[flag, limit]).await;
        let error = one(&adapter, "a.tif", &bytes).await.expect_err(words);
        assert!(error.kind() == ErrorKind::LimitReached && error.to_string().contains(words), "{error}");
        assert_eq!(adapter.left_behind(), Vec::<String>::new());
    }
    let adapter = Adapter::start(&["--raster-bands-max", "3", "--raster-bytes", "10000000"]).await;
    assert_eq!(one(&adapter, "a.tif", &bytes).await.expect("within").rows(), 1);
}

#[tokio::test]
async fn a_tiny_file_that_claims_a_huge_raster_is_refused_at_once() {
    let adapter = Adapter::start(&[]).await;
    let tiles = ["TILED=YES", "SPARSE_OK=TRUE", "BLOCKXSIZE=4096", "BLOCKYSIZE=4096"];
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("a.tif");
    let driver = DriverManager::get_driver_by_name("GTiff").expect("a driver");
    let options = RasterCreationOptions::from_iter(tiles);
    let mut made =
        driver.create_with_band_type_with_options::<u8, _>(&path, 1_000_000, 1_000_000, 1, &options).expect("made");
    made.set_geo_transform(&[70.0, 0.000_01, 0.0, 50.0, 0.0, -0.000_01]).expect("a transform");
    made.close().expect("closed");
    let bytes = std::fs::read(&path).expect("read");
    assert!(bytes.len() < 2 << 20, "{}", bytes.len());
    let error = one(&adapter, "a.tif", &bytes).await.expect_err("a bomb");
    assert!(error.kind() == ErrorKind::LimitReached && error.to_string().contains("1000000 x 1000000"), "{error}");
}

#[tokio::test]
async fn hostile_bytes_in_a_head_never_end_the_adapter() {
    let adapter = Adapter::start(&["--wall-seconds", "60"]).await;
    let whole = Made { size: (60, 50), ..elevation() }.bytes("GTiff");
    let head = whole.len() - 600;
    let mut kinds = std::collections::BTreeSet::new();
    for at in (4..8).chain((head..whole.len()).step_by(3)) {
        for value in [0x00, 0xff] {
            let mut bytes = whole.clone();
            bytes[at] = value;
            if let Err(error) = one(&adapter, "a.tif", &bytes).await {
                assert!(
                    !matches!(error.kind(), ErrorKind::Internal | ErrorKind::Unavailable),
                    "{at} {value}: {error:?}"
                );
                kinds.insert(format!("{:?}", error.kind()));
            }
        }
    }
    assert!(one(&adapter, "a.tif", &whole).await.is_ok(), "it still answers");
    assert!(!kinds.is_empty());
}

/// A classic netCDF file made by GDAL.
fn netcdf(bytes: &[u8], format: &str) -> Vec<u8> {
    let folder = tempfile::tempdir().expect("a folder");
    let (from, to) = (folder.path().join("a.tif"), folder.path().join("a.nc"));
    std::fs::write(&from, bytes).expect("written");
    let driver = DriverManager::get_driver_by_name("netCDF").expect("a driver");
    let options = RasterCreationOptions::from_iter([format]);
    let copy = Dataset::open(&from).expect("opens").create_copy(&driver, &to, &options).expect("copied");
    copy.close().expect("closed");
    std::fs::read(Path::new(&to)).expect("read")
}

#[tokio::test]
async fn variables_of_netcdf_are_rasters_classic_and_hdf5() {
    let adapter = Adapter::start(&[]).await;
    let bytes = Made { size: (60, 50), bands: 1, ..elevation() }.bytes("GTiff");
    for format in ["FORMAT=NC", "FORMAT=NC4"] {
        let layer = one(&adapter, "relief.nc", &netcdf(&bytes, format)).await.expect(format);
        assert_eq!(pixels::<f32>(&layer.assets[0]).0, pixels::<f32>(&bytes).0, "{format}");
        assert!(!layer.rules().contains(&"raster.crs_assumed"), "{:?}", layer.report.diagnostics);
    }
    let two = Made { size: (60, 50), bands: 2, ..elevation() }.bytes("GTiff");
    let layers = read(&adapter, &Ask::named("two.nc"), &netcdf(&two, "FORMAT=NC")).await.expect("read");
    let names: Vec<_> = layers.iter().map(|layer| layer.name.as_str()).collect();
    assert_eq!(names, ["Band1", "Band2"]);
}
