//! What was decided about the columns of a source: told in the receipt, and taken over for rows that come later.

use super::Column;
use crate::codes::{Code, CodePlan, Reference, Registers};
use crate::findings::{Findings, example};
use crate::layer::{Declared, Role};
use crate::types::value::Notation;
use crate::types::{self, Expectation, Serial, Target, Zone};
use arrow_schema::{DataType, Field, Schema};
use std::sync::Arc;
use ukimet_model::batch::unit;
use ukimet_model::error::quoted;
use ukimet_model::{COLUMNS_KEY, ColumnDecision, Error, NAMED_COLUMNS_KEY, ProcessStep, Result, Severity};

/// Adds the decisions to the receipt of the types rule.
pub(super) fn tell(columns: &[Column], names: &[String], receipt: &mut ProcessStep) {
    let mut decisions: Vec<ColumnDecision> = columns.iter().map(|column| column.decision(&names[column.raw])).collect();
    decisions.retain(ColumnDecision::says_anything);
    decisions.sort_unstable_by_key(|decision| decision.column);
    tell_again(&decisions, receipt);
}

/// Told even if there are none, so that it is known that none was made.
fn tell_again(decisions: &[ColumnDecision], receipt: &mut ProcessStep) {
    let text = ColumnDecision::to_text(decisions).ok();
    receipt.parameters.extend(text.map(|text| (COLUMNS_KEY.to_owned(), text)));
}

impl Column {
    fn decision(&self, name: &str) -> ColumnDecision {
        let notation = match &self.target {
            Target::Typed(reading) => Some(reading.notation),
            Target::Text(_) => None,
        };
        let code = self.code.as_ref();
        ColumnDecision {
            notation: notation.map(|notation| notation.name().to_owned()),
            name: notation.filter(|notation| notation.may_be_another()).map(|_| name.to_owned()),
            days_from: self.serial.map(|serial| serial.mark().to_owned()),
            code: code.map(|code| code.code.role().to_owned()),
            is_from_number: code.is_some_and(CodePlan::is_from_number),
            is_padded: code.is_some_and(CodePlan::is_padded),
            ..ColumnDecision::of(self.raw)
        }
    }
}

/// Decisions that were made about the same source before.
pub(in crate::rules) struct Decided {
    /// `None` if the rows are from before it was kept.
    decisions: Option<Vec<ColumnDecision>>,
    /// Those that are known by the names of their columns only, for rows of another file.
    named: Vec<ColumnDecision>,
    /// How the values of each column of these rows are written, where they say it by themselves.
    surveyed: Vec<Option<Notation>>,
    zone: Option<Zone>,
    pub(super) reference: Reference,
}

impl Decided {
    /// Those that come with an expected schema; none from before they were kept. `surveyed` is what the rows say by themselves.
    ///
    /// # Errors
    ///
    /// `InvalidRequest` if they, the declared zone or a register cannot be read.
    pub(in crate::rules) fn of(
        expected: &Schema,
        declared: &Declared,
        surveyed: Vec<Option<Notation>>,
    ) -> Result<Self> {
        let of = |key| expected.metadata().get(key).map(|text| ColumnDecision::parse(text)).transpose();
        let (decisions, named) = (of(COLUMNS_KEY)?, of(NAMED_COLUMNS_KEY)?.unwrap_or_default());
        let zone = declared.time_zone.as_deref().map(Zone::declared).transpose()?;
        let kato = Registers::read(&declared.references)?.kato;
        let reference = Reference { kato, day: declared.valid_on };
        Ok(Self { decisions, named, surveyed, zone, reference })
    }

    /// A column whose every value has to fit a type, written as it was decided: when its file was read first, else by all of
    /// its values, else as the column of its name in the dataset.
    ///
    /// # Errors
    ///
    /// `InvalidRequest` for a notation or a code that the rules do not know.
    pub(in crate::rules) fn column(&self, raw: usize, role: Role, name: &str, field: Option<&Field>) -> Result<Column> {
        let data_type = field.map_or(&DataType::Utf8, |field| field.data_type());
        let mut column = Column::expected(raw, role, data_type);
        let unit = field.and_then(unit).or_else(|| types::unit_of_header(name)).map(str::to_owned);
        let decision = self.decisions.iter().flatten().find(|decision| decision.column == raw);
        let by_name = || self.named.iter().find(|decision| decision.name.as_deref() == Some(name));
        let told = |decision: &ColumnDecision| {
            let notation = decision.notation.as_deref();
            notation.map(|name| known("notation", name, Notation::named(name))).transpose()
        };
        let surveyed = || self.surveyed.get(raw).copied().flatten().filter(|_| self.decisions.is_none());
        let notation = match decision.map(told).transpose()?.flatten().or_else(surveyed) {
            Some(notation) => Some(notation),
            None => by_name().map(told).transpose()?.flatten(),
        };
        let serial = decision.and_then(|decision| decision.days_from.as_deref());
        let serial = serial.map(|year| known("first day", year, Serial::marked(year))).transpose()?;
        column.expected = Some(Expectation { notation, serial, zone: self.zone.clone(), unit });
        let Some(decision) = decision else { return Ok(column) };
        if let Some(role) = decision.code.as_deref().filter(|_| *data_type == DataType::Utf8) {
            let code = known("code", role, Code::of_role(role))?;
            let reference = self.reference.clone();
            column.code = Some(CodePlan::corrected(code, decision.is_from_number, decision.is_padded, reference));
        }
        Ok(column)
    }

    /// The declared zone, if it says what the times of a column mean.
    pub(super) fn zone_for(&self, expected: &Schema) -> Option<&Zone> {
        let is_zoned = |field: &Arc<Field>| matches!(field.data_type(), DataType::Timestamp(_, Some(_)));
        self.zone.as_ref().filter(|_| expected.fields().iter().any(is_zoned))
    }

    /// Reports the columns of times that a declared zone does not make instants of, since their rows that are there are none.
    pub(in crate::rules) fn report_zone(&self, columns: &[Column], names: &[String], findings: &mut Findings) {
        let Some(zone) = &self.zone else { return };
        for column in columns.iter().filter(|column| matches!(column.data_type, DataType::Timestamp(_, None))) {
            let message =
                "times that come beside times without a zone stay without one; the declared zone was not applied";
            let examples = [example(None, Some(&names[column.raw]), &zone.name, None)];
            findings.add("time.zone_not_applied", Severity::Note, message, 1, examples);
        }
    }

    /// Adds the decisions to the receipt of the types rule once more, for rows that come later still, and what these rows
    /// decided by themselves.
    pub(super) fn tell(&self, columns: &[Column], names: &[String], receipt: &mut ProcessStep) {
        let mut decisions = self.decisions.clone().unwrap_or_default();
        for column in columns.iter().filter(|column| column.data_type != DataType::Utf8) {
            let Some(notation) = column.expected.as_ref().and_then(|expected| expected.notation) else { continue };
            let name = notation.may_be_another().then(|| names[column.raw].clone());
            let notation = Some(notation.name().to_owned());
            match decisions.iter_mut().find(|decision| decision.column == column.raw) {
                Some(decision) if decision.notation.is_some() => {}
                Some(decision) => (decision.notation, decision.name) = (notation, name),
                None => decisions.push(ColumnDecision { notation, name, ..ColumnDecision::of(column.raw) }),
            }
        }
        decisions.sort_unstable_by_key(|decision| decision.column);
        if self.decisions.is_some() || !decisions.is_empty() {
            tell_again(&decisions, receipt);
        }
    }
}

fn known<T>(what: &str, name: &str, found: Option<T>) -> Result<T> {
    found.ok_or_else(|| Error::invalid_request(format!("column decisions name an unknown {what}: {}", quoted(name))))
}
