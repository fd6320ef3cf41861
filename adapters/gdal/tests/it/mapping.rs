//! Mappings through the whole adapter.

use crate::adapter::{Adapter, Ask, read};
use arrow_array::cast::AsArray;
use arrow_array::types::Int64Type;
use arrow_array::{ArrayRef, RecordBatch, StringArray};
use std::sync::Arc;
use ukimet_model::ErrorKind;
use ukimet_proto::{ipc, v1};

const MAPPING: &str = r#"
encoding = "windows-1251"
[[column]]
name = "capacity"
from = "Мест"
cast = "integer"
[[column]]
name = "region"
from = "КАТО"
lookup = { dataset = "kz/kato", key = "code", value = "name" }
"#;

/// "Мест;КАТО" and two rows, the second with a word for a number, in windows-1251.
fn csv() -> Vec<u8> {
    let text = "Мест;КАТО\r\n120;750000000\r\nмного;710000000\r\n";
    encoding_rs::WINDOWS_1251.encode(text).0.into_owned()
}

fn kato() -> v1::ReferenceTable {
    let column = |values: [&str; 2]| Arc::new(StringArray::from(values.to_vec())) as ArrayRef;
    let columns = [("code", column(["750000000", "710000000"])), ("name", column(["Алматы", "Астана"]))];
    let rows = RecordBatch::try_from_iter(columns).expect("columns fit");
    v1::ReferenceTable {
        dataset: "kz/kato".to_owned(),
        schema: ipc::encode_schema(rows.schema_ref()).expect("encodes"),
        batches: vec![ipc::encode_batch(&rows).expect("encodes")],
    }
}

#[tokio::test]
async fn a_mapping_makes_columns_declares_the_encoding_and_quarantines_what_does_not_fit() {
    let adapter = Adapter::start(&[]).await;
    let ask = Ask { mapping: Some(MAPPING.to_owned()), references: vec![kato()], ..Ask::named("schools.csv") };
    let layers = read(&adapter, &ask, &csv()).await.expect("reads");
    let layer = &layers[0];
    let names: Vec<&str> = layer.schema.fields().iter().map(|field| field.name().as_str()).collect();
    assert_eq!(names, ["capacity", "region"]);
    assert_eq!(layer.batches[0].column(0).as_primitive::<Int64Type>().values(), &[120]);
    assert_eq!(layer.batches[0].column(1).as_string::<i32>().value(0), "Алматы");
    assert_eq!(layer.source_columns, ["Мест", "КАТО"]);
    assert_eq!(layer.quarantined[0].values, [Some("много".to_owned()), Some("710000000".to_owned())]);
    assert!(layer.verdicts.iter().any(|v| v.rule == "mapping.misfit" && v.row == Some(1)), "{:?}", layer.verdicts);
}

#[tokio::test]
async fn a_mapping_that_is_not_right_is_refused_before_anything_is_read() {
    let adapter = Adapter::start(&[]).await;
    let ask = Ask { mapping: Some("[[column]]\nname = 7".to_owned()), ..Ask::named("schools.csv") };
    let error = read(&adapter, &ask, &csv()).await.expect_err("refused");
    assert_eq!(error.kind(), ErrorKind::InvalidData, "as the wire has it");
    assert!(error.to_string().contains("line 2"), "{error}");
}
