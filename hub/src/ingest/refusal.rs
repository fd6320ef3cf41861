//! What a publisher is told whose push would break what readers rely on: what, by which values, for whom, and the ways out.

use super::kept::Broken;
use crate::usage::Usage;
use std::fmt::Write;
use ukimet_catalog::LayerBreaks;
use ukimet_model::error::quoted;
use ukimet_model::{BreakKind, Error, SchemaBreak};

/// The refusal, a line for each thing that breaks and for each reader.
pub(super) fn refusal(broken: &Broken, usage: &Usage) -> Error {
    let text: Vec<String> = broken.breaks.iter().map(|layer| of_layer(broken, layer, usage)).collect();
    Error::undeclared(text.join("\n"))
}

fn of_layer(broken: &Broken, layer: &LayerBreaks, usage: &Usage) -> String {
    let mut text = format!("{}: the push would break what readers of major {} rely on", layer.dataset, layer.major);
    let mut line = |line: String| write!(text, "\n  {line}").expect("writing to text does not fail");
    for found in &layer.breaks {
        line(format!("{found}{}", misfits(broken, found)));
    }
    usage.readers_of(&layer.dataset, Some(&layer.breaks)).into_iter().for_each(&mut line);
    line(ways_out(layer));
    text
}

/// The values that a column does not hold any more.
fn misfits(broken: &Broken, found: &SchemaBreak) -> String {
    let Some(misfit) = broken.misfit(found) else { return String::new() };
    let named: Vec<String> =
        misfit.examples.iter().map(|(row, value)| format!("row {} has {}", row + 1, quoted(value))).collect();
    let more = misfit.count - misfit.examples.len() as u64;
    let more = if more == 0 { String::new() } else { format!(", and {more} more") };
    format!(": {}{more}", named.join(", "))
}

fn ways_out(layer: &LayerBreaks) -> String {
    let next = layer.major.next();
    let has_types = layer.breaks.iter().any(|found| found.kind == BreakKind::Type);
    let has_columns = layer.breaks.iter().any(|found| found.kind == BreakKind::Column);
    let mut ways = Vec::new();
    if has_types {
        ways.push("correct the values, or cast the column in a mapping".to_owned());
    }
    if has_columns {
        ways.push("name the column in a mapping as it was".to_owned());
    }
    let major = layer.major;
    ways.push(format!("begin major {next} with --new-major (new_major): @{major}.x stays as it is"));
    format!("nothing was published; {}", ways.join("; "))
}
