//! The `logwrites` program. All of it is in the library.

fn main() -> std::process::ExitCode {
    logwrites::run()
}
