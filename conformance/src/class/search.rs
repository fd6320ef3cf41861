//! Datasets are found by what people type.

use crate::failure::{Verdict, broken, require, require_equal};
use crate::generate;
use crate::hub::Hub;
use crate::push::Push;
use crate::requirement::{Class, requirements};
use std::collections::HashMap;
use ukimet_proto::v1::{DatasetMetadata, FacetValue, SearchRequest, SearchResponse};

/// The class.
pub fn class() -> Class<Hub> {
    Class {
        name: "search",
        requirements: requirements![
            a_title_is_found_in_every_script_and_form,
            facets_add_up_and_choose,
            an_earlier_snapshot_finds_what_it_found,
        ],
    }
}

/// Pushes a few points under a title; the word in it is nobody else's.
async fn publish(hub: &Hub, dataset: &str, title: &str, salt: u64) -> Verdict {
    let mut push = Push::new(dataset, &format!("{}-{salt}", dataset.replace('/', "-")), &generate::points(3, salt));
    let title = HashMap::from([("kk".to_owned(), title.to_owned())]);
    push.header.metadata = Some(DatasetMetadata { title, ..DatasetMetadata::default() });
    push.send(hub).await?;
    Ok(())
}

async fn search(hub: &Hub, request: SearchRequest) -> Verdict<SearchResponse> {
    Ok(hub.catalog().search(request).await?.into_inner())
}

/// What is asked of the datasets of this run alone.
fn among_ours(dataset: &str, text: &str) -> SearchRequest {
    let agency = dataset.split('/').next().unwrap_or_default().to_owned();
    let facets = vec![FacetValue { facet: "agency".to_owned(), value: agency, datasets: 0 }];
    SearchRequest { text: text.to_owned(), facets, ..SearchRequest::default() }
}

fn has(found: &SearchResponse, dataset: &str) -> bool {
    found.datasets.iter().any(|found| found.id == dataset)
}

async fn a_title_is_found_in_every_script_and_form(hub: &Hub) -> Verdict {
    let dataset = hub.dataset("found-in-scripts");
    publish(hub, &dataset, "Қарғалы мектептерінің тізбесі", 1).await?;
    for text in [
        "мектеп",
        "МЕКТЕБІ",
        "мектептер",
        "mektep",
        "mektepterınıñ",
        "mektepteriniń",
        "mektepterining",
        "каргалы",
        "Ќарєалы",
        "Kargaly",
        "тізб",
        "мекеп",
        "\"Қарғалы мектептерінің\"",
        "title:қарғалы",
    ] {
        let found = search(hub, among_ours(&dataset, text)).await?;
        require(has(&found, &dataset), || format!("{text:?} finds {} datasets without it", found.total))?;
    }
    for text in ["description:қарғалы", "\"мектептерінің Қарғалы\"", "мектеп жоқсөз"]
    {
        let found = search(hub, among_ours(&dataset, text)).await?;
        require(!has(&found, &dataset), || format!("{text:?} finds it"))?;
    }
    Ok(())
}

async fn facets_add_up_and_choose(hub: &Hub) -> Verdict {
    let dataset = hub.dataset("counted");
    publish(hub, &dataset, "Санақ", 1).await?;
    let found = search(hub, SearchRequest { with_facets: true, ..among_ours(&dataset, "") }).await?;
    for facet in ["agency", "region", "format", "updated"] {
        let counted: u64 = found.facets.iter().filter(|value| value.facet == facet).map(|value| value.datasets).sum();
        require(counted >= found.total, || format!("{facet} counts {counted} of {} datasets", found.total))?;
    }
    let Some(points) = found.facets.iter().find(|value| value.facet == "geometry" && value.value == "Point") else {
        return broken("no dataset of points is counted");
    };
    let mut chosen = among_ours(&dataset, "");
    chosen.facets.push(points.clone());
    let chosen = search(hub, chosen).await?;
    require_equal("datasets of points", &points.datasets, &chosen.total)
}

async fn an_earlier_snapshot_finds_what_it_found(hub: &Hub) -> Verdict {
    let dataset = hub.dataset("renamed");
    publish(hub, &dataset, "Бұрынғы", 1).await?;
    let before = search(hub, among_ours(&dataset, "бұрынғы")).await?;
    require(has(&before, &dataset), || "its first title does not find it".to_owned())?;
    publish(hub, &dataset, "Кейінгі", 2).await?;
    let now = search(hub, among_ours(&dataset, "бұрынғы")).await?;
    require(!has(&now, &dataset), || "its first title still finds it".to_owned())?;
    let then =
        search(hub, SearchRequest { snapshot: Some(before.snapshot), ..among_ours(&dataset, "burynghy") }).await?;
    require(has(&then, &dataset), || "its first title does not find it in the snapshot of then".to_owned())
}
