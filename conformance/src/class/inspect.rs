//! The layers of an asset, without its rows.

use crate::adapter::{Adapter, asset_of, options, request};
use crate::failure::{Verdict, require, require_equal};
use crate::generate::{self, File};
use crate::push::require_refusal;
use crate::requirement::{Class, requirements};
use tonic::Code;
use ukimet_proto::v1::asset_request::Message;

/// The class.
pub fn class() -> Class<Adapter> {
    Class {
        name: "inspect",
        requirements: requirements![
            inspecting_tells_format_layer_fields_and_geometry,
            inspecting_a_table_tells_its_fields,
            inspecting_names_the_layers_that_reading_gives,
            inspecting_garbage_is_refused,
        ],
    }
}

async fn inspecting_tells_format_layer_fields_and_geometry(adapter: &Adapter) -> Verdict {
    adapter.reads("geojson").await?;
    let found = adapter.inspect(asset_of(&generate::squares(30, 1))).await?;
    require(!found.format.is_empty() && found.media_type.contains('/'), || {
        format!("format {:?}, media type {:?}", found.format, found.media_type)
    })?;
    require_equal("layers", &1, &found.layers.len())?;
    let layer = &found.layers[0];
    require(layer.has_geometry, || "the layer has no geometry".to_owned())?;
    require_equal("fields", &["id", "salt", "title"].map(str::to_owned).to_vec(), &layer.fields)?;
    require(layer.rows_declared.is_none_or(|rows| rows == 30), || format!("rows_declared {:?}", layer.rows_declared))
}

async fn inspecting_a_table_tells_its_fields(adapter: &Adapter) -> Verdict {
    adapter.reads("csv").await?;
    let table = File::new("names.csv", "Код,Атауы\n710000000,Астана\n750000000,Алматы\n");
    let found = adapter.inspect(asset_of(&table)).await?;
    require_equal("layers", &1, &found.layers.len())?;
    require_equal("fields", &["Код", "Атауы"].map(str::to_owned).to_vec(), &found.layers[0].fields)?;
    require(!found.layers[0].has_geometry, || "a table without places has a geometry".to_owned())
}

async fn inspecting_names_the_layers_that_reading_gives(adapter: &Adapter) -> Verdict {
    adapter.reads("kml").await?;
    let file = generate::two_layers_kml();
    let inspected: Vec<_> =
        adapter.inspect(asset_of(&file)).await?.layers.into_iter().map(|layer| layer.name).collect();
    let all = ukimet_proto::v1::AssetOptions { all_layers: true, ..options(&file) };
    let reading = adapter.read(crate::adapter::asset(all, &file.bytes, 1 << 16)).await?;
    let read: Vec<_> = reading.layers.iter().map(|layer| layer.name.clone()).collect();
    require_equal("layers", &["schools", "clinics"].map(str::to_owned).to_vec(), &inspected)?;
    require_equal("layers read", &inspected, &read)
}

async fn inspecting_garbage_is_refused(adapter: &Adapter) -> Verdict {
    let garbage = generate::garbage(4_000, &mut adapter.random("inspect"));
    let file = File::new("data.gpkg", garbage);
    require_refusal(adapter.inspect(asset_of(&file)).await, Code::InvalidArgument, "")?;
    let headless = vec![request(Message::Finish(0))];
    require_refusal(adapter.inspect(headless).await, Code::InvalidArgument, "options")
}
