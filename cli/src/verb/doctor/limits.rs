//! Limits of the process and of its control group.

use rustix::process::{Resource, getrlimit};

use super::check::Check;
use crate::machine::Memory;
use crate::units::human_bytes;

pub(super) fn checks(planned: Option<u64>) -> Vec<Check> {
    let memory = Memory::read();
    let planned = planned.unwrap_or_else(|| memory.default_store_bytes());
    let limit = getrlimit(Resource::Nofile);
    vec![descriptors(limit.current, limit.maximum), maps(), budget(&memory, planned)]
}

/// The store raises its own soft limit; what counts is the hard one.
fn descriptors(soft: Option<u64>, hard: Option<u64>) -> Check {
    const NAME: &str = "descriptors";
    const WANTED: u64 = 65_536;
    const NEEDED: u64 = 1024;
    /// A large object is a memfd of its own, and a second description of it to ask for leases.
    const OBJECT_DESCRIPTORS: u64 = 2;
    const FIX: &str = "\
echo '* hard nofile 65536' | sudo tee /etc/security/limits.d/sheaf.conf   # then log in again
# in a systemd unit: LimitNOFILE=65536; in Docker: --ulimit nofile=65536";
    let word = |limit: Option<u64>| limit.map_or("unlimited".into(), |limit| limit.to_string());
    let found = format!("RLIMIT_NOFILE is {}, {} at most", word(soft), word(hard));
    match hard.unwrap_or(u64::MAX) {
        limit if limit < NEEDED => Check::fail(NAME, found, FIX),
        limit if limit < WANTED => {
            let objects = limit / OBJECT_DESCRIPTORS;
            let found = format!(
                "{found}: fewer than {objects} large objects fit, each with {OBJECT_DESCRIPTORS} \
                 descriptors, and a client takes one more"
            );
            Check::warn(NAME, found, FIX)
        }
        _ => Check::ok(NAME, found),
    }
}

fn maps() -> Check {
    const NAME: &str = "mappings";
    const WANTED: u64 = 65_530;
    let text = std::fs::read_to_string("/proc/sys/vm/max_map_count").unwrap_or_default();
    match text.trim().parse::<u64>() {
        Ok(count) if count < WANTED => Check::warn(
            NAME,
            format!("vm.max_map_count is {count}: so many large objects can one client map"),
            "sudo sysctl -w vm.max_map_count=262144",
        ),
        Ok(count) => Check::ok(NAME, format!("vm.max_map_count is {count}")),
        Err(_) => Check::ok(NAME, "vm.max_map_count can't be read here"),
    }
}

fn budget(memory: &Memory, planned: u64) -> Check {
    const NAME: &str = "memory";
    let limit = memory.limit_bytes();
    let whose = match &memory.cgroup {
        Some((limit, file)) => format!("{} sets {}", file.display(), human_bytes(*limit)),
        None => format!("the machine has {}", human_bytes(memory.total_bytes)),
    };
    let found = format!(
        "a store of {} planned; {whose}, {} is available now",
        human_bytes(planned),
        human_bytes(memory.available_bytes)
    );
    let smaller = format!("sheaf serve --memory {}MiB", (limit / 2) >> 20);
    // Readers' and writers' own memory, and the kernel's, must fit beside the store.
    let ample = limit / 10 * 8;
    match (planned, &memory.cgroup) {
        (planned, Some((_, file))) if planned > limit => {
            let raise = format!("echo {} | sudo tee {}", planned / 8 * 10, file.display());
            Check::fail(NAME, found, format!("{smaller}   # or raise the limit:\n{raise}"))
        }
        (planned, None) if planned > limit => Check::fail(NAME, found, smaller),
        (planned, _) if planned > ample => {
            Check::warn(NAME, format!("{found}: little is left for others"), smaller)
        }
        (planned, _) if planned > memory.available_bytes => Check::warn(
            NAME,
            format!("{found}: others use the rest"),
            format!("sheaf serve --memory {}MiB", ((memory.available_bytes / 2) >> 20).max(1)),
        ),
        _ => Check::ok(NAME, found),
    }
}

#[cfg(test)]
mod tests {
    use super::super::check::State;
    use super::*;

    const GIB: u64 = 1 << 30;

    fn memory(cgroup: Option<u64>) -> Memory {
        let cgroup = cgroup.map(|limit| (limit, "/sys/fs/cgroup/memory.max".into()));
        Memory { total_bytes: 16 * GIB, available_bytes: 12 * GIB, cgroup }
    }

    #[test]
    fn a_store_beyond_the_control_group_fails_with_both_ways_out() {
        let check = budget(&memory(Some(4 * GIB)), 8 * GIB);

        assert_eq!(check.state, State::Fail);
        let fix = check.fix.unwrap();
        assert!(fix.contains("--memory 2048MiB"), "{fix}");
        assert!(fix.contains("tee /sys/fs/cgroup/memory.max"), "{fix}");
    }

    #[test]
    fn a_store_is_held_to_what_is_there() {
        for (planned, state) in [
            (6 * GIB, State::Ok),
            (12 * GIB + 1, State::Warn),
            (15 * GIB, State::Warn),
            (17 * GIB, State::Fail),
        ] {
            assert_eq!(budget(&memory(None), planned).state, state, "{planned}");
        }
    }

    #[test]
    fn the_hard_limit_of_descriptors_counts() {
        assert_eq!(descriptors(Some(1024), Some(1 << 20)).state, State::Ok);
        assert_eq!(descriptors(Some(1024), None).state, State::Ok);
        assert_eq!(descriptors(Some(1024), Some(4096)).state, State::Warn);
        assert_eq!(descriptors(Some(256), Some(256)).state, State::Fail);
    }
}
