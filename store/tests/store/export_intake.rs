//! Requests that facts make by themselves, and requests that go on again (E1, E7, C4, C5).

use chrono::{DateTime, TimeDelta, Utc};
use domain::{
    WorkspaceId,
    api::RetryReason,
    app::{CompanyInput, CustomField, Fields, PersonInput},
    export::{RequestId, RequestState, SkipReason, WaitReason},
    settings::{Settings, SettingsRevision},
};
use serde_json::{Value, json};
use store::{EraseTarget, ExportFilter, ExportNumbers, ExportRow, SettingsSaved};
use uuid::Uuid;

use crate::support::{World, at, bounded, portal, run_id};

fn fields() -> Fields {
    Fields::new(std::iter::empty::<&CustomField>())
}

impl World {
    async fn save(&self, policy: &str, revision: u64, now: DateTime<Utc>) {
        let settings: Settings = serde_json::from_value(json!({
            "schema_version": 2,
            "export": {"policy": policy},
            "contacts": [{"app_field": "job_title", "property": "jobtitle", "export": "overwrite"}],
            "companies": [{"app_field": "industry", "property": "industry"}],
            "status": {"property": "hs_lead_status", "rows": [{"status": "interested", "value": "OPEN"}]},
        }))
        .unwrap();
        let run = |n: u128| run_id(1_000 * u128::from(revision + 1) + n);
        let saved = self
            .store
            .save_settings(
                self.workspace,
                SettingsRevision::new(revision),
                &settings,
                run(1),
                run(2),
                now,
            )
            .await
            .unwrap();
        assert_eq!(
            saved,
            SettingsSaved::Saved(SettingsRevision::new(revision + 1))
        );
    }

    async fn people_say(&self, items: Value, now: DateTime<Utc>) {
        let upserts: Vec<_> = serde_json::from_value::<Vec<PersonInput>>(items)
            .unwrap()
            .into_iter()
            .map(|input| input.check(&fields()).unwrap())
            .collect();
        self.store
            .upsert_people(self.workspace, &upserts, now)
            .await
            .unwrap();
    }

    async fn companies_say(&self, items: Value, now: DateTime<Utc>) {
        let upserts: Vec<_> = serde_json::from_value::<Vec<CompanyInput>>(items)
            .unwrap()
            .into_iter()
            .map(|input| input.check(&fields()).unwrap())
            .collect();
        self.store
            .upsert_companies(self.workspace, &upserts, now)
            .await
            .unwrap();
    }

    async fn requests(&self) -> Vec<ExportRow> {
        self.store
            .export_requests_after(self.workspace, &ExportFilter::default(), None, 1_000)
            .await
            .unwrap()
            .into_iter()
            .map(Result::unwrap)
            .collect()
    }

    /// Kind, whom and state of each, sorted.
    async fn told(&self) -> Vec<String> {
        let mut all: Vec<String> = self
            .requests()
            .await
            .iter()
            .map(|r| {
                let whom = r
                    .person
                    .as_ref()
                    .map(ToString::to_string)
                    .unwrap_or_default();
                let reason = r.outcome.reason().unwrap_or_default();
                format!("{} {whom} {} {reason}", r.kind, r.outcome.state())
                    .trim_end()
                    .to_owned()
            })
            .collect();
        all.sort();
        all
    }

    async fn exported(&self, person: &str) {
        sqlx::query(
            "insert into exported_person (workspace_id, portal_id, person_id, contact_id, exported_at, last_exported_at)
             values ($1, $2, $3, 7, now(), now())",
        )
        .bind(self.workspace.as_uuid())
        .bind(self.portal.get())
        .bind(person)
        .execute(&self.raw)
        .await
        .unwrap();
    }

    /// Ends or changes requests, as what drains them does.
    async fn end(&self, state: &str, reason: Option<&str>) {
        sqlx::query(
            "update export_request set state = $1, reason = $2, due_at = null, attempts = 3,
               hubspot_id = case when $1 = 'exported' then 7 end",
        )
        .bind(state)
        .bind(reason)
        .execute(&self.raw)
        .await
        .unwrap();
    }

    async fn forget_requests(&self) {
        sqlx::query("delete from export_request")
            .execute(&self.raw)
            .await
            .unwrap();
    }

    async fn numbers(&self, now: DateTime<Utc>) -> ExportNumbers {
        let standing = self.store.export_standing(self.workspace).await.unwrap();
        self.store
            .export_numbers(self.workspace, &standing, TimeDelta::days(30), now)
            .await
            .unwrap()
    }
}

fn said(id: &str, version: u64, more: Value) -> Value {
    let mut item = json!({"id": id, "version": version, "email": format!("{id}@example.com")});
    for (key, value) in more.as_object().unwrap() {
        item[key] = value.clone();
    }
    item
}

#[tokio::test]
async fn nothing_is_made_before_a_connection_and_saved_settings_and_those_who_qualified_are_counted()
 {
    bounded(async {
        let world = World::new().await;
        let facts = |id: &str, version| {
            said(
                id,
                version,
                json!({"replied_at": at(5), "status": "interested"}),
            )
        };
        world.people_say(json!([facts("p1", 1)]), at(6)).await;
        world.save("replied", 0, at(10)).await;
        world.people_say(json!([facts("p2", 1)]), at(11)).await;
        assert_eq!(world.told().await, [""; 0]);
        let standing = world.store.export_standing(world.workspace).await.unwrap();
        assert!(standing.settings_saved && standing.connection.is_none());
        assert_eq!(standing.in_force_since, None);

        world
            .try_connect(world.portal, run_id(1), at(20))
            .await
            .unwrap();
        let standing = world.store.export_standing(world.workspace).await.unwrap();
        assert_eq!(standing.in_force_since, Some(at(20)));
        // Who qualified earlier, and who did after that; nobody twice.
        world
            .people_say(
                json!([said("p1", 2, json!({"fields": {"job_title": "a"}}))]),
                at(21),
            )
            .await;
        world
            .people_say(
                json!([said("p3", 1, json!({"replied_at": at(22)}))]),
                at(22),
            )
            .await;
        world
            .people_say(
                json!([said("p3", 1, json!({"replied_at": at(22)}))]),
                at(23),
            )
            .await;
        assert_eq!(world.told().await, ["policy p3 accepted"]);
        let numbers = world.numbers(at(30)).await;
        let qualifying = numbers.qualifying;
        assert_eq!(
            (qualifying.people, qualifying.earlier, qualifying.more),
            (3, 2, false)
        );
        assert_eq!((numbers.accepted, numbers.oldest), (1, Some(at(22))));
    })
    .await;
}

#[tokio::test]
async fn without_saved_settings_not_even_a_status_is_asked_for() {
    bounded(async {
        let (world, _) = World::connected().await;
        let facts = said(
            "p1",
            1,
            json!({"replied_at": at(5), "status": "interested"}),
        );
        world.people_say(json!([facts]), at(6)).await;
        assert_eq!(world.told().await, [""; 0]);
        let qualifying = world.numbers(at(7)).await.qualifying;
        assert_eq!((qualifying.people, qualifying.earlier), (1, 1));
    })
    .await;
}

#[tokio::test]
async fn a_policy_acts_from_when_it_got_its_value_and_a_portal_from_its_first_connection() {
    bounded(async {
        let (world, _) = World::connected().await;
        let in_force = async || {
            let standing = world.store.export_standing(world.workspace).await.unwrap();
            standing.in_force_since.unwrap()
        };
        assert_eq!(in_force().await, at(0));
        world.save("replied", 0, at(10)).await;
        assert_eq!(in_force().await, at(10));
        // Something else was changed.
        world.save("replied", 1, at(20)).await;
        assert_eq!(in_force().await, at(10));
        world.save("all_contacted", 2, at(30)).await;
        assert_eq!(in_force().await, at(30));
        world.save("replied", 3, at(40)).await;
        world.save("replied", 4, at(50)).await;
        assert_eq!(in_force().await, at(40));
        world.disconnect(at(60)).await;
        world
            .try_connect(portal(99), run_id(2), at(70))
            .await
            .unwrap();
        assert_eq!(in_force().await, at(70));
        world.disconnect(at(80)).await;
        world
            .try_connect(world.portal, run_id(3), at(90))
            .await
            .unwrap();
        assert_eq!(in_force().await, at(40));
    })
    .await;
}

#[tokio::test]
async fn changes_of_whoever_was_exported_make_their_kinds_each_time() {
    bounded(async {
        let (world, _) = World::connected().await;
        world.save("replied", 0, at(1)).await;
        world
            .people_say(
                json!([said("p1", 1, json!({})), said("p2", 1, json!({}))]),
                at(2),
            )
            .await;
        world.exported("p1").await;
        let change = |id: &str, version, title: &str| {
            said(
                id,
                version,
                json!({"fields": {"job_title": title, "city": title}}),
            )
        };
        world
            .people_say(json!([change("p1", 2, "a"), change("p2", 2, "a")]), at(3))
            .await;
        assert_eq!(world.told().await, ["field_change p1 accepted"]);
        // An export that goes on may have read the value before.
        world.people_say(json!([change("p1", 3, "b")]), at(4)).await;
        assert_eq!(world.told().await, ["field_change p1 accepted"; 2]);
        world
            .people_say(
                json!([said("p1", 4, json!({"fields": {"city": "x"}}))]),
                at(5),
            )
            .await;
        assert_eq!(world.told().await.len(), 2);
        world.forget_requests().await;
        let status = |id: &str, status: &str| said(id, 5, json!({"status": status}));
        world
            .people_say(
                json!([status("p1", "interested"), status("p2", "interested")]),
                at(6),
            )
            .await;
        assert_eq!(
            world.told().await,
            ["status p1 accepted", "status p2 accepted"]
        );
        world
            .people_say(json!([said("p1", 6, json!({"status": "replied"}))]), at(7))
            .await;
        assert_eq!(world.told().await.len(), 2);
    })
    .await;
}

#[tokio::test]
async fn without_connection_requests_wait_one_of_a_kind_and_go_on_with_it() {
    bounded(async {
        let (world, connected) = World::connected().await;
        world.save("replied", 0, at(1)).await;
        world
            .people_say(
                json!([said("p1", 1, json!({})), said("p2", 1, json!({}))]),
                at(2),
            )
            .await;
        world.exported("p1").await;
        world
            .people_say(json!([said("p2", 2, json!({"replied_at": at(3)}))]), at(3))
            .await;
        world
            .store
            .mark_needs_reconnect(world.workspace, connected.epoch, at(4))
            .await
            .unwrap();
        for n in 2..5 {
            let title = json!({"fields": {"job_title": format!("t{n}")}});
            world.people_say(json!([said("p1", n, title)]), at(5)).await;
        }
        assert_eq!(
            world.told().await,
            [
                "field_change p1 waiting needs_reconnect",
                "policy p2 accepted"
            ]
        );
        let page = world.store.requeue_exports(10, at(6)).await.unwrap();
        assert_eq!((page.go_on, page.wait, page.done), (0, 1, true));
        assert_eq!(
            world.told().await,
            [
                "field_change p1 waiting needs_reconnect",
                "policy p2 waiting needs_reconnect"
            ]
        );
        assert_eq!(
            world.numbers(at(7)).await.waiting[&WaitReason::NeedsReconnect],
            2
        );
        assert_eq!(world.numbers(at(7)).await.oldest, None);
        world
            .try_connect(world.portal, run_id(2), at(8))
            .await
            .unwrap();
        let page = world.store.requeue_exports(1, at(9)).await.unwrap();
        assert_eq!((page.go_on, page.done), (1, false));
        let page = world.store.requeue_exports(10, at(9)).await.unwrap();
        assert_eq!((page.go_on, page.wait, page.done), (1, 0, true));
        assert_eq!(
            world.told().await,
            ["field_change p1 accepted", "policy p2 accepted"]
        );
        // What waits for something else goes on waiting.
        world.end("waiting", Some("person_not_exported")).await;
        let page = world.store.requeue_exports(10, at(9)).await.unwrap();
        assert_eq!((page.go_on, page.wait), (0, 0));
    })
    .await;
}

#[tokio::test]
async fn somebody_of_a_company_that_changed_stands_for_it() {
    bounded(async {
        let (world, _) = World::connected().await;
        world.save("replied", 0, at(1)).await;
        let of = |id: &str, company: &str| said(id, 1, json!({"company": company}));
        world
            .people_say(json!([of("p1", "c1"), of("p2", "c1"), of("p3", "c1"), of("p4", "c2")]), at(2))
            .await;
        world.exported("p2").await;
        world.exported("p3").await;
        let company = |id: &str, version: u64, fields: Value| json!({"id": id, "version": version, "fields": fields});
        // It becomes known later than its people.
        let both = json!([
            company("c1", 1, json!({"industry": "a", "city": "x"})),
            company("c2", 1, json!({"industry": "a"})),
        ]);
        world.companies_say(both.clone(), at(3)).await;
        let told = world.told().await;
        assert_eq!(told.len(), 1, "{told:?}");
        assert!(told[0] == "field_change p2 accepted" || told[0] == "field_change p3 accepted");
        world.companies_say(both, at(4)).await;
        world.companies_say(json!([company("c1", 2, json!({"city": "y"}))]), at(5)).await;
        assert_eq!(world.told().await.len(), 1);
        world.companies_say(json!([company("c1", 3, json!({"industry": "b"}))]), at(6)).await;
        assert_eq!(world.told().await.len(), 2);
        // Nobody was exported yet, and the export of one goes on: it may have read the company before.
        world.forget_requests().await;
        world.people_say(json!([said("p4", 2, json!({"replied_at": at(7)}))]), at(7)).await;
        world.companies_say(json!([company("c2", 2, json!({"industry": "b"}))]), at(8)).await;
        assert_eq!(world.told().await, ["field_change p4 accepted", "policy p4 accepted"]);
    })
    .await;
}

#[tokio::test]
async fn requests_that_did_not_end_well_are_asked_for_again() {
    bounded(async {
        let (world, _) = World::connected().await;
        world.save("replied", 0, at(1)).await;
        let items: Vec<Value> = (1..=3)
            .map(|n| said(&format!("p{n}"), 1, json!({"replied_at": at(2)})))
            .collect();
        world.people_say(json!(items), at(2)).await;
        let (store, workspace) = (&world.store, world.workspace);
        let first = world.requests().await[0].request;
        let retry = async |reason: Option<RetryReason>, limit| {
            store
                .retry_exports(workspace, reason, limit, at(9))
                .await
                .unwrap()
        };
        // What goes on is left alone.
        let same = store
            .retry_export(workspace, first, at(9))
            .await
            .unwrap()
            .unwrap();
        assert_eq!(same, world.requests().await[0]);
        world.end("failed", Some("invalid")).await;
        assert_eq!(world.numbers(at(3)).await.failed.values().sum::<u64>(), 3);
        let again = store
            .retry_export(workspace, first, at(9))
            .await
            .unwrap()
            .unwrap();
        assert_eq!(
            (again.outcome.state(), again.changed_at),
            (RequestState::Accepted, at(9))
        );
        let attempts =
            "select count(*) from export_request where attempts = 0 and due_at is not null";
        assert_eq!(world.count(attempts).await, 1);
        let page = retry(None, 1).await;
        assert_eq!((page.requests, page.more), (1, true));
        let page = retry(None, 1).await;
        assert_eq!((page.requests, page.more), (1, false));
        assert_eq!(retry(None, 10).await.requests, 0);

        world.end("skipped", Some("no_email")).await;
        assert_eq!(world.numbers(at(3)).await.skipped[&SkipReason::NoEmail], 3);
        assert!(
            world
                .numbers(at(3) + TimeDelta::days(31))
                .await
                .skipped
                .is_empty()
        );
        let reason = |text: &str| Some(text.parse::<RetryReason>().unwrap());
        assert_eq!(retry(None, 10).await.requests, 0);
        assert_eq!(retry(reason("contact_gone"), 10).await.requests, 0);
        // Whoever was erased stays out.
        let target = EraseTarget {
            person: world.requests().await[0].person.clone(),
            email: None,
        };
        store.erase_person(workspace, &target, at(8)).await.unwrap();
        assert_eq!(retry(reason("no_email"), 10).await.requests, 2);
        let erased = store
            .retry_export(workspace, first, at(10))
            .await
            .unwrap()
            .unwrap();
        assert_eq!(
            (erased.outcome.state(), erased.person),
            (RequestState::Skipped, None)
        );

        world.end("exported", None).await;
        assert_eq!(
            world
                .told()
                .await
                .iter()
                .filter(|r| r.ends_with("exported"))
                .count(),
            3
        );
        store.retry_export(workspace, first, at(11)).await.unwrap();
        assert_eq!(
            world
                .told()
                .await
                .iter()
                .filter(|r| r.ends_with("exported"))
                .count(),
            3
        );

        // Without a connection they wait for it, and asking again changes nothing.
        world.end("failed", Some("defect")).await;
        world.disconnect(at(12)).await;
        assert_eq!(retry(None, 10).await.requests, 2);
        assert_eq!(retry(reason("not_connected"), 10).await.requests, 0);
        assert_eq!(
            world.numbers(at(13)).await.waiting[&WaitReason::NotConnected],
            2
        );

        let nobodys = RequestId::new(Uuid::from_u128(9));
        assert_eq!(
            store
                .retry_export(workspace, nobodys, at(14))
                .await
                .unwrap(),
            None
        );
        let elsewhere = WorkspaceId::new(Uuid::from_u128(2));
        store.ensure_workspace(elsewhere, at(0)).await.unwrap();
        assert_eq!(
            store.retry_export(elsewhere, first, at(14)).await.unwrap(),
            None
        );
    })
    .await;
}

#[tokio::test]
async fn who_replied_is_counted_by_each_policy() {
    bounded(async {
        let (world, _) = World::connected().await;
        world
            .people_say(
                json!([
                    said("p1", 1, json!({"contacted_at": at(5)})),
                    said("p2", 1, json!({"contacted_at": at(5), "replied_at": at(6)})),
                    said("p3", 1, json!({"contacted_at": at(50), "replied_at": at(51), "replied_positively_at": at(52)})),
                    said("p4", 1, json!({})),
                    said("p5", 1, json!({"replied_positively_at": at(53)})),
                ]),
                at(6),
            )
            .await;
        world.exported("p5").await;
        for (revision, policy, want) in [
            (0, "all_contacted", (3, 2)),
            (1, "replied", (2, 1)),
            (2, "replied_positively", (1, 0)),
        ] {
            world.save(policy, revision, at(20)).await;
            let found = world.numbers(at(60)).await.qualifying;
            assert_eq!((found.people, found.earlier), want, "{policy}");
        }
    })
    .await;
}
