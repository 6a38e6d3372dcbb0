//! A draft whose memory Python looks at.
//!
//! Sealing takes the memory away from the writer. Whoever still looks at it must not fall into a
//! hole: so a draft that is looked at becomes a private view at the same addresses, which stays
//! until nobody looks any more.
//!
//! ```text
//! Open ── seal, abort ─▶ Ending ─┬─ nobody looks ─▶ Ended
//!                                └─ someone looks ─▶ Kept ── the last one lets go ─▶ Ended
//! ```
//!
//! A forked child does not inherit the memory: there the draft is nobody's, and is neither ended
//! nor unmapped, since the addresses may have become something else's.
//!
//! **The lock is never held while the store is asked.**

use std::sync::{Mutex, MutexGuard, PoisonError};

use sheaf_store::client::View;
use sheaf_store::{Draft, Error, Info, TableBuilder};

use crate::buffer::Memory;
use crate::errors::invalid;
use crate::owner::{NOT_HERE, Owner};

/// What can be sealed or aborted, and keeps what is seen of it if asked before.
pub(crate) trait Pending: Send {
    fn seal(self) -> Result<Info, Error>;
    fn abort(self) -> Result<(), Error>;
    fn keep_view(&mut self) -> Result<View, Error>;
}

impl Pending for Draft {
    fn seal(self) -> Result<Info, Error> {
        self.seal()
    }

    fn abort(self) -> Result<(), Error> {
        self.abort()
    }

    fn keep_view(&mut self) -> Result<View, Error> {
        self.keep_view()
    }
}

impl Pending for TableBuilder {
    fn seal(self) -> Result<Info, Error> {
        self.seal()
    }

    fn abort(self) -> Result<(), Error> {
        self.abort()
    }

    fn keep_view(&mut self) -> Result<View, Error> {
        self.keep_view()
    }
}

enum Stage<D> {
    Open(D),
    Ending,
    Kept(#[expect(dead_code, reason = "kept, not read")] View),
    Ended,
}

/// A draft and how many look at its memory.
pub(crate) struct Held<D> {
    owner: Owner,
    state: Mutex<State<D>>,
}

struct State<D> {
    stage: Stage<D>,
    exports: usize,
}

impl<D: Pending> Held<D> {
    pub(crate) fn new(draft: D) -> Self {
        let state = Mutex::new(State { stage: Stage::Open(draft), exports: 0 });
        Self { owner: Owner::default(), state }
    }

    fn state(&self) -> MutexGuard<'_, State<D>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether it can still be written and sealed, here.
    pub(crate) fn is_open(&self) -> bool {
        self.owner.is_here() && matches!(self.state().stage, Stage::Open(_))
    }

    /// Seals; who looks at the memory goes on seeing what it was.
    pub(crate) fn seal(&self) -> Result<Info, Error> {
        self.finish(D::seal)
    }

    /// Aborts; who looks at the memory goes on seeing what it was.
    pub(crate) fn abort(&self) -> Result<(), Error> {
        self.finish(D::abort)
    }

    /// Ends the draft. Whether or not that succeeds, nobody's view is lost.
    fn finish<T>(&self, end: impl FnOnce(D) -> Result<T, Error>) -> Result<T, Error> {
        let (mut draft, watched) = self.begin_end()?;
        let view = watched.then(|| draft.keep_view());
        match view.transpose() {
            Ok(view) => {
                let ended = end(draft);
                self.end(view);
                ended
            }
            Err(error) => {
                // As it was: the memory is still the writer's.
                self.state().stage = Stage::Open(draft);
                Err(error)
            }
        }
    }

    fn begin_end(&self) -> Result<(D, bool), Error> {
        if !self.owner.is_here() {
            return Err(invalid(NOT_HERE));
        }
        let mut state = self.state();
        match std::mem::replace(&mut state.stage, Stage::Ending) {
            Stage::Open(draft) => Ok((draft, state.exports > 0)),
            other => {
                state.stage = other;
                Err(invalid("the draft is sealed or aborted already"))
            }
        }
    }

    fn end(&self, view: Option<View>) {
        let mut state = self.state();
        state.stage = match view {
            Some(view) if state.exports > 0 => Stage::Kept(view),
            _ => Stage::Ended,
        };
    }
}

impl<D> Drop for Held<D> {
    fn drop(&mut self) {
        let state = self.state.get_mut().unwrap_or_else(PoisonError::into_inner);
        if !self.owner.is_here()
            && let Stage::Open(draft) = std::mem::replace(&mut state.stage, Stage::Ended)
        {
            std::mem::forget(draft);
        }
    }
}

impl<D: Pending> Memory for Held<D> {
    fn enter(&self) -> Result<(), &'static str> {
        if !self.owner.is_here() {
            return Err(NOT_HERE);
        }
        let mut state = self.state();
        match state.stage {
            Stage::Open(_) => {
                state.exports += 1;
                Ok(())
            }
            _ => Err("the draft is sealed or aborted: its memory is no longer the writer's"),
        }
    }

    fn leave(&self) {
        let mut state = self.state();
        state.exports -= 1;
        if state.exports == 0 && matches!(state.stage, Stage::Kept(_)) {
            state.stage = Stage::Ended;
        }
    }
}
