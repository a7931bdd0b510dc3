//! What people see: the help texts and a tour, word for word. `TRYCMD=overwrite` renews them.

#[test]
fn help_and_tour() {
    trycmd::TestCases::new().case("tests/cmd/*.trycmd").run();
}
