//! The heap, in larger steps.
//!
//! The allocator grows the memory of wasm by as much as it lacks, 64 KiB at a time. Each step costs an engine some
//! microseconds and a look at its own heap: with a million entries three quarters of the time. So whenever the memory has
//! grown, it grows by an eighth more, which the allocator then has in stock.
//!
//! When nothing is left, an error of JavaScript's is thrown, since Rust would only trap. It leaves what was being done half
//! done, so the object that did it is lost, and wasm-bindgen refuses it from then on.

use core::arch::wasm32::memory_size;
use std::alloc::{GlobalAlloc, Layout, System};

use crate::error::out_of_memory;

struct Heap;

#[global_allocator]
static HEAP: Heap = Heap;

// SAFETY: every call is passed on to System as it is.
unsafe impl GlobalAlloc for Heap {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        let before = memory_size(0);
        // SAFETY: the caller's promises are the same.
        let block = unsafe { System.alloc(layout) };
        stock_up(before);
        there(block)
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        // SAFETY: the caller's promises are the same.
        unsafe { System.dealloc(block, layout) }
    }

    unsafe fn realloc(&self, block: *mut u8, layout: Layout, new_size: usize) -> *mut u8 {
        let before = memory_size(0);
        // SAFETY: the caller's promises are the same.
        let block = unsafe { System.realloc(block, layout, new_size) };
        stock_up(before);
        there(block)
    }
}

/// The block, if there is one; throws otherwise.
#[inline]
fn there(block: *mut u8) -> *mut u8 {
    if block.is_null() {
        out_of_memory();
    }
    block
}

/// Grows the memory by an eighth if it has more than the `before` pages it had.
#[inline]
fn stock_up(before: usize) {
    let pages = memory_size(0);
    if pages != before {
        grow(pages / 8 + 1);
    }
}

/// Takes memory and gives it back, so that the allocator has it. If there is none left, nothing changes.
#[cold]
fn grow(pages: usize) {
    if let Ok(layout) = Layout::from_size_align(pages * PAGE_BYTES, 16) {
        // SAFETY: the layout is not empty.
        let block = unsafe { System.alloc(layout) };
        if !block.is_null() {
            // SAFETY: the block was allocated with this layout a moment ago.
            unsafe { System.dealloc(block, layout) };
        }
    }
}

const PAGE_BYTES: usize = 64 << 10;
