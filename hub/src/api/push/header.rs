//! The header of a push as it comes by gRPC, checked.

use crate::staging::PushHeader;
use ukimet_model::error::quoted;
use ukimet_model::{DatasetMetadata, Error, LayerSelection, Mapping, Result};
use ukimet_proto::convert::layer_selection_from_wire;
use ukimet_proto::v1;

/// Checks a header as it came.
pub(super) fn push_header(header: v1::PushHeader) -> Result<PushHeader> {
    check_fixes(&header)?;
    check_deletes(&header)?;
    let mode = v1::PushMode::try_from(header.mode)
        .map_err(|_| Error::invalid_request(format!("mode {} is not one of this version", header.mode)))?;
    Ok(PushHeader {
        push_id: header.push_id.parse()?,
        dataset: header.dataset.parse()?,
        mode: mode.into(),
        key: (!header.key.is_empty()).then_some(header.key),
        delete_column: header.delete_column,
        file_name: file_name(&header.file_name)?,
        media_type: Some(header.media_type).filter(|text| !text.is_empty()),
        crs: header.crs.filter(|text| !text.is_empty()),
        encoding: header.encoding.filter(|text| !text.is_empty()),
        mapping: mapping(header.mapping, header.layers.as_ref())?,
        region: header.region.filter(|text| !text.is_empty()),
        time_zone: header.time_zone.filter(|text| !text.is_empty()),
        layers: layer_selection_from_wire(header.layers),
        metadata: header.metadata.map(DatasetMetadata::try_from).transpose()?.unwrap_or_default(),
        expected_version: header.expected_version,
        size_bytes: header.size_bytes,
        fixes: header.fixes.map(|id| id.parse()).transpose()?,
        new_major: header.new_major,
        valid_from: Some(header.valid_from).filter(|text| !text.is_empty()),
        valid_to: Some(header.valid_to).filter(|text| !text.is_empty()),
        dry_run: header.dry_run,
        rules: None,
    })
}

/// Corrected rows are read as the push that refused them declared: what would not be heeded is not taken.
fn check_fixes(header: &v1::PushHeader) -> Result<()> {
    let is_there = |text: &Option<String>| text.as_ref().is_some_and(|text| !text.is_empty());
    let declared = [
        ("crs", is_there(&header.crs)),
        ("region", is_there(&header.region)),
        ("time zone", is_there(&header.time_zone)),
        ("mapping", header.mapping.is_some()),
    ];
    if header.fixes.is_some() && header.dry_run {
        return Err(Error::invalid_request(
            "corrected rows are taken or refused row by row, not tried; leave dry_run out",
        ));
    }
    match declared.into_iter().find(|(_, is_there)| header.fixes.is_some() && *is_there) {
        Some((what, _)) => Err(Error::invalid_request(format!(
            "corrected rows are read as the push that refused them declared, found a {what} of their own; leave it out"
        ))),
        None => Ok(()),
    }
}

/// Rows are marked as deleted in an upsert, of one layer.
fn check_deletes(header: &v1::PushHeader) -> Result<()> {
    if header.delete_column.is_some() && header.mode != i32::from(v1::PushMode::Upsert) {
        return Err(Error::invalid_request("a column marks rows as deleted in an upsert only; set the mode"));
    }
    Ok(())
}

/// A mapping that reads as one, for one layer.
fn mapping(text: Option<String>, layers: Option<&v1::LayerSelection>) -> Result<Option<String>> {
    let Some(text) = text else { return Ok(None) };
    Mapping::parse(&text)?;
    if layer_selection_from_wire(layers.cloned()) == LayerSelection::All && !text.is_empty() {
        return Err(Error::invalid_request("a mapping goes with one layer, found one for all layers; name the layer"));
    }
    Ok(Some(text))
}

/// Longest file name, bytes.
const FILE_NAME_BYTES_MAX: usize = 255;

/// Only the last part of a path is kept: folders of the sender mean nothing here.
fn file_name(name: &str) -> Result<String> {
    let last = name.rsplit(['/', '\\']).next().unwrap_or_default();
    if last.is_empty() || last.len() > FILE_NAME_BYTES_MAX || last.chars().any(char::is_control) {
        return Err(Error::invalid_request(format!(
            "file_name is 1 to {FILE_NAME_BYTES_MAX} bytes without control characters, found {}",
            quoted(name)
        )));
    }
    Ok(last.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use ukimet_model::ErrorKind;

    fn header() -> v1::PushHeader {
        v1::PushHeader {
            push_id: "p".to_owned(),
            dataset: "almaty/schools".to_owned(),
            file_name: "C:\\data\\школы.csv".to_owned(),
            ..v1::PushHeader::default()
        }
    }

    #[test]
    fn a_header_is_checked_field_by_field() {
        assert_eq!(push_header(header()).expect("valid").file_name, "школы.csv");
        let wrong = [
            v1::PushHeader { push_id: String::new(), ..header() },
            v1::PushHeader { dataset: "../x".to_owned(), ..header() },
            v1::PushHeader { mode: 99, ..header() },
            v1::PushHeader { delete_column: Some("gone".to_owned()), ..header() },
            v1::PushHeader { file_name: "a/".to_owned(), ..header() },
            v1::PushHeader { file_name: "a\u{1b}[31m".to_owned(), ..header() },
            v1::PushHeader { fixes: Some("q".to_owned()), crs: Some("EPSG:28413".to_owned()), ..header() },
            v1::PushHeader { fixes: Some("q".to_owned()), region: Some("KZ-75".to_owned()), ..header() },
            v1::PushHeader { fixes: Some("q".to_owned()), time_zone: Some("KZ-75".to_owned()), ..header() },
            v1::PushHeader { fixes: Some("q".to_owned()), mapping: Some(String::new()), ..header() },
        ];
        for header in wrong {
            assert_eq!(push_header(header).expect_err("refused").kind(), ErrorKind::InvalidRequest);
        }
    }
}
