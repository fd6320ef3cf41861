//! What was decided about the columns of a source: told in the receipt, and taken over for rows that come later.

use super::Column;
use crate::codes::{Code, CodePlan, Reference, Registers};
use crate::layer::{Declared, Role};
use crate::types::value::Notation;
use crate::types::{Expectation, Serial, Target, Zone};
use arrow_schema::{DataType, Schema};
use ukimet_model::error::quoted;
use ukimet_model::{COLUMNS_KEY, ColumnDecision, Error, ProcessStep, Result};

/// Adds the decisions to the receipt of the types rule.
pub(super) fn tell(columns: &[Column], receipt: &mut ProcessStep) {
    let mut decisions: Vec<ColumnDecision> = columns.iter().map(Column::decision).collect();
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
    fn decision(&self) -> ColumnDecision {
        let notation = match &self.target {
            Target::Typed(reading) => Some(reading.notation.name().to_owned()),
            Target::Text(_) => None,
        };
        let code = self.code.as_ref();
        ColumnDecision {
            notation,
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
    zone: Option<Zone>,
    pub(super) reference: Reference,
}

impl Decided {
    /// Those that come with an expected schema; none from before they were kept.
    ///
    /// # Errors
    ///
    /// `InvalidRequest` if they, the declared zone or a register cannot be read.
    pub(in crate::rules) fn of(expected: &Schema, declared: &Declared) -> Result<Self> {
        let decisions = expected.metadata().get(COLUMNS_KEY).map(|text| ColumnDecision::parse(text)).transpose()?;
        let zone = declared.time_zone.as_deref().map(Zone::declared).transpose()?;
        let kato = Registers::read(&declared.references)?.kato;
        let reference = Reference { kato, day: declared.valid_on };
        Ok(Self { decisions, zone, reference })
    }

    /// A column whose every value has to fit a type, written as it was decided.
    ///
    /// # Errors
    ///
    /// `InvalidRequest` for a notation or a code that the rules do not know.
    pub(in crate::rules) fn column(&self, raw: usize, role: Role, data_type: &DataType) -> Result<Column> {
        let mut column = Column::expected(raw, role, data_type);
        let Some(decision) = self.decisions.iter().flatten().find(|decision| decision.column == raw) else {
            return Ok(column);
        };
        let notation = decision.notation.as_deref().map(|name| known("notation", name, Notation::named(name)));
        let serial = decision.days_from.as_deref().map(|year| known("first day", year, Serial::marked(year)));
        let expectation = Expectation { notation: notation.transpose()?, serial: serial.transpose()?, zone: None };
        column.expected = Some(Expectation { zone: self.zone.clone(), ..expectation });
        if let Some(role) = decision.code.as_deref().filter(|_| *data_type == DataType::Utf8) {
            let code = known("code", role, Code::of_role(role))?;
            let reference = self.reference.clone();
            column.code = Some(CodePlan::corrected(code, decision.is_from_number, decision.is_padded, reference));
        }
        Ok(column)
    }

    /// Adds the decisions to the receipt of the types rule once more, for rows that come later still.
    pub(super) fn tell(&self, receipt: &mut ProcessStep) {
        if let Some(decisions) = &self.decisions {
            tell_again(decisions, receipt);
        }
    }
}

fn known<T>(what: &str, name: &str, found: Option<T>) -> Result<T> {
    found.ok_or_else(|| Error::invalid_request(format!("column decisions name an unknown {what}: {}", quoted(name))))
}
