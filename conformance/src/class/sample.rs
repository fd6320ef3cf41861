//! What must hold for any format, asked with an adapter's own samples.

use crate::failure::{Failure, Verdict, require, require_equal};
use crate::reading::Reading;
use crate::requirement::{Class, requirements};
use crate::samples::{Answer, Sample, Sampled};
use ukimet_model::batch;

/// The class.
pub fn class() -> Class<Sampled> {
    Class {
        name: "sample",
        requirements: requirements![
            every_sample_holds_what_its_manifest_says,
            inspecting_a_sample_names_the_layers_that_reading_gives,
            a_sample_read_twice_gives_the_same_answer,
            batches_of_a_sample_keep_the_limit_that_was_asked,
            the_size_of_chunks_of_a_sample_does_not_matter,
            a_path_is_read_as_the_bytes_are_or_refused,
            every_column_keeps_its_name_in_the_source,
            every_layer_tells_the_steps_that_made_it,
            samples_are_told_by_their_media_type_and_by_their_ending,
        ],
    }
}

async fn every_sample_holds_what_its_manifest_says(target: &Sampled) -> Verdict {
    for sample in &target.samples {
        let reading = target.read(sample).await?;
        holds(sample, &reading).map_err(|f| f.context(&sample.file.name))?;
    }
    Ok(())
}

fn holds(sample: &Sample, reading: &Reading) -> Verdict {
    let names: Vec<_> = reading.layers.iter().map(|layer| &layer.name).collect();
    require_equal("layers", &sample.layers.iter().map(|layer| &layer.name).collect(), &names)?;
    for (expected, layer) in sample.layers.iter().zip(&reading.layers) {
        let report = layer.report.clone().unwrap_or_default();
        require_equal("rows", &expected.rows, &layer.rows())?;
        require_equal("rows refused", &expected.refused, &report.rows_refused)?;
        require_equal("columns", &expected.columns, &layer.columns())?;
        require_equal("source_crs", &expected.crs, &report.source_crs)?;
    }
    Ok(())
}

async fn inspecting_a_sample_names_the_layers_that_reading_gives(target: &Sampled) -> Verdict {
    for sample in &target.samples {
        let (inspected, reading) = (target.adapter.inspect(sample.requests()).await?, target.read(sample).await?);
        require_equal(
            "layers inspected",
            &reading.layers.iter().map(|layer| layer.name.clone()).collect::<Vec<_>>(),
            &inspected.layers.iter().map(|layer| layer.name.clone()).collect(),
        )?;
        for (layer, read) in inspected.layers.iter().zip(&reading.layers) {
            let has_geometry = batch::geometry_index(&read.schema).is_some();
            // What the values show, such as columns of degrees, a look at the head of the file may not have found yet.
            require(has_geometry || !layer.has_geometry, || format!("layer {} was to have a geometry", layer.name))?;
        }
        let media_type = reading.summary.map(|summary| summary.media_type);
        require_equal("media type", &media_type, &Some(inspected.media_type))?;
    }
    Ok(())
}

async fn a_sample_read_twice_gives_the_same_answer(target: &Sampled) -> Verdict {
    for sample in &target.samples {
        let (first, second) = (target.read(sample).await?, target.read(sample).await?);
        first.is_same_as(&second).map_err(|f| f.context(&sample.file.name))?;
    }
    Ok(())
}

async fn batches_of_a_sample_keep_the_limit_that_was_asked(target: &Sampled) -> Verdict {
    for sample in &target.samples {
        let whole = target.read(sample).await?;
        for rows_max in [1, 7, 64] {
            // A thousand batches of one row say as much as a million.
            if rows_max == 1 && whole.rows() > 1_000 {
                continue;
            }
            let answer = target.answer(sample.with(|options| options.batch_rows_max = rows_max)).await?;
            let Answer::Read(reading) = answer else { return Err(refused(sample, answer)) };
            let batches = reading.layers.iter().flat_map(|layer| &layer.batches);
            let largest = batches.map(arrow_array::RecordBatch::num_rows).max().unwrap_or_default();
            require(largest <= rows_max as usize, || format!("expected at most {rows_max} rows, found {largest}"))?;
            require_equal("rows", &whole.rows(), &reading.rows())?;
        }
    }
    Ok(())
}

async fn the_size_of_chunks_of_a_sample_does_not_matter(target: &Sampled) -> Verdict {
    for sample in &target.samples {
        let whole = target.read(sample).await?;
        let small = (sample.file.bytes.len() / 1_000).max(17);
        for chunk_bytes in [small, 1 << 20] {
            let requests = crate::adapter::asset(sample.options.clone(), &sample.file.bytes, chunk_bytes);
            let answer = target.answer(requests).await?;
            let Answer::Read(reading) = answer else { return Err(refused(sample, answer)) };
            whole.is_same_as(&reading).map_err(|f| f.context(format!("chunks of {chunk_bytes} bytes")))?;
        }
    }
    Ok(())
}

fn refused(sample: &Sample, answer: Answer) -> Failure {
    let found = match answer {
        Answer::Refused(status) => Failure::from(status),
        Answer::Read(reading) => Failure::Broken(format!("found {} rows", reading.rows())),
    };
    found.context(&sample.file.name)
}

async fn a_path_is_read_as_the_bytes_are_or_refused(target: &Sampled) -> Verdict {
    for sample in &target.samples {
        let mut options = sample.options.clone();
        options.path = Some(sample.path.display().to_string());
        let requests = vec![crate::adapter::request(ukimet_proto::v1::asset_request::Message::Options(options))];
        match target.answer(requests).await? {
            Answer::Read(reading) => {
                require(target.is_granted, || "a path that was not granted was read".to_owned())?;
                target.read(sample).await?.is_same_as(&reading)?;
            }
            Answer::Refused(status) if !target.is_granted => {
                require_equal("code for a path", &tonic::Code::InvalidArgument, &status.code())?;
            }
            answer @ Answer::Refused(_) => return Err(refused(sample, answer)),
        }
    }
    Ok(())
}

async fn every_column_keeps_its_name_in_the_source(target: &Sampled) -> Verdict {
    for sample in &target.samples {
        for layer in target.read(sample).await?.layers {
            for field in layer.schema.fields().iter().filter(|field| !batch::is_geometry(field)) {
                require(field.metadata().contains_key(batch::SOURCE_NAME_KEY), || {
                    format!("column {} has no {}", field.name(), batch::SOURCE_NAME_KEY)
                })?;
            }
        }
    }
    Ok(())
}

async fn every_layer_tells_the_steps_that_made_it(target: &Sampled) -> Verdict {
    for sample in &target.samples {
        for layer in target.read(sample).await?.layers {
            let steps = layer.report.unwrap_or_default().steps;
            let first = steps.first().map(|step| step.step.clone());
            require_equal("the first step", &Some("read".to_owned()), &first)?;
            require(steps.iter().all(|step| !step.step.is_empty() && !step.version.is_empty()), || {
                format!("a step lacks its name or version: {steps:?}")
            })?;
        }
    }
    Ok(())
}

async fn samples_are_told_by_their_media_type_and_by_their_ending(target: &Sampled) -> Verdict {
    let formats = target.adapter.describe().await?.formats;
    for sample in &target.samples {
        let ending = sample.file.name.rsplit_once('.').map(|(_, ending)| ending.to_lowercase());
        let by_ending = formats.iter().any(|f| ending.as_ref().is_some_and(|ending| f.extensions.contains(ending)));
        let by_type = formats.iter().any(|f| f.media_types.contains(&sample.options.media_type));
        require(by_ending || by_type, || {
            format!("no format that the adapter describes has the ending or media type of {}", sample.file.name)
        })?;
    }
    Ok(())
}
