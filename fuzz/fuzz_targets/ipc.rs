//! Arrow IPC messages of a stranger: a schema, then batches, as an adapter sends them. Nothing but an error may come.
//!
//! The first two bytes say how long the schema is, the low one first; the rest is the batch.
#![no_main]

use bytes::Bytes;
use libfuzzer_sys::fuzz_target;
use ukimet_proto::ipc::{self, IpcLimits};

fuzz_target!(init: ukimet_fuzz::let_libraries_give_up(), |bytes: &[u8]| {
    let Some((length, bytes)) = bytes.split_first_chunk() else { return };
    let Some((schema, batch)) = bytes.split_at_checked(usize::from(u16::from_le_bytes(*length))) else { return };
    let limits = IpcLimits::default();
    let Ok(schema) = ipc::decode_schema(schema, &limits) else { return };
    let Ok(rows) = ipc::decode_batch(&Bytes::copy_from_slice(batch), &schema, &limits) else { return };
    // What was taken is whole: every value can be read, and it can be sent on.
    for column in rows.columns() {
        column.to_data().validate_full().expect("a decoded column is valid");
    }
    ipc::encode_batch(&rows).expect("what was decoded can be encoded");
});
