//! What the machine offers.

use std::fs;
use std::path::Path;

/// Where neither the kernel nor a control group says how much there is.
const MEMORY_BYTES_ASSUMED: u64 = 1 << 30;

/// The memory this process may use: the machine's, or less if its control group has less.
pub fn memory_bytes() -> u64 {
    let read = |path: &Path| fs::read_to_string(path).ok();
    let machine = read(Path::new("/proc/meminfo")).and_then(|text| mem_total(&text));
    // In a container the group is the root of what is mounted; elsewhere it is named by the process.
    let own = read(Path::new("/proc/self/cgroup")).and_then(|text| group_path(&text));
    let groups = [Some(String::new()), own].into_iter().flatten();
    let limits = groups
        .filter_map(|group| read(Path::new(&format!("/sys/fs/cgroup{group}/memory.max"))))
        .filter_map(|text| text.trim().parse().ok());
    machine.into_iter().chain(limits).min().unwrap_or(MEMORY_BYTES_ASSUMED)
}

/// `MemTotal:       16384 kB`.
fn mem_total(meminfo: &str) -> Option<u64> {
    let line = meminfo.lines().find_map(|line| line.strip_prefix("MemTotal:"))?;
    let kib: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    kib.checked_mul(1024)
}

/// `0::/user.slice/...`: the line of control groups version 2.
fn group_path(cgroup: &str) -> Option<String> {
    cgroup.lines().find_map(|line| line.strip_prefix("0::")).map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kernels_files_are_understood() {
        assert_eq!(mem_total("MemTotal:       16384 kB\nMemFree:  5 kB\n"), Some(16 << 20));
        assert_eq!(mem_total("MemFree:  5 kB\n"), None);
        assert_eq!(mem_total("MemTotal: much\n"), None);
        assert_eq!(group_path("1:cpu:/x\n0::/user.slice/a.scope\n").as_deref(), Some("/user.slice/a.scope"));
        assert_eq!(group_path("1:cpu:/x\n"), None);
        assert!(memory_bytes() > 0);
    }
}
