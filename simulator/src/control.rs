//! The control API under `/_simulator/`.

use std::{path::Path, sync::atomic::Ordering};

use serde::Deserialize;
use serde_json::{Value, json};

use crate::{
    answer::Answer,
    csv_portal,
    faults::Rule,
    limits::{FIELDS as LIMITS, Limits},
    look,
    model::{Data, Kind, Settings},
    oauth::App,
    objects::{Shown, push_record},
    records_control,
    rules::Rules,
    seed,
    server::{Portal, Query, Simulator, by_path, portal_of},
    webhooks::{self, Subscription},
};

/// Changes of settings; what is missing stays.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Changes {
    name: Option<String>,
    /// `"hubspot"`, `"off"`, or numbers.
    limits: Option<Value>,
    latency_ms: Option<u64>,
    search_lag_ms: Option<LagMs>,
    search_flapping: Option<bool>,
    search_filter_groups: Option<usize>,
    search_counts_properties: Option<bool>,
    search_negations_find_empty: Option<bool>,
    token_ttl_seconds: Option<u64>,
    rotate_refresh_tokens: Option<bool>,
    old_refresh_token_seconds: Option<u64>,
    inline_association_page: Option<usize>,
    denied_scopes: Option<Vec<String>>,
}

/// `N`, or `{"min": N, "max": N}`.
#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(untagged, deny_unknown_fields)]
enum LagMs {
    Always(u32),
    Between { min: u32, max: u32 },
}

impl LagMs {
    fn range(self) -> (i64, i64) {
        match self {
            Self::Always(ms) => (i64::from(ms), i64::from(ms)),
            Self::Between { min, max } => (i64::from(min), i64::from(max.max(min))),
        }
    }
}

impl Changes {
    fn apply(self, settings: &mut Settings) -> Result<(), String> {
        if let Some(limits) = self.limits {
            settings.limits = match limits.as_str() {
                Some("hubspot") => Some(Limits::default()),
                Some("off") => None,
                _ => Some(
                    serde_json::from_value(limits)
                        .map_err(|e| format!("limits: {e}; limits are {LIMITS}"))?,
                ),
            };
        }
        let Settings {
            name,
            limits: _,
            latency_ms,
            search_lag_ms,
            search_flapping,
            search_filter_groups,
            search_counts_properties,
            search_negations_find_empty,
            token_ttl_seconds,
            rotate_refresh_tokens,
            old_refresh_token_seconds,
            inline_association_page,
            denied_scopes,
            rules: _,
        } = settings;
        set(name, self.name);
        set(latency_ms, self.latency_ms);
        set(search_lag_ms, self.search_lag_ms.map(LagMs::range));
        set(search_flapping, self.search_flapping);
        set(search_filter_groups, self.search_filter_groups);
        set(search_counts_properties, self.search_counts_properties);
        set(
            search_negations_find_empty,
            self.search_negations_find_empty,
        );
        set(token_ttl_seconds, self.token_ttl_seconds);
        set(rotate_refresh_tokens, self.rotate_refresh_tokens);
        set(old_refresh_token_seconds, self.old_refresh_token_seconds);
        set(
            inline_association_page,
            self.inline_association_page.map(|p| p.max(1)),
        );
        set(denied_scopes, self.denied_scopes);
        Ok(())
    }
}

/// Names what there is, the switches of records too.
fn unknown_setting(error: serde_json::Error) -> String {
    format!(
        "{error}; switches of records: {}",
        Rules::names().join(", ")
    )
}

fn set<T>(place: &mut T, value: Option<T>) {
    if let Some(value) = value {
        *place = value;
    }
}

fn bad(message: &str) -> Answer {
    Answer::json(400, &json!({"error": message}))
}

/// Splits an object into what a part of it knows and the rest.
fn split(body: &[u8], names: &[&str]) -> Result<(Value, Value), String> {
    let body = if body.is_empty() { b"{}" } else { body };
    let mut rest: Value = serde_json::from_slice(body).map_err(|e| e.to_string())?;
    let mut part = json!({});
    let object = rest.as_object_mut().ok_or("the body has to be an object")?;
    for name in names {
        if let Some(value) = object.remove(*name) {
            part[*name] = value;
        }
    }
    Ok((part, rest))
}

/// `/_simulator/…`
pub(crate) fn handle(
    simulator: &Simulator,
    method: &str,
    rest: &[&str],
    query: &Query,
    body: &[u8],
) -> Answer {
    match (method, rest) {
        ("GET", ["health"]) => Answer::json(200, &json!({"status": "ok"})),
        ("GET", ["portals"]) => {
            let all: Vec<Value> = simulator
                .names()
                .iter()
                .filter_map(|(id, _)| summary(simulator, *id))
                .collect();
            Answer::json(200, &json!({"portals": all}))
        }
        ("POST", ["portals"]) => answer(create(simulator, body)),
        ("POST", ["portals", "csv"]) => answer(create_from_csv(simulator, body)),
        ("POST", ["apps"]) => answer(create_app(simulator, body)),
        ("GET", ["page", id, rest @ ..]) => simulator
            .portal(id.parse().unwrap_or(0))
            .map_or_else(Answer::not_found, |p| look::portal(&p, rest, query)),
        (_, ["portals", id, rest @ ..]) => {
            let id = id.parse().unwrap_or(0);
            if simulator.portal(id).is_none() {
                return Answer::json(404, &json!({"error": "no such portal"}));
            }
            answer(of_portal(simulator, method, id, rest, query, body))
        }
        _ => Answer::json(
            404,
            &json!({"error": "no such control; there are GET health, GET/POST portals, POST portals/csv, portals/{id}/…, POST apps"}),
        ),
    }
}

pub(crate) const NO_SUCH_TYPE: &str = "no such type: contacts, companies, deals, tickets, emails, calls, meetings, notes, tasks, communications";

fn answer(result: Result<Answer, String>) -> Answer {
    result.unwrap_or_else(|message| bad(&message))
}

fn next_portal(simulator: &Simulator) -> u64 {
    simulator
        .portals
        .read()
        .last_key_value()
        .map_or(1_000_001, |(id, _)| id + 1)
}

#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields, default)]
struct NewPortal {
    portal_id: Option<u64>,
    dir: Option<String>,
    contacts_per_company: Option<u64>,
}

const SIZE: &[&str] = &[
    "seed",
    "contacts",
    "companies",
    "deals",
    "lists",
    "owners",
    "engagements",
    "odd_types",
    "padding",
];
const NEW: &[&str] = &["portal_id", "dir", "contacts_per_company"];

/// The largest number that JavaScript holds exactly.
const MOST_PORTAL_ID: u64 = (1 << 53) - 1;

fn new_data(simulator: &Simulator, id: u64, mut changes: Value) -> Result<Data, String> {
    let mut settings = Settings {
        name: format!("Portal {id}"),
        ..Settings::default()
    };
    settings.rules.take(&mut changes)?;
    let changes: Changes = serde_json::from_value(changes).map_err(unknown_setting)?;
    changes.apply(&mut settings)?;
    if !(1..=MOST_PORTAL_ID).contains(&id) {
        return Err(format!("portal_id: from 1 to {MOST_PORTAL_ID}"));
    }
    if simulator.portal(id).is_some() {
        return Err(format!("there is a portal {id} already"));
    }
    // Beyond 2^31, within what a number of JavaScript holds exactly, and different from portal to
    // portal.
    let first = 40_000_000_000 + id % 800_000_000 * 10_000_000;
    Ok(Data::new(settings, id, first))
}

fn create(simulator: &Simulator, body: &[u8]) -> Result<Answer, String> {
    let (size, rest) = split(body, SIZE)?;
    let (new, changes) = split(rest.to_string().as_bytes(), NEW)?;
    let mut size: seed::Size = serde_json::from_value(size).map_err(|e| e.to_string())?;
    size.seed ^= simulator.seed;
    let new: NewPortal = serde_json::from_value(new).map_err(|e| e.to_string())?;
    let id = new.portal_id.unwrap_or_else(|| next_portal(simulator));
    let mut data = new_data(simulator, id, changes)?;
    seed::fill(&mut data, &size);
    simulator.portals.write().insert(id, portal_of(id, data));
    Ok(Answer::json(
        201,
        &summary(simulator, id).unwrap_or_default(),
    ))
}

fn create_from_csv(simulator: &Simulator, body: &[u8]) -> Result<Answer, String> {
    let (new, changes) = split(body, NEW)?;
    let new: NewPortal = serde_json::from_value(new).map_err(|e| e.to_string())?;
    let dir = new
        .dir
        .ok_or("dir is required: a folder with companies.csv and crm-sales/")?;
    let id = new.portal_id.unwrap_or_else(|| next_portal(simulator));
    let mut data = new_data(simulator, id, changes)?;
    csv_portal::load(
        &mut data,
        Path::new(&dir),
        simulator.seed,
        new.contacts_per_company.unwrap_or(3),
    )
    .map_err(|e| format!("{e:#}"))?;
    simulator.portals.write().insert(id, portal_of(id, data));
    Ok(Answer::json(
        201,
        &summary(simulator, id).unwrap_or_default(),
    ))
}

fn create_app(simulator: &Simulator, body: &[u8]) -> Result<Answer, String> {
    #[derive(Deserialize)]
    #[serde(deny_unknown_fields)]
    struct NewApp {
        client_id: String,
        client_secret: String,
    }
    let new: NewApp = serde_json::from_slice(body).map_err(|e| e.to_string())?;
    simulator.tokens.lock().apps.insert(
        new.client_id,
        App {
            secret: new.client_secret,
        },
    );
    Ok(Answer::empty(204))
}

/// Counts of a portal.
fn summary(simulator: &Simulator, id: u64) -> Option<Value> {
    let portal = simulator.portal(id)?;
    let data = portal.data.read();
    let mut counts = json!({});
    for kind in Kind::ALL {
        let records = &data.records[kind as usize];
        let archived = records.values().filter(|r| r.archived_at.is_some()).count();
        let raw = records.values().filter(|r| r.raw.is_some()).count();
        counts[kind.plural()] = json!({
            "live": records.len() - archived - raw, "archived": archived, "raw": raw,
        });
    }
    let pair = |from: Kind, to: Kind| -> usize {
        data.links
            .iter()
            .filter(|((k, _), _)| *k == from)
            .map(|(_, links)| links.range((to, 0)..=(to, u64::MAX)).count())
            .sum()
    };
    Some(json!({
        "portal_id": id, "name": data.settings.name, "objects": counts,
        "owners": data.owners.len(),
        "properties": Kind::CRM.iter().map(|k| data.properties[*k as usize].len()).sum::<usize>(),
        "pipelines": data.pipelines[Kind::Deal as usize].len(),
        "lists": data.lists.len(),
        "memberships": data.lists.values().map(|l| l.members.len()).sum::<usize>(),
        "associations": {
            "contact_company": pair(Kind::Contact, Kind::Company),
            "deal_contact": pair(Kind::Deal, Kind::Contact),
            "deal_company": pair(Kind::Deal, Kind::Company),
        },
        "refresh_tokens": simulator.tokens.lock().refresh_tokens_of(id),
    }))
}

fn of_portal(
    simulator: &Simulator,
    method: &str,
    id: u64,
    rest: &[&str],
    query: &Query,
    body: &[u8],
) -> Result<Answer, String> {
    let portal = simulator.portal(id).ok_or("no such portal")?;
    Ok(match (method, rest) {
        ("GET", []) => Answer::json(200, &summary(simulator, id).unwrap_or_default()),
        ("PATCH", []) => {
            let mut changes: Value = serde_json::from_slice(body).map_err(|e| e.to_string())?;
            let mut data = portal.data.write();
            let mut rules = data.settings.rules.clone();
            rules.take(&mut changes)?;
            let changes: Changes = serde_json::from_value(changes).map_err(unknown_setting)?;
            data.settings.rules = rules;
            changes.apply(&mut data.settings)?;
            data.set_lag();
            Answer::empty(204)
        }
        ("DELETE", []) => {
            simulator.portals.write().remove(&id);
            Answer::empty(204)
        }
        ("GET", ["records", kind]) => {
            let kind = Kind::parse(kind).ok_or(NO_SUCH_TYPE)?;
            portal.data.write().tick(portal.now());
            records(&portal.data.read(), kind, query)
        }
        ("POST", ["raw-records", kind]) => {
            let kind = Kind::parse(kind).ok_or(NO_SUCH_TYPE)?;
            let raw = std::str::from_utf8(body).map_err(|e| e.to_string())?;
            serde_json::from_str::<Value>(raw).map_err(|e| e.to_string())?;
            let mut data = portal.data.write();
            let place = data.take_id();
            data.insert(kind, place, &[], 0, 0);
            if let Some(mut record) = data.records[kind as usize].get_mut(&place) {
                record.raw = Some(raw.into());
            }
            Answer::json(201, &json!({"place": place}))
        }
        ("POST", ["service-keys"]) => {
            #[derive(Deserialize, Default)]
            #[serde(deny_unknown_fields, default)]
            struct NewKey {
                scopes: Option<Vec<String>>,
            }
            let new: NewKey = if body.is_empty() {
                NewKey::default()
            } else {
                serde_json::from_slice(body).map_err(|e| e.to_string())?
            };
            let scopes = new.scopes.unwrap_or_else(all_scopes);
            let token = simulator.tokens.lock().service_key(id, scopes);
            Answer::json(201, &json!({"token": token}))
        }
        ("POST", ["uninstall"]) => {
            simulator.tokens.lock().uninstall(id);
            Answer::empty(204)
        }
        ("POST", ["expire-tokens"]) => {
            simulator.tokens.lock().expire(id, portal.now());
            Answer::empty(204)
        }
        ("GET", ["faults"]) => Answer::json(200, &json!({"faults": &*portal.faults.lock()})),
        ("POST", ["faults"]) => {
            let mut rules = portal.faults.lock();
            let rule = Rule::parse(body, rules.len() + 1)?;
            let id = rule.id.clone();
            rules.push(rule);
            Answer::json(201, &json!({"id": id}))
        }
        ("DELETE", ["faults"]) => {
            portal.faults.lock().clear();
            Answer::empty(204)
        }
        ("DELETE", ["faults", id]) => {
            portal.faults.lock().retain(|r| r.id != *id);
            Answer::empty(204)
        }
        ("GET", ["webhooks"]) => Answer::json(200, &portal.hooks.describe()),
        ("GET", ["webhooks", "deliveries"]) => Answer::json(200, &portal.hooks.attempts()),
        ("POST", ["webhooks"]) => {
            let new = Subscription::parse(body)?;
            Answer::json(201, &webhooks::subscribe(&portal, &simulator.tokens, new))
        }
        ("PATCH", ["webhooks"]) => {
            portal.hooks.change(body)?;
            Answer::empty(204)
        }
        ("DELETE", ["webhooks"]) => {
            portal.hooks.end(None);
            Answer::empty(204)
        }
        ("DELETE", ["webhooks", id]) => {
            portal.hooks.end(Some(id.parse().unwrap_or(0)));
            Answer::empty(204)
        }
        ("GET", ["clock"]) => clock(&portal),
        ("POST", ["clock"]) => {
            let step: Step = parse(body)?;
            let known = &portal.clock;
            match step {
                Step::AdvanceMs(ms) => known.fetch_add(ms, Ordering::Relaxed),
                Step::OffsetMs(ms) => known.swap(ms, Ordering::Relaxed),
            };
            clock(&portal)
        }
        ("GET", ["daily"]) => Answer::json(200, &portal.windows.lock().day(portal.now())),
        ("POST", ["daily"]) => {
            let day: Day = parse(body)?;
            let now = portal.now();
            let resets_at = day.resets_at_ms.or(day.resets_in_ms.map(|ms| now + ms));
            let mut windows = portal.windows.lock();
            windows.set_day(day.used, resets_at, now);
            Answer::json(200, &windows.day(now))
        }
        ("GET", ["usage"]) => {
            let span = match (query.get("from_ms"), query.get("to_ms")) {
                (None, None) => None,
                (from, to) => {
                    let read = |text: Option<&str>, missing: i64| match text {
                        None => Ok(missing),
                        Some(text) => text
                            .parse::<i64>()
                            .map_err(|_| "from_ms and to_ms are milliseconds".to_owned()),
                    };
                    Some((read(from, 0)?, read(to, crate::server::now())?))
                }
            };
            let limits = portal.data.read().settings.limits;
            let apps = portal.windows.lock().usage(limits.as_ref(), span);
            Answer::json(200, &json!({"apps": apps}))
        }
        ("DELETE", ["counters"]) => {
            portal.windows.lock().forget();
            let mut log = portal.log.lock();
            log.total = 0;
            log.by_status.clear();
            log.entries.clear();
            Answer::empty(204)
        }
        ("POST", ["tokens"]) => {
            let new: NewToken = parse(body)?;
            let client = new.client_id.as_deref().unwrap_or("simulator-client-id");
            let scopes = new.scopes.unwrap_or_else(all_scopes);
            let rules = simulator.rules(id).ok_or("no such portal")?;
            let mut tokens = simulator.tokens.lock();
            if !tokens.apps.contains_key(client) {
                return Err(format!("there is no app {client}: POST apps first"));
            }
            tokens.install(id, client, scopes, &rules, portal.now())
        }
        ("GET", ["requests"]) => {
            let since = query.number("since_seq").unwrap_or(0);
            let part = query.get("path").unwrap_or_default();
            let log = portal.log.lock();
            let found: Vec<_> = log
                .entries
                .iter()
                .filter(|e| e.seq >= since && e.path.contains(part))
                .collect();
            Answer::json(200, &json!({"requests": found}))
        }
        ("GET", ["counters"]) => {
            let limits = portal.data.read().settings.limits;
            let windows = portal.windows.lock();
            let log = portal.log.lock();
            Answer::json(
                200,
                &json!({
                    "total": log.total, "by_status": log.by_status, "by_path": by_path(&log),
                    "peak_ten_seconds": windows.peak, "apps": windows.usage(limits.as_ref(), None),
                    "late": portal.late.load(std::sync::atomic::Ordering::SeqCst),
                }),
            )
        }
        _ => {
            let now = portal.now();
            let mut data = portal.data.write();
            data.tick(now);
            return records_control::handle(&mut data, method, rest, body, now).unwrap_or_else(
                || {
                    Err(format!(
                        "no such control of a portal; there are {OF_PORTAL}"
                    ))
                },
            );
        }
    })
}

const OF_PORTAL: &str = "GET, PATCH, DELETE of the portal itself, and below it GET records/{type}, POST raw-records/{type}, POST service-keys, POST tokens, POST uninstall, POST expire-tokens, GET/POST/DELETE faults, DELETE faults/{id}, GET requests, GET/DELETE counters, GET usage, GET/POST clock, GET/POST daily, GET/POST/PATCH/DELETE webhooks, DELETE webhooks/{id}, GET webhooks/deliveries, and the controls of records in the README";

fn parse<T: serde::de::DeserializeOwned>(body: &[u8]) -> Result<T, String> {
    let body = if body.is_empty() { b"{}" } else { body };
    serde_json::from_slice(body).map_err(|e| e.to_string())
}

/// A step of a portal's clock.
#[derive(Deserialize)]
#[serde(rename_all = "snake_case")]
enum Step {
    AdvanceMs(i64),
    OffsetMs(i64),
}

fn clock(portal: &Portal) -> Answer {
    let offset = portal.clock.load(Ordering::Relaxed);
    Answer::json(200, &json!({"now_ms": portal.now(), "offset_ms": offset}))
}

/// The day of service keys.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Day {
    used: Option<u64>,
    resets_at_ms: Option<i64>,
    resets_in_ms: Option<i64>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct NewToken {
    client_id: Option<String>,
    scopes: Option<Vec<String>>,
}

fn all_scopes() -> Vec<String> {
    let mut all: Vec<String> = [Kind::Contact, Kind::Company, Kind::Deal, Kind::Ticket]
        .iter()
        .flat_map(|k| {
            ["objects", "schemas"].into_iter().flat_map(move |area| {
                ["read", "write"].map(|right| format!("crm.{area}.{}.{right}", k.scope()))
            })
        })
        .collect();
    all.extend(
        [
            "crm.objects.owners.read",
            "crm.lists.read",
            "crm.lists.write",
            "sales-email-read",
            "connected-email-data-access",
            "oauth",
        ]
        .map(str::to_owned),
    );
    all
}

/// All properties and associations of many records, for comparing.
fn records(data: &Data, kind: Kind, query: &Query) -> Answer {
    let limit = query.number("limit").unwrap_or(1_000).min(10_000) as usize;
    let after = query.number("after").unwrap_or(0);
    let names: Vec<&str> = data.properties[kind as usize]
        .keys()
        .map(String::as_str)
        .collect();
    let mut found = data.records[kind as usize]
        .range(after..)
        .filter(|(_, r)| r.raw.is_none());
    let to = if kind.is_engagement() || query.get("associations") == Some("all") {
        Kind::ALL.to_vec()
    } else {
        Kind::CRM.to_vec()
    };
    let shown = Shown {
        properties: &names,
        associations: &to,
        ..Shown::default()
    };
    let mut out = String::from("{\"results\":[");
    for (place, (id, record)) in found.by_ref().take(limit).enumerate() {
        if place > 0 {
            out.push(',');
        }
        push_record(&mut out, data, kind, *id, record, &shown);
    }
    out.push(']');
    if let Some((next, _)) = found.next() {
        out.push_str(&format!(",\"next\":\"{next}\""));
    }
    out.push('}');
    Answer::text(200, out)
}
