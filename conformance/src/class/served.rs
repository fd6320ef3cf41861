//! What every hub serves beside its own services: gRPC health, reflection, Flight.

use crate::failure::{Verdict, broken, require};
use crate::hub::Hub;
use crate::requirement::{Class, requirements};
use tonic_reflection::pb::v1::ServerReflectionRequest;
use tonic_reflection::pb::v1::server_reflection_client::ServerReflectionClient;
use tonic_reflection::pb::v1::server_reflection_request::MessageRequest;
use tonic_reflection::pb::v1::server_reflection_response::MessageResponse;
use ukimet_proto::v1::GetSnapshotRequest;

/// The class.
pub fn class() -> Class<Hub> {
    Class {
        name: "served",
        requirements: requirements![
            health_says_serving,
            reflection_lists_the_services,
            reflection_describes_the_way_in,
            the_newest_snapshot_is_told,
        ],
    }
}

async fn health_says_serving(hub: &Hub) -> Verdict {
    hub.is_healthy().await
}

async fn reflect(hub: &Hub, message: MessageRequest) -> Verdict<MessageResponse> {
    let request = ServerReflectionRequest { host: String::new(), message_request: Some(message) };
    let mut client = ServerReflectionClient::new(hub.channel());
    let mut stream = client.server_reflection_info(tokio_stream::iter([request])).await?.into_inner();
    match stream.message().await?.and_then(|response| response.message_response) {
        Some(message) => Ok(message),
        None => broken("reflection gave no answer"),
    }
}

async fn reflection_lists_the_services(hub: &Hub) -> Verdict {
    let MessageResponse::ListServicesResponse(list) = reflect(hub, MessageRequest::ListServices(String::new())).await?
    else {
        return broken("reflection answered ListServices with something else");
    };
    let names: Vec<_> = list.service.iter().map(|service| service.name.as_str()).collect();
    for expected in ["ukimet.v1.IngestService", "ukimet.v1.CatalogService"] {
        require(names.contains(&expected), || format!("expected {expected}, found {names:?}"))?;
    }
    Ok(())
}

async fn reflection_describes_the_way_in(hub: &Hub) -> Verdict {
    let symbol = MessageRequest::FileContainingSymbol("ukimet.v1.IngestService".to_owned());
    match reflect(hub, symbol).await? {
        MessageResponse::FileDescriptorResponse(found) => {
            require(!found.file_descriptor_proto.is_empty(), || "reflection gave no descriptor".to_owned())
        }
        other => broken(format!("expected a descriptor, found {other:?}")),
    }
}

async fn the_newest_snapshot_is_told(hub: &Hub) -> Verdict {
    let first = hub.catalog().get_snapshot(GetSnapshotRequest::default()).await?.into_inner();
    let second = hub.catalog().get_snapshot(GetSnapshotRequest::default()).await?.into_inner();
    require(second.snapshot >= first.snapshot, || {
        format!("the newest snapshot went back from {} to {}", first.snapshot, second.snapshot)
    })
}
