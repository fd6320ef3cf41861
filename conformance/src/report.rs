//! What a run found, as text, JSON and JUnit.

use crate::failure::{Failure, Verdict};
use serde::Serialize;
use std::fmt::Write;
use std::time::Duration;

/// How one requirement came out.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case", tag = "status", content = "message")]
pub enum Status {
    /// It holds.
    Passed,
    /// It does not hold; what was expected and what was found.
    Failed(String),
    /// It could not be asked; why.
    Skipped(String),
    /// It is known not to hold; why.
    KnownFailure(String),
    /// It holds although it is listed as a known failure: the line must go.
    UnexpectedPass(String),
}

/// One requirement's outcome.
#[derive(Clone, Debug, Serialize)]
pub struct Finding {
    /// The class.
    pub class: &'static str,
    /// The requirement's name.
    pub requirement: &'static str,
    /// How it came out.
    #[serde(flatten)]
    pub status: Status,
    /// How long it took, in seconds.
    pub seconds: f64,
}

impl Finding {
    /// Turns a verdict into a finding, given why the requirement is known to fail, if it is.
    pub fn new(
        class: &'static str,
        requirement: &'static str,
        verdict: Verdict,
        known: Option<&str>,
        took: Duration,
    ) -> Self {
        let status = match (verdict, known) {
            (Ok(()), None) => Status::Passed,
            (Ok(()), Some(reason)) => {
                Status::UnexpectedPass(format!("it holds now, remove the known failure: {reason}"))
            }
            (Err(Failure::NotApplicable(why)), _) => Status::Skipped(why),
            (Err(Failure::Broken(_)), Some(reason)) => Status::KnownFailure(reason.to_owned()),
            (Err(Failure::Broken(message)), None) => Status::Failed(message),
        };
        Self { class, requirement, status, seconds: took.as_secs_f64() }
    }

    /// Whether the requirement came out as it must.
    pub fn is_good(&self) -> bool {
        !matches!(self.status, Status::Failed(_) | Status::UnexpectedPass(_))
    }

    fn message(&self) -> Option<&str> {
        match &self.status {
            Status::Passed => None,
            Status::Failed(m) | Status::Skipped(m) | Status::KnownFailure(m) | Status::UnexpectedPass(m) => Some(m),
        }
    }
}

/// What a run found.
#[derive(Clone, Debug, Serialize)]
pub struct Report {
    /// The address that was asked.
    pub target: String,
    /// The seed from which the run replays.
    pub seed: u64,
    /// Every requirement in the order they were asked.
    pub findings: Vec<Finding>,
}

impl Report {
    /// Whether something was asked and everything came out as it must. Nothing asked is a failure.
    pub fn is_success(&self) -> bool {
        self.findings.iter().any(|f| f.status == Status::Passed) && self.findings.iter().all(Finding::is_good)
    }

    /// How many requirements came out like this.
    pub fn count(&self, is_counted: fn(&Status) -> bool) -> usize {
        self.findings.iter().filter(|finding| is_counted(&finding.status)).count()
    }

    /// One line a requirement, a line of figures at the end.
    pub fn to_text(&self) -> String {
        let mut text = String::new();
        for finding in &self.findings {
            let sentence = finding.requirement.replace('_', " ");
            let word = match finding.status {
                Status::Passed => "ok     ",
                Status::Failed(_) => "FAILED ",
                Status::Skipped(_) => "skipped",
                Status::KnownFailure(_) => "known  ",
                Status::UnexpectedPass(_) => "PASSED ",
            };
            let _ = writeln!(text, "{word} {:>6.1} s  {}: {sentence}", finding.seconds, finding.class);
            if let Some(message) = finding.message() {
                let _ = writeln!(text, "        {message}");
            }
        }
        let _ = writeln!(
            text,
            "{}: {} passed, {} failed, {} skipped, {} known failures; seed {}",
            self.target,
            self.count(|s| *s == Status::Passed),
            self.count(|s| matches!(s, Status::Failed(_) | Status::UnexpectedPass(_))),
            self.count(|s| matches!(s, Status::Skipped(_))),
            self.count(|s| matches!(s, Status::KnownFailure(_))),
            self.seed
        );
        text
    }

    /// The report as JSON.
    pub fn to_json(&self) -> String {
        serde_json::to_string_pretty(self).expect("a report has string keys only")
    }

    /// The report as JUnit XML, a test case for each requirement.
    pub fn to_junit(&self) -> String {
        let failures = self.findings.iter().filter(|f| !f.is_good()).count();
        let mut xml = format!(
            "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<testsuite name=\"ukimet-conformance\" tests=\"{}\" failures=\"{failures}\">\n",
            self.findings.len()
        );
        let _ = writeln!(xml, "  <properties><property name=\"seed\" value=\"{}\"/></properties>", self.seed);
        for finding in &self.findings {
            let _ = write!(
                xml,
                "  <testcase classname=\"{}\" name=\"{}\" time=\"{:.3}\">",
                finding.class, finding.requirement, finding.seconds
            );
            let element = match finding.status {
                Status::Passed => None,
                Status::Failed(_) | Status::UnexpectedPass(_) => Some("failure"),
                Status::Skipped(_) | Status::KnownFailure(_) => Some("skipped"),
            };
            if let (Some(element), Some(message)) = (element, finding.message()) {
                let _ = write!(xml, "<{element} message=\"{}\"/>", escape_xml(message));
            }
            xml.push_str("</testcase>\n");
        }
        xml.push_str("</testsuite>\n");
        xml
    }
}

fn escape_xml(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            c if c.is_control() => escaped.push(' '),
            c => escaped.push(c),
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report(verdicts: Vec<(Verdict, Option<&str>)>) -> Report {
        let finding = |(verdict, known)| Finding::new("resume", "a_cut_is_resumed", verdict, known, Duration::ZERO);
        Report { target: "t".to_owned(), seed: 7, findings: verdicts.into_iter().map(finding).collect() }
    }

    fn broken() -> Verdict {
        Err(Failure::Broken("expected <1>, found \"2\"".to_owned()))
    }

    #[test]
    fn a_run_succeeds_only_if_something_passed_and_nothing_failed() {
        let skipped = || Err(Failure::NotApplicable("no CSV".to_owned()));
        assert!(report(vec![(Ok(()), None), (skipped(), None)]).is_success());
        assert!(report(vec![(Ok(()), None), (broken(), Some("issue 9"))]).is_success());
        assert!(!report(vec![(Ok(()), None), (broken(), None)]).is_success());
        assert!(!report(vec![(skipped(), None)]).is_success());
        assert!(!report(vec![]).is_success());
    }

    #[test]
    fn a_known_failure_that_passes_fails_the_run() {
        let report = report(vec![(Ok(()), None), (Ok(()), Some("issue 9"))]);
        assert!(!report.is_success());
        assert!(report.to_text().contains("1 passed, 1 failed"), "{}", report.to_text());
    }

    #[test]
    fn a_report_names_its_seed_and_escapes_messages() {
        let report = report(vec![(broken(), None)]);
        assert!(report.to_text().contains("resume: a cut is resumed") && report.to_text().contains("seed 7"));
        assert!(report.to_junit().contains("message=\"expected &lt;1&gt;, found &quot;2&quot;\""));
        let json: serde_json::Value = serde_json::from_str(&report.to_json()).expect("JSON");
        assert_eq!(json["findings"][0]["status"], "failed");
        assert_eq!(json["findings"][0]["message"], "expected <1>, found \"2\"");
    }
}
