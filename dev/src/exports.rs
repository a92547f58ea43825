//! Ten leads are exported, one of each interesting kind, and what happened with each is told.

use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};
use dev::demo::{self, Api};
use serde_json::{Value, json};

/// An export takes a second; one whose company another makes waits for it.
const SOON: Duration = Duration::from_secs(120);

/// Tells the app of ten leads, exports them, and tells what became of each.
pub(crate) async fn show(api: &Api) -> anyhow::Result<()> {
    println!("exports, each asked for by hand:");
    let app = App { api };
    let known = app.contact(json!({"email": "known@demo-export.com", "firstname": "Known"}));
    let known = known.await?;
    let version = u64::try_from(chrono::Utc::now().timestamp())?;
    let companies = json!({"items": [
        {"id": "demo-acme", "version": version, "fields": {
            "name": "Demo Acme", "website": "https://www.Demo-Acme.co.uk:443/path?utm=1#x"}},
        {"id": "demo-odd", "version": version, "fields": {"name": "Demo odd", "website": "localhost"}},
    ]});
    app.ok("POST", "companies", Some(companies)).await?;
    let leads = leads();
    let mut people: Vec<Value> = leads
        .iter()
        .map(|(id, _, more)| {
            let mut person = json!({"id": id, "version": version});
            if let (Some(all), Some(more)) = (person.as_object_mut(), more.as_object()) {
                all.extend(more.clone());
            }
            person
        })
        .collect();
    // Left to whoever looks around.
    people.push(
        json!({"id": "demo-yours", "version": version, "email": "yours@demo-yours.com",
        "fields": {"first_name": "Yours", "last_name": "Truly", "job_title": "Head of Sales"}}),
    );
    app.ok("POST", "people", Some(json!({"items": people})))
        .await?;
    let preview = json!({"person": "demo-known"});
    let preview = app.ok("POST", "exports/preview", Some(preview)).await?;
    println!(
        "  a preview of demo-known: {} contact {known}, {} properties would be written",
        text(&preview["contact"]["action"]),
        preview["contact"]["changes"].as_array().map_or(0, Vec::len)
    );
    let began = Instant::now();
    let mut asked = Vec::new();
    for (id, what, _) in &leads {
        let body = json!({"person": id});
        let answer = app.ok("POST", "exports", Some(body)).await?;
        let request = text(&answer["requests"][0]["request"]);
        asked.push((id, what, request));
    }
    for (id, what, request) in asked {
        let outcome = app.ended(&request, began).await?;
        let state = text(&outcome["state"]);
        let end = match outcome["hubspot_id"].as_u64() {
            Some(contact) => format!(
                "{state}, {}/contacts/{}/contact/{contact}",
                api.addresses().simulator,
                demo::PORTAL
            ),
            None => format!("{state}: {}", text(&outcome["reason"])),
        };
        println!("  {id} ({what}): {end}");
    }
    println!("  all ended after {:.1} s", began.elapsed().as_secs_f64());
    Ok(())
}

/// Ids of ten leads, what is interesting about each, and what the app knows of them.
fn leads() -> Vec<(&'static str, &'static str, Value)> {
    let fields = json!({"first_name": "Dana", "job_title": "Head of Sales"});
    vec![
        (
            "demo-new",
            "new contact, new company by its website",
            json!({"email": "new@demo-acme.co.uk", "company": "demo-acme", "fields": fields}),
        ),
        (
            "demo-colleague",
            "new contact, the same company",
            json!({"email": "colleague@demo-acme.co.uk", "company": "demo-acme"}),
        ),
        (
            "demo-domain",
            "new company by the address alone",
            json!({"email": "someone@demo-domain.com", "fields": fields}),
        ),
        (
            "demo-known",
            "HubSpot has the contact; its gaps are filled",
            json!({"email": "Known@demo-export.com", "fields": fields}),
        ),
        (
            "demo-free",
            "free mail: no company",
            json!({"email": "demo.export@gmail.com"}),
        ),
        (
            "demo-odd-website",
            "a website that names no company; the address counts",
            json!({"email": "odd@demo-odd.com", "company": "demo-odd"}),
        ),
        ("demo-nobody", "no address", json!({})),
        (
            "demo-refused",
            "an address that HubSpot does not take",
            json!({"email": "refused@demo-export.invalidtld"}),
        ),
        (
            "demo-long",
            "a value longer than HubSpot takes",
            json!({"email": "long@demo-domain.com", "fields": {"job_title": "x".repeat(1_000)}}),
        ),
        (
            "demo-odd-name",
            "quotes, emoji and right-to-left text",
            json!({"email": "name@demo-domain.com", "fields": {"first_name": "\"Zoë\" 🦄 שלום"}}),
        ),
    ]
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or("?").to_owned()
}

struct App<'a> {
    api: &'a Api,
}

impl App<'_> {
    async fn ok(&self, method: &str, path: &str, body: Option<Value>) -> anyhow::Result<Value> {
        let reply = self.api.ask(method, demo::WORKSPACE, path, body).await?;
        ensure!(
            (200..300).contains(&reply.status),
            "{method} {path}: {} {}",
            reply.status,
            reply.text
        );
        reply.json()
    }

    /// Plants a contact in HubSpot. Says its id.
    async fn contact(&self, properties: Value) -> anyhow::Result<String> {
        let path = format!("portals/{}/records/contacts", demo::PORTAL);
        let body = json!({"properties": properties});
        let made = self.api.simulator("POST", &path, Some(body)).await?;
        made["id"]
            .as_str()
            .map(str::to_owned)
            .context("no contact was planted")
    }

    async fn ended(&self, request: &str, began: Instant) -> anyhow::Result<Value> {
        loop {
            let row = self.ok("GET", &format!("exports/{request}"), None).await?;
            let outcome = row["outcome"].clone();
            if matches!(
                outcome["state"].as_str(),
                Some("exported" | "skipped" | "failed")
            ) {
                return Ok(outcome);
            }
            ensure!(
                began.elapsed() < SOON,
                "an export did not end within two minutes: {outcome}"
            );
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
    }
}
