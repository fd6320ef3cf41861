//! Only a finish that is true to the bytes commits; every other end of a stream leaves nothing.

use crate::failure::{Failure, Verdict, require};
use crate::generate;
use crate::hub::Hub;
use crate::push::{OpenPush, Push, chunk, finish, header, require_refusal, send_frames};
use crate::requirement::{Class, requirements};
use bytes::Bytes;
use sha2::{Digest, Sha256};
use tonic::Code;
use ukimet_proto::v1::PushRequest;

/// More than any message limit of a hub.
const MESSAGE_TOO_LARGE_BYTES: usize = 80 << 20;

/// The class.
pub fn class() -> Class<Hub> {
    Class {
        name: "ending",
        requirements: requirements![
            a_push_cancelled_after_any_frame_leaves_nothing,
            a_stream_that_ends_without_finish_is_aborted,
            a_chunk_at_a_wrong_offset_is_refused,
            a_finish_with_another_hash_is_data_loss_with_both_digests,
            a_finish_with_another_size_is_data_loss,
            a_frame_after_finish_is_refused,
            a_stream_that_begins_with_a_chunk_is_refused,
            a_second_header_is_refused,
            a_message_without_content_is_refused,
            a_message_over_the_limit_is_refused,
        ],
    }
}

fn small_push(hub: &Hub, name: &str) -> (String, Push) {
    let dataset = hub.dataset(name);
    let mut push = Push::new(&dataset, &format!("{name}-1"), &generate::points(60, 1));
    push.chunk_bytes_max = 1024;
    (dataset, push)
}

async fn a_push_cancelled_after_any_frame_leaves_nothing(hub: &Hub) -> Verdict {
    let (_, model) = small_push(hub, "model");
    let chunks = model.chunks(0, model.bytes.len() as u64).len();
    for sent in 0..=chunks {
        let (dataset, push) = small_push(hub, &format!("cancelled-{sent}"));
        let mut open = OpenPush::begin(hub, push.header.clone()).await?;
        open.send(push.chunks(0, push.bytes.len() as u64).into_iter().take(sent)).await;
        drop(open);
        hub.shows_nothing_of(&dataset).await.map_err(|f| f.context(format!("cancelled after {sent} chunks")))?;
    }
    // Once more when every cancelled call has had the time to end.
    for sent in 0..=chunks {
        hub.shows_nothing_of(&hub.dataset(&format!("cancelled-{sent}"))).await?;
    }
    hub.is_healthy().await
}

async fn a_stream_that_ends_without_finish_is_aborted(hub: &Hub) -> Verdict {
    let (_, model) = small_push(hub, "model");
    for frames in 1..model.frames().len() {
        let (dataset, push) = small_push(hub, &format!("unfinished-{frames}"));
        let answer = send_frames(hub, push.frames().into_iter().take(frames).collect()).await;
        require_refusal(answer, Code::Aborted, "finish").map_err(|f| f.context(format!("after {frames} frames")))?;
        hub.shows_nothing_of(&dataset).await?;
    }
    Ok(())
}

/// Sends the frames as changed by `change`, expects a refusal, and that nothing was left behind.
async fn refuses_changed(
    hub: &Hub,
    name: &str,
    change: impl FnOnce(&Push, &mut Vec<PushRequest>),
    code: Code,
    part: &str,
) -> Verdict {
    let (dataset, push) = small_push(hub, name);
    let mut frames = push.frames();
    change(&push, &mut frames);
    require_refusal(send_frames(hub, frames).await, code, part)?;
    hub.shows_nothing_of(&dataset).await?;
    hub.is_healthy().await
}

async fn a_chunk_at_a_wrong_offset_is_refused(hub: &Hub) -> Verdict {
    for (i, wrong) in [0_u64, 1023, 1025, 4096, u64::MAX].into_iter().enumerate() {
        let change = |_: &Push, frames: &mut Vec<PushRequest>| frames[2] = chunk(wrong, Bytes::from_static(b"x"));
        refuses_changed(hub, &format!("offset-{i}"), change, Code::InvalidArgument, "1024").await?;
    }
    Ok(())
}

async fn a_finish_with_another_hash_is_data_loss_with_both_digests(hub: &Hub) -> Verdict {
    let (dataset, push) = small_push(hub, "hash");
    let declared = Sha256::digest(b"other bytes").to_vec();
    let mut frames = push.frames();
    frames.pop();
    frames.push(finish(declared.clone(), push.bytes.len() as u64));
    let Err(status) = send_frames(hub, frames).await else {
        return Err(Failure::Broken("a finish with another hash was taken".to_owned()));
    };
    for digest in [&declared[..], &Sha256::digest(&push.bytes)[..]] {
        let part = hex::encode(&digest[..6]);
        require(status.code() == Code::DataLoss && status.message().contains(&part), || {
            format!("expected DataLoss naming {part}, found {:?}: {}", status.code(), status.message())
        })?;
    }
    hub.shows_nothing_of(&dataset).await
}

async fn a_finish_with_another_size_is_data_loss(hub: &Hub) -> Verdict {
    for (i, change) in [-1_i64, 1].into_iter().enumerate() {
        let size_of = move |push: &Push| (push.bytes.len() as i64 + change) as u64;
        let (_, push) = small_push(hub, "model");
        let part = size_of(&push).to_string();
        let change = |push: &Push, frames: &mut Vec<PushRequest>| {
            frames.pop();
            frames.push(finish(Sha256::digest(&push.bytes).to_vec(), size_of(push)));
        };
        refuses_changed(hub, &format!("size-{i}"), change, Code::DataLoss, &part).await?;
    }
    Ok(())
}

async fn a_frame_after_finish_is_refused(hub: &Hub) -> Verdict {
    let change = |push: &Push, frames: &mut Vec<PushRequest>| {
        frames.push(chunk(push.bytes.len() as u64, Bytes::from_static(b"more")));
    };
    refuses_changed(hub, "after-finish", change, Code::InvalidArgument, "finish").await
}

async fn a_stream_that_begins_with_a_chunk_is_refused(hub: &Hub) -> Verdict {
    let change = |_: &Push, frames: &mut Vec<PushRequest>| drop(frames.remove(0));
    refuses_changed(hub, "headless", change, Code::InvalidArgument, "header").await
}

async fn a_second_header_is_refused(hub: &Hub) -> Verdict {
    let change = |push: &Push, frames: &mut Vec<PushRequest>| frames.insert(1, header(push.header.clone()));
    refuses_changed(hub, "two-headers", change, Code::InvalidArgument, "header").await
}

async fn a_message_without_content_is_refused(hub: &Hub) -> Verdict {
    let change = |_: &Push, frames: &mut Vec<PushRequest>| frames.insert(1, PushRequest { message: None });
    refuses_changed(hub, "no-content", change, Code::InvalidArgument, "").await
}

async fn a_message_over_the_limit_is_refused(hub: &Hub) -> Verdict {
    let bytes = Bytes::from(vec![b' '; MESSAGE_TOO_LARGE_BYTES]);
    let change = move |_: &Push, frames: &mut Vec<PushRequest>| frames[1] = chunk(0, bytes);
    refuses_changed(hub, "large-message", change, Code::ResourceExhausted, "").await
}
