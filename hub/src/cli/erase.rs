//! `ukimet erase`.

use crate::cli::operation::OperationOptions;
use crate::cli::output;
use crate::cli::search::time;
use clap::Args;
use serde_json::{Value, json};
use std::fs::File;
use std::io::{Read, stdin};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use ukimet_catalog::ErasureLeft;
use ukimet_model::{DatasetId, Error, Result};
use ukimet_proto::status::from_status;
use ukimet_proto::v1;

/// Erase rows from every version of a dataset, with the files, bytes as sent and tables that held them, for good.
#[derive(Args)]
pub struct Erase {
    /// The dataset.
    #[arg(value_name = "DATASET")]
    dataset: DatasetId,
    /// A value that the rows have; several name one key, of which a row has all.
    #[arg(long = "key", value_name = "COLUMN=VALUE", value_parser = parse_value, required_unless_present = "keys")]
    values: Vec<(String, String)>,
    /// A CSV file of keys, - for standard input: the header names the columns, each line is a key.
    #[arg(long, value_name = "FILE", conflicts_with = "values")]
    keys: Option<PathBuf>,
    /// For whom it is done: kept with the erasure.
    #[arg(long, value_name = "TEXT", default_value = "")]
    who: String,
    /// If a key is in no version: let bytes and tables go of all pushes that may have held it.
    #[arg(long)]
    bytes_in_doubt: bool,
    /// Only tell what would be done.
    #[arg(long)]
    dry_run: bool,
    #[command(flatten)]
    options: OperationOptions,
}

fn parse_value(text: &str) -> Result<(String, String), String> {
    let (column, value) = text.split_once('=').ok_or("expected COLUMN=VALUE")?;
    Ok((column.to_owned(), value.to_owned()))
}

/// Columns, and for each key the values of them.
type Keys = (Vec<String>, Vec<v1::RowKey>);

impl Erase {
    /// Erases, or tells what would be erased.
    pub async fn run(self) -> Result<ExitCode> {
        if self.options.why().trim().is_empty() && !self.dry_run {
            return Err(Error::invalid_request("an erasure is for ever: say why with --why"));
        }
        let (columns, keys) = match &self.keys {
            Some(path) => read_keys(path)?,
            None => self.one_key(),
        };
        let request = v1::EraseRowsRequest {
            operation: self.options.operation(),
            dataset: self.dataset.to_string(),
            columns,
            keys,
            who: self.who.clone(),
            dry_run: self.dry_run,
            bytes_in_doubt: self.bytes_in_doubt,
        };
        let answered = self.options.client().await?.erase_rows(request).await;
        let answer = answered.map_err(|status| from_status(&status))?.into_inner();
        let erasure = answer.erasure.unwrap_or_default();
        if self.options.json {
            let mut document = erasure_json(&erasure);
            document["replayed"] = answer.replayed.into();
            document["dry_run"] = self.dry_run.into();
            document["left"] = answer.left.as_ref().map(left_json).into();
            output::document(&document);
        } else {
            self.print(&erasure);
            answer.left.iter().flat_map(left_text).for_each(|line| output::line(&format!("  {line}")));
        }
        Ok(ExitCode::SUCCESS)
    }

    fn one_key(&self) -> Keys {
        let (columns, values) = self.values.iter().cloned().unzip();
        (columns, vec![v1::RowKey { values }])
    }

    fn print(&self, erasure: &v1::Erasure) {
        let rows = output::counted(erasure.rows, "row");
        let (found, keys) = (erasure.keys_found, erasure.keys);
        if self.dry_run {
            output::line(&format!("{rows} of {} would be erased ({found} of {keys} keys found)", self.dataset));
        } else {
            let (id, snapshot) = (&self.dataset, erasure.snapshot);
            output::line(&format!("{rows} of {id} erased ({found} of {keys} keys found, snapshot {snapshot})"));
        }
        for loss in &erasure.versions {
            output::line(&format!("  v{}: {}", loss.version, output::counted(loss.rows, "row")));
        }
        print_list("pushes whose bytes as sent, verdicts and refused rows go, too", &erasure.pushes);
        print_list(
            "pushes into other datasets whose bytes as sent are the same and go, too",
            &erasure.bytes_gone_elsewhere,
        );
        print_list("pushes of other agencies that keep the same bytes", &erasure.same_bytes_elsewhere);
        let numbers = |numbers: &[u64], before: &str| -> Vec<String> {
            numbers.iter().map(|number| format!("{before}{number}")).collect()
        };
        print_list("versions without these columns", &numbers(&erasure.versions_without_columns, "v"));
        print_list("commits that name examples and stay", &numbers(&erasure.commits_with_examples, ""));
    }
}

fn print_list(what: &str, names: &[String]) {
    if !names.is_empty() {
        output::line(&format!("  {what}: {}", names.join(", ")));
    }
}

/// Reads keys as CSV.
fn read_keys(path: &Path) -> Result<Keys> {
    let failed = |e: std::io::Error| Error::invalid_request("reading the keys failed").caused_by(e);
    let source: Box<dyn Read> =
        if path.as_os_str() == "-" { Box::new(stdin()) } else { Box::new(File::open(path).map_err(failed)?) };
    let bad = |e: csv::Error| Error::invalid_data("the keys are not a CSV file with a header").caused_by(e);
    let mut reader = csv::Reader::from_reader(source);
    let columns: Vec<String> = reader.headers().map_err(bad)?.iter().map(str::to_owned).collect();
    let key = |record: Result<csv::StringRecord, csv::Error>| {
        record.map(|record| v1::RowKey { values: record.iter().map(str::to_owned).collect() })
    };
    let keys = reader.records().map(key).collect::<Result<Vec<_>, _>>().map_err(bad)?;
    Ok((columns, keys))
}

fn left_json(left: &v1::ErasureLeft) -> Value {
    let v1::ErasureLeft { finished, objects, nodes, keeps_deleted } = left;
    json!({ "finished": finished, "objects": objects, "nodes": nodes, "keeps_deleted": keeps_deleted })
}

/// What is left of the rows, for people: nothing is said of what is done.
fn left_text(left: &v1::ErasureLeft) -> Vec<String> {
    let left = ErasureLeft {
        is_finished: left.finished,
        objects: left.objects,
        nodes: left.nodes.clone(),
        keeps_deleted: left.keeps_deleted,
    };
    unfinished_text(&left).into_iter().chain(left.keeps_deleted.then(|| KEEPS_DELETED.to_owned())).collect()
}

/// What is said of a store with versions.
pub const KEEPS_DELETED: &str =
    "the store keeps deleted objects as earlier versions: the rows are in these until they are removed there, too";

/// What an erasure that is not finished waits for, for people.
pub fn unfinished_text(left: &ErasureLeft) -> Option<String> {
    if left.is_finished {
        return None;
    }
    let objects = (left.objects > 0).then(|| format!("{} may hold the rows", output::counted(left.objects, "object")));
    let nodes = (!left.nodes.is_empty()).then(|| format!("not confirmed by {}", left.nodes.join(", ")));
    let waits: Vec<String> = objects.into_iter().chain(nodes).collect();
    let waits = if waits.is_empty() { "a last look is due".to_owned() } else { waits.join("; ") };
    Some(format!("not finished yet: {waits}; hubs go on at their start and when they collect garbage"))
}

/// An erasure as scripts see it.
pub fn erasure_json(erasure: &v1::Erasure) -> Value {
    let losses = erasure.versions.iter().map(|loss| json!({ "version": loss.version, "rows": loss.rows }));
    json!({
        "operation_id": erasure.operation_id,
        "snapshot": erasure.snapshot,
        "erased": erasure.erased.as_ref().map(time),
        "principal": erasure.principal,
        "who": erasure.who,
        "why": erasure.why,
        "columns": erasure.columns,
        "keys": erasure.keys,
        "keys_found": erasure.keys_found,
        "rows": erasure.rows,
        "versions": losses.collect::<Vec<_>>(),
        "versions_without_columns": erasure.versions_without_columns,
        "pushes": erasure.pushes,
        "bytes_gone_elsewhere": erasure.bytes_gone_elsewhere,
        "same_bytes_elsewhere": erasure.same_bytes_elsewhere,
        "commits_with_examples": erasure.commits_with_examples,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_left_of_a_row_is_said_in_one_line_and_nothing_is_said_of_what_is_done() {
        let left = |objects, nodes: &[&str]| ErasureLeft {
            objects,
            nodes: nodes.iter().map(ToString::to_string).collect(),
            ..ErasureLeft::default()
        };
        let said = |left: &ErasureLeft| unfinished_text(left).unwrap_or_default();
        let both = said(&left(1200, &["6f1c", "09d2"]));
        assert!(both.contains("1 200 objects may hold the rows; not confirmed by 6f1c, 09d2;"), "{both}");
        assert!(said(&left(1, &[])).contains(": 1 object may hold the rows; hubs go on"));
        assert!(said(&left(0, &[])).contains("a last look is due"));
        assert_eq!(unfinished_text(&ErasureLeft { is_finished: true, ..left(0, &[]) }), None);
    }
}
