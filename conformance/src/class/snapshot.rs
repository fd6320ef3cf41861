//! Two reads of one version are identical, always.

use crate::failure::{Verdict, require, require_equal};
use crate::generate;
use crate::hub::{Hub, row_count};
use crate::push::Push;
use crate::requirement::{Class, requirements};
use ukimet_proto::v1::{GetDatasetRequest, GetReceiptRequest};

/// The class.
pub fn class() -> Class<Hub> {
    Class {
        name: "snapshot",
        requirements: requirements![
            two_reads_of_a_version_are_identical_before_and_after_the_next,
            a_ticket_reads_its_version_after_the_next_was_published,
            an_old_version_keeps_its_description_and_receipt,
        ],
    }
}

async fn publish(hub: &Hub, dataset: &str, push_id: &str, rows: u64, salt: u64) -> Verdict {
    Push::new(dataset, push_id, &generate::points(rows, salt)).send(hub).await?;
    Ok(())
}

async fn two_reads_of_a_version_are_identical_before_and_after_the_next(hub: &Hub) -> Verdict {
    let dataset = hub.dataset("two-reads");
    let first = format!("{dataset}@v1");
    publish(hub, &dataset, "two-reads-1", 3_000, 1).await?;
    let before = hub.rows(&first).await?;
    require_equal("rows of the first version", &3_000, &row_count(&before))?;
    require(hub.rows(&first).await? == before, || "two reads before the second version differ".to_owned())?;
    publish(hub, &dataset, "two-reads-2", 3_100, 2).await?;
    require(hub.rows(&first).await? == before, || "the first version reads otherwise after the second".to_owned())?;
    hub.has_rows(&format!("{dataset}@v2"), 3_100).await?;
    hub.has_rows(&dataset, 3_100).await
}

async fn a_ticket_reads_its_version_after_the_next_was_published(hub: &Hub) -> Verdict {
    let dataset = hub.dataset("ticket");
    publish(hub, &dataset, "ticket-1", 400, 1).await?;
    let info = hub.flight_info(&dataset).await?;
    publish(hub, &dataset, "ticket-2", 500, 2).await?;
    require_equal("rows behind the older ticket", &400, &row_count(&hub.read_rows(info).await?))
}

async fn an_old_version_keeps_its_description_and_receipt(hub: &Hub) -> Verdict {
    let dataset = hub.dataset("described");
    publish(hub, &dataset, "described-1", 40, 1).await?;
    let before = (describe_first(hub, &dataset).await?, receipt_of_first(hub, &dataset).await?);
    publish(hub, &dataset, "described-2", 50, 2).await?;
    let after = (describe_first(hub, &dataset).await?, receipt_of_first(hub, &dataset).await?);
    require_equal("the first version after the second", &before, &after)?;
    let report = after.1.unwrap_or_default();
    require_equal("rows of the receipt", &(40, 40), &(report.rows_read, report.rows_taken))?;
    require(!report.steps.is_empty(), || "the receipt names no step".to_owned())
}

async fn describe_first(hub: &Hub, dataset: &str) -> Verdict<Option<ukimet_proto::v1::Version>> {
    let request = GetDatasetRequest { dataset: dataset.to_owned(), version: Some(1), snapshot: None };
    Ok(hub.catalog().get_dataset(request).await?.into_inner().dataset.and_then(|found| found.version))
}

async fn receipt_of_first(hub: &Hub, dataset: &str) -> Verdict<Option<ukimet_proto::v1::LayerReport>> {
    let request = GetReceiptRequest { dataset: dataset.to_owned(), version: Some(1), snapshot: None };
    Ok(hub.catalog().get_receipt(request).await?.into_inner().report)
}
