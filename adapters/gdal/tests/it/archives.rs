//! Archives of every kind: what lies in them is read, under its own name; what cannot be is refused.

use crate::adapter::{Adapter, Ask, ReadLayer, read};
use crate::cases::{geojson, shapefile, zip};
use std::io::{Cursor, Write};
use ukimet_model::{Error, ErrorKind};
use zip::write::SimpleFileOptions;
use zip::{CompressionMethod, ZipWriter};

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut writer = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    writer.write_all(bytes).expect("writes");
    writer.finish().expect("ends")
}

fn tar(members: &[(&str, &[u8])]) -> Vec<u8> {
    let mut tar = tar::Builder::new(Vec::new());
    for (name, bytes) in members {
        let mut header = tar::Header::new_gnu();
        header.set_size(bytes.len() as u64);
        header.set_mode(0o644);
        tar.append_data(&mut header, name, *bytes).expect("writes");
    }
    tar.into_inner().expect("ends")
}

fn names(layers: &[ReadLayer]) -> Vec<(&str, usize)> {
    layers.iter().map(|layer| (layer.name.as_str(), layer.rows())).collect()
}

async fn refused(adapter: &Adapter, name: &str, bytes: &[u8]) -> Error {
    read(adapter, &Ask::named(name), bytes).await.map(|_| ()).expect_err(name)
}

#[tokio::test]
async fn a_gzip_is_the_file_in_it() {
    let adapter = Adapter::start(&[]).await;
    for (name, bytes) in
        [("орын.geojson.gz", geojson(5)), ("орын.csv.gz", b"id,name\n1,a\n2,b\n3,c\n4,d\n5,e\n".to_vec())]
    {
        let layers = read(&adapter, &Ask::named(name), &gzip(&bytes)).await.expect(name);
        assert_eq!(names(&layers), [("орын", 5)], "{name}");
    }
    let two = [gzip(b"id,name\n1,a\n"), gzip(b"2,b\n")].concat();
    assert_eq!(names(&read(&adapter, &Ask::named("a.csv.gz"), &two).await.expect("two members")), [("a", 2)]);
    assert_eq!(adapter.left_behind(), Vec::<String>::new());
}

#[tokio::test]
async fn a_tar_packed_or_not_gives_its_datasets() {
    let adapter = Adapter::start(&[]).await;
    let parts = shapefile(3);
    let json = geojson(2);
    let mut members: Vec<(&str, &[u8])> = parts.iter().map(|(name, bytes)| (*name, bytes.as_slice())).collect();
    members.extend([
        ("папка/школы.geojson", json.as_slice()),
        ("._roads.shp", b"\0\x05\x16\x07"),
        ("README.md", b"hi"),
    ]);
    let tar = tar(&members);
    for (name, bytes) in [("a.tar", tar.clone()), ("a.tar.gz", gzip(&tar)), ("a.tgz", gzip(&tar))] {
        let layers = read(&adapter, &Ask::named(name), &bytes).await.expect(name);
        assert_eq!(names(&layers), [("roads", 3), ("школы", 2)], "{name}");
    }
}

#[tokio::test]
async fn archives_in_an_archive_are_looked_into_once() {
    let adapter = Adapter::start(&[]).await;
    let inner = |rows| zip(&[("places.geojson", &geojson(rows)[..])]);
    let tar = tar(&[("b.geojson", &geojson(4))]);
    let outer = zip(&[
        ("2023.zip", &inner(1)),
        ("2024.zip", &inner(2)),
        ("c.csv.gz", &gzip(b"id,n\n1,a\n")),
        ("d.tar.gz", &gzip(&tar)),
    ]);
    let layers = read(&adapter, &Ask::named("years.zip"), &outer).await.expect("zips in a zip");
    assert_eq!(names(&layers), [("2023/places", 1), ("2024/places", 2), ("c", 1), ("b", 4)]);
    let deep = zip(&[("outer.zip", &zip(&[("inner.zip", &inner(1))]))]);
    let error = refused(&adapter, "deep.zip", &deep).await;
    assert!(error.kind() == ErrorKind::LimitReached && error.to_string().contains("at most 2 deep"), "{error}");
    let error = refused(&adapter, "a.csv.gz.gz", &gzip(&gzip(b"id\n1\n"))).await;
    assert!(error.kind() == ErrorKind::InvalidData && error.to_string().contains("no other gzip"), "{error}");
}

#[tokio::test]
async fn bombs_in_every_container_end_at_the_limits() {
    let adapter = Adapter::start(&["--unpacked-bytes", "3000000", "--unpack-ratio", "100"]).await;
    let zeros = vec![b' '; 4 << 20];
    let in_zip = zip(&[("inner.zip", &zip(&[("a.csv", &zeros)]))]);
    for (name, bytes) in [("a.csv.gz", gzip(&zeros)), ("a.tar.gz", gzip(&tar(&[("a.csv", &zeros)]))), ("a.zip", in_zip)]
    {
        let error = refused(&adapter, name, &bytes).await;
        assert_eq!(error.kind(), ErrorKind::LimitReached, "{name}: {error}");
    }
    // Each is within the limit, all together are not.
    let row: Vec<String> = (0..200_000_u32).map(|i| i.wrapping_mul(2_654_435_761).to_string()).collect();
    let part = zip(&[("a.csv", row.join("\n").as_bytes())]);
    let many = zip(&[("1.zip", &part[..]), ("2.zip", &part)]);
    let error = refused(&adapter, "a.zip", &many).await;
    assert_eq!(error.kind(), ErrorKind::LimitReached, "{error}");
    assert_eq!(adapter.left_behind(), Vec::<String>::new());
    let adapter = Adapter::start(&["--archive-members", "1"]).await;
    let error = refused(&adapter, "a.tar", &tar(&[("a.csv", b"a\n"), ("b.csv", b"b\n")])).await;
    assert_eq!(error.kind(), ErrorKind::LimitReached, "{error}");
}

#[tokio::test]
async fn cut_and_changed_containers_are_refused() {
    let adapter = Adapter::start(&[]).await;
    let gz = gzip(&geojson(50));
    let mut changed = gz.clone();
    let end = changed.len() - 5;
    changed[end] ^= 0xff;
    let tar = tar(&[("a.geojson", &geojson(20)), ("b.geojson", &geojson(20))]);
    let cases = [
        ("a.geojson.gz", &gz[..gz.len() - 4]),
        ("a.geojson.gz", &gz[..gz.len() / 2]),
        ("a.geojson.gz", &changed),
        ("a.tar", &tar[..tar.len() - 1_024]),
        ("a.tar", &tar[..tar.len() - 2_000]),
        ("a.tar", &tar[..700]),
    ];
    for (name, bytes) in cases {
        let error = refused(&adapter, name, bytes).await;
        assert_eq!(error.kind(), ErrorKind::DataLoss, "{name} of {}: {error}", bytes.len());
    }
}

#[tokio::test]
async fn names_that_leave_and_links_are_refused_in_a_tar() {
    let adapter = Adapter::start(&[]).await;
    let mut link = tar::Builder::new(Vec::new());
    let mut header = tar::Header::new_gnu();
    header.set_entry_type(tar::EntryType::Symlink);
    header.set_size(0);
    link.append_link(&mut header, "a.csv", "/etc/passwd").expect("writes");
    let error = refused(&adapter, "a.tar", &link.into_inner().expect("ends")).await;
    assert!(error.kind() == ErrorKind::InvalidData && error.to_string().contains("is a link"), "{error}");
    let mut outside = tar(&[("xx/a.csv", b"a\n1\n")]);
    outside[..2].copy_from_slice(b"..");
    let sum: u32 =
        outside[..512].iter().enumerate().map(|(i, b)| if (148..156).contains(&i) { 32 } else { u32::from(*b) }).sum();
    outside[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
    let error = refused(&adapter, "a.tar", &outside).await;
    assert!(error.kind() == ErrorKind::InvalidData && error.to_string().contains("stay inside"), "{error}");
}

/// A zip whose one member is packed by this method.
fn packed(method: CompressionMethod) -> Vec<u8> {
    let mut zip = ZipWriter::new(Cursor::new(Vec::new()));
    let options = SimpleFileOptions::default().compression_method(method).large_file(true);
    zip.start_file("a.geojson", options).expect("begins");
    zip.write_all(&geojson(30)).expect("writes");
    zip.finish().expect("ends").into_inner()
}

#[tokio::test]
async fn zip_members_are_stored_deflated_or_packed_by_zstandard_or_xz() {
    let adapter = Adapter::start(&[]).await;
    for method in
        [CompressionMethod::Stored, CompressionMethod::Deflated, CompressionMethod::Zstd, CompressionMethod::Xz]
    {
        let layers = read(&adapter, &Ask::named("a.zip"), &packed(method)).await.expect("packed");
        assert_eq!(names(&layers), [("a", 30)], "{method}");
    }
    let mut other = packed(CompressionMethod::Stored);
    let central = other.windows(4).rposition(|bytes| bytes == b"PK\x01\x02").expect("a directory");
    other[8] = 98;
    other[central + 10] = 98;
    let error = refused(&adapter, "a.zip", &other).await;
    assert!(error.kind() == ErrorKind::InvalidData && error.to_string().contains("not served"), "{error}");
}

#[tokio::test]
async fn names_in_the_dos_code_page_are_decoded_and_the_report_says_so() {
    let adapter = Adapter::start(&[]).await;
    let mut bytes = zip(&[("xxxxxx.geojson", &geojson(2)), ("__MACOSX/._xxxxxx.geojson", b"junk")]);
    let name = encoding_rs::IBM866.encode("районы").0.into_owned();
    let places: Vec<usize> =
        bytes.windows(14).enumerate().filter(|(_, w)| *w == b"xxxxxx.geojson").map(|(i, _)| i).collect();
    for place in places {
        if bytes[place - 1] != b'_' {
            bytes[place..place + 6].copy_from_slice(&name);
        }
    }
    let layers = read(&adapter, &Ask::named("a.zip"), &bytes).await.expect("decoded");
    assert_eq!(names(&layers), [("районы", 2)]);
    assert!(layers[0].rules().contains(&"archive.name_cp866"), "{:?}", layers[0].rules());
}

#[tokio::test]
async fn files_of_one_dataset_may_differ_in_case_and_formats_may_be_mixed() {
    let adapter = Adapter::start(&[]).await;
    let parts = shapefile(2);
    let json = geojson(1);
    let members: Vec<(&str, &[u8])> = vec![
        ("Data/ROADS.SHP", &parts[0].1),
        ("Data/roads.shx", &parts[1].1),
        ("Data/Roads.dbf", &parts[2].1),
        ("Data/roads.PRJ", &parts[3].1),
        ("Data/places.geojson", &json),
        ("Data/codes.csv", b"code,name\n007,a\n"),
        ("Data/walk.gpx", br#"<gpx version="1.1" creator="a"><wpt lat="43" lon="76"/></gpx>"#),
    ];
    let layers = read(&adapter, &Ask::named("a.zip"), &zip(&members)).await.expect("all");
    assert_eq!(names(&layers), [("codes", 1), ("places", 1), ("ROADS", 2), ("waypoints", 1)]);
}

#[tokio::test]
async fn archives_that_are_not_read_are_named_with_what_to_do() {
    let adapter = Adapter::start(&[]).await;
    for (name, bytes) in [("a.7z", &b"7z\xbc\xaf\x27\x1c\0\x04"[..]), ("a.rar", b"Rar!\x1a\x07\x01\0")] {
        let error = refused(&adapter, name, bytes).await;
        assert!(
            error.kind() == ErrorKind::InvalidData && error.to_string().contains("send the files as a zip"),
            "{error}"
        );
    }
    let error = refused(&adapter, "a.zip", &zip(&[("a.rar", b"Rar!\x1a\x07\x01\0")])).await;
    assert!(error.to_string().contains("send it as a zip"), "{error}");
    let mut locked = zip(&[("a.geojson", &geojson(1))]);
    let central = locked.windows(4).rposition(|bytes| bytes == b"PK\x01\x02").expect("a directory");
    locked[6] |= 1;
    locked[central + 8] |= 1;
    let error = refused(&adapter, "a.zip", &locked).await;
    assert!(error.kind() == ErrorKind::InvalidData && error.to_string().contains("without a password"), "{error}");
}

#[tokio::test]
async fn a_cut_archive_with_an_archive_inside_is_not_taken_for_the_inner_one() {
    let adapter = Adapter::start(&[]).await;
    let inner = zip(&[("a.geojson", &geojson(2))]);
    let mut outer = ZipWriter::new(Cursor::new(Vec::new()));
    let stored = SimpleFileOptions::default().compression_method(CompressionMethod::Stored);
    for (name, bytes) in [("a.zip", &inner), ("b.geojson", &geojson(3))] {
        outer.start_file(name, stored).expect("a member");
        outer.write_all(bytes).expect("written");
    }
    let outer = outer.finish().expect("an archive").into_inner();
    assert_eq!(read(&adapter, &Ask::named("a.zip"), &outer).await.expect("whole").len(), 2);
    for cut in 1..outer.len() - inner.len() {
        let error = refused(&adapter, "a.zip", &outer[..outer.len() - cut]).await;
        assert_eq!(error.kind(), ErrorKind::DataLoss, "{cut}: {error}");
    }
}
