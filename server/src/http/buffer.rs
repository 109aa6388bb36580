//! Buffers for pieces of answers, used again and again: fresh memory costs more than the copy into it.
//!
//! A reader that takes nothing holds the piece that waits for it. So that thousands of them hold little, pieces become small
//! when many are held: all of them together take at most [`LARGE_MAX`] and [`SMALL`] for each connection.

use std::cell::RefCell;
use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::Bytes;

/// A usual piece, in bytes: large enough for disk and socket, and it stays in a core's cache between the two.
pub const LARGE: usize = 128 << 10;
/// A piece for short files, and when many are held.
pub const SMALL: usize = 16 << 10;
/// Bytes in large pieces at a time, in the whole process.
const LARGE_MAX: usize = 32 << 20;
/// Buffers of each size that a thread keeps.
const KEPT: usize = 16;

/// Bytes in large pieces now.
static LARGE_HELD: AtomicUsize = AtomicUsize::new(0);

thread_local! {
    static FREE: RefCell<[Vec<Box<[u8]>>; 2]> = const { RefCell::new([Vec::new(), Vec::new()]) };
}

/// A buffer; back among the free ones when it is dropped.
#[derive(Debug)]
pub struct Buffer(Box<[u8]>);

impl Buffer {
    /// One for the next of `wanted` bytes: of [`LARGE`] or [`SMALL`] bytes, whatever they hold.
    pub fn take(wanted: u64) -> Self {
        let large = wanted > SMALL as u64 && reserve();
        let length = if large { LARGE } else { SMALL };
        let free = FREE.with_borrow_mut(|free| free[usize::from(large)].pop());
        Self(free.unwrap_or_else(|| vec![0; length].into()))
    }

    /// Its bytes.
    pub fn bytes(&mut self) -> &mut [u8] {
        &mut self.0
    }

    /// The first `length` bytes, which hold a piece.
    pub fn filled(self, length: usize) -> Bytes {
        Bytes::from_owner(self).slice(..length)
    }
}

/// A place for a large buffer, if there is one.
fn reserve() -> bool {
    let fits = LARGE_HELD.fetch_add(LARGE, Ordering::Relaxed) + LARGE <= LARGE_MAX;
    if !fits {
        LARGE_HELD.fetch_sub(LARGE, Ordering::Relaxed);
    }
    fits
}

impl AsRef<[u8]> for Buffer {
    fn as_ref(&self) -> &[u8] {
        &self.0
    }
}

impl Drop for Buffer {
    fn drop(&mut self) {
        let bytes = std::mem::take(&mut self.0);
        let large = bytes.len() == LARGE;
        if large {
            LARGE_HELD.fetch_sub(LARGE, Ordering::Relaxed);
        }
        // A thread that ends keeps nothing.
        let _ = FREE.try_with(|free| {
            let kept = &mut free.borrow_mut()[usize::from(large)];
            if kept.len() < KEPT {
                kept.push(bytes);
            }
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_become_small_when_many_are_held() {
        let mut held: Vec<Buffer> = (0..LARGE_MAX / LARGE + 10).map(|_| Buffer::take(1 << 30)).collect();
        let large = held.iter().filter(|buffer| buffer.0.len() == LARGE).count();
        // Other tests may hold some.
        assert!(large > 0 && large <= LARGE_MAX / LARGE, "{large}");
        assert_eq!(held.pop().unwrap().0.len(), SMALL);
        drop(held);
        assert_eq!(Buffer::take(1 << 30).0.len(), LARGE);
        assert_eq!(Buffer::take(SMALL as u64).0.len(), SMALL);
    }

    #[test]
    fn a_buffer_is_used_again() {
        let mut buffer = Buffer::take(1 << 20);
        buffer.bytes()[..3].copy_from_slice(b"abc");
        let place = buffer.0.as_ptr();
        let piece = buffer.filled(3);
        assert_eq!(piece, "abc");
        drop(piece);
        assert_eq!(Buffer::take(1 << 20).0.as_ptr(), place);
    }
}
