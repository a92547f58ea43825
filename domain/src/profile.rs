//! Profile values (I5): the app's value and HubSpot's are both kept, and one of them wins.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::{
    app::{
        FieldKey, FieldType, FieldValue, Fields, RecordKind, ValueError,
        value::{datetime_text, parse_date, parse_datetime},
    },
    export::convert::shown_option,
    portal::{Properties, PropertyDefinition, PropertyType},
    settings::{ImportPriority, MappingRow},
    times::is_plausible,
};

/// Where a value came from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum ValueSource {
    /// The app gave it.
    App,
    /// It was read from HubSpot.
    Hubspot,
}

/// Which side wins: of one value that one, of two the one that the row's import priority names.
/// `None` where neither side has a value.
pub const fn winner(app: bool, hubspot: bool, priority: ImportPriority) -> Option<ValueSource> {
    match (app, hubspot, priority) {
        (false, false, _) => None,
        (true, false, _) | (true, true, ImportPriority::Artisan) => Some(ValueSource::App),
        (false, true, _) | (true, true, ImportPriority::Crm) => Some(ValueSource::Hubspot),
    }
}

/// A field of a profile.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ProfileValue {
    /// The app's value.
    pub app: Option<FieldValue>,
    /// HubSpot's value, read as the field's type.
    pub hubspot: Option<FieldValue>,
    /// Which of them wins, and may be used for personalization.
    pub source: Option<ValueSource>,
    /// The property that the field is mapped to; null: the field is not mapped.
    pub property: Option<String>,
    /// Whether HubSpot has a value that does not read as the field's type; it counts as none.
    #[serde(default)]
    pub unreadable: bool,
}

impl ProfileValue {
    /// The value that wins.
    pub const fn winning(&self) -> Option<&FieldValue> {
        match self.source {
            Some(ValueSource::App) => self.app.as_ref(),
            Some(ValueSource::Hubspot) => self.hubspot.as_ref(),
            None => None,
        }
    }
}

/// Puts a profile together: every mapped field, and every field that the app has a value for.
///
/// `app` gives the app's value of a field, `hubspot` the text of a property as it stands in the
/// mirror. Changing a priority needs nothing else, so profiles are computed again without a call to
/// HubSpot.
pub fn profile(
    record: RecordKind,
    fields: &Fields,
    rows: &[MappingRow],
    definitions: &Properties,
    app: impl Fn(&str) -> Option<FieldValue>,
    hubspot: impl Fn(&str) -> Option<String>,
) -> BTreeMap<FieldKey, ProfileValue> {
    let mut profile = BTreeMap::new();
    for row in rows {
        let Some(info) = fields.get(record, row.app_field.as_str()) else {
            continue;
        };
        let read = definitions
            .get(&row.property)
            .map_or(Ok(None), |definition| {
                hubspot(&row.property).map_or(Ok(None), |text| {
                    from_hubspot(&text, definition, info.field_type)
                })
            });
        let (theirs, unreadable) = match read {
            Ok(value) => (value, false),
            Err(_) => (None, true),
        };
        let ours = app(row.app_field.as_str());
        profile
            .entry(row.app_field.clone())
            .or_insert_with(|| ProfileValue {
                source: winner(ours.is_some(), theirs.is_some(), row.import_priority),
                app: ours,
                hubspot: theirs,
                property: Some(row.property.clone()),
                unreadable,
            });
    }
    for key in fields.keys(record) {
        if let Some(value) = app(key.as_str()) {
            profile.entry(key.clone()).or_insert(ProfileValue {
                app: Some(value),
                hubspot: None,
                source: Some(ValueSource::App),
                property: None,
                unreadable: false,
            });
        }
    }
    profile
}

/// Reads HubSpot's text as a field's type. Values there need not be of the declared type
/// (hubspot-api.md §13.11), so each form that was seen is read: dates as days, as moments and as
/// milliseconds, addresses without `https://`. Options are read as their labels: that is what a
/// person would write.
///
/// # Errors
/// [`ValueError`] when the text does not read as the type.
pub fn from_hubspot(
    text: &str,
    property: &PropertyDefinition,
    field_type: FieldType,
) -> Result<Option<FieldValue>, ValueError> {
    let trimmed = text.trim();
    if trimmed.is_empty() {
        return Ok(None);
    }
    let label = |value: &str| shown_option(value, property);
    let each = || {
        trimmed
            .split(';')
            .map(str::trim)
            .filter(|part| !part.is_empty())
            .map(label)
    };
    let of_options = property.property_type == PropertyType::Enumeration;
    let value = match field_type {
        FieldType::Text if property.takes_several() => {
            FieldValue::Text(each().collect::<Vec<_>>().join("; "))
        }
        FieldType::Text if of_options => FieldValue::Text(label(trimmed)),
        FieldType::List if of_options || trimmed.contains(';') => {
            FieldValue::List(each().collect())
        }
        FieldType::List => FieldValue::List(vec![trimmed.to_owned()]),
        FieldType::Date => {
            let at = moment(trimmed).ok_or(ValueError::WrongType(field_type))?;
            FieldValue::Text(at.format("%Y-%m-%d").to_string())
        }
        FieldType::Datetime => {
            let at = moment(trimmed).ok_or(ValueError::WrongType(field_type))?;
            FieldValue::Text(datetime_text(at))
        }
        FieldType::Url => {
            return field_type
                .accept(FieldValue::Text(trimmed.to_owned()))
                .or_else(|_| field_type.accept(FieldValue::Text(format!("https://{trimmed}"))));
        }
        FieldType::Number | FieldType::Boolean => return field_type.parse_text(trimmed),
        FieldType::Text | FieldType::Email => FieldValue::Text(text.to_owned()),
    };
    field_type.accept(value)
}

/// A day (its midnight in UTC), a moment by RFC 3339, or milliseconds since 1970; of the years that
/// are believed.
pub(crate) fn moment(text: &str) -> Option<DateTime<Utc>> {
    parse_date(text)
        .map(|day| day.and_time(chrono::NaiveTime::MIN).and_utc())
        .or_else(|| parse_datetime(text))
        .or_else(|| text.parse().ok().and_then(DateTime::from_timestamp_millis))
        .filter(|at| is_plausible(*at))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::{
        app::CustomField,
        export::convert::{
            tests::{any_property, any_value},
            to_hubspot,
        },
        portal::{External, PropertyOption, by_name},
        settings::ExportBehavior,
    };

    #[test]
    fn who_wins() {
        use ImportPriority::{Artisan, Crm};
        use ValueSource::{App, Hubspot};
        for (app, hubspot, priority, want) in [
            (false, false, Crm, None),
            (false, false, Artisan, None),
            (true, false, Crm, Some(App)),
            (true, false, Artisan, Some(App)),
            (false, true, Crm, Some(Hubspot)),
            (false, true, Artisan, Some(Hubspot)),
            (true, true, Crm, Some(Hubspot)),
            (true, true, Artisan, Some(App)),
        ] {
            assert_eq!(winner(app, hubspot, priority), want);
        }
    }

    fn property(name: &str, property_type: PropertyType, field_type: &str) -> PropertyDefinition {
        PropertyDefinition {
            name: name.to_owned(),
            label: name.to_owned(),
            property_type,
            field_type: field_type.to_owned(),
            options: [("a", "Alpha"), ("b", "Beta")]
                .map(|(value, label)| PropertyOption {
                    value: value.to_owned(),
                    label: label.to_owned(),
                })
                .into(),
            external_options: false,
            referenced_object_type: None,
            read_only: false,
            calculated: false,
            archived: false,
        }
    }

    #[test]
    fn texts_of_hubspot_as_each_type() {
        use FieldType as F;
        use PropertyType as P;
        use serde_json::json;
        let plain = |t| property("p", t, "text");
        let select = property("p", P::Enumeration, "select");
        let several = property("p", P::Enumeration, "checkbox");
        let unreadable = json!("unreadable");
        for (field_type, text, property, want) in [
            (F::Text, " Head ", plain(P::String), json!(" Head ")),
            (F::Text, "", plain(P::String), json!(null)),
            (F::Text, "a", select.clone(), json!("Alpha")),
            (F::Text, "gone", select.clone(), json!("gone")),
            (F::Text, "a;b", several.clone(), json!("Alpha; Beta")),
            (F::List, ";a;b;", several, json!(["Alpha", "Beta"])),
            (F::List, "x", plain(P::String), json!(["x"])),
            (F::List, "x; y", plain(P::String), json!(["x", "y"])),
            (F::Number, "1200.50", plain(P::Number), json!(1200.5)),
            (F::Number, "3.0", plain(P::Number), json!(3)),
            (F::Number, "a;b", plain(P::Number), unreadable.clone()),
            (F::Boolean, "true", plain(P::Bool), json!(true)),
            (F::Boolean, "maybe", plain(P::Bool), unreadable.clone()),
            (F::Date, "2026-02-28", plain(P::Date), json!("2026-02-28")),
            (
                F::Date,
                "1772236800000",
                plain(P::Date),
                json!("2026-02-28"),
            ),
            (
                F::Date,
                "2026-02-28T00:00:00Z",
                plain(P::Date),
                json!("2026-02-28"),
            ),
            (F::Date, "28.2.2026", plain(P::String), unreadable.clone()),
            // Microseconds would be the year 7474.
            (
                F::Date,
                "173717452800000",
                plain(P::Date),
                unreadable.clone(),
            ),
            (
                F::Datetime,
                "173717452800000",
                plain(P::Datetime),
                unreadable.clone(),
            ),
            (F::Date, "0001-01-01", plain(P::Date), unreadable.clone()),
            (
                F::Datetime,
                "9999-12-31T00:00:00Z",
                plain(P::Datetime),
                unreadable.clone(),
            ),
            (
                F::Datetime,
                "2026-02-28",
                plain(P::Date),
                json!("2026-02-28T00:00:00.000Z"),
            ),
            (
                F::Datetime,
                "1772236800001",
                plain(P::Datetime),
                json!("2026-02-28T00:00:00.001Z"),
            ),
            (
                F::Url,
                "www.example.com",
                plain(P::String),
                json!("https://www.example.com"),
            ),
            (
                F::Url,
                "http://example.com/a",
                plain(P::String),
                json!("http://example.com/a"),
            ),
            (
                F::Url,
                "not an address",
                plain(P::String),
                unreadable.clone(),
            ),
            (
                F::Email,
                " A@B.example",
                plain(P::String),
                json!("a@b.example"),
            ),
            (F::Email, "nobody", plain(P::String), unreadable),
        ] {
            let got = match from_hubspot(text, &property, field_type) {
                Ok(value) => serde_json::to_value(value).unwrap(),
                Err(_) => json!("unreadable"),
            };
            assert_eq!(got, want, "{text:?} as {field_type}");
        }
    }

    #[test]
    fn a_profile_keeps_both_sides() {
        let custom = CustomField {
            record: RecordKind::Person,
            key: "custom.tool".parse().unwrap(),
            label: "Tool".to_owned(),
            field_type: FieldType::Number,
        };
        let fields = Fields::new([&custom]);
        let row = |field: &str, property: &str, import_priority| MappingRow {
            app_field: field.parse().unwrap(),
            property: property.to_owned(),
            import_priority,
            export: ExportBehavior::FillIfEmpty,
            options: Default::default(),
        };
        let rows = |priority| {
            vec![
                row("job_title", "jobtitle", priority),
                row("city", "city", priority),
                row("custom.tool", "tool", priority),
                row("custom.gone", "city", priority),
            ]
        };
        let definitions = by_name(
            ["jobtitle", "city", "tool"].map(|n| property(n, PropertyType::String, "text")),
        );
        let app = |key: &str| match key {
            "job_title" => Some(FieldValue::Text("Head".to_owned())),
            "phone" => Some(FieldValue::Text("1".to_owned())),
            _ => None,
        };
        let hubspot = |property: &str| match property {
            "jobtitle" => Some("Boss".to_owned()),
            "city" => Some("Ulm".to_owned()),
            "tool" => Some("many".to_owned()),
            _ => None,
        };
        for (priority, title) in [
            (ImportPriority::Crm, "Boss"),
            (ImportPriority::Artisan, "Head"),
        ] {
            let profile = profile(
                RecordKind::Person,
                &fields,
                &rows(priority),
                &definitions,
                app,
                hubspot,
            );
            let text = |key: &str| match profile[key].winning() {
                Some(FieldValue::Text(text)) => Some(text.clone()),
                _ => None,
            };
            assert_eq!(text("job_title").as_deref(), Some(title));
            assert!(profile["job_title"].app.is_some() && profile["job_title"].hubspot.is_some());
            assert_eq!(text("city").as_deref(), Some("Ulm"));
            assert_eq!(profile["city"].source, Some(ValueSource::Hubspot));
            assert_eq!(text("phone").as_deref(), Some("1"));
            assert!(profile["custom.tool"].unreadable);
            assert_eq!(profile["custom.tool"].source, None);
            assert_eq!(profile.len(), 4);
        }
    }

    proptest! {
        /// What was written reads back as the same value, for types that HubSpot keeps whole.
        #[test]
        fn what_was_written_reads_back((field_type, value) in any_value(), property in any_property()) {
            let whole = matches!(
                (field_type, property.property_type),
                (FieldType::Number, PropertyType::Number | PropertyType::String)
                    | (FieldType::Boolean, PropertyType::Bool)
                    | (FieldType::Date, PropertyType::Date | PropertyType::Datetime)
                    | (FieldType::Datetime, PropertyType::Datetime)
                    | (FieldType::Text | FieldType::Url | FieldType::Email, PropertyType::String)
                    | (FieldType::List, PropertyType::Enumeration)
            );
            if whole
                && let Ok(Some(value)) = field_type.accept(value)
                && let Ok(written) = to_hubspot(field_type, &value, &property, &External::default())
            {
                let read = from_hubspot(written.as_str(), &property, field_type);
                // Of a number 15 digits are kept.
                let same = match (&read, &value) {
                    (Ok(Some(FieldValue::Number(read))), FieldValue::Number(value)) => {
                        let (read, value) = (read.as_f64().unwrap(), value.as_f64().unwrap());
                        (read - value).abs() <= 1e-12_f64.max(value.abs() * 1e-14)
                    }
                    (read, value) => read.as_ref() == Ok(&Some(value.clone())),
                };
                prop_assert!(same, "{} of {:?}", field_type, property);
            }
        }

        /// A text field on a property of options, one or several: what was imported can be exported,
        /// and says the same.
        #[test]
        fn options_that_were_imported_as_text_are_exported_as_the_same(
            options in proptest::collection::vec(("[a-c]{1,2}", "[a-cA-C;]{0,2}"), 1..5),
            chosen in proptest::collection::vec(0usize..5, 1..4),
            several in any::<bool>(),
        ) {
            let mut property = property("p", PropertyType::Enumeration, if several { "checkbox" } else { "select" });
            property.options = options
                .into_iter()
                .map(|(value, label)| PropertyOption { value, label })
                .collect();
            property.options.dedup_by(|a, b| a.value == b.value);
            let mut places: Vec<usize> = chosen.into_iter().map(|n| n % property.options.len()).collect();
            places.sort_unstable();
            if !several {
                places.truncate(1);
            }
            let mut values: Vec<&str> = places.iter().map(|n| property.options[*n].value.as_str()).collect();
            let mut seen = std::collections::BTreeSet::new();
            values.retain(|v| seen.insert(*v));
            let theirs = values.join(";");
            let ours = from_hubspot(&theirs, &property, FieldType::Text).unwrap().unwrap();
            let back = to_hubspot(FieldType::Text, &ours, &property, &External::default()).unwrap();
            let set = |text: &str| text.split(';').map(str::to_owned).collect::<std::collections::BTreeSet<_>>();
            prop_assert_eq!(set(back.as_str()), set(&theirs));
        }

        #[test]
        fn no_text_panics(text in "\\PC{0,30}", (field_type, _) in any_value(), property in any_property()) {
            let _ = from_hubspot(&text, &property, field_type);
        }
    }
}
