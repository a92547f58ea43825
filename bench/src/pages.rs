//! `bench pages`: how long the settings pages take, and how large they are, in a workspace with many people,
//! properties and problems.

use std::{
    fmt,
    path::Path,
    time::{Duration, Instant},
};

use anyhow::{Context as _, ensure};
use clap::Args;
use dev::entry;
use serde_json::json;
use uuid::Uuid;

use crate::{
    times::Times,
    world::{self, World},
};

/// A page is to take less, in milliseconds, 95 times in a hundred.
const WITHIN_MS: f64 = 100.0;
/// A page is to be smaller.
const BYTES: usize = 100_000;
const PORTAL: u64 = 7_001;
const DOWNLOAD: &str = "/problems.csv";

/// What is put in, and how often each page is asked for.
#[derive(Args, Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Plan {
    /// People
    #[arg(long, default_value_t = 1_000_000, value_parser = clap::value_parser!(u64).range(100..=10_000_000))]
    people: u64,
    /// Properties of contacts, and as many of companies
    #[arg(long, default_value_t = 1_000, value_parser = clap::value_parser!(u64).range(1..=5_000))]
    properties: u64,
    /// Requests that did not get to HubSpot, by three reasons
    #[arg(long, default_value_t = 100_000, value_parser = clap::value_parser!(u64).range(1..=10_000_000))]
    problems: u64,
    /// How often each page is asked for
    #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(u64).range(1..=10_000))]
    visits: u64,
}

impl fmt::Display for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "pages: {} people, {} properties, {} problems, {} visits of each page",
            self.people, self.properties, self.problems, self.visits
        )
    }
}

/// How a page did.
#[derive(Debug)]
struct Figure {
    page: String,
    times: Times,
    bytes: usize,
}

impl Figure {
    /// A file that somebody keeps is no page that somebody waits for.
    fn is_download(&self) -> bool {
        self.page == DOWNLOAD
    }

    fn is_good(&self) -> bool {
        self.times.p95() * 1_000.0 < WITHIN_MS && self.bytes < BYTES
    }
}

/// All pages.
#[derive(Debug)]
pub(crate) struct Figures(Vec<Figure>);

impl fmt::Display for Figures {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for figure in &self.0 {
            let mark = match (figure.is_download(), figure.is_good()) {
                (true, _) => "  (a download)",
                (false, true) => "",
                (false, false) => "  <- too much",
            };
            writeln!(
                f,
                "  {:44} {} ms; {} bytes{mark}",
                figure.page, figure.times, figure.bytes
            )?;
        }
        let pages = || self.0.iter().filter(|figure| !figure.is_download());
        let good = pages().filter(|figure| figure.is_good()).count();
        writeln!(
            f,
            "  {good} of {} pages within {WITHIN_MS} ms (p95) and {BYTES} bytes",
            pages().count()
        )
    }
}

/// Runs it on a stack of its own.
pub(crate) async fn run(plan: &Plan, binaries: &Path, dir: &Path) -> anyhow::Result<Figures> {
    let mut world = World::start(World::options(binaries, dir), &[world::BY_HAND]).await?;
    let size = json!({"contacts": 200, "companies": 20, "deals": 20, "lists": 5, "owners": 10, "limits": "off"});
    let workspace = world.connect(PORTAL, size).await?;
    workspace.until_read().await?;
    let id = workspace.id().to_string();
    // One of each by the API, so that all others are of its shape.
    let person = json!({"items": [{"id": "person-0", "version": 1, "email": "person-0@example.com", "status": "replied",
        "fields": {"first_name": "Ann", "last_name": "Lee", "job_title": "VP Sales", "campaign": "Spring"}}]});
    world.api.ask("POST", &id, "people", Some(person)).await?;
    let nobody = json!({"items": [{"id": "nobody", "version": 1}]});
    world.api.ask("POST", &id, "people", Some(nobody)).await?;
    let export = json!({"person": "nobody"});
    world.api.ask("POST", &id, "exports", Some(export)).await?;
    let database = world.database().await?;
    wait_for_skip(&database, &id).await?;
    // What the worker would make of a million new people is not what is measured.
    world.stack.kill_hard("worker-0")?;
    fill(&database, &id, plan).await?;
    let pages = Pages::open(&world, &id).await?;
    let mut figures = Vec::new();
    for path in PAGES {
        figures.push(pages.measured(path, &[], plan.visits).await?);
    }
    let middle = format!("person-{}@example.com", plan.people / 2);
    for (path, name, value) in [
        ("/people", "q", middle.as_str()),
        ("/people", "q", "@example.com"),
        ("/do-not-contact/ask", "who", middle.as_str()),
    ] {
        let fields = [("csrf", pages.csrf.as_str()), (name, value)];
        figures.push(pages.measured(path, &fields, plan.visits).await?);
    }
    Ok(Figures(figures))
}

const PAGES: [&str; 18] = [
    "",
    "/basic-sync",
    "/mapping/contacts",
    "/mapping/companies",
    "/mapping/activity",
    "/properties/contacts?q=bench",
    "/activities",
    "/owners",
    "/statuses",
    "/lists",
    "/do-not-contact",
    "/people",
    "/people/person-7",
    "/problems",
    "/problems?reason=no_email",
    DOWNLOAD,
    "/history",
    "/bulk-export",
];

async fn wait_for_skip(database: &tokio_postgres::Client, id: &str) -> anyhow::Result<()> {
    let sql = "select count(*) from export_request where workspace_id = $1::text::uuid and state = 'skipped'";
    let deadline = Instant::now() + Duration::from_secs(120);
    loop {
        let skipped: i64 = database.query_one(sql, &[&id]).await?.get(0);
        if skipped > 0 {
            return Ok(());
        }
        ensure!(Instant::now() < deadline, "the request is not left out");
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
}

async fn fill(database: &tokio_postgres::Client, id: &str, plan: &Plan) -> anyhow::Result<()> {
    let Plan {
        people,
        properties,
        problems,
        ..
    } = plan;
    for sql in [
        format!(
            "insert into app_person
             select r.* from app_person t cross join generate_series(1, {people} - 1) n
             cross join lateral jsonb_populate_record(t, jsonb_build_object('person_id', 'person-' || n,
               'email', 'person-' || n || '@example.com',
               'document', t.document::jsonb || jsonb_build_object('id', 'person-' || n,
                 'email', 'person-' || n || '@example.com'))) r
             where t.workspace_id = '{id}' and t.person_id = 'person-0'"
        ),
        format!(
            "insert into export_request
             select r.* from export_request t cross join generate_series(1, {problems}) n
             cross join lateral jsonb_populate_record(t, jsonb_build_object('id', gen_random_uuid(),
               'person_id', 'person-' || n % {people},
               'state', case n % 3 when 0 then 'failed' when 1 then 'skipped' else 'waiting' end,
               'reason', case n % 3 when 0 then 'invalid' when 1 then 'no_email' else 'tried_again_later' end,
               'due_at', case n % 3 when 2 then now() + interval '1 day' end,
               'changed_at', now() - n * interval '1 second')) r
             where t.id = (select id from export_request where workspace_id = '{id}' limit 1)"
        ),
        format!(
            "insert into hubspot_property
             select r.* from hubspot_property t cross join generate_series(1, {properties}) n
             cross join lateral jsonb_populate_record(t, jsonb_build_object('name', 'bench_property_' || n,
               'definition', t.definition || jsonb_build_object('name', 'bench_property_' || n,
                 'label', 'Property of the bench ' || n))) r
             where t.workspace_id = '{id}' and t.object_type in (1, 2) and t.name in ('firstname', 'city')
               and (t.object_type = 1) = (t.name = 'firstname')"
        ),
        "vacuum analyze".to_owned(),
    ] {
        database.batch_execute(&sql).await.with_context(|| sql.chars().take(60).collect::<String>())?;
    }
    Ok(())
}

/// An admin's browser.
struct Pages {
    client: reqwest::Client,
    root: String,
    cookie: String,
    csrf: String,
}

impl Pages {
    async fn open(world: &World, workspace: &str) -> anyhow::Result<Self> {
        let addresses = world.stack.addresses();
        let claims = entry::claims(
            workspace,
            &Uuid::new_v4().to_string(),
            "admin",
            &Uuid::new_v4().to_string(),
        );
        let client = dev::http()?;
        let entered = client.get(entry::link(&addresses, &claims)?).send().await?;
        let cookie = entered.headers().get("set-cookie").context("no session")?;
        let cookie = cookie.to_str()?.split(';').next().unwrap_or_default();
        let mut pages = Self {
            client,
            root: format!("{}/settings/hubspot", addresses.web),
            cookie: cookie.to_owned(),
            csrf: String::new(),
        };
        let overview = pages.ask("", &[]).await?;
        let (_, rest) = overview
            .split_once("name=\"csrf\" value=\"")
            .context("no form on the overview")?;
        pages.csrf = rest.split('"').next().unwrap_or_default().to_owned();
        Ok(pages)
    }

    async fn ask(&self, path: &str, fields: &[(&str, &str)]) -> anyhow::Result<String> {
        let url = format!("{}{path}", self.root);
        let request = if fields.is_empty() {
            self.client.get(url)
        } else {
            self.client.post(url).form(fields)
        };
        let answer = request.header("cookie", &self.cookie).send().await?;
        let status = answer.status();
        let text = answer.text().await?;
        ensure!(status.is_success(), "{path}: {status}");
        Ok(text)
    }

    async fn measured(
        &self,
        path: &str,
        fields: &[(&str, &str)],
        visits: u64,
    ) -> anyhow::Result<Figure> {
        // The first one fills caches, as the first of a day does.
        let bytes = self.ask(path, fields).await?.len();
        let mut times = Vec::new();
        for _ in 0..visits {
            let began = Instant::now();
            self.ask(path, fields).await?;
            times.push(began.elapsed());
        }
        let asked = fields
            .last()
            .map_or(String::new(), |(_, value)| format!(" {value}"));
        Ok(Figure {
            page: format!("{path}{asked}"),
            times: Times::of(times),
            bytes,
        })
    }
}
