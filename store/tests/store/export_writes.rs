//! What closes with a write's entry, rows that go on after a pause, and what exports stand on.

use chrono::Utc;
use domain::{
    ObjectType,
    app::{CustomField, Fields, LeadStatus, PersonId, PersonInput, PersonUpsert, RecordKind},
    export::{
        RequestId, RequestKind, RequestOutcome, Rule,
        journal::{Cause, Entry, EntryId, EntryState, Operation, Subject, Written},
    },
};
use store::{
    Associated, CloseEntry, DefinitionRead, ExportEnd, ExportFilter, Guard, MirrorRow, NewResume,
    Opened, RefusedResume, RequestsEnd, WriterHold,
};
use uuid::Uuid;

use crate::support::{World, at, bounded, record};

const PERSON: &str = "p1";

fn id() -> PersonId {
    PERSON.parse().unwrap()
}

async fn with_person() -> (World, domain::Epoch) {
    let (world, connected) = World::connected().await;
    let json = serde_json::json!({"id": PERSON, "version": 1, "email": "p1@example.com"});
    let person: PersonUpsert = serde_json::from_value::<PersonInput>(json)
        .unwrap()
        .check(&Fields::new(std::iter::empty::<&CustomField>()))
        .unwrap();
    world
        .store
        .upsert_people(world.workspace, &[person], at(0))
        .await
        .unwrap();
    (world, connected.epoch)
}

struct Writing {
    world: World,
    epoch: domain::Epoch,
    hold: WriterHold,
}

impl Writing {
    async fn new() -> Self {
        let (world, epoch) = with_person().await;
        let hold = world.store.take_writer(world.workspace, &id()).await;
        let hold = hold.unwrap().unwrap();
        Self { world, epoch, hold }
    }

    /// Opens an entry and closes it as done.
    async fn write(
        &self,
        operation: Operation,
        written: Vec<Written>,
        mirror: Option<MirrorRow>,
        associated: Option<Associated>,
    ) {
        let store = &self.world.store;
        let now = store.clock().await.unwrap();
        let contact = record(7);
        let mut entry = Entry::open(
            EntryId::new(Uuid::now_v7()),
            Subject::Person(id()),
            Cause::Request(RequestKind::Manual),
            operation,
            &[],
            now,
        );
        entry.written = written;
        let opened = store
            .open_entry(&self.hold, self.world.portal, self.epoch, &entry, None)
            .await;
        assert_eq!(opened.unwrap(), Opened::Open);
        store
            .close_entry_done(CloseEntry {
                workspace: self.world.workspace,
                portal: self.world.portal,
                epoch: self.epoch,
                entry: entry.id,
                record: contact,
                mirror: mirror.map(|row| (ObjectType::Contact, row)),
                associated,
                read_at: now,
                link: None,
                day: now.date_naive(),
                written: None,
            })
            .await
            .unwrap();
    }

    async fn companies(&self) -> Vec<(i64, Vec<String>)> {
        let world = &self.world;
        let all = world
            .store
            .associations_from(world.workspace, world.portal, ObjectType::Contact)
            .await
            .unwrap();
        all.into_iter().map(|a| (a.to.get(), a.labels)).collect()
    }

    async fn changed(&self) -> i64 {
        let changed = "select changed from hubspot_object where object_id = 7";
        sqlx::query_scalar(changed)
            .fetch_one(&self.world.raw)
            .await
            .unwrap()
    }

    async fn records_of_today(&self) -> u32 {
        let world = &self.world;
        let today = Utc::now().date_naive();
        world
            .store
            .written_on(world.workspace, world.portal, today)
            .await
            .unwrap()
    }
}

fn made(company: i64, primary: bool) -> Option<Associated> {
    Some(Associated {
        contact: record(7),
        company: record(company),
        primary,
    })
}

fn associate(company: i64, primary: bool) -> Operation {
    Operation::Associate {
        contact: record(7),
        company: record(company),
        primary,
    }
}

const PRIMARY: &str = "contact_to_company";
const PLAIN: &str = "contact_to_company_unlabeled";

#[tokio::test]
async fn an_association_of_ours_is_in_the_mirror_as_soon_as_its_entry_is_closed() {
    bounded(async {
        let writing = Writing::new().await;
        let row = MirrorRow {
            id: record(7),
            properties: r#"{"email": "p1@example.com"}"#.to_owned(),
            created_at: Some(Utc::now()),
            modified_at: Utc::now(),
            archived: false,
        };
        // Of a contact that the mirror does not have nothing is known.
        writing
            .write(associate(70, true), Vec::new(), None, made(70, true))
            .await;
        assert!(writing.companies().await.is_empty());
        let create = Operation::Create(ObjectType::Contact);
        writing
            .write(create, Vec::new(), Some(row), made(70, true))
            .await;
        let both = [PRIMARY, PLAIN].map(str::to_owned).to_vec();
        assert_eq!(writing.companies().await, [(70, both.clone())]);
        // Labels that others gave stay.
        sqlx::query("update hubspot_association set labels = labels || array['boss']")
            .execute(&writing.world.raw)
            .await
            .unwrap();
        let before = writing.changed().await;
        writing
            .write(associate(80, true), Vec::new(), None, made(80, true))
            .await;
        let demoted = [PLAIN, "boss"].map(str::to_owned).to_vec();
        assert_eq!(
            writing.companies().await,
            [(70, demoted.clone()), (80, both.clone())]
        );
        assert!(writing.changed().await > before);
        // A plain one takes nothing away, and is added to what is there.
        writing
            .write(associate(80, false), Vec::new(), None, made(80, false))
            .await;
        writing
            .write(associate(70, true), Vec::new(), None, made(70, true))
            .await;
        let again = ["boss", PRIMARY, PLAIN].map(str::to_owned).to_vec();
        let plain = vec![PLAIN.to_owned()];
        assert_eq!(writing.companies().await, [(70, again), (80, plain)]);
        assert_eq!(writing.records_of_today().await, 1);
    })
    .await;
}

fn value(text: &str) -> Option<domain::export::HubSpotValue> {
    domain::export::HubSpotValue::stored(text)
}

fn title(old: &str, new: Option<&str>) -> Vec<Written> {
    vec![Written {
        property: "jobtitle".to_owned(),
        rule: None,
        old: value(old),
        new: new.and_then(value),
        overwrote: new.is_some(),
        sent: None,
    }]
}

/// What HubSpot was told of a status is known by the write that told it, whatever becomes of whoever asked.
#[tokio::test]
async fn a_status_is_told_by_its_write() {
    bounded(async {
        let w = Writing::new().await;
        let (store, workspace, portal) = (&w.world.store, w.world.workspace, w.world.portal);
        let told = async || {
            let facts = store.drain_facts(workspace, portal, &id()).await.unwrap();
            facts.exported.map(|exported| exported.status_said)
        };
        let status = |status| {
            let mut written = title("OPEN", Some("NEW"));
            written[0].rule = Some(Rule::Status(status));
            written
        };
        let update = || Operation::Update(ObjectType::Contact, record(7));
        // Whom HubSpot does not have yet has no row; the end of the export makes it.
        w.write(update(), status(LeadStatus::Contacted), None, None)
            .await;
        assert_eq!(told().await, None);
        let end = ExportEnd {
            person: id(),
            contact: record(7),
            status_said: Some(LeadStatus::Replied),
            look_again: None,
            requests: Vec::new(),
            end: RequestsEnd::default(),
        };
        store.end_exported(workspace, portal, &[end]).await.unwrap();
        assert_eq!(told().await, Some(Some(LeadStatus::Replied)));
        w.write(update(), title("Head", Some("Chief")), None, None)
            .await;
        assert_eq!(told().await, Some(Some(LeadStatus::Replied)));
        w.write(update(), status(LeadStatus::Contacted), None, None)
            .await;
        assert_eq!(told().await, Some(Some(LeadStatus::Contacted)));
        // Emptied, and then nothing: it says nothing now.
        let empty = Operation::Empty(ObjectType::Contact, record(7));
        w.write(empty, status(LeadStatus::Interested), None, None)
            .await;
        assert_eq!(told().await, Some(None));
    })
    .await;
}

#[tokio::test]
async fn what_was_emptied_is_no_record_of_the_day_and_no_value_to_go_back_to() {
    bounded(async {
        let writing = Writing::new().await;
        let empty = Operation::Empty(ObjectType::Contact, record(7));
        writing.write(empty, title("Head", None), None, None).await;
        assert_eq!(writing.records_of_today().await, 0);
        let update = Operation::Update(ObjectType::Contact, record(7));
        writing
            .write(update, title("Head", Some("Boss")), None, None)
            .await;
        assert_eq!(writing.records_of_today().await, 1);
        let world = &writing.world;
        let about = world
            .store
            .entries_about(world.workspace, world.portal, &Subject::Person(id()))
            .await
            .unwrap();
        assert!(matches!(about[0].operation, Operation::Empty(..)));
        assert!(domain::export::revert::may_revert(&about[0], "jobtitle").is_err());
        assert!(domain::export::revert::may_revert(&about[1], "jobtitle").is_ok());
    })
    .await;
}

#[tokio::test]
async fn a_row_goes_on_only_where_something_holds_it_up() {
    bounded(async {
        let writing = Writing::new().await;
        let world = &writing.world;
        let person = id();
        let resume = async |n: u128, record: RecordKind, property: &str| {
            let new = NewResume {
                request: RequestId::new(Uuid::from_u128(n)),
                workspace: world.workspace,
                person: &person,
                record,
                property,
            };
            world.store.resume_row(&new, at(0)).await.unwrap()
        };
        for _ in 0..3 {
            let nothing = resume(1, RecordKind::Person, "jobtitle").await;
            assert_eq!(nothing.unwrap_err(), RefusedResume::NothingHeld);
            let update = Operation::Update(ObjectType::Contact, record(7));
            writing
                .write(update, title("Theirs", Some("Ours")), None, None)
                .await;
        }
        for (record, property) in [
            (RecordKind::Person, "city"),
            (RecordKind::Company, "jobtitle"),
        ] {
            let nothing = resume(1, record, property).await;
            assert_eq!(nothing.unwrap_err(), RefusedResume::NothingHeld);
        }
        let request = resume(1, RecordKind::Person, "jobtitle").await.unwrap();
        assert_eq!(request.kind, RequestKind::FieldChange);
        assert_eq!(request.outcome, RequestOutcome::Accepted);
        // Asked again by the same call it is the same; by another there is nothing left to do.
        let again = resume(1, RecordKind::Person, "jobtitle").await.unwrap();
        assert_eq!(again.request, request.request);
        let nothing = resume(2, RecordKind::Person, "jobtitle").await;
        assert_eq!(nothing.unwrap_err(), RefusedResume::NothingHeld);
        let filter = ExportFilter::default();
        let all = world
            .store
            .export_requests_after(world.workspace, &filter, None, 10)
            .await
            .unwrap();
        assert_eq!(all.len(), 1);
        let subject = Subject::Person(person.clone());
        let resumed = world
            .store
            .resumed(world.workspace, world.portal, &subject)
            .await
            .unwrap();
        assert_eq!(resumed.keys().collect::<Vec<_>>(), ["jobtitle"]);
        let nobody: PersonId = "nobody".parse().unwrap();
        let new = NewResume {
            request: RequestId::new(Uuid::from_u128(3)),
            workspace: world.workspace,
            person: &nobody,
            record: RecordKind::Person,
            property: "jobtitle",
        };
        let unknown = world.store.resume_row(&new, at(0)).await.unwrap();
        assert_eq!(unknown.unwrap_err(), RefusedResume::UnknownPerson);
    })
    .await;
}

#[tokio::test]
async fn what_exports_stand_on_has_another_mark_when_it_changes() {
    bounded(async {
        let (world, epoch) = with_person().await;
        let (store, workspace, portal) = (&world.store, world.workspace, world.portal);
        let mark = async || store.export_mark(workspace, portal).await.unwrap();
        let write = async |name: &str, definition: Option<&str>, second: i64, epoch| {
            store
                .write_definition(&DefinitionRead {
                    workspace,
                    portal,
                    epoch,
                    object_type: ObjectType::Contact,
                    name,
                    definition,
                    read_at: at(second),
                })
                .await
                .unwrap();
        };
        let definition = |kind: &str| format!(r#"{{"name": "x", "type": "{kind}"}}"#);
        let known = async || {
            let all = store
                .property_definitions(workspace, portal, ObjectType::Contact)
                .await
                .unwrap();
            all.get("tier").map(|d| d.property_type.as_str())
        };
        let mut last = mark().await;
        assert_eq!(mark().await, last);
        let mut is_another = async |what: &str| {
            let now = mark().await;
            assert_ne!(now, last, "{what}");
            last = now;
        };
        write("later", Some(&definition("string")), 50, epoch).await;
        is_another("a property").await;
        let string = definition("string").replace("\"x\"", "\"tier\"");
        let number = definition("number").replace("\"x\"", "\"tier\"");
        write("tier", Some(&string), 10, epoch).await;
        is_another("another property").await;
        // Read by itself, before the newest of the others was.
        write("tier", Some(&number), 20, epoch).await;
        is_another("a definition that was read by itself").await;
        assert_eq!(known().await, Some("number"));
        // What was read earlier, and what is of another connection, changes nothing.
        write("tier", Some(&string), 15, epoch).await;
        write("tier", None, 15, epoch).await;
        write("tier", Some(&string), 30, epoch.next()).await;
        write("tier", None, 30, epoch.next()).await;
        assert_eq!(known().await, Some("number"));
        write("tier", None, 30, epoch).await;
        is_another("a property less").await;
        assert_eq!(known().await, None);
        for (what, sql) in [
            (
                "a rule",
                "insert into portal_rule select workspace_id, portal_id, 1, '[]', now() from connection",
            ),
            (
                "an owner",
                "insert into hubspot_owner (workspace_id, portal_id, owner_id, archived, read_at)
                 select workspace_id, portal_id, 5, false, now() from connection",
            ),
            (
                "that owners were read",
                "insert into last_read (workspace_id, portal_id, sync_type, read_began_at)
                 select workspace_id, portal_id, 'owners', now() from connection",
            ),
            (
                "settings",
                "insert into settings_version (workspace_id, version, document, saved_at)
                 select workspace_id, 1, '{}', now() from connection",
            ),
            (
                "a connection",
                "update connection set connected_at = now() + interval '1 hour'",
            ),
        ] {
            sqlx::query(sql).execute(&world.raw).await.unwrap();
            is_another(what).await;
        }
    })
    .await;
}

/// An update of a company, planned by what was read at that moment.
async fn update_company(w: &Writing, company: i64, guard: Option<Guard<'_>>) -> (Entry, Opened) {
    let store = &w.world.store;
    let now = store.clock().await.unwrap();
    let entry = Entry::open(
        EntryId::new(Uuid::now_v7()),
        Subject::CompanyOf(id()),
        Cause::Company,
        Operation::Update(ObjectType::Company, record(company)),
        &[],
        now,
    );
    let opened = store
        .open_entry(&w.hold, w.world.portal, w.epoch, &entry, guard)
        .await
        .unwrap();
    (entry, opened)
}

#[tokio::test]
async fn a_company_is_written_only_by_what_nobody_wrote_since_it_was_read() {
    bounded(async {
        let w = Writing::new().await;
        let store = &w.world.store;
        let read_at = store.clock().await.unwrap();
        let by = Some(Guard::AsOf(read_at));
        let (first, opened) = update_company(&w, 70, by).await;
        assert_eq!(opened, Opened::Open);
        assert_eq!(update_company(&w, 70, by).await.1, Opened::Busy);
        // Another company is nobody's concern.
        let (other, opened) = update_company(&w, 71, by).await;
        assert_eq!(opened, Opened::Open);
        // What certainly was not done changed nothing.
        store.drop_entry(w.world.workspace, other.id).await.unwrap();
        let (other, opened) = update_company(&w, 71, by).await;
        assert_eq!(opened, Opened::Open);
        store
            .refuse_entry(w.world.workspace, other.id, "HS-3005")
            .await
            .unwrap();
        assert_eq!(update_company(&w, 71, by).await.1, Opened::Open);
        store
            .close_entry_done(CloseEntry {
                workspace: w.world.workspace,
                portal: w.world.portal,
                epoch: w.epoch,
                entry: first.id,
                record: record(70),
                mirror: None,
                associated: None,
                read_at,
                link: None,
                day: read_at.date_naive(),
                written: None,
            })
            .await
            .unwrap();
        assert_eq!(update_company(&w, 70, by).await.1, Opened::Changed);
        let later = store.clock().await.unwrap();
        let again = update_company(&w, 70, Some(Guard::AsOf(later))).await;
        assert_eq!(again.1, Opened::Open);
        // One that is as old as this has landed or never will.
        sqlx::query("update export_journal set sent_at = sent_at - interval '6 minutes'")
            .execute(&w.world.raw)
            .await
            .unwrap();
        let after_all = update_company(&w, 70, Some(Guard::AsOf(later))).await;
        assert_eq!(after_all.1, Opened::Open);
    })
    .await;
}

#[tokio::test]
async fn what_was_sent_to_another_portal_is_no_business_of_this_one() {
    bounded(async {
        let w = Writing::new().await;
        let (entry, opened) = update_company(&w, 70, None).await;
        assert_eq!(opened, Opened::Open);
        let open = async |portal| {
            let store = &w.world.store;
            let open = store.open_entries(w.world.workspace, portal, &id()).await;
            let ids = open.unwrap().into_iter().map(|entry| entry.id);
            ids.collect::<Vec<_>>()
        };
        assert_eq!(open(w.world.portal).await, [entry.id]);
        assert_eq!(open(domain::PortalId::new(4712).unwrap()).await, []);
    })
    .await;
}

#[tokio::test]
async fn what_hubspot_made_of_a_value_takes_the_place_of_what_was_sent() {
    bounded(async {
        let w = Writing::new().await;
        let store = &w.world.store;
        let (entry, _) = update_company(&w, 70, None).await;
        let now = store.clock().await.unwrap();
        let mut made = title("Head", Some("Chief Of All"));
        made[0].sent = value("chief of all");
        store
            .close_entry_done(CloseEntry {
                workspace: w.world.workspace,
                portal: w.world.portal,
                epoch: w.epoch,
                entry: entry.id,
                record: record(70),
                mirror: None,
                associated: None,
                read_at: now,
                link: None,
                day: now.date_naive(),
                written: Some(made.clone()),
            })
            .await
            .unwrap();
        let row = store.journal_entry(w.world.workspace, entry.id).await;
        let row = row.unwrap().unwrap();
        assert!(row.entry.is_done());
        assert_eq!(row.entry.written, made);
    })
    .await;
}

#[tokio::test]
async fn a_write_of_unknown_outcome_has_its_time_from_when_that_was_known() {
    bounded(async {
        let w = Writing::new().await;
        let store = &w.world.store;
        let (entry, _) = update_company(&w, 70, None).await;
        let sent_at = async || {
            let open = store
                .open_entries(w.world.workspace, w.world.portal, &id())
                .await
                .unwrap();
            match open[0].state {
                EntryState::Open { sent_at } => sent_at.unwrap(),
                ref other => panic!("{other:?}"),
            }
        };
        let (first, then) = (sent_at().await, store.clock().await.unwrap());
        store
            .sent_until_now(w.world.workspace, entry.id)
            .await
            .unwrap();
        assert!(first < then && sent_at().await >= then);
    })
    .await;
}
