//! Frames of a push and messages of an adapter, as protobuf and as what they mean.
#![no_main]

use libfuzzer_sys::fuzz_target;
use prost::Message;
use ukimet_model::{DatasetMetadata, LayerReport, PushOutcome, QuarantinedRow, Verdict};
use ukimet_proto::v1;

fuzz_target!(|bytes: &[u8]| {
    if let Ok(v1::PushRequest { message: Some(v1::push_request::Message::Header(header)) }) =
        v1::PushRequest::decode(bytes)
    {
        let _ = header.metadata.map(DatasetMetadata::try_from);
        let _ = header.dataset.parse::<ukimet_model::DatasetId>();
        let _ = header.push_id.parse::<ukimet_model::PushId>();
    }
    if let Ok(v1::ReadResponse { message: Some(message) }) = v1::ReadResponse::decode(bytes) {
        match message {
            v1::read_response::Message::LayerEnd(report) => drop(LayerReport::try_from(report)),
            v1::read_response::Message::Verdicts(told) => told.verdicts.into_iter().map(Verdict::from).for_each(drop),
            v1::read_response::Message::Quarantined(told) => {
                told.rows.into_iter().map(QuarantinedRow::from).for_each(drop)
            }
            _ => (),
        }
    }
    if let Ok(outcome) = v1::PushOutcome::decode(bytes) {
        let _ = PushOutcome::try_from(outcome);
    }
});
