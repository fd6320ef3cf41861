//! A difference as lines for people, or as JSON for scripts.

use crate::cli::output;
use crate::diff::{DiffHeading, Reread, RowWords};
use crate::report::shown::shown;
use serde_json::{Value, json};
use ukimet_model::ChangeCounts;

/// Rows of a table on the screen unless told otherwise.
pub(in crate::cli) const TABLE_ROWS: u64 = 100;
/// Longest cell of a table, characters.
const CELL_CHARACTERS_MAX: usize = 120;

/// A difference in numbers, and the columns that differ.
pub(in crate::cli) fn print_summary(heading: &DiffHeading, counts: ChangeCounts) {
    let ChangeCounts { added, removed, changed } = counts;
    let [added, removed, changed] = [added, removed, changed].map(output::grouped);
    let DiffHeading { dataset, from, to, key, reread, .. } = heading;
    let sides = match reread {
        None => format!("{} → {}", from.0, to.0),
        Some(Reread { before, now }) => {
            format!("{} read again, rules {} → {now}", from.0, before.as_deref().unwrap_or("unknown"))
        }
    };
    let key = if key.is_empty() { "no common key".to_owned() } else { format!("key {}", key.join(", ")) };
    output::line(&format!("{dataset} {sides}: {added} added, {removed} removed, {changed} changed ({key})"));
    for change in &heading.columns {
        output::line(&format!("column {change}"));
    }
}

/// How many rows the table left out.
pub(in crate::cli) fn print_rest(counts: ChangeCounts, rows: &[RowWords]) {
    if let Some(more @ 1..) = counts.rows().checked_sub(rows.len() as u64) {
        output::line(&format!("and {}; see them with --limit or -o FILE", output::counted(more, "more row")));
    }
}

/// A table of rows; columns that say nothing are left out.
pub(in crate::cli) fn print_rows(heading: &DiffHeading, rows: &[RowWords]) {
    if rows.is_empty() {
        return;
    }
    let key = if heading.key.is_empty() { "key".to_owned() } else { heading.key.join(", ") };
    let header = ["operation", &key, "values", "moved", "area change"];
    let lines: Vec<Vec<String>> = rows.iter().map(row).collect();
    // A column that says nothing is left out.
    let is_said = |column: &usize| lines.iter().any(|line| !line[*column].is_empty());
    let columns: Vec<usize> = (0..header.len()).filter(is_said).collect();
    let header: Vec<&str> = columns.iter().map(|column| header[*column]).collect();
    let lines: Vec<Vec<String>> =
        lines.iter().map(|line| columns.iter().map(|column| line[*column].clone()).collect()).collect();
    output::table(&header, &lines);
}

fn row(row: &RowWords) -> Vec<String> {
    vec![
        row.operation.name().to_owned(),
        shown(&row.key, CELL_CHARACTERS_MAX),
        shown(&row.cells_shown().join("; "), CELL_CHARACTERS_MAX),
        row.distance_m.map_or_else(String::new, |metres| format!("{metres:.1} m")),
        row.area_change_m2.filter(|area| *area != 0.0).map_or_else(String::new, |area| format!("{area:+.1} m²")),
    ]
}

/// A row that differs, for scripts.
pub(in crate::cli) fn row_json(row: &RowWords) -> Value {
    let cells = row.cells.iter().map(|cell| match &cell.values {
        Some([before, after]) => json!({ "column": cell.column, "before": before, "after": after }),
        None => json!({ "column": cell.column }),
    });
    json!({
        "operation": row.operation.name(),
        "key": row.key,
        "values": cells.collect::<Vec<_>>(),
        "distance_m": row.distance_m,
        "area_change_m2": row.area_change_m2,
    })
}

/// A difference in numbers, for scripts.
pub(in crate::cli) fn summary_json(heading: &DiffHeading, counts: ChangeCounts) -> Value {
    let columns = heading
        .columns
        .iter()
        .map(|change| json!({ "name": change.name, "type_before": change.before, "type_after": change.after }));
    json!({
        "dataset": heading.dataset,
        "from": heading.from.0,
        "to": heading.to.0,
        "key": heading.key,
        "columns": columns.collect::<Vec<_>>(),
        "added": counts.added,
        "removed": counts.removed,
        "changed": counts.changed,
    })
}
