//! Measures logwrites beside the tools that people would use instead: `cargo run --release -p logwrites-benches`.
//!
//! | part | what it does |
//! |---|---|
//! | `scenarios` | what is measured, and beside what: a file for each |
//! | `compare` | the method: turns, and the ratio of medians |
//! | `table` | rows, printed and written into the README |
//! | `bench` | the tool, and the folder that scenarios work in |
//! | `process`, `server`, `fio` | the programs that are run |

mod bench;
mod compare;
mod fio;
mod process;
mod scenarios;
mod server;
mod table;

use anyhow::Context as _;
use clap::Parser;

use self::bench::Bench;
use self::scenarios::Scenario;
use self::table::Table;

/// Measure logwrites beside the tools that people would use instead, and print a table.
///
/// Both sides of a row take turns in one run, since machines differ and are noisy: the ratio is that of their medians,
/// and below 1 logwrites is faster. The scenarios take about 6 GiB of a temporary folder, which is made in TMPDIR (/tmp if
/// not set) and removed. As root the page cache is emptied before each cold run; otherwise only the log is dropped from
/// it.
#[derive(Debug, Parser)]
struct Args {
    /// Scenarios to run [default: all of them, about 20 minutes]
    #[arg(value_enum)]
    scenarios: Vec<Scenario>,
    /// Also write the rows into the tables of README.md
    #[arg(long)]
    update: bool,
}

fn main() -> anyhow::Result<()> {
    let args = Args::parse();
    let scenarios = if args.scenarios.is_empty() { &Scenario::ALL } else { args.scenarios.as_slice() };
    process::check_installed(scenarios.iter().flat_map(|scenario| scenario.programs()).copied())?;
    let bench = Bench::prepare()?;
    let mut table = Table::begin();
    for scenario in scenarios {
        eprintln!("{}: {}", scenario.name(), scenario.about());
        table.enter(scenario.name());
        scenario.run(&bench, &mut table).with_context(|| scenario.name())?;
        bench.clear()?;
        if args.update {
            table.write_to(&bench::repository().join("README.md"))?;
        }
    }
    Ok(())
}
