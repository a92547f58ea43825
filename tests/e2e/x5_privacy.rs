//! X5: no personal data in Temporal histories, logs and metrics.

use std::{collections::BTreeSet, process::Command, time::Duration};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use e2e::{Tenant, shared};
use serde_json::{Value, json};

fn temporal(tenant: &Tenant, args: &[&str]) -> String {
    let program = dev::provision::temporal().unwrap();
    let output = Command::new(program)
        .args(args)
        .args(["--address", &tenant.api.addresses().temporal])
        .output()
        .unwrap();
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// All text of a history, payloads decoded.
fn texts(value: &Value, out: &mut String) {
    match value {
        Value::String(text) => {
            out.push_str(text);
            out.push('\n');
            if let Ok(bytes) = STANDARD.decode(text) {
                out.push_str(&String::from_utf8_lossy(&bytes));
                out.push('\n');
            }
        }
        Value::Array(all) => all.iter().for_each(|v| texts(v, out)),
        Value::Object(all) => all.values().for_each(|v| texts(v, out)),
        _ => {}
    }
}

fn history(tenant: &Tenant, id: &str) -> String {
    let shown = temporal(
        tenant,
        &["workflow", "show", "--workflow-id", id, "-o", "json"],
    );
    let value: Value =
        serde_json::from_str(&shown).unwrap_or_else(|e| panic!("no history of {id}: {e}"));
    let mut out = String::new();
    texts(&value, &mut out);
    out
}

fn found<'a>(needles: &'a BTreeSet<String>, text: &str) -> Vec<&'a String> {
    needles
        .iter()
        .filter(|n| text.contains(n.as_str()))
        .collect()
}

#[tokio::test]
async fn no_personal_data_leaves_the_store() {
    let tenant = Tenant::new(&shared(), json!({"contacts": 300, "companies": 30, "deals": 30, "lists": 2, "owners": 8, "limits": "off"})).await;
    // Also on the ways that fail: a refusal of HubSpot's that quotes an e-mail.
    tenant
        .control("POST", "faults", Some(json!({
            "path": "/contacts", "method": "GET", "skip": 1, "times": 2,
            "effect": {"status": {"status": 400, "body": "{\"status\":\"error\",\"message\":\"Email address leaked@quoted.example.com is invalid\",\"category\":\"VALIDATION_ERROR\"}"}},
        })))
        .await;
    tenant.connect().await;
    tenant
        .wait_for_phase("syncing", Duration::from_secs(60))
        .await;

    let mut needles: BTreeSet<String> = BTreeSet::from(["leaked@quoted.example.com".to_owned()]);
    for kind in ["contacts", "companies", "deals"] {
        let page = tenant
            .control("GET", &format!("records/{kind}?limit=10000"), None)
            .await;
        for record in page["results"].as_array().unwrap() {
            for name in ["email", "phone", "domain", "dealname"] {
                if let Some(value) = record["properties"][name].as_str().filter(|v| v.len() > 6) {
                    needles.insert(value.to_owned());
                }
            }
            let p = &record["properties"];
            if let (Some(first), Some(last)) = (p["firstname"].as_str(), p["lastname"].as_str()) {
                needles.insert(format!("{first} {last}"));
            }
        }
    }
    // Tokens of HubSpot's and ours.
    for token in [
        "acc-sim-",
        "ref-sim-",
        "pat-sim-",
        dev::stack::DEV_API_TOKEN,
        dev::stack::DEV_KEY,
    ] {
        needles.insert(token.to_owned());
    }
    assert!(needles.len() > 500, "{}", needles.len());

    let addresses = tenant.api.addresses();
    let mut scanned = Vec::new();
    for entry in std::fs::read_dir(&addresses.logs).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        if name.ends_with(".log") && name != "simulator.log" {
            scanned.push((
                name,
                String::from_utf8_lossy(&std::fs::read(&path).unwrap()).into_owned(),
            ));
        }
    }
    assert!(
        scanned
            .iter()
            .any(|(n, t)| n == "worker-0.log" && t.contains("slice"))
    );
    for worker in &addresses.workers {
        let metrics = dev::http()
            .unwrap()
            .get(format!("{worker}/metrics"))
            .send()
            .await
            .unwrap()
            .text()
            .await
            .unwrap();
        assert!(
            metrics.contains("hubspot_sync_records_committed_total")
                && metrics.contains("temporal_")
        );
        scanned.push(("metrics".to_owned(), metrics));
    }
    for what in ["connection", "backfill"] {
        let id = format!("hubspot/{}/{what}", tenant.workspace);
        let text = history(&tenant, &id);
        assert!(
            text.contains(&tenant.id()),
            "the history of {id} was not decoded"
        );
        scanned.push((id, text));
    }
    for (name, text) in &scanned {
        let leaks = found(&needles, text);
        assert!(leaks.is_empty(), "{} leaks in {name}", leaks.len());
    }

    // The scan finds a leak that is put in on purpose.
    let leak = needles.iter().find(|n| n.contains("contact7@")).unwrap();
    let id = format!("hubspot/{}/leak", tenant.workspace);
    temporal(
        &tenant,
        &[
            "workflow",
            "start",
            "--type",
            "Leak",
            "--task-queue",
            "nobody-polls-this",
            "--workflow-id",
            &id,
            "--input",
            &json!(leak).to_string(),
        ],
    );
    assert!(found(&needles, &history(&tenant, &id)).contains(&leak));
    temporal(&tenant, &["workflow", "terminate", "--workflow-id", &id]);
}
