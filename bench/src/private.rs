//! Private memory as the yardsticks want it: warm, and in huge pages where the system gives them.
//!
//! Small pages would make the yardstick slower than it need be, and every ratio better than it is.

use rustix::mm::{Advice, madvise};

/// An empty vector for `len` values, its memory asked for in huge pages before it is touched.
#[must_use]
pub fn huge_vec<T>(len: usize) -> Vec<T> {
    let mut vec = Vec::with_capacity(len);
    let range = vec.spare_capacity_mut().as_mut_ptr_range();
    let page = rustix::param::page_size();
    let from = (range.start as usize).next_multiple_of(page);
    let to = range.end as usize / page * page;
    if from < to {
        // SAFETY: the pages lie inside the vector's own allocation, and this advice changes no
        // byte. Without huge pages it fails, which is as good.
        let _ = unsafe {
            madvise(std::ptr::with_exposed_provenance_mut(from), to - from, Advice::LinuxHugepage)
        };
    }
    vec
}

/// Two warm pieces of private memory, and the copy from one to the other.
pub struct Memcpy {
    source: Vec<u8>,
    target: Vec<u8>,
}

impl Memcpy {
    /// Both pieces, `len` bytes each, touched, and copied once.
    #[must_use]
    pub fn new(len: usize) -> Self {
        let (mut source, mut target) = (huge_vec(len), huge_vec(len));
        source.resize(len, 1);
        target.resize(len, 0);
        let mut memcpy = Self { source, target };
        memcpy.seconds();
        memcpy
    }

    /// The seconds that one copy takes, in one thread.
    pub fn seconds(&mut self) -> f64 {
        let ((), seconds) = crate::clock::timed(|| self.target.copy_from_slice(&self.source));
        std::hint::black_box(&self.target);
        seconds
    }

    /// The bytes that are copied from.
    #[must_use]
    pub fn source(&self) -> &[u8] {
        &self.source
    }
}
