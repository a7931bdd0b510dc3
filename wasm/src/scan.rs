//! The walk over a log that is somewhere else, a window of its bytes at a time.

use std::cell::RefCell;
use std::rc::Rc;

use js_sys::Uint8Array;
use logwrites_core::format::{HEADER_LEN, Superblock, SuperblockError};
use logwrites_core::history::Index;
use logwrites_core::num::{narrow, widen};
use logwrites_core::reader::{Entry, Walk};
use wasm_bindgen::prelude::wasm_bindgen;

use crate::error::Error;
use crate::history::History;
use crate::number::{to_f64, to_u64};
use crate::past::Past;

/// Reads the headers of a log out of windows of it. JavaScript reads the windows, from where [`next`](Self::next) says.
#[wasm_bindgen]
#[derive(Debug)]
pub struct Scan {
    walk: Walk,
    past: Rc<RefCell<Past>>,
    byte_length: u64,
    needs: u64,
    text: Vec<u8>,
}

#[wasm_bindgen]
impl Scan {
    /// A walk over a log of `byte_length` bytes that begins with `head`.
    ///
    /// # Errors
    /// `NOT_A_LOG`, `UNKNOWN_VERSION`, `BAD_SECTOR_SIZE`, `UNSAFE_NUMBER`.
    #[wasm_bindgen(constructor)]
    pub fn new(head: &[u8], byte_length: f64) -> Result<Self, Error> {
        let head = head.first_chunk().ok_or(SuperblockError::Magic { found: 0 })?;
        let superblock = Superblock::parse(head)?;
        let byte_length = to_u64(byte_length)?;
        let past = Rc::new(RefCell::new(Past::new(Index::new(superblock))));
        let walk = Walk::new(superblock, Some(byte_length));
        let mut scan = Self { walk, past, byte_length, needs: 0, text: Vec::new() };
        scan.need(HEADER_BYTES);
        Ok(scan)
    }

    /// Walks over the entries whose headers lie in `window`, the bytes of the log from `offset` on.
    ///
    /// # Errors
    /// `MALFORMED`; what was walked over stays.
    pub fn push(&mut self, window: &Uint8Array, offset: f64) -> Result<(), Error> {
        let mut window = Window::new(window, to_u64(offset)?);
        while !self.is_done() {
            let mut head = [0; HEADER_LEN];
            let at = self.walk.position().offset_bytes;
            if !window.read(at, &mut head) {
                if at.saturating_add(HEADER_BYTES) > self.byte_length {
                    return Err(self.walk.truncated().into());
                }
                self.need(HEADER_BYTES);
                return Ok(());
            }
            let mut ahead = self.walk;
            let entry = ahead.step(&head)?;
            if !self.read_text(&mut window, &entry)? {
                return Ok(());
            }
            self.walk = ahead;
            let text = match (entry.mark_text(), self.text.as_slice()) {
                (Some(_), [text @ .., 0]) => text,
                (Some(_), _) => unreachable!("the end of the text was checked"),
                (None, _) => &[],
            };
            self.past.borrow_mut().index_mut().push(&entry, text);
        }
        Ok(())
    }

    /// Whether every entry that the superblock counts was walked over.
    #[wasm_bindgen(getter, js_name = isDone)]
    #[must_use]
    pub fn is_done(&self) -> bool {
        self.walk.is_done()
    }

    /// From which byte of the log on the next window must be.
    #[wasm_bindgen(getter)]
    #[must_use]
    pub fn next(&self) -> f64 {
        to_f64(self.walk.position().offset_bytes)
    }

    /// How many bytes it must have at least.
    #[wasm_bindgen(getter)]
    #[must_use]
    pub fn needs(&self) -> f64 {
        to_f64(self.needs)
    }

    /// What was walked over.
    #[wasm_bindgen(getter)]
    #[must_use]
    pub fn history(&self) -> History {
        History::new(Rc::clone(&self.past))
    }
}

impl Scan {
    /// Asks for a window of `len_bytes`, and the byte after a header, which is looked at too.
    fn need(&mut self, len_bytes: u64) {
        let rest = self.byte_length.saturating_sub(self.walk.position().offset_bytes);
        self.needs = (len_bytes + 1).min(rest);
    }

    /// Reads and checks what follows the header; says whether the window had all of it.
    fn read_text(&mut self, window: &mut Window<'_>, entry: &Entry) -> Result<bool, Error> {
        let check = entry.text_check();
        let len = narrow(check.end - check.start);
        if !window.has(check.start, check.end - check.start) {
            self.need(check.end - entry.offset_bytes);
            return Ok(false);
        }
        self.text.resize(len, 0);
        window.read(check.start, &mut self.text);
        Walk::check_text(entry, 0, &self.text)?;
        Ok(true)
    }
}

/// Some bytes of a log, in JavaScript's memory. They are fetched a block at a time: where payloads are short, that is
/// several headers for one call.
struct Window<'a> {
    bytes: &'a Uint8Array,
    start: u64,
    len: u64,
    block: Vec<u8>,
    block_start: u64,
}

impl<'a> Window<'a> {
    fn new(bytes: &'a Uint8Array, start: u64) -> Self {
        Self { bytes, start, len: u64::from(bytes.length()), block: Vec::new(), block_start: start }
    }

    fn has(&self, offset_bytes: u64, len_bytes: u64) -> bool {
        offset_bytes >= self.start
            && offset_bytes.checked_add(len_bytes).is_some_and(|end| end - self.start <= self.len)
    }

    /// Fills `buffer` from byte `offset_bytes` of the log on, if the window has it.
    fn read(&mut self, offset_bytes: u64, buffer: &mut [u8]) -> bool {
        let len_bytes = widen(buffer.len());
        if !self.has(offset_bytes, len_bytes) {
            return false;
        }
        if self.in_block(offset_bytes, buffer.len()).is_none() {
            self.fetch(offset_bytes, len_bytes.max(BLOCK_BYTES));
        }
        if let Some(bytes) = self.in_block(offset_bytes, buffer.len()) {
            buffer.copy_from_slice(bytes);
        }
        true
    }

    /// Bytes of the block, if it has them.
    fn in_block(&self, offset_bytes: u64, len: usize) -> Option<&[u8]> {
        let from = usize::try_from(offset_bytes.checked_sub(self.block_start)?).ok()?;
        self.block.get(from..from.checked_add(len)?)
    }

    /// Fetches `len_bytes` of the window, or as many as there are, which the caller has made sure is enough.
    fn fetch(&mut self, offset_bytes: u64, len_bytes: u64) {
        let from = offset_bytes - self.start;
        let to = from.saturating_add(len_bytes).min(self.len);
        let at = |offset_bytes: u64| u32::try_from(offset_bytes).expect("it lies in the window");
        self.block.resize(narrow(to - from), 0);
        self.bytes.subarray(at(from), at(to)).copy_to(&mut self.block);
        self.block_start = offset_bytes;
    }
}

/// Costs little more to fetch than a header alone.
const BLOCK_BYTES: u64 = 16384;
const HEADER_BYTES: u64 = 32;
