//! What the kernel under us can do, found out by doing it once on a small memfd.
//!
//! Version numbers lie (distributions port features back, sandboxes take them away), so nothing is
//! concluded from them.

use std::fmt;
use std::os::fd::AsFd;
use std::sync::OnceLock;

use rustix::mm::Advice;

use super::place::Place;
use super::{HUGE_PAGE_BYTES, Memfd, fill};

/// Whether the administrator lets shared memory have huge pages (`shmem_enabled`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HugePages {
    /// By itself never; `MADV_COLLAPSE` may still make them.
    Never,
    /// Where a mapping asks for them.
    Advise,
    /// Where they lie within the file.
    WithinSize,
    /// Everywhere.
    Always,
    /// Nowhere, not even by `MADV_COLLAPSE`.
    Deny,
    /// The kernel does not say.
    Unknown,
}

/// What the kernel under us can do.
#[derive(Clone, Debug)]
pub struct Probe {
    /// `MADV_COLLAPSE` makes huge pages (Linux 6.1).
    pub collapse: bool,
    /// `MADV_POPULATE_WRITE` backs pages and reports failure (Linux 5.14).
    pub populate: bool,
    /// A populated memfd has huge pages without being collapsed.
    pub faults_huge: bool,
    /// `MFD_NOEXEC_SEAL` is known (Linux 6.3).
    pub noexec_seal: bool,
    /// A lease tells whether a container is held.
    pub leases: bool,
    /// What the administrator set.
    pub huge: HugePages,
    /// The kernel's release, for people.
    pub kernel: String,
}

impl Probe {
    /// What this machine can do. The first call finds out, and logs it.
    #[must_use]
    pub fn get() -> &'static Self {
        static PROBE: OnceLock<Probe> = OnceLock::new();
        PROBE.get_or_init(|| {
            let probe = Self::run();
            tracing::info!(%probe, "memory");
            probe
        })
    }

    fn run() -> Self {
        let noexec_seal = Memfd::create_with("sheaf-probe", 1, true).is_ok();
        let mut probe = Self {
            collapse: false,
            populate: false,
            faults_huge: false,
            noexec_seal,
            leases: leases_tell(noexec_seal).unwrap_or(false),
            huge: HugePages::read(),
            kernel: kernel_release(),
        };
        // Three trials, each with what the one before it found.
        probe.populate = resident_after(&probe, |place| fill::populate(place, 0, 1).is_ok()) > 0;
        probe.faults_huge = probe.populate
            && HUGE_PAGE_BYTES
                == resident_after(&probe, |place| {
                    let _ = fill::advise(place, 0, place.span(), Advice::LinuxHugepage);
                    fill::populate(place, 0, 1).is_ok()
                });
        probe.collapse = probe.populate
            && HUGE_PAGE_BYTES
                == resident_after(&probe, |place| fill::collapses(place, 0, place.span()));
        probe
    }
}

impl fmt::Display for Probe {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let way = match self {
            Self { faults_huge: true, .. } => "huge pages by fault",
            Self { collapse: true, .. } => "huge pages by MADV_COLLAPSE",
            Self { populate: true, .. } => "small pages by MADV_POPULATE_WRITE",
            _ => "small pages by fallocate",
        };
        let leases = if self.leases { "leases" } else { "no leases" };
        let noexec = if self.noexec_seal { "noexec seal" } else { "no noexec seal" };
        let Self { kernel, huge, .. } = self;
        write!(f, "linux {kernel}: {way}, shmem_enabled {huge:?}, {leases}, {noexec}")
    }
}

impl HugePages {
    fn read() -> Self {
        const DIR: &str = "/sys/kernel/mm/transparent_hugepage";

        // Since Linux 6.10 each size has a switch of its own, which may defer to the common one.
        let of_size = std::fs::read_to_string(format!("{DIR}/hugepages-2048kB/shmem_enabled"));
        let common = || std::fs::read_to_string(format!("{DIR}/shmem_enabled"));
        match of_size {
            Ok(text) if !text.contains("[inherit]") => Self::parse(&text),
            _ => common().map_or(Self::Unknown, |text| Self::parse(&text)),
        }
    }

    /// The word in brackets.
    fn parse(text: &str) -> Self {
        let word = text.split_once('[').and_then(|(_, rest)| rest.split_once(']'));
        match word.map(|(word, _)| word) {
            Some("never") => Self::Never,
            Some("advise") => Self::Advise,
            Some("within_size") => Self::WithinSize,
            Some("always" | "force") => Self::Always,
            Some("deny") => Self::Deny,
            _ => Self::Unknown,
        }
    }
}

fn kernel_release() -> String {
    std::fs::read_to_string("/proc/sys/kernel/osrelease")
        .map_or_else(|_| "unknown".to_owned(), |text| text.trim().to_owned())
}

/// The memory behind a memfd of one huge page after a trial on its mapping; 0 if it failed.
fn resident_after(probe: &Probe, trial: impl FnOnce(&Place) -> bool) -> u64 {
    let tried = || {
        let memfd = Memfd::create_with("sheaf-probe", HUGE_PAGE_BYTES, probe.noexec_seal)?;
        let len = HUGE_PAGE_BYTES as usize;
        let place = Place::writable(memfd.as_fd(), 0, len)?;
        if trial(&place) { memfd.resident_bytes() } else { Ok(0) }
    };
    tried().unwrap_or(0)
}

/// Leases must say both "nobody" and "somebody", or they are of no use.
fn leases_tell(noexec_seal: bool) -> crate::error::Result<bool> {
    let memfd = Memfd::create_with("sheaf-probe", 1, noexec_seal)?;
    let before = memfd.asks_held();
    let reader = memfd.reopen_read()?;
    let during = memfd.asks_held();
    drop(reader);
    Ok((before, during, memfd.asks_held()) == (Some(false), Some(true), Some(false)))
}
