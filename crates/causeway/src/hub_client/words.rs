//! What the registry's numbers stand for, in words, and the other way round.

use alloy_primitives::B256;

fn of(names: &[&'static str], status: u8) -> String {
    match usize::from(status)
        .checked_sub(1)
        .and_then(|at| names.get(at))
    {
        Some(name) => (*name).to_owned(),
        None => format!("unknown ({status})"),
    }
}

/// A member's status.
pub(crate) fn member_status(status: u8) -> String {
    of(&["active", "suspended", "removed"], status)
}

/// A city's status.
pub(crate) fn city_status(status: u8) -> String {
    member_status(status)
}

/// An application's status.
pub(crate) fn application_status(status: u8) -> String {
    of(&["active", "changing", "suspended", "closed"], status)
}

/// A proposal's status.
pub(crate) fn proposal_status(status: u8) -> String {
    of(
        &["in the vote", "passed", "rejected", "executed", "expired"],
        status,
    )
}

/// A parameter's name, which the contracts keep as ASCII filled up with zero bytes.
pub(crate) fn parameter_name(name: B256) -> String {
    let end = name
        .iter()
        .rposition(|&byte| byte != 0)
        .map_or(0, |at| at + 1);
    let text = std::str::from_utf8(&name[..end]);
    match text {
        Ok(text) if text.bytes().all(|byte| byte.is_ascii_graphic()) => text.to_owned(),
        _ => name.to_string(),
    }
}

/// The bytes of a parameter's name; `None` for what can be none.
pub(crate) fn parameter_bytes(name: &str) -> Option<B256> {
    let sound = (1..=32).contains(&name.len()) && name.bytes().all(|byte| byte.is_ascii_graphic());
    sound.then(|| B256::right_padding_from(name.as_bytes()))
}

/// A time of the registry, for people: the day and time of UTC, by the proleptic Gregorian calendar.
pub(crate) fn day(seconds: u64) -> String {
    let (days, rest) = (seconds / 86_400, seconds % 86_400);
    // Howard Hinnant, "chrono-Compatible Low-Level Date Algorithms", civil_from_days, for days from 1970 on.
    let shifted = days.saturating_add(719_468);
    let era = shifted / 146_097;
    let of_era = shifted % 146_097;
    let year_of_era = (of_era - of_era / 1_460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted_month = (5 * of_year + 2) / 153;
    let day = of_year - (153 * shifted_month + 2) / 5 + 1;
    let month = if shifted_month < 10 {
        shifted_month + 3
    } else {
        shifted_month - 9
    };
    let year = year_of_era + era * 400 + u64::from(month <= 2);
    format!(
        "{year:04}-{month:02}-{day:02} {:02}:{:02}:{:02} UTC",
        rest / 3_600,
        rest / 60 % 60,
        rest % 60
    )
}

/// A number that people read: with commas between thousands.
pub(crate) fn grouped(number: u128) -> String {
    let digits = number.to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::{application_status, day, grouped, parameter_bytes, parameter_name};

    #[test]
    fn times_are_days_of_utc() {
        for (seconds, wanted) in [
            (0, "1970-01-01 00:00:00 UTC"),
            (951_782_399, "2000-02-28 23:59:59 UTC"),
            (951_782_400, "2000-02-29 00:00:00 UTC"),
            (1_767_225_600, "2026-01-01 00:00:00 UTC"),
            (4_107_542_400, "2100-03-01 00:00:00 UTC"),
        ] {
            assert_eq!(day(seconds), wanted);
        }
        assert!(day(u64::MAX).ends_with("UTC"));
    }

    #[test]
    fn numbers_and_names_have_words() {
        assert_eq!(grouped(0), "0");
        assert_eq!(grouped(999), "999");
        assert_eq!(grouped(1_000_000), "1,000,000");
        assert_eq!(application_status(2), "changing");
        assert_eq!(application_status(9), "unknown (9)");
        let name = parameter_bytes("timeLock").expect("a name");
        assert_eq!(parameter_name(name), "timeLock");
        assert_eq!(parameter_bytes(""), None);
        assert_eq!(parameter_bytes(&"x".repeat(33)), None);
        assert!(parameter_name(alloy_primitives::B256::repeat_byte(7)).starts_with("0x"));
    }
}
