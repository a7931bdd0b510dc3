//! Every fault that the example plants is found, and without it every state is decided to survive.

#[path = "../examples/self-test/faults.rs"]
mod faults;

#[test]
fn each_planted_fault_is_found_and_nothing_else() {
    for fault in faults::FAULTS {
        let failure = (fault.run)(true).expect_err(fault.name);
        println!("{}: {} runs\n{failure}\n", fault.name, failure.nr_runs());
        assert!(!failure.state().is_empty(), "{}: {failure}", fault.name);
        assert!(
            (1..=2).contains(&failure.nr_lost()) || fault.name.contains("idempotent"),
            "{}: {failure}",
            fault.name
        );
        let report = (fault.run)(false).unwrap_or_else(|failure| panic!("{}: {failure}", fault.name));
        assert!(report.is_decided() && report.decided() == report.total(), "{}: {report}", fault.name);
    }
}
