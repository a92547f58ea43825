//! Times as HubSpot writes them: as RFC 3339, or as milliseconds since 1970, as a number or in a text
//! (`hubspot-api.md` §5; recorded answers have all three).

use std::fmt;

use chrono::{DateTime, Datelike as _, NaiveDate, NaiveTime, Utc};
use serde::{
    Deserializer,
    de::{Error as _, IgnoredAny, MapAccess, SeqAccess, Visitor},
};

/// What is outside of these years is no time but a slip: milliseconds taken for microseconds, a date
/// that was never filled in.
const YEARS: std::ops::RangeInclusive<i32> = 1900..=2200;

/// Reads a time in any form that HubSpot uses: RFC 3339, a day (its midnight in UTC), milliseconds.
/// `None` for what is none of them, or lies outside of the years 1900 to 2200.
pub fn time_of(text: &str) -> Option<DateTime<Utc>> {
    let text = text.trim();
    let whole = |text: &str| text.parse().ok().and_then(DateTime::from_timestamp_millis);
    let day = |text: &str| {
        NaiveDate::parse_from_str(text, "%Y-%m-%d")
            .ok()
            .map(|day| day.and_time(NaiveTime::MIN).and_utc())
    };
    DateTime::parse_from_rfc3339(text)
        .ok()
        .map(|at| at.to_utc())
        .or_else(|| whole(text))
        .or_else(|| day(text))
        .filter(|at| YEARS.contains(&at.year()))
}

fn of_millis(millis: i64) -> Option<DateTime<Utc>> {
    DateTime::from_timestamp_millis(millis).filter(|at| YEARS.contains(&at.year()))
}

/// Takes whatever stands where a time should.
struct AnyForm;

impl<'de> Visitor<'de> for AnyForm {
    type Value = Option<DateTime<Utc>>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a time")
    }

    fn visit_str<E>(self, text: &str) -> Result<Self::Value, E> {
        Ok(time_of(text))
    }

    fn visit_i64<E>(self, millis: i64) -> Result<Self::Value, E> {
        Ok(of_millis(millis))
    }

    fn visit_u64<E>(self, millis: u64) -> Result<Self::Value, E> {
        Ok(i64::try_from(millis).ok().and_then(of_millis))
    }

    fn visit_f64<E>(self, _: f64) -> Result<Self::Value, E> {
        Ok(None)
    }

    fn visit_bool<E>(self, _: bool) -> Result<Self::Value, E> {
        Ok(None)
    }

    fn visit_unit<E>(self) -> Result<Self::Value, E> {
        Ok(None)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Self::Value, A::Error> {
        while seq.next_element::<IgnoredAny>()?.is_some() {}
        Ok(None)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        while map.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
        Ok(None)
    }
}

/// A time that has to be there.
///
/// # Errors
/// When it is missing, or [`time_of`] does not read it.
pub(crate) fn required<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<DateTime<Utc>, D::Error> {
    deserializer
        .deserialize_any(AnyForm)?
        .ok_or_else(|| D::Error::custom("no time of the years 1900 to 2200"))
}

/// A time that may be missing. One that cannot be read is missing too: the record is worth more than
/// the moment of its creation.
pub(crate) fn optional<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<DateTime<Utc>>, D::Error> {
    deserializer.deserialize_any(AnyForm)
}

#[cfg(test)]
mod tests {
    use serde::Deserialize;

    use super::*;

    #[test]
    fn each_form_of_a_time() {
        let at = |text: &str| time_of(text).map(|at| at.to_rfc3339());
        for text in [
            "2025-01-18T04:55:28Z",
            "2025-01-18T05:55:28+01:00",
            "1737176128000",
            " 1737176128000 ",
        ] {
            assert_eq!(
                at(text).as_deref(),
                Some("2025-01-18T04:55:28+00:00"),
                "{text}"
            );
        }
        assert_eq!(
            at("2025-01-18").as_deref(),
            Some("2025-01-18T00:00:00+00:00")
        );
        for none in [
            "",
            "soon",
            "173717612800000",
            "0001-01-01T00:00:00Z",
            "9999-12-31T23:59:59Z",
            "9223372036854775807",
            "-9223372036854775808",
            "1e12",
        ] {
            assert_eq!(at(none), None, "{none}");
        }
    }

    #[test]
    fn in_json_as_text_or_number() {
        #[derive(Deserialize)]
        struct Both {
            #[serde(deserialize_with = "required")]
            must: DateTime<Utc>,
            #[serde(default, deserialize_with = "optional")]
            may: Option<DateTime<Utc>>,
        }
        let both = |json: &str| serde_json::from_str::<Both>(json);
        let read = both(r#"{"must":1737176128000,"may":"1737176128000"}"#).unwrap();
        assert_eq!(read.may, Some(read.must));
        for json in [
            r#"{"must":"2025-01-18T04:55:28Z"}"#,
            r#"{"must":"2025-01-18T04:55:28Z","may":null}"#,
            r#"{"must":"2025-01-18T04:55:28Z","may":""}"#,
            r#"{"must":"2025-01-18T04:55:28Z","may":{}}"#,
        ] {
            assert_eq!(both(json).unwrap().may, None, "{json}");
        }
        for json in [
            r#"{}"#,
            r#"{"must":null}"#,
            r#"{"must":true}"#,
            r#"{"must":"x"}"#,
        ] {
            assert!(both(json).is_err(), "{json}");
        }
    }

    #[test]
    fn a_record_whose_times_are_milliseconds_is_a_record() {
        let read = |created: &str| {
            let json = format!(
                r#"{{"id":"7","properties":{{}},"createdAt":{created},"updatedAt":"1737176128000"}}"#
            );
            serde_json::from_str::<crate::objects::CrmObject>(&json).unwrap()
        };
        let object = read("1737176128000");
        assert_eq!(object.created_at, Some(object.updated_at));
        assert_eq!(read(r#""never""#).created_at, None);
        let event = r#"[{"portalId":1,"occurredAt":"2025-01-18T04:55:28Z","subscriptionType":"object.creation"}]"#;
        let events: Vec<crate::webhooks::Event> = serde_json::from_str(event).unwrap();
        assert_eq!(Some(events[0].occurred_at), object.created_at);
    }
}
