//! ★ Times as a person reads them, in the local time zone.

use std::time::SystemTime;

use jiff::Timestamp;
use jiff::civil::{Date, DateTime};
use jiff::tz::TimeZone;

/// The local date and time of `at`. Times beyond what the calendar holds are shown as 1970.
pub fn local(at: SystemTime, zone: &TimeZone) -> DateTime {
    zone.to_datetime(Timestamp::try_from(at).unwrap_or(Timestamp::UNIX_EPOCH))
}

/// E.g. `09:05`.
pub fn time_label(at: DateTime) -> String {
    at.strftime("%H:%M").to_string()
}

/// E.g. `Monday 24 November`, with the year when it is not that of `today`.
pub fn day_label(day: Date, today: Date) -> String {
    let format = if day.year() == today.year() { "%A %-d %B" } else { "%A %-d %B %Y" };
    day.strftime(format).to_string()
}

/// A moment seen from `now`: `09:05` today, `yesterday 09:05`, `24 Nov 09:05` on another day.
pub fn moment(at: DateTime, now: DateTime) -> String {
    if now.date().yesterday().is_ok_and(|yesterday| yesterday == at.date()) {
        return at.strftime("yesterday %H:%M").to_string();
    }
    let format = match (at.date() == now.date(), at.year() == now.year()) {
        (true, _) => "%H:%M",
        (false, true) => "%-d %b %H:%M",
        (false, false) => "%-d %b %Y",
    };
    at.strftime(format).to_string()
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use jiff::civil::{date, datetime};

    use super::*;

    #[test]
    fn times_are_short_and_local() {
        let now = datetime(2025, 11, 24, 12, 0, 0, 0);
        let table = [
            (datetime(2025, 11, 24, 9, 5, 0, 0), "09:05"),
            (datetime(2025, 11, 23, 23, 59, 0, 0), "yesterday 23:59"),
            (datetime(2025, 11, 2, 9, 5, 0, 0), "2 Nov 09:05"),
            (datetime(2024, 11, 24, 9, 5, 0, 0), "24 Nov 2024"),
        ];
        for (at, want) in table {
            assert_eq!(moment(at, now), want);
        }
        assert_eq!(day_label(date(2025, 11, 3), now.date()), "Monday 3 November");
        assert_eq!(day_label(date(2024, 11, 3), now.date()), "Sunday 3 November 2024");
        let zone = TimeZone::fixed(jiff::tz::offset(2));
        assert_eq!(time_label(local(SystemTime::UNIX_EPOCH, &zone)), "02:00");
        let beyond = SystemTime::UNIX_EPOCH.checked_add(Duration::from_secs(1 << 50));
        assert_eq!(time_label(local(beyond.unwrap_or(SystemTime::UNIX_EPOCH), &TimeZone::UTC)), "00:00");
    }
}
