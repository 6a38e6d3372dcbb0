//! Which process something belongs to: what is half written is its maker's, and not a forked
//! child's, which has neither its connection nor its memory.

/// Why a child can't go on with it.
pub(crate) const NOT_HERE: &str = "it is being written by the process that this one was forked \
                                   from, which alone can go on: create another here";

/// The process that made something.
pub(crate) struct Owner(u32);

impl Default for Owner {
    fn default() -> Self {
        Self(std::process::id())
    }
}

impl Owner {
    /// Whether that is this process.
    pub(crate) fn is_here(&self) -> bool {
        self.0 == std::process::id()
    }
}
