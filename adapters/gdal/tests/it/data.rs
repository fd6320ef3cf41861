//! Every file of the developer data set gets its right answer: rows, or one clear refusal.
use crate::adapter::{Adapter, read_file};
use std::path::PathBuf;
fn walk(p: &std::path::Path, out: &mut Vec<PathBuf>) { for e in std::fs::read_dir(p).unwrap() { let p = e.unwrap().path(); if p.is_dir() { walk(&p, out) } else { out.push(p) } } }
#[tokio::test]
async fn probe() {
    let root = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../../shared/data");
    let adapter = Adapter::start(&[]).await;
    let mut files = vec![]; walk(&root, &mut files); files.sort();
    for f in files {
        let t = std::time::Instant::now();
        let r = read_file(&adapter, &f).await;
        let n = f.strip_prefix(&root).unwrap_or(&f).display().to_string();
        match r { Ok(l) => { println!("OK {n} {:?}", t.elapsed()); for l in l { println!("     {} rows {} taken {} crs {:?} enc {:?} types {:?} bbox {:?} rules {:?} cols {:?}", l.name, l.report.rows_read, l.report.rows_taken, l.report.source_crs, l.report.source_encoding, l.report.geometry_types, l.report.bbox.map(|b| [b.west,b.south,b.east,b.north]), l.rules(), l.schema.fields().iter().map(|f| f.name().clone()).collect::<Vec<_>>()) } }
          Err(e) => println!("ERR {n} {:?}", e) }
    }
    println!("left {:?}", adapter.left_behind());
}
