//! Readers see whole versions only.

use crate::failure::{Verdict, broken, require, require_equal};
use crate::generate;
use crate::hub::{Hub, row_count};
use crate::push::{Push, only_layer};
use crate::requirement::{Class, requirements};
use arrow_array::cast::AsArray;
use arrow_array::types::{Int32Type, Int64Type};
use arrow_array::{Array, RecordBatch};
use arrow_schema::DataType;
use std::sync::atomic::{AtomicBool, Ordering};
use ukimet_proto::v1::LayerSelection;
use ukimet_proto::v1::layer_selection::Selection;

const VERSIONS: u64 = 25;

/// The class.
pub fn class() -> Class<Hub> {
    Class {
        name: "visibility",
        requirements: requirements![
            a_reader_during_pushes_sees_whole_versions_in_order,
            layers_of_one_push_become_visible_together,
        ],
    }
}

/// How many rows the version with this salt has; every salt has a count of its own.
fn rows_of(salt: u64) -> u64 {
    500 + 37 * salt
}

async fn a_reader_during_pushes_sees_whole_versions_in_order(hub: &Hub) -> Verdict {
    let dataset = hub.dataset("whole");
    Push::new(&dataset, "whole-1", &generate::points(rows_of(1), 1)).send(hub).await?;
    let done = AtomicBool::new(false);
    let write = async {
        let result = write_versions(hub, &dataset).await;
        done.store(true, Ordering::Relaxed);
        result
    };
    let (written, read) = futures::join!(write, read_until(hub, &dataset, &done));
    written?;
    let reads = read?;
    require(reads > VERSIONS / 5, || format!("only {reads} reads fell between {VERSIONS} pushes"))?;
    hub.has_rows(&dataset, rows_of(VERSIONS)).await
}

async fn write_versions(hub: &Hub, dataset: &str) -> Verdict {
    for salt in 2..=VERSIONS {
        let outcome =
            Push::new(dataset, &format!("whole-{salt}"), &generate::points(rows_of(salt), salt)).send(hub).await?;
        require_equal("version", &salt, &only_layer(&outcome)?.version)?;
    }
    Ok(())
}

async fn read_until(hub: &Hub, dataset: &str, done: &AtomicBool) -> Verdict<u64> {
    let (mut reads, mut newest) = (0, 0);
    while !done.load(Ordering::Relaxed) {
        let batches = hub.rows(dataset).await?;
        let salt = the_only_salt(&batches)?;
        require_equal(&format!("rows of the version with salt {salt}"), &rows_of(salt), &row_count(&batches))?;
        require(salt >= newest, || format!("a reader saw version {newest}, then version {salt}"))?;
        newest = salt;
        let version = hub.newest(dataset).await?.version.unwrap_or_default();
        require_equal(&format!("rows of version {}", version.number), &rows_of(version.number), &version.rows)?;
        reads += 1;
    }
    Ok(reads)
}

/// The salt that every row has.
fn the_only_salt(batches: &[RecordBatch]) -> Verdict<u64> {
    let mut salts = Vec::new();
    for rows in batches {
        let Some(column) = rows.column_by_name("salt") else { return broken("there is no column salt") };
        salts.extend(integers(column)?);
    }
    salts.dedup();
    match salts.as_slice() {
        [salt] => Ok(*salt as u64),
        _ => broken(format!("one read holds rows of {} versions: {:?}", salts.len(), &salts[..salts.len().min(5)])),
    }
}

fn integers(column: &dyn Array) -> Verdict<Vec<i64>> {
    match column.data_type() {
        DataType::Int32 => Ok(column.as_primitive::<Int32Type>().values().iter().map(|v| i64::from(*v)).collect()),
        DataType::Int64 => Ok(column.as_primitive::<Int64Type>().values().to_vec()),
        other => broken(format!("a column of whole numbers has type {other}")),
    }
}

async fn layers_of_one_push_become_visible_together(hub: &Hub) -> Verdict {
    let dataset = hub.dataset("together");
    let mut push = Push::new(&dataset, "together-1", &generate::two_layers_kml());
    push.header.layers = Some(LayerSelection { selection: Some(Selection::All(true)) });
    let outcome = push.send(hub).await?;
    let names: Vec<_> = outcome.layers.iter().map(|layer| layer.dataset.clone()).collect();
    require_equal("datasets", &vec![format!("{dataset}-schools"), format!("{dataset}-clinics")], &names)?;
    for name in names {
        let version = hub.newest(&name).await?.version.unwrap_or_default();
        require_equal(
            &format!("commit and rows of {name}"),
            &(outcome.snapshot, 1),
            &(version.snapshot, version.rows),
        )?;
    }
    hub.shows_nothing_of(&dataset).await
}
