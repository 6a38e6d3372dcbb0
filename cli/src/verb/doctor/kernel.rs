//! What the kernel under us really does, found out by doing it.

use std::io::Write;

use rustix::fs::{MemfdFlags, SealFlags};
use rustix::io::Errno;
use sheaf_store::memory::{HugePages, Probe};

use super::check::Check;

const NEWER_KERNEL: &str = "run Linux 6.1 or newer";

pub(super) fn checks() -> Vec<Check> {
    let probe = Probe::get();
    vec![kernel(probe), seals(), preallocation(probe), huge_pages(probe), leases(probe)]
}

fn kernel(probe: &Probe) -> Check {
    let noexec = if probe.noexec_seal { "" } else { ", without MFD_NOEXEC_SEAL (6.3)" };
    Check::ok("kernel", format!("Linux {}{noexec}", probe.kernel))
}

/// Seals a memfd, then tries to do what the seals forbid.
fn seals() -> Check {
    const NAME: &str = "memory seals";
    match try_seals() {
        Ok(()) => Check::ok(NAME, "sealed memory can be neither written nor cut short"),
        Err(found) => Check::fail(
            NAME,
            found,
            "run Linux 5.1 or newer, without a sandbox that filters memfd_create or F_ADD_SEALS",
        ),
    }
}

fn try_seals() -> Result<(), String> {
    let failed = |what: &'static str| move |errno: Errno| format!("{what} failed: {errno}");
    let flags = MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING;
    let memory = rustix::fs::memfd_create("sheaf-doctor", flags).map_err(failed("memfd_create"))?;
    rustix::fs::ftruncate(&memory, 4096).map_err(failed("ftruncate"))?;
    rustix::fs::fcntl_add_seals(&memory, SealFlags::FUTURE_WRITE)
        .map_err(failed("F_SEAL_FUTURE_WRITE"))?;
    let seals = SealFlags::WRITE | SealFlags::SHRINK | SealFlags::GROW | SealFlags::SEAL;
    rustix::fs::fcntl_add_seals(&memory, seals).map_err(failed("F_ADD_SEALS"))?;
    if rustix::fs::ftruncate(&memory, 0) != Err(Errno::PERM) {
        return Err("sealed memory could be cut short".into());
    }
    if std::fs::File::from(memory).write(b"x").is_ok() {
        return Err("sealed memory could be written".into());
    }
    Ok(())
}

fn preallocation(probe: &Probe) -> Check {
    const NAME: &str = "preallocation";
    if probe.populate {
        return Check::ok(NAME, "MADV_POPULATE_WRITE works");
    }
    Check::warn(NAME, "no MADV_POPULATE_WRITE: memory is prepared slower", NEWER_KERNEL)
}

fn huge_pages(probe: &Probe) -> Check {
    const NAME: &str = "huge pages";
    const FILE: &str = "/sys/kernel/mm/transparent_hugepage/shmem_enabled";
    let setting = match probe.huge {
        HugePages::Never => "never",
        HugePages::Advise => "advise",
        HugePages::WithinSize => "within_size",
        HugePages::Always => "always",
        HugePages::Deny => "deny",
        _ => "unknown",
    };
    if probe.faults_huge {
        return Check::ok(NAME, format!("shmem_enabled is {setting}: memory is born huge"));
    }
    if probe.collapse {
        return Check::ok(NAME, format!("shmem_enabled is {setting}; MADV_COLLAPSE makes them"));
    }
    let found = format!("none: shmem_enabled is {setting} and MADV_COLLAPSE does not help");
    Check::warn(
        NAME,
        format!("{found}; puts into new memory run at half the speed"),
        format!("echo within_size | sudo tee {FILE}"),
    )
}

fn leases(probe: &Probe) -> Check {
    const NAME: &str = "file leases";
    const FILE: &str = "/proc/sys/fs/leases-enable";
    let value = std::fs::read_to_string(FILE);
    match value.as_deref().map(str::trim) {
        _ if probe.leases => Check::ok(NAME, "the kernel tells who still maps a segment"),
        Ok("0") => Check::warn(
            NAME,
            "fs.leases-enable is 0: segments of small objects can't be used again",
            "sudo sysctl -w fs.leases-enable=1",
        ),
        _ => Check::warn(
            NAME,
            "F_SETLEASE does not tell who maps a memfd: segments can't be used again",
            "run the store outside of the sandbox that filters F_SETLEASE (gVisor, seccomp)",
        ),
    }
}
