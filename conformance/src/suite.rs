//! Asks a target every requirement of its classes.

use crate::adapter::Adapter;
use crate::class;
use crate::corpus::{self, Corpus};
use crate::failure::Failure;
use crate::hub::Hub;
use crate::known;
use crate::report::{Finding, Report};
use crate::requirement::{Class, Requirement};
use crate::samples::{self, Sampled};
use std::path::PathBuf;
use std::time::{Duration, Instant};
use ukimet_model::{Error, Result};
use ukimet_proto::v1::DescribeResponse;

/// What a run is told.
#[derive(Clone, Debug)]
pub struct Options {
    /// Only the class of this name; `None` for all.
    pub class: Option<String>,
    /// Where everything random comes from.
    pub seed: u64,
    /// How long one requirement may take before it counts as failed.
    pub requirement_time_max: Duration,
}

/// What an adapter is asked beside the requirements for formats that everyone knows.
#[derive(Clone, Debug, Default)]
pub struct AdapterOptions {
    /// Folder with samples of what it reads.
    pub samples: Option<PathBuf>,
    /// Folder with a hostile corpus.
    pub corpus: Option<PathBuf>,
    /// Whether it was told that it may read files below that folder.
    pub is_granted: bool,
}

/// Asks a hub.
///
/// # Errors
///
/// `InvalidRequest` if there is no such class, `Unavailable` if the hub cannot be reached.
pub async fn run_hub(url: &str, options: &Options) -> Result<Report> {
    let classes = class::hub();
    let names: Vec<_> = names(&classes).collect();
    let classes = chosen(classes, &names, options)?;
    let agency = format!("conformance-{:012x}", options.seed & 0xffff_ffff_ffff);
    let hub = Hub::connect(url, agency, options.seed).await.map_err(|failure| unreachable_target(url, failure))?;
    Ok(ask(url, &hub, &classes, options).await)
}

/// Asks an adapter at `http://host:port` or `unix:PATH`.
///
/// # Errors
///
/// As [`run_hub`].
pub async fn run_adapter(address: &str, options: &Options, more: &AdapterOptions) -> Result<Report> {
    let samples = more.samples.as_deref().map(samples::load).transpose()?;
    let with_samples = if samples.is_some() { class::sampled() } else { Vec::new() };
    let cases = more.corpus.as_deref().map(corpus::load).transpose()?;
    let hostile = if cases.is_some() { class::hostile() } else { Vec::new() };
    let plain = class::adapter();
    let names: Vec<_> = names(&plain).chain(names(&with_samples)).chain(names(&hostile)).collect();
    let (plain, with_samples) = (chosen(plain, &names, options)?, chosen(with_samples, &names, options)?);
    let hostile = chosen(hostile, &names, options)?;
    let adapter =
        Adapter::connect(address, options.seed).await.map_err(|failure| unreachable_target(address, failure))?;
    let mut report = ask(address, &adapter, &plain, options).await;
    if let Some(samples) = samples {
        let target = Sampled { adapter: adapter.clone(), samples, is_granted: more.is_granted };
        report.findings.extend(ask(address, &target, &with_samples, options).await.findings);
    }
    if let Some(cases) = cases {
        let target = Corpus { adapter, cases };
        report.findings.extend(ask(address, &target, &hostile, options).await.findings);
    }
    Ok(report)
}

fn names<T>(classes: &[Class<T>]) -> impl Iterator<Item = &'static str> + '_ {
    classes.iter().map(|class| class.name)
}

fn unreachable_target(address: &str, failure: Failure) -> Error {
    let (Failure::Broken(message) | Failure::NotApplicable(message)) = failure;
    Error::unavailable(format!("nothing answers at {address}: {message}"))
}

/// The class that was asked for, or all; `names` are those of every class there is for the target.
fn chosen<T>(mut classes: Vec<Class<T>>, names: &[&str], options: &Options) -> Result<Vec<Class<T>>> {
    let Some(name) = &options.class else { return Ok(classes) };
    if !names.contains(&name.as_str()) {
        let found = ukimet_model::error::quoted(name);
        return Err(Error::invalid_request(format!("a class is one of {}, found {found}", names.join(", "))));
    }
    classes.retain(|class| class.name == name);
    Ok(classes)
}

/// What the adapter at this address says it is.
///
/// # Errors
///
/// `Unavailable` if it does not answer.
pub async fn describe_adapter(address: &str, options: &Options) -> Result<DescribeResponse> {
    let adapter =
        Adapter::connect(address, options.seed).await.map_err(|failure| unreachable_target(address, failure))?;
    adapter.describe().await.map_err(|status| unreachable_target(address, status.into()))
}

async fn ask<T>(address: &str, target: &T, classes: &[Class<T>], options: &Options) -> Report {
    let mut findings = Vec::new();
    for class in classes {
        for requirement in &class.requirements {
            findings.push(ask_one(target, class.name, requirement, options.requirement_time_max).await);
        }
    }
    Report { target: address.to_owned(), seed: options.seed, findings }
}

async fn ask_one<T>(target: &T, class: &'static str, requirement: &Requirement<T>, time_max: Duration) -> Finding {
    let begin = Instant::now();
    let verdict = tokio::time::timeout(time_max, (requirement.check)(target))
        .await
        .unwrap_or_else(|_| Err(Failure::Broken(format!("no answer within {} s", time_max.as_secs()))));
    let reason = known::reason(known::KNOWN, class, requirement.name);
    Finding::new(class, requirement.name, verdict, reason, begin.elapsed())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn every_requirement_has_a_name_of_its_own_and_every_known_failure_names_one() {
        let names: Vec<_> = (class::hub().into_iter().flat_map(|c| names_of(&c)))
            .chain(class::adapter().into_iter().flat_map(|c| names_of(&c)))
            .chain(class::hostile().into_iter().flat_map(|c| names_of(&c)))
            .chain(class::sampled().into_iter().flat_map(|c| names_of(&c)))
            .collect();
        assert_eq!(names.iter().collect::<HashSet<_>>().len(), names.len());
        for known in known::KNOWN {
            assert!(names.contains(&(known.class, known.requirement)), "{known:?}");
        }
    }

    fn names_of<T>(class: &Class<T>) -> Vec<(&'static str, &'static str)> {
        class.requirements.iter().map(|r| (class.name, r.name)).collect()
    }

    #[test]
    fn a_class_that_does_not_exist_is_refused_with_the_names_of_those_that_do() {
        let options =
            Options { class: Some("resum".to_owned()), seed: 1, requirement_time_max: Duration::from_secs(1) };
        let names: Vec<_> = names(&class::hub()).collect();
        let Err(error) = chosen(class::hub(), &names, &options) else { panic!("there is no such class") };
        assert!(error.message().contains("resume") && error.message().contains("\"resum\""), "{error}");
    }
}
