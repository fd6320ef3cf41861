//! Refusal of bad pushes: the exact code, a message that names the cause, nothing left behind, the hub healthy.

use crate::failure::{Failure, Verdict};
use crate::generate::{self, File};
use crate::hub::Hub;
use crate::push::{Push, require_refusal};
use crate::requirement::{Class, requirements};
use tonic::Code;
use ukimet_proto::v1::layer_selection::Selection;
use ukimet_proto::v1::{LayerSelection, PushHeader};

/// Zeros in the archive that unpacks to more than anybody means; far over any ratio a table reaches.
const BOMB_BYTES: usize = 160 << 20;

/// The class.
pub fn class() -> Class<Hub> {
    Class {
        name: "refusal",
        requirements: requirements![
            a_dataset_id_with_bad_characters_is_refused,
            a_push_id_that_is_not_printable_is_refused,
            an_empty_file_is_refused,
            bytes_of_no_format_are_refused,
            a_file_under_a_wrong_media_type_is_refused,
            an_archive_member_that_leaves_the_archive_is_refused,
            an_archive_that_is_cut_is_refused,
            an_archive_that_unpacks_to_too_much_is_refused,
            a_document_type_declaration_is_refused,
            a_virtual_data_source_is_refused,
            coordinates_without_a_crs_are_a_question_to_the_publisher,
            a_declared_crs_that_does_not_exist_is_refused,
            coordinates_outside_the_declared_crs_are_refused,
            a_declared_encoding_that_does_not_exist_is_refused,
            a_layer_that_does_not_exist_is_refused,
            several_layers_are_a_question_to_the_publisher,
            a_file_cut_in_the_middle_is_refused,
            a_stale_expected_version_is_refused,
        ],
    }
}

/// Pushes a bad file, expects one of these codes with `part` in the message; then nothing is visible.
async fn refuses(
    hub: &Hub,
    name: &str,
    file: &File,
    change: impl FnOnce(&mut PushHeader),
    codes: &[Code],
    part: &str,
) -> Verdict {
    let dataset = hub.dataset(name);
    let mut push = Push::new(&dataset, &format!("{name}-1"), file);
    change(&mut push.header);
    let answer = push.send(hub).await;
    let code = answer.as_ref().err().map(tonic::Status::code).filter(|code| codes.contains(code)).unwrap_or(codes[0]);
    require_refusal(answer, code, part).map_err(|f| f.context(&file.name))?;
    hub.shows_nothing_of(&dataset).await?;
    hub.is_healthy().await
}

fn nothing(_: &mut PushHeader) {}

async fn a_dataset_id_with_bad_characters_is_refused(hub: &Hub) -> Verdict {
    let long = format!("a/{}", "b".repeat(300));
    let ids =
        ["", "a", "../x", "a/b/c", "A/b", "a/b ", "a/.", "a/%2e%2e", "a/b\0", "а/b", "a/\u{202e}b", "a/CON", &long];
    for (i, id) in ids.into_iter().enumerate() {
        let answer = Push::new(id, &format!("bad-id-{i}"), &generate::points(3, 1)).send(hub).await;
        require_refusal(answer, Code::InvalidArgument, "agency/name").map_err(|f| f.context(format!("{id:.20?}")))?;
    }
    hub.is_healthy().await
}

async fn a_push_id_that_is_not_printable_is_refused(hub: &Hub) -> Verdict {
    let dataset = hub.dataset("push-ids");
    for id in ["", "a b", "a\n", "ключ", &"x".repeat(129)] {
        let answer = Push::new(&dataset, id, &generate::points(3, 1)).send(hub).await;
        require_refusal(answer, Code::InvalidArgument, "push_id").map_err(|f| f.context(format!("{id:.20?}")))?;
    }
    hub.shows_nothing_of(&dataset).await
}

async fn an_empty_file_is_refused(hub: &Hub) -> Verdict {
    refuses(hub, "empty", &File::new("empty.geojson", ""), nothing, &[Code::InvalidArgument], "empty").await
}

async fn bytes_of_no_format_are_refused(hub: &Hub) -> Verdict {
    let bytes = generate::garbage(5_000, &mut hub.random("garbage"));
    for (i, name) in ["data.bin", "data.gpkg", "data.fgb", "data"].into_iter().enumerate() {
        let file = File::new(name, bytes.clone());
        refuses(hub, &format!("garbage-{i}"), &file, nothing, &[Code::InvalidArgument], "").await?;
    }
    Ok(())
}

async fn a_file_under_a_wrong_media_type_is_refused(hub: &Hub) -> Verdict {
    let media_type = "application/geopackage+sqlite3";
    let change = |header: &mut PushHeader| media_type.clone_into(&mut header.media_type);
    refuses(hub, "media-type", &generate::points(3, 1), change, &[Code::InvalidArgument], media_type).await
}

async fn an_archive_member_that_leaves_the_archive_is_refused(hub: &Hub) -> Verdict {
    for (i, member) in ["../evil.csv", "/evil.csv", "a/../../evil.csv", "..\\evil.csv"].into_iter().enumerate() {
        let file = generate::archive("evil.zip", &[("good.csv", b"id\n1\n"), (member, b"id\n1\n")]);
        let part = "evil.csv";
        refuses(hub, &format!("leaves-{i}"), &file, nothing, &[Code::InvalidArgument], part).await?;
    }
    Ok(())
}

async fn an_archive_that_is_cut_is_refused(hub: &Hub) -> Verdict {
    let whole = generate::archive("points.zip", &[("points.geojson", &generate::points(50, 1).bytes)]);
    let codes = [Code::InvalidArgument, Code::DataLoss];
    for (i, part) in [10, 50, 90].into_iter().enumerate() {
        let cut = whole.cut_to(whole.bytes.len() * part / 100);
        refuses(hub, &format!("cut-archive-{i}"), &cut, nothing, &codes, "").await?;
    }
    Ok(())
}

async fn an_archive_that_unpacks_to_too_much_is_refused(hub: &Hub) -> Verdict {
    refuses(hub, "bomb", &generate::bomb(BOMB_BYTES), nothing, &[Code::ResourceExhausted], "").await
}

async fn a_document_type_declaration_is_refused(hub: &Hub) -> Verdict {
    let laughs = "<?xml version=\"1.0\"?>\n<!DOCTYPE kml [<!ENTITY a \"ha\"><!ENTITY b \"&a;&a;&a;&a;\">]>\n<kml xmlns=\"http://www.opengis.net/kml/2.2\"><Placemark><name>&b;</name><Point><coordinates>76,43</coordinates></Point></Placemark></kml>\n";
    for (i, name) in ["laughs.kml", "laughs.gml"].into_iter().enumerate() {
        let file = File::new(name, laughs);
        refuses(hub, &format!("doctype-{i}"), &file, nothing, &[Code::InvalidArgument], "doctype").await?;
    }
    Ok(())
}

async fn a_virtual_data_source_is_refused(hub: &Hub) -> Verdict {
    let vrt = "<OGRVRTDataSource><OGRVRTLayer name=\"a\"><SrcDataSource>other.csv</SrcDataSource></OGRVRTLayer></OGRVRTDataSource>\n";
    for (i, name) in ["rows.vrt", "rows.shp", "rows.gml", "rows"].into_iter().enumerate() {
        let file = File::new(name, vrt);
        refuses(hub, &format!("virtual-{i}"), &file, nothing, &[Code::InvalidArgument], "").await?;
    }
    Ok(())
}

async fn coordinates_without_a_crs_are_a_question_to_the_publisher(hub: &Hub) -> Verdict {
    refuses(hub, "no-crs", &generate::metres_csv(), nothing, &[Code::FailedPrecondition], "crs").await
}

async fn a_declared_crs_that_does_not_exist_is_refused(hub: &Hub) -> Verdict {
    for (i, crs) in ["EPSG:1", "nonsense", "http://127.0.0.1:9/crs", "+proj=longlat"].into_iter().enumerate() {
        let change = |header: &mut PushHeader| header.crs = Some(crs.to_owned());
        let name = format!("crs-{i}");
        refuses(hub, &name, &generate::metres_csv(), change, &[Code::InvalidArgument], "crs").await?;
    }
    Ok(())
}

async fn coordinates_outside_the_declared_crs_are_refused(hub: &Hub) -> Verdict {
    let change = |header: &mut PushHeader| header.crs = Some("EPSG:4326".to_owned());
    refuses(hub, "outside", &generate::metres_csv(), change, &[Code::InvalidArgument], "13644000").await
}

async fn a_declared_encoding_that_does_not_exist_is_refused(hub: &Hub) -> Verdict {
    let change = |header: &mut PushHeader| header.encoding = Some("cp-nonsense".to_owned());
    let file = generate::points_csv(3, 1);
    refuses(hub, "encoding", &file, change, &[Code::InvalidArgument], "cp-nonsense").await
}

async fn a_layer_that_does_not_exist_is_refused(hub: &Hub) -> Verdict {
    let change = |header: &mut PushHeader| {
        header.layers = Some(LayerSelection { selection: Some(Selection::Name("roads".to_owned())) });
    };
    let file = generate::two_layers_kml();
    refuses(hub, "no-layer", &file, change, &[Code::NotFound], "roads").await
}

async fn several_layers_are_a_question_to_the_publisher(hub: &Hub) -> Verdict {
    for part in ["schools", "clinics"] {
        let file = generate::two_layers_kml();
        refuses(hub, &format!("which-{part}"), &file, nothing, &[Code::FailedPrecondition], part).await?;
    }
    Ok(())
}

/// The sender's size and hash agree with the cut bytes, so only the reader can tell.
async fn a_file_cut_in_the_middle_is_refused(hub: &Hub) -> Verdict {
    let codes = [Code::InvalidArgument, Code::DataLoss];
    for file in [generate::points(200, 1), generate::two_layers_kml()] {
        let cut = file.cut_to(file.bytes.len() * 6 / 10);
        let name = format!("cut-{}", file.name.replace('.', "-"));
        refuses(hub, &name, &cut, nothing, &codes, "").await?;
    }
    Ok(())
}

async fn a_stale_expected_version_is_refused(hub: &Hub) -> Verdict {
    let dataset = hub.dataset("expected");
    let push = |number: u64, expected: u64| {
        let mut push = Push::new(&dataset, &format!("expected-{number}"), &generate::points(5, number));
        push.header.expected_version = Some(expected);
        push
    };
    push(1, 0).send(hub).await?;
    push(2, 1).send(hub).await?;
    for (number, stale) in [(3, 1), (4, 0), (5, 9)] {
        let answer = push(number, stale).send(hub).await;
        require_refusal(answer, Code::Aborted, "v2").map_err(|f: Failure| f.context(format!("expected v{stale}")))?;
    }
    hub.has_versions(&dataset, 2).await
}
