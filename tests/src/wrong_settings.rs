//! Settings with one thing wrong, for each kind of problem.

use serde_json::{Value, json};

/// A row that writes a property.
pub fn row(field: &str, property: &str) -> Value {
    json!({"app_field": field, "property": property, "export": "overwrite"})
}

/// What of a portal the settings name.
#[derive(Debug)]
pub struct Named {
    /// An active owner.
    pub owner: Value,
    /// An owner who was deactivated.
    pub deactivated: Value,
    /// A property of contacts that was archived.
    pub archived: &'static str,
    /// A list of deals.
    pub deals_list: Value,
}

/// The code of a problem, the place in the document, and what has to stand there for it, on the
/// portal of companies and deals out of files. The workspace has the members `here` and, inactive, `gone`.
pub fn each_kind(named: &Named) -> Vec<(&'static str, &'static str, Value)> {
    let owner = &named.owner;
    let long = "x".repeat(2_000);
    let many: Vec<Value> = (0..600).map(|n| row("city", &format!("p{n}"))).collect();
    let pipeline = |id: &str, stages: Value| json!({"enabled": true, "pipelines": [{"pipeline": id, "stages": stages}]});
    vec![
        (
            "HS-2101",
            "/contacts",
            json!([row("city", "no_such_property")]),
        ),
        (
            "HS-2102",
            "/contacts",
            json!([row("city", "hs_email_domain")]),
        ),
        (
            "HS-2103",
            "/contacts",
            json!([row("city", "hs_full_name_or_email")]),
        ),
        ("HS-2104", "/contacts", json!([row("city", named.archived)])),
        (
            "HS-2105",
            "/contacts",
            json!([row("email_verified", "closedate")]),
        ),
        (
            "HS-2106",
            "/contact_source",
            json!({"property": "hs_lead_status", "value": "NO SUCH"}),
        ),
        (
            "HS-2107",
            "/contacts",
            json!([
                row("first_name", "firstname"),
                row("last_name", "firstname")
            ]),
        ),
        (
            "HS-2108",
            "/contacts",
            json!([row("first_name", "firstname"), row("first_name", "city")]),
        ),
        (
            "HS-2109",
            "/contacts",
            json!([row("custom.unknown", "city")]),
        ),
        ("HS-2110", "/owners/fallback_owner", json!(999_999_999)),
        (
            "HS-2111",
            "/owners/fallback_owner",
            named.deactivated.clone(),
        ),
        (
            "HS-2112",
            "/owners/rows",
            json!([{"owner": owner, "member": "nobody"}]),
        ),
        (
            "HS-2113",
            "/owners/rows",
            json!([{"owner": owner, "member": "gone"}]),
        ),
        (
            "HS-2114",
            "/dnc/open_deal",
            pipeline("no-such-pipeline", json!([])),
        ),
        (
            "HS-2115",
            "/dnc/open_deal",
            pipeline("default", json!(["no-such-stage"])),
        ),
        (
            "HS-2116",
            "/lists",
            json!([{"list": 999_999_999, "use": "audience"}]),
        ),
        (
            "HS-2117",
            "/lists",
            json!([{"list": named.deals_list, "use": "audience"}]),
        ),
        (
            "HS-2118",
            "/status",
            json!({"property": "firstname", "rows": [{"status": "replied", "value": "x"}]}),
        ),
        (
            "HS-2119",
            "/status",
            json!({"property": "lifecyclestage", "rows": [
            {"status": "contacted", "value": "customer"}, {"status": "interested", "value": "lead"}]}),
        ),
        ("HS-2120", "/activities/label", json!(long)),
        ("HS-2121", "/import/interval_minutes", json!(0)),
        ("HS-2122", "/contacts", json!([row("city", "email")])),
        ("HS-2123", "/contacts", json!([row("city", "hs_object_id")])),
        (
            "HS-2124",
            "/owners/writing",
            json!([{"member": "here", "owner": owner}]),
        ),
        ("HS-2126", "/contacts", json!(many)),
        (
            "HS-2127",
            "/contact_source",
            json!({"property": "", "value": "x"}),
        ),
    ]
}
