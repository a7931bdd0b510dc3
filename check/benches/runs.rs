//! How many runs a second a search does, with a checker that reads eight sectors: `cargo bench -p logwrites-check`.

use std::time::Instant;

use logwrites_check::disk;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    for nr_threads in [1, 2] {
        let recording = disk(1 << 20).record(|disk| {
            // Each epoch has eight units, all of which are read: 256 runs.
            for epoch in 0u64..400 {
                for sector in 0..8 {
                    let mut bytes = [0; 512];
                    bytes[..8].copy_from_slice(format!("{epoch:08}").as_bytes());
                    disk.write_at(&bytes, sector * 512)?;
                }
                disk.flush()?;
            }
            Ok(())
        });
        let began = Instant::now();
        let report = recording.threads(nr_threads).limit(1_000_000).survives(|crash| {
            let mut bytes = [0; 512];
            for sector in 0..8 {
                crash.disk().read_at(&mut bytes, sector * 512)?;
            }
            Ok(())
        });
        let seconds = began.elapsed().as_secs_f64();
        let runs = f64::from(u32::try_from(report.nr_runs())?);
        println!("{nr_threads} threads: {report} in {seconds:.2} s, {:.0} runs/s", runs / seconds);
    }
    Ok(())
}
