//! Every file of a hostile corpus comes out as its manifest says, and the adapter lives on.

use crate::adapter::Adapter;
use crate::corpus::{Case, Corpus, Outcome};
use crate::failure::{Failure, Verdict, broken, require};
use crate::generate;
use crate::reading::Reading;
use crate::requirement::{Class, requirements};
use crate::samples::{Answer, answer};
use std::collections::HashSet;
use std::time::{Duration, Instant};

/// How long one hostile file may take: files are small, and what they pretend to be does not count.
const FILE_TIME_MAX: Duration = Duration::from_secs(30);

/// The class.
pub fn class() -> Class<Corpus> {
    Class { name: "corpus", requirements: requirements![every_hostile_file_comes_out_as_it_must] }
}

async fn every_hostile_file_comes_out_as_it_must(corpus: &Corpus) -> Verdict {
    let formats = corpus.adapter.describe().await?.formats;
    let is_read = |case: &&Case| formats.iter().any(|format| format.extensions.iter().any(|e| e == ending(case)));
    let cases: Vec<_> = corpus.cases.iter().filter(is_read).collect();
    let usual = usual_rules(&corpus.adapter, &cases).await?;
    let mut wrong = Vec::new();
    let asked = cases.len();
    for case in cases {
        if let Err(Failure::Broken(message)) = comes_out(&corpus.adapter, case, &usual).await {
            wrong.push(format!("{} ({}): {message}", case.file.name, case.defect));
        }
    }
    if asked == 0 {
        return Err(Failure::NotApplicable("the adapter reads no format of the corpus".to_owned()));
    }
    require(wrong.is_empty(), || format!("{} of {asked} files: {}", wrong.len(), wrong.join("\n        ")))
}

fn ending(case: &Case) -> &str {
    case.file.name.rsplit('.').next().unwrap_or_default()
}

/// Endings and rules that sound files have too: what they say is no word about a defect.
type Usual = HashSet<(String, String)>;

async fn usual_rules(adapter: &Adapter, cases: &[&Case]) -> Verdict<Usual> {
    let mut usual = Usual::new();
    for case in cases.iter().filter(|case| case.outcomes == [Outcome::Taken]) {
        if let Answer::Read(reading) = answer(adapter, case.requests()).await? {
            usual.extend(rules(&reading).into_iter().map(|rule| (ending(case).to_owned(), rule)));
        }
    }
    Ok(usual)
}

fn rules(reading: &Reading) -> Vec<String> {
    let reports = reading.layers.iter().filter_map(|layer| layer.report.as_ref());
    reports.flat_map(|report| &report.diagnostics).map(|diagnostic| diagnostic.rule.clone()).collect()
}

async fn comes_out(adapter: &Adapter, case: &Case, usual: &Usual) -> Verdict {
    let begin = Instant::now();
    let answered = tokio::time::timeout(FILE_TIME_MAX, answer(adapter, case.requests())).await;
    let Ok(answered) = answered else { return broken(format!("no answer within {} s", FILE_TIME_MAX.as_secs())) };
    let answered = answered?;
    adapter.describe().await.map_err(|status| Failure::from(status).context("Describe after the file"))?;
    let found = describe(&answered);
    require(case.outcomes.iter().any(|outcome| is(*outcome, case, &answered, usual)), || {
        format!("expected {:?} of {} rows, found {found} after {:.1?}", case.outcomes, case.rows, begin.elapsed())
    })
}

fn describe(answer: &Answer) -> String {
    match answer {
        Answer::Refused(status) => format!("{:?}: {}", status.code(), generate::shortened(status.message())),
        Answer::Read(reading) => {
            format!("{} rows with {:?}", reading.rows(), rules(reading))
        }
    }
}

/// Whether an answer is of this kind.
fn is(outcome: Outcome, case: &Case, answer: &Answer, usual: &Usual) -> bool {
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
            let is_told = rules(reading).into_iter().any(|rule| !usual.contains(&(ending(case).to_owned(), rule)));
            match outcome {
                Outcome::Taken => reading.rows() == case.rows && refused == 0,
                Outcome::TakenWithFinding => reading.rows() == case.rows && is_told,
                Outcome::RowRefused => refused > 0 && reading.rows() + refused == case.rows && is_told,
                Outcome::FileRefused | Outcome::Asked => false,
            }
        }
    }
}
