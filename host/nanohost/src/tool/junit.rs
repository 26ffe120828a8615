//! Results of tests as JUnit XML, which CI services read. Knows no test.

use std::path::Path;
use std::time::Duration;

use nanohost_verify::whole;
use quick_junit::{NonSuccessKind, Report, TestCase, TestCaseStatus, TestSuite};

use crate::failure::Failure;

/// One case, tried.
pub struct Result {
    /// The file of the case.
    pub suite: String,
    /// Its name.
    pub name: String,
    /// What is not as it says; empty: it passed.
    pub problems: Vec<String>,
    /// How long it took.
    pub took: Duration,
}

/// Writes the file.
///
/// # Errors
/// `junit_not_written`.
pub fn write(path: &Path, title: &str, results: &[Result]) -> anyhow::Result<()> {
    let mut report = Report::new(title);
    let mut suites: Vec<TestSuite> = Vec::new();
    for result in results {
        let status = match result.problems.as_slice() {
            [] => TestCaseStatus::success(),
            problems => {
                let mut status = TestCaseStatus::non_success(NonSuccessKind::Failure);
                status.set_message(problems.join("; "));
                status
            }
        };
        let mut case = TestCase::new(result.name.as_str(), status);
        case.set_classname(result.suite.as_str()).set_time(result.took);
        match suites.last_mut().filter(|suite| suite.name.as_str() == result.suite) {
            Some(suite) => drop(suite.add_test_case(case)),
            None => {
                let mut suite = TestSuite::new(result.suite.as_str());
                suite.add_test_case(case);
                suites.push(suite);
            }
        }
    }
    report.add_test_suites(suites);
    let io = |error: std::io::Error| Failure::io("junit_not_written", "write", path, &error);
    whole::replace_shared(path, |file| report.serialize(file).map_err(std::io::Error::other)).map_err(io)
}

#[cfg(test)]
mod tests;
