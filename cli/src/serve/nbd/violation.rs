//! What ends a connection: a peer that does not speak the protocol, or asks for more than there is for a client.

/// Why a connection cannot continue.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Violation {
    /// Fewer bytes than were wanted.
    #[error("the client's message is too short")]
    Short,
    /// Flags that no client has.
    #[error("the client's flags are unknown")]
    ClientFlags,
    /// An option without its magic.
    #[error("an option has a wrong magic number")]
    OptionMagic,
    /// An option that is longer than [`MAX_OPTION_BYTES`].
    #[error("an option of {len_bytes} bytes: at most {MAX_OPTION_BYTES} are accepted")]
    OptionTooLong {
        /// Its length in bytes.
        len_bytes: u32,
    },
    /// A client that never comes to an end.
    #[error("more than {MAX_OPTIONS} options")]
    TooManyOptions,
    /// A request without its magic.
    #[error("a request has a wrong magic number: {found:#010x}")]
    RequestMagic {
        /// The number found there.
        found: u32,
    },
    /// A write that is longer than [`MAX_REQUEST_BYTES`].
    #[error("a write of {len_bytes} bytes: at most {MAX_REQUEST_BYTES} are accepted")]
    PayloadTooLong {
        /// Its length in bytes.
        len_bytes: u32,
    },
}

/// The most that a client may say in one option, in bytes: a name of 4096 and queries.
pub const MAX_OPTION_BYTES: usize = 64 << 10;

/// How many options a client may send.
pub(super) const MAX_OPTIONS: u32 = 1000;

/// The longest read or write that is taken, in bytes: the size that every client may use unasked.
pub const MAX_REQUEST_BYTES: u32 = 32 << 20;
