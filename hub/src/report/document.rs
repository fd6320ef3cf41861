//! What the report says, in one language, before it has a form.

use super::shown::{clock, difference, shown, shown_from, visible};
use super::summary::{Found, PLACES_MAX, findings};
use super::texts::{Filling, Language, number, phrase, plain, rule, said};
use super::{Filter, Subject};
use Filling::{Number, Text};
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

/// Notes that the part on how the file was read tells already.
const TOLD_BEFORE: [&str; 3] = ["crs.from_columns", "crs.none", "geometry.none"];

/// Rules whose place is the file itself, of which nothing more is to be said.
const OF_FILE: [&str; 3] = ["crs.inferred", "encoding.detected", "text.encoding_detected"];

/// Longest value that is shown in a sentence, characters.
const VALUE_CHARACTERS_MAX: usize = 80;

/// Longest text that is shown whole, such as a title or the words of a rule, characters.
const TEXT_CHARACTERS_MAX: usize = 240;

pub(super) fn document(
    snapshot: &Snapshot,
    subject: &Subject,
    language: Language,
    filter: &Filter,
) -> Result<Document> {
    let writer = Writer { subject, language };
    let mut found = findings(snapshot, subject, filter)?;
    if filter.is_open() {
        found.retain(|found| found.severity != Severity::Note || !TOLD_BEFORE.contains(&found.rule.as_str()));
    }
    let version = number(subject.layer.version.0);
    let names = [("dataset", Text(subject.dataset.id.as_str())), ("version", Text(&version))];
    let mut blocks = writer.came();
    blocks.push(Block::Heading(plain(language, "how")));
    blocks.extend(writer.how().into_iter().map(Block::Paragraph));
    blocks.push(Block::Heading(plain(language, "found")));
    if found.is_empty() {
        let is_whole = filter.is_open() || subject.layer.report.diagnostics.is_empty();
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

/// The subject and the language, for the parts of the document.
pub(super) struct Writer<'a> {
    pub(super) subject: &'a Subject,
    pub(super) language: Language,
}

impl Writer<'_> {
    pub(super) fn say(&self, name: &str, fillings: &[(&str, Filling<'_>)]) -> String {
        phrase(self.language, name, fillings)
    }

    /// What came, and what became of it.
    fn came(&self) -> Vec<Block> {
        let Subject { record, layer, version, .. } = self.subject;
        let report = &layer.report;
        let size = self.size(record.asset.size_bytes);
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
        let mut paragraphs = vec![came];
        paragraphs.extend(self.whereabouts());
        paragraphs.push(counts);
        if report.rows_repaired > 0 {
            paragraphs.push(self.say("repaired", &[("n", Number(report.rows_repaired))]));
        }
        paragraphs.extend(self.fixes());
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
        if let Some(erased) = &self.subject.erased {
            let (time, why) = (clock(erased.erased, self.language), shown(&erased.why, TEXT_CHARACTERS_MAX));
            paragraphs.push(self.say("erased", &[("time", Text(&time)), ("why", Text(&why))]));
        }
        if let Some(time) = self.subject.published() {
            paragraphs.push(self.say("committed", &[("time", Text(&clock(time, self.language)))]));
        }
        paragraphs.extend(self.other_layers());
        paragraphs.into_iter().map(Block::Paragraph).collect()
    }

    fn size(&self, size_bytes: u64) -> String {
        match size_bytes {
            0..1000 => self.say("bytes", &[("n", Number(size_bytes))]),
            1000..1_000_000 => self.say("kilobytes", &[("n", Number(size_bytes.div_ceil(1000)))]),
            _ => self.say("megabytes", &[("n", Number(size_bytes.div_ceil(1_000_000)))]),
        }
    }

    /// Where in the file the rows were.
    fn whereabouts(&self) -> Option<String> {
        let of_step = |name: &str| self.subject.parameter("read", name).filter(|text| !text.is_empty());
        let archive = of_step("archive").map(|members| self.say("in_archive", &[("members", Text(members))]));
        let range = of_step("range").map(|range| self.say("in_range", &[("range", Text(range))]));
        let separator = of_step("separator").map(|text| self.say("separator", &[("separator", Text(&visible(text)))]));
        let sentences: Vec<String> = [archive, range, separator].into_iter().flatten().collect();
        (!sentences.is_empty()).then(|| sentences.join(" "))
    }

    /// Where the other layers of the file went.
    fn other_layers(&self) -> Option<String> {
        let own = &self.subject.dataset.id;
        let layers = self.subject.record.outcome.layers.iter().map(|layer| &layer.dataset);
        let others: Vec<String> = layers.filter(|dataset| *dataset != own).map(ToString::to_string).collect();
        (!others.is_empty()).then(|| self.say("other_layers", &[("list", Text(&others.join(", ")))]))
    }

    fn fixes(&self) -> Option<String> {
        let push = self.subject.parameter("fixes", "push")?;
        let base = self.subject.parameter("fixes", "version").unwrap_or_default();
        Some(self.say("fixes", &[("push", Text(push)), ("base", Text(base.trim_start_matches('v')))]))
    }

    fn finding(&self, found: &Found) -> Block {
        let text = rule(self.language, &found.rule);
        let places = self.places(found);
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

    /// The first places of a rule; those of the whole file on one line.
    fn places(&self, found: &Found) -> Vec<String> {
        if OF_FILE.contains(&found.rule.as_str()) {
            return Vec::new();
        }
        let is_of_file = |place: &&Example| place.row.is_none() && place.field.is_none() && place.taken.is_none();
        let (of_file, others): (Vec<&Example>, Vec<&Example>) = found.places.iter().partition(is_of_file);
        let named = of_file.iter().filter(|place| !place.found.is_empty());
        let named: Vec<String> = named.map(|place| self.quoted(&found.rule, &place.found)).collect();
        let mut line = named.join(", ");
        let mut places: Vec<String> = others.iter().filter_map(|place| self.place(&found.rule, place)).collect();
        if let Some(more @ 1..) = found.listed.checked_sub(PLACES_MAX as u64) {
            let more = self.say("more", &[("n", Number(more))]);
            if line.is_empty() {
                places.push(more);
            } else {
                line.push(' ');
                line.push_str(&more);
            }
        }
        places.extend((!line.is_empty()).then_some(line));
        places
    }

    /// The adapter's own words in the reader's language, or a value in quotation marks.
    fn quoted(&self, rule: &str, text: &str) -> String {
        let words = said(self.language, rule, text).map(|words| shown(&words, TEXT_CHARACTERS_MAX));
        words.unwrap_or_else(|| self.say("quoted", &[("text", Text(&shown(text, TEXT_CHARACTERS_MAX)))]))
    }

    /// One place in words; `None` if it is the whole file and nothing more is to be said.
    fn place(&self, rule: &str, place: &Example) -> Option<String> {
        let mut parts = Vec::new();
        // People count rows from 1.
        parts.extend(place.row.map(|row| self.say("row", &[("n", Number(row + 1))])));
        parts.extend(place.field.as_ref().map(|name| self.column(rule, name)));
        if place.row.is_some() || place.field.is_none() {
            parts.extend(self.value(rule, place));
        } else {
            // What is said of a whole column are words of the rule, not values.
            let words = said(self.language, rule, &place.found);
            parts.extend(words.map(|words| shown(&words, TEXT_CHARACTERS_MAX)));
        }
        (!parts.is_empty()).then(|| parts.join(", "))
    }

    fn column(&self, rule: &str, name: &str) -> String {
        match name.trim() {
            "" => self.say("column_unnamed", &[]),
            // Rows that are no data have the cell where they begin.
            cell if ["table.totals_row", "table.totals_suspected"].contains(&rule) => {
                self.say("cell", &[("name", Text(cell))])
            }
            name => self.say("column", &[("name", Text(&shown(name, VALUE_CHARACTERS_MAX)))]),
        }
    }

    /// What stood in a place and what was taken.
    fn value(&self, rule: &str, place: &Example) -> Option<String> {
        let words = |text: &str| said(self.language, rule, text).map(|words| shown(&words, TEXT_CHARACTERS_MAX));
        let from = place.taken.as_ref().map_or(0, |taken| difference(&place.found, taken));
        let cut = |text: &str| shown_from(text, from, VALUE_CHARACTERS_MAX);
        let found = match words(&place.found) {
            Some(words) => Some(words),
            None if !place.found.is_empty() => Some(self.say("value_found", &[("found", Text(&cut(&place.found)))])),
            None => place.field.as_ref().map(|_| self.say("value_empty", &[])),
        };
        let taken = match place.taken.as_deref() {
            Some("null") => Some(self.say("value_emptied", &[])),
            Some(taken) => {
                Some(words(taken).unwrap_or_else(|| self.say("value_taken", &[("taken", Text(&cut(taken)))])))
            }
            None => None,
        };
        let parts: Vec<String> = [found, taken].into_iter().flatten().collect();
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
        let is_cut = |found: &Found| found.severity != Severity::Note && found.listed > PLACES_MAX as u64;
        if found.iter().any(is_cut) {
            blocks.push(Block::Paragraph(self.say("next_all", &[])));
            let (dataset, push) = (&self.subject.dataset.id, &self.subject.record.push_id);
            let command = format!("ukimet report {dataset} --push {push} --format csv -o verdicts.csv");
            blocks.push(Block::Commands(vec![command]));
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
