//! QEMU's `virt` machine: memory, a serial port, a switch to turn it off, and a count of instructions.

use core::{
    alloc::{GlobalAlloc, Layout},
    arch::{asm, global_asm},
    fmt,
    panic::PanicInfo,
    ptr,
    sync::atomic::{AtomicUsize, Ordering},
};

/// Where `guests/measure` puts the input: its length in bytes (64 bits, little-endian), then the bytes.
const INPUT: usize = 0x9000_0000;
/// What can be allocated lies between here and the stack, which begins at the end of memory.
const HEAP: usize = 0xa000_0000;
const HEAP_END: usize = 0xbe00_0000;

/// The data register of the serial port (a 16550).
const SERIAL: *mut u8 = 0x1000_0000 as *mut u8;
/// The test device that ends the machine, and what tells it how.
const POWER: *mut u32 = 0x0010_0000 as *mut u32;
const SUCCEEDED: u32 = 0x5555;
const FAILED: u32 = 0x1_3333;

global_asm!(
    ".section .text._start",
    ".globl _start",
    "_start:",
    "li sp, 0xc0000000",
    "call main",
    "1: j 1b",
);

#[global_allocator]
static ALLOCATOR: Bump = Bump(AtomicUsize::new(HEAP));

/// Gives memory and never takes it back: a guest runs once.
struct Bump(AtomicUsize);

// SAFETY: every block lies above the one that was given before, within memory that nothing else uses.
unsafe impl GlobalAlloc for Bump {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        let taken = self.0.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |next| {
            let end = next.checked_next_multiple_of(layout.align())?.checked_add(layout.size())?;
            (end <= HEAP_END).then_some(end)
        });
        match taken {
            Ok(before) => before.next_multiple_of(layout.align()) as *mut u8,
            Err(_) => ptr::null_mut(),
        }
    }

    unsafe fn dealloc(&self, _: *mut u8, _: Layout) {}
}

/// What the machine was started with.
pub(crate) fn input() -> &'static [u8] {
    // SAFETY: the loader has put a length and as many bytes there before the first instruction.
    unsafe {
        let length = ptr::read_volatile(INPUT as *const u64) as usize;
        core::slice::from_raw_parts((INPUT + 8) as *const u8, length)
    }
}

/// How many instructions have been executed.
pub(crate) fn instructions() -> u64 {
    let count;
    // SAFETY: the register can be read in machine mode, in which everything here runs.
    unsafe { asm!("csrr {}, minstret", out(reg) count) };
    count
}

/// The serial port.
pub(crate) struct Serial;

impl fmt::Write for Serial {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        for byte in text.bytes() {
            // SAFETY: the machine has a serial port there, which takes bytes at any time.
            unsafe { ptr::write_volatile(SERIAL, byte) };
        }
        Ok(())
    }
}

/// Turns the machine off.
pub(crate) fn end(succeeded: bool) -> ! {
    let code = if succeeded { SUCCEEDED } else { FAILED };
    // SAFETY: the machine has its test device there.
    unsafe { ptr::write_volatile(POWER, code) };
    loop {
        core::hint::spin_loop();
    }
}

#[panic_handler]
fn panicked(info: &PanicInfo<'_>) -> ! {
    // The serial port takes everything.
    let _ = fmt::Write::write_fmt(&mut Serial, format_args!("{info}\n"));
    end(false)
}
