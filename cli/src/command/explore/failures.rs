//! What the folder of an exploration has of each way to fail.

use std::fs;
use std::io::{BufWriter, Write as _};
use std::path::Path;

use anyhow::Context as _;
use logwrites_core::history::Discards;
use serde::{Deserialize, Serialize};

use crate::command::new_file::NewFile;
use crate::command::replay;
use crate::explore::{Explored, Finding, FindingReport, OutDir, Recording, Report};
use crate::output::print_json;

/// One way to fail, as `failure.json` has it.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Failure {
    /// The check, as it was given.
    pub(super) check: String,
    /// What was found.
    #[serde(flatten)]
    pub(super) finding: FindingReport,
}

/// Keeps the disks of all findings, and what the check did to them.
pub(super) fn keep(
    out: &OutDir,
    recording: &Recording,
    discards: Discards,
    (explored, report): (&Explored, &Report),
) -> anyhow::Result<()> {
    for (finding, described) in explored.findings.iter().zip(&report.findings) {
        let folder = out.new_failure()?;
        let kept = keep_one(&folder, recording, discards, finding);
        let described = Failure { check: report.check.clone(), finding: described.clone() };
        kept.and_then(|()| {
            let mut file = fs::File::create_new(folder.join(FAILURE))?;
            Ok(print_json(&mut file, &described)?)
        })
        .with_context(|| format!("cannot keep a failure in {}", folder.display()))?;
    }
    Ok(())
}

fn keep_one(
    folder: &Path,
    recording: &Recording,
    discards: Discards,
    finding: &Finding,
) -> anyhow::Result<()> {
    let image = NewFile::create(&folder.join(IMAGE), "")?;
    let log = (recording.index(), recording.log());
    replay::make(log, recording.origin(), discards, image.disk(), &finding.state())?;
    if let Some(found) = finding.in_recovery() {
        replay::apply(
            found.recording.index(),
            &found.written.to_disk()?,
            image.disk(),
            &found.finding.state(),
        )?;
    }
    image.keep()?;
    fs::write(folder.join(OUTPUT), finding.output())?;
    if let Some(written) = finding.written() {
        let mut log = BufWriter::new(fs::File::create_new(folder.join(WRITTEN))?);
        written.write_log(&mut log)?;
        log.flush()?;
    }
    Ok(())
}

const FAILURE: &str = "failure.json";
const IMAGE: &str = "crash.img";
const OUTPUT: &str = "output.txt";
const WRITTEN: &str = "written.log";
