//! What fio reports with `--minimal`: a line for each job, its fields separated by semicolons.

use std::time::Duration;

use anyhow::Context as _;

/// How long the writes of a job took, without fio's start, which takes 0.3 s.
pub(crate) fn write_time(report: &str, job: &str) -> anyhow::Result<Duration> {
    Ok(Duration::from_millis(field(report, job, WRITE_MILLIS)?.parse().context("fio's write time")?))
}

/// How many writes a job did in a second.
pub(crate) fn writes_per_second(report: &str, job: &str) -> anyhow::Result<f64> {
    field(report, job, WRITE_IOPS)?.parse().context("fio's writes per second")
}

/// Within how many microseconds half, 99 % and 99.9 % of the writes of a job were done.
pub(crate) fn latencies(report: &str, job: &str) -> anyhow::Result<Vec<(String, u64)>> {
    let fields = fields(report, job)?;
    let mut found = Vec::new();
    for (percent, micros) in fields.iter().skip(WRITE_LATENCIES).filter_map(|field| field.split_once("%=")) {
        let percent = percent.trim_end_matches('0').trim_end_matches('.');
        if ["50", "99", "99.9"].contains(&percent) {
            found.push((format!("{percent} %"), micros.parse().context("fio's latency")?));
        }
    }
    Ok(found)
}

fn field<'a>(report: &'a str, job: &str, at: usize) -> anyhow::Result<&'a str> {
    fields(report, job)?.get(at).copied().with_context(|| format!("fio's report is too short: {report:?}"))
}

fn fields<'a>(report: &'a str, job: &str) -> anyhow::Result<Vec<&'a str>> {
    let mut lines = report.lines().map(|line| line.split(';').collect::<Vec<_>>());
    lines
        .find(|fields| fields.get(NAME) == Some(&job))
        .with_context(|| format!("fio reported nothing of {job}: {report:?}"))
}

// Counted from 0.
const NAME: usize = 2;
const WRITE_LATENCIES: usize = 46;
const WRITE_IOPS: usize = 48;
const WRITE_MILLIS: usize = 49;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_found() {
        let mut fields: Vec<String> = (0..90).map(|number| number.to_string()).collect();
        for (at, text) in
            [(2, "nbd"), (57, "50.000000%=337"), (60, "99.000000%=1318"), (63, "99.900000%=1466")]
        {
            text.clone_into(&mut fields[at]);
        }
        let report = format!("fio: a warning\n{}\n", fields.join(";"));
        assert_eq!(write_time(&report, "nbd").ok(), Some(Duration::from_millis(49)));
        assert_eq!(writes_per_second(&report, "nbd").ok(), Some(48.0));
        let expected = [("50 %", 337), ("99 %", 1318), ("99.9 %", 1466)].map(|(at, us)| (at.to_owned(), us));
        assert_eq!(latencies(&report, "nbd").ok(), Some(expected.to_vec()));
        assert!(write_time(&report, "other").is_err());
    }
}
