//! The day's ceiling of written records (E1). Days are those of the portal's time zone.

use chrono::{DateTime, Days, NaiveTime, TimeZone as _, Utc};
use chrono_tz::Tz;

use super::ExportCause;
use crate::settings::ExportSettings;

/// The time zone of this name; UTC where there is none of it.
pub fn zone_of(name: Option<&str>) -> Tz {
    name.and_then(|name| name.parse().ok()).unwrap_or(Tz::UTC)
}

/// Until when an export waits that would write `records` more today, if it waits. What somebody asked
/// for by hand is counted and never waits.
pub fn waits_until(
    settings: &ExportSettings,
    cause: ExportCause,
    written_today: u32,
    records: u32,
    now: DateTime<Utc>,
    zone: Tz,
) -> Option<DateTime<Utc>> {
    let ceiling = settings.daily_ceiling?;
    let by_hand = matches!(cause, ExportCause::Manual { .. });
    // An export of two records goes at least once a day, however low the ceiling.
    let over = written_today > 0 && written_today.saturating_add(records) > ceiling;
    (over && records > 0 && !by_hand).then(|| next_day(now, zone))
}

/// How many records more a batch may write today; none where there is no ceiling.
pub fn room(settings: &ExportSettings, written_today: u32) -> Option<u32> {
    let ceiling = settings.daily_ceiling?;
    // A contact with its company goes at least once a day, however low the ceiling.
    let least = if written_today == 0 { 2 } else { 0 };
    Some(ceiling.saturating_sub(written_today).max(least))
}

/// When the next day begins in a time zone.
pub fn next_day(now: DateTime<Utc>, zone: Tz) -> DateTime<Utc> {
    let tomorrow = now
        .with_timezone(&zone)
        .date_naive()
        .checked_add_days(Days::new(1))
        .map(|day| day.and_time(NaiveTime::MIN));
    // Where midnight is skipped by a change of clocks the day begins an hour later.
    let local = tomorrow.and_then(|midnight| {
        let at = |hours| zone.from_local_datetime(&(midnight + chrono::TimeDelta::hours(hours)));
        at(0).earliest().or_else(|| at(1).earliest())
    });
    local.map_or(now + Days::new(1), |at| at.to_utc())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_batch_has_the_room_that_single_exports_leave() {
        for (ceiling, written, want) in [
            (None, 1_000_000, None),
            (Some(10), 0, Some(10)),
            (Some(10), 8, Some(2)),
            (Some(10), 12, Some(0)),
            (Some(1), 0, Some(2)),
        ] {
            let settings = ExportSettings {
                daily_ceiling: ceiling,
                ..ExportSettings::default()
            };
            assert_eq!(room(&settings, written), want, "{ceiling:?} {written}");
        }
    }

    #[test]
    fn what_lies_beyond_the_ceiling_waits_for_the_next_day() {
        let now: DateTime<Utc> = "2026-03-28T22:30:00Z".parse().unwrap();
        let zone = chrono_tz::Europe::Berlin;
        let midnight: DateTime<Utc> = "2026-03-28T23:00:00Z".parse().unwrap();
        let bulk = ExportCause::Bulk {
            include_earlier: false,
        };
        let manual = ExportCause::Manual { anew: false };
        for (ceiling, cause, written, records, want) in [
            (None, bulk, 1_000_000, 2, None),
            (Some(10), bulk, 8, 2, None),
            (Some(10), bulk, 9, 2, Some(midnight)),
            (Some(10), ExportCause::Automatic, 10, 1, Some(midnight)),
            (Some(10), bulk, 10, 0, None),
            (Some(10), manual, 10, 2, None),
            (Some(1), bulk, 0, 2, None),
        ] {
            let settings = ExportSettings {
                daily_ceiling: ceiling,
                ..ExportSettings::default()
            };
            let got = waits_until(&settings, cause, written, records, now, zone);
            assert_eq!(got, want, "{ceiling:?} {cause:?} {written}+{records}");
        }
        // In Beirut the clocks go from 24:00 to 1:00.
        let before: DateTime<Utc> = "2026-03-28T12:00:00Z".parse().unwrap();
        let day = next_day(before, chrono_tz::Asia::Beirut);
        assert_eq!(day.to_rfc3339(), "2026-03-28T22:00:00+00:00");
    }
}
