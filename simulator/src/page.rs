//! Pages for people: what all have in common, and the consent page.

use crate::server::Query;

pub(crate) fn escape(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
        .replace('"', "&quot;")
}

const STYLE: &str = "\
:root{--ink:#213343;--line:#dfe3eb;--soft:#f5f8fa;--accent:#ff7a59;--link:#0b7c86}\
body{font:15px/1.5 system-ui,sans-serif;margin:0;color:var(--ink)}\
header{background:var(--ink);color:#fff;padding:.7rem 1.5rem}header a{color:#fff;margin-right:1rem;text-decoration:none}\
main{max-width:72rem;margin:1.2rem auto;padding:0 1.5rem}h1{font-size:1.5rem;margin:.2rem 0 1rem}h2{font-size:1.1rem;margin:1.6rem 0 .5rem}\
a{color:var(--link)}table{border-collapse:collapse;width:100%}td,th{border-bottom:1px solid var(--line);padding:.35rem .7rem;text-align:left;vertical-align:top;overflow-wrap:anywhere}\
th{background:var(--soft);font-weight:600}td.n,th.n{text-align:right;font-variant-numeric:tabular-nums}\
.cards{display:flex;flex-wrap:wrap;gap:.8rem}.card{border:1px solid var(--line);border-radius:6px;padding:.6rem 1rem;min-width:7rem;text-decoration:none;color:inherit}\
.card b{display:block;font-size:1.4rem}.muted{color:#6b7c8c}.bad{color:#c0392b}.event{border-left:3px solid var(--accent);padding:.2rem 0 .2rem .9rem;margin:.8rem 0;white-space:pre-wrap}\
.tag{background:var(--soft);border:1px solid var(--line);border-radius:3px;padding:0 .4rem;font-size:.85em;margin-left:.4rem}\
form{margin:.6rem 0}input[type=search]{font:inherit;padding:.4rem .6rem;width:20rem;border:1px solid var(--line);border-radius:4px}\
button{font:inherit;padding:.45rem 1rem;margin-right:.5rem;border:1px solid var(--line);border-radius:4px;background:#fff;cursor:pointer}\
#approve{background:var(--accent);color:#fff;border-color:var(--accent)}";

/// A whole page. The title is escaped already; links stand above it.
pub(crate) fn page(title: &str, links: &[(String, String)], head: &str, body: &str) -> String {
    let links: String = links
        .iter()
        .map(|(to, name)| format!("<a href=\"{}\">{}</a>", escape(to), escape(name)))
        .collect();
    format!(
        "<!doctype html><html lang=\"en\"><head><meta charset=\"utf-8\">\
         <meta name=\"viewport\" content=\"width=device-width\">{head}<title>{title}</title>\
         <style>{STYLE}</style></head><body><header><a href=\"/\"><b>HubSpot simulator</b></a>{links}</header>\
         <main><h1>{title}</h1>{body}</main></body></html>"
    )
}

fn frame(title: &str, body: &str) -> String {
    page(title, &[], "", body)
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
