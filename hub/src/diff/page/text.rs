//! The words of a page, and the elements they stand in.

use super::Tally;
use crate::diff::{DiffHeading, Operation, RowWords};
use crate::report::html::escaped;
use crate::report::shown::{clock, shown};
use crate::report::texts::Filling::{Number, Text as Words};
use crate::report::texts::{Filling, Language, phrase, plain};
use std::fmt::Write;
use ukimet_model::ChangeCounts;

pub(super) struct Text<'a> {
    pub(super) heading: &'a DiffHeading,
    pub(super) language: Language,
}

/// Rows that a difference has on either side are marked by a sign too, not by color alone.
fn sign(operation: Operation) -> &'static str {
    match operation {
        Operation::Added => "+",
        Operation::Removed => "−",
        Operation::Changed => "≠",
    }
}

/// Longest key that is shown, characters.
const KEY_CHARACTERS_MAX: usize = 120;

/// What each operation is drawn with, as the sheet of styles and the script name it.
const LEGEND: [(&str, &str); 4] =
    [("a", "diff_legend_added"), ("r", "diff_legend_removed"), ("b", "diff_legend_before"), ("c", "diff_legend_after")];

impl Text<'_> {
    fn say(&self, name: &str, fillings: &[(&str, Filling<'_>)]) -> String {
        phrase(self.language, name, fillings)
    }

    fn title(&self) -> String {
        let (from, to) = (self.heading.from.0.0.to_string(), self.heading.to.0.0.to_string());
        if let Some(reread) = &self.heading.reread {
            let now = Words(&reread.now);
            let fillings = [("dataset", Words(self.heading.dataset.as_str())), ("from", Words(&from)), ("now", now)];
            return self.say("diff_title_rules", &fillings);
        }
        let fillings = [("dataset", Words(self.heading.dataset.as_str())), ("from", Words(&from)), ("to", Words(&to))];
        self.say("diff_title", &fillings)
    }

    pub(super) fn head(&self, policy: &str, style: &str) -> String {
        let title = escaped(&self.title());
        format!(
            "<!doctype html><html lang=\"{}\"><head><meta charset=\"utf-8\">\
             <meta http-equiv=\"Content-Security-Policy\" content=\"{policy}\"><title>{title}</title>\
             <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\"><style>{style}</style></head>\
             <body><main><h1>{title}</h1>\n",
            self.language.code()
        )
    }

    /// The sentences before the map.
    pub(super) fn summary(&self, counts: ChangeCounts, listed: u64, tally: Tally) -> String {
        let mut sentences = self.about_versions();
        sentences.extend(self.about_rows(counts, listed, tally));
        sentences.iter().fold(String::new(), |mut text, sentence| {
            writeln!(text, "<p>{}</p>", escaped(sentence)).expect("text takes everything");
            text
        })
    }

    /// What is compared with what.
    fn sides(&self) -> String {
        let DiffHeading { from, to, reread, .. } = self.heading;
        let (before, after) = (clock(from.1, self.language), clock(to.1, self.language));
        let (old, new) = (from.0.0.to_string(), to.0.0.to_string());
        let Some(reread) = reread else {
            let versions =
                [("from", Words(&old)), ("before", Words(&before)), ("to", Words(&new)), ("after", Words(&after))];
            return self.say("diff_versions", &versions);
        };
        let rules = reread.before.clone().unwrap_or_else(|| plain(self.language, "diff_rules_unknown"));
        let reading =
            [("from", Words(&old)), ("before", Words(&before)), ("old", Words(&rules)), ("now", Words(&reread.now))];
        self.say("diff_rules", &reading)
    }

    fn about_versions(&self) -> Vec<String> {
        let DiffHeading { key, columns, asked, filter, .. } = self.heading;
        let mut sentences = vec![self.sides()];
        let names = key.join(", ");
        sentences.push(if key.is_empty() {
            plain(self.language, "diff_no_key")
        } else {
            self.say("diff_key", &[("columns", Words(&names))])
        });
        if !columns.is_empty() {
            let changes: Vec<String> = columns.iter().map(ToString::to_string).collect();
            sentences.push(self.say("diff_columns", &[("changes", Words(&changes.join("; ")))]));
        }
        if let Some(names) = &asked.columns {
            sentences.push(self.say("diff_only_columns", &[("columns", Words(&names.join(", ")))]));
        }
        if let Some(bbox) = asked.bbox {
            let place = format!("{}, {}, {}, {}", bbox.west, bbox.south, bbox.east, bbox.north);
            sentences.push(self.say("diff_only_box", &[("box", Words(&place))]));
        }
        if let Some(valid) = asked.valid {
            sentences.push(self.say("diff_only_valid", &[("time", Words(&valid.to_string()))]));
        }
        if let Some(filter) = filter {
            sentences.push(self.say("diff_only_filter", &[("filter", Words(&filter.to_string()))]));
        }
        if let Some(limit) = asked.limit {
            sentences.push(self.say("diff_only_first", &[("n", Number(limit))]));
        }
        sentences
    }

    fn about_rows(&self, counts: ChangeCounts, listed: u64, tally: Tally) -> Vec<String> {
        if counts.rows() == 0 {
            return vec![plain(self.language, "diff_nothing")];
        }
        let ChangeCounts { added, removed, changed } = counts;
        let numbers = [("added", Number(added)), ("removed", Number(removed)), ("changed", Number(changed))];
        let mut sentences = vec![self.say("diff_counts", &numbers)];
        if listed < counts.rows() {
            let numbers = [("total", Number(counts.rows())), ("listed", Number(listed))];
            sentences.push(self.say("diff_cut", &numbers));
        }
        if tally.too_many > 0 {
            sentences.push(self.say("diff_not_drawn", &[("n", Number(tally.too_many))]));
        }
        if tally.without_place > 0 && tally.drawn > 0 {
            sentences.push(self.say("diff_without_place", &[("n", Number(tally.without_place))]));
        }
        sentences
    }

    pub(super) fn map(&self) -> String {
        let say = |name: &str| escaped(&plain(self.language, name));
        let legend = LEGEND.iter().fold(String::new(), |mut items, (class, name)| {
            write!(
                items,
                "<li><canvas class=\"swatch\" data-kind=\"{class}\" width=\"44\" height=\"28\"></canvas>{}</li>",
                say(name)
            )
            .expect("text takes everything");
            items
        });
        let buttons = [("in", "+", "diff_zoom_in"), ("out", "−", "diff_zoom_out"), ("all", "⤢", "diff_zoom_all")];
        let buttons = buttons.iter().fold(String::new(), |mut items, (id, sign, name)| {
            let name = say(name);
            write!(
                items,
                "<button type=\"button\" id=\"zoom-{id}\" title=\"{name}\" aria-label=\"{name}\">{sign}</button>"
            )
            .expect("text takes everything");
            items
        });
        format!(
            "<section aria-label=\"{}\"><ul id=\"legend\">{legend}</ul><div id=\"frame\">\
             <canvas id=\"map\" tabindex=\"0\" role=\"img\" aria-label=\"{}\"></canvas><div id=\"zoom\">{buttons}</div>\
             <div id=\"scale\"><i></i><span></span></div><output id=\"position\"></output></div>\
             <p class=\"help\">{}</p><noscript><p>{}</p></noscript></section>\n",
            say("diff_map"),
            say("diff_map"),
            say("diff_help"),
            say("diff_no_script")
        )
    }

    pub(super) fn table_head(&self) -> String {
        let names = ["diff_operation", "diff_key_column", "diff_changes", "diff_moved", "diff_area"];
        let cells = names.iter().fold(String::new(), |mut cells, name| {
            let class = if ["diff_moved", "diff_area"].contains(name) { " class=\"n\"" } else { "" };
            write!(cells, "<th{class} scope=\"col\">{}</th>", escaped(&plain(self.language, name)))
                .expect("text takes everything");
            cells
        });
        format!("<div id=\"rows\"><table><thead><tr>{cells}</tr></thead><tbody>\n")
    }

    pub(super) fn table_row(&self, number: usize, row: &RowWords, is_drawn: bool) -> String {
        let operation = row.operation;
        let name = plain(self.language, &format!("diff_{}", operation.name()));
        let cells = row.cells_shown();
        let cells: Vec<String> = cells.iter().map(|cell| format!("<div>{}</div>", escaped(cell))).collect();
        let moved = row.distance_m.map_or_else(String::new, |metres| format!("{metres:.1}"));
        let area =
            row.area_change_m2.filter(|area| *area != 0.0).map_or_else(String::new, |area| format!("{area:+.1}"));
        let focus = if is_drawn { " tabindex=\"0\"" } else { "" };
        format!(
            "<tr id=\"row-{number}\" class=\"{}\"{focus}><td><b>{}</b> {}</td><td>{}</td><td>{}</td>\
             <td class=\"n\">{moved}</td><td class=\"n\">{area}</td></tr>\n",
            operation.name(),
            sign(operation),
            escaped(&name),
            escaped(&shown(&row.key, KEY_CHARACTERS_MAX)),
            cells.concat()
        )
    }
}
