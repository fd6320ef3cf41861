//! The attributes: which are looked at in the first pass, what each becomes, and how a batch of one is made.

mod decided;

pub(super) use decided::Decided;

use super::survey::utf8;
use crate::codes::{ChainSurvey, CodePlan, CodeSurvey, PersonPlan, Reference, Registers, digits_of, is_code_name};
use crate::findings::{Findings, example, show, step};
use crate::layer::{DATE_CELLS_KEY, Declared, GEOMETRY_KEY, Limits, NUMERIC_CELLS_KEY, Role, SourceLayer, is_marked};
use crate::text::{TextPlan, without_controls};
use crate::types::expected;
use crate::types::value::Notation;
use crate::types::{self, ColumnSurvey, Expectation, Published, Serial, Target, Zone};
use arrow_array::cast::AsArray;
use arrow_array::types::TimestampMicrosecondType;
use arrow_array::{ArrayRef, RecordBatch, StringArray};
use arrow_schema::{DataType, Field, Schema, TimeUnit};
use std::sync::Arc;
use ukimet_model::batch::{attribute_field, described_field};
use ukimet_model::{ProcessStep, Result, Severity};

/// What is seen of the attributes in the first pass.
pub(super) struct ColumnsSurvey {
    /// One a column; only text columns of untyped layers are looked at.
    types: Vec<ColumnSurvey>,
    /// One a column that may hold a code: text of untyped layers, and any column whose name speaks of one.
    codes: Vec<Option<CodeSurvey>>,
    chain: Option<ChainSurvey>,
    zone: Option<Zone>,
    reference: Reference,
    limits: Limits,
    is_untyped: bool,
}

impl ColumnsSurvey {
    /// Reads what the publisher declared; `names` are the columns' names as far as they can be read.
    ///
    /// # Errors
    ///
    /// `InvalidRequest` if a declared zone or register is none.
    pub(super) fn begin(
        layer: &SourceLayer,
        declared: &Declared,
        limits: &Limits,
        roles: &[Role],
        names: &[String],
    ) -> Result<Self> {
        let may_be_code = |(i, role): (usize, &Role)| match role {
            Role::Text | Role::RawText => layer.untyped || is_code_name(&names[i]),
            Role::Value => layer.schema.field(i).data_type().is_numeric() && is_code_name(&names[i]),
            Role::Geometry => false,
        };
        let codes = roles.iter().enumerate().map(|column| may_be_code(column).then(CodeSurvey::default)).collect();
        Ok(Self {
            types: vec![ColumnSurvey::default(); roles.len()],
            codes,
            chain: ChainSurvey::begin(names, limits),
            zone: declared.time_zone.as_deref().map(Zone::declared).transpose()?,
            reference: Reference { kato: Registers::read(&declared.references)?.kato, day: declared.valid_on },
            limits: limits.clone(),
            is_untyped: layer.untyped,
        })
    }

    /// Whether a decision waits for more rows.
    pub(super) fn needs_more(&self, roles: &[Role]) -> bool {
        let has_text = roles.iter().any(|role| is_text(*role));
        (self.is_untyped && has_text) || self.chain.is_some() || self.codes.iter().any(Option::is_some)
    }

    /// Looks at the next raw batch.
    pub(super) fn observe(&mut self, raw: &RecordBatch, roles: &[Role]) -> Result<()> {
        for (i, role) in roles.iter().enumerate() {
            if let Some(values) = self.values(raw.column(i), *role, i)? {
                values.iter().flatten().for_each(|value| self.observe_value(i, *role, value));
            }
        }
        if let Some(chain) = &mut self.chain {
            chain.observe(raw);
        }
        Ok(())
    }

    /// The values of a column that is looked at, as text.
    fn values(&self, column: &ArrayRef, role: Role, i: usize) -> Result<Option<StringArray>> {
        if !(self.is_untyped && is_text(role)) && self.codes[i].is_none() {
            return Ok(None);
        }
        Ok(match role {
            Role::Text => Some(utf8(column)?),
            Role::RawText => Some(column.as_binary::<i32>().iter().map(|bytes| bytes.map(ascii)).collect()),
            Role::Value => digits_of(column),
            Role::Geometry => None,
        })
    }

    fn observe_value(&mut self, i: usize, role: Role, value: &str) {
        // As it will be read: what is dropped from every value says nothing about the column.
        let cleaned = without_controls(value);
        let value = cleaned.as_deref().unwrap_or(value);
        if self.is_untyped && is_text(role) {
            self.types[i].observe(value);
        }
        if let Some(code) = &mut self.codes[i] {
            code.observe(value, &self.limits, self.reference.kato.as_deref());
        }
    }

    /// How the values of each column are written, where they say it by themselves.
    pub(super) fn notations(&self) -> Vec<Option<Notation>> {
        self.types.iter().map(ColumnSurvey::notation).collect()
    }

    /// Decides every attribute.
    pub(super) fn decide(
        self,
        layer: &SourceLayer,
        roles: &[Role],
        names: &[String],
        findings: &mut Findings,
    ) -> ColumnsPlan {
        let mut types_step = types::receipt(self.zone.as_ref());
        let mut codes_step = codes_receipt(&self.reference);
        let mut columns = Vec::new();
        for (i, role) in roles.iter().enumerate().filter(|(_, role)| **role != Role::Geometry) {
            let field = layer.schema.field(i);
            let is_numeric = *role == Role::Value || is_marked(field, NUMERIC_CELLS_KEY);
            let decide = |survey: &CodeSurvey| {
                survey.decide(&names[i], is_numeric, &self.limits, self.reference.clone(), findings)
            };
            let code = self.codes[i].as_ref().and_then(decide);
            if let Some(code) = &code {
                codes_step.count += 1;
                show(&mut codes_step, || example(None, Some(&names[i]), "column", Some(code.code.role())));
            }
            let target = if is_text(*role) && self.is_untyped && code.is_none() {
                types::decide(&self.types[i], &names[i], self.zone.as_ref(), findings, &mut types_step)
            } else {
                Target::Text(None)
            };
            report_source(field, *role, code.is_some(), &names[i], findings);
            columns.push(Column::new(i, *role, field, code, target, self.zone.as_ref()));
        }
        let units: Vec<String> = columns.iter().filter_map(|column| column.named_unit(&names[column.raw])).collect();
        if !units.is_empty() {
            types_step.parameters.insert("units".to_owned(), units.join("; "));
        }
        let has_codes = codes_step.count > 0 || self.chain.is_some();
        if let Some(chain) = self.chain {
            chain.finish(names, findings);
        }
        decided::tell(&columns, names, &mut types_step);
        let person = person_plan(&columns, names);
        ColumnsPlan { columns, person, types_step, codes_step: has_codes.then_some(codes_step) }
    }
}

/// Every attribute as it is decided.
pub(super) struct ColumnsPlan {
    pub(super) columns: Vec<Column>,
    pub(super) person: Option<PersonPlan>,
    pub(super) types_step: ProcessStep,
    /// Only for a layer with codes.
    pub(super) codes_step: Option<ProcessStep>,
}

impl ColumnsPlan {
    /// Makes codes that came as numbers the digits that they are, as a refused row shows them.
    pub(super) fn show_codes(&self, decoded: &mut [ArrayRef]) {
        for column in self.columns.iter().filter(|column| column.code.is_some()) {
            if let Some(digits) = digits_of(&decoded[column.raw]) {
                decoded[column.raw] = Arc::new(digits);
            }
        }
    }

    /// Columns whose every value has to fit a type, as they were decided before.
    pub(super) fn expected(columns: Vec<Column>, expected: &Schema, decided: &Decided, names: &[String]) -> Self {
        let mut types_step = types::receipt(decided.zone_for(expected));
        decided.tell(&columns, names, &mut types_step);
        let mut codes_step = codes_receipt(&decided.reference);
        codes_step.count = columns.iter().filter(|column| column.code.is_some()).count() as u64;
        let person = person_plan(&columns, names);
        Self { columns, person, types_step, codes_step: Some(codes_step).filter(|step| step.count > 0) }
    }
}

fn person_plan(columns: &[Column], names: &[String]) -> Option<PersonPlan> {
    let code = |column: &Column| column.code.as_ref().map(|code| code.code);
    let of: Vec<_> = columns.iter().map(|column| (names[column.raw].as_str(), code(column))).collect();
    PersonPlan::find(&of)
}

/// A receipt of the codes rule under way.
fn codes_receipt(reference: &Reference) -> ProcessStep {
    let mut receipt = step("codes", []);
    if reference.kato.is_some() {
        receipt.parameters.insert("reference".to_owned(), "kato".to_owned());
    }
    receipt
}

/// One attribute of the source and what the rules find it to be.
pub(crate) struct Column {
    pub(crate) raw: usize,
    role: Role,
    code: Option<CodePlan>,
    target: Target,
    serial: Option<Serial>,
    /// The declared zone of times that the source typed itself and that have none.
    zone: Option<Zone>,
    pub(crate) data_type: DataType,
    /// If every value has to fit `data_type`, whatever its column holds: how it may be written.
    expected: Option<Expectation>,
}

impl Column {
    /// A column whose every value has to fit a type.
    pub(super) fn expected(raw: usize, role: Role, data_type: &DataType) -> Self {
        let data_type = data_type.clone();
        let target = Target::Text(None);
        Self {
            raw,
            role,
            code: None,
            target,
            serial: None,
            zone: None,
            data_type,
            expected: Some(Expectation::default()),
        }
    }

    fn new(raw: usize, role: Role, field: &Field, code: Option<CodePlan>, target: Target, zone: Option<&Zone>) -> Self {
        let marked = field.metadata().get(DATE_CELLS_KEY).and_then(|value| Serial::marked(value));
        let serial = marked.filter(|_| role == Role::Value && field.data_type().is_numeric() && code.is_none());
        let clock = DataType::Timestamp(TimeUnit::Microsecond, None);
        let plain = match role {
            Role::Value if code.is_some() => DataType::Utf8,
            Role::Value if serial.is_some() => clock.clone(),
            Role::Value => types::published_type(field.data_type()),
            _ => target.data_type(),
        };
        let zone = zone.filter(|_| role == Role::Value && plain == clock).cloned();
        let data_type = match zone {
            Some(_) => DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into())),
            None => plain,
        };
        Self { raw, role, code, target, serial, zone, data_type, expected: None }
    }

    /// The published field.
    pub(crate) fn field(&self, name: &str, source: &str) -> Arc<Field> {
        let field = attribute_field(name, source, self.data_type.clone());
        described_field(&field, self.code.as_ref().map(|code| code.code.role()), self.unit(source))
    }

    /// The unit of a column of numbers: beside its values, or in its header.
    fn unit<'a>(&'a self, source: &'a str) -> Option<&'a str> {
        let beside = match &self.target {
            Target::Typed(reading) => reading.unit.as_deref(),
            Target::Text(_) => None,
        };
        beside.or_else(|| types::unit_of_header(source).filter(|_| self.data_type.is_numeric()))
    }

    fn named_unit(&self, source: &str) -> Option<String> {
        self.unit(source).map(|unit| format!("{source}: {unit}"))
    }

    /// The column of a batch with its text decoded; other columns as they are.
    ///
    /// # Errors
    ///
    /// `InvalidData` naming row, column and a byte that the encoding does not have.
    pub(super) fn decode(&self, source: &ArrayRef, text: &mut TextPlan, row_first: u64) -> Result<ArrayRef> {
        Ok(match self.role {
            Role::RawText => Arc::new(text.decode(source.as_binary::<i32>(), self.raw, row_first)?),
            Role::Text => Arc::new(utf8(source)?),
            Role::Geometry | Role::Value => Arc::clone(source),
        })
    }

    /// A decoded column with its text repaired; the same array if nothing was wrong with it.
    pub(super) fn repair(&self, decoded: &ArrayRef, text: &mut TextPlan, row_first: u64) -> ArrayRef {
        match self.role {
            Role::RawText | Role::Text => Arc::new(text.repair(decoded.as_string().clone(), self.raw, row_first)),
            Role::Geometry | Role::Value => Arc::clone(decoded),
        }
    }

    /// A decoded and repaired column as it is published; rows that are refused are marked in `refused`, which is empty as long as
    /// there are none.
    ///
    /// # Errors
    ///
    /// `InvalidData` naming row, column and value that break what was decided.
    pub(super) fn publish(
        &self,
        decoded: &ArrayRef,
        name: &str,
        refused: &mut Vec<bool>,
        row_first: u64,
        findings: &mut Findings,
    ) -> Result<ArrayRef> {
        if let Some(how) = &self.expected {
            let typed = expected::apply(decoded, (&self.data_type, how), name, row_first, refused, findings)?;
            return Ok(match (&self.code, typed.as_string_opt()) {
                (Some(code), Some(text)) => Arc::new(code.apply(text, name, row_first, refused, findings)),
                _ => typed,
            });
        }
        let text = match self.role {
            Role::RawText | Role::Text => Some(decoded.as_string::<i32>().clone()),
            Role::Geometry | Role::Value => self.code.as_ref().and_then(|_| digits_of(decoded)),
        };
        match (text, &self.code) {
            (None, _) => self.value(decoded, name, row_first, findings),
            (Some(text), Some(code)) => Ok(Arc::new(code.apply(&text, name, row_first, refused, findings))),
            (Some(text), None) => types::apply(&text, &self.target, name, row_first, findings),
        }
    }

    fn value(&self, source: &ArrayRef, name: &str, row_first: u64, findings: &mut Findings) -> Result<ArrayRef> {
        let value = match self.serial {
            Some(serial) => serial.apply(source, name, row_first, findings)?,
            None => Published::apply(source, name, row_first, findings)?,
        };
        match (&self.zone, value.as_primitive_opt::<TimestampMicrosecondType>()) {
            (Some(zone), Some(times)) => Ok(zone.instants(times, name, row_first, findings)),
            _ => Ok(value),
        }
    }
}

fn report_source(field: &Field, role: Role, is_code: bool, name: &str, findings: &mut Findings) {
    if role == Role::Value && !is_code {
        types::report_numeric_identifier(field.data_type(), name, findings);
    }
    if is_marked(field, GEOMETRY_KEY) {
        let message = "only the first geometry column is taken as geometry; others are binary attributes";
        let examples = [example(None, Some(name), "geometry", Some("binary"))];
        findings.add("geometry.second", Severity::Warning, message, 1, examples);
    }
}

fn is_text(role: Role) -> bool {
    matches!(role, Role::Text | Role::RawText)
}

/// Only what is UTF-8 in any encoding, so ASCII, can be a number or a code here; other bytes keep the column text.
fn ascii(bytes: &[u8]) -> &str {
    std::str::from_utf8(bytes).ok().filter(|text| text.is_ascii()).unwrap_or("\u{fffd}")
}
