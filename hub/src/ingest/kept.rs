//! A type that changed between two pushes without anybody wanting it: the file is read once more in the types that the
//! dataset has. If every value fits, they stay; if not, the values that do not are named.

use super::beside::Known;
use super::layer::Misfit;
use arrow_schema::{DataType, Field, Schema};
use bytes::Bytes;
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use ukimet_catalog::LayerBreaks;
use ukimet_model::batch::{described_field, source_name, unit};
use ukimet_model::{BreakKind, COLUMNS_KEY, Diagnostic, Example, LayerReport, Result, SchemaBreak, Severity, Verdict};
use ukimet_proto::ipc;

/// What a reading would break, which nobody declared.
pub(super) struct Broken {
    /// What breaks, dataset by dataset.
    pub(super) breaks: Vec<LayerBreaks>,
    /// The columns that were found, and the receipt's decisions about them; `None` after several layers.
    pub(super) found: Option<Found>,
    /// Values that do not fit the types that the dataset has, by the name of their column in the source.
    pub(super) misfits: BTreeMap<String, Misfit>,
}

/// The schema of a layer and what the rules decided about its columns.
pub(super) type Found = (Arc<Schema>, Option<String>);

/// A column that is read as the dataset has it.
#[derive(Clone, Debug)]
pub(super) struct KeptType {
    source_name: String,
    found: String,
    kept: String,
}

/// The file once more: what its rows have to fit.
pub(super) struct SecondLook {
    pub(super) expected_schema: Bytes,
    pub(super) kept: Vec<KeptType>,
}

impl SecondLook {
    /// `None` if no type changed, or it was not one layer that was read. `known` is what the dataset's columns are.
    ///
    /// # Errors
    ///
    /// `Internal` if the schema cannot be written.
    pub(super) fn of(broken: &Broken, known: Option<&Known>) -> Result<Option<Self>> {
        let (Some((schema, decided)), [layer]) = (&broken.found, broken.breaks.as_slice()) else { return Ok(None) };
        let of_types = |broken: &&SchemaBreak| broken.kind == BreakKind::Type;
        let kept_as = |broken: &SchemaBreak| {
            let (name, kept) = (broken.column.clone()?, broken.expected.strip_prefix("type ")?);
            Some((name, kept.parse::<DataType>().ok()?))
        };
        let types: HashMap<String, DataType> = layer.breaks.iter().filter(of_types).filter_map(kept_as).collect();
        if types.is_empty() {
            return Ok(None);
        }
        let mut kept = Vec::new();
        let field = |field: &Arc<Field>| match types.get(field.name()) {
            None => Arc::clone(field),
            Some(data_type) => {
                let (found, name) = (field.data_type().to_string(), source_name(field).to_owned());
                kept.push(KeptType { source_name: name, found, kept: data_type.to_string() });
                let as_known = known.and_then(|known| known.schema.field_with_name(field.name()).ok());
                // A unit that the file names itself stays, so that another one than before is seen.
                let unit = as_known.and_then(unit).filter(|_| unit(field).is_none());
                described_field(&field.as_ref().clone().with_data_type(data_type.clone()), None, unit)
            }
        };
        let fields: Vec<_> = schema.fields().iter().map(field).collect();
        let decided = decided.iter().map(|decided| (COLUMNS_KEY.to_owned(), decided.clone()));
        let decided = decided.chain(known.map(Known::decisions).unwrap_or_default()).collect();
        let expected_schema = ipc::encode_schema(&Arc::new(Schema::new(fields).with_metadata(decided)))?;
        Ok(Some(Self { expected_schema, kept }))
    }
}

/// The rule that says so.
const RULE: &str = "types.kept";

/// Says in a layer's report which columns were read as the dataset has them.
pub(super) fn tell(kept: &[KeptType], report: &mut LayerReport) -> Vec<Verdict> {
    if kept.is_empty() {
        return Vec::new();
    }
    let message = "columns whose values alone would have another type were read as the dataset has them";
    let example = |kept: &KeptType| Example {
        row: None,
        field: Some(kept.source_name.clone()),
        found: kept.found.clone(),
        taken: Some(kept.kept.clone()),
    };
    let verdict = |kept: &KeptType| Verdict::new(RULE, Severity::Note, message, example(kept));
    report.diagnostics.push(Diagnostic {
        rule: RULE.to_owned(),
        severity: Severity::Note,
        message: message.to_owned(),
        count: kept.len() as u64,
        examples: kept.iter().take(Diagnostic::EXAMPLES_MAX).map(example).collect(),
    });
    kept.iter().map(verdict).collect()
}

impl Broken {
    /// What is left to break after the second look: types whose every value fits break nothing.
    pub(super) fn after(mut self, again: Self) -> Self {
        if let Some((schema, _)) = &self.found {
            let misfits = &again.misfits;
            let fits = |broken: &SchemaBreak| {
                let field = broken.column.as_ref().and_then(|name| schema.field_with_name(name).ok());
                broken.kind == BreakKind::Type && field.is_some_and(|field| !misfits.contains_key(source_name(field)))
            };
            self.breaks.iter_mut().for_each(|layer| layer.breaks.retain(|broken| !fits(broken)));
        }
        Self { misfits: again.misfits, ..self }
    }

    /// The values that keep a column from being read as the dataset has it.
    pub(super) fn misfit(&self, broken: &SchemaBreak) -> Option<&Misfit> {
        let (schema, _) = self.found.as_ref().filter(|_| broken.kind == BreakKind::Type)?;
        let field = schema.field_with_name(broken.column.as_ref()?).ok()?;
        self.misfits.get(source_name(field))
    }
}
