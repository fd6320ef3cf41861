//! Registers: datasets of this hub that the rules compare codes with in every push.
//!
//! A register that is not there, or not as it must be, does not stop the pushes of others: what was not compared is said
//! in their reports.

use crate::mapping::table;
use arrow_array::RecordBatch;
use arrow_array::cast::AsArray;
use std::sync::{Arc, Mutex, PoisonError};
use ukimet_catalog::Snapshot;
use ukimet_model::batch::role;
use ukimet_model::error::quoted;
use ukimet_model::{
    DatasetId, Diagnostic, Error, ErrorKind, Example, Field, LayerReport, LayerSelection, Result, Severity, Sha256,
    Verdict, VersionNumber,
};
use ukimet_proto::v1;

/// The name under which the rules look for the register of KATO, and the role of the columns they compare with it.
const KATO: &str = "kato";

/// What the rules read of the register: the first of these columns that is there, and the days.
const CODE_COLUMNS: [&str; 3] = ["code", "kato", "te"];
const DAY_COLUMNS: [&str; 2] = ["valid_from", "valid_to"];

/// The registers of a hub's configuration. The last version of each that was read is kept in memory.
#[derive(Clone)]
pub struct Registers {
    kato: Option<DatasetId>,
    bytes_max: usize,
    edition: Arc<Mutex<Option<Edition>>>,
}

/// A version of a register as the rules take it, or why they cannot.
#[derive(Clone)]
struct Edition {
    number: VersionNumber,
    root_hash: Sha256,
    table: Result<v1::ReferenceTable, String>,
}

/// The register of KATO for one push.
#[derive(Clone, Debug, PartialEq)]
pub struct Register {
    /// The dataset.
    pub dataset: DatasetId,
    /// Its newest version and the table for the adapter, or why codes are not compared with it.
    pub table: Result<(VersionNumber, v1::ReferenceTable), String>,
}

impl Registers {
    /// `kato` is the dataset with the register of KATO, if any; a table above `bytes_max` bytes is not used.
    pub fn new(kato: Option<DatasetId>, bytes_max: usize) -> Self {
        Self { kato, bytes_max, edition: Arc::default() }
    }

    /// The register of KATO as of a snapshot; `None` if none is configured.
    ///
    /// # Errors
    ///
    /// `Internal` if the catalog cannot be read.
    pub fn kato(&self, snapshot: &Snapshot) -> Result<Option<Register>> {
        let Some(dataset) = self.kato.clone() else { return Ok(None) };
        let version = match snapshot.dataset(&dataset) {
            Ok((_, version)) => version,
            Err(error) if error.kind() == ErrorKind::NotFound => {
                return Ok(Some(Register { dataset, table: Err("it is not there".to_owned()) }));
            }
            Err(error) => return Err(error),
        };
        let mut edition = self.edition.lock().unwrap_or_else(PoisonError::into_inner);
        let is_read = |read: &&Edition| (read.number, read.root_hash) == (version.number, version.root_hash);
        let read = match edition.as_ref().filter(is_read) {
            Some(read) => read.clone(),
            None => Edition {
                number: version.number,
                root_hash: version.root_hash,
                table: self.read(snapshot, &dataset, &version.fields)?,
            },
        };
        let table = read.table.clone().map(|table| (read.number, table));
        *edition = Some(read);
        Ok(Some(Register { dataset, table }))
    }

    /// The register of KATO for a push; one that may change the register itself is not compared with what it replaces.
    ///
    /// # Errors
    ///
    /// As [`Registers::kato`].
    pub fn for_push(
        &self,
        snapshot: &Snapshot,
        dataset: &DatasetId,
        layers: &LayerSelection,
    ) -> Result<Option<Register>> {
        let is_target = |register: &DatasetId| {
            let is_layer = *layers == LayerSelection::All
                && register.agency() == dataset.agency()
                && register.name().starts_with(&format!("{}-", dataset.name()));
            register == dataset || is_layer
        };
        match self.kato.clone().filter(is_target) {
            Some(dataset) => Ok(Some(Register { dataset, table: Err("the push goes into it".to_owned()) })),
            None => self.kato(snapshot),
        }
    }

    fn read(
        &self,
        snapshot: &Snapshot,
        dataset: &DatasetId,
        fields: &[Field],
    ) -> Result<Result<v1::ReferenceTable, String>> {
        let has = |name: &&&str| fields.iter().any(|field| field.name == **name);
        let Some(code) = CODE_COLUMNS.iter().find(has) else {
            return Ok(Err(format!("it has none of the columns {}", CODE_COLUMNS.join(", "))));
        };
        let columns: Vec<&str> = std::iter::once(code).chain(DAY_COLUMNS.iter().filter(has)).copied().collect();
        match table(snapshot, dataset, &columns, self.bytes_max, check_days) {
            Ok((table, _)) => Ok(Ok(v1::ReferenceTable { dataset: KATO.to_owned(), ..table })),
            Err(error) if matches!(error.kind(), ErrorKind::InvalidRequest | ErrorKind::LimitReached) => {
                Ok(Err(error.to_string()))
            }
            Err(error) => Err(error),
        }
    }
}

/// Checks that the columns of days, which come as text, hold days.
fn check_days(rows: &RecordBatch) -> Result<()> {
    for name in DAY_COLUMNS {
        let Some(column) = rows.column_by_name(name) else { continue };
        let mut texts = column.as_string::<i32>().iter().flatten().map(str::trim).filter(|text| !text.is_empty());
        if let Some(found) = texts.find(|text| text.parse::<jiff::civil::Date>().is_err()) {
            return Err(Error::invalid_request(format!("{name} is a day such as 2022-06-08, found {}", quoted(found))));
        }
    }
    Ok(())
}

impl Register {
    /// Says in a layer's report what its codes were compared with; the verdict if they were not, although a column
    /// holds some.
    pub fn tell(&self, schema: &arrow_schema::Schema, report: &mut LayerReport) -> Option<Verdict> {
        match &self.table {
            Ok((number, _)) => {
                let compared = report.steps.iter_mut().find(|step| step.step == "codes");
                if let Some(step) = compared {
                    step.parameters.insert("kato_register".to_owned(), format!("{} {number}", self.dataset));
                }
                None
            }
            Err(why) if schema.fields().iter().any(|field| role(field) == Some(KATO)) => {
                let found = format!("{}: {why}", self.dataset);
                let example = Example { row: None, field: None, found, taken: None };
                let diagnostic = Diagnostic {
                    rule: "codes.no_register".to_owned(),
                    severity: Severity::Note,
                    message: "codes of KATO were looked at by their form only, without the register".to_owned(),
                    count: 1,
                    examples: vec![example.clone()],
                };
                let verdict = Verdict::new(&diagnostic.rule, diagnostic.severity, &diagnostic.message, example);
                report.diagnostics.push(diagnostic);
                Some(verdict)
            }
            Err(_) => None,
        }
    }

    /// Says in the log whether the register is there.
    pub fn log(&self) {
        match &self.table {
            Ok((number, _)) => {
                tracing::info!(register = %self.dataset, version = %number, "the register of KATO is there");
            }
            Err(why) => {
                tracing::warn!(register = %self.dataset, why, "codes of KATO are looked at by their form only");
            }
        }
    }
}
