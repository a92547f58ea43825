//! Pages for people: consent, and a look at the portals.

use crate::{
    model::{Data, Kind},
    server::Query,
};

pub(crate) fn escape(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
        .replace('"', "&quot;")
}

fn frame(title: &str, body: &str) -> String {
    format!(
        "<!doctype html><html lang=\"en\"><meta charset=\"utf-8\"><title>{title}</title>\
         <style>body{{font:16px/1.5 system-ui,sans-serif;max-width:60rem;margin:2rem auto;padding:0 1rem;color:#213343}}\
         table{{border-collapse:collapse}}td,th{{border-bottom:1px solid #cbd6e2;padding:.3rem .8rem;text-align:left}}\
         button{{font:inherit;padding:.5rem 1rem;margin-right:.5rem}}#approve{{background:#ff7a59;color:#fff;border:0}}</style>\
         <h1>{title}</h1>{body}</html>"
    )
}

pub(crate) fn message(title: &str, text: &str) -> String {
    frame(&escape(title), &format!("<p>{}</p>", escape(text)))
}

pub(crate) fn consent(query: &Query, portals: &[(u64, String)]) -> String {
    let hidden: String = [
        "client_id",
        "redirect_uri",
        "scope",
        "optional_scope",
        "state",
    ]
    .iter()
    .map(|name| {
        format!(
            "<input type=\"hidden\" name=\"{name}\" value=\"{}\">",
            escape(query.get(name).unwrap_or_default())
        )
    })
    .collect();
    let chosen = query.number("portal_id");
    let options: String = portals
        .iter()
        .map(|(id, name)| {
            let selected = if Some(*id) == chosen { " selected" } else { "" };
            format!(
                "<option value=\"{id}\"{selected}>{} ({id})</option>",
                escape(name)
            )
        })
        .collect();
    let scopes: String = query
        .get("scope")
        .unwrap_or_default()
        .split(' ')
        .map(|s| format!("<li>{}</li>", escape(s)))
        .collect();
    frame(
        "Connect an app to HubSpot (simulator)",
        &format!(
            "<form method=\"post\" action=\"/oauth/authorize/decision\">{hidden}\
             <p><label>Account <select name=\"portal_id\" id=\"portal\">{options}</select></label></p>\
             <p>The app asks for:</p><ul>{scopes}</ul>\
             <button id=\"approve\" name=\"decision\" value=\"approve\">Connect app</button>\
             <button id=\"refuse\" name=\"decision\" value=\"refuse\">Cancel</button>\
             <button id=\"no-permission\" name=\"decision\" value=\"no_permission\">Approve without permission to install</button>\
             </form>"
        ),
    )
}

/// `GET /`: what is in which portal.
pub(crate) fn overview(portals: &[(u64, String)]) -> String {
    let rows: String = portals
        .iter()
        .map(|(id, name)| {
            format!(
                "<tr><td><a href=\"/_simulator/page/{id}\">{id}</a></td><td>{}</td></tr>",
                escape(name)
            )
        })
        .collect();
    frame(
        "HubSpot simulator",
        &format!("<table><tr><th>Portal</th><th>Name</th></tr>{rows}</table>"),
    )
}

/// `GET /_simulator/page/{portal}`
pub(crate) fn portal(data: &Data) -> String {
    let mut body = String::new();
    for kind in Kind::ALL {
        let records = &data.records[kind as usize];
        let live = records.values().filter(|r| r.archived_at.is_none()).count();
        body.push_str(&format!(
            "<h2>{} ({live})</h2><table><tr><th>Id</th><th>Modified</th><th>Properties</th></tr>",
            kind.plural()
        ));
        for (id, record) in records.iter().take(50) {
            let values: Vec<String> = record
                .values
                .iter()
                .map(|(n, v)| format!("{}: {}", escape(&data.names[usize::from(n)]), escape(v)))
                .collect();
            body.push_str(&format!(
                "<tr><td>{id}</td><td>{}</td><td>{}</td></tr>",
                crate::answer::iso(record.updated),
                values.join(" · ")
            ));
        }
        body.push_str("</table>");
    }
    body.push_str("<h2>lists</h2><table>");
    for list in data.lists.values() {
        body.push_str(&format!(
            "<tr><td>{}</td><td>{}</td><td>{}</td><td>{} members</td></tr>",
            list.id,
            escape(&list.name),
            list.processing_type,
            list.members.len()
        ));
    }
    body.push_str("</table>");
    frame(&escape(&data.settings.name), &body)
}
