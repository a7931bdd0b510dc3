//! Arbitrary bytes as a log that crashes, checkers, and the names of states.

use logwrites_core::crash::{Prefix, State};

use crate::choices::Bytes;
use crate::crash;

/// Searches the log, and with the checkers, whose choices are `bytes`, beside all states one by one; and takes them for the name
/// of a state.
///
/// # Panics
/// If something does not hold.
pub fn crash(bytes: &[u8]) {
    crash::compare(&mut Bytes::new(bytes));
    let Ok(text) = core::str::from_utf8(bytes) else { return };
    if let Ok(state) = text.parse::<State>() {
        crash::check_name(&state);
    }
    if let Ok(prefix) = text.parse::<Prefix>() {
        assert_eq!(prefix.to_string().parse(), Ok(prefix));
    }
}
