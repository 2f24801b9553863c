//! Amounts of memory and disk as operators write them: `512MiB`, `1GB`, or a share of the machine's memory. Pure.

use super::reply::Failure;

/// What was asked for; in bytes once the machine is known.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Amount {
    Bytes(u64),
    /// A share of the machine's memory.
    OfMemory(f64),
}

/// As in RabbitMQ, short units are powers of two.
const UNITS: [(&str, u64); 12] = [
    ("k", 1 << 10),
    ("kib", 1 << 10),
    ("kb", 1000),
    ("m", 1 << 20),
    ("mib", 1 << 20),
    ("mb", 1_000_000),
    ("g", 1 << 30),
    ("gib", 1 << 30),
    ("gb", 1_000_000_000),
    ("t", 1 << 40),
    ("tib", 1 << 40),
    ("tb", 1_000_000_000_000),
];

impl Amount {
    /// Of `set_vm_memory_high_watermark`: `0.4`, or `absolute 2GB`.
    pub fn memory_watermark(words: &[String]) -> Result<Amount, Failure> {
        match words {
            [word, size] if word == "absolute" => bytes(size),
            [share] => match share.parse() {
                Ok(share) if (0.0..=1.0).contains(&share) => Ok(Amount::OfMemory(share)),
                _ => Err(Failure::new(format!(
                    "'{share}' is no share of the machine's memory: give a number from 0.0 to 1.0, or `absolute 2GB`"
                ))),
            },
            _ => Err(Failure::new("give a share of the machine's memory, such as 0.4, or `absolute 2GB`")),
        }
    }

    /// Of `set_disk_free_limit`: `2GB`, or `mem_relative 1.5`.
    pub fn disk_limit(words: &[String]) -> Result<Amount, Failure> {
        match words {
            [word, share] if word == "mem_relative" => match share.parse::<f64>() {
                Ok(share) if share >= 0.0 && share.is_finite() => Ok(Amount::OfMemory(share)),
                _ => Err(Failure::new(format!(
                    "'{share}' is no multiple of the machine's memory: give a number such as 1.5"
                ))),
            },
            [size] => bytes(size),
            _ => Err(Failure::new("give a size, such as 2GB, or `mem_relative 1.5`")),
        }
    }

    pub fn bytes(self, memory_bytes: u64) -> u64 {
        match self {
            Amount::Bytes(bytes) => bytes,
            Amount::OfMemory(share) => (share * memory_bytes as f64) as u64,
        }
    }
}

fn bytes(text: &str) -> Result<Amount, Failure> {
    let digits = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (number, unit) = (&text[..digits], text[digits..].trim());
    let factor = match unit {
        "" => Some(1),
        unit => UNITS.iter().find(|(name, _)| name.eq_ignore_ascii_case(unit)).map(|(_, factor)| *factor),
    };
    let size = number.parse::<u64>().ok().zip(factor).and_then(|(number, factor)| number.checked_mul(factor));
    size.map(Amount::Bytes).ok_or_else(|| {
        Failure::new(format!(
            "'{text}' is no size: give bytes, or a whole number with kB, MB, GB, TB, KiB, MiB, GiB or TiB"
        ))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(text: &str) -> Vec<String> {
        text.split(' ').map(str::to_owned).collect()
    }

    #[test]
    fn sizes_have_units_and_shares_have_bounds() {
        let memory = |text| Amount::memory_watermark(&words(text)).map_err(|failure| failure.reason);
        let disk = |text| Amount::disk_limit(&words(text)).map_err(|failure| failure.reason);
        assert_eq!(memory("0.5").map(|amount| amount.bytes(1000)), Ok(500));
        assert_eq!(memory("0"), Ok(Amount::OfMemory(0.0)));
        assert_eq!(memory("absolute 1GB"), Ok(Amount::Bytes(1_000_000_000)));
        assert_eq!(disk("512MiB"), Ok(Amount::Bytes(512 << 20)));
        assert_eq!(disk("2k"), Ok(Amount::Bytes(2048)));
        assert_eq!(disk("70"), Ok(Amount::Bytes(70)));
        assert_eq!(disk("mem_relative 1.5").map(|amount| amount.bytes(1000)), Ok(1500));
        for text in ["1.5", "-1", "NaN", "x", "absolute", "absolute 1XB", "absolute 99999999TB", "relative 1"]
        {
            assert!(memory(text).is_err(), "{text}");
        }
        for text in ["", "x", "1.5GB", "mem_relative", "mem_relative -1", "mem_relative inf", "absolute 5"] {
            assert!(disk(text).is_err(), "{text}");
        }
    }
}
