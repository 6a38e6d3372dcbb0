//! Threads that share out jobs, report how far they are, and stop when told.

use std::ops::Range;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use sheaf_store::{Error, Kind, Result};

use crate::options::{Progress, SortOptions, Stage};

/// The time between two reports.
pub(crate) const REPORT: Duration = Duration::from_millis(50);

/// Who works on a sort.
pub(crate) struct Workers<'a> {
    threads: usize,
    options: SortOptions<'a>,
    total: u64,
    done: AtomicU64,
    stopped: AtomicBool,
    reported: Mutex<Instant>,
}

impl<'a> Workers<'a> {
    /// As many threads as the options say, for a table of `total` rows.
    pub(crate) fn new(options: SortOptions<'a>, total: usize) -> Self {
        let threads = match options.threads {
            0 => std::thread::available_parallelism().map_or(1, usize::from),
            threads => threads,
        };
        Self {
            threads,
            options,
            total: total as u64,
            done: AtomicU64::new(0),
            stopped: AtomicBool::new(false),
            reported: Mutex::new(Instant::now()),
        }
    }

    /// How many threads there are.
    pub(crate) fn threads(&self) -> usize {
        self.threads
    }

    /// Does `jobs` jobs, each once; what each thread needs for them is made by `make`.
    /// A job returns how many rows it was done with.
    ///
    /// # Errors
    /// [`Kind::Interrupted`] when the sort was cancelled; a job's own.
    pub(crate) fn run<S>(
        &self,
        stage: Stage,
        jobs: usize,
        make: impl Fn() -> S + Sync,
        job: impl Fn(usize, &mut S) -> Result<usize> + Sync,
    ) -> Result<()> {
        self.done.store(0, Ordering::Relaxed);
        let next = AtomicUsize::new(0);
        let failed = Mutex::new(None);
        let work = |is_caller: bool| {
            let mut state = make();
            while !self.stopped.load(Ordering::Relaxed) {
                let at = next.fetch_add(1, Ordering::Relaxed);
                if at >= jobs {
                    return;
                }
                match job(at, &mut state) {
                    Ok(rows) => self.report(stage, rows as u64, is_caller),
                    Err(error) => {
                        *failed.lock().unwrap_or_else(PoisonError::into_inner) = Some(error);
                        self.stopped.store(true, Ordering::Relaxed);
                    }
                }
            }
        };
        std::thread::scope(|scope| {
            for _ in 1..self.threads.min(jobs) {
                scope.spawn(|| work(false));
            }
            work(true);
        });
        match failed.into_inner().unwrap_or_else(PoisonError::into_inner) {
            Some(error) => Err(error),
            None => self.check(),
        }
    }

    /// As [`run`](Self::run), for jobs that find something besides: what each found, in order.
    ///
    /// # Errors
    /// As there.
    pub(crate) fn collect<S, T: Send>(
        &self,
        stage: Stage,
        jobs: usize,
        make: impl Fn() -> S + Sync,
        job: impl Fn(usize, &mut S) -> Result<(T, usize)> + Sync,
    ) -> Result<Vec<T>> {
        let found: Vec<Mutex<Option<T>>> = (0..jobs).map(|_| Mutex::new(None)).collect();
        self.run(stage, jobs, make, |at, state| {
            let (value, rows) = job(at, state)?;
            *found[at].lock().unwrap_or_else(PoisonError::into_inner) = Some(value);
            Ok(rows)
        })?;
        // Every job has been done: none is missing.
        let values = found.into_iter().map(Mutex::into_inner);
        Ok(values.filter_map(|value| value.unwrap_or_else(PoisonError::into_inner)).collect())
    }

    /// # Errors
    /// [`Kind::Interrupted`] when the sort was cancelled.
    pub(crate) fn check(&self) -> Result<()> {
        if self.stopped.load(Ordering::Relaxed) {
            return Err(Error::new(Kind::Interrupted, "the sort was cancelled"));
        }
        Ok(())
    }

    /// Counts rows as done; the thread that called tells who asked for it.
    fn report(&self, stage: Stage, rows: u64, is_caller: bool) {
        let rows = self.done.fetch_add(rows, Ordering::Relaxed) + rows;
        let (Some(progress), true) = (self.options.progress, is_caller) else { return };
        let Ok(mut reported) = self.reported.try_lock() else { return };
        if reported.elapsed() < REPORT {
            return;
        }
        *reported = Instant::now();
        let told = Progress { stage, rows: rows.min(self.total), total: self.total };
        if progress(told).is_break() {
            self.stopped.store(true, Ordering::Relaxed);
        }
    }
}

/// `0..rows` in pieces of equal length, as many as keep the threads evenly busy, of at least
/// `least` rows.
pub(crate) fn pieces(rows: usize, threads: usize, least: usize) -> Vec<Range<usize>> {
    let count = (rows / least.max(1)).clamp(1, 4 * threads);
    let count = if threads == 1 { 1 } else { count };
    (0..count).map(|at| rows * at / count..rows * (at + 1) / count).collect()
}
