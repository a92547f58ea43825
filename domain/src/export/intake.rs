//! Which requests a change of the app's side makes by itself (E1, E7).

use std::collections::BTreeSet;

use chrono::{DateTime, Utc};

use super::{Automatic, RequestKind, automatic};
use crate::{
    app::{Company, FieldKey, LeadStatus, Person, RecordVersion},
    linking,
    settings::{ExportBehavior, ExportPolicy, MappingRow, Settings},
};

/// Since when the policy acts: the later of when it was last changed, a first save among them, and when
/// the portal first connected (E1). None as long as no portal ever was.
pub fn in_force_since(
    policy_since: Option<DateTime<Utc>>,
    first_connected: Option<DateTime<Utc>>,
) -> Option<DateTime<Utc>> {
    first_connected.map(|connected| policy_since.map_or(connected, |saved| saved.max(connected)))
}

/// What is known of a person's exports when a change comes in.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Known {
    /// Whether the connected portal has the person from us.
    pub exported: bool,
    /// The kinds of the person's requests that have not ended.
    pub pending: BTreeSet<RequestKind>,
    /// Those of them that wait for the connection: they say what the person is when it is there again,
    /// so that another one of the same kind would add nothing.
    pub waiting_for_connection: BTreeSet<RequestKind>,
}

impl Known {
    /// Whether a request that may export the person is under way. It may have read the person already.
    fn under_way(&self) -> bool {
        [RequestKind::Policy, RequestKind::Manual, RequestKind::Bulk]
            .iter()
            .any(|kind| self.pending.contains(kind))
    }
}

/// By which changes are judged.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Intake {
    policy: ExportPolicy,
    in_force_since: DateTime<Utc>,
    person_fields: Vec<FieldKey>,
    company_fields: Vec<FieldKey>,
    statuses: Vec<LeadStatus>,
}

impl Intake {
    /// None where a change makes no request at all: before an admin saved the settings, and before a
    /// portal was connected (E1).
    pub fn of(saved: Option<&Settings>, in_force_since: Option<DateTime<Utc>>) -> Option<Self> {
        let (settings, in_force_since) = saved.zip(in_force_since)?;
        let statuses = settings.status.iter().flat_map(|mapping| &mapping.rows);
        Some(Self {
            policy: settings.export.policy,
            in_force_since,
            person_fields: exported(&settings.contacts),
            company_fields: exported(&settings.companies),
            statuses: statuses.map(|row| row.status).collect(),
        })
    }

    /// Whether a change of a person may make a request, whatever is known of their exports.
    pub fn concerns(&self, before: Option<&Person>, after: &Person) -> bool {
        let exported = Known {
            exported: true,
            ..Known::default()
        };
        [Known::default(), exported]
            .iter()
            .any(|known| !self.requests(before, after, known).is_empty())
    }

    /// The requests that a change of a person makes.
    ///
    /// - *Policy*: whoever was not exported, qualifies by itself, and has no such request under way.
    /// - *Field change*: something that an export writes changed, of whoever was exported, or is being
    ///   exported: that export may have read what was before.
    /// - *Status*: the table names the new one. Of whoever was not exported it waits for that.
    ///
    /// Whoever was made from a contact, and of whom the app has said nothing, makes none.
    pub fn requests(
        &self,
        before: Option<&Person>,
        after: &Person,
        known: &Known,
    ) -> Vec<RequestKind> {
        if after.version == RecordVersion::MIN && linking::is_imported(&after.id) {
            return Vec::new();
        }
        let mut kinds = Vec::new();
        let written = before.is_some_and(|before| self.is_written_anew(before, after));
        let news = before.is_none_or(|before| before.outreach != after.outreach) || written;
        let takes = automatic(self.policy, self.in_force_since, &after.outreach);
        if !known.exported
            && takes == Automatic::Export
            && news
            && !known.pending.contains(&RequestKind::Policy)
        {
            kinds.push(RequestKind::Policy);
        } else if written && (known.exported || known.under_way()) {
            kinds.push(RequestKind::FieldChange);
        }
        let status = after.status.filter(|status| self.statuses.contains(status));
        if status.is_some() && before.and_then(|before| before.status) != status {
            kinds.push(RequestKind::Status);
        }
        kinds.retain(|kind| !known.waiting_for_connection.contains(kind));
        kinds
    }

    /// Whether a change of a company may be written: a mapped field, or what a company is matched by
    /// (E3), has another value. A company may become known later than its people.
    pub fn concerns_company(&self, before: Option<&Company>, after: &Company) -> bool {
        let written = self.company_fields.iter().map(FieldKey::as_str);
        written.chain(["domain", "website"]).any(|key| {
            let value = after.fields.get(key);
            value.is_some() && before.and_then(|before| before.fields.get(key)) != value
        })
    }

    /// Whether an export may write something else now. What was emptied is none of it: an export clears
    /// nothing (E4). Owner and company stand for others where there are none.
    fn is_written_anew(&self, before: &Person, after: &Person) -> bool {
        before.email != after.email
            || before.owner != after.owner
            || before.company != after.company
            || self.person_fields.iter().any(|key| {
                let value = after.value(key.as_str());
                value.is_some() && before.value(key.as_str()) != value
            })
    }
}

fn exported(rows: &[MappingRow]) -> Vec<FieldKey> {
    rows.iter()
        .filter(|row| row.export != ExportBehavior::DoNotExport)
        .map(|row| row.app_field.clone())
        .collect()
}

#[cfg(test)]
mod tests {
    use chrono::TimeZone as _;
    use proptest::prelude::*;
    use serde_json::{Value, json};

    use super::*;
    use crate::app::Outreach;

    fn at(secs: i64) -> DateTime<Utc> {
        Utc.timestamp_opt(secs, 0).unwrap()
    }

    fn settings(policy: &str) -> Settings {
        serde_json::from_value(json!({
            "schema_version": 2,
            "export": {"policy": policy},
            "contacts": [
                {"app_field": "job_title", "property": "jobtitle", "export": "overwrite"},
                {"app_field": "city", "property": "city", "export": "do_not_export"},
                {"app_field": "replied_at", "property": "replied", "export": "overwrite"},
            ],
            "companies": [
                {"app_field": "industry", "property": "industry"},
                {"app_field": "city", "property": "city", "export": "do_not_export"},
            ],
            "status": {"property": "hs_lead_status", "rows": [{"status": "interested", "value": "OPEN"}]},
        }))
        .unwrap()
    }

    fn intake(policy: &str) -> Intake {
        Intake::of(Some(&settings(policy)), Some(at(10))).unwrap()
    }

    fn person(json: &Value) -> Person {
        let mut all = json!({
            "id": "p1", "version": 3, "email": "a@b.example", "company": null, "owner": null,
            "status": null, "contacted_at": null, "replied_at": null,
            "replied_positively_at": null, "fields": {},
        });
        for (key, value) in json.as_object().unwrap() {
            all[key] = value.clone();
        }
        serde_json::from_value(all).unwrap()
    }

    fn company(json: Value) -> Company {
        serde_json::from_value(json!({"id": "c1", "version": 1, "fields": json})).unwrap()
    }

    fn known(exported: bool, pending: &[RequestKind]) -> Known {
        Known {
            exported,
            pending: pending.iter().copied().collect(),
            ..Known::default()
        }
    }

    #[test]
    fn the_policy_acts_from_the_later_of_its_change_and_the_first_connection() {
        assert_eq!(in_force_since(None, None), None);
        assert_eq!(in_force_since(Some(at(5)), None), None);
        assert_eq!(in_force_since(None, Some(at(3))), Some(at(3)));
        assert_eq!(in_force_since(Some(at(5)), Some(at(3))), Some(at(5)));
        assert_eq!(in_force_since(Some(at(5)), Some(at(9))), Some(at(9)));
    }

    #[test]
    fn nothing_is_made_before_settings_were_saved_and_a_portal_connected() {
        let saved = settings("replied");
        assert!(Intake::of(None, None).is_none());
        assert!(Intake::of(None, Some(at(1))).is_none());
        assert!(Intake::of(Some(&saved), None).is_none());
        assert!(Intake::of(Some(&saved), Some(at(1))).is_some());
    }

    type Kinds = [&'static [RequestKind]; 4];

    #[test]
    fn the_table_of_changes() {
        use RequestKind::{Bulk, FieldChange, Manual, Policy, Status};
        let (new, early) = ("1970-01-01T00:00:20Z", "1970-01-01T00:00:05Z");
        let none: &'static [RequestKind] = &[];
        // Before, after; of whoever was not exported; while the policy's export is under way; while one
        // by hand is; of whoever was exported.
        let table: [(Option<Value>, Value, Kinds); 17] = [
            (None, json!({}), [none; 4]),
            (
                None,
                json!({"contacted_at": new}),
                [&[Policy], none, &[Policy], none],
            ),
            (None, json!({"contacted_at": early}), [none; 4]),
            (
                None,
                json!({"contacted_at": early, "replied_at": new}),
                [none; 4],
            ),
            (None, json!({"status": "interested"}), [&[Status]; 4]),
            (None, json!({"status": "replied"}), [none; 4]),
            (
                Some(json!({})),
                json!({"contacted_at": new}),
                [&[Policy], none, &[Policy], none],
            ),
            (Some(json!({})), json!({"contacted_at": early}), [none; 4]),
            (
                Some(json!({"contacted_at": new})),
                json!({"contacted_at": new, "fields": {"job_title": "b"}}),
                [&[Policy], &[FieldChange], &[Policy], &[FieldChange]],
            ),
            (
                Some(json!({"contacted_at": early})),
                json!({"contacted_at": early, "fields": {"job_title": "b"}}),
                [none, &[FieldChange], &[FieldChange], &[FieldChange]],
            ),
            (
                Some(json!({"contacted_at": new, "fields": {"job_title": "b"}})),
                json!({"contacted_at": new}),
                [none; 4],
            ),
            (
                Some(json!({"contacted_at": new})),
                json!({"contacted_at": new, "fields": {"city": "b"}}),
                [none; 4],
            ),
            // A fact is a field, too.
            (
                Some(json!({"contacted_at": new})),
                json!({"contacted_at": new, "replied_at": new}),
                [&[Policy], &[FieldChange], &[Policy], &[FieldChange]],
            ),
            (
                Some(json!({"contacted_at": new, "email": null})),
                json!({"contacted_at": new}),
                [&[Policy], &[FieldChange], &[Policy], &[FieldChange]],
            ),
            (
                Some(json!({})),
                json!({"owner": "m1"}),
                [none, &[FieldChange], &[FieldChange], &[FieldChange]],
            ),
            (
                Some(json!({"status": "interested"})),
                json!({"status": "interested", "company": "c1"}),
                [none, &[FieldChange], &[FieldChange], &[FieldChange]],
            ),
            (
                Some(json!({"status": "replied"})),
                json!({"contacted_at": new, "status": "interested"}),
                [&[Policy, Status], &[Status], &[Policy, Status], &[Status]],
            ),
        ];
        let intake = intake("all_contacted");
        for (before, after, want) in table {
            let at = format!("{before:?} {after}");
            let (before, after) = (before.as_ref().map(person), person(&after));
            for (known, want) in [
                known(false, &[]),
                known(false, &[Policy]),
                known(false, &[Manual, Bulk, Status]),
                known(true, &[Policy, Manual]),
            ]
            .iter()
            .zip(want)
            {
                let made = intake.requests(before.as_ref(), &after, known);
                assert_eq!(made, want, "{at} {known:?}");
            }
        }
    }

    #[test]
    fn what_waits_for_the_connection_waits_once() {
        let intake = intake("all_contacted");
        let (before, after) = (
            person(&json!({})),
            person(&json!({"status": "interested", "owner": "m1"})),
        );
        let both = vec![RequestKind::FieldChange, RequestKind::Status];
        let mut known = known(true, &[]);
        assert_eq!(intake.requests(Some(&before), &after, &known), both);
        for kind in both {
            known.waiting_for_connection.insert(kind);
            assert!(
                !intake
                    .requests(Some(&before), &after, &known)
                    .contains(&kind)
            );
        }
        assert_eq!(intake.requests(Some(&before), &after, &known), []);
    }

    #[test]
    fn people_made_from_contacts_make_none() {
        let facts =
            json!({"id": "hubspot.1.2", "version": 0, "replied_at": "2026-01-01T00:00:00Z"});
        let mut made = person(&facts);
        assert!(!intake("replied").concerns(None, &made));
        made.version = RecordVersion::new(1).unwrap();
        assert!(intake("replied").concerns(None, &made));
    }

    #[test]
    fn a_company_is_written_where_a_mapped_field_has_another_value() {
        let intake = intake("replied");
        assert!(!intake.concerns_company(None, &company(json!({"city": "x"}))));
        assert!(intake.concerns_company(None, &company(json!({"industry": "a"}))));
        let old = company(json!({"industry": "a", "city": "x"}));
        for (now, want) in [
            (json!({"industry": "a", "website": "x.example"}), true),
            (json!({"industry": "a", "domain": "x.example"}), true),
            (json!({"industry": "a", "city": "x"}), false),
            (json!({"industry": "b", "city": "x"}), true),
            (json!({"industry": "a", "city": "y"}), false),
            (json!({"city": "x"}), false),
        ] {
            assert_eq!(
                intake.concerns_company(Some(&old), &company(now.clone())),
                want,
                "{now}"
            );
        }
    }

    fn any_outreach() -> impl Strategy<Value = Outreach> {
        let fact = || proptest::option::of((0i64..20).prop_map(at));
        (fact(), fact(), fact()).prop_map(|(contacted_at, replied_at, replied_positively_at)| {
            Outreach {
                contacted_at,
                replied_at,
                replied_positively_at,
            }
        })
    }

    fn any_person() -> impl Strategy<Value = Person> {
        (
            any_outreach(),
            proptest::option::of(0u8..2),
            proptest::option::of(0u8..2),
            proptest::sample::select(vec![None, Some("interested"), Some("replied")]),
        )
            .prop_map(|(outreach, title, owner, status)| {
                let fields = title.map_or(json!({}), |t| json!({"job_title": format!("t{t}")}));
                let owner = owner.map(|o| format!("m{o}"));
                let mut made = person(&json!({"fields": fields, "owner": owner, "status": status}));
                made.outreach = outreach;
                made
            })
    }

    fn any_known() -> impl Strategy<Value = Known> {
        let kinds = || {
            proptest::collection::btree_set(
                proptest::sample::select(RequestKind::ALL.to_vec()),
                0..3,
            )
        };
        (any::<bool>(), kinds(), kinds()).prop_map(|(exported, pending, waits)| Known {
            exported,
            waiting_for_connection: waits,
            pending,
        })
    }

    proptest! {
        /// What a change makes is what the drain lets pass: nothing is made only to be skipped, but
        /// what somebody else's request decides.
        #[test]
        fn only_who_qualifies_by_itself_is_asked_for(
            before in proptest::option::of(any_person()), after in any_person(), known in any_known(),
        ) {
            for policy in ExportPolicy::ALL {
                let intake = intake(policy.as_str());
                let made = intake.requests(before.as_ref(), &after, &known);
                let takes = automatic(policy, at(10), &after.outreach) == Automatic::Export;
                if made.contains(&RequestKind::Policy) {
                    prop_assert!(takes && !known.exported);
                    prop_assert!(!made.contains(&RequestKind::FieldChange));
                }
                for kind in &made {
                    prop_assert!(!known.waiting_for_connection.contains(kind));
                }
                if before.as_ref() == Some(&after) {
                    prop_assert_eq!(&made, &[]);
                }
                // What was looked at beforehand misses nothing.
                if !made.is_empty() {
                    prop_assert!(intake.concerns(before.as_ref(), &after));
                }
            }
        }

        /// Whoever comes to qualify by a change is asked for, whatever the change was.
        #[test]
        fn whoever_comes_to_qualify_is_asked_for(before in any_person(), after in any_person()) {
            for policy in ExportPolicy::ALL {
                let takes = |p: &Person| automatic(policy, at(10), &p.outreach) == Automatic::Export;
                let made = intake(policy.as_str()).requests(Some(&before), &after, &Known::default());
                if takes(&after) && !takes(&before) {
                    prop_assert!(made.contains(&RequestKind::Policy));
                }
            }
        }
    }
}
