//! What the report says, in one language, before it has a form.

use super::summary::{Found, PLACES_MAX, findings};
use super::texts::{Filling, Language, number, phrase, plain, rule};
use super::{Filter, Subject};
use Filling::{Number, Text};
use jiff::Timestamp;
use ukimet_catalog::Snapshot;
use ukimet_model::{Example, PushStatus, Result, Severity};

/// A report as it is read from top to bottom.
pub(super) struct Document {
    pub(super) title: String,
    pub(super) blocks: Vec<Block>,
}

/// One part of a report.
pub(super) enum Block {
    Heading(String),
    Paragraph(String),
    /// What one rule found: a sentence, the places, what to do.
    Finding {
        severity: Severity,
        /// What to do about it, in a word.
        label: String,
        what: String,
        /// The rule's name and how many cases.
        count: String,
        places: Vec<String>,
        next: Option<String>,
    },
    /// What to type.
    Commands(Vec<String>),
}

/// Longest value that is shown in a sentence, characters.
const VALUE_CHARACTERS_MAX: usize = 80;

pub(super) fn document(
    snapshot: &Snapshot,
    subject: &Subject,
    language: Language,
    filter: &Filter,
) -> Result<Document> {
    let writer = Writer { subject, language };
    let found = findings(snapshot, subject, filter)?;
    let version = number(subject.layer.version.0);
    let names = [("dataset", Text(subject.dataset.id.as_str())), ("version", Text(&version))];
    let mut blocks = writer.came();
    blocks.push(Block::Heading(plain(language, "how")));
    blocks.extend(writer.how().into_iter().map(Block::Paragraph));
    blocks.push(Block::Heading(plain(language, "found")));
    if found.is_empty() {
        let is_whole = subject.layer.report.diagnostics.is_empty();
        let nothing = if is_whole { plain(language, "nothing") } else { plain(language, "nothing_filtered") };
        blocks.push(Block::Paragraph(nothing));
    } else if found.iter().any(|found| found.places.iter().any(|place| place.row.is_some())) {
        blocks.push(Block::Paragraph(plain(language, "rows_from_one")));
    }
    blocks.extend(found.iter().map(|found| writer.finding(found)));
    blocks.push(Block::Heading(plain(language, "next")));
    blocks.extend(writer.next(&found));
    Ok(Document { title: phrase(language, "title", &names), blocks })
}

/// The two commands by which refused rows are corrected.
pub(super) fn fix_commands(subject: &Subject) -> [String; 2] {
    let (dataset, push) = (&subject.dataset.id, &subject.record.push_id);
    [
        format!("ukimet report {dataset} --push {push} --format xlsx -o refused.xlsx"),
        format!("ukimet push refused.xlsx --dataset {dataset} --fixes {push}"),
    ]
}

struct Writer<'a> {
    subject: &'a Subject,
    language: Language,
}

impl Writer<'_> {
    fn say(&self, name: &str, fillings: &[(&str, Filling<'_>)]) -> String {
        phrase(self.language, name, fillings)
    }

    /// What came, and what became of it.
    fn came(&self) -> Vec<Block> {
        let Subject { record, layer, version, .. } = self.subject;
        let report = &layer.report;
        let size = self.say("bytes", &[("n", Number(record.asset.size_bytes))]);
        let came = self.say(
            "came",
            &[
                ("push", Text(record.push_id.as_str())),
                ("file", Text(&record.asset.file_name)),
                ("size", Text(&size)),
                ("format", Text(&report.format)),
                ("layer", Text(&report.layer)),
            ],
        );
        let counts = self.say(
            "counts",
            &[
                ("read", Number(report.rows_read)),
                ("taken", Number(report.rows_taken)),
                ("refused", Number(report.rows_refused)),
            ],
        );
        let mut paragraphs = vec![came, counts];
        if report.rows_repaired > 0 {
            paragraphs.push(self.say("repaired", &[("n", Number(report.rows_repaired))]));
        }
        if let Some(fixes) = self.fixes() {
            paragraphs.push(fixes);
        }
        let number = number(layer.version.0);
        paragraphs.push(match layer.status {
            PushStatus::Unchanged => self.say("unchanged", &[("version", Text(&number))]),
            PushStatus::Published if layer.version.0 == 1 => self.say("published_first", &[]),
            PushStatus::Published => self.say(
                "published",
                &[
                    ("before", Number(version.number.0 - 1)),
                    ("added", Number(layer.rows_added)),
                    ("removed", Number(layer.rows_removed)),
                ],
            ),
        });
        if let Some(time) = self.subject.published() {
            paragraphs.push(self.say("committed", &[("time", Text(&clock(time, self.language)))]));
        }
        paragraphs.into_iter().map(Block::Paragraph).collect()
    }

    fn fixes(&self) -> Option<String> {
        let push = self.subject.parameter("fixes", "push")?;
        let base = self.subject.parameter("fixes", "version").unwrap_or_default();
        Some(self.say("fixes", &[("push", Text(push)), ("base", Text(base.trim_start_matches('v')))]))
    }

    /// How the file was read, a sentence or two a matter.
    fn how(&self) -> Vec<String> {
        let mut paragraphs = Vec::new();
        paragraphs.extend(self.encoding());
        paragraphs.push(self.crs());
        paragraphs.extend(self.on_map());
        paragraphs.extend(self.types());
        if let Some(names) = self.subject.step("names").filter(|step| step.count > 0) {
            paragraphs.push(self.say("names", &[("n", Number(names.count))]));
        }
        paragraphs
    }

    fn encoding_name(&self) -> &str {
        self.subject.layer.report.source_encoding.as_deref().unwrap_or_default()
    }

    fn encoding(&self) -> Option<String> {
        let report = &self.subject.layer.report;
        let encoding = report.source_encoding.as_deref()?;
        let known_by = self.subject.parameter("text", "known_by").unwrap_or_default();
        let is_detected = known_by.starts_with("detected")
            || report.diagnostics.iter().any(|found| found.rule.ends_with("encoding_detected"))
            || report.diagnostics.iter().any(|found| found.rule == "encoding.detected");
        let encoding = [("encoding", Text(encoding))];
        Some(match known_by {
            _ if is_detected => self.say("encoding_detected", &encoding),
            "the publisher" => self.say("encoding_publisher", &encoding),
            "the format" => self.say("encoding_format", &encoding),
            _ => self.say("encoding_declared", &encoding),
        })
    }

    fn crs(&self) -> String {
        let Some(code) = self.subject.layer.report.source_crs.as_deref() else { return self.say("crs_none", &[]) };
        let of_step = |name: &str| self.subject.parameter("crs", name).unwrap_or_default();
        let name = of_step("source_crs_name");
        let crs = if name.is_empty() { code.to_owned() } else { format!("{code} ({name})") };
        let (by, crs) = (of_step("source_crs_by"), Text(&crs));
        let mut sentences = vec![match by {
            "the publisher" => self.say("crs_publisher", &[("crs", crs)]),
            "the source" => self.say("crs_source", &[("crs", crs)]),
            "the columns" => self.say("crs_columns", &[("crs", crs)]),
            by => self.say("crs_inferred", &[("crs", crs), ("by", Text(by))]),
        }];
        let operation = of_step("operation");
        if operation.starts_with("none") {
            sentences.push(self.say("crs_kept", &[]));
        } else {
            sentences.push(self.say("crs_converted", &[("operation", Text(operation))]));
            sentences.push(match of_step("accuracy_m") {
                accuracy if accuracy.parse::<f64>().is_ok() => {
                    self.say("crs_accuracy", &[("accuracy", Text(accuracy))])
                }
                _ => self.say("crs_unknown_accuracy", &[]),
            });
        }
        sentences.join(" ")
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
        let column = |example: &Example| {
            let taken = self.type_name(example.taken.as_deref().unwrap_or_default());
            format!("{} — {taken}", example.field.as_deref().unwrap_or_default())
        };
        let mut list: Vec<String> = step.examples.iter().map(column).collect();
        if let Some(more @ 1..) = step.count.checked_sub(list.len() as u64) {
            list.push(self.say("more", &[("n", Number(more))]));
        }
        Some(self.say("types", &[("n", Number(step.count)), ("list", Text(&list.join("; ")))]))
    }

    /// A type as the receipt names it, in the reader's language; how dates were written is kept.
    fn type_name(&self, receipt: &str) -> String {
        let name = match receipt {
            "integer" => "type_integer",
            text if text.starts_with("decimal") => "type_decimal",
            text if text.starts_with("date and time") => "type_time",
            text if text.starts_with("date") => "type_date",
            "true or false" => "type_boolean",
            other => return other.to_owned(),
        };
        let layout = receipt.strip_prefix("date ").filter(|layout| layout.starts_with(['D', 'Y', 'M']));
        layout.map_or_else(|| self.say(name, &[]), |layout| format!("{} {layout}", self.say(name, &[])))
    }

    fn finding(&self, found: &Found) -> Block {
        let text = rule(self.language, &found.rule);
        let mut places: Vec<String> = found.places.iter().filter_map(|place| self.place(place)).collect();
        if let Some(more @ 1..) = found.listed.checked_sub(PLACES_MAX as u64) {
            places.push(self.say("places_more", &[("n", Number(more))]));
        }
        let cases = self.say("cases", &[("n", Number(found.count))]);
        Block::Finding {
            severity: found.severity,
            label: severity_label(self.language, found.severity),
            what: text.map_or_else(|| found.message.clone(), |text| text.what.to_owned()),
            count: format!("{}, {cases}", found.rule),
            places,
            next: text.and_then(|text| text.next).map(|next| next.replace("{encoding}", self.encoding_name())),
        }
    }

    /// One place in words; `None` if it is the whole file and nothing more is to be said.
    fn place(&self, place: &Example) -> Option<String> {
        let mut parts = Vec::new();
        // People count rows from 1.
        parts.extend(place.row.map(|row| self.say("row", &[("n", Number(row + 1))])));
        parts.extend(place.field.as_ref().map(|name| self.say("column", &[("name", Text(name))])));
        let found = shown(&place.found);
        // What is said of a whole column are words of the rule, not values.
        if place.row.is_some() || place.field.is_none() {
            match &place.taken {
                Some(taken) => {
                    parts.push(self.say("value_taken", &[("found", Text(&found)), ("taken", Text(&shown(taken)))]));
                }
                None if !found.is_empty() => parts.push(self.say("value_found", &[("found", Text(&found))])),
                None if place.field.is_some() => parts.push(self.say("value_empty", &[])),
                None => {}
            }
        }
        (!parts.is_empty()).then(|| parts.join(", "))
    }

    fn next(&self, found: &[Found]) -> Vec<Block> {
        let mut blocks = Vec::new();
        if let Some(quarantine) = self.subject.layer.quarantine {
            blocks.push(Block::Paragraph(self.say("next_fix", &[("n", Number(quarantine.rows))])));
            blocks.push(Block::Commands(fix_commands(self.subject).into()));
        }
        if found.iter().any(|found| found.severity == Severity::Warning) {
            blocks.push(Block::Paragraph(self.say("next_check", &[])));
        }
        if blocks.is_empty() {
            blocks.push(Block::Paragraph(self.say("next_nothing", &[])));
        }
        blocks
    }
}

/// What a severity asks of the reader, in a word or two.
pub(super) fn severity_label(language: Language, severity: Severity) -> String {
    match severity {
        Severity::Error => plain(language, "error"),
        Severity::Warning => plain(language, "warning"),
        Severity::Note => plain(language, "note"),
    }
}

/// A value as it is shown in a sentence: on one line, not too long.
fn shown(value: &str) -> String {
    let clean = |c: char| if c.is_control() { ' ' } else { c };
    let mut shown: String = value.chars().take(VALUE_CHARACTERS_MAX).map(clean).collect();
    if value.chars().nth(VALUE_CHARACTERS_MAX).is_some() {
        shown.push('…');
    }
    shown
}

/// A time, UTC, as the language writes it.
fn clock(time: Timestamp, language: Language) -> String {
    let form = match language {
        Language::En => "%-d %B %Y, %H:%M UTC",
        Language::Kk | Language::Ru => "%d.%m.%Y, %H:%M UTC",
    };
    time.strftime(form).to_string()
}
