//! Sizes and durations as people write and read them.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

pub(crate) use sheaf_store::error::human_bytes;

/// The units of sizes: binary by habit (`2G` is 2 GiB), decimal when they say so (`100MB`).
const SIZES: [(&str, u64); 19] = [
    ("", 1),
    ("b", 1),
    ("k", 1 << 10),
    ("ki", 1 << 10),
    ("kib", 1 << 10),
    ("kb", 1_000),
    ("m", 1 << 20),
    ("mi", 1 << 20),
    ("mib", 1 << 20),
    ("mb", 1_000_000),
    ("g", 1 << 30),
    ("gi", 1 << 30),
    ("gib", 1 << 30),
    ("gb", 1_000_000_000),
    ("t", 1 << 40),
    ("ti", 1 << 40),
    ("tib", 1 << 40),
    ("tb", 1_000_000_000_000),
    ("bytes", 1),
];

const DURATIONS: [(&str, f64); 7] = [
    ("us", 1e-6),
    ("ms", 1e-3),
    ("s", 1.0),
    ("m", 60.0),
    ("min", 60.0),
    ("h", 3600.0),
    ("d", 86400.0),
];

/// Bytes of `4GiB`, `512MiB`, `2G`, `1.5GiB`, `100MB` or a plain number.
pub(crate) fn parse_bytes(text: &str) -> Result<u64, String> {
    let wrong = || format!("{text} is no size: write it like 4GiB, 512MiB, 100MB or 65536");
    let (number, unit) = split(text);
    let unit = unit.to_ascii_lowercase();
    let (_, factor) = *SIZES.iter().find(|(name, _)| *name == unit).ok_or_else(wrong)?;
    // Whole numbers stay exact beyond what a float can hold.
    if let Ok(whole) = number.parse::<u64>() {
        return whole.checked_mul(factor).ok_or_else(|| format!("{text} is more than 16 EiB"));
    }
    let value = positive(number).ok_or_else(wrong)? * factor as f64;
    if value >= u64::MAX as f64 {
        return Err(format!("{text} is more than 16 EiB"));
    }
    Ok(value as u64)
}

/// A duration of `5s`, `500ms`, `1.5h`, `2m` or `0`.
pub(crate) fn parse_duration(text: &str) -> Result<Duration, String> {
    let wrong = || format!("{text} is no duration: write it like 5s, 500ms or 2m");
    let (number, unit) = split(text);
    let number = positive(number).ok_or_else(wrong)?;
    if number == 0.0 && unit.is_empty() {
        return Ok(Duration::ZERO);
    }
    let unit = DURATIONS.iter().find(|(name, _)| *name == unit).ok_or_else(wrong)?;
    Duration::try_from_secs_f64(number * unit.1).map_err(|_| format!("{text} is too long"))
}

fn split(text: &str) -> (&str, &str) {
    let text = text.trim();
    let end = text.find(|c: char| !(c.is_ascii_digit() || c == '.')).unwrap_or(text.len());
    (&text[..end], text[end..].trim_start())
}

fn positive(number: &str) -> Option<f64> {
    number.parse().ok().filter(|value: &f64| value.is_finite() && *value >= 0.0)
}

/// A measured time: three digits and a unit.
pub(crate) fn human_time(time: Duration) -> String {
    let secs = time.as_secs_f64();
    let (value, unit) = match secs {
        s if s >= 120.0 => return human_age(time),
        s if s >= 1.0 => (s, "s"),
        s if s >= 1e-3 => (s * 1e3, "ms"),
        s => (s * 1e6, "µs"),
    };
    let digits = if value >= 100.0 { 0 } else { 1 + usize::from(value < 10.0) };
    format!("{value:.digits$} {unit}")
}

/// A span of which nobody wants to know the fractions.
pub(crate) fn human_age(age: Duration) -> String {
    match age.as_secs() {
        secs @ 0..120 => format!("{secs} s"),
        secs @ 120..7200 => format!("{} min", secs / 60),
        secs @ 7200..172_800 => format!("{} h", secs / 3600),
        secs => format!("{} d", secs / 86400),
    }
}

/// How long ago this was, in milliseconds since the Unix epoch.
pub(crate) fn age_of(since_ms: u64) -> Duration {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    now.saturating_sub(Duration::from_millis(since_ms))
}

/// `1 row`, `2 rows`.
pub(crate) fn counted(count: u64, what: &str) -> String {
    let plural = match what.strip_suffix("ch") {
        _ if count == 1 => "",
        Some(_) => "es",
        None => "s",
    };
    format!("{count} {what}{plural}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_read_as_people_write_them() {
        for (text, bytes) in [
            ("4GiB", 4 << 30),
            ("512MiB", 512 << 20),
            ("2G", 2 << 30),
            ("100MB", 100_000_000),
            ("1.5 GiB", 3 << 29),
            ("65536", 65536),
            ("0", 0),
            ("16kb", 16_000),
            ("18446744073709551615", u64::MAX),
        ] {
            assert_eq!(parse_bytes(text), Ok(bytes), "{text}");
        }
    }

    #[test]
    fn what_is_no_size_is_refused() {
        for text in ["", "GiB", "4 gigs", "-1", "1e9", "1.2.3", "inf", "20000000TiB", "4GiBs"] {
            assert!(parse_bytes(text).is_err(), "{text}");
        }
    }

    #[test]
    fn durations_are_read_as_people_write_them() {
        for (text, ms) in
            [("5s", 5000), ("500ms", 500), ("2m", 120_000), ("1.5h", 5_400_000), ("0", 0)]
        {
            assert_eq!(parse_duration(text), Ok(Duration::from_millis(ms)), "{text}");
        }
    }

    #[test]
    fn what_is_no_duration_is_refused() {
        for text in ["", "5", "s", "-5s", "5 parsecs", "1e3s", "999999999999999999999d"] {
            assert!(parse_duration(text).is_err(), "{text}");
        }
    }

    #[test]
    fn times_have_three_digits_and_a_unit() {
        assert_eq!(human_time(Duration::from_nanos(1_234)), "1.23 µs");
        assert_eq!(human_time(Duration::from_micros(12_345)), "12.3 ms");
        assert_eq!(human_time(Duration::from_millis(234)), "234 ms");
        assert_eq!(human_time(Duration::from_secs(5)), "5.00 s");
        assert_eq!(human_time(Duration::from_secs(300)), "5 min");
    }

    #[test]
    fn counts_have_their_plural() {
        assert_eq!(counted(1, "batch"), "1 batch");
        assert_eq!(counted(2, "batch"), "2 batches");
        assert_eq!(counted(0, "row"), "0 rows");
    }
}
