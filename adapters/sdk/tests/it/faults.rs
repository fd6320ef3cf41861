//! Adapters that misbehave, and clients that do.

use crate::adapters::{Doing, Served, data, limits, options, read_bytes, serve};
use arrow_array::{ArrayRef, RecordBatch, StringArray};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};
use tonic::Code;
use ukimet_adapter_sdk::{MemoryAdapter, ReadEnd, RowSink, ServeLimits};
use ukimet_model::{Batch, Error, LayerReport, QuarantinedRow, Result};
use ukimet_proto::v1;

fn rows(count: usize) -> Batch {
    let texts = StringArray::from_iter_values((0..count).map(|i| format!("row {i} {}", "x".repeat(100))));
    let rows = RecordBatch::try_from_iter([("text", Arc::new(texts) as ArrayRef)]).expect("valid");
    Batch::try_new(rows).expect("normalized")
}

fn end() -> ReadEnd {
    ReadEnd { media_type: "text/plain".to_owned() }
}

fn endless(sink: &mut dyn RowSink) -> Result<ReadEnd> {
    sink.begin_layer("a", rows(1).rows().schema_ref(), &[])?;
    loop {
        sink.batch(rows(1_000))?;
    }
}

async fn fails(served: &Served, code: Code, part: &str) {
    let status = read_bytes(served, b"x").await.expect_err(part);
    assert_eq!(status.code(), code, "{status:?}");
    assert!(status.message().contains(part), "{status:?} should say {part:?}");
}

#[tokio::test]
async fn a_panic_fails_its_own_call_and_no_other() {
    let served =
        serve(Doing(|asset, _, _| if asset.size_bytes == 1 { panic!("a defect") } else { Ok(end()) }), limits()).await;
    fails(&served, Code::Internal, "panicked").await;
    let requests = [options(|_| ()), data(b"x"), crate::adapters::finish(1)];
    let status = served.client.clone().inspect(tokio_stream::iter(requests)).await.expect_err("a panic");
    assert_eq!(status.code(), Code::Internal);
    assert_eq!(read_bytes(&served, b"xy").await.expect("no panic").len(), 1);
}

#[tokio::test]
async fn an_adapter_that_breaks_the_contract_fails_its_call() {
    let wrong_count = serve(
        Doing(|_, _, sink| {
            sink.begin_layer("a", rows(1).rows().schema_ref(), &[])?;
            sink.batch(rows(2))?;
            sink.end_layer(LayerReport { rows_taken: 3, ..LayerReport::default() })?;
            Ok(end())
        }),
        limits(),
    )
    .await;
    fails(&wrong_count, Code::Internal, "says 3 rows, given were 2").await;
    let open_layer =
        serve(Doing(|_, _, sink| sink.begin_layer("a", rows(1).rows().schema_ref(), &[]).map(|()| end())), limits())
            .await;
    fails(&open_layer, Code::Internal, "did not end layer").await;
    let no_layer = serve(Doing(|_, _, sink| sink.batch(rows(1)).map(|()| end())), limits()).await;
    fails(&no_layer, Code::Internal, "before their layer").await;
    let wide = serve(
        Doing(|_, _, sink| {
            sink.begin_layer("a", rows(1).rows().schema_ref(), &["b".to_owned()])?;
            sink.quarantine(vec![QuarantinedRow { row: 0, values: vec![None, None] }]).map(|()| end())
        }),
        limits(),
    )
    .await;
    fails(&wide, Code::Internal, "has 2 values, expected 1").await;
    let own_error = serve(Doing(|_, _, _| Err(Error::data_loss("row 7 is cut"))), limits()).await;
    fails(&own_error, Code::DataLoss, "row 7 is cut").await;
}

#[tokio::test]
async fn a_job_that_takes_too_long_is_ended() {
    let short = ServeLimits { wall_max: Duration::from_millis(300), ..limits() };
    let slow = serve(
        Doing(|_, _, _| {
            std::thread::sleep(Duration::from_secs(2));
            Ok(end())
        }),
        short,
    )
    .await;
    let begin = Instant::now();
    fails(&slow, Code::DeadlineExceeded, "longer than a job may take").await;
    assert!(begin.elapsed() < Duration::from_secs(2));
    let endless = serve(Doing(|_, _, sink| endless(sink)), short).await;
    fails(&endless, Code::DeadlineExceeded, "longer than a job may take").await;
}

#[tokio::test]
async fn a_client_that_goes_away_ends_the_adapter() {
    static ENDED: AtomicBool = AtomicBool::new(false);
    let served = serve(
        Doing(|_, _, sink| {
            let result = endless(sink);
            ENDED.store(true, Ordering::SeqCst);
            result
        }),
        limits(),
    )
    .await;
    let requests = [options(|_| ()), data(b"x"), crate::adapters::finish(1)];
    let mut stream = served.client.clone().read(tokio_stream::iter(requests)).await.expect("begins").into_inner();
    stream.message().await.expect("a message");
    assert!(!ENDED.load(Ordering::SeqCst));
    drop(stream);
    let begin = Instant::now();
    while !ENDED.load(Ordering::SeqCst) {
        assert!(begin.elapsed() < Duration::from_secs(10), "the adapter goes on");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

#[tokio::test]
async fn jobs_bytes_messages_and_silence_have_limits() {
    let tight = ServeLimits {
        jobs_max: 1,
        asset_bytes_max: 10,
        message_bytes_max: 1_000,
        idle_max: Duration::from_millis(300),
        ..limits()
    };
    let served = serve(MemoryAdapter, tight).await;
    let status = read_bytes(&served, b"more than ten").await.expect_err("large");
    assert_eq!((status.code(), status.message().contains("at most 10 bytes")), (Code::ResourceExhausted, true));
    let status = read_bytes(&served, &[0; 2_000]).await.expect_err("a large message");
    assert!(matches!(status.code(), Code::ResourceExhausted | Code::OutOfRange), "{status:?}");
    let silent = tokio_stream::StreamExt::chain(
        tokio_stream::iter([options(|_| ())]),
        tokio_stream::pending::<v1::AssetRequest>(),
    );
    let mut client = served.client.clone();
    let waiting = tokio::spawn(async move { client.read(silent).await.map(|_| ()) });
    tokio::time::sleep(Duration::from_millis(100)).await;
    fails(&served, Code::ResourceExhausted, "at most 1 jobs").await;
    let status = waiting.await.expect("no panic").expect_err("silence");
    assert_eq!(status.code(), Code::DeadlineExceeded, "{status:?}");
}

#[tokio::test]
async fn a_slow_client_slows_the_adapter_and_not_the_memory() {
    use std::sync::atomic::AtomicUsize;
    static GIVEN: AtomicUsize = AtomicUsize::new(0);
    let served = serve(
        Doing(|_, _, sink| {
            sink.begin_layer("a", rows(1).rows().schema_ref(), &[])?;
            loop {
                sink.batch(rows(10_000))?;
                GIVEN.fetch_add(1, Ordering::SeqCst);
            }
        }),
        limits(),
    )
    .await;
    let requests = [options(|_| ()), data(b"x"), crate::adapters::finish(1)];
    let mut stream = served.client.clone().read(tokio_stream::iter(requests)).await.expect("begins").into_inner();
    stream.message().await.expect("a message");
    tokio::time::sleep(Duration::from_secs(1)).await;
    let given = GIVEN.load(Ordering::SeqCst);
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert_eq!(GIVEN.load(Ordering::SeqCst), given, "nobody reads, so nothing is given");
    assert!(given < 100, "{given} batches of a megabyte wait");
}
