//! Every file of a hostile corpus comes out as its manifest says, and the adapter lives on.

use crate::adapter::Adapter;
use crate::corpus::{Case, Corpus, Outcome};
use crate::failure::{Failure, Verdict, broken, require};
use crate::generate;
use crate::requirement::{Class, requirements};
use crate::samples::{Answer, answer};
use std::time::{Duration, Instant};

/// How long one hostile file may take: files are small, and what they pretend to be does not count.
const FILE_TIME_MAX: Duration = Duration::from_secs(30);

/// The class.
pub fn class() -> Class<Corpus> {
    Class { name: "corpus", requirements: requirements![every_hostile_file_comes_out_as_it_must] }
}

async fn every_hostile_file_comes_out_as_it_must(corpus: &Corpus) -> Verdict {
    let formats = corpus.adapter.describe().await?.formats;
    let mut wrong = Vec::new();
    let mut asked = 0;
    for case in &corpus.cases {
        let ending = case.file.name.rsplit('.').next().unwrap_or_default();
        if !formats.iter().any(|format| format.extensions.iter().any(|e| e == ending)) {
            continue;
        }
        asked += 1;
        if let Err(Failure::Broken(message)) = comes_out(&corpus.adapter, case).await {
            wrong.push(format!("{} ({}): {message}", case.file.name, case.defect));
        }
    }
    if asked == 0 {
        return Err(Failure::NotApplicable("the adapter reads no format of the corpus".to_owned()));
    }
    require(wrong.is_empty(), || format!("{} of {asked} files: {}", wrong.len(), wrong.join("\n        ")))
}

async fn comes_out(adapter: &Adapter, case: &Case) -> Verdict {
    let begin = Instant::now();
    let answered = tokio::time::timeout(FILE_TIME_MAX, answer(adapter, case.requests())).await;
    let Ok(answered) = answered else { return broken(format!("no answer within {} s", FILE_TIME_MAX.as_secs())) };
    let answered = answered?;
    adapter.describe().await.map_err(|status| Failure::from(status).context("Describe after the file"))?;
    let found = describe(&answered);
    require(case.outcomes.iter().any(|outcome| is(*outcome, case, &answered)), || {
        format!("expected {:?} of {} rows, found {found} after {:.1?}", case.outcomes, case.rows, begin.elapsed())
    })
}

fn describe(answer: &Answer) -> String {
    match answer {
        Answer::Refused(status) => format!("{:?}: {}", status.code(), generate::shortened(status.message())),
        Answer::Read(reading) => {
            let rules = reading.layers.iter().filter_map(|layer| layer.report.as_ref());
            let rules: Vec<_> = rules.flat_map(|report| &report.diagnostics).map(|d| d.rule.as_str()).collect();
            format!("{} rows with {rules:?}", reading.rows())
        }
    }
}

/// Whether an answer is of this kind.
fn is(outcome: Outcome, case: &Case, answer: &Answer) -> bool {
    match answer {
        Answer::Refused(status) => match outcome {
            Outcome::FileRefused => {
                use tonic::Code as C;
                let codes = [C::InvalidArgument, C::DataLoss, C::FailedPrecondition, C::ResourceExhausted, C::NotFound];
                codes.contains(&status.code()) && !status.message().is_empty()
            }
            Outcome::Asked => status.code() == tonic::Code::FailedPrecondition && !status.message().is_empty(),
            _ => false,
        },
        Answer::Read(reading) => {
            let refused: u64 = reading.layers.iter().map(|layer| layer.quarantined.len() as u64).sum();
            let is_told = reading.layers.iter().filter_map(|layer| layer.report.as_ref()).any(|report| {
                report.diagnostics.iter().any(|d| case.group_of_rule.is_none_or(|group| d.rule.starts_with(group)))
            });
            match outcome {
                Outcome::Taken => reading.rows() == case.rows && refused == 0,
                Outcome::TakenWithFinding => reading.rows() == case.rows && is_told,
                Outcome::RowRefused => refused > 0 && reading.rows() + refused == case.rows && is_told,
                Outcome::FileRefused | Outcome::Asked => false,
            }
        }
    }
}
