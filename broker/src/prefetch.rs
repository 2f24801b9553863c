//! Asking for memory before it is needed: with many queues, what a message's queue and consumer look like is not in the
//! processor's cache, and waiting for it is most of what the message costs.

/// Bytes that come together.
const LINE_BYTES: usize = 64;

/// Has the value of an `Arc` or `Weak` brought to the processor's cache with its counts, and does not wait for it. It is
/// a hint: the pointer may be anything.
#[inline]
pub fn prefetch_arc<T>(value: *const T) {
    // The counts stand before the value.
    let first = value.cast::<u8>().wrapping_sub(2 * size_of::<usize>());
    for offset in (0..size_of::<T>() + 2 * size_of::<usize>()).step_by(LINE_BYTES) {
        line(first.wrapping_add(offset));
    }
}

/// The same for what begins at an address, as far as its first line goes.
#[inline]
pub fn prefetch_first<T: ?Sized>(value: *const T) {
    line(value.cast());
}

#[cfg(target_arch = "x86_64")]
#[inline]
#[allow(unsafe_code)]
fn line(at: *const u8) {
    use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
    // SAFETY: a prefetch reads nothing that the program could see and never faults, whatever the address (Intel's
    // manual, PREFETCHh: "will not cause an exception"). Every x86-64 processor has it.
    unsafe { _mm_prefetch::<_MM_HINT_T0>(at.cast()) }
}

/// Elsewhere there is no stable way to ask.
#[cfg(not(target_arch = "x86_64"))]
#[inline]
fn line(_at: *const u8) {}
