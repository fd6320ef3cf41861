//! GML 2 and 3, without a look at schemas: they would be fetched from wherever the file says.

use super::{Clues, Format};
use crate::features::{OgrFile, OgrFormat};
use crate::source::{Context, Source, Staged, Tallies};
use crate::xml::{self, Tag, Tags, attribute};
use ukimet_model::{Diagnostic, Result, Severity};

pub(super) const FORMAT: Format = Format {
    name: "GML",
    driver: Some("GML"),
    media_types: &["application/gml+xml"],
    extensions: &["gml"],
    sidecars: &[],
    recognize,
    open,
};

fn open(staged: &Staged, context: Context<'_>) -> Result<Box<dyn Source>> {
    let (text, transcoded) = xml::read_text(staged, context)?;
    let mut format = OgrFormat::plain(FORMAT.name, "GML");
    format.findings = left_out(&text);
    format.transcoded(transcoded);
    format.untyped = true;
    format.options = ["DOWNLOAD_SCHEMA=NO", "WRITE_GFS=NO", "FORCE_SRS_DETECTION=YES"].map(str::to_owned).to_vec();
    OgrFile::open(format, staged, context)
}

/// Elements that are a geometry by themselves.
const GEOMETRIES: &[&str] = &[
    "Point",
    "LineString",
    "Polygon",
    "MultiPoint",
    "MultiLineString",
    "MultiPolygon",
    "MultiCurve",
    "MultiSurface",
    "MultiGeometry",
    "Curve",
    "CompositeCurve",
    "OrientableCurve",
    "Surface",
    "CompositeSurface",
    "PolyhedralSurface",
    "TriangulatedSurface",
    "Tin",
    "Solid",
    "CompositeSolid",
    "MultiSolid",
    "GeometricComplex",
];

/// What the reader leaves out of a text: references, units, and all but one geometry of a feature.
fn left_out(text: &str) -> Vec<Diagnostic> {
    let mut tallies = Tallies::default();
    let mut path: Vec<&str> = Vec::new();
    let (mut feature, mut geometry): (Option<(usize, u64, String)>, Option<usize>) = (None, None);
    let is_member = |name: Option<&&str>| matches!(name, Some(&("featureMember" | "featureMembers" | "member")));
    for tag in Tags::of(text) {
        if tag.is_start {
            if feature.is_none() && is_member(path.last()) {
                feature = Some((path.len(), 0, attribute(tag.attributes, "id").unwrap_or_default()));
            } else if let Some((_, count, _)) = feature.as_mut().filter(|_| geometry.is_none()) {
                tell_attributes(&tag, &mut tallies);
                if GEOMETRIES.contains(&tag.name) && path.last() != Some(&"boundedBy") {
                    geometry = Some(path.len());
                    *count += 1;
                }
            }
            path.push(tag.name);
        }
        if tag.is_end {
            path.pop();
            geometry = geometry.filter(|depth| *depth < path.len());
            if let Some((_, count, id)) = feature.take_if(|(depth, ..)| *depth >= path.len()).filter(|f| f.1 > 1) {
                let message = "features with several geometries keep one of them";
                let found = format!("{count} geometries in feature {id}");
                tallies.add("gml.several_geometries", Severity::Warning, message, None, None, &found, None);
            }
        }
    }
    tallies.diagnostics()
}

/// Attributes of a property whose meaning is not in its text.
fn tell_attributes(tag: &Tag<'_>, tallies: &mut Tallies) {
    if let Some(address) = attribute(tag.attributes, "xlink:href") {
        let message = "references to other elements were not followed: what they stand for is missing";
        tallies.add("gml.reference", Severity::Warning, message, None, Some(tag.name), &address, None);
    }
    if let Some(unit) = attribute(tag.attributes, "uom").filter(|_| !GEOMETRIES.contains(&tag.name)) {
        let message = "units of measure are not part of the values and were left out";
        tallies.add("gml.unit", Severity::Warning, message, None, Some(tag.name), &unit, None);
    }
}

/// A root in a GML namespace, or a feature collection of an application schema.
fn recognize(clues: &Clues) -> bool {
    const OTHERS: &[&str] = &["kml", "schema", "WFS_Capabilities", "GMLFeatureClassList", "Dictionary"];
    clues
        .xml
        .as_ref()
        .is_some_and(|xml| xml.tag.contains("http://www.opengis.net/gml") && !OTHERS.contains(&xml.root.as_str()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn references_units_and_further_geometries_are_told() {
        let text = r##"<c><gml:featureMember><a gml:id="b1"><g><gml:MultiPoint><gml:Point/></gml:MultiPoint></g><h><gml:Point/></h><w uom="m">3</w></a></gml:featureMember><gml:featureMember><a gml:id="b2"><g xlink:href="#c"/></a></gml:featureMember></c>"##;
        let told = left_out(text);
        let found: Vec<_> = told.iter().map(|t| (t.rule.as_str(), t.count, t.examples[0].found.as_str())).collect();
        let geometries = ("gml.several_geometries", 1, "2 geometries in feature b1");
        assert_eq!(found, [("gml.unit", 1, "m"), geometries, ("gml.reference", 1, "#c")]);
    }
}
