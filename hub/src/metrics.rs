//! What the hub counts about itself, in the Prometheus text form.

use prometheus_client::encoding::{EncodeLabelSet, text};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;
use std::fmt;
use ukimet_model::{Error, PushOutcome, PushStatus};
use ukimet_proto::status::code;

/// Counters and gauges of one hub.
#[derive(Default)]
pub struct Metrics {
    pushes: Family<Outcome, Counter>,
    rows_read: Counter,
    bytes_received: Counter,
    exports: Counter,
    exports_kept: Counter,
    rows_exported: Counter,
    snapshot: Gauge,
    datasets: Gauge,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Outcome {
    outcome: String,
}

impl Metrics {
    /// A push has ended: with an outcome, or why it failed.
    pub fn push_ended(&self, ended: Result<&PushOutcome, &Error>) {
        let outcome = match ended {
            Ok(outcome) if outcome.status == PushStatus::Published => "published".to_owned(),
            Ok(_) => "unchanged".to_owned(),
            Err(error) => format!("{:?}", code(error.kind())),
        };
        self.pushes.get_or_create(&Outcome { outcome }).inc();
        let layers = ended.map_or(&[][..], |outcome| &outcome.layers);
        self.rows_read.inc_by(layers.iter().map(|layer| layer.report.rows_read).sum());
    }

    /// The bytes of a push have come completely.
    pub fn bytes_came(&self, bytes: u64) {
        self.bytes_received.inc_by(bytes);
    }

    /// An export began.
    pub fn export_began(&self) {
        self.exports.inc();
    }

    /// An export began of which the bytes are those that went out before.
    pub fn kept_export_began(&self) {
        self.exports.inc();
        self.exports_kept.inc();
    }

    /// Rows went out.
    pub fn rows_went_out(&self, rows: usize) {
        self.rows_exported.inc_by(rows as u64);
    }

    /// The text form, with the catalog's state as of now.
    pub fn text(&self, snapshot: u64, datasets: u64) -> Result<String, fmt::Error> {
        self.snapshot.set(snapshot.cast_signed());
        self.datasets.set(datasets.cast_signed());
        let mut registry = Registry::with_prefix("ukimet");
        registry.register("pushes", "Pushes that ended, by outcome", self.pushes.clone());
        registry.register("rows_read", "Rows read by adapters for pushes that ended well", self.rows_read.clone());
        registry.register("push_bytes", "Bytes of pushes that came completely", self.bytes_received.clone());
        registry.register("exports", "Exports that began", self.exports.clone());
        registry.register("exports_kept", "Exports that were sent as they went out before", self.exports_kept.clone());
        registry.register("rows_exported", "Rows that went out", self.rows_exported.clone());
        registry.register("snapshot", "Number of the newest commit", self.snapshot.clone());
        registry.register("datasets", "Datasets in the newest snapshot", self.datasets.clone());
        let mut text = String::new();
        text::encode(&mut text, &registry)?;
        Ok(text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ukimet_model::{LayerOutcome, LayerReport, SnapshotId, VersionNumber};

    #[test]
    fn pushes_are_counted_by_outcome() {
        let metrics = Metrics::default();
        let layer = LayerOutcome {
            receipt: None,
            verdicts: None,
            quarantine: None,
            dataset: "a/b".parse().expect("valid"),
            version: VersionNumber(1),
            major: ukimet_model::MajorNumber::FIRST,
            status: PushStatus::Published,
            rows_added: 10,
            rows_changed: 0,
            marks_without_row: 0,
            key: None,
            rows_removed: 0,
            report: LayerReport { rows_read: 10, ..LayerReport::default() },
        };
        let outcome = PushOutcome { status: PushStatus::Published, layers: vec![layer], snapshot: SnapshotId(3) };
        metrics.push_ended(Ok(&outcome));
        metrics.push_ended(Err(&Error::data_loss("cut")));
        let text = metrics.text(3, 2).expect("text");
        for line in [
            r#"ukimet_pushes_total{outcome="published"} 1"#,
            r#"ukimet_pushes_total{outcome="DataLoss"} 1"#,
            "ukimet_rows_read_total 10",
            "ukimet_snapshot 3",
        ] {
            assert!(text.contains(line), "{line} in {text}");
        }
    }
}
