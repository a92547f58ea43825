//! Numbers and times, as people read them.

use chrono::{DateTime, TimeDelta, Utc};
use maud::{Markup, html};

/// A number with its thousands apart: 12,400.
pub(crate) fn number(n: u64) -> String {
    let digits = n.to_string();
    let mut out = String::with_capacity(digits.len() + digits.len() / 3);
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

/// A count that was made up to a bound.
pub(crate) fn count(n: u64, more: bool) -> String {
    let more = if more { "more than " } else { "" };
    format!("{more}{}", number(n))
}

/// A number with its noun.
pub(crate) fn counted(n: u64, one: &str, many: &str) -> String {
    format!("{} {}", number(n), if n == 1 { one } else { many })
}

/// How long something takes, in the largest unit that says enough.
pub(crate) fn span(seconds: u64) -> String {
    match seconds {
        0..=59 => format!("{seconds} s"),
        60..=5_399 => format!("{} min", seconds.div_ceil(60)),
        5_400..=172_799 => format!("{} h", seconds.div_ceil(3_600)),
        _ => format!("{} days", number(seconds / 86_400)),
    }
}

/// A moment seen from now.
fn relative(at: DateTime<Utc>, now: DateTime<Utc>) -> String {
    let apart = now - at;
    let seconds = apart.abs().num_seconds().unsigned_abs();
    match seconds {
        0..=4 => "just now".to_owned(),
        _ if apart > TimeDelta::zero() => format!("{} ago", past(seconds)),
        _ => format!("in {}", span(seconds)),
    }
}

fn past(seconds: u64) -> String {
    match seconds {
        0..=59 => format!("{seconds} s"),
        60..=3_599 => format!("{} min", seconds / 60),
        3_600..=172_799 => format!("{} h", seconds / 3_600),
        _ => format!("{} days", number(seconds / 86_400)),
    }
}

/// A moment: relative, with the exact one within reach.
pub(crate) fn when(at: DateTime<Utc>, now: DateTime<Utc>) -> Markup {
    html! {
        time datetime=(at.to_rfc3339()) title=(at.format("%-d %b %Y, %H:%M:%S UTC")) tabindex="0" {
            (relative(at, now))
        }
    }
}

/// Which day it was, in UTC, with the exact moment within reach.
pub(crate) fn day(at: DateTime<Utc>, now: DateTime<Utc>) -> Markup {
    html! {
        time datetime=(at.to_rfc3339()) title=(at.format("%-d %b %Y, %H:%M:%S UTC")) tabindex="0" {
            (day_name((now.date_naive() - at.date_naive()).num_days()))
        }
    }
}

fn day_name(ago: i64) -> String {
    match ago {
        ..=0 => "today".to_owned(),
        1 => "yesterday".to_owned(),
        ago => format!("{} days ago", number(ago.unsigned_abs())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_and_times_read_well() {
        for (n, want) in [
            (0, "0"),
            (999, "999"),
            (1_000, "1,000"),
            (12_400, "12,400"),
            (1_234_567, "1,234,567"),
        ] {
            assert_eq!(number(n), want);
        }
        assert_eq!(counted(1, "person", "people"), "1 person");
        assert_eq!(counted(2_000, "person", "people"), "2,000 people");
        assert_eq!(count(10_000, true), "more than 10,000");
        let now = Utc::now();
        for (seconds, want) in [
            (3, "just now"),
            (-3, "just now"),
            (59, "59 s ago"),
            (125, "2 min ago"),
            (7_300, "2 h ago"),
            (400_000, "4 days ago"),
            (-125, "in 3 min"),
        ] {
            assert_eq!(relative(now - TimeDelta::seconds(seconds), now), want);
        }
        for (ago, want) in [
            (-1, "today"),
            (0, "today"),
            (1, "yesterday"),
            (1_200, "1,200 days ago"),
        ] {
            assert_eq!(day_name(ago), want);
        }
    }
}
