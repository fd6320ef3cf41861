//! Arrow IPC messages of a stranger: a schema, then batches, as an adapter sends them. Nothing but an error may come.
#![no_main]

use bytes::Bytes;
use libfuzzer_sys::fuzz_target;
use ukimet_proto::ipc::{self, IpcLimits};

fuzz_target!(|parts: (Vec<u8>, Vec<u8>)| {
    let limits = IpcLimits::default();
    let Ok(schema) = ipc::decode_schema(&parts.0, &limits) else { return };
    let Ok(rows) = ipc::decode_batch(&Bytes::from(parts.1), &schema, &limits) else { return };
    // What was taken is whole: every value can be read, and it can be sent on.
    for column in rows.columns() {
        column.to_data().validate_full().expect("a decoded column is valid");
    }
    ipc::encode_batch(&rows).expect("what was decoded can be encoded");
});
