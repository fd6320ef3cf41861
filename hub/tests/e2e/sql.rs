//! SQL over Flight: one snapshot a query, every limit reached, nothing left of a query whose client is gone.

use crate::hub::{Hub, files_below, points, wait_until};
use arrow_array::cast::AsArray;
use arrow_array::types::Int64Type;
use arrow_array::{Array, ArrayRef, Int64Array, RecordBatch};
use arrow_flight::FlightInfo;
use arrow_flight::sql::client::FlightSqlServiceClient;
use futures::TryStreamExt;
use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tonic::transport::{Channel, Endpoint};

type Client = FlightSqlServiceClient<Channel>;

async fn connected(hub: &Hub) -> Client {
    let endpoint = Endpoint::from_shared(hub.url.clone()).expect("a URL");
    FlightSqlServiceClient::new(endpoint.connect().await.expect("connects"))
}

fn publish(hub: &Hub, folder: &Path, rows: usize) {
    let file = folder.join("points.csv");
    fs::write(&file, points(rows)).expect("room");
    assert_eq!(hub.publish(&file, "a/points", &["--mode", "replace"])["status"], "published");
}

async fn fetch(client: &mut Client, info: FlightInfo) -> Result<Vec<RecordBatch>, String> {
    let ticket = info.endpoint[0].ticket.clone().expect("a ticket");
    let batches = client.do_get(ticket).await.map_err(|error| error.to_string())?;
    batches.try_collect().await.map_err(|error| error.to_string())
}

async fn ask(client: &mut Client, sql: &str) -> Result<Vec<RecordBatch>, String> {
    let info = client.execute(sql.to_owned(), None).await.map_err(|error| error.to_string())?;
    fetch(client, info).await
}

/// The one number of an answer.
async fn number(client: &mut Client, sql: &str) -> i64 {
    let batches = ask(client, sql).await.expect("answered");
    batches[0].column(0).as_primitive::<Int64Type>().value(0)
}

#[tokio::test]
async fn a_query_reads_the_snapshot_of_its_ticket_and_versions_are_tables() {
    let dir = tempfile::tempdir().expect("a folder");
    let hub = Hub::start(&dir.path().join("data"), &[]);
    publish(&hub, dir.path(), 10);
    let mut client = connected(&hub).await;
    let newest = "SELECT count(*) FROM \"a/points\"";
    let before = client.execute(newest.to_owned(), None).await.expect("planned");
    publish(&hub, dir.path(), 25);
    assert_eq!(number(&mut client, newest).await, 25);
    let then = fetch(&mut client, before).await.expect("answered");
    assert_eq!(then[0].column(0).as_primitive::<Int64Type>().value(0), 10, "the ticket keeps its snapshot");
    assert_eq!(number(&mut client, "SELECT count(*) FROM \"a/points@v1\"").await, 10);
    let both = "SELECT (SELECT count(*) FROM \"a/points@v2\") - (SELECT count(*) FROM \"a/points@v1\")";
    assert_eq!(number(&mut client, both).await, 15);
    let error = ask(&mut client, "SELECT 1 FROM \"a/points@v9\"").await.expect_err("no such version");
    assert!(error.contains("no version v9"), "{error}");
    let file = dir.path().join("points.csv");
    hub.publish(&file, "city/wells", &["--title", "en=Wells of the city"]);
    let error = ask(&mut client, "SELECT 1 FROM \"town/wells\"").await.expect_err("no such dataset");
    assert!(error.contains("there is \\\"city/wells\\\""), "near ones are named: {error}");
}

#[tokio::test]
async fn parameters_are_bound_one_row_at_a_time() {
    let dir = tempfile::tempdir().expect("a folder");
    let hub = Hub::start(&dir.path().join("data"), &[]);
    let mut client = connected(&hub).await;
    let mut statement = client.prepare("SELECT $1 + 1 AS next".to_owned(), None).await.expect("prepared");
    assert_eq!(statement.parameter_schema().expect("described").fields().len(), 1);
    let rows = |numbers: Vec<i64>| {
        let numbers: ArrayRef = Arc::new(Int64Array::from(numbers));
        RecordBatch::try_from_iter([("$1", numbers)]).expect("one column")
    };
    statement.set_parameters(rows(vec![41])).expect("taken");
    let info = statement.execute().await.expect("planned");
    let answer = fetch(&mut client, info).await.expect("answered");
    assert_eq!(answer[0].column(0).as_primitive::<Int64Type>().value(0), 42);
    statement.set_parameters(rows(vec![1, 2])).expect("taken");
    let error = statement.execute().await.expect_err("two rows");
    assert!(error.to_string().contains('1'), "{error}");
}

#[tokio::test]
async fn every_limit_of_a_query_is_reached_and_named() {
    let dir = tempfile::tempdir().expect("a folder");
    let limits = [
        ["--sql-bytes-max", "300"],
        ["--sql-nesting-max", "5"],
        ["--sql-operators-max", "20"],
        ["--sql-tables-max", "3"],
        ["--sql-time-max", "2s"],
        ["--sql-rows-max", "500"],
        ["--sql-memory-max", "2MiB"],
        ["--sql-spill-max", "4KiB"],
    ];
    let hub = Hub::start(&dir.path().join("data"), &limits.concat());
    publish(&hub, dir.path(), 1000);
    let mut client = connected(&hub).await;
    let table = "\"a/points\"";
    for (sql, expected) in [
        (format!("SELECT '{}'", "x".repeat(300)), "at most 300 bytes"),
        (format!("SELECT {}1{}", "(".repeat(6), ")".repeat(6)), "at most 5 parentheses inside each other, found 6"),
        (format!("SELECT 1{}", "+1".repeat(21)), "at most 20 operators, found 21"),
        (format!("SELECT 1 FROM {table} a, {table} b, {table} c, {table} d"), "at most 3 tables, found 4"),
        (format!("SELECT * FROM {table}"), "at most 500 rows"),
        (format!("SELECT a.*, b.* FROM {table} a, {table} b ORDER BY b.name, a.name"), "sql-spill-max"),
        (
            "WITH RECURSIVE r AS (SELECT 1 AS n UNION ALL SELECT n FROM r) SELECT count(*) FROM r".to_owned(),
            "longer than 2 s",
        ),
    ] {
        let begin = Instant::now();
        let error = ask(&mut client, &sql).await.expect_err(expected);
        assert!(error.contains(expected), "{sql}: {error}");
        assert!(begin.elapsed() < Duration::from_secs(20), "{sql} took {:?}", begin.elapsed());
    }
    assert_eq!(number(&mut client, &format!("SELECT count(*) FROM {table}")).await, 1000, "others are answered");
    wait_until("what was spilled is gone", || files_below(&dir.path().join("data/scratch")).is_empty());
}

#[tokio::test]
async fn planning_and_the_memory_of_all_have_limits_too() {
    let dir = tempfile::tempdir().expect("a folder");
    let hub = Hub::start(&dir.path().join("hasty"), &["--sql-planning-max", "0s"]);
    let error = ask(&mut connected(&hub).await, "SELECT 1").await.expect_err("no time");
    assert!(error.contains("planning the statement took longer"), "{error}");
    let hub = Hub::start(&dir.path().join("poor"), &["--sql-memory-total-max", "64KiB"]);
    publish(&hub, dir.path(), 5000);
    let error =
        ask(&mut connected(&hub).await, "SELECT name, count(*) FROM \"a/points\" GROUP BY name ORDER BY 2").await;
    let error = error.expect_err("no memory");
    assert!(error.contains("all queries share"), "{error}");
}

#[tokio::test]
async fn a_client_that_leaves_ends_its_query_however_busy_it_is() {
    let dir = tempfile::tempdir().expect("a folder");
    let hub = Hub::start(&dir.path().join("data"), &["--sql-running-max", "1"]);
    publish(&hub, dir.path(), 50_000);
    let mut client = connected(&hub).await;
    let points = "\"a/points\"";
    for endless in [
        "WITH RECURSIVE r AS (SELECT 1 AS n UNION ALL SELECT n + 1 FROM r) SELECT n FROM r".to_owned(),
        format!("SELECT count(*) FROM {points} a, {points} b WHERE length(a.name) + length(b.name) < 0"),
        format!("SELECT count(a.name) FROM {points} a, {points} b, {points} c"),
        format!("SELECT count(a.name) FROM {points} a JOIN {points} b ON length(a.name) / 100 = length(b.name) / 100"),
        format!(
            "SELECT 1 FROM {points} a JOIN {points} b ON length(a.name) / 100 = length(b.name) / 100 AND a.name || b.name = ''"
        ),
    ] {
        let info = client.execute(endless.clone(), None).await.expect("planned");
        let rows = client.do_get(info.endpoint[0].ticket.clone().expect("a ticket")).await.expect("begun");
        tokio::time::sleep(Duration::from_millis(500)).await;
        let busy = ask(&mut client, "SELECT 1").await.expect_err(&endless);
        assert!(busy.contains("sql-running-max"), "{busy}");
        drop(rows);
        let begin = Instant::now();
        while let Err(error) = ask(&mut client, "SELECT 1").await {
            assert!(error.contains("sql-running-max"), "{error}");
            assert!(begin.elapsed() < Duration::from_secs(20), "it goes on without its client: {endless}");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }
}

#[tokio::test]
async fn what_does_not_fit_in_memory_is_sorted_on_the_disk_and_leaves_nothing() {
    let dir = tempfile::tempdir().expect("a folder");
    let data = dir.path().join("data");
    let hub = Hub::start(&data, &["--sql-memory-max", "16MiB"]);
    publish(&hub, dir.path(), 700);
    let sql = "SELECT a.name || b.name AS names FROM \"a/points\" a, \"a/points\" b ORDER BY names DESC";
    let rows: usize =
        ask(&mut connected(&hub).await, sql).await.expect("sorted").iter().map(RecordBatch::num_rows).sum();
    assert_eq!(rows, 700 * 700);
    wait_until("what was spilled is gone", || files_below(&data.join("scratch")).is_empty());
}

#[tokio::test]
async fn a_text_that_doubles_and_doubles_is_refused_before_it_is_large() {
    let dir = tempfile::tempdir().expect("a folder");
    let hub = Hub::start(&dir.path().join("data"), &[]);
    let mut client = connected(&hub).await;
    for joined in [
        "s || s || s || s || s || s || s || s || s || s",
        "concat(s, s, s, s, s, s, s, s)",
        "concat_ws(s, s, s, s, s, s, s)",
    ] {
        let step = |at: usize| format!("t{at} AS (SELECT {joined} AS s FROM t{})", at - 1);
        let steps: Vec<String> = (1..11).map(step).collect();
        let sql = format!("WITH t0 AS (SELECT 'мектеп' AS s), {} SELECT length(s) FROM t10", steps.join(", "));
        let error = ask(&mut client, &sql).await.expect_err(joined);
        assert!(error.contains("bytes of text are put together at once"), "{error}");
    }
    let joined = ask(&mut client, "SELECT 'а' || 1 || DATE '2026-03-01' AS t, 'x' || NULL AS n").await.expect("joined");
    assert_eq!(joined[0].column(0).as_string::<i32>().value(0), "а12026-03-01");
    assert_eq!(joined[0].column(1).null_count(), 1);
}

#[tokio::test]
async fn whatever_writes_or_reads_files_is_refused() {
    let dir = tempfile::tempdir().expect("a folder");
    let hub = Hub::start(&dir.path().join("data"), &[]);
    publish(&hub, dir.path(), 10);
    let mut client = connected(&hub).await;
    for sql in [
        "CREATE TABLE t AS SELECT 1",
        "CREATE EXTERNAL TABLE t STORED AS CSV LOCATION '/etc/passwd'",
        "COPY (SELECT 1) TO '/tmp/ukimet-was-here.csv'",
        "INSERT INTO \"a/points\" VALUES ('x')",
        "DELETE FROM \"a/points\"",
        "DROP TABLE \"a/points\"",
        "SET datafusion.execution.batch_size = 1",
        "EXPLAIN INSERT INTO \"a/points\" VALUES ('x')",
        "SELECT * FROM '/etc/passwd'",
        "SELECT * FROM read_csv('/etc/passwd')",
        "SELECT * FROM generate_series(1, 1000000000)",
        "SELECT * FROM information_schema.tables",
        "SELECT repeat('x', 1000000000)",
        "SELECT 1; SELECT 2",
        "",
    ] {
        let error = ask(&mut client, sql).await.expect_err(sql);
        let is_refused =
            ["invalid argument", "a table is a dataset", "not found"].iter().any(|said| error.contains(said));
        assert!(is_refused, "{sql}: {error}");
    }
    assert!(!Path::new("/tmp/ukimet-was-here.csv").exists());
    client.begin_transaction().await.expect_err("there are none");
    client.execute_update("DELETE FROM t".to_owned(), None).await.expect_err("read only");
    assert_eq!(number(&mut client, "SELECT count(*) FROM \"a/points\"").await, 10);
}
