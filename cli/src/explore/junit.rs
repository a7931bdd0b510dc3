//! An exploration as a test report that any CI shows: a suite for each check, a case for each group.

use std::time::Duration;

use logwrites_core::num::widen;
use quick_junit::{
    NonSuccessKind, Property, Report as Suites, SerializeError, TestCase, TestCaseStatus, TestSuite,
};

use super::report::{CrashReport, FindingReport, GroupReport, LostWrite, Report};
use super::words::{self, Sentence};

/// The report in the XML of `JUnit`. A group fails if a state of it does, with the findings at its point; a group that is not
/// decided is skipped, with what is decided of it. Groups after those that a report tells one by one are one case.
///
/// # Errors
/// [`SerializeError`] if XML cannot say it.
pub fn junit(reports: &[Report]) -> Result<String, SerializeError> {
    let mut suites = Suites::new("logwrites explore");
    suites.set_time(reports.iter().map(took).sum());
    suites.add_test_suites(reports.iter().map(suite));
    suites.to_string()
}

fn suite(report: &Report) -> TestSuite {
    let name = words::label(report);
    let mut suite = TestSuite::new(name.as_str());
    suite.set_time(took(report));
    suite.add_properties([
        Property::new("check", report.check.as_str()),
        Property::new("states_log2", report.states.log2().to_string()),
        Property::new("decided_share", report.decided_share.to_string()),
        Property::new("runs", report.runs.to_string()),
        Property::new("reused", report.reused.to_string()),
    ]);
    let Sentence { check, word, rest } = Sentence::of(report);
    let mut told = vec![format!("{check}: {word}: {rest}")];
    told.extend(words::doubts(report));
    suite.set_system_out(told.join("\n"));
    let cases = report.by_group.iter().map(|group| case_of_group(group, report));
    let cases = cases.chain(findings_elsewhere(report).map(case_of_finding)).chain(others(report));
    suite.add_test_cases(cases.map(|mut case| {
        case.set_classname(name.as_str());
        case
    }));
    suite
}

/// A group, with the findings at its point.
fn case_of_group(group: &GroupReport, report: &Report) -> TestCase {
    let (point, total) = (group.point, words::power_of_two(group.units));
    let status = if let Some(log2) = group.failing_log2 {
        let findings: Vec<&FindingReport> =
            report.findings.iter().filter(|finding| finding.crash.point == point).collect();
        failure(&format!("{} of its {total} states fail", words::about(log2)), &findings)
    } else if group.is_decided {
        TestCaseStatus::success()
    } else {
        skipped(format!("{} of its {total} states decided", words::percent_of(group.decided_share)))
    };
    TestCase::new(format!("crash up to point {point}"), status)
}

/// The findings at points where no group is told to fail.
fn findings_elsewhere(report: &Report) -> impl Iterator<Item = &FindingReport> {
    let is_failing = |group: &GroupReport| group.failing_log2.is_some();
    report.findings.iter().filter(move |finding| {
        !report.by_group.iter().any(|group| group.point == finding.crash.point && is_failing(group))
    })
}

fn case_of_finding(finding: &FindingReport) -> TestCase {
    TestCase::new(
        format!("crash in state {}", finding.crash.state),
        failure(&words::heading(finding), &[finding]),
    )
}

/// The groups that are not told one by one, of which some passed or are not decided. What fails among them is a finding.
fn others(report: &Report) -> Option<TestCase> {
    let nr_told = widen(report.by_group.len());
    let nr = report.groups.checked_sub(nr_told).filter(|nr| *nr > 0)?;
    let told_decided = widen(report.by_group.iter().filter(|group| group.is_decided).count());
    let nr_decided = report.groups_decided.saturating_sub(told_decided);
    let status = if nr_decided >= nr {
        TestCaseStatus::success()
    } else {
        skipped(format!("{nr_decided} of {nr} groups decided"))
    };
    Some(TestCase::new(format!("crashes in {nr} groups more"), status))
}

fn skipped(message: String) -> TestCaseStatus {
    let mut status = TestCaseStatus::skipped();
    status.set_message(message);
    status
}

fn failure(message: &str, findings: &[&FindingReport]) -> TestCaseStatus {
    let mut status = TestCaseStatus::non_success(NonSuccessKind::Failure);
    status.set_message(message);
    if let [finding, ..] = findings {
        status.set_type(finding.ended.as_str());
    }
    let told: Vec<String> = findings.iter().map(|finding| described(finding)).collect();
    status.set_description(told.join("\n\n"));
    status
}

/// All that is known of a finding, as a terminal shows it.
fn described(finding: &FindingReport) -> String {
    let CrashReport { lost_writes, .. } = &finding.crash;
    let mut lines = vec![words::heading(finding), words::cause(finding)];
    if lost_writes.is_empty() {
        lines.push(words::NOTHING_LOST.to_owned());
    }
    let lost = |write: &LostWrite| format!("lost: {}", words::lost_write(write));
    lines.extend(lost_writes.iter().map(lost));
    lines.extend(words::first(&finding.crash));
    if let Some(recovery) = &finding.recovery {
        lines.push(words::recovery(recovery));
        lines.extend(recovery.crash.lost_writes.iter().map(lost));
        lines.extend(words::first_in_recovery(recovery));
    }
    lines.extend([finding.output.clone(), format!("again: {}", finding.again)]);
    lines.join("\n")
}

fn took(report: &Report) -> Duration {
    Duration::try_from_secs_f64(report.seconds).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::explore::example;

    #[test]
    fn a_suite_for_each_check_has_a_case_for_each_group() {
        let xml = junit(&example::reports()).expect("XML can say it");
        let counts = r#"<testsuites name="logwrites explore" tests="8" skipped="2" failures="2" errors="0" time="3.500">"#;
        assert!(xml.contains(counts), "{xml}");
        for part in [
            r#"<testcase name="crash up to point 4" classname="ext4">"#,
            r#"message="2 of its 4 states fail" type="exit code 8""#,
            "lost: entry 3, a write of 4.00 KiB at sector 8: &lt;inode&gt; 12, after mark a&lt;b",
            r#"<skipped message="25.0 % of its 8 states decided"/>"#,
            r#"<testcase name="crashes in 2 groups more" classname="ext4">"#,
            r#"<skipped message="1 of 2 groups decided"/>"#,
        ] {
            assert!(xml.contains(part), "no {part:?} in {xml}");
        }
        assert!(!xml.contains('\u{1b}') && !xml.contains("<script"), "{xml}");
    }

    #[test]
    fn a_finding_is_a_case_where_no_group_is_told() {
        let mut report = example::reports().swap_remove(0);
        report.by_group.clear();
        let xml = junit(&[report]).expect("XML can say it");
        assert!(xml.contains(r#"<testcase name="crash in state 4^3" classname="ext4">"#), "{xml}");
        assert!(xml.contains(r#"tests="3" skipped="1" failures="2""#), "{xml}");
    }
}
