//! The rows of an asset: decoded, counted, in range, complete, and the same every time.

use crate::adapter::{Adapter, asset, asset_of, options};
use crate::failure::{Verdict, broken, require, require_equal};
use crate::generate;
use crate::reading::ReadLayer;
use crate::requirement::{Class, requirements};
use ukimet_model::wkb;
use ukimet_proto::v1::{AssetOptions, Severity};

/// The class. That messages stand in order, batches decode, counts, boxes and types agree with the report, and
/// geometries are canonical WKB within range is checked for every reading.
pub fn class() -> Class<Adapter> {
    Class {
        name: "read",
        requirements: requirements![
            every_row_comes_out_once_and_in_order,
            outlines_come_out_as_polygons_in_place,
            batches_keep_the_limit_that_was_asked,
            the_size_of_chunks_does_not_matter,
            the_same_bytes_give_the_same_rows,
            a_null_and_an_empty_text_are_kept_apart,
            a_table_with_longitude_and_latitude_has_places,
            a_table_without_places_is_read_without_geometry,
            a_refused_row_comes_back_with_a_verdict,
            a_declared_crs_is_used_and_named,
            every_layer_is_read_when_all_are_asked,
            one_layer_is_read_when_it_is_named,
        ],
    }
}

fn numbered(rows: u64) -> Vec<Option<String>> {
    (0..rows).map(|id| Some(id.to_string())).collect()
}

async fn every_row_comes_out_once_and_in_order(adapter: &Adapter) -> Verdict {
    adapter.reads("geojson").await?;
    let reading = adapter.read_file(&generate::points(5_000, 1)).await?;
    let layer = reading.only_layer()?;
    require_equal("column id", &numbered(5_000), &layer.column("id")?)?;
    let titles = (0..5_000).map(|id| Some(format!("Мектеп № {id}"))).collect();
    require_equal("column title", &titles, &layer.column("title")?)?;
    let report = layer.report.clone().unwrap_or_default();
    require_equal("rows repaired and refused", &(0, 0), &(report.rows_repaired, report.rows_refused))
}

async fn outlines_come_out_as_polygons_in_place(adapter: &Adapter) -> Verdict {
    adapter.reads("geojson").await?;
    let reading = adapter.read_file(&generate::squares(100, 1)).await?;
    for bytes in geometries(reading.only_layer()?)? {
        let shape = wkb::inspect(bytes)?;
        require(shape.kind == wkb::GeometryType::Polygon && shape.vertices == 5, || format!("found {shape:?}"))?;
        let [x0, y0, x1, y1] = shape.bounds.unwrap_or_default();
        require((x1 - x0 - 0.01).abs() < 1e-9 && (y1 - y0 - 0.01).abs() < 1e-9, || format!("found {shape:?}"))?;
        require((46.0..88.0).contains(&x0) && (40.0..56.0).contains(&y0), || format!("axes are swapped: {shape:?}"))?;
    }
    Ok(())
}

fn geometries(layer: &ReadLayer) -> Verdict<Vec<&[u8]>> {
    match layer.geometries() {
        Some(all) => Ok(all.into_iter().flatten().collect()),
        None => broken(format!("layer {} has no geometry column", layer.name)),
    }
}

async fn batches_keep_the_limit_that_was_asked(adapter: &Adapter) -> Verdict {
    adapter.reads("geojson").await?;
    let file = generate::points(1_000, 1);
    let reading =
        adapter.read(asset(AssetOptions { batch_rows_max: 64, ..options(&file) }, &file.bytes, 1 << 16)).await?;
    reading.is_complete()?;
    let largest = reading.only_layer()?.batches.iter().map(arrow_array::RecordBatch::num_rows).max();
    require(largest.is_some_and(|rows| rows <= 64), || format!("expected at most 64 rows, found {largest:?}"))?;
    require_equal("rows", &1_000, &reading.rows())
}

async fn the_size_of_chunks_does_not_matter(adapter: &Adapter) -> Verdict {
    adapter.reads("geojson").await?;
    let file = generate::points(300, 1);
    let expected = adapter.read_file(&file).await?;
    for chunk_bytes in [37, 1_000, 1 << 20] {
        let found = adapter.read(asset(options(&file), &file.bytes, chunk_bytes)).await?;
        require(found.only_layer()?.batches == expected.only_layer()?.batches, || {
            format!("chunks of {chunk_bytes} bytes give other rows")
        })?;
    }
    Ok(())
}

async fn the_same_bytes_give_the_same_rows(adapter: &Adapter) -> Verdict {
    adapter.reads("geojson").await?;
    let file = generate::squares(2_000, 3);
    let (first, second) = (adapter.read_file(&file).await?, adapter.read_file(&file).await?);
    let (first, second) = (first.only_layer()?, second.only_layer()?);
    require(first.batches == second.batches, || "two readings give other rows".to_owned())?;
    require_equal("report", &first.report, &second.report)
}

async fn a_null_and_an_empty_text_are_kept_apart(adapter: &Adapter) -> Verdict {
    adapter.reads("geojson").await?;
    let reading = adapter.read_file(&generate::text_empty_and_null()).await?;
    let expected = vec![Some("мектеп".to_owned()), Some(String::new()), None];
    require_equal("column title", &expected, &reading.only_layer()?.column("title")?)
}

async fn a_table_with_longitude_and_latitude_has_places(adapter: &Adapter) -> Verdict {
    adapter.reads("csv").await?;
    let reading = adapter.read_file(&generate::points_csv(120, 1)).await?;
    let layer = reading.only_layer()?;
    require_equal("places", &120, &geometries(layer)?.len())?;
    require_equal("column id", &numbered(120), &layer.column("id")?)
}

async fn a_refused_row_comes_back_with_a_verdict(adapter: &Adapter) -> Verdict {
    adapter.reads("csv").await?;
    let bytes = "id,wkt\n1,POINT(76.95 43.25)\n007,POINT(76.95\n3,POINT(71.43 51.13)\n";
    let file = generate::File::new("places.csv", bytes);
    let declared = AssetOptions { crs: Some("OGC:CRS84".to_owned()), ..options(&file) };
    let reading = adapter.read(asset(declared, &file.bytes, 1 << 16)).await?;
    let layer = reading.only_layer()?;
    let report = layer.report.clone().unwrap_or_default();
    require_equal("rows taken and refused", &(2, 1), &(report.rows_taken, report.rows_refused))?;
    let rows: Vec<u64> = layer.quarantined.iter().map(|row| row.row).collect();
    require_equal("rows given back", &vec![1], &rows)?;
    let said = |row| layer.verdicts.iter().any(|verdict| verdict.row == row && verdict.severity() == Severity::Error);
    require(said(Some(1)), || format!("no verdict refuses row 1: {:?}", layer.verdicts))?;
    let texts = layer.quarantined.iter().flat_map(|row| &row.values).map(|value| value.text.clone());
    let expected = vec![Some("007".to_owned()), Some("POINT(76.95".to_owned())];
    require_equal("its values, as the source has them", &expected, &texts.collect())
}

async fn a_table_without_places_is_read_without_geometry(adapter: &Adapter) -> Verdict {
    adapter.reads("csv").await?;
    let table = generate::File::new("codes.csv", "kato,name\n010000000,Абай\n710000000,Астана\n");
    let reading = adapter.read_file(&table).await?;
    let layer = reading.only_layer()?;
    require(layer.geometries().is_none(), || "a table without places has a geometry column".to_owned())?;
    let codes = vec![Some("010000000".to_owned()), Some("710000000".to_owned())];
    require_equal("column kato, whose leading zero is kept", &codes, &layer.column("kato")?)
}

async fn a_declared_crs_is_used_and_named(adapter: &Adapter) -> Verdict {
    adapter.reads("csv").await?;
    let file = generate::metres_csv();
    let declared = AssetOptions { crs: Some("EPSG:28413".to_owned()), ..options(&file) };
    let reading = adapter.read(asset(declared, &file.bytes, 1 << 16)).await?;
    reading.is_complete()?;
    let layer = reading.only_layer()?;
    let (lon, lat) = generate::METRES_PLACE;
    let [x, y, ..] = match geometries(layer)?.as_slice() {
        [point] => wkb::inspect(point)?.bounds.unwrap_or_default(),
        found => return broken(format!("expected one place, found {}", found.len())),
    };
    require((x - lon).abs() < 0.001 && (y - lat).abs() < 0.001, || format!("expected {lon},{lat}, found {x},{y}"))?;
    let report = layer.report.clone().unwrap_or_default();
    require_equal("source_crs", &Some("EPSG:28413".to_owned()), &report.source_crs)?;
    require(report.steps.iter().any(|step| step.step == "crs"), || "the receipt has no step crs".to_owned())
}

async fn every_layer_is_read_when_all_are_asked(adapter: &Adapter) -> Verdict {
    adapter.reads("kml").await?;
    let file = generate::two_layers_kml();
    let all = AssetOptions { all_layers: true, ..options(&file) };
    let reading = adapter.read(asset(all, &file.bytes, 1 << 16)).await?;
    reading.is_complete()?;
    require_equal("layers and rows", &(2, 2), &(reading.layers.len(), reading.rows()))
}

async fn one_layer_is_read_when_it_is_named(adapter: &Adapter) -> Verdict {
    adapter.reads("kml").await?;
    let file = generate::two_layers_kml();
    let named = AssetOptions { layer: Some("clinics".to_owned()), ..options(&file) };
    let reading = adapter.read(asset(named, &file.bytes, 1 << 16)).await?;
    reading.is_complete()?;
    require_equal("layer", &"clinics".to_owned(), &reading.only_layer()?.name)?;
    // The other reading of the same messages must not remember the first.
    adapter.refuses(asset_of(&file), &[tonic::Code::FailedPrecondition], "schools").await
}
