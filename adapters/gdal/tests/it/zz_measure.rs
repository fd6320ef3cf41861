//! temporary
use crate::adapter::*;
#[tokio::test]
async fn measure() {
    for f in ["/tmp/geo/big.gpkg", "/tmp/geo/big.csv"] {
    let adapter = Adapter::start(&[]).await;
    let bytes = std::fs::read(f).unwrap();
    let t = std::time::Instant::now();
    let mut ask = Ask::named(f); ask.crs = Some("EPSG:4326".into());
    let l = read(&adapter, &ask, &bytes).await.unwrap();
    let s = std::fs::read_to_string(format!("/proc/{}/status", adapter.child.id())).unwrap();
    let st = std::fs::read_to_string(format!("/proc/{}/stat", adapter.child.id())).unwrap();
    let v: Vec<&str> = st.split(' ').collect();
    println!("{f} rows {} {:?} {:?} cpu ticks {} {}", l[0].rows(), t.elapsed(), s.lines().filter(|l| l.starts_with("VmHWM")||l.starts_with("VmPeak")).collect::<Vec<_>>(), v[13], v[14]);
    }
}
