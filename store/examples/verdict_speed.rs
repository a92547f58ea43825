//! How fast people are judged: `DATABASE_URL=… cargo run -p store --example verdict_speed [people]`.
//! Ten contacts a company, a deal for every twentieth company, half of the people contacts.
#![allow(
    clippy::print_stdout,
    reason = "a measurement for the one who started it"
)]

use std::time::{Duration, Instant};

use chrono::Utc;
use domain::{
    AdminId, PortalId, SyncRunId, WorkspaceId,
    settings::{Settings, SettingsRevision},
};
use secrecy::SecretString;
use sqlx::{Executor as _, PgPool};
use store::{
    Asked, AuthKind, NewConnection, NewTokens, VerdictPass, VerdictStep, testing::TestDatabase,
};
use uuid::Uuid;

type Failure = Box<dyn std::error::Error + Send + Sync>;

const ASKED: i64 = 10_000;

fn fill(people: i64) -> String {
    format!(
        "
        insert into hubspot_object (workspace_id, portal_id, object_type, object_id, properties, modified_at, read_at)
        select w.id, 1, 1, g, jsonb_build_object('email', 'p' || g || '@c' || g % ({people} / 20) || '.example',
          'firstname', 'Ann', 'lastname', 'Bee', 'jobtitle', 'Head of something', 'phone', '+1 555 0100',
          'lifecyclestage', case when g % 500 = 0 then 'customer' else 'lead' end, 'hs_email_optout', 'false',
          'city', 'Berlin', 'country', 'Germany', 'createdate', '2026-01-01T00:00:00Z'), now(), now()
        from workspace w, generate_series(1, {people} / 2) g;
        insert into hubspot_object_key (workspace_id, portal_id, object_type, key, object_id)
        select w.id, 1, 1, 'p' || g || '@c' || g % ({people} / 20) || '.example', g from workspace w, generate_series(1, {people} / 2) g;
        insert into hubspot_object (workspace_id, portal_id, object_type, object_id, properties, modified_at, read_at)
        select w.id, 1, 2, g, jsonb_build_object('name', 'c' || g, 'domain', 'c' || g || '.example'), now(), now()
        from workspace w, generate_series(0, {people} / 20 - 1) g;
        insert into hubspot_object_key (workspace_id, portal_id, object_type, key, object_id)
        select w.id, 1, 2, 'c' || g || '.example', g from workspace w, generate_series(0, {people} / 20 - 1) g;
        insert into hubspot_association (workspace_id, portal_id, from_type, from_id, to_type, to_id, labels, read_at)
        select w.id, 1, 1, g, 2, g % ({people} / 20), '{{x}}', now() from workspace w, generate_series(1, {people} / 2) g;
        insert into hubspot_object (workspace_id, portal_id, object_type, object_id, properties, modified_at, read_at)
        select w.id, 1, 3, g, jsonb_build_object('dealstage', 'new', 'pipeline', 'p'), now(), now()
        from workspace w, generate_series(1, {people} / 400) g;
        insert into hubspot_association (workspace_id, portal_id, from_type, from_id, to_type, to_id, labels, read_at)
        select w.id, 1, 3, g, 2, g * 20 - 1, '{{x}}', now() from workspace w, generate_series(1, {people} / 400) g;
        insert into app_person (workspace_id, person_id, version, revision, email, document, slots, created_at, changed_at)
        select w.id, 'lead_' || g, 1, 1, 'p' || g || '@c' || g % ({people} / 20) || '.example', '{{}}', '{{}}', now(), now()
        from workspace w, generate_series(1, {people}) g;
        insert into last_read (workspace_id, portal_id, sync_type, read_began_at)
        select w.id, 1, t, now() from workspace w, unnest('{{contacts,companies,deals,pipelines}}'::text[]) t;
        analyze;"
    )
}

fn resident_kib() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find(|line| line.starts_with("VmHWM:"))?;
    line.split_whitespace().nth(1)?.parse().ok()
}

#[tokio::main]
async fn main() -> Result<(), Failure> {
    let people: i64 = std::env::args()
        .nth(1)
        .map_or(Ok(200_000), |text| text.parse())?;
    let TestDatabase { store, url } = TestDatabase::create().await;
    let (workspace, now) = (WorkspaceId::new(Uuid::from_u128(1)), Utc::now());
    store.ensure_workspace(workspace, now).await?;
    let new = NewConnection {
        workspace,
        portal: PortalId::new(1)?,
        auth_kind: AuthKind::Static,
        tokens: NewTokens {
            access: SecretString::from("none"),
            refresh: None,
            lifetime: None,
        },
        scopes: vec![],
        admin: AdminId::new(Uuid::from_u128(1)),
        run: SyncRunId::new(Uuid::from_u128(1)),
    };
    store
        .connect_workspace(&new, now)
        .await?
        .map_err(|refused| format!("not connected: {refused:?}"))?;
    let raw = PgPool::connect(&url).await?;
    raw.execute(sqlx::AssertSqlSafe(fill(people))).await?;

    let judge_all = async |what: &str| -> Result<(), Failure> {
        let began = Instant::now();
        let (mut pass, mut sum, mut slowest) = (
            VerdictPass::default(),
            VerdictStep::default(),
            Duration::ZERO,
        );
        loop {
            let step_began = Instant::now();
            let step = store.verdict_step(workspace, &mut pass).await?;
            slowest = slowest.max(step_began.elapsed());
            sum.judged += step.judged;
            sum.written += step.written;
            if step.done {
                break;
            }
        }
        println!(
            "{what}: {} judged, {} written in {:.1} s; slowest step {:.2} s; at most {} MiB",
            sum.judged,
            sum.written,
            began.elapsed().as_secs_f64(),
            slowest.as_secs_f64(),
            resident_kib().unwrap_or_default() / 1_024,
        );
        Ok(())
    };
    judge_all("first").await?;
    let mut settings = Settings::empty();
    settings.dnc.open_deal.enabled = false;
    let run = SyncRunId::new(Uuid::from_u128(2));
    store
        .save_settings(
            workspace,
            SettingsRevision::NONE,
            &settings,
            run,
            SyncRunId::new(Uuid::now_v7()),
            now,
        )
        .await?;
    judge_all("after a change of a rule").await?;
    raw.execute("update hubspot_object set changed = (select mirror_change()) where object_type = 3 and object_id <= 100")
        .await?;
    judge_all("after a change of 100 deals").await?;

    for (what, step) in [
        ("of 10,000 in a row", 1),
        ("of 10,000 far apart", people / ASKED),
    ] {
        let asked: Vec<Asked> = (1..=ASKED)
            .map(|n| Ok(Asked::Person(format!("lead_{}", n * step.max(1)).parse()?)))
            .collect::<Result<_, Failure>>()?;
        for _ in 0..2 {
            let began = Instant::now();
            let basis = store.dnc_basis(workspace).await?.ok_or("not connected")?;
            let verdicts = store.check_dnc(workspace, &basis, &asked).await?;
            let allowed = verdicts.iter().filter(|v| v.allowed).count();
            println!(
                "{what}: {allowed} allowed in {:.2} s",
                began.elapsed().as_secs_f64()
            );
        }
    }
    Ok(())
}
