//! Refusal of bad assets by an adapter: the code, a message that names the cause, the adapter alive.

use crate::adapter::{Adapter, asset, asset_of, options, request};
use crate::failure::Verdict;
use crate::generate::{self, File};
use crate::requirement::{Class, requirements};
use std::time::{Duration, Instant};
use tonic::Code;
use ukimet_proto::v1::AssetOptions;
use ukimet_proto::v1::asset_request::Message;

/// How long an adapter may take to make room again after calls that were dropped.
const ROOM_TIME_MAX: Duration = Duration::from_secs(10);

/// The class.
pub fn class() -> Class<Adapter> {
    Class {
        name: "adapter-refusal",
        requirements: requirements![
            garbage_is_refused,
            an_empty_asset_is_refused,
            an_asset_without_finish_is_data_loss,
            an_asset_shorter_than_its_finish_says_is_data_loss,
            an_asset_without_options_is_refused,
            a_cut_asset_is_refused,
            a_missing_crs_is_a_question,
            a_layer_that_is_not_there_is_refused,
            a_call_that_is_dropped_harms_nobody,
        ],
    }
}

async fn garbage_is_refused(adapter: &Adapter) -> Verdict {
    let bytes = generate::garbage(4_000, &mut adapter.random("garbage"));
    for name in ["data.geojson", "data.gpkg", "data.fgb", "data.zip", "data"] {
        let file = File::new(name, bytes.clone());
        let refused = adapter.refuses(asset_of(&file), &[Code::InvalidArgument], "").await;
        refused.map_err(|f| f.context(name))?;
    }
    Ok(())
}

async fn an_empty_asset_is_refused(adapter: &Adapter) -> Verdict {
    let file = File::new("empty.geojson", "");
    adapter.refuses(asset_of(&file), &[Code::InvalidArgument], "empty").await
}

async fn an_asset_without_finish_is_data_loss(adapter: &Adapter) -> Verdict {
    let mut requests = asset_of(&generate::points(100, 1));
    requests.pop();
    adapter.refuses(requests, &[Code::DataLoss, Code::Aborted], "finish").await
}

async fn an_asset_shorter_than_its_finish_says_is_data_loss(adapter: &Adapter) -> Verdict {
    let file = generate::points(100, 1);
    let mut requests = asset_of(&file);
    requests.pop();
    let declared = file.bytes.len() as u64 + 1;
    requests.push(request(Message::Finish(declared)));
    adapter.refuses(requests, &[Code::DataLoss], &declared.to_string()).await
}

async fn an_asset_without_options_is_refused(adapter: &Adapter) -> Verdict {
    let requests = asset_of(&generate::points(10, 1)).split_off(1);
    adapter.refuses(requests, &[Code::InvalidArgument], "options").await
}

async fn a_cut_asset_is_refused(adapter: &Adapter) -> Verdict {
    adapter.reads("geojson").await?;
    let file = generate::points(200, 1);
    for percent in [20, 60, 99] {
        let cut = file.cut_to(file.bytes.len() * percent / 100);
        let refused = adapter.refuses(asset_of(&cut), &[Code::InvalidArgument, Code::DataLoss], "").await;
        refused.map_err(|f| f.context(format!("cut to {percent} %")))?;
    }
    Ok(())
}

async fn a_missing_crs_is_a_question(adapter: &Adapter) -> Verdict {
    adapter.reads("csv").await?;
    adapter.refuses(asset_of(&generate::metres_csv()), &[Code::FailedPrecondition], "crs").await
}

async fn a_layer_that_is_not_there_is_refused(adapter: &Adapter) -> Verdict {
    adapter.reads("geojson").await?;
    let file = generate::points(10, 1);
    let named = AssetOptions { layer: Some("roads".to_owned()), ..options(&file) };
    adapter.refuses(asset(named, &file.bytes, 1 << 16), &[Code::NotFound], "roads").await
}

async fn a_call_that_is_dropped_harms_nobody(adapter: &Adapter) -> Verdict {
    adapter.reads("geojson").await?;
    let mut random = adapter.random("dropped");
    for _ in 0..5 {
        let pause = Duration::from_millis(random.up_to(40));
        let _ = tokio::time::timeout(pause, adapter.read(asset_of(&generate::squares(20_000, 1)))).await;
    }
    let begin = Instant::now();
    loop {
        match adapter.read_file(&generate::points(10, 1)).await {
            Err(failure) if begin.elapsed() > ROOM_TIME_MAX => return Err(failure.context("after dropped calls")),
            Err(_) => tokio::time::sleep(Duration::from_millis(50)).await,
            Ok(_) => return Ok(()),
        }
    }
}
