//! Verdicts: judged from what is stored, and kept by following changes.

use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

use domain::{
    ObjectType, ReadPlan, SyncRunId, SyncType,
    app::{CustomField, Email, Fields, PersonInput, PersonUpsert},
    dnc::{DncRule, RecordRef, Verdict},
    portal::ListId,
    settings::{FollowedList, ListUse, RuleScope, Settings, SettingsRevision},
};
use store::{
    Asked, AssociationRow, EraseTarget, ListRow, MembershipPage, Rows, StoppedPlace, VerdictPass,
};
use uuid::Uuid;

use crate::support::{Commit as _, Page, Reader, World, at, bounded, committed, record, row};

fn person(id: &str, email: &str) -> PersonUpsert {
    serde_json::from_value::<PersonInput>(
        serde_json::json!({"id": id, "version": 1, "email": email}),
    )
    .unwrap()
    .check(&Fields::new(std::iter::empty::<&CustomField>()))
    .unwrap()
}

fn tied(from: i64, to_type: ObjectType, to: i64) -> AssociationRow {
    AssociationRow {
        from: record(from),
        to_type,
        to: record(to),
        labels: vec!["x".to_owned()],
    }
}

/// A portal that is being read.
pub(crate) struct Portal {
    pub(crate) world: World,
    run: Reader,
    /// Of readings, which one: a later one brings later pages.
    round: i64,
    versions: BTreeMap<SyncType, i64>,
}

const READ: [SyncType; 5] = [
    SyncType::Pipelines,
    SyncType::Contacts,
    SyncType::Companies,
    SyncType::Deals,
    SyncType::Lists,
];

impl Portal {
    pub(crate) async fn new() -> Self {
        let (world, _) = World::connected().await;
        let run = world.reader(SyncType::Owners, at(0)).await;
        for sync_type in READ {
            let reader = Reader { sync_type, ..run };
            world.begin(reader, ReadPlan::List, at(0)).await;
        }
        Self {
            world,
            run,
            round: 0,
            versions: BTreeMap::new(),
        }
    }

    /// Everything is read anew: pages of the reading before are not taken any more.
    pub(crate) async fn again(&mut self) {
        self.round += 1;
        let now = at(self.round * 1_000);
        self.world
            .store
            .finish_run(self.run.run, now)
            .await
            .unwrap();
        let id = u128::try_from(self.round).unwrap() + 1;
        self.world
            .resync(&domain::ResyncRequest::all(), id, now)
            .await;
        self.run = self.world.reader(SyncType::Owners, now).await;
        for sync_type in READ {
            let reader = Reader {
                sync_type,
                ..self.run
            };
            self.world.begin(reader, ReadPlan::List, now).await;
        }
        self.versions.clear();
    }

    pub(crate) async fn commit(&mut self, sync_type: SyncType, change: impl FnOnce(Page) -> Page) {
        let reader = Reader {
            sync_type,
            ..self.run
        };
        let version = self.versions.entry(sync_type).or_default();
        let page = Page {
            read_at: at(self.round * 1_000 + *version + 1),
            ..self.world.page(reader, *version)
        };
        let page = change(page);
        let outcome = self.world.store.commit_page(page, at(1)).await.unwrap();
        *version += 1;
        assert_eq!(outcome, committed(*version));
    }

    /// Everything was read to its end.
    pub(crate) async fn finish(&self) {
        for sync_type in READ {
            let reader = Reader {
                sync_type,
                ..self.run
            };
            let key = self.world.key(reader);
            self.world.store.finish_type(&key).await.unwrap();
        }
    }

    pub(crate) async fn contact(
        &mut self,
        id: i64,
        modified: i64,
        properties: serde_json::Value,
        at_company: &[i64],
    ) {
        let associations = at_company
            .iter()
            .map(|c| tied(id, ObjectType::Company, *c))
            .collect();
        self.commit(SyncType::Contacts, |page| Page {
            rows: vec![row(id, modified, &properties.to_string())],
            associated_types: vec![ObjectType::Company],
            associations,
            ..page
        })
        .await;
    }

    async fn deal(&mut self, id: i64, modified: i64, closed: bool, on_company: &[i64]) {
        let properties = serde_json::json!({
            "dealstage": "s", "pipeline": "p", "hs_is_closed": closed.to_string(), "closedate": "2020-01-01",
        });
        let associations = on_company
            .iter()
            .map(|c| tied(id, ObjectType::Company, *c))
            .collect();
        self.commit(SyncType::Deals, |page| Page {
            rows: vec![row(id, modified, &properties.to_string())],
            associated_types: vec![ObjectType::Company, ObjectType::Contact],
            associations,
            ..page
        })
        .await;
    }

    pub(crate) async fn people(&self, all: &[(&str, &str)]) {
        let all: Vec<PersonUpsert> = all.iter().map(|(id, email)| person(id, email)).collect();
        self.world
            .store
            .upsert_people(self.world.workspace, &all, at(5))
            .await
            .unwrap();
    }

    pub(crate) async fn suppress(&self, list: i64, expected: u64) {
        let settings = Settings {
            lists: vec![FollowedList {
                list: ListId::new(list),
                list_use: ListUse::Suppression,
            }],
            ..Settings::empty()
        };
        self.save(&settings, expected).await;
    }

    async fn save(&self, settings: &Settings, expected: u64) {
        let run = SyncRunId::new(Uuid::from_u128(900 + u128::from(expected)));
        self.world
            .store
            .save_settings(
                self.world.workspace,
                SettingsRevision::new(expected),
                settings,
                run,
                SyncRunId::new(Uuid::from_u128(950 + u128::from(expected))),
                at(6),
            )
            .await
            .unwrap();
    }

    /// Steps until nothing is left; how many people were judged and written.
    pub(crate) async fn settle(&self) -> (u64, u64) {
        let mut pass = VerdictPass::default();
        let mut sum = (0, 0);
        loop {
            let step = self
                .world
                .store
                .verdict_step(self.world.workspace, &mut pass)
                .await
                .unwrap();
            sum.0 += step.judged;
            sum.1 += step.written;
            if step.done {
                return sum;
            }
        }
    }

    /// Settles until the kept verdict is what is said of it: transactions of other tests hold the feed
    /// of changes up.
    async fn until(&self, who: &str, wanted: impl Fn(&Verdict) -> bool) -> (u64, u64) {
        let deadline = Instant::now() + Duration::from_secs(30);
        let mut sum = (0, 0);
        loop {
            let (judged, written) = self.settle().await;
            sum = (sum.0 + judged, sum.1 + written);
            let kept = self
                .world
                .store
                .kept_verdict(
                    self.world.workspace,
                    self.world.portal,
                    &who.parse().unwrap(),
                )
                .await
                .unwrap();
            if kept.as_ref().is_some_and(&wanted) {
                return sum;
            }
            assert!(Instant::now() < deadline, "{who}: {kept:?}");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    /// Until nothing is due any more: what other transactions held up was followed as well.
    async fn quiet(&self) {
        let deadline = Instant::now() + Duration::from_secs(30);
        while self.settle().await != (0, 0) || self.is_due().await {
            assert!(Instant::now() < deadline, "something is always due");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    async fn is_due(&self) -> bool {
        let due = self.world.store.verdicts_due(None, 10).await.unwrap();
        due.into_iter().any(|due| {
            due.workspace == self.world.workspace && due.row.unwrap() == self.world.portal
        })
    }

    async fn asked(&self, asked: Asked) -> Verdict {
        let store = &self.world.store;
        let basis = store
            .dnc_basis(self.world.workspace)
            .await
            .unwrap()
            .unwrap();
        store
            .check_dnc(self.world.workspace, &basis, &[asked])
            .await
            .unwrap()
            .remove(0)
    }

    async fn email(&self, email: &str) -> Verdict {
        self.asked(Asked::Email(email.to_owned())).await
    }
}

fn rules(verdict: &Verdict) -> Vec<DncRule> {
    verdict.reasons.iter().map(|r| r.rule).collect()
}

#[tokio::test]
async fn what_one_reading_left_open_is_not_mended_by_the_end_of_another() {
    bounded(async {
        let p = Portal::new().await;
        p.finish().await;
        assert!(p.email("a@calm.example").await.allowed);
        sqlx::query("update sync_cursor set outcome = 'incomplete', unanswered = 1 where purpose = 'run' and sync_type = 'deals'")
            .execute(&p.world.raw)
            .await
            .unwrap();
        for purpose in ["archived", "walk", "reread", "periodic"] {
            sqlx::query(
                "insert into sync_cursor (workspace_id, portal_id, sync_type, purpose, part, began_at, read_began_at, outcome)
                 values ($1, $2, 'deals', $3, 0, now() + interval '1 hour', now(), 'finished')",
            )
            .bind(p.world.workspace.as_uuid())
            .bind(p.world.portal.get())
            .bind(purpose)
            .execute(&p.world.raw)
            .await
            .unwrap();
            let verdict = p.email("a@calm.example").await;
            assert!(!verdict.allowed && verdict.stale, "after {purpose}");
        }
    })
    .await;
}

#[tokio::test]
async fn only_those_whom_a_change_concerns_are_judged_again() {
    bounded(async {
        let mut p = Portal::new().await;
        let company = |domain: &str| format!(r#"{{"domain":"{domain}"}}"#);
        p.commit(SyncType::Companies, |page| Page {
            rows: vec![
                row(7, 0, &company("acme.example")),
                row(8, 0, &company("calm.example")),
            ],
            ..page
        })
        .await;
        p.contact(1, 0, serde_json::json!({"email": "a@acme.example"}), &[7])
            .await;
        p.contact(2, 0, serde_json::json!({"email": "b@calm.example"}), &[8])
            .await;
        p.people(&[
            ("a", "a@acme.example"),
            ("b", "b@calm.example"),
            ("new", "new@acme.example"),
            ("other", "x@nowhere.example"),
        ])
        .await;
        // Nothing was read to its end: nobody may be contacted, and the reason is said.
        p.until("b", |v| rules(v) == [DncRule::Unknown] && v.stale)
            .await;
        p.finish().await;
        let (judged, written) = p.until("b", |v| v.allowed && !v.stale).await;
        assert!(judged >= 4 && written == 4, "{judged} {written}");
        p.again().await;
        // Nothing changed: nobody is judged, and nothing is due.
        p.quiet().await;

        p.deal(30, 10, false, &[7]).await;
        let deadline = Instant::now() + Duration::from_secs(30);
        while !p.is_due().await {
            assert!(Instant::now() < deadline, "nobody notices the deal");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        let (judged, written) = p.until("a", |v| rules(v) == [DncRule::OpenDeal]).await;
        assert_eq!(
            (judged, written),
            (2, 2),
            "the contact, and who is at the domain"
        );
        p.until("new", |v| rules(v) == [DncRule::OpenDeal]).await;

        // The deal moves to the other company: both are concerned.
        p.deal(30, 20, false, &[8]).await;
        p.until("b", |v| rules(v) == [DncRule::OpenDeal]).await;
        p.until("a", |v| v.allowed).await;
        p.until("new", |v| v.allowed).await;
        // It is lost, long ago.
        p.deal(30, 30, true, &[8]).await;
        p.until("b", |v| v.allowed).await;
        // A person with another address is somebody else.
        let moved = serde_json::json!({"id": "other", "version": 2, "email": "b@calm.example"});
        let moved = serde_json::from_value::<PersonInput>(moved)
            .unwrap()
            .check(&Fields::new(std::iter::empty::<&CustomField>()))
            .unwrap();
        p.contact(
            2,
            40,
            serde_json::json!({"email": "b@calm.example", "hs_email_optout": "true"}),
            &[8],
        )
        .await;
        p.until("b", |v| rules(v) == [DncRule::OptedOut]).await;
        p.world
            .store
            .upsert_people(p.world.workspace, &[moved], at(7))
            .await
            .unwrap();
        p.until("other", |v| rules(v) == [DncRule::OptedOut]).await;
        // At the moment of asking it holds, whatever is kept.
        assert_eq!(rules(&p.email("B@Calm.example").await), [DncRule::OptedOut]);
        assert_eq!(rules(&p.email("nobody").await), [DncRule::NotKnown]);
    })
    .await;
}

/// Links and profiles follow until somebody is linked to this contact: transactions of other tests hold
/// them up.
async fn link(p: &Portal, who: &str, contact: i64) {
    let (workspace, portal) = (p.world.workspace, p.world.portal);
    let due = store::ProjectionDue { workspace, portal };
    let store = &p.world.store;
    let deadline = Instant::now() + Duration::from_secs(30);
    loop {
        let (basis, mark) = store.projection_basis(workspace, portal).await.unwrap();
        store.project_profiles(due, &basis, &mark).await.unwrap();
        let linked: Option<i64> = sqlx::query_scalar(
            "select object_id from record_link where workspace_id = $1 and app_id = $2",
        )
        .bind(workspace.as_uuid())
        .bind(who)
        .fetch_optional(&p.world.raw)
        .await
        .unwrap();
        let behind = store.projections_due(None, 1_000).await.unwrap();
        let ours = behind.into_iter().find(|s| s.workspace == workspace);
        if linked == Some(contact) && ours.is_some_and(|swept| swept.row.unwrap().is_none()) {
            return;
        }
        assert!(Instant::now() < deadline, "{who} is {linked:?}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test]
async fn a_link_follows_a_merge_in_whatever_order_changes_come() {
    bounded(async {
        let mut p = Portal::new().await;
        let email = |email: &str| serde_json::json!({"email": email});
        p.contact(1, 0, email("ann@acme.example"), &[]).await;
        p.contact(2, 0, email("two@acme.example"), &[]).await;
        p.people(&[("ann", "ann@acme.example")]).await;
        p.finish().await;
        link(&p, "ann", 1).await;
        p.again().await;
        // Another contact has her address by now, and hers is part of a third one.
        p.contact(3, 10, email("ann@acme.example"), &[]).await;
        let merged =
            serde_json::json!({"email": "two@acme.example", "hs_merged_object_ids": "1;2"});
        p.contact(4, 10, merged, &[]).await;
        // What the app says is followed before what HubSpot says.
        let again = serde_json::json!({"id": "ann", "version": 2, "status": "contacted"});
        let again = serde_json::from_value::<PersonInput>(again)
            .unwrap()
            .check(&Fields::new(std::iter::empty::<&CustomField>()))
            .unwrap();
        let workspace = p.world.workspace;
        p.world
            .store
            .upsert_people(workspace, &[again], at(8))
            .await
            .unwrap();
        link(&p, "ann", 4).await;
    })
    .await;
}

#[tokio::test]
async fn who_is_linked_to_a_contact_is_judged_by_it_whatever_the_addresses() {
    bounded(async {
        let mut p = Portal::new().await;
        let email = |email: &str| serde_json::json!({"email": email});
        p.contact(1, 0, email("before@acme.example"), &[]).await;
        p.contact(2, 0, email("other@calm.example"), &[]).await;
        p.finish().await;
        p.people(&[
            ("ann", "before@acme.example"),
            ("bob", "bob@nowhere.example"),
        ])
        .await;
        link(&p, "ann", 1).await;
        p.until("ann", |v| v.allowed).await;
        p.again().await;

        // Both sides change the address.
        p.contact(1, 10, email("hubspot@acme.example"), &[]).await;
        let moved =
            serde_json::json!({"id": "ann", "version": 2, "email": "app@elsewhere.example"});
        let moved = serde_json::from_value::<PersonInput>(moved)
            .unwrap()
            .check(&Fields::new(std::iter::empty::<&CustomField>()))
            .unwrap();
        let workspace = p.world.workspace;
        p.world
            .store
            .upsert_people(workspace, &[moved], at(7))
            .await
            .unwrap();
        link(&p, "ann", 1).await;
        p.quiet().await;
        let out = serde_json::json!({"email": "hubspot@acme.example", "hs_email_optout": "true"});
        p.contact(1, 20, out, &[]).await;
        p.until("ann", |v| rules(v) == [DncRule::OptedOut]).await;
        let ann = Asked::Person("ann".parse().unwrap());
        assert_eq!(rules(&p.asked(ann).await), [DncRule::OptedOut]);
        // So is the address that she has now, and nobody else.
        assert_eq!(
            rules(&p.email("app@elsewhere.example").await),
            [DncRule::OptedOut]
        );
        p.until("bob", |v| v.allowed).await;

        // Nothing but the link is another one.
        link(&p, "ann", 1).await;
        p.quiet().await;
        for (contact, allowed) in [(2_i64, true), (1, false)] {
            sqlx::query(
                "update record_link set object_id = $2, changed = mirror_change()
                 where workspace_id = $1 and app_id = 'ann'",
            )
            .bind(workspace.as_uuid())
            .bind(contact)
            .execute(&p.world.raw)
            .await
            .unwrap();
            p.until("ann", |v| v.allowed == allowed).await;
        }
        // The rule of whole companies reaches who is linked to a colleague.
        p.commit(SyncType::Companies, |page| Page {
            rows: vec![row(7, 0, r#"{"domain":"acme.example"}"#)],
            ..page
        })
        .await;
        let calm = serde_json::json!({"email": "hubspot@acme.example", "hs_email_optout": "false"});
        p.contact(1, 30, calm, &[7]).await;
        p.until("ann", |v| v.allowed).await;
        p.deal(30, 10, false, &[7]).await;
        p.until("ann", |v| rules(v) == [DncRule::OpenDeal]).await;
    })
    .await;
}

#[tokio::test]
async fn an_address_that_a_contact_had_before_stays_suppressed() {
    bounded(async {
        let mut p = Portal::new().await;
        let out = |email: &str, more: serde_json::Value| {
            let mut properties = serde_json::json!({"email": email, "hs_email_optout": "true"});
            for (name, value) in more.as_object().unwrap() {
                properties[name] = value.clone();
            }
            properties
        };
        p.contact(1, 0, out("old@x.example", serde_json::json!({})), &[]).await;
        p.contact(2, 0, serde_json::json!({"email": "away@x.example"}), &[]).await;
        p.finish().await;
        p.people(&[("old", "old@x.example"), ("new", "new@x.example"), ("away", "away@x.example")])
            .await;
        p.until("new", |v| v.allowed).await;
        p.again().await;
        p.contact(1, 10, out("new@x.example", serde_json::json!({})), &[]).await;
        p.until("new", |v| rules(v) == [DncRule::OptedOut]).await;
        p.until("old", |v| rules(v) == [DncRule::OptedOut]).await;
        // 2 is merged into 1, which says so.
        p.contact(1, 20, out("new@x.example", serde_json::json!({"hs_merged_object_ids": "2"})), &[])
            .await;
        p.until("away", |v| rules(v) == [DncRule::OptedOut]).await;
        // Erased, none of the addresses is left anywhere, and who is asked about stays out.
        let target = EraseTarget {
            person: None,
            email: Some(Email::parse("new@x.example").unwrap()),
        };
        p.world
            .store
            .erase_person(p.world.workspace, &target, at(9))
            .await
            .unwrap();
        let left = p
            .world
            .count("select count(*) from hubspot_former_key where object_id = 1 or key = 'new@x.example'")
            .await;
        assert_eq!(left, 0);
        let kept = p.world.count("select count(*) from dnc_verdict where person_id = 'new'").await;
        assert_eq!(kept, 0);
        assert_eq!(rules(&p.email("new@x.example").await), [DncRule::Erased]);
    })
    .await;
}

#[tokio::test]
async fn whom_the_forgotten_kept_out_is_judged_again() {
    bounded(async {
        let mut p = Portal::new().await;
        let mut settings = Settings::empty();
        settings.dnc.scopes.opted_out = RuleScope::Company;
        p.save(&settings, 0).await;
        let out = |email: &str| serde_json::json!({"email": email, "hs_email_optout": "true"});
        p.commit(SyncType::Companies, |page| Page {
            rows: vec![row(7, 0, "{}")],
            ..page
        })
        .await;
        p.contact(1, 0, out("gone@x.example"), &[]).await;
        p.contact(2, 0, out("erased@x.example"), &[7]).await;
        p.contact(
            3,
            0,
            serde_json::json!({"email": "colleague@x.example"}),
            &[7],
        )
        .await;
        p.finish().await;
        p.people(&[
            ("own", "gone@x.example"),
            ("colleague", "colleague@x.example"),
        ])
        .await;
        p.until("own", |v| rules(v) == [DncRule::OptedOut]).await;
        p.until("colleague", |v| rules(v) == [DncRule::OptedOut])
            .await;
        // HubSpot names a contact as unknown twice.
        for _ in 0..2 {
            p.again().await;
            p.commit(SyncType::Contacts, |page| Page {
                missing: std::iter::once(record(1)).collect(),
                ..page
            })
            .await;
            p.finish().await;
        }
        p.until("own", |v| v.allowed).await;
        // The app erases somebody of whose company somebody else is.
        let target = EraseTarget {
            person: None,
            email: Some(Email::parse("erased@x.example").unwrap()),
        };
        p.world
            .store
            .erase_person(p.world.workspace, &target, at(9_000))
            .await
            .unwrap();
        p.until("colleague", |v| v.allowed).await;
    })
    .await;
}

#[tokio::test]
async fn who_comes_onto_a_suppression_list_and_who_goes_is_judged_again() {
    bounded(async {
        let mut p = Portal::new().await;
        for (id, email) in [(1, "a@x.example"), (2, "b@x.example"), (3, "c@x.example")] {
            p.contact(id, 0, serde_json::json!({"email": email}), &[])
                .await;
        }
        let list = ListRow {
            id: record(50),
            name: "Never".to_owned(),
            object_type_id: "0-1".to_owned(),
            processing_type: "MANUAL".to_owned(),
            processing_status: "COMPLETE".to_owned(),
            size: None,
        };
        p.commit(SyncType::Lists, |page| page.of(Rows::Lists(vec![list])))
            .await;
        p.people(&[
            ("a", "a@x.example"),
            ("b", "b@x.example"),
            ("c", "c@x.example"),
        ])
        .await;
        p.suppress(50, 0).await;
        let members = |ids: &[i64]| {
            Rows::Members(MembershipPage {
                list: record(50),
                members: ids.iter().map(|id| record(*id)).collect(),
            })
        };
        p.finish().await;
        // Its members were never read: nobody gets through.
        p.until("a", |v| rules(v) == [DncRule::Unknown]).await;
        p.again().await;
        p.commit(SyncType::Lists, |page| page.of(members(&[1, 2])).ends())
            .await;
        p.until("a", |v| rules(v) == [DncRule::SuppressionList])
            .await;
        p.until("c", |v| v.allowed && !v.stale).await;
        p.quiet().await;
        let verdict = p.asked(Asked::Person("b".parse().unwrap())).await;
        assert_eq!(
            verdict.reasons[0].record,
            Some(RecordRef::List(ListId::new(50)))
        );

        // A second reading: 2 went, 3 came. What is seen is told apart by the database's clock.
        p.again().await;
        p.commit(SyncType::Lists, |page| page.of(members(&[1, 3])).ends())
            .await;
        p.until("b", |v| v.allowed).await;
        p.until("c", |v| rules(v) == [DncRule::SuppressionList])
            .await;
        let tombstones = p
            .world
            .count("select count(*) from hubspot_list_member where removed and object_id = 2")
            .await;
        assert_eq!(tombstones, 1);
    })
    .await;
}

/// What stands in the way of one workspace stands in nobody else's.
#[tokio::test]
async fn a_row_that_cannot_be_read_is_an_answer_about_its_workspace_alone() {
    bounded(async {
        let p = Portal::new().await;
        p.people(&[("a", "a@calm.example")]).await;
        let sql = "update connection set portal_id = -portal_id where workspace_id = $1";
        sqlx::query(sql)
            .bind(p.world.workspace.as_uuid())
            .execute(&p.world.raw)
            .await
            .unwrap();
        let due = p.world.store.verdicts_due(None, 10).await.unwrap();
        assert!(due.len() == 1 && due[0].row.is_err());
    })
    .await;
}

/// A portal that was read a moment ago has no statistics, or those of others: the order of each
/// statement's steps is its own, not the planner's guess. Else this takes the product of two tables,
/// and many minutes.
#[tokio::test]
async fn a_large_portal_without_statistics_is_followed_and_judged_in_one_pass() {
    large_portal_is_judged(false).await;
}

#[tokio::test]
async fn a_large_portal_that_came_after_the_statistics_is_followed_and_judged_in_one_pass() {
    large_portal_is_judged(true).await;
}

async fn large_portal_is_judged(others_before: bool) {
    const COMPANIES: i64 = 6_000;
    const CONTACTS: i64 = 18_000;
    bounded(async {
        let p = Portal::new().await;
        p.finish().await;
        let (workspace, portal) = (p.world.workspace, p.world.portal);
        if others_before {
            let others = [
                // One in each partition: then a new workspace seems to have no rows.
                "create temporary table other as select distinct on (k) id
                 from generate_series(0, 15) as k, (select gen_random_uuid() as id from generate_series(1, 500)) as u
                 where satisfies_hash_partition('hubspot_object_key'::regclass, 16, k, id)",
                "insert into hubspot_object (workspace_id, portal_id, object_type, object_id, properties, modified_at, read_at)
                 select id, 1, t, n, '{}', now(), now() from other, generate_series(1, 3) as t, generate_series(1, 40) as n",
                "insert into hubspot_object_key (workspace_id, portal_id, object_type, key, object_id)
                 select id, 1, 1, 'o' || n || '@' || id || '.example', n from other, generate_series(1, 40) as n",
                "insert into hubspot_association (workspace_id, portal_id, from_type, from_id, to_type, to_id, labels, read_at)
                 select id, 1, 1, n, 2, n % 3, array['x'], now() from other, generate_series(1, 40) as n",
                "vacuum analyze hubspot_object",
                "vacuum analyze hubspot_object_key",
                "vacuum analyze hubspot_association",
            ];
            let mut connection = p.world.raw.acquire().await.unwrap();
            for sql in others {
                sqlx::query(sql).execute(&mut *connection).await.unwrap();
            }
        }
        let fill = [
            "insert into hubspot_object (workspace_id, portal_id, object_type, object_id, properties, modified_at, read_at)
             select $1, $2, t, n, case t
                 when 1 then jsonb_build_object('email', 'c' || n || '@d' || n % $3 || '.example')
                 when 2 then jsonb_build_object('domain', 'd' || n || '.example')
                 else jsonb_build_object('dealstage', 's', 'pipeline', 'p', 'hs_is_closed', 'false') end, now(), now()
             from unnest(array[1, 2, 3]::smallint[]) as t, generate_series(0, $4 - 1) as n
             where n < $3 or t = 1",
            "insert into hubspot_object_key (workspace_id, portal_id, object_type, key, object_id)
             select workspace_id, portal_id, object_type, coalesce(properties->>'email', properties->>'domain'), object_id
             from hubspot_object where workspace_id = $1 and portal_id = $2 and object_type < 3 and object_id < greatest($3, $4)",
            "insert into hubspot_association (workspace_id, portal_id, from_type, from_id, to_type, to_id, labels, read_at)
             select $1, $2, 1, n, 2, n % $3, array['x'], now() from generate_series(0, $4 - 1) as n
             union all select $1, $2, 3, n, 1, n, array['x'], now() from generate_series(0, $3 - 1) as n",
        ];
        for sql in fill {
            sqlx::query(sql)
                .bind(workspace.as_uuid())
                .bind(portal.get())
                .bind(COMPANIES)
                .bind(CONTACTS)
                .execute(&p.world.raw)
                .await
                .unwrap();
        }
        let asked: Vec<Asked> = (0..COMPANIES)
            .map(|n| Asked::Email(format!("new{n}@d{n}.example")))
            .collect();
        let store = &p.world.store;
        let basis = store.dnc_basis(workspace).await.unwrap().unwrap();
        let verdicts = store.check_dnc(workspace, &basis, &asked).await.unwrap();
        for (n, verdict) in verdicts.iter().enumerate() {
            assert_eq!(rules(verdict), [DncRule::OpenDeal], "{n}");
        }
        let due = store::ProjectionDue { workspace, portal };
        let (basis, mark) = store.projection_basis(workspace, portal).await.unwrap();
        let mut made = 0;
        while made < u64::try_from(CONTACTS).unwrap() {
            let batch = store
                .project_profiles(due, &basis, &mark)
                .await
                .unwrap();
            made += batch.made;
            assert!(!batch.done || made > 0);
        }
        // By their links, too: each step from the people and contacts at hand.
        let linked: Vec<Asked> = (0..COMPANIES)
            .map(|n| Asked::Person(format!("hubspot.{portal}.{n}").parse().unwrap()))
            .collect();
        let basis = store.dnc_basis(workspace).await.unwrap().unwrap();
        let verdicts = store.check_dnc(workspace, &basis, &linked).await.unwrap();
        for (n, verdict) in verdicts.iter().enumerate() {
            assert_eq!(rules(verdict), [DncRule::OpenDeal], "{n}");
        }
        sqlx::query(
            "update record_link set changed = mirror_change() where workspace_id = $1 and object_id < 2000",
        )
        .bind(workspace.as_uuid())
        .execute(&p.world.raw)
        .await
        .unwrap();
        let (judged, _) = p.settle().await;
        assert!(judged >= made);
    })
    .await;
}

/// The counts are kept by what is written, whoever writes it, and are put together out of their pieces.
#[tokio::test]
async fn how_many_a_rule_stops_is_what_the_verdicts_say() {
    bounded(async {
        let mut p = Portal::new().await;
        for (id, stage) in [(1, "customer"), (2, "lead"), (3, "customer")] {
            let properties = serde_json::json!({
                "email": format!("p{id}@x.example"), "lifecyclestage": stage,
            });
            p.contact(id, 0, properties, &[]).await;
        }
        p.finish().await;
        p.people(&[("p1", "p1@x.example"), ("p2", "p2@x.example"), ("p3", "p3@x.example")])
            .await;
        p.until("p3", |v| rules(v) == [DncRule::Customer]).await;
        let (workspace, portal) = (p.world.workspace, p.world.portal);
        let stopped = async || p.world.store.stopped_people(workspace, portal).await.unwrap();
        let first = stopped().await;
        assert_eq!((first.judged, first.stopped), (3, 2));
        assert_eq!(first.by_rule, BTreeMap::from([(DncRule::Customer, 2)]));

        // Written many times over, by others, in pieces.
        let allow = "update dnc_verdict set allowed = true, reasons = '[]' where person_id = 'p1'";
        let stop = "update dnc_verdict set allowed = false,
            reasons = '[{\"rule\": \"customer\"}, {\"rule\": \"open_deal\"}, {\"rule\": \"open_deal\"}]'
            where person_id = 'p1'";
        for _ in 0..60 {
            for sql in [allow, stop] {
                sqlx::query(sql).execute(&p.world.raw).await.unwrap();
            }
        }
        let twice = stopped().await;
        assert_eq!((twice.judged, twice.stopped), (3, 2));
        assert_eq!(
            twice.by_rule,
            BTreeMap::from([(DncRule::OpenDeal, 1), (DncRule::Customer, 2)])
        );
        let pieces = "select count(*) from dnc_rule_count";
        assert!(p.world.count(pieces).await > 200);
        let by = async |rule, after: Option<&StoppedPlace>, limit| {
            let found = p.world.store.people_stopped_by(workspace, portal, rule, after, limit);
            found.await.unwrap()
        };
        let all = by(DncRule::Customer, None, 10).await;
        let shown: Vec<_> = all.iter().map(|s| (s.place.person.as_str(), s.rules.clone())).collect();
        assert_eq!(
            shown,
            [
                ("p3", vec![DncRule::Customer]),
                ("p1", vec![DncRule::OpenDeal, DncRule::Customer]),
            ]
        );
        // Page by page, to the same end.
        assert_eq!(by(DncRule::Customer, None, 1).await, all[..1]);
        assert_eq!(by(DncRule::Customer, Some(&all[0].place), 1).await, all[1..]);
        assert_eq!(by(DncRule::Customer, Some(&all[1].place), 1).await, []);
        assert_eq!(by(DncRule::OpenDeal, None, 10).await, all[1..]);
        assert_eq!(by(DncRule::LostDeal, None, 10).await, []);
        // The projection puts them together, and judges anew whom somebody judged otherwise.
        p.people(&[("p4", "p4@x.example")]).await;
        p.until("p4", |v| v.allowed).await;
        assert!(p.world.count(pieces).await <= 20);
        let together = stopped().await;
        assert_eq!((together.judged, together.by_rule[&DncRule::Customer]), (4, 2));

        let target = EraseTarget {
            person: None,
            email: Some(Email::parse("p3@x.example").unwrap()),
        };
        p.world.store.erase_person(workspace, &target, at(9)).await.unwrap();
        let erased = stopped().await;
        assert_eq!((erased.judged, erased.by_rule[&DncRule::Customer]), (3, 1));
    })
    .await;
}

#[tokio::test]
async fn each_rule_has_its_bit_in_the_index_of_verdicts() {
    bounded(async {
        let world = World::new().await;
        for rule in DncRule::ALL {
            let bits: i32 = sqlx::query_scalar("select dnc_rule_mask($1)")
                .bind(serde_json::json!([{"rule": rule}, {"rule": rule, "value": "twice"}]))
                .fetch_one(&world.raw)
                .await
                .unwrap();
            assert_eq!(bits, rule.bit(), "{rule}");
            assert_eq!(DncRule::of_bits(bits), [rule]);
            assert!(rule.bits_with().contains(&bits));
        }
    })
    .await;
}
