//! Samples that are cut, lengthened, dropped, hurried: never a whole answer in silence, and the adapter lives.

use crate::adapter::{asset, data, request};
use crate::failure::{Failure, Verdict, broken, require, require_equal};
use crate::generate;
use crate::reading::Reading;
use crate::requirement::{Class, requirements};
use crate::samples::{Answer, Sample, Sampled};
use std::time::{Duration, Instant};
use tonic::{Code, Status};
use ukimet_proto::v1::AssetOptions;
use ukimet_proto::v1::asset_request::Message;

/// How long an adapter may take to make room again after calls that were dropped.
const ROOM_TIME_MAX: Duration = Duration::from_secs(10);
/// At how many random offsets each sample is cut.
const CUTS: usize = 40;
/// Readings at a time.
const AT_ONCE: usize = 8;
/// Codes that say that bytes are not what they should be.
const BAD_BYTES: [Code; 3] = [Code::InvalidArgument, Code::DataLoss, Code::FailedPrecondition];

/// The class.
pub fn class() -> Class<Sampled> {
    Class {
        name: "stress",
        requirements: requirements![
            a_cut_sample_never_gives_a_whole_answer_in_silence,
            garbage_behind_a_sample_changes_no_row_in_silence,
            flipped_bytes_are_read_or_refused_and_never_end_the_adapter,
            options_that_cannot_be_met_are_not_passed_over,
            a_sample_shorter_or_longer_than_its_finish_is_data_loss,
            a_sample_without_its_finish_is_not_read,
            readings_at_once_give_the_same_answer,
            a_reading_dropped_in_mid_stream_frees_the_adapter,
            a_deadline_ends_the_call_and_frees_the_adapter,
        ],
    }
}

async fn a_cut_sample_never_gives_a_whole_answer_in_silence(target: &Sampled) -> Verdict {
    for sample in &target.samples {
        let whole = target.read(sample).await?;
        let mut random = target.adapter.random(&sample.file.name);
        let length = sample.file.bytes.len() as u64;
        for _ in 0..CUTS {
            let at = random.up_to(length - 1) as usize;
            let cut = sample.of_bytes(sample.file.bytes.slice(..at));
            let answer = target.answer(cut.requests()).await?;
            is_no_whole(sample, &whole, &answer)
                .map_err(|f| f.context(format!("{} cut to {at} of {length} bytes", sample.file.name)))?;
        }
    }
    Ok(())
}

/// Holds if a cut asset was refused, or gave fewer rows and said so; one of a format without an end gives no more rows.
fn is_no_whole(sample: &Sample, whole: &Reading, answer: &Answer) -> Verdict {
    match answer {
        Answer::Refused(status) => is_bad_bytes(status),
        Answer::Read(part) if sample.is_open_ended => {
            require(part.rows() <= whole.rows(), || format!("gave {} rows, the whole {}", part.rows(), whole.rows()))
        }
        Answer::Read(part) => require(part.rows() < whole.rows() && part.findings() > whole.findings(), || {
            format!("gave {} of {} rows with no finding of its own", part.rows(), whole.rows())
        }),
    }
}

fn is_bad_bytes(status: &Status) -> Verdict {
    require(BAD_BYTES.contains(&status.code()) && !status.message().is_empty(), || {
        format!("expected one of {BAD_BYTES:?} and words, found {:?}: {}", status.code(), status.message())
    })
}

async fn garbage_behind_a_sample_changes_no_row_in_silence(target: &Sampled) -> Verdict {
    for sample in &target.samples {
        let whole = target.read(sample).await?;
        let garbage = generate::garbage(500, &mut target.adapter.random("behind"));
        let longer = sample.of_bytes([sample.file.bytes.as_ref(), &garbage].concat());
        match target.answer(longer.requests()).await? {
            Answer::Refused(status) => is_bad_bytes(&status)?,
            Answer::Read(found) => {
                require(found.has_rows_of(&whole) || found.findings() > whole.findings(), || {
                    format!("{} with 500 bytes behind it gave other rows without a word", sample.file.name)
                })?;
            }
        }
    }
    Ok(())
}

async fn flipped_bytes_are_read_or_refused_and_never_end_the_adapter(target: &Sampled) -> Verdict {
    for sample in &target.samples {
        let mut random = target.adapter.random("flipped");
        for _ in 0..CUTS {
            let mut bytes = sample.file.bytes.to_vec();
            for _ in 0..=random.up_to(3) {
                let at = random.up_to(bytes.len() as u64 - 1) as usize;
                bytes[at] ^= 1 << random.up_to(7);
            }
            if let Answer::Refused(status) = target.answer(sample.of_bytes(bytes).requests()).await? {
                let codes = [&BAD_BYTES[..], &[Code::NotFound, Code::ResourceExhausted]].concat();
                require(codes.contains(&status.code()), || {
                    format!("expected one of {codes:?}, found {:?}: {}", status.code(), status.message())
                })?;
            }
        }
        target.read(sample).await?;
    }
    Ok(())
}

async fn options_that_cannot_be_met_are_not_passed_over(target: &Sampled) -> Verdict {
    let sample = &target.samples[0];
    refuses(target, sample, Code::NotFound, |o| (o.layer, o.all_layers) = (Some("no such layer".to_owned()), false))
        .await?;
    refuses(target, sample, Code::InvalidArgument, |o| o.layer = Some(sample.layers[0].name.clone())).await?;
    refuses(target, sample, Code::InvalidArgument, |o| o.mapping = Some("this is no mapping".to_owned())).await?;
    let whole = target.read(sample).await?;
    let unknown: [fn(&mut AssetOptions); 2] =
        [|o| o.crs = Some("EPSG:99999999".to_owned()), |o| o.encoding = Some("no-such-encoding".to_owned())];
    for change in unknown {
        match target.answer(sample.with(change)).await? {
            Answer::Refused(status) => is_bad_bytes(&status)?,
            Answer::Read(found) => require(found.findings() > whole.findings(), || {
                "a declaration that nobody can know was passed over without a finding".to_owned()
            })?,
        }
    }
    Ok(())
}

async fn refuses(target: &Sampled, sample: &Sample, code: Code, change: impl FnOnce(&mut AssetOptions)) -> Verdict {
    target.adapter.refuses(sample.with(change), &[code], "").await
}

async fn a_sample_shorter_or_longer_than_its_finish_is_data_loss(target: &Sampled) -> Verdict {
    for sample in &target.samples {
        let length = sample.file.bytes.len() as u64;
        for declared in [length - 1, length + 1, 0, u64::MAX] {
            let mut requests = sample.requests();
            requests.pop();
            requests.push(request(Message::Finish(declared)));
            target.adapter.refuses(requests, &[Code::DataLoss], &declared.to_string()).await?;
        }
    }
    Ok(())
}

async fn a_sample_without_its_finish_is_not_read(target: &Sampled) -> Verdict {
    let sample = &target.samples[0];
    let mut requests = sample.requests();
    requests.pop();
    target.adapter.refuses(requests, &[Code::DataLoss, Code::Aborted], "finish").await?;
    let headless = data(&sample.file.bytes, 1 << 16);
    target.adapter.refuses(headless, &[Code::InvalidArgument], "options").await?;
    let mut doubled = sample.requests();
    doubled.insert(1, doubled[0].clone());
    target.adapter.refuses(doubled, &[Code::InvalidArgument], "").await
}

async fn readings_at_once_give_the_same_answer(target: &Sampled) -> Verdict {
    for sample in &target.samples {
        let whole = target.read(sample).await?;
        let answers = futures::future::join_all((0..AT_ONCE).map(|_| target.answer(sample.requests()))).await;
        let mut read = 0;
        for answer in answers {
            match answer? {
                Answer::Read(found) => whole.is_same_as(&found)?,
                // An adapter may say that it is full; it may not queue without end.
                Answer::Refused(status) if status.code() == Code::ResourceExhausted => continue,
                Answer::Refused(status) => return Err(Failure::from(status)),
            }
            read += 1;
        }
        require(read > 0, || format!("none of {AT_ONCE} readings at once was answered"))?;
    }
    Ok(())
}

async fn a_reading_dropped_in_mid_stream_frees_the_adapter(target: &Sampled) -> Verdict {
    for sample in &target.samples {
        for messages in 0..20 {
            target.adapter.read_some(sample.with(|o| o.batch_rows_max = 1), messages % 4).await?;
        }
        is_free(target, sample).await?;
    }
    Ok(())
}

async fn a_deadline_ends_the_call_and_frees_the_adapter(target: &Sampled) -> Verdict {
    let sample = &target.samples[0];
    // A client that never finishes: only the deadline can end the call.
    let requests = || asset(sample.options.clone(), &sample.file.bytes, 1 << 16);
    let begin = Instant::now();
    let found = target.adapter.read_endless(requests(), Duration::from_millis(300)).await;
    require(begin.elapsed() < ROOM_TIME_MAX, || format!("the call ended after {:?}", begin.elapsed()))?;
    match found {
        Err(status) => {
            let codes = [Code::DeadlineExceeded, Code::Cancelled, Code::Aborted];
            require(codes.contains(&status.code()), || format!("expected one of {codes:?}, found {status:?}"))?;
        }
        Ok(()) => return broken("an asset without its finish was read to its end"),
    }
    is_free(target, sample).await
}

/// Holds if as many readings as a hub asks for at once are answered again before long.
async fn is_free(target: &Sampled, sample: &Sample) -> Verdict {
    let begin = Instant::now();
    loop {
        match target.read(sample).await {
            Ok(found) => return require_equal("layers", &sample.layers.len(), &found.layers.len()),
            Err(failure) if begin.elapsed() > ROOM_TIME_MAX => return Err(failure.context("after dropped calls")),
            Err(_) => tokio::time::sleep(Duration::from_millis(50)).await,
        }
    }
}
