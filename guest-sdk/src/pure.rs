//! A component without the standard library, which imports nothing whatever it does.

/// Leaves the standard library out of the component, so that it imports nothing at all.
///
/// ```
/// #![cfg_attr(target_family = "wasm", no_std)]
///
/// nanohost_guest::pure!();
///
/// #[nanohost_guest::tool]
/// pub mod arithmetic {
///     use nanohost_guest::prelude::*;
///
///     pub fn double(text: String) -> String {
///         text.clone() + &text
///     }
/// }
/// # fn main() {}
/// ```
///
/// The standard library prints a message where a program panics, so almost every tool that has it
/// imports `wasi:io` and `wasi:cli`. They are inert and need no grant; without them it is plain
/// to see that the tool reaches nothing. It then traps at a panic without saying why, has
/// [`prelude`](crate::prelude) for `String` and `Vec`, and `std` in native tests only. The
/// profile that builds it says `panic = "abort"`.
#[macro_export]
macro_rules! pure {
    () => {
        #[cfg(target_family = "wasm")]
        #[global_allocator]
        static ALLOCATOR: $crate::__private::Allocator = $crate::__private::Allocator;

        #[cfg(target_family = "wasm")]
        #[panic_handler]
        fn panic(_: &::core::panic::PanicInfo<'_>) -> ! {
            ::core::arch::wasm32::unreachable()
        }

        // The canonical ABI's own allocation, which the standard library would bring along.
        #[cfg(target_family = "wasm")]
        #[allow(unsafe_code, reason = "the name and form are the canonical ABI's")]
        #[unsafe(no_mangle)]
        unsafe extern "C" fn cabi_realloc(old: *mut u8, old_len: usize, align: usize, len: usize) -> *mut u8 {
            unsafe { $crate::__private::cabi_realloc(old, old_len, align, len) }
        }
    };
}

#[cfg(target_family = "wasm")]
pub use dlmalloc::GlobalDlmalloc as Allocator;

// Comparing strings is a call of `memcmp`, which is the C library's. The linker takes that one
// function from it, and only where it is called.
#[cfg(target_family = "wasm")]
#[link(name = "c")]
unsafe extern "C" {}

/// What the canonical ABI calls to make room for a value it hands in, or to move one.
///
/// # Safety
/// `old`, `old_len` and `align` are those of an earlier answer of this function, or `old_len` is 0.
#[cfg(target_family = "wasm")]
pub unsafe fn cabi_realloc(old: *mut u8, old_len: usize, align: usize, len: usize) -> *mut u8 {
    use alloc::alloc::{Layout, alloc, realloc};

    if len == 0 {
        return core::ptr::without_provenance_mut(align);
    }
    // SAFETY: the caller passes the layout that an earlier answer had, and `len` is not zero.
    let new = unsafe {
        if old_len == 0 {
            alloc(Layout::from_size_align_unchecked(len, align))
        } else {
            realloc(old, Layout::from_size_align_unchecked(old_len, align), len)
        }
    };
    if new.is_null() {
        core::arch::wasm32::unreachable()
    }
    new
}
