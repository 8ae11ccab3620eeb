//! The memory that this process has taken from the kernel and does not use. The C library's allocator keeps what a burst
//! took: a single small object above it holds on to all that is free below, and what is free in between is never looked at.

/// Gives the free pages of the heap back to the kernel. Takes as long as giving them back does (some 0.1 s for 500 MB), in
/// which threads that allocate may wait: for when a burst is over.
pub fn give_back() {
    #[cfg(target_env = "gnu")]
    // SAFETY: malloc_trim(3) may be called at any time and from any thread: it takes the allocator's own locks and touches
    // memory that nobody has.
    unsafe {
        libc::malloc_trim(0);
    }
}

/// What the heap holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Heap {
    /// Bytes that somebody has.
    pub used: usize,
    /// Bytes that nobody has: the allocator keeps them for who comes next, or has given them back to the kernel.
    pub free: usize,
}

/// What the heap holds now; `None` where the C library does not say. Looks at each of its arenas and free lists.
pub fn look() -> Option<Heap> {
    #[cfg(target_env = "gnu")]
    {
        // SAFETY: mallinfo2(3) takes the allocator's own locks and returns a value; the one field of it that other calls
        // could race on, as its manual page says, are settings that nobody here changes.
        let info = unsafe { libc::mallinfo2() };
        Some(Heap { used: info.uordblks + info.hblkhd, free: info.fordblks })
    }
    #[cfg(not(target_env = "gnu"))]
    None
}
