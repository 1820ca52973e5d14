//! Points in time: RFC 3339 and the shorter forms that engines accept, as microseconds.
//!
//! Days are counted with the civil calendar algorithm of Howard Hinnant.

use std::fmt;
use std::str::FromStr;

const MICROS: i64 = 1_000_000;
const DAY: i64 = 86_400;

/// Microseconds since 1970-01-01T00:00:00Z, within the years 0000 to 9999.
///
/// Parsed from RFC 3339; without an offset it is UTC, without a time it is midnight
/// (`2026-03-01T12:30:00.25+02:00`, `2026-03-01 12:30`, `2026-03-01`). Digits behind the microsecond
/// are dropped; a leap second is the second behind it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Timestamp(i64);

/// The text is no point in time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("expected a time as in RFC 3339, such as 2026-03-01T12:30:00Z or 2026-03-01")]
pub struct NotATimestamp;

impl Timestamp {
    /// So many microseconds since 1970-01-01T00:00:00Z; the nearest of the years 0000 to 9999.
    pub fn from_micros(micros: i64) -> Self {
        let day = |year| days_since_1970(year, 1, 1) * DAY * MICROS;
        Self(micros.clamp(day(0), day(10_000) - 1))
    }

    /// Microseconds since 1970-01-01T00:00:00Z.
    pub fn micros(self) -> i64 {
        self.0
    }
}

impl FromStr for Timestamp {
    type Err = NotATimestamp;

    fn from_str(text: &str) -> Result<Self, NotATimestamp> {
        parse(text.as_bytes()).map(Self).ok_or(NotATimestamp)
    }
}

fn parse(text: &[u8]) -> Option<i64> {
    let mut rest = text;
    let year = number(&mut rest, 4)?;
    byte(&mut rest, b"-")?;
    let month = number(&mut rest, 2)?;
    byte(&mut rest, b"-")?;
    let day = number(&mut rest, 2)?;
    if !(1..=12).contains(&month) || !(1..=days_of(year, month)).contains(&day) {
        return None;
    }
    let mut micros = days_since_1970(year, month, day) * DAY * MICROS;
    if !rest.is_empty() {
        byte(&mut rest, b"Tt ")?;
        micros += time(&mut rest)?;
    }
    let years =
        days_since_1970(0, 1, 1) * DAY * MICROS..days_since_1970(10_000, 1, 1) * DAY * MICROS;
    (rest.is_empty() && years.contains(&micros)).then_some(micros)
}

/// Microseconds since midnight in UTC: `12:30[:15[.123]][Z|+02:00]`.
fn time(rest: &mut &[u8]) -> Option<i64> {
    let (hour, minute, mut second, mut micros) = (clock(rest, 23)?, minutes(rest)?, 0, 0);
    if byte(rest, b":").is_some() {
        second = clock(rest, 60)?;
        if byte(rest, b".").is_some() {
            let digits = rest
                .iter()
                .take_while(|digit| digit.is_ascii_digit())
                .count();
            let (fraction, behind) = rest.split_at_checked(digits).filter(|_| digits > 0)?;
            let six = fraction.iter().chain(std::iter::repeat(&b'0')).take(6);
            micros = six.fold(0, |sum, digit| 10 * sum + i64::from(digit - b'0'));
            *rest = behind;
        }
    }
    let mut offset = 0;
    if byte(rest, b"Zz").is_none() && !rest.is_empty() {
        let sign = if byte(rest, b"+-")? == b'+' { 1 } else { -1 };
        offset = sign * 60 * (60 * clock(rest, 23)? + minutes(rest)?);
    }
    Some((3600 * hour + 60 * minute + second - offset) * MICROS + micros)
}

fn minutes(rest: &mut &[u8]) -> Option<i64> {
    byte(rest, b":")?;
    clock(rest, 59)
}

fn clock(rest: &mut &[u8], most: i64) -> Option<i64> {
    number(rest, 2).filter(|&value| value <= most)
}

fn number(rest: &mut &[u8], digits: usize) -> Option<i64> {
    let (number, behind) = rest.split_at_checked(digits)?;
    *rest = behind;
    number.iter().try_fold(0, |sum, digit| {
        digit
            .is_ascii_digit()
            .then(|| 10 * sum + i64::from(digit - b'0'))
    })
}

fn byte(rest: &mut &[u8], allowed: &[u8]) -> Option<u8> {
    let (&first, behind) = rest.split_first()?;
    allowed.contains(&first).then(|| {
        *rest = behind;
        first
    })
}

fn days_of(year: i64, month: i64) -> i64 {
    let leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    match month {
        4 | 6 | 9 | 11 => 30,
        2 if leap => 29,
        2 => 28,
        _ => 31,
    }
}

fn days_since_1970(year: i64, month: i64, day: i64) -> i64 {
    // Years begin in March, so that the leap day is the last.
    let year = if month <= 2 { year - 1 } else { year };
    let era = year.div_euclid(400);
    let year_of_era = year.rem_euclid(400);
    let day_of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    era * 146_097 + year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year - 719_468
}

/// RFC 3339 in UTC; it parses back to the same value.
impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (seconds, micros) = (self.0.div_euclid(MICROS), self.0.rem_euclid(MICROS));
        let (days, second) = (seconds.div_euclid(DAY) + 719_468, seconds.rem_euclid(DAY));
        let (era, day_of_era) = (days.div_euclid(146_097), days.rem_euclid(146_097));
        let year_of_era =
            (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
        let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
        let month_from_march = (5 * day_of_year + 2) / 153;
        let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
        let month = (month_from_march + 2) % 12 + 1;
        let year = era * 400 + year_of_era + i64::from(month <= 2);
        let (hour, minute, second) = (second / 3600, second / 60 % 60, second % 60);
        write!(
            f,
            "{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}"
        )?;
        if micros != 0 {
            write!(f, ".{micros:06}")?;
        }
        f.write_str("Z")
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn known_times() {
        for (text, micros) in [
            ("1970-01-01", 0),
            ("1970-01-01T00:00:00Z", 0),
            ("2026-03-01T12:30:00.25+02:00", 1_772_361_000_250_000),
            ("2024-02-29 23:59", 1_709_251_140_000_000),
            ("1969-12-31T23:59:59.999999Z", -1),
            ("2016-12-31T23:59:60Z", 1_483_228_800_000_000),
            ("0000-01-01", -62_167_219_200_000_000),
        ] {
            assert_eq!(
                text.parse::<Timestamp>().map(Timestamp::micros),
                Ok(micros),
                "{text}"
            );
        }
    }

    #[test]
    fn what_is_no_time_is_refused() {
        for text in [
            "",
            "2026",
            "2026-13-01",
            "2025-02-29",
            "2026-00-10",
            "2026-01-32",
            "2026-01-01T",
            "2026-01-01T24:00",
            "2026-01-01T10:60",
            "2026-01-01T10:00:00.",
            "2026-01-01T10:00+2",
            "2026-01-01T10:00:00Zx",
            "20260101",
            "0000-01-01T00:00+01:00",
            "2026-01-01x",
            "é026-01-01",
            "9999-12-31T23:59:59-01:00",
            "Nike",
        ] {
            assert_eq!(text.parse::<Timestamp>(), Err(NotATimestamp), "{text}");
        }
    }

    proptest! {
        #[test]
        fn text_and_value_go_both_ways(micros in -62_167_219_200_000_000..253_402_300_800_000_000i64) {
            prop_assert_eq!(Timestamp(micros).to_string().parse(), Ok(Timestamp(micros)));
        }

        #[test]
        fn any_text_is_parsed_or_refused(text in "\\PC{0,30}", like in "[0-9]{4}-[01][0-9]-[0-3][0-9][T ]?[0-9:.Z+-]{0,16}") {
            let _ = text.parse::<Timestamp>();
            let _ = like.parse::<Timestamp>();
        }
    }
}
