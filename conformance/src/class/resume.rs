//! A push that was cut goes on where it was cut.

use crate::failure::{Verdict, require_equal};
use crate::generate;
use crate::hub::Hub;
use crate::push::{Push, only_layer};
use crate::requirement::{Class, requirements};
use ukimet_proto::v1::PushOutcome;

const CUTS: usize = 200;
const ROWS: u64 = 12_000;

/// The class.
pub fn class() -> Class<Hub> {
    Class {
        name: "resume",
        requirements: requirements![
            a_push_cut_at_200_random_offsets_is_one_version,
            a_push_cut_once_anywhere_is_one_version,
            a_push_cut_after_its_finish_is_one_version,
            a_client_that_sends_without_waiting_is_served,
        ],
    }
}

async fn a_push_cut_at_200_random_offsets_is_one_version(hub: &Hub) -> Verdict {
    let dataset = hub.dataset("cut-often");
    let push = Push::new(&dataset, "cut-often-1", &generate::points(ROWS, 1));
    let size = push.bytes.len() as u64;
    let mut random = hub.random("cut-often");
    let mut ends: Vec<u64> = (0..CUTS).map(|_| random.up_to(size)).collect();
    ends.sort_unstable();
    let (mut durable, mut sent) = (0, 0);
    for end in ends {
        durable = push.cut_at(hub, end, durable, sent).await.map_err(|f| f.context(format!("cut at byte {end}")))?;
        sent = sent.max(end);
    }
    let outcome = push.send_again(hub).await?;
    is_one_version(hub, &dataset, &outcome, ROWS).await
}

async fn a_push_cut_once_anywhere_is_one_version(hub: &Hub) -> Verdict {
    let mut random = hub.random("cut-once");
    let size = generate::points(300, 1).bytes.len() as u64;
    for (i, end) in [0, 1, random.up_to(size), random.up_to(size), size - 1, size].into_iter().enumerate() {
        let dataset = hub.dataset(&format!("cut-once-{i}"));
        let push = Push::new(&dataset, &format!("cut-once-{i}"), &generate::points(300, 1));
        push.cut_at(hub, end, 0, 0).await?;
        hub.shows_nothing_of(&dataset).await.map_err(|f| f.context(format!("cut at byte {end} of {size}")))?;
        let outcome = push.send_again(hub).await?;
        is_one_version(hub, &dataset, &outcome, 300).await?;
    }
    Ok(())
}

/// The client cannot know whether the hub went on; calling again settles it.
async fn a_push_cut_after_its_finish_is_one_version(hub: &Hub) -> Verdict {
    for i in 0..10 {
        let dataset = hub.dataset(&format!("cut-late-{i}"));
        let push = Push::new(&dataset, &format!("cut-late-{i}"), &generate::points(300, i));
        let mut open = crate::push::OpenPush::begin(hub, push.header.clone()).await?;
        open.send(push.chunks(open.resume.unwrap_or(0), push.bytes.len() as u64)).await;
        open.send([push.finish()]).await;
        tokio::time::sleep(std::time::Duration::from_millis(hub.random(&dataset).up_to(60))).await;
        drop(open);
        let outcome = push.send_again(hub).await?;
        is_one_version(hub, &dataset, &outcome, 300).await?;
    }
    Ok(())
}

async fn a_client_that_sends_without_waiting_is_served(hub: &Hub) -> Verdict {
    let dataset = hub.dataset("eager");
    let frames = Push::new(&dataset, "eager-1", &generate::points(2_000, 1)).frames();
    match crate::push::send_frames(hub, frames).await? {
        Some(outcome) => is_one_version(hub, &dataset, &outcome, 2_000).await,
        None => crate::failure::broken("the hub ended the stream without an outcome"),
    }
}

async fn is_one_version(hub: &Hub, dataset: &str, outcome: &PushOutcome, rows: u64) -> Verdict {
    require_equal("version of the outcome", &1, &only_layer(outcome)?.version)?;
    hub.has_versions(dataset, 1).await?;
    hub.has_rows(dataset, rows).await
}
