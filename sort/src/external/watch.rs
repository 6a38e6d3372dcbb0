//! Whom to tell how far a sort is, and whether it is to go on: what the calling thread does while
//! others work.

use std::ops::ControlFlow;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::sync::{Mutex, PoisonError};
use std::time::Instant;

use sheaf_store::{Error, Kind, Result};

use crate::options::{Progress, SortOptions, Stage};
use crate::workers::REPORT;

#[derive(Debug)]
pub(super) struct Watch<'a> {
    options: SortOptions<'a>,
    stopped: AtomicBool,
    told: Mutex<Instant>,
}

impl<'a> Watch<'a> {
    pub(super) fn new(options: SortOptions<'a>) -> Self {
        Self { options, stopped: AtomicBool::new(false), told: Mutex::new(Instant::now()) }
    }

    /// Tells how far it is, now and then. For the calling thread.
    ///
    /// # Errors
    /// [`Kind::Interrupted`] when it was cancelled.
    pub(super) fn ask(&self, stage: Stage, rows: u64, total: u64) -> Result<()> {
        let mut told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(progress) = self.options.progress
            && told.elapsed() >= REPORT
        {
            *told = Instant::now();
            if progress(Progress { stage, rows, total }).is_break() {
                self.stop();
            }
        }
        match self.goes_on() {
            ControlFlow::Continue(()) => Ok(()),
            ControlFlow::Break(()) => Err(Error::new(Kind::Interrupted, "the sort was cancelled")),
        }
    }

    /// Whether nobody stopped it.
    pub(super) fn goes_on(&self) -> ControlFlow<()> {
        match self.stopped.load(Ordering::Relaxed) {
            true => ControlFlow::Break(()),
            false => ControlFlow::Continue(()),
        }
    }

    /// Makes all threads stop where they are.
    pub(super) fn stop(&self) {
        self.stopped.store(true, Ordering::Relaxed);
    }

    /// What comes next from those who work; `None` when they are done.
    ///
    /// # Errors
    /// As [`ask`](Self::ask).
    pub(super) fn receive<T>(
        &self,
        from: &Receiver<T>,
        stage: Stage,
        rows: u64,
        total: u64,
    ) -> Result<Option<T>> {
        loop {
            match from.recv_timeout(REPORT) {
                Ok(item) => return Ok(Some(item)),
                Err(RecvTimeoutError::Disconnected) => return Ok(None),
                Err(RecvTimeoutError::Timeout) => self.ask(stage, rows, total)?,
            }
        }
    }
}
