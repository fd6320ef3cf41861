//! Rows of a layer are read while those before them are looked at or normalised: two threads, one batch between them.

use arrow_array::RecordBatch;
use std::panic::resume_unwind;
use std::sync::mpsc::{Receiver, sync_channel};
use std::thread;
use ukimet_adapter_sdk::{DerivedFile, RowSink};
use ukimet_model::{Error, LayerReport, QuarantinedRow, Result, Verdict};
use ukimet_normalize::{Plan, Survey};

/// A raw batch, and the file that was made of its row.
pub(crate) struct RawRows {
    pub(crate) raw: RecordBatch,
    pub(crate) asset: Option<DerivedFile>,
}

/// Shows the rows that `next` reads to the survey as long as it has to see more, and ends it.
///
/// One batch more may be read than is looked at; what fails there fails when it is read again.
///
/// # Errors
///
/// Those of reading and of the survey, the first in the order of rows.
pub(crate) fn survey_rows(survey: Survey, next: impl FnMut() -> Result<Option<RecordBatch>>) -> Result<Plan> {
    beside(next, move |read| {
        let mut survey = survey;
        while survey.needs_more() {
            let Ok(batch) = read.recv() else { break };
            survey.observe(&batch?)?;
        }
        survey.finish()
    })
}

/// Gives the rows that `next` reads to the sink, normalised, with what was found; the report, and the verdicts that are left.
///
/// A row fails as it would if one followed the other: the first error in the order of rows is told.
///
/// # Errors
///
/// Those of reading and normalising; `InvalidData` for a layer without rows unless it `may_be_empty`.
pub(crate) fn give_rows(
    plan: Plan,
    may_be_empty: bool,
    next: impl FnMut() -> Result<Option<RawRows>>,
    sink: &mut dyn RowSink,
) -> Result<(LayerReport, Vec<Verdict>)> {
    beside(next, move |read| normalize(plan, may_be_empty, &read, sink))
}

/// Takes what `next` reads on another thread, item after item; an error is the last one.
fn beside<T: Send, R: Send>(
    mut next: impl FnMut() -> Result<Option<T>>,
    take: impl FnOnce(Receiver<Result<T>>) -> Result<R> + Send,
) -> Result<R> {
    thread::scope(|scope| {
        // An item is handed over, none waits: the next one is read meanwhile.
        let (sender, receiver) = sync_channel(0);
        let taking = thread::Builder::new()
            .spawn_scoped(scope, move || take(receiver))
            .map_err(|error| Error::unavailable("starting a thread for the rules").caused_by(error))?;
        while let Some(read) = next().transpose() {
            let is_last = read.is_err();
            // Nobody takes it any more if a row before it failed, or enough was seen.
            if sender.send(read).is_err() || is_last {
                break;
            }
        }
        drop(sender);
        taking.join().unwrap_or_else(|panic| resume_unwind(panic))
    })
}

fn normalize(
    plan: Plan,
    may_be_empty: bool,
    read: &Receiver<Result<RawRows>>,
    sink: &mut dyn RowSink,
) -> Result<(LayerReport, Vec<Verdict>)> {
    let mut normalizer = plan.normalizer();
    let mut is_empty = true;
    for rows in read {
        let RawRows { raw, asset } = rows?;
        is_empty &= raw.num_rows() == 0;
        let batch = normalizer.normalize(&raw)?;
        if batch.rows().num_rows() > 0 {
            sink.batch(batch)?;
            if let Some(asset) = asset {
                sink.derived_asset(asset)?;
            }
        }
        give_findings(normalizer.take_verdicts(), normalizer.take_quarantined(), sink)?;
    }
    if is_empty && !may_be_empty {
        return Err(Error::invalid_data("a layer with rows was expected, found none"));
    }
    normalizer.finish()
}

/// Gives what was found to the sink, where there is something.
pub(crate) fn give_findings(
    verdicts: Vec<Verdict>,
    quarantined: Vec<QuarantinedRow>,
    sink: &mut dyn RowSink,
) -> Result<()> {
    if !verdicts.is_empty() {
        sink.verdicts(verdicts)?;
    }
    if !quarantined.is_empty() {
        sink.quarantine(quarantined)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use arrow_array::{ArrayRef, Int64Array, StringArray};
    use arrow_schema::{DataType, Field, Schema, SchemaRef};
    use std::sync::Arc;
    use std::sync::mpsc::channel;
    use std::time::Duration;
    use ukimet_model::Batch;
    use ukimet_normalize::{Declared, Limits, SourceEncoding, SourceLayer, Survey};

    /// Waits at each batch until it hears that the next one was read, and fails at the one that it is told to.
    struct Waiting {
        read: Receiver<()>,
        batches: usize,
        fails_at: Option<usize>,
    }

    impl RowSink for Waiting {
        fn begin_layer(&mut self, _: &str, _: &SchemaRef, _: &[String]) -> Result<()> {
            Ok(())
        }
        fn batch(&mut self, _: Batch) -> Result<()> {
            self.batches += 1;
            if self.fails_at == Some(self.batches) {
                return Err(Error::unavailable("the sink is full"));
            }
            let heard = self.read.recv_timeout(Duration::from_mins(1));
            heard.map_err(|_| Error::timed_out("the next batch was not read meanwhile"))
        }
        fn verdicts(&mut self, _: Vec<Verdict>) -> Result<()> {
            Ok(())
        }
        fn quarantine(&mut self, _: Vec<QuarantinedRow>) -> Result<()> {
            Ok(())
        }
        fn derived_asset(&mut self, _: DerivedFile) -> Result<()> {
            Ok(())
        }
        fn end_layer(&mut self, _: LayerReport) -> Result<()> {
            Ok(())
        }
    }

    /// The survey of a layer with these columns.
    fn survey_of(schema: &SchemaRef, untyped: bool) -> Result<Survey> {
        let layer = SourceLayer {
            name: "layer".to_owned(),
            format: "test".to_owned(),
            schema: Arc::clone(schema),
            raw_names: None,
            crs: None,
            encoding: SourceEncoding::Utf8 { transcoded_from: None },
            untyped,
        };
        Survey::begin(&layer, &Declared::default(), &Limits::default())
    }

    /// Gives three batches and then an end, or an error instead of one of them.
    fn give(reading_fails_at: Option<usize>, sink_fails_at: Option<usize>) -> Result<u64> {
        let schema = Arc::new(Schema::new(vec![Field::new("n", DataType::Int64, true)]));
        let plan = survey_of(&schema, false)?.finish()?;
        let (tell, read) = channel();
        let mut sink = Waiting { read, batches: 0, fails_at: sink_fails_at };
        let mut begun = 0;
        let next = || {
            begun += 1;
            if begun > 1 {
                let _ = tell.send(());
            }
            if reading_fails_at == Some(begun) {
                return Err(Error::invalid_data("the file is cut"));
            }
            let column: ArrayRef = Arc::new(Int64Array::from(vec![7]));
            let raw = || RecordBatch::try_new(Arc::clone(&schema), vec![Arc::clone(&column)]).expect("fits");
            Ok((begun <= 3).then(|| RawRows { raw: raw(), asset: None }))
        };
        give_rows(plan, false, next, &mut sink).map(|(report, _)| report.rows_taken)
    }

    #[test]
    fn the_next_batch_is_read_while_one_is_taken() {
        assert_eq!(give(None, None).expect("all are taken"), 3);
    }

    #[test]
    fn the_first_error_in_the_order_of_rows_is_told() {
        let told = |reading, sink| give(reading, sink).expect_err("fails").message().to_owned();
        assert!(told(Some(2), None).contains("cut"));
        assert!(told(None, Some(2)).contains("full"));
        assert!(told(Some(2), Some(1)).contains("full"), "the row before comes first");
        assert!(told(Some(1), Some(1)).contains("cut"));
    }

    /// Surveys a column of text of which every row has to be seen, or of numbers of which none has to be, and reads until the
    /// batch of this number fails.
    fn survey(is_text: bool, reading_fails_at: usize) -> Result<()> {
        let data_type = if is_text { DataType::Utf8 } else { DataType::Int64 };
        let schema = Arc::new(Schema::new(vec![Field::new("n", data_type, true)]));
        let survey = survey_of(&schema, is_text)?;
        let mut read = 0;
        let next = || {
            read += 1;
            if read == reading_fails_at {
                return Err(Error::invalid_data("the file is cut"));
            }
            let column: ArrayRef = if is_text {
                Arc::new(StringArray::from(vec![read.to_string()]))
            } else {
                Arc::new(Int64Array::from(vec![7]))
            };
            Ok((read <= 3).then(|| RecordBatch::try_new(Arc::clone(&schema), vec![column]).expect("fits")))
        };
        survey_rows(survey, next).map(drop)
    }

    #[test]
    fn a_survey_fails_where_reading_does_if_it_has_to_see_that_row() {
        survey(true, 9).expect("all are seen");
        assert!(survey(true, 3).expect_err("cut").message().contains("cut"));
        survey(false, 1).expect("none has to be seen");
    }
}
