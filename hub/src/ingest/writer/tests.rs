//! Tests of what is written of what an adapter says.

use super::*;
use arrow_array::{ArrayRef, Int64Array, RecordBatch};
use tokio::sync::Semaphore;
use ukimet_catalog::CatalogOptions;
use ukimet_model::{Asset, Declarations, LayerReport, MappingChange, SystemClock};

/// What an adapter says of one layer of two rows.
fn messages() -> Vec<Message> {
    let column: ArrayRef = Arc::new(Int64Array::from(vec![1, 2]));
    let rows = RecordBatch::try_from_iter_with_nullable([("n", column, true)]).expect("columns fit");
    let schema = ipc::encode_schema(rows.schema_ref()).expect("encodes");
    let report = LayerReport { layer: "l".to_owned(), rows_read: 2, rows_taken: 2, ..LayerReport::default() };
    vec![
        Message::LayerBegin(v1::LayerBegin { layer: "l".to_owned(), schema, source_columns: Vec::new() }),
        Message::Batch(ipc::encode_batch(&rows).expect("encodes")),
        Message::LayerEnd(report.into()),
        Message::Summary(v1::ReadSummary { media_type: String::new(), layers: 1, batches: 1, rows: 2 }),
    ]
}

/// Writes a push whose every message has come; how many commits there are then.
fn write(stop: CancellationToken, messages: Vec<Message>) -> (Result<PushOutcome>, u64) {
    let dir = tempfile::tempdir().expect("a folder");
    let options = CatalogOptions { disk_reserve_bytes: 0, ..CatalogOptions::default() };
    let catalog = Catalog::open(&dir.path().join("data"), options, Arc::new(SystemClock)).expect("opens");
    let raw = dir.path().join("raw");
    std::fs::write(&raw, b"").expect("written");
    let sha256 = crate::hashing::Hasher::default().finish();
    let asset = Asset { sha256, size_bytes: 0, file_name: "a".to_owned(), media_type: "text/csv".to_owned() };
    let intent = PushIntent {
        push_id: "p".parse().expect("valid"),
        agency: "a".to_owned(),
        principal: "anonymous".to_owned(),
        digest: sha256,
        asset,
        raw,
        metadata: ukimet_model::DatasetMetadata::default(),
        expected_version: None,
        declared: Declarations::default(),
        mapping: MappingChange::Keep,
    };
    let writer = Writer {
        catalog: catalog.clone(),
        limits: IpcLimits::default(),
        rows_max: 10,
        dataset: "a/b".parse().expect("valid"),
        layers: LayerSelection::Only,
        delete_column: None,
        rows: Arc::default(),
        register: None,
        kept: Vec::new(),
        dry_run: false,
        comparing: None,
        stop,
    };
    let (sender, received) = mpsc::channel(messages.len());
    for message in messages {
        sender.try_send(message).expect("room");
    }
    drop(sender);
    let job = Arc::new(Semaphore::new(1)).try_acquire_owned().expect("a place");
    let written = writer.write(intent, received, Arc::new(job)).map(|written| match written {
        Written::Outcome(outcome) => outcome,
        Written::Broken(_) => panic!("a first version breaks nothing"),
    });
    (written, catalog.snapshot().id().0)
}

#[test]
fn a_push_that_was_given_up_is_not_committed_though_all_of_it_came() {
    let (outcome, commits) = write(CancellationToken::new(), messages());
    assert_eq!((outcome.expect("published").layers[0].report.rows_taken, commits), (2, 1));
    let stop = CancellationToken::new();
    stop.cancel();
    let (outcome, commits) = write(stop, messages());
    assert_eq!(outcome.expect_err("given up").kind(), ukimet_model::ErrorKind::Unavailable);
    assert_eq!(commits, 0);
}

#[test]
fn verdicts_and_refused_rows_agree_with_the_report() {
    let verdict = |row| v1::Verdict { row, rule: "a.b".to_owned(), severity: 3, ..v1::Verdict::default() };
    let verdicts = |row| Message::Verdicts(v1::Verdicts { verdicts: vec![verdict(row)] });
    let refused = |row, values: usize| {
        let values = vec![v1::QuarantinedValue { text: Some("x".to_owned()) }; values];
        Message::Quarantined(v1::QuarantinedRows { rows: vec![v1::QuarantinedRow { row, values }] })
    };
    let pushed = |told: Vec<Message>, rows_refused: u64| {
        let mut messages = messages();
        let Message::LayerBegin(begin) = &mut messages[0] else { panic!("the layer's begin") };
        begin.source_columns = vec!["N".to_owned()];
        let Message::LayerEnd(report) = &mut messages[2] else { panic!("the layer's end") };
        (report.rows_read, report.rows_refused) = (2 + rows_refused, rows_refused);
        messages.splice(2..2, told);
        write(CancellationToken::new(), messages).0
    };
    let layer = pushed(vec![verdicts(Some(2)), refused(2, 1)], 1).expect("they agree").layers.remove(0);
    assert_eq!((layer.verdicts.map(|t| t.rows), layer.quarantine.map(|t| t.rows)), (Some(1), Some(1)));
    let mut messages = messages();
    let Message::LayerEnd(report) = &mut messages[2] else { panic!("the layer's end") };
    report.geometry_column = Some(0);
    let error = write(CancellationToken::new(), messages).0.expect_err("no such column");
    assert!(error.message().contains("column 0 of 0"), "{error}");
    let wrong = [
        (vec![verdicts(Some(3)), refused(2, 1)], 1, "tells of row 4"),
        (vec![refused(2, 1)], 1, "no verdict says why"),
        (vec![verdicts(None), refused(0, 1)], 0, "refused 0 rows, but gave back 1"),
        (vec![verdicts(Some(2)), refused(2, 2)], 1, "2 values, expected 1"),
        (vec![Message::Verdicts(v1::Verdicts { verdicts: vec![v1::Verdict::default()] })], 0, "has a name such as"),
    ];
    for (told, rows_refused, words) in wrong {
        let error = pushed(told, rows_refused).expect_err(words);
        assert!(error.to_string().contains(words), "{error}");
    }
}

#[test]
fn an_answer_whose_counts_differ_or_that_has_no_summary_is_data_loss() {
    let mut short = messages();
    short.pop();
    let mut lying = messages();
    lying[3] = Message::Summary(v1::ReadSummary { media_type: String::new(), layers: 1, batches: 1, rows: 3 });
    for messages in [short, lying] {
        let (outcome, commits) = write(CancellationToken::new(), messages);
        assert_eq!((outcome.expect_err("refused").kind(), commits), (ukimet_model::ErrorKind::DataLoss, 0));
    }
}
