//! Rows that name their parent, and codes that are put together from parts: loops, orphans and repeats are told.

use super::numeric::digits_of;
use crate::findings::{Findings, example};
use crate::layer::Limits;
use arrow_array::cast::AsArray;
use arrow_array::{Array, ArrayRef, RecordBatch};
use arrow_schema::DataType;
use std::collections::HashMap;
use ukimet_model::Severity;

/// The nodes of a table, row by row, as long as there is room.
#[derive(Clone, Debug)]
pub(crate) struct ChainSurvey {
    columns: Columns,
    ids: Vec<Option<String>>,
    parents: Vec<Option<String>>,
    rows_max: u64,
    is_over: bool,
}

/// Where nodes and parents stand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Columns {
    /// A column with the node's own id and one with its parent's.
    Parent { id: usize, parent: usize },
    /// The columns `te`, `ab`, `cd`, `ef`, `hij` of the KATO register.
    Parts { code: usize, parts: [usize; 4] },
}

/// What a row may be to its chain.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Standing {
    Repeated,
    Orphan,
    Loop,
}

impl ChainSurvey {
    /// Looks for columns that make a chain, by their names.
    pub(crate) fn begin(names: &[String], limits: &Limits) -> Option<Self> {
        let lower: Vec<String> = names.iter().map(|name| name.trim().to_lowercase()).collect();
        let columns = parts(&lower).or_else(|| parent(&lower))?;
        let (ids, parents) = (Vec::new(), Vec::new());
        Some(Self { columns, ids, parents, rows_max: limits.chain_rows_max, is_over: false })
    }

    /// Takes the ids of the next raw batch.
    pub(crate) fn observe(&mut self, raw: &RecordBatch) {
        self.is_over |= (self.ids.len() + raw.num_rows()) as u64 > self.rows_max;
        if self.is_over {
            self.ids = Vec::new();
            self.parents = Vec::new();
            return;
        }
        match self.columns {
            Columns::Parent { id, parent } => {
                self.ids.extend(keys(raw.column(id)));
                self.parents.extend(keys(raw.column(parent)));
            }
            Columns::Parts { code, parts } => {
                self.ids.extend(keys(raw.column(code)));
                let parts = parts.map(|part| keys(raw.column(part)));
                self.parents
                    .extend((0..raw.num_rows()).map(|i| joined([0, 1, 2, 3].map(|part| parts[part][i].as_deref()))));
            }
        }
    }

    /// Tells every row that breaks its chain.
    pub(crate) fn finish(self, names: &[String], findings: &mut Findings) {
        let rows_max = self.rows_max;
        let (node, parent) = match self.columns {
            Columns::Parent { id, parent } => (&names[id], &names[parent]),
            Columns::Parts { code, .. } => (&names[code], &names[code]),
        };
        if self.is_over {
            let message = "parents were not followed: the table has more rows than the limit";
            let examples = [example(None, Some(parent), &format!("more than {rows_max} rows"), None)];
            findings.add("codes.chain_unchecked", Severity::Note, message, 1, examples);
            return;
        }
        let parents = if matches!(self.columns, Columns::Parts { .. }) {
            report_parts(&self.ids, &self.parents, node, findings);
            self.ids.iter().map(|id| id.as_deref().and_then(group_of)).collect()
        } else {
            self.parents
        };
        report(&self.ids, &parents, [node, parent], findings);
    }
}

fn parts(names: &[String]) -> Option<Columns> {
    let find = |name: &str| names.iter().position(|other| other == name);
    let code = find("te").or_else(|| find("kato"))?;
    Some(Columns::Parts { code, parts: [find("ab")?, find("cd")?, find("ef")?, find("hij")?] })
}

fn parent(names: &[String]) -> Option<Columns> {
    const PARENTS: [(&str, &[&str]); 8] = [
        ("parent_id", &["id", "objectid", "fid"]),
        ("parentid", &["id", "objectid", "fid"]),
        ("id_parent", &["id"]),
        ("parent_code", &["code", "kato", "cato"]),
        ("parent_kato", &["kato", "code"]),
        ("parent_cato", &["cato", "code"]),
        ("parent", &["id", "code", "kato"]),
        ("код родителя", &["код", "id"]),
    ];
    let find = |name: &str| names.iter().position(|other| other == name);
    PARENTS.iter().find_map(|(parent, ids)| {
        let parent = find(parent)?;
        Some(Columns::Parent { id: ids.iter().find_map(|id| find(id))?, parent })
    })
}

/// The values of a column as they are compared; `None` for null and empty.
fn keys(column: &ArrayRef) -> Vec<Option<String>> {
    let present = |text: &str| Some(text.trim()).filter(|text| !text.is_empty()).map(str::to_owned);
    if let Some(bytes) = column.as_binary_opt::<i32>() {
        // Text that is not decoded yet is compared byte by byte.
        return bytes.iter().map(|bytes| present(&bytes?.escape_ascii().to_string())).collect();
    }
    let texts = digits_of(column).or_else(|| {
        let texts = arrow_cast::cast(column, &DataType::Utf8).ok()?;
        texts.as_string_opt::<i32>().cloned()
    });
    match texts {
        Some(texts) => texts.iter().map(|text| present(text?)).collect(),
        None => vec![None; column.len()],
    }
}

/// The code that its parts make: two, two, two and three digits.
fn joined(parts: [Option<&str>; 4]) -> Option<String> {
    let [ab, cd, ef, hij] = parts;
    Some(format!("{:0>2}{:0>2}{:0>2}{:0>3}", ab?, cd?, ef?, hij?))
}

/// The group that a code of KATO stands in; `None` for a region.
fn group_of(code: &str) -> Option<String> {
    let is_code = code.len() == 9 && code.bytes().all(|b| b.is_ascii_digit());
    let group = |len: usize| format!("{:0<9}", &code[..len]);
    [6, 4, 2].into_iter().filter(|_| is_code).map(group).find(|group| group != code)
}

fn report_parts(ids: &[Option<String>], joined: &[Option<String>], name: &str, findings: &mut Findings) {
    let differs = || {
        let pairs = ids.iter().zip(joined).enumerate();
        pairs.filter_map(|(row, (id, joined))| Some((row, id.as_ref()?, joined.as_ref()?))).filter(|(_, id, j)| id != j)
    };
    let message = "codes of KATO differ from the parts beside them";
    let examples = differs().map(|(row, id, _)| example(Some(row as u64), Some(name), id, None));
    findings.add("codes.kato_parts", Severity::Warning, message, differs().count() as u64, examples);
}

fn report(ids: &[Option<String>], parents: &[Option<String>], names: [&str; 2], findings: &mut Findings) {
    let standings = standings(ids, parents);
    for (standing, rule, message, [field, other]) in [
        (Standing::Repeated, "codes.repeated_node", "an id stands in several rows", [0, 0]),
        (Standing::Orphan, "codes.orphan", "a row names a parent that no row has", [1, 1]),
        (Standing::Loop, "codes.loop", "a row is its own ancestor", [1, 1]),
    ] {
        let rows = || (0..ids.len()).filter(|row| standings[*row] == Some(standing));
        let value = |row: usize| if other == 0 { &ids[row] } else { &parents[row] };
        let examples = rows()
            .map(|row| example(Some(row as u64), Some(names[field]), value(row).as_deref().unwrap_or_default(), None));
        findings.add(rule, Severity::Warning, message, rows().count() as u64, examples);
    }
}

/// What each row is to its chain; `None` where nothing is wrong. A parent `0` that no row has is the root.
fn standings(ids: &[Option<String>], parents: &[Option<String>]) -> Vec<Option<Standing>> {
    let mut rows: HashMap<&str, usize> = HashMap::with_capacity(ids.len());
    let mut standings = vec![None; ids.len()];
    for (row, id) in ids.iter().enumerate().filter_map(|(row, id)| Some((row, id.as_deref()?))) {
        if let Some(first) = rows.get(id) {
            standings[*first] = Some(Standing::Repeated);
            standings[row] = Some(Standing::Repeated);
        } else {
            rows.insert(id, row);
        }
    }
    let is_root = |parent: &str| parent == "0" && !rows.contains_key("0");
    let up: Vec<Option<usize>> = parents.iter().map(|parent| rows.get(parent.as_deref()?).copied()).collect();
    for (row, parent) in parents.iter().enumerate().filter_map(|(row, parent)| Some((row, parent.as_deref()?))) {
        if up[row].is_none() && !is_root(parent) {
            standings[row].get_or_insert(Standing::Orphan);
        }
    }
    for row in loops(&up) {
        standings[row].get_or_insert(Standing::Loop);
    }
    standings
}

/// The rows that come back to themselves when their parents are followed.
fn loops(up: &[Option<usize>]) -> Vec<usize> {
    const NEW: usize = usize::MAX;
    // By which walk a row was seen first.
    let mut walk_of = vec![NEW; up.len()];
    let mut found = Vec::new();
    for start in 0..up.len() {
        let mut at = start;
        while walk_of[at] == NEW {
            walk_of[at] = start;
            match up[at] {
                Some(parent) => at = parent,
                None => break,
            }
        }
        // A walk that ends where it has been is in a loop; one that ends where another has been is not its first.
        if walk_of[at] == start && up[at].is_some() {
            let first = at;
            loop {
                found.push(at);
                at = up[at].unwrap_or(first);
                if at == first {
                    break;
                }
            }
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;
    use arrow_array::{Int64Array, StringArray};
    use arrow_schema::{Field, Schema};
    use std::sync::Arc;

    fn found(names: &[&str], columns: Vec<ArrayRef>, rows_max: u64) -> Vec<(String, Vec<Option<u64>>)> {
        let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
        let limits = Limits { chain_rows_max: rows_max, ..Limits::default() };
        let mut chain = ChainSurvey::begin(&names, &limits).expect("a chain");
        let fields: Vec<Field> = names
            .iter()
            .zip(&columns)
            .map(|(name, column)| Field::new(name, column.data_type().clone(), true))
            .collect();
        let raw = RecordBatch::try_new(Arc::new(Schema::new(fields)), columns).expect("a table");
        (0..raw.num_rows()).for_each(|row| chain.observe(&raw.slice(row, 1)));
        let mut findings = Findings::default();
        chain.finish(&names, &mut findings);
        let rows = |found: ukimet_model::Diagnostic| (found.rule, found.examples.iter().map(|e| e.row).collect());
        findings.into_diagnostics().into_iter().map(rows).collect()
    }

    fn texts(values: &[&str]) -> ArrayRef {
        Arc::new(StringArray::from(values.to_vec()))
    }

    #[test]
    fn loops_orphans_and_repeats_are_told_by_row() {
        let ids: ArrayRef = Arc::new(Int64Array::from(vec![1, 2, 3, 4, 5, 6, 7, 7, 9]));
        // 1 is a root, 2 and 3 a loop, 4 hangs below it, 5 is its own parent, 6 an orphan, 7 is there twice.
        let parents = texts(&["", "3", "2", "3", "5", "88", "1", "1", "0"]);
        let rules = found(&["id", "parent_id"], vec![ids, parents], 100);
        let rows = |rows: &[u64]| rows.iter().map(|row| Some(*row)).collect::<Vec<_>>();
        assert_eq!(
            rules,
            [
                ("codes.repeated_node".to_owned(), rows(&[6, 7])),
                ("codes.orphan".to_owned(), rows(&[5])),
                ("codes.loop".to_owned(), rows(&[1, 2, 4])),
            ]
        );
    }

    #[test]
    fn a_long_chain_is_followed_once() {
        let ids = (0..200_000).map(|i| Some(i.to_string())).collect::<Vec<_>>();
        let mut up: Vec<Option<usize>> = (0..200_000).map(|i| Some(i + 1)).collect();
        up[199_999] = None;
        assert_eq!((loops(&up).len(), ids.len()), (0, 200_000));
        up[199_999] = Some(100_000);
        assert_eq!(loops(&up).len(), 100_000);
    }

    #[test]
    fn parts_make_the_code_and_every_code_has_its_group() {
        let columns = vec![
            texts(&["750000000", "751100000", "751110000", "101033102"]),
            texts(&["75", "75", "75", "10"]),
            texts(&["0", "11", "11", "10"]),
            texts(&["0", "0", "99", "33"]),
            texts(&["0", "0", "0", "102"]),
        ];
        let rules = found(&["te", "ab", "cd", "ef", "hij"], columns, 100);
        let expected = [("codes.kato_parts", 2), ("codes.orphan", 3)];
        assert_eq!(rules, expected.map(|(rule, row)| (rule.to_owned(), vec![Some(row)])));
    }

    #[test]
    fn a_table_above_the_limit_is_not_followed() {
        let columns = || vec![texts(&["1", "2", "3"]), texts(&["9", "9", "9"])];
        assert_eq!(found(&["id", "parent_id"], columns(), 3)[0].0, "codes.orphan");
        assert_eq!(found(&["id", "parent_id"], columns(), 2), [("codes.chain_unchecked".to_owned(), vec![None])]);
    }
}
