//! Dates for templates: `strftime_now`, in UTC.

use std::fmt::Write;

const MONTHS: [&str; 12] = [
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
];
const DAYS: [&str; 7] = ["Sunday", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday"];

/// A second in UTC, taken apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Moment {
    year: u64,
    /// From 1.
    month: u64,
    /// From 1.
    day: u64,
    /// From 1.
    day_of_year: u64,
    /// 0 is Sunday.
    weekday: u64,
    hour: u64,
    minute: u64,
    second: u64,
}

impl Moment {
    /// The moment of a Unix time.
    pub(super) fn at(unix_ms: u64) -> Self {
        let seconds = unix_ms / 1000;
        let days = seconds / 86_400;
        let (mut year, mut left) = (1970, days);
        while left >= days_in_year(year) {
            left -= days_in_year(year);
            year += 1;
        }
        let day_of_year = left + 1;
        let mut month = 1;
        while left >= days_in_month(year, month) {
            left -= days_in_month(year, month);
            month += 1;
        }
        let (hour, minute, second) = (seconds / 3600 % 24, seconds / 60 % 60, seconds % 60);
        // 1 January 1970 was a Thursday.
        Self { year, month, day: left + 1, day_of_year, weekday: (days + 4) % 7, hour, minute, second }
    }

    /// Fills in a format of Python's `strftime`; the directives that dates and times in prompts use.
    pub(super) fn format(&self, format: &str) -> Result<String, String> {
        let mut out = String::new();
        let mut rest = format.chars();
        while let Some(c) = rest.next() {
            if c != '%' {
                out.push(c);
                continue;
            }
            let mut directive = rest.next();
            // glibc's `-` leaves out the padding.
            let bare = directive == Some('-');
            if bare {
                directive = rest.next();
            }
            let directive = directive.ok_or("strftime_now: the format ends in the middle of a directive")?;
            self.write(&mut out, directive, bare)?;
        }
        Ok(out)
    }

    fn write(&self, out: &mut String, directive: char, bare: bool) -> Result<(), String> {
        let month = MONTHS[(self.month as usize - 1) % 12];
        let weekday = DAYS[self.weekday as usize % 7];
        let hour12 = (self.hour + 11) % 12 + 1;
        let (value, width) = match directive {
            'Y' => (self.year, 4),
            'y' => (self.year % 100, 2),
            'm' => (self.month, 2),
            'd' => (self.day, 2),
            'j' => (self.day_of_year, 3),
            'H' => (self.hour, 2),
            'I' => (hour12, 2),
            'M' => (self.minute, 2),
            'S' => (self.second, 2),
            'w' => (self.weekday, 1),
            _ => {
                match directive {
                    'B' => out.push_str(month),
                    'b' | 'h' => out.push_str(&month[..3]),
                    'A' => out.push_str(weekday),
                    'a' => out.push_str(&weekday[..3]),
                    'p' => out.push_str(if self.hour < 12 { "AM" } else { "PM" }),
                    'e' => out.push_str(&format!("{:>2}", self.day)),
                    'F' => out.push_str(&self.format("%Y-%m-%d")?),
                    'T' => out.push_str(&self.format("%H:%M:%S")?),
                    'R' => out.push_str(&self.format("%H:%M")?),
                    'D' => out.push_str(&self.format("%m/%d/%y")?),
                    'Z' => out.push_str("UTC"),
                    'z' => out.push_str("+0000"),
                    'n' => out.push('\n'),
                    't' => out.push('\t'),
                    '%' => out.push('%'),
                    other => return Err(format!("strftime_now: `%{other}` is not known here")),
                }
                return Ok(());
            }
        };
        // Writing to a string cannot fail.
        let _ = if bare { write!(out, "{value}") } else { write!(out, "{value:0width$}") };
        Ok(())
    }
}

fn days_in_year(year: u64) -> u64 {
    365 + u64::from(is_leap(year))
}

fn days_in_month(year: u64, month: u64) -> u64 {
    match month {
        2 => 28 + u64::from(is_leap(year)),
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

fn is_leap(year: u64) -> bool {
    year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_are_those_of_the_calendar() {
        let shown = |seconds: u64| Moment::at(seconds * 1000).format("%A %d %B %Y %H:%M:%S %j").unwrap();
        assert_eq!(shown(0), "Thursday 01 January 1970 00:00:00 001");
        assert_eq!(shown(951_782_399), "Monday 28 February 2000 23:59:59 059");
        assert_eq!(shown(951_782_400), "Tuesday 29 February 2000 00:00:00 060");
        assert_eq!(shown(4_107_542_400), "Monday 01 March 2100 00:00:00 060");
        let moment = Moment::at(1_795_438_845_000);
        assert_eq!(
            moment.format("%d %b %Y, %-d/%-m/%y, %I:%M %p, 100%%").unwrap(),
            "23 Nov 2026, 23/11/26, 01:00 PM, 100%"
        );
        assert!(moment.format("%Q").is_err() && moment.format("%").is_err());
    }
}
