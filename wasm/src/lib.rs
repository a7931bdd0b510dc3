//! Write logs in a browser, or wherever else JavaScript runs: exports over [`logwrites_core`].
//!
//! ```js
//! import init, { Superblock } from "./logwrites_wasm.js";
//!
//! await init();
//! const head = new Uint8Array(await file.slice(0, Superblock.lenBytes()).arrayBuffer());
//! try {
//!     const { sectorSize, nrEntries } = Superblock.parse(head);
//!     console.log(`${nrEntries} entries, counted in sectors of ${sectorSize} bytes`);
//! } catch (error) {
//!     if (error.code !== "NOT_A_LOG") throw error;
//!     console.log(`${file.name} is another kind of file`);
//! }
//! ```
//!
//! # Numbers
//!
//! What the format stores in 64 bits is a `bigint`: a log may hold any value there, and a `number` would round
//! what lies beyond 2^53 in silence. What is small by its nature, such as a sector size, is a `number`. The unit is
//! in the name (`lenBytes`) or, where the name is the format's own, in its documentation.
//!
//! # Errors
//!
//! Whatever fails throws an `Error` with a `message` for people and a `code` for programs, of the type
//! `LogErrorCode` in the TypeScript declarations:
//!
//! | code | meaning |
//! |---|---|
//! | `NOT_A_LOG` | the magic is missing, or the bytes are too few for a superblock |
//! | `UNKNOWN_VERSION` | a version of the format other than 1 |
//! | `BAD_SECTOR_SIZE` | a sector size that no log has |

use js_sys::{Error, JsString, Reflect};
use logwrites_core::format::{self, HEADER_LEN, SuperblockError};
use logwrites_core::reader::LogSlice;
use wasm_bindgen::prelude::wasm_bindgen;

/// The first sector of a log.
#[wasm_bindgen]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Superblock(format::Superblock);

#[wasm_bindgen]
impl Superblock {
    /// How many bytes from the start of a log [`parse`](Self::parse) needs: 32.
    #[wasm_bindgen(js_name = lenBytes)]
    #[must_use]
    pub fn len_bytes() -> usize {
        HEADER_LEN
    }

    /// Reads the superblock of a log. `log` is copied into the memory of wasm, so give it the first
    /// [`lenBytes`](Self::len_bytes) bytes of the log and not the whole.
    ///
    /// # Errors
    /// An `Error` with a `code` if that is no superblock.
    pub fn parse(log: &[u8]) -> Result<Self, Error> {
        parse(log).map_err(|error| js_error(&error))
    }

    /// The unit of everything in the log, in bytes: a power of two from 32 to 8388608.
    #[wasm_bindgen(getter, js_name = sectorSize)]
    #[must_use]
    pub fn sector_size(&self) -> u32 {
        self.0.sector_size.bytes_u32()
    }

    /// How many entries the log's writer vouches for, as a `bigint`. It is what the superblock says, not what the
    /// log was found to have.
    #[wasm_bindgen(getter, js_name = nrEntries)]
    #[must_use]
    pub fn nr_entries(&self) -> u64 {
        self.0.nr_entries
    }
}

#[wasm_bindgen(typescript_custom_section)]
const ERROR_TYPES: &str = include_str!("error.d.ts");

fn parse(log: &[u8]) -> Result<Superblock, SuperblockError> {
    LogSlice::open(log).map(|log| Superblock(log.superblock()))
}

/// An `Error` of JavaScript's, with a code.
fn js_error(error: &SuperblockError) -> Error {
    let js_error = Error::new(&error.to_string());
    let is_set = Reflect::set(&js_error, &JsString::from("code"), &JsString::from(code(error)));
    debug_assert!(is_set.is_ok(), "a new object takes properties");
    js_error
}

const fn code(error: &SuperblockError) -> &'static str {
    match error {
        SuperblockError::Magic { .. } => "NOT_A_LOG",
        SuperblockError::Version { .. } => "UNKNOWN_VERSION",
        SuperblockError::SectorSize(_) => "BAD_SECTOR_SIZE",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use logwrites_core::SectorSize;

    fn superblock() -> [u8; HEADER_LEN] {
        format::Superblock { nr_entries: u64::MAX, sector_size: SectorSize::B4096 }.emit()
    }

    #[test]
    fn a_superblock_says_what_the_log_says() {
        let superblock = parse(&superblock()).unwrap();
        assert_eq!(superblock.sector_size(), 4096);
        assert_eq!(superblock.nr_entries(), u64::MAX);
    }

    #[test]
    fn what_is_behind_the_superblock_does_not_matter() {
        let head = superblock();
        assert_eq!(Superblock::len_bytes(), head.len());
        assert_eq!(parse(&[&head[..], &[0xff; 99]].concat()), parse(&head));
    }

    #[test]
    fn every_error_has_a_code_and_typescript_knows_it() {
        let code_with = |at: usize, byte: u8| {
            let mut bytes = superblock();
            bytes[at] = byte;
            code(&parse(&bytes).unwrap_err())
        };
        let codes = [code_with(0, 0), code_with(8, 2), code_with(24, 1)];
        assert_eq!(codes, ["NOT_A_LOG", "UNKNOWN_VERSION", "BAD_SECTOR_SIZE"]);
        assert_eq!(code(&parse(&superblock()[..31]).unwrap_err()), "NOT_A_LOG");
        for code in codes {
            assert!(include_str!("error.d.ts").contains(&format!("\"{code}\"")), "{code} is not declared");
        }
    }
}
