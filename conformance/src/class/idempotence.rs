//! Repeating a push changes nothing.

use crate::failure::{Verdict, require, require_equal};
use crate::generate;
use crate::hub::Hub;
use crate::push::{Push, only_layer, require_refusal};
use crate::requirement::{Class, requirements};
use futures::future::join_all;
use std::time::Duration;
use tonic::Code;
use ukimet_proto::v1::PushStatus;

/// The class.
pub fn class() -> Class<Hub> {
    Class {
        name: "idempotence",
        requirements: requirements![
            a_first_push_is_version_one,
            the_same_push_again_repeats_its_outcome,
            a_push_id_used_for_other_bytes_is_refused,
            a_push_id_used_for_other_bytes_of_equal_size_is_refused,
            a_push_id_used_for_another_dataset_is_refused,
            unchanged_bytes_make_no_version,
            changed_bytes_make_the_next_version,
            one_push_sent_eight_times_at_once_is_one_version,
        ],
    }
}

async fn a_first_push_is_version_one(hub: &Hub) -> Verdict {
    let dataset = hub.dataset("first");
    let outcome = Push::new(&dataset, "first-1", &generate::points(25, 1)).send(hub).await?;
    require_equal("status", &PushStatus::Published, &outcome.status())?;
    let layer = only_layer(&outcome)?;
    require_equal("version and rows", &(1, 25, 0), &(layer.version, layer.rows_added, layer.rows_removed))?;
    require(!outcome.replayed, || "a first push says that it was replayed".to_owned())?;
    hub.has_versions(&dataset, 1).await?;
    hub.has_rows(&dataset, 25).await
}

async fn the_same_push_again_repeats_its_outcome(hub: &Hub) -> Verdict {
    let dataset = hub.dataset("again");
    let push = Push::new(&dataset, "again-1", &generate::squares(10, 1));
    let first = push.send(hub).await?;
    for _ in 0..3 {
        let mut again = push.send(hub).await?;
        require(again.replayed, || "the outcome does not say that it was replayed".to_owned())?;
        again.replayed = false;
        require_equal("outcome", &first, &again)?;
    }
    hub.has_versions(&dataset, 1).await
}

async fn a_push_id_used_for_other_bytes_is_refused(hub: &Hub) -> Verdict {
    refuses_reuse(hub, "reuse", &generate::points(11, 1)).await
}

/// Only the hash at the end of the stream tells that the bytes are others.
async fn a_push_id_used_for_other_bytes_of_equal_size_is_refused(hub: &Hub) -> Verdict {
    let mut bytes = generate::points(10, 1).bytes.to_vec();
    let last_digit = bytes.iter().rposition(u8::is_ascii_digit).unwrap_or(0);
    bytes[last_digit] = if bytes[last_digit] == b'1' { b'2' } else { b'1' };
    refuses_reuse(hub, "reuse-equal-size", &generate::File::new("points.geojson", bytes)).await
}

async fn refuses_reuse(hub: &Hub, name: &str, other: &generate::File) -> Verdict {
    let dataset = hub.dataset(name);
    Push::new(&dataset, &format!("{name}-1"), &generate::points(10, 1)).send(hub).await?;
    let answer = Push::new(&dataset, &format!("{name}-1"), other).send(hub).await;
    require_refusal(answer, Code::AlreadyExists, &format!("{name}-1"))?;
    hub.has_versions(&dataset, 1).await?;
    hub.has_rows(&dataset, 10).await
}

async fn a_push_id_used_for_another_dataset_is_refused(hub: &Hub) -> Verdict {
    let file = generate::points(10, 1);
    Push::new(&hub.dataset("mine"), "elsewhere-1", &file).send(hub).await?;
    let answer = Push::new(&hub.dataset("elsewhere"), "elsewhere-1", &file).send(hub).await;
    require_refusal(answer, Code::AlreadyExists, "elsewhere-1")?;
    hub.shows_nothing_of(&hub.dataset("elsewhere")).await
}

async fn unchanged_bytes_make_no_version(hub: &Hub) -> Verdict {
    let dataset = hub.dataset("unchanged");
    let file = generate::squares(20, 1);
    Push::new(&dataset, "unchanged-1", &file).send(hub).await?;
    let outcome = Push::new(&dataset, "unchanged-2", &file).send(hub).await?;
    require_equal("status", &PushStatus::Unchanged, &outcome.status())?;
    let layer = only_layer(&outcome)?;
    require_equal("version, added, removed", &(1, 0, 0), &(layer.version, layer.rows_added, layer.rows_removed))?;
    hub.has_versions(&dataset, 1).await
}

async fn changed_bytes_make_the_next_version(hub: &Hub) -> Verdict {
    let dataset = hub.dataset("changed");
    Push::new(&dataset, "changed-1", &generate::points(20, 1)).send(hub).await?;
    let outcome = Push::new(&dataset, "changed-2", &generate::points(21, 2)).send(hub).await?;
    let layer = only_layer(&outcome)?;
    // With a key a row may be the same one with other values.
    let (come, gone) = (layer.rows_added + layer.rows_changed, layer.rows_removed + layer.rows_changed);
    require_equal(
        "version, rows that are new or other, rows that went or were other",
        &(2, 21, 20),
        &(layer.version, come, gone),
    )?;
    hub.has_versions(&dataset, 2).await?;
    hub.has_rows(&dataset, 21).await
}

async fn one_push_sent_eight_times_at_once_is_one_version(hub: &Hub) -> Verdict {
    let dataset = hub.dataset("at-once");
    let push = Push::new(&dataset, "at-once-1", &generate::points(200, 1));
    let mut random = hub.random("at-once");
    let pauses = (0..8).map(|_| Duration::from_millis(50 + random.up_to(400)));
    let outcomes = join_all(pauses.map(|pause| push.send_with_pauses(hub, pause))).await;
    let mut fresh = 0;
    for outcome in outcomes {
        let outcome = outcome?;
        require_equal("version", &1, &only_layer(&outcome)?.version)?;
        fresh += u32::from(!outcome.replayed);
    }
    // A client whose call was taken over at the very end hears of its own commit as a replay.
    require(fresh <= 1, || format!("{fresh} outcomes say that they are the first"))?;
    hub.has_versions(&dataset, 1).await
}
