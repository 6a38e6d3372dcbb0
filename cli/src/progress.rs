//! A bar for long work, on a terminal; nothing at all in a pipe.

use indicatif::{ProgressBar, ProgressStyle};

/// How far a long piece of work is. Clears itself when dropped.
#[derive(Debug)]
pub(crate) struct Progress(ProgressBar);

/// What work is counted in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Measure {
    /// Bytes of this many.
    Bytes(u64),
    /// Rows of this many.
    Rows(u64),
    /// Bytes, and nobody knows of how many.
    Endless,
}

impl Progress {
    /// Starts a bar. It is drawn on stderr, and only when that is a terminal.
    pub(crate) fn start(what: &str, measure: Measure) -> Self {
        let bar = Self(ProgressBar::no_length());
        bar.restart(what, measure);
        bar
    }

    /// Begins again with other work.
    pub(crate) fn restart(&self, what: &str, measure: Measure) {
        let (template, total) = match measure {
            Measure::Bytes(total) => {
                ("{msg} {bar:30} {bytes}/{total_bytes}, {binary_bytes_per_sec}, {eta}", Some(total))
            }
            Measure::Rows(total) => ("{msg} {bar:30} {pos}/{len} rows, {eta}", Some(total)),
            Measure::Endless => ("{msg} {spinner} {bytes}, {binary_bytes_per_sec}", None),
        };
        // The templates are the constants above: a wrong one would only lose its looks.
        let style = ProgressStyle::with_template(template);
        let style = style.unwrap_or_else(|_| ProgressStyle::default_bar()).progress_chars("━╸─");
        self.0.set_style(style);
        self.0.reset();
        match total {
            Some(total) => self.0.set_length(total),
            None => self.0.unset_length(),
        }
        self.0.set_message(what.to_owned());
    }

    /// The work done so far, in what it is measured in.
    pub(crate) fn set(&self, position: u64) {
        self.0.set_position(position);
    }

    /// What is being done.
    pub(crate) fn say(&self, what: &'static str) {
        self.0.set_message(what);
    }

    /// What is being done, and how much of it is.
    pub(crate) fn tell(&self, what: &'static str, position: u64) {
        self.0.set_message(what);
        self.0.set_position(position);
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.0.finish_and_clear();
    }
}
