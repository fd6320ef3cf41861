//! How the file was read: a sentence or two on letters, coordinates, types and names, out of the receipt.

use super::document::Writer;
use super::texts::Filling::{Number, Text};

/// Encodings of Cyrillic without the letters Ә Ғ Қ Ң Ө Ұ Ү Һ.
const WITHOUT_KAZAKH: [&str; 5] = ["windows-1251", "IBM866", "KOI8-R", "ISO-8859-5", "x-mac-cyrillic"];

/// Formats that are text without a word on its encoding.
const WITHOUT_ENCODING: [&str; 1] = ["CSV"];

/// Formats whose coordinates are longitude and latitude on WGS 84 by their own rule, as reports name them.
const ALWAYS_WGS84: [&str; 4] = ["GeoJSON", "GeoJSONSeq", "KML", "GPX"];

impl Writer<'_> {
    /// How the file was read, a sentence or two a matter.
    pub(super) fn how(&self) -> Vec<String> {
        let mut paragraphs = Vec::new();
        paragraphs.extend(self.encoding());
        paragraphs.push(self.crs());
        paragraphs.extend(self.on_map());
        paragraphs.extend(self.types());
        paragraphs.extend(self.mapped());
        paragraphs.extend(self.names());
        paragraphs
    }

    pub(super) fn encoding_name(&self) -> &str {
        self.subject.layer.report.source_encoding.as_deref().unwrap_or_default()
    }

    fn encoding(&self) -> Option<String> {
        let report = &self.subject.layer.report;
        let name = report.source_encoding.as_deref()?;
        let known_by = self.subject.parameter("text", "known_by").unwrap_or_default();
        let is_found = |rule: &str| report.diagnostics.iter().any(|found| found.rule == rule);
        let is_detected = ["encoding.detected", "text.encoding_detected"].into_iter().any(is_found);
        let encoding = [("encoding", Text(name))];
        let is_declared = self.subject.record.declared.encoding.is_some();
        let is_plain_text = WITHOUT_ENCODING.contains(&report.format.as_str());
        let mut sentences = vec![match known_by {
            _ if is_found("text.encoding_contradicted") => self.say("encoding_contradicted", &encoding),
            _ if is_detected => self.say("encoding_detected", &encoding),
            "the publisher" => self.say("encoding_publisher", &encoding),
            // The reader decodes a whole file as the publisher says before the rules see it.
            "the reader" if is_declared => self.say("encoding_publisher", &encoding),
            "the format" if is_declared && is_plain_text => self.say("encoding_publisher", &encoding),
            "the format" if is_plain_text => self.say("encoding_valid", &encoding),
            "the format" => self.say("encoding_format", &encoding),
            "ASCII only" => self.say("encoding_ascii", &[]),
            "valid UTF-8" => self.say("encoding_valid", &encoding),
            _ => self.say("encoding_declared", &encoding),
        }];
        if WITHOUT_KAZAKH.iter().any(|other| other.eq_ignore_ascii_case(name)) {
            sentences.push(self.say("encoding_without_kazakh", &[]));
        }
        Some(sentences.join(" "))
    }

    fn crs(&self) -> String {
        let Some(code) = self.subject.layer.report.source_crs.as_deref() else { return self.say("crs_none", &[]) };
        let of_step = |name: &str| self.subject.parameter("crs", name).unwrap_or_default();
        let (code, name) = (code.trim_end_matches(" (inferred)"), of_step("source_crs_name"));
        let crs = if name.is_empty() || name == code { code.to_owned() } else { format!("{code} ({name})") };
        let crs = ("crs", Text(&crs));
        let region = region_name(of_step("region"));
        let mut sentences = vec![match of_step("source_crs_by") {
            "the publisher" => self.say("crs_publisher", &[crs]),
            "the source" if ALWAYS_WGS84.contains(&self.subject.layer.report.format.as_str()) => {
                self.say("crs_format", &[crs])
            }
            "the source" => self.say("crs_source", &[crs]),
            "the columns" => self.say("crs_columns", &[crs, ("columns", Text(&self.columns_of_places()))]),
            _ => {
                let confidence = Text(of_step("confidence"));
                self.say("crs_inferred", &[crs, ("region", Text(region)), ("confidence", confidence)])
            }
        }];
        if let Some(same_as) = self.subject.parameter("crs", "same_as").filter(|list| !list.is_empty()) {
            sentences.push(self.say("crs_same_as", &[("list", Text(same_as))]));
        }
        sentences.extend(self.operation());
        sentences.join(" ")
    }

    /// The columns that hold the coordinates, as the source names them.
    fn columns_of_places(&self) -> String {
        let of_step = |name: &str| self.subject.parameter("places", name);
        let names = ["x", "y", "column"].into_iter().filter_map(of_step);
        let quoted = |name: &str| self.say("quoted", &[("text", Text(name.trim_matches('"')))]);
        names.map(quoted).collect::<Vec<_>>().join(", ")
    }

    /// What was computed, and how exactly.
    fn operation(&self) -> Vec<String> {
        let of_step = |name: &str| self.subject.parameter("crs", name).unwrap_or_default();
        let operation = of_step("operation");
        if operation.starts_with("none") {
            return vec![self.say("crs_kept", &[])];
        }
        let mut sentences = vec![self.say("crs_converted", &[("operation", Text(operation))])];
        if let Some(grid) = self.subject.parameter("crs", "grid") {
            sentences.push(self.say("crs_grid", &[("grid", Text(grid))]));
        }
        sentences.push(match of_step("accuracy_m") {
            accuracy if accuracy.parse::<f64>().is_ok() => self.say("crs_accuracy", &[("accuracy", Text(accuracy))]),
            _ => self.say("crs_unknown_accuracy", &[]),
        });
        sentences
    }

    fn on_map(&self) -> Option<String> {
        let report = &self.subject.layer.report;
        report.source_crs.as_ref()?;
        let rows = |kinds: &[&str]| -> u64 { kinds.iter().filter_map(|kind| report.geometry_types.get(*kind)).sum() };
        let kinds = [
            ("kind_Point", rows(&["Point"])),
            ("kind_MultiPoint", rows(&["MultiPoint"])),
            ("kind_LineString", rows(&["LineString", "MultiLineString"])),
            ("kind_Polygon", rows(&["Polygon", "MultiPolygon"])),
            ("kind_GeometryCollection", rows(&["GeometryCollection"])),
            ("without_place", report.geometry_nulls),
        ];
        let kinds = kinds.into_iter().filter(|(_, rows)| *rows > 0);
        let list: Vec<String> = kinds.map(|(name, rows)| self.say(name, &[("n", Number(rows))])).collect();
        (!list.is_empty()).then(|| self.say("places", &[("list", Text(&list.join(", ")))]))
    }

    fn types(&self) -> Option<String> {
        let step = self.subject.step("types").filter(|step| step.count > 0)?;
        let mut list: Vec<String> = Vec::new();
        for columns in step.examples.chunk_by(|one, other| one.taken == other.taken) {
            let taken = columns.first().and_then(|column| column.taken.as_deref()).unwrap_or_default();
            let names: Vec<&str> = columns.iter().filter_map(|column| column.field.as_deref()).collect();
            list.push(format!("{} — {}", names.join(", "), self.type_name(taken)));
        }
        if let Some(more @ 1..) = step.count.checked_sub(step.examples.len() as u64) {
            list.push(self.say("more", &[("n", Number(more))]));
        }
        let count = ("n", Number(step.count));
        let mut sentences = vec![if step.examples.is_empty() {
            self.say("types_counted", &[count])
        } else {
            self.say("types", &[count, ("list", Text(&list.join("; ")))])
        }];
        if let Some(zone) = self.subject.parameter("types", "time_zone") {
            sentences.push(self.say("time_zone", &[("zone", Text(zone))]));
        }
        Some(sentences.join(" "))
    }

    /// A type as the receipt names it, in the reader's language; how dates were written is kept.
    fn type_name(&self, receipt: &str) -> String {
        let name = match receipt {
            "integer" => "type_integer",
            "decimal with comma" => "type_decimal_comma",
            text if text.starts_with("decimal with comma") => "type_decimal_comma_grouped",
            text if text.contains("commas between thousands") => "type_decimal_point_grouped",
            text if text.starts_with("decimal") => "type_decimal",
            "date with its month as a word" => "type_date_words",
            "date and time with zone" => "type_time_zoned",
            text if text.starts_with("date and time") => "type_time",
            text if text.starts_with("date") => "type_date",
            "true or false" => "type_boolean",
            other => return other.to_owned(),
        };
        let layout = receipt.strip_prefix("date ").filter(|layout| layout.starts_with(['D', 'Y', 'M']));
        layout.map_or_else(
            || self.say(name, &[]),
            |layout| self.say("type_layout", &[("layout", Text(&self.layout(layout)))]),
        )
    }

    /// Letters of a date's layout as the language has them.
    fn layout(&self, layout: &str) -> String {
        let letters = self.say("layout_letters", &[]);
        let letters: Vec<char> = letters.chars().collect();
        let local = |c: char| match (c, letters.as_slice()) {
            ('D', [day, ..]) => *day,
            ('M', [_, month, _]) => *month,
            ('Y', [_, _, year]) => *year,
            _ => c,
        };
        layout.chars().map(local).collect()
    }

    fn mapped(&self) -> Option<String> {
        let step = self.subject.step("mapping")?;
        Some(self.say("mapped", &[("n", Number(step.count))]))
    }

    fn names(&self) -> Option<String> {
        let step = self.subject.step("names").filter(|step| step.count > 0)?;
        let mut sentences = vec![self.say("names", &[("n", Number(step.count))])];
        let unnamed = step.examples.iter().filter(|column| column.found.trim().is_empty());
        for name in unnamed.filter_map(|column| column.taken.as_deref()) {
            sentences.push(self.say("names_unnamed", &[("name", Text(name))]));
        }
        Some(sentences.join(" "))
    }
}

/// A region's name without its box: `KZ, Kazakhstan (west 46, …)` is `KZ, Kazakhstan`.
fn region_name(described: &str) -> &str {
    described.split_once(" (west").map_or(described, |(name, _)| name)
}
