//! How much memory a store may take here: the machine's, or what its control group leaves of it.

use std::fs;
use std::path::{Path, PathBuf};

/// The memory there is for this process.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Memory {
    /// The machine's, in bytes.
    pub(crate) total_bytes: u64,
    /// What could be had now without pushing anything out, in bytes.
    pub(crate) available_bytes: u64,
    /// The tightest limit of the control groups we are in, and the file that sets it.
    pub(crate) cgroup: Option<(u64, PathBuf)>,
}

impl Memory {
    /// What this machine says.
    pub(crate) fn read() -> Self {
        Self::read_from(Path::new("/"))
    }

    /// What holds: the control group's limit, or the machine's memory.
    pub(crate) fn limit_bytes(&self) -> u64 {
        self.cgroup.as_ref().map_or(self.total_bytes, |(limit, _)| self.total_bytes.min(*limit))
    }

    /// A store's size when none is given: half of what holds, in whole MiB.
    pub(crate) fn default_store_bytes(&self) -> u64 {
        ((self.limit_bytes() / 2) >> 20).max(1) << 20
    }

    fn read_from(root: &Path) -> Self {
        let meminfo = fs::read_to_string(root.join("proc/meminfo")).unwrap_or_default();
        let field = |name: &str| {
            let line = meminfo.lines().find_map(|line| line.strip_prefix(name))?;
            line.trim().trim_end_matches("kB").trim().parse::<u64>().ok().map(|kib| kib << 10)
        };
        let total_bytes = field("MemTotal:").unwrap_or(1 << 30);
        let available_bytes = field("MemAvailable:").unwrap_or(total_bytes);
        // Version 1 writes "no limit" as a number beyond every machine.
        let cgroup = cgroup_limit(root).filter(|(limit, _)| *limit < total_bytes);
        Self { total_bytes, available_bytes, cgroup }
    }
}

/// The least limit from our control group up to the root, of version 2 or 1.
fn cgroup_limit(root: &Path) -> Option<(u64, PathBuf)> {
    let groups = fs::read_to_string(root.join("proc/self/cgroup")).ok()?;
    groups.lines().flat_map(|line| limits_of(root, line)).min()
}

/// The limits that one line of `/proc/self/cgroup` (`id:controllers:path`) leads to.
fn limits_of(root: &Path, line: &str) -> Vec<(u64, PathBuf)> {
    let mut parts = line.splitn(3, ':');
    let (Some(id), Some(controllers), Some(group)) = (parts.next(), parts.next(), parts.next())
    else {
        return Vec::new();
    };
    let (mount, file) = if id == "0" && controllers.is_empty() {
        (root.join("sys/fs/cgroup"), "memory.max")
    } else if controllers.split(',').any(|controller| controller == "memory") {
        (root.join("sys/fs/cgroup/memory"), "memory.limit_in_bytes")
    } else {
        return Vec::new();
    };
    // In a container the path may be the host's, which is not mounted here: then only those
    // ancestors count that exist, at the least the mount itself.
    Path::new(group.trim_start_matches('/'))
        .ancestors()
        .filter_map(|group| {
            let path = mount.join(group).join(file);
            let limit = fs::read_to_string(&path).ok()?.trim().parse().ok()?;
            Some((limit, path))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const GIB: u64 = 1 << 30;

    fn machine(files: &[(&str, &str)]) -> (tempfile::TempDir, Memory) {
        let root = tempfile::tempdir().unwrap();
        let meminfo = ("proc/meminfo", "MemTotal: 16777216 kB\nMemAvailable: 8388608 kB\n");
        for (path, text) in files.iter().chain([&meminfo]) {
            let path = root.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
        let memory = Memory::read_from(root.path());
        (root, memory)
    }

    #[test]
    fn a_store_takes_half_of_a_machine_without_limits() {
        let (_root, memory) = machine(&[
            ("proc/self/cgroup", "0::/user.slice\n"),
            ("sys/fs/cgroup/user.slice/memory.max", "max\n"),
        ]);

        assert_eq!(memory.cgroup, None);
        assert_eq!(memory.default_store_bytes(), 8 * GIB);
        assert_eq!(memory.available_bytes, 8 * GIB);
    }

    #[test]
    fn the_tightest_group_above_us_counts() {
        let (root, memory) = machine(&[
            ("proc/self/cgroup", "0::/a/b\n"),
            ("sys/fs/cgroup/a/memory.max", "4294967296\n"),
            ("sys/fs/cgroup/a/b/memory.max", "max\n"),
        ]);

        assert_eq!(memory.limit_bytes(), 4 * GIB);
        assert_eq!(memory.cgroup.unwrap().1, root.path().join("sys/fs/cgroup/a/memory.max"));
    }

    #[test]
    fn a_container_that_sees_only_its_own_mount_is_found() {
        let (_root, memory) = machine(&[
            ("proc/self/cgroup", "0::/docker/0123\n"),
            ("sys/fs/cgroup/memory.max", "2147483648\n"),
        ]);

        assert_eq!(memory.default_store_bytes(), GIB);
    }

    #[test]
    fn version_one_counts_and_its_no_limit_does_not() {
        let lines = "5:cpu,memory:/job\n0::/\n";
        let path = "sys/fs/cgroup/memory/job/memory.limit_in_bytes";

        let (_one, limited) = machine(&[("proc/self/cgroup", lines), (path, "1073741824\n")]);
        let (_two, free) = machine(&[("proc/self/cgroup", lines), (path, "9223372036854771712\n")]);

        assert_eq!(limited.limit_bytes(), GIB);
        assert_eq!(free.limit_bytes(), 16 * GIB);
    }
}
