//! How often an address has been wrong, and whether it may try again.
//!
//! Each address has ten tries that fail, and gets one back every three seconds. Whoever has none
//! left is not listened to, so nothing is learned by trying on. Connections that have shown a good
//! credential before go on: an attacker on the same machine or behind the same router can't keep
//! them out.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// What one failure costs.
const PRICE: Duration = Duration::from_secs(3);

/// How much may be owed.
const CREDIT: Duration = Duration::from_secs(30);

/// The most addresses that are remembered; the one that owes least is forgotten.
const MOST_ADDRESSES: usize = 1024;

/// Who failed: an address, or whoever may open the Unix socket.
pub(crate) type Who = Option<IpAddr>;

/// When each address will owe nothing again.
#[derive(Default)]
pub(crate) struct Failures(Mutex<HashMap<Who, Instant>>);

impl Failures {
    /// Whether an address may try.
    ///
    /// # Errors
    /// How long it has to wait.
    pub(crate) fn may_try(&self, who: Who, now: Instant) -> Result<(), Duration> {
        let table = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let owed = table.get(&neighbourhood(who)).map(|free| free.saturating_duration_since(now));
        match owed {
            Some(owed) if owed + PRICE > CREDIT => Err(owed + PRICE - CREDIT),
            _ => Ok(()),
        }
    }

    /// Says that it was wrong.
    pub(crate) fn failed(&self, who: Who, now: Instant) {
        let mut table = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let who = neighbourhood(who);
        if !table.contains_key(&who) && table.len() >= MOST_ADDRESSES {
            table.retain(|_, free| *free > now);
            if table.len() >= MOST_ADDRESSES {
                let least = table.iter().min_by_key(|(_, free)| **free).map(|(who, _)| *who);
                least.and_then(|least| table.remove(&least));
            }
        }
        let free = table.entry(who).or_insert(now);
        *free = (*free).max(now) + PRICE;
    }
}

/// Who has one address of IPv6 has 2^64 of them.
fn neighbourhood(who: Who) -> Who {
    who.map(|address| match address.to_canonical() {
        IpAddr::V6(address) => {
            let prefix = u128::from(address) >> 64 << 64;
            IpAddr::V6(Ipv6Addr::from(prefix))
        }
        other => other,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fail(failures: &Failures, who: Who, times: u32, now: Instant) {
        (0..times).for_each(|_| failures.failed(who, now));
    }

    #[test]
    fn who_fails_too_often_waits_and_others_do_not() {
        let failures = Failures::default();
        let (wrong, other) = ("192.0.2.1".parse().ok(), "192.0.2.2".parse().ok());
        let now = Instant::now();

        fail(&failures, wrong, 9, now);
        assert_eq!(failures.may_try(wrong, now), Ok(()));
        fail(&failures, wrong, 1, now);

        assert_eq!(failures.may_try(wrong, now), Err(PRICE));
        assert_eq!(failures.may_try(wrong, now + PRICE), Ok(()));
        assert_eq!(failures.may_try(other, now), Ok(()));
        assert_eq!(failures.may_try(None, now), Ok(()));
    }

    #[test]
    fn a_network_of_ipv6_is_one_and_a_mapped_address_is_its_own() {
        let failures = Failures::default();
        let now = Instant::now();

        fail(&failures, "2001:db8:0:1::1".parse().ok(), 10, now);
        fail(&failures, "::ffff:192.0.2.1".parse().ok(), 10, now);

        assert!(failures.may_try("2001:db8:0:1:ffff::2".parse().ok(), now).is_err());
        assert!(failures.may_try("2001:db8:0:2::1".parse().ok(), now).is_ok());
        assert!(failures.may_try("192.0.2.1".parse().ok(), now).is_err());
        assert!(failures.may_try("192.0.2.2".parse().ok(), now).is_ok());
    }

    #[test]
    fn many_addresses_take_no_more_room_and_do_not_free_the_worst() {
        let failures = Failures::default();
        let worst = "192.0.2.1".parse().ok();
        let now = Instant::now();
        fail(&failures, worst, 10, now);

        for number in 0..3 * MOST_ADDRESSES as u32 {
            failures.failed(Some(IpAddr::V4(number.into())), now);
        }

        assert!(failures.may_try(worst, now).is_err());
        assert_eq!(failures.0.lock().unwrap().len(), MOST_ADDRESSES);
    }
}
