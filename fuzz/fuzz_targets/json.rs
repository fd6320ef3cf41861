//! The outline of a JSON text against `serde_json`: what that reads is whole, and the members are the same.
#![no_main]

use libfuzzer_sys::fuzz_target;
use serde_json::Value;
use ukimet_adapter_gdal::fuzzing::json_outline;

fuzz_target!(|bytes: &[u8]| {
    let (keys, values, is_whole, deepest) = json_outline(bytes).expect("a file that is there");
    assert!(values > 0 || !is_whole);
    let Ok(value) = serde_json::from_slice::<Value>(bytes) else { return };
    let found = depth(&value);
    if found == 0 || bytes.contains(&0) {
        return;
    }
    assert!(is_whole && values == 1, "{values} values, whole: {is_whole}");
    assert!(u64::from(deepest) >= found, "{deepest} deep, {found} expected");
    let text = String::from_utf8_lossy(bytes);
    if let Value::Object(members) = value {
        let is_plain = !text.contains('\\') && members.len() < 256;
        let is_short = members.keys().all(|key| key.len() <= 128);
        if is_plain && is_short {
            assert!(members.keys().all(|key| keys.contains(key)), "{keys:?}");
        }
    }
});

fn depth(value: &Value) -> u64 {
    match value {
        Value::Array(items) => 1 + items.iter().map(depth).max().unwrap_or_default(),
        Value::Object(members) => 1 + members.values().map(depth).max().unwrap_or_default(),
        _ => 0,
    }
}
