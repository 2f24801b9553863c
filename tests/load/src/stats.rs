//! What is counted: messages, latencies, and what the processes use.

use std::collections::HashMap;
use std::fs;

#[derive(Default, Clone)]
pub struct Stats {
    pub published: u64,
    pub delivered: u64,
    pub confirmed: u64,
    pub returned: u64,
    pub nacked: u64,
    pub latency: Histogram,
    /// How late publishes at a rate were sent, by the generator's own fault.
    pub lag: Histogram,
    /// Nothing more is published.
    pub is_draining: bool,
}

/// Nanoseconds in buckets that are 1/32 wide.
#[derive(Clone)]
pub struct Histogram {
    counts: Vec<u64>,
    total: u64,
}

impl Default for Histogram {
    fn default() -> Histogram {
        Histogram { counts: vec![0; 64 * 32], total: 0 }
    }
}

impl Histogram {
    pub fn record(&mut self, ns: u64) {
        let power = 63 - (ns | 32).leading_zeros();
        let at = (power - 5) as usize * 32 + (ns >> (power - 5)) as usize;
        self.counts[at] += 1;
        self.total += 1;
    }

    /// Microseconds that the share `of_1` of the values does not exceed; `None` without values.
    pub fn quantile_us(&self, of_1: f64) -> Option<f64> {
        let wanted = (self.total as f64 * of_1).ceil() as u64;
        let mut seen = 0;
        for (at, count) in self.counts.iter().enumerate().filter(|(_, count)| **count > 0) {
            seen += count;
            if seen >= wanted {
                let power = (at / 32).max(1) - 1;
                return Some((((at - power * 32) as u64) << power) as f64 / 1000.0);
            }
        }
        None
    }
}

/// What a process and its descendants have used.
#[derive(Clone, Copy, Default)]
pub struct Usage {
    pub cpu_s: f64,
    pub rss_kib: u64,
}

/// Clock ticks of `/proc/*/stat` in a second, which Linux has fixed for user space.
const TICKS_PER_S: f64 = 100.0;

pub fn usage(pid: u32) -> Usage {
    let mut children: HashMap<u32, Vec<u32>> = HashMap::new();
    let mut used: HashMap<u32, f64> = HashMap::new();
    for entry in fs::read_dir("/proc").into_iter().flatten().flatten() {
        let Some(id) = entry.file_name().to_str().and_then(|name| name.parse::<u32>().ok()) else { continue };
        let Ok(stat) = fs::read_to_string(entry.path().join("stat")) else { continue };
        // The name in parentheses may hold anything.
        let Some((_, rest)) = stat.rsplit_once(')') else { continue };
        let fields: Vec<&str> = rest.split_whitespace().collect();
        let number = |at: usize| fields.get(at).and_then(|field| field.parse::<u64>().ok()).unwrap_or(0);
        children.entry(number(1) as u32).or_default().push(id);
        used.insert(id, (number(11) + number(12)) as f64 / TICKS_PER_S);
    }
    let mut total = Usage::default();
    let mut at = vec![pid];
    while let Some(id) = at.pop() {
        total.cpu_s += used.get(&id).copied().unwrap_or(0.0);
        total.rss_kib += rss_kib(id);
        at.extend(children.remove(&id).unwrap_or_default());
    }
    total
}

fn rss_kib(pid: u32) -> u64 {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    line.and_then(|line| line.trim().trim_end_matches(" kB").parse().ok()).unwrap_or(0)
}

/// Seconds of processor time that the whole machine has used.
pub fn machine_busy_s() -> f64 {
    let stat = fs::read_to_string("/proc/stat").unwrap_or_default();
    let fields: Vec<f64> =
        stat.lines().next().unwrap_or("").split_whitespace().filter_map(|field| field.parse().ok()).collect();
    [0, 1, 2, 5, 6].iter().filter_map(|&at| fields.get(at)).sum::<f64>() / TICKS_PER_S
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_are_within_a_thirtieth() {
        let mut histogram = Histogram::default();
        assert_eq!(histogram.quantile_us(0.5), None);
        for us in 1..=1000 {
            histogram.record(us * 1000);
        }
        for (of_1, us) in [(0.001, 1.0), (0.5, 500.0), (0.99, 990.0), (1.0, 1000.0)] {
            let found = histogram.quantile_us(of_1).unwrap();
            assert!((found - us).abs() <= us / 30.0, "{of_1}: {found}");
        }
    }

    #[test]
    fn this_process_uses_memory() {
        assert!(usage(std::process::id()).rss_kib > 0);
        assert!(machine_busy_s() > 0.0);
    }
}
