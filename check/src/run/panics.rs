//! Panics of checkers, which are verdicts: their messages are kept and not printed.

use std::any::Any;
use std::cell::{Cell, RefCell};
use std::panic::{self, PanicHookInfo};
use std::sync::Once;

thread_local! {
    static IS_CHECKING: Cell<bool> = const { Cell::new(false) };
    static LAST: RefCell<Option<Panic>> = const { RefCell::new(None) };
}

/// What a panic said.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Panic {
    pub(crate) message: String,
    /// `FILE:LINE:COLUMN`.
    pub(crate) place: String,
}

/// From now on, panics in [`catch`] are quiet. All others are as before.
pub(crate) fn set_hook() {
    static SET: Once = Once::new();
    SET.call_once(|| {
        let before = panic::take_hook();
        panic::set_hook(Box::new(move |info| {
            if IS_CHECKING.get() {
                LAST.replace(Some(Panic::of(info)));
            } else {
                before(info);
            }
        }));
    });
}

/// Runs a checker. Its panic is returned, with the payload.
pub(crate) fn catch<T>(run: impl FnOnce() -> T) -> Result<T, (Option<Panic>, Box<dyn Any + Send>)> {
    IS_CHECKING.set(true);
    let result = panic::catch_unwind(panic::AssertUnwindSafe(run));
    IS_CHECKING.set(false);
    result.map_err(|payload| (LAST.take(), payload))
}

impl Panic {
    fn of(info: &PanicHookInfo<'_>) -> Self {
        let place = info.location().map(ToString::to_string).unwrap_or_default();
        Self { message: message_of(info.payload()), place }
    }

    /// One that the hook has not seen, since it is not set: where it was is not known.
    pub(crate) fn of_payload(payload: &(dyn Any + Send)) -> Self {
        Self { message: message_of(payload), place: String::new() }
    }
}

fn message_of(payload: &(dyn Any + Send)) -> String {
    let message = payload.downcast_ref::<&str>().map(ToString::to_string);
    let message = message.or_else(|| payload.downcast_ref::<String>().cloned());
    message.unwrap_or_else(|| "a panic without a message".into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_is_kept_with_its_place() {
        set_hook();
        let (panic, _) = catch(|| panic!("of the checker")).unwrap_err();
        let panic = panic.unwrap();
        assert_eq!(panic.message, "of the checker");
        assert!(panic.place.contains("panics.rs"), "{}", panic.place);
        assert_eq!(catch(|| 7).unwrap(), 7);
    }
}
