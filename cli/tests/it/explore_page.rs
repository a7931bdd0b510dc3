//! The page of an exploration, in a real browser.
#![cfg(target_os = "linux")]

use crate::common;

use std::path::Path;
use std::process::Command;

use common::golden::golden;
use common::{Folder, Ran};
use logwrites::explore::{Page, Report, Summary, Timeline};
use logwrites::log::Log;

/// The page as the browser has it once its script has run, and what the browser had to say.
fn opened(folder: &Folder, page: &Path) -> Ran {
    let profile = format!("--user-data-dir={}", folder.path("profile").display());
    let flags =
        ["--headless", "--no-sandbox", "--disable-gpu", "--enable-logging=stderr", "--dump-dom", &profile];
    Ran::of(Command::new("chromium").args(flags).arg(page))
}

#[test]
fn a_browser_runs_the_script_of_the_page_and_no_other() {
    let folder = golden("ext4-64m");
    let log = Log::open(&folder.path("log")).expect("a real log");
    let timeline = Timeline::of(log.index(), 64 << 20);
    let ran = folder
        .run("explore log --base base --check ext4 --from mark:mkfs --to mark:fsync12 --model torn --json");
    let ran = ran.code(1);
    let mut report: Report =
        serde_json::from_str(ran.stdout.lines().next().expect("a check")).expect("a report");
    report.findings[0].output =
        "</pre><script>document.title = 'hacked'</script><img src=x onerror=alert()>".to_owned();
    let reports = [report];
    let summary = Summary::new(&reports);
    let page = Page { log: "log", summary: &summary, reports: &reports, timeline: Some(&timeline) };
    let path = folder.path("page.html");
    std::fs::write(&path, page.to_html()).expect("the folder can be written");
    let ran = opened(&folder, &path).code(0);
    // The script shows the buttons, and so the policy knows it; it has refused nothing that the page needs.
    assert!(ran.stdout.contains(r#"<button class="copy" type="button">Copy"#), "{ran:#?}");
    assert!(ran.stdout.contains("<title>log: failed</title>"), "{ran:#?}");
    assert!(!ran.stderr.contains("Content Security Policy"), "{ran:#?}");
}
