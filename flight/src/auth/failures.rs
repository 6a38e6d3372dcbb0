//! Addresses that came with too many wrong tokens are not heard for a while.
//!
//! A token cannot be guessed anyway; this keeps those who try from filling logs and taking time.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tonic::Status;

/// Wrong tokens that an address may come with in a [`WINDOW`].
const MOST: u32 = 20;

/// How long wrong tokens are remembered.
const WINDOW: Duration = Duration::from_secs(10);

/// Addresses that are remembered; beyond, the oldest are forgotten.
const ADDRESSES: usize = 4096;

/// How often each address has failed lately.
#[derive(Default)]
pub(super) struct Failures(Mutex<HashMap<IpAddr, (Instant, u32)>>);

impl Failures {
    fn known(&self) -> MutexGuard<'_, HashMap<IpAddr, (Instant, u32)>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether the address may try.
    pub(super) fn check(&self, from: Option<IpAddr>) -> Result<(), Status> {
        let Some(from) = from else { return Ok(()) };
        let known = self.known();
        let Some((since, count)) = known.get(&from) else { return Ok(()) };
        if *count < MOST || since.elapsed() >= WINDOW {
            return Ok(());
        }
        let left = WINDOW.saturating_sub(since.elapsed()).as_secs() + 1;
        Err(Status::resource_exhausted(format!(
            "{MOST} wrong tokens came from {from}: try again in {left} s"
        )))
    }

    /// Notes a wrong token.
    pub(super) fn note(&self, from: Option<IpAddr>) {
        let Some(from) = from else { return };
        let mut known = self.known();
        if known.len() >= ADDRESSES && !known.contains_key(&from) {
            known.retain(|_, (since, _)| since.elapsed() < WINDOW);
            let oldest = known.iter().min_by_key(|(_, (since, _))| *since).map(|(from, _)| *from);
            if let Some(oldest) = oldest.filter(|_| known.len() >= ADDRESSES) {
                known.remove(&oldest);
            }
        }
        let now = Instant::now();
        let (since, count) = known.entry(from).or_insert((now, 0));
        if since.elapsed() >= WINDOW {
            (*since, *count) = (now, 0);
        }
        *count += 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_that_fails_too_often_waits_and_no_other_does() {
        let failures = Failures::default();
        let (bad, good) = ("10.0.0.1".parse().ok(), "10.0.0.2".parse().ok());

        for _ in 0..MOST {
            assert!(failures.check(bad).is_ok());
            failures.note(bad);
        }

        let error = failures.check(bad).unwrap_err();
        assert_eq!(error.code(), tonic::Code::ResourceExhausted);
        assert!(failures.check(good).is_ok());
        assert!(failures.check(None).is_ok());
    }

    #[test]
    fn what_is_remembered_is_bounded() {
        let failures = Failures::default();

        for number in 0..2 * ADDRESSES as u32 {
            failures.note(Some(IpAddr::from(number.to_be_bytes())));
        }

        assert!(failures.known().len() <= ADDRESSES);
    }
}
