//! Plants faults in small storage engines, and shows how many runs it takes to find each; and that the same engines
//! without the fault survive every crash. `cargo run -p logwrites-check --example self-test`

mod faults;

use std::process::ExitCode;

fn main() -> ExitCode {
    println!("{:<40} {:>6}  the same without it", "planted", "runs");
    let mut is_all_found = true;
    for fault in faults::FAULTS {
        let found = match (fault.run)(true) {
            Err(failure) => failure.nr_runs().to_string(),
            Ok(_) => "NOT FOUND".into(),
        };
        let sound = match (fault.run)(false) {
            Ok(report) => report.to_string(),
            Err(failure) => format!("FALSE ALARM: {failure}"),
        };
        is_all_found &= found != "NOT FOUND" && !sound.starts_with("FALSE ALARM");
        println!("{:<40} {found:>6}  {sound}", fault.name);
    }
    if is_all_found { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
