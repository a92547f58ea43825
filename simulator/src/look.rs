//! A look at the portals: records with their timelines, lists, requests. Only for people, only to read.

use std::sync::Arc;

use serde_json::Value;

use crate::{
    answer::{Answer, iso},
    filters::{mentions, searchable, time},
    model::{Data, Kind, List, Record},
    page::{escape, page},
    server::{Portal, Query, Simulator, now},
};

/// Rows of a table of records.
const ROWS: usize = 50;
/// Rows of the request log.
const REQUESTS: usize = 200;
/// Other records of one type that a record's page names.
const LINKS: usize = 200;

/// `/`
pub(crate) fn overview(simulator: &Simulator) -> Answer {
    let portals: Vec<Arc<Portal>> = simulator.portals.read().values().cloned().collect();
    let mut body = String::from("<table><tr><th>Portal</th><th>Name</th>");
    for kind in Kind::CRM {
        body.push_str(&format!("<th class=\"n\">{}</th>", kind.plural()));
    }
    body.push_str("<th class=\"n\">activities</th><th class=\"n\">lists</th><th class=\"n\">requests</th></tr>");
    for portal in &portals {
        let data = portal.data.read();
        let live = |kind: Kind| data.records[kind as usize].ids().len();
        let activities: usize = Kind::ALL
            .into_iter()
            .filter(|k| k.is_engagement())
            .map(live)
            .sum();
        let id = portal.id;
        body.push_str(&format!(
            "<tr><td><a href=\"/_simulator/page/{id}\">{id}</a></td><td>{}</td>",
            escape(&data.settings.name)
        ));
        let counts = Kind::CRM.map(live);
        let all = counts.into_iter().chain([
            activities,
            data.lists.len(),
            portal.log.lock().total as usize,
        ]);
        for count in all {
            body.push_str(&format!("<td class=\"n\">{count}</td>"));
        }
        body.push_str("</tr>");
    }
    body.push_str("</table>");
    if portals.is_empty() {
        body = "<p>There is no portal yet. <code>POST /_simulator/portals</code> makes one.</p>"
            .to_owned();
    }
    Answer::html(200, page("Portals", &[], "", &body))
}

/// `/contacts/{portal}/…`, where HubSpot has the pages of a portal's records and lists: leads to ours.
pub(crate) fn as_hubspot_has_it(portal: &str, rest: &[&str]) -> Answer {
    let kind = |name: &str| match name {
        "contact" | "0-1" => Some("contacts"),
        "company" | "0-2" => Some("companies"),
        "deal" | "0-3" => Some("deals"),
        "objectLists" => Some("lists"),
        _ => None,
    };
    let page = match rest {
        [] => Some(String::new()),
        [name, id] | ["record", name, id] => kind(name).map(|kind| format!("/{kind}/{id}")),
        _ => None,
    };
    match page {
        Some(page) => Answer::redirect(format!("/_simulator/page/{portal}{page}")),
        None => Answer::not_found(),
    }
}

/// `/_simulator/page/{portal}/…`
pub(crate) fn portal(portal: &Portal, rest: &[&str], query: &Query) -> Answer {
    let data = portal.data.read();
    let found = match rest {
        [] => Some(front(portal, &data)),
        ["requests"] => Some(requests(portal, &data)),
        ["lists"] => Some(lists(portal.id, &data)),
        ["lists", id] => id
            .parse()
            .ok()
            .and_then(|id: u64| data.lists.get(&id))
            .map(|l| list(portal.id, &data, l)),
        [kind] => Kind::parse(kind).map(|kind| records(portal.id, &data, kind, query)),
        [kind, id] => Kind::parse(kind).and_then(|kind| {
            let id = data.resolve(kind, id.parse().ok()?);
            let shown = data.records[kind as usize].get(&id)?;
            Some(record(portal.id, &data, kind, id, shown))
        }),
        _ => None,
    };
    match found {
        Some((title, head, body)) => {
            let base = format!("/_simulator/page/{}", portal.id);
            let mut links = vec![(base.clone(), data.settings.name.clone())];
            links.extend(
                Kind::CRM.map(|k| (format!("{base}/{}", k.plural()), k.plural().to_owned())),
            );
            links.push((format!("{base}/lists"), "lists".to_owned()));
            links.push((format!("{base}/requests"), "requests".to_owned()));
            Answer::html(200, page(&escape(&title), &links, head, &body))
        }
        None => Answer::html(
            404,
            page("Not found", &[], "", "<p>There is no such page.</p>"),
        ),
    }
}

/// Title, more for the head, body.
type Page = (String, &'static str, String);

fn front(portal: &Portal, data: &Data) -> Page {
    let id = portal.id;
    let mut body = String::from("<div class=\"cards\">");
    let mut card = |to: &str, name: &str, count: usize| {
        body.push_str(&format!(
            "<a class=\"card\" href=\"/_simulator/page/{id}/{to}\"><b>{count}</b>{name}</a>"
        ));
    };
    for kind in Kind::ALL {
        card(
            kind.plural(),
            kind.plural(),
            data.records[kind as usize].ids().len(),
        );
    }
    card("lists", "lists", data.lists.len());
    card("requests", "requests", portal.log.lock().total as usize);
    body.push_str("</div>");
    body.push_str(&counters(portal, data));
    body.push_str("<h2>Owners</h2><table><tr><th>Id</th><th>Name</th><th>E-mail</th></tr>");
    for owner in data.owners.values() {
        let archived = if owner.archived {
            tag("archived")
        } else {
            String::new()
        };
        body.push_str(&format!(
            "<tr><td>{}</td><td>{} {}{archived}</td><td>{}</td></tr>",
            owner.id,
            escape(&owner.first_name),
            escape(&owner.last_name),
            escape(&owner.email)
        ));
    }
    body.push_str("</table>");
    (data.settings.name.clone(), "", body)
}

fn tag(text: &str) -> String {
    format!("<span class=\"tag\">{}</span>", escape(text))
}

/// What the limits counted, by app and bucket.
fn counters(portal: &Portal, data: &Data) -> String {
    let at = now();
    let usage = portal
        .windows
        .lock()
        .usage(data.settings.limits.as_ref(), Some((at - 10_000, at)));
    let mut out = String::from(
        "<h2>Limits</h2><table><tr><th>App</th><th>Bucket</th><th class=\"n\">accepted</th><th class=\"n\">refused</th>\
         <th class=\"n\">fullest window</th><th class=\"n\">limit</th><th class=\"n\">in the last ten seconds</th></tr>",
    );
    let text = |value: &Value| match value {
        Value::Null => "–".to_owned(),
        value => value.to_string(),
    };
    for (app, buckets) in usage.as_object().into_iter().flatten() {
        for (bucket, of) in buckets.as_object().into_iter().flatten() {
            let peak = if bucket == "search" {
                &of["peak_second"]
            } else {
                &of["peak_ten_seconds"]
            };
            out.push_str(&format!("<tr><td>{}</td><td>{bucket}</td>", escape(app)));
            for value in [
                &of["accepted"],
                &of["refused"],
                peak,
                &of["limit"],
                &of["accepted_in_span"],
            ] {
                out.push_str(&format!("<td class=\"n\">{}</td>", text(value)));
            }
            out.push_str("</tr>");
        }
    }
    out.push_str("</table>");
    out
}

fn requests(portal: &Portal, data: &Data) -> Page {
    let mut body = counters(portal, data);
    let log = portal.log.lock();
    let statuses: Vec<String> = log
        .by_status
        .iter()
        .map(|(s, n)| format!("{s}: {n}"))
        .collect();
    body.push_str(&format!(
        "<h2>Requests</h2><p>{} in all. {}</p><table><tr><th>Time</th><th>App</th><th>Request</th><th class=\"n\">Status</th><th>Bucket</th><th>Fault</th></tr>",
        log.total,
        statuses.join(" · ")
    ));
    for entry in log.entries.iter().rev().take(REQUESTS) {
        let class = if (200..300).contains(&entry.status) {
            "n"
        } else {
            "n bad"
        };
        let query = if entry.query.is_empty() {
            String::new()
        } else {
            format!("?{}", entry.query)
        };
        body.push_str(&format!(
            "<tr><td>{}</td><td>{}</td><td>{} {}<span class=\"muted\">{}</span></td><td class=\"{class}\">{}</td><td>{}</td><td>{}</td></tr>",
            iso(entry.at_ms).get(11..23).unwrap_or_default(),
            escape(&entry.app),
            escape(&entry.method),
            escape(&entry.path),
            escape(&query),
            entry.status,
            entry.bucket,
            escape(entry.fault.as_deref().unwrap_or_default())
        ));
    }
    body.push_str("</table>");
    (
        "Requests".to_owned(),
        "<meta http-equiv=\"refresh\" content=\"3\">",
        body,
    )
}

/// What a person would call a record.
fn name(data: &Data, kind: Kind, record: &Record) -> String {
    let of = |names: &[&str]| -> String {
        let values: Vec<&str> = names
            .iter()
            .filter_map(|n| data.stored(record, n))
            .collect();
        values.join(" ")
    };
    let name = match kind {
        Kind::Contact => of(&["firstname", "lastname"]),
        Kind::Company => of(&["name"]),
        Kind::Deal => of(&["dealname"]),
        Kind::Ticket => of(&["subject"]),
        Kind::Email => of(&["hs_email_subject"]),
        Kind::Call => of(&["hs_call_title"]),
        Kind::Meeting => of(&["hs_meeting_title"]),
        Kind::Note => of(&["hs_note_body"]),
        Kind::Task => of(&["hs_task_subject"]),
        Kind::Communication => of(&["hs_communication_body"]),
    };
    let name = if name.trim().is_empty() {
        of(&["email", "domain"])
    } else {
        name
    };
    if name.is_empty() {
        return "(no name)".to_owned();
    }
    let name = match kind {
        Kind::Note | Kind::Communication => plain(&name),
        _ => name,
    };
    name.trim().chars().take(80).collect()
}

/// What HTML says, as HubSpot's timeline would show it; a text without any stays as it is.
fn plain(html: &str) -> String {
    let (mut out, mut rest) = (String::new(), html);
    while let Some((before, after)) = rest.split_once('<') {
        out.push_str(before);
        let Some((tag, after)) = after.split_once('>') else {
            out.push('<');
            rest = after;
            break;
        };
        if tag.starts_with("br") || tag == "/p" || tag == "/div" || tag == "/li" {
            out.push('\n');
        }
        rest = after;
    }
    out.push_str(rest);
    [
        ("&lt;", "<"),
        ("&gt;", ">"),
        ("&quot;", "\""),
        ("&#39;", "'"),
        ("&amp;", "&"),
    ]
    .iter()
    .fold(out, |text, (entity, char)| text.replace(entity, char))
}

fn row(portal: u64, data: &Data, kind: Kind, id: u64, record: &Record) -> String {
    let archived = if record.archived_at.is_some() {
        tag("archived")
    } else {
        String::new()
    };
    let mut rest = String::new();
    for column in columns(kind) {
        let value = data.stored(record, column).unwrap_or_default();
        let short: String = value.chars().take(60).collect();
        rest.push_str(&format!("<td>{}</td>", escape(&short)));
    }
    format!(
        "<tr><td><a href=\"/_simulator/page/{portal}/{}/{id}\">{id}</a></td><td>{}{archived}</td>{rest}<td>{}</td></tr>",
        kind.plural(),
        escape(&name(data, kind, record)),
        iso(record.updated)
    )
}

/// What a table of records shows besides id, name and time.
const fn columns(kind: Kind) -> &'static [&'static str] {
    match kind {
        Kind::Contact => &["email", "jobtitle", "lifecyclestage"],
        Kind::Company => &["domain", "city"],
        Kind::Deal => &["dealstage", "amount"],
        Kind::Ticket => &["hs_pipeline_stage"],
        _ => &["hs_timestamp"],
    }
}

fn table_head(kind: Kind) -> String {
    let columns: String = columns(kind)
        .iter()
        .map(|c| format!("<th>{c}</th>"))
        .collect();
    format!("<table><tr><th>Id</th><th>Name</th>{columns}<th>Modified</th></tr>")
}

fn records(portal: u64, data: &Data, kind: Kind, query: &Query) -> Page {
    let wanted = query.get("q").unwrap_or_default().trim().to_owned();
    let lower = wanted.to_lowercase();
    let after = query.number("after").unwrap_or(0);
    let fits = |id: u64, record: &Record| {
        if lower.is_empty() || id.to_string() == lower {
            return true;
        }
        let texts: Vec<String> = searchable(kind)
            .iter()
            .filter_map(|n| data.stored(record, n))
            .map(str::to_lowercase)
            .collect();
        mentions(&texts, &lower)
    };
    let mut found = data.records[kind as usize]
        .range(after..)
        .filter(|(id, record)| fits(**id, record));
    let mut body = format!(
        "<form><input type=\"search\" name=\"q\" value=\"{}\" placeholder=\"name, e-mail, id …\"> <button>Search</button></form>{}",
        escape(&wanted),
        table_head(kind)
    );
    for (id, record) in found.by_ref().take(ROWS) {
        match &record.raw {
            Some(raw) => body.push_str(&format!(
                "<tr><td>{id}</td><td colspan=\"9\">{}</td></tr>",
                escape(raw)
            )),
            None => body.push_str(&row(portal, data, kind, *id, record)),
        }
    }
    body.push_str("</table>");
    if let Some((next, _)) = found.next() {
        let q = serde_urlencoded::to_string([("q", wanted.as_str()), ("after", &next.to_string())])
            .unwrap_or_default();
        body.push_str(&format!(
            "<p><a id=\"next\" href=\"?{}\">More</a></p>",
            escape(&q)
        ));
    }
    (
        format!(
            "{} ({})",
            kind.plural(),
            data.records[kind as usize].ids().len()
        ),
        "",
        body,
    )
}

/// The records of a type that a record is associated with.
fn linked(data: &Data, from: (Kind, u64), to: Kind) -> Vec<(u64, Vec<u32>)> {
    data.links
        .get(&from)
        .into_iter()
        .flat_map(|links| links.range((to, 0)..=(to, u64::MAX)))
        .map(|((_, id), types)| (*id, types.iter().copied().collect()))
        .collect()
}

fn record(portal: u64, data: &Data, kind: Kind, id: u64, record: &Record) -> Page {
    let mut body = format!(
        "<p class=\"muted\">{} {id} · created {} · modified {}{}</p>",
        kind.singular(),
        iso(record.created),
        iso(record.updated),
        record
            .archived_at
            .map_or_else(String::new, |at| format!(" · archived {}", iso(at)))
    );
    for to in Kind::ALL.into_iter().filter(|k| !k.is_engagement()) {
        let others = linked(data, (kind, id), to);
        if others.is_empty() {
            continue;
        }
        body.push_str(&format!("<h2>{} ({})</h2><ul>", to.plural(), others.len()));
        for (other, types) in others.iter().take(LINKS) {
            let called = data.records[to as usize]
                .get(other)
                .map_or_else(|| "(gone)".to_owned(), |r| name(data, to, r));
            let primary = if types.iter().any(|t| crate::associations::is_primary(*t)) {
                tag("primary")
            } else {
                String::new()
            };
            body.push_str(&format!(
                "<li><a href=\"/_simulator/page/{portal}/{}/{other}\">{}</a>{primary} <span class=\"muted\">types {types:?}</span></li>",
                to.plural(),
                escape(&called)
            ));
        }
        body.push_str("</ul>");
    }
    if !kind.is_engagement() {
        body.push_str(&timeline(portal, data, kind, id));
    }
    body.push_str("<h2>Properties</h2><table><tr><th>Property</th><th>Value</th></tr>");
    let mut values: Vec<(&str, &str)> = record
        .values
        .iter()
        .map(|(n, v)| (data.names[usize::from(n)].as_str(), v))
        .collect();
    values.sort_unstable();
    for (name, value) in values {
        let label = data.properties[kind as usize]
            .get(name)
            .map_or(name, |p| p.label.as_str());
        body.push_str(&format!(
            "<tr><td>{}<br><span class=\"muted\">{}</span></td><td>{}</td></tr>",
            escape(label),
            escape(name),
            escape(value)
        ));
    }
    body.push_str("</table>");
    (name(data, kind, record), "", body)
}

/// The activities of a record, the latest first.
fn timeline(portal: u64, data: &Data, kind: Kind, id: u64) -> String {
    let mut all: Vec<(i64, Kind, u64)> = Vec::new();
    for to in Kind::ALL.into_iter().filter(|k| k.is_engagement()) {
        for (other, _) in linked(data, (kind, id), to) {
            let Some(record) = data.records[to as usize].get(&other) else {
                continue;
            };
            let at = data.stored(record, "hs_timestamp").and_then(time);
            all.push((at.unwrap_or(record.created), to, other));
        }
    }
    all.sort_unstable_by(|a, b| b.cmp(a));
    let mut out = format!("<h2>Timeline ({})</h2>", all.len());
    for (at, to, other) in all.iter().take(LINKS) {
        let Some(record) = data.records[*to as usize].get(other) else {
            continue;
        };
        let archived = if record.archived_at.is_some() {
            tag("archived")
        } else {
            String::new()
        };
        out.push_str(&format!(
            "<div class=\"event\"><b>{}</b> <a href=\"/_simulator/page/{portal}/{}/{other}\">{}</a> <span class=\"muted\">{}</span>{archived}",
            to.singular(),
            to.plural(),
            escape(&name(data, *to, record)),
            iso(*at)
        ));
        for body in [
            "hs_email_text",
            "hs_email_html",
            "hs_call_body",
            "hs_meeting_body",
            "hs_note_body",
            "hs_task_body",
            "hs_communication_body",
        ] {
            if let Some(text) = data.stored(record, body) {
                // Texts of e-mails are none.
                let text = if body == "hs_email_text" {
                    text.to_owned()
                } else {
                    plain(text)
                };
                let text: String = text.trim().chars().take(500).collect();
                out.push_str(&format!("\n{}", escape(&text)));
                break;
            }
        }
        out.push_str("</div>");
    }
    out
}

fn lists(portal: u64, data: &Data) -> Page {
    let mut body = String::from(
        "<table><tr><th>Id</th><th>Name</th><th>Of</th><th>Type</th><th>State</th><th class=\"n\">Members</th></tr>",
    );
    for list in data.lists.values() {
        let gone = if list.deleted_at.is_some() {
            tag("deleted")
        } else {
            String::new()
        };
        body.push_str(&format!(
            "<tr><td><a href=\"/_simulator/page/{portal}/lists/{0}\">{0}</a></td><td>{1}{gone}</td><td>{2}</td><td>{3}</td><td>{4}</td><td class=\"n\">{5}</td></tr>",
            list.id,
            escape(&list.name),
            list.kind.plural(),
            list.processing_type,
            escape(&list.processing_status),
            list.members.len()
        ));
    }
    body.push_str("</table>");
    ("Lists".to_owned(), "", body)
}

fn list(portal: u64, data: &Data, list: &List) -> Page {
    let mut body = format!(
        "<p class=\"muted\">list {} · {} · {} · {} members</p>",
        list.id,
        list.processing_type,
        escape(&list.processing_status),
        list.members.len()
    );
    if let Some(filters) = &list.filters {
        let text = serde_json::to_string_pretty(filters).unwrap_or_default();
        body.push_str(&format!("<h2>Filters</h2><pre>{}</pre>", escape(&text)));
    }
    body.push_str("<h2>Members</h2><table><tr><th>Record</th><th>Name</th><th>Since</th></tr>");
    for (id, since) in list.members.iter().take(LINKS) {
        let called = data.records[list.kind as usize]
            .get(id)
            .map_or_else(|| "(gone)".to_owned(), |r| name(data, list.kind, r));
        body.push_str(&format!(
            "<tr><td><a href=\"/_simulator/page/{portal}/{}/{id}\">{id}</a></td><td>{}</td><td>{}</td></tr>",
            list.kind.plural(),
            escape(&called),
            iso(*since)
        ));
    }
    body.push_str("</table>");
    (list.name.clone(), "", body)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn html_is_read_as_a_person_would() {
        assert_eq!(
            plain("<p>1 &lt; 2 &amp; &quot;so&quot;</p><p>b<br/>c</p>"),
            "1 < 2 & \"so\"\nb\nc\n"
        );
        assert_eq!(plain("a < b"), "a < b");
        assert_eq!(plain("&amp;lt;"), "&lt;");
    }
}
