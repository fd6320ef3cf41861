//! The `crs` member of the GeoJSON of 2008, which many still write.

use crate::gdal::named_crs;
use serde_json::Value;
use ukimet_model::error::quoted;
use ukimet_model::{Crs, Error, Result};

/// The CRS of a file with this member: WGS 84 without one, unknown if it is null.
///
/// # Errors
///
/// `InvalidData` if it names what nobody knows, or an address.
pub(super) fn crs(member: Option<&[u8]>) -> Result<Option<Crs>> {
    let Some(member) = member else { return named_crs("EPSG:4326").map(Some) };
    let value: Value = serde_json::from_slice(member).unwrap_or_default();
    let property = |name: &str| value.pointer(&format!("/properties/{name}"));
    let text = |name: &str| property(name).and_then(Value::as_str);
    let kind = value.get("type").and_then(Value::as_str).unwrap_or_default().to_ascii_lowercase();
    match (&value, kind.as_str()) {
        (Value::Null, _) if member == b"null" => Ok(None),
        (Value::String(name), _) => named_crs(name).map(Some),
        (_, "link" | "url") => Err(Error::invalid_data(format!(
            "the file points to an address, which is not followed: {}; declare the crs",
            quoted(text("href").or(text("url")).unwrap_or_default())
        ))),
        (_, "epsg") => {
            let code = property("code").map(|code| code.to_string().replace('"', "")).unwrap_or_default();
            named_crs(&format!("EPSG:{code}")).map(Some)
        }
        _ => match text("name").or(text("urn")) {
            Some(name) => named_crs(name).map(Some),
            None => Err(Error::invalid_data(format!(
                "the crs member of the file names no crs: {}; declare the crs",
                quoted(&String::from_utf8_lossy(member))
            ))),
        },
    }
}
