//! Refusal of bad questions to the catalog and of bad reads over Flight.

use crate::failure::{Failure, Verdict, broken, require};
use crate::generate;
use crate::hub::Hub;
use crate::push::{Push, require_refusal};
use crate::requirement::{Class, requirements};
use arrow_flight::flight_service_client::FlightServiceClient;
use arrow_flight::{FlightDescriptor, Ticket};
use tonic::Code;
use ukimet_proto::v1::{BoundingBox, FacetValue, GetDatasetRequest, ListVersionsRequest, SearchRequest};

/// The class.
pub fn class() -> Class<Hub> {
    Class {
        name: "query-refusal",
        requirements: requirements![
            an_unknown_dataset_is_not_found,
            an_unknown_version_is_not_found,
            a_dataset_id_that_is_none_is_invalid,
            a_search_past_its_limits_is_refused,
            a_search_with_query_syntax_is_only_words,
            a_box_that_is_none_is_refused,
            a_facet_or_region_that_is_none_is_refused,
            a_flight_of_an_unknown_dataset_is_not_found,
            a_ticket_that_is_none_is_refused,
        ],
    }
}

async fn get(hub: &Hub, dataset: &str, version: Option<u64>) -> Result<(), tonic::Status> {
    let request = GetDatasetRequest { dataset: dataset.to_owned(), version, snapshot: None };
    hub.catalog().get_dataset(request).await.map(|_| ())
}

async fn an_unknown_dataset_is_not_found(hub: &Hub) -> Verdict {
    let unknown = hub.dataset("never-pushed");
    require_refusal(get(hub, &unknown, None).await, Code::NotFound, &unknown)
}

async fn an_unknown_version_is_not_found(hub: &Hub) -> Verdict {
    let dataset = hub.dataset("one-version");
    Push::new(&dataset, "one-version-1", &generate::points(3, 1)).send(hub).await?;
    for version in [2, u64::MAX] {
        require_refusal(get(hub, &dataset, Some(version)).await, Code::NotFound, &dataset)?;
    }
    hub.has_rows(&dataset, 3).await
}

async fn a_dataset_id_that_is_none_is_invalid(hub: &Hub) -> Verdict {
    for id in ["", "../x", "a/b/c", "A/b"] {
        require_refusal(get(hub, id, None).await, Code::InvalidArgument, "agency/name")?;
        let request = ListVersionsRequest { dataset: id.to_owned(), before: None, limit: 0, snapshot: None };
        require_refusal(hub.catalog().list_versions(request).await, Code::InvalidArgument, "agency/name")?;
    }
    Ok(())
}

fn words(text: &str) -> SearchRequest {
    SearchRequest { text: text.to_owned(), ..SearchRequest::default() }
}

async fn a_search_past_its_limits_is_refused(hub: &Hub) -> Verdict {
    let long = "x".repeat(257);
    let many = (0..17).map(|i| format!("word{i}")).collect::<Vec<_>>().join(" ");
    let requests = [(words(&long), "256"), (words(&many), "16"), (SearchRequest { limit: 1001, ..words("") }, "1000")];
    for (request, limit) in requests {
        require_refusal(hub.catalog().search(request).await, Code::InvalidArgument, limit)?;
    }
    Ok(())
}

async fn a_search_with_query_syntax_is_only_words(hub: &Hub) -> Verdict {
    for text in ["\"", "*", "((((((((", "AND OR NOT", "title:x", "a^9 b~2", "[a TO b]", "\\"] {
        hub.catalog().search(words(text)).await.map_err(|s| Failure::from(s).context(format!("search {text:?}")))?;
    }
    let nested = "(".repeat(256);
    hub.catalog().search(words(&nested)).await?;
    hub.is_healthy().await
}

async fn a_box_that_is_none_is_refused(hub: &Hub) -> Verdict {
    let boxes = [(0.0, 10.0, 1.0, 9.0), (-181.0, 0.0, 0.0, 1.0), (0.0, 0.0, f64::NAN, 1.0), (0.0, -91.0, 1.0, 0.0)];
    for (west, south, east, north) in boxes {
        let request = SearchRequest { bbox: Some(BoundingBox { west, south, east, north }), ..words("") };
        require_refusal(hub.catalog().search(request).await, Code::InvalidArgument, "bbox")?;
    }
    Ok(())
}

async fn a_facet_or_region_that_is_none_is_refused(hub: &Hub) -> Verdict {
    let facets = vec![FacetValue { facet: "color".to_owned(), ..FacetValue::default() }];
    let no_facet = SearchRequest { facets, ..words("") };
    require_refusal(hub.catalog().search(no_facet).await, Code::InvalidArgument, "agency, region")?;
    let no_region = SearchRequest { region: "Almaty".to_owned(), ..words("") };
    require_refusal(hub.catalog().search(no_region).await, Code::InvalidArgument, "KATO")
}

async fn a_flight_of_an_unknown_dataset_is_not_found(hub: &Hub) -> Verdict {
    let mut client = FlightServiceClient::new(hub.channel());
    let unknown = FlightDescriptor::new_path(vec![hub.dataset("never-pushed")]);
    require_refusal(client.get_flight_info(unknown).await, Code::NotFound, "never-pushed")?;
    let invalid = FlightDescriptor::new_path(vec!["../x".to_owned()]);
    require_refusal(client.get_flight_info(invalid).await, Code::InvalidArgument, "agency/name")
}

/// A ticket is the hub's own; whichever of the fitting codes a hub has for one that is not, it gives no rows.
async fn a_ticket_that_is_none_is_refused(hub: &Hub) -> Verdict {
    let random = generate::garbage(64, &mut hub.random("ticket"));
    for ticket in [Vec::new(), b"{}".to_vec(), random] {
        let answer = FlightServiceClient::new(hub.channel()).do_get(Ticket { ticket: ticket.into() }).await;
        let status = match answer {
            Err(status) => status,
            Ok(stream) => match first_message(stream.into_inner()).await {
                Err(status) => status,
                Ok(()) => return broken("a ticket of nobody gave rows"),
            },
        };
        let fitting = [Code::InvalidArgument, Code::NotFound, Code::Unauthenticated, Code::PermissionDenied];
        require(fitting.contains(&status.code()), || format!("found {:?}: {}", status.code(), status.message()))?;
    }
    hub.is_healthy().await
}

async fn first_message(mut stream: tonic::Streaming<arrow_flight::FlightData>) -> Result<(), tonic::Status> {
    stream.message().await.map(|_| ())
}
