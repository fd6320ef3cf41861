//! Receipts of exports: that a hub gave out these rows of this version, signed by the hub.

use crate::signing;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use ukimet_model::digest::Sha256;
use ukimet_model::error::quoted;
use ukimet_model::{DatasetId, DatasetUuid, Error, Result, VersionNumber};

/// Stands before the signed bytes.
const DOMAIN: &[u8] = b"ukimet export receipt 1\n";

/// One column of what was given out.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ColumnDigest {
    /// Its name.
    pub name: String,
    /// Its Arrow type.
    pub r#type: String,
    /// Hash over its values in the order of the rows.
    pub sha256: Sha256,
}

/// What a hub gave out.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ExportReceipt {
    /// The dataset.
    pub dataset: DatasetId,
    /// The dataset, whatever it is called later.
    pub dataset_uuid: DatasetUuid,
    /// The version.
    pub version: VersionNumber,
    /// The root hash of all rows of the version.
    pub version_hash: Sha256,
    /// What was asked for, as it was bound to the version: a Flight command, JSON as text.
    pub request: String,
    /// How many rows there are.
    pub rows: u64,
    /// The columns in their order.
    pub columns: Vec<ColumnDigest>,
    /// When, UTC.
    pub issued: Timestamp,
}

/// A receipt as it is kept in a file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SignedReceipt {
    /// What is signed.
    pub receipt: ExportReceipt,
    /// The hub's Ed25519 public key, 64 hex digits.
    pub hub: String,
    /// The signature, 128 hex digits.
    pub signature: String,
}

impl ExportReceipt {
    /// Signs with a hub's secret key.
    pub fn sign(self, secret: &[u8; 32]) -> SignedReceipt {
        let signature = signing::sign(DOMAIN, &self.signed_bytes(), secret);
        SignedReceipt { receipt: self, hub: signing::public_key(secret), signature }
    }

    /// Compact JSON, the members in their order.
    fn signed_bytes(&self) -> Vec<u8> {
        serde_json::to_vec(self).expect("a receipt has string keys only")
    }

    /// Checks that it is for these rows.
    ///
    /// # Errors
    ///
    /// `DataLoss` naming what it says and what was found.
    pub fn check_rows(&self, rows: u64, columns: &[ColumnDigest]) -> Result<()> {
        let other = |what: String| Err(Error::data_loss(format!("the rows are not those of the receipt: {what}")));
        if self.rows != rows {
            return other(format!("it is for {} rows, found {rows}", self.rows));
        }
        let names = |columns: &[ColumnDigest]| {
            columns.iter().map(|column| format!("{} {}", column.name, column.r#type)).collect::<Vec<_>>().join(", ")
        };
        if names(&self.columns) != names(columns) {
            return other(format!("it is for the columns {}, found {}", names(&self.columns), names(columns)));
        }
        match self.columns.iter().zip(columns).find(|(expected, found)| expected.sha256 != found.sha256) {
            Some((expected, found)) => other(format!(
                "the values of column {} have the hash {}, found {}",
                quoted(&expected.name),
                expected.sha256.short(),
                found.sha256.short()
            )),
            None => Ok(()),
        }
    }
}

impl SignedReceipt {
    /// Reads a receipt's file. The signature is not looked at.
    ///
    /// # Errors
    ///
    /// `InvalidRequest` if it is none.
    pub fn parse(json: &[u8]) -> Result<Self> {
        serde_json::from_slice(json)
            .map_err(|e| Error::invalid_request(format!("it does not read as the receipt of an export: {e}")))
    }

    /// The receipt, if the hub with this key signed it.
    ///
    /// # Errors
    ///
    /// `InvalidRequest` if another hub did, or a byte was changed since.
    pub fn verify(&self, hub: &str) -> Result<&ExportReceipt> {
        signing::check_public_key(hub)?;
        if !self.hub.eq_ignore_ascii_case(hub) {
            let (found, expected) = (quoted(&self.hub), quoted(hub));
            return Err(Error::invalid_request(format!("the hub {found} signed the receipt, not {expected}")));
        }
        let signed = self.receipt.signed_bytes();
        signing::check(DOMAIN, &signed, (hub, &self.signature)).map_err(|e| e.context("the receipt"))?;
        Ok(&self.receipt)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ukimet_model::ErrorKind;

    const SECRET: [u8; 32] = [7; 32];

    fn receipt() -> ExportReceipt {
        let column = |name: &str, r#type: &str, byte| ColumnDigest {
            name: name.to_owned(),
            r#type: r#type.to_owned(),
            sha256: Sha256([byte; 32]),
        };
        ExportReceipt {
            dataset: "almaty/schools".parse().expect("an id"),
            dataset_uuid: DatasetUuid::from_random(7),
            version: VersionNumber(7),
            version_hash: Sha256([1; 32]),
            request: r#"{"dataset":"almaty/schools","version":7,"filter":"атауы = 'Абай'"}"#.to_owned(),
            rows: 120,
            columns: vec![column("name", "Utf8", 2), column("seats", "Int64", 3)],
            issued: "2026-11-22T10:00:00Z".parse().expect("a time"),
        }
    }

    #[test]
    fn a_receipt_survives_its_file_and_counts_for_its_hub_only() {
        let signed = receipt().sign(&SECRET);
        let read = SignedReceipt::parse(&serde_json::to_vec_pretty(&signed).expect("JSON")).expect("own text");
        assert_eq!(read.verify(&signing::public_key(&SECRET)).expect("valid"), &receipt());
        let error = read.verify(&signing::public_key(&[8; 32])).expect_err("another hub");
        assert!(error.message().contains("signed the receipt, not"), "{error}");
    }

    #[test]
    fn a_changed_byte_of_a_receipt_is_found() {
        let json = serde_json::to_vec(&receipt().sign(&SECRET)).expect("JSON");
        let taken = (0..json.len()).filter(|i| {
            let mut changed = json.clone();
            changed[*i] ^= 1;
            SignedReceipt::parse(&changed).is_ok_and(|signed| signed.verify(&signing::public_key(&SECRET)).is_ok())
        });
        assert_eq!(taken.collect::<Vec<_>>(), Vec::<usize>::new());
    }

    #[test]
    fn other_rows_than_those_of_a_receipt_are_named() {
        let receipt = receipt();
        receipt.check_rows(120, &receipt.columns).expect("the same");
        let changed = |change: fn(&mut ColumnDigest)| {
            let mut columns = receipt.columns.clone();
            change(&mut columns[1]);
            columns
        };
        for (rows, columns, part) in [
            (119, receipt.columns.clone(), "for 120 rows, found 119"),
            (
                120,
                changed(|column| column.name = "places".to_owned()),
                "name Utf8, seats Int64, found name Utf8, places",
            ),
            (120, changed(|column| column.r#type = "Int32".to_owned()), "seats Int32"),
            (120, changed(|column| column.sha256 = Sha256([9; 32])), "column \"seats\" have the hash 0303"),
            (120, vec![receipt.columns[0].clone()], "found name Utf8"),
        ] {
            let error = receipt.check_rows(rows, &columns).expect_err(part);
            assert!(error.kind() == ErrorKind::DataLoss && error.message().contains(part), "{error}");
        }
    }
}
