//! Pages for people.

use serde_json::json;

use crate::{CONTACTS, Sim};

async fn page(sim: &Sim, path: &str) -> String {
    let answer = Sim::read(sim.client.get(sim.url(path))).await.unwrap();
    assert_eq!(answer.status, 200, "{path}");
    assert!(
        answer
            .header("content-type")
            .unwrap()
            .starts_with("text/html")
    );
    assert!(!answer.text.contains("<script>alert"), "{path}");
    answer.text
}

#[tokio::test]
async fn what_a_sync_wrote_can_be_seen() {
    let sim = Sim::new(json!({"name": "<script>alert(1)</script>", "contacts": 60, "companies": 3, "deals": 4, "lists": 3, "limits": "off"})).await;
    let evil = "<script>alert('x')</script>";
    let contact = sim
        .contact(json!({"email": "ada@example.com", "firstname": "Ada", "lastname": evil}))
        .await;
    let note = json!({
        "properties": {"hs_timestamp": "2026-02-03T04:05:06Z", "hs_note_body": format!("Called <b>her</b> {evil}")},
        "associations": [{"to": {"id": contact}, "types": [{"associationCategory": "HUBSPOT_DEFINED", "associationTypeId": 202}]}],
    });
    let made = sim.post("/crm/objects/2026-09/notes", note).await;
    assert_eq!(made.status, 201, "{}", made.text);
    let base = format!("/_simulator/page/{}", sim.portal);
    let overview = page(&sim, "/").await;
    assert!(overview.contains(&base) && overview.contains("&lt;script&gt;"));
    let front = page(&sim, &base).await;
    assert!(front.contains("<b>61</b>contacts") && front.contains("simulator-client-id"));
    let all = page(&sim, &format!("{base}/contacts")).await;
    assert!(
        all.contains("id=\"next\""),
        "sixty do not stand on one page"
    );
    let found = page(&sim, &format!("{base}/contacts?q=ada%40")).await;
    assert!(
        found.contains(&format!("{base}/contacts/{contact}")) && !found.contains("id=\"next\"")
    );
    let one = page(&sim, &format!("{base}/contacts/{contact}")).await;
    assert!(one.contains("Timeline (1)") && one.contains("2026-02-03T04:05:06.000Z"));
    assert!(one.contains("Ada &lt;script&gt;alert") && one.contains("ada@example.com"));
    // A text is shown as HubSpot would, and stays a text.
    assert!(one.contains("Called her alert('x')") && !one.contains("<script>alert"));
    let list = page(&sim, &format!("{base}/lists")).await;
    assert!(list.contains("List 0"));
    page(&sim, &format!("{base}/lists/10")).await;
    let requests = page(&sim, &format!("{base}/requests")).await;
    assert!(requests.contains(CONTACTS));
    // Where HubSpot has them.
    for (there, here) in [
        (format!("/contacts/{}", sim.portal), base.clone()),
        (
            format!("/contacts/{}/contact/{contact}", sim.portal),
            format!("{base}/contacts/{contact}"),
        ),
        (
            format!("/contacts/{}/record/0-1/{contact}", sim.portal),
            format!("{base}/contacts/{contact}"),
        ),
        (
            format!("/contacts/{}/objectLists/10", sim.portal),
            format!("{base}/lists/10"),
        ),
    ] {
        let answer = Sim::read(sim.client.get(sim.url(&there))).await.unwrap();
        let led = (answer.status.as_u16(), answer.header("location"));
        assert_eq!(led, (302, Some(here.as_str())), "{there}");
        page(&sim, &here).await;
    }
    for missing in ["contacts/1", "butterflies", "lists/999", "lists/x", "a/b/c"] {
        let path = format!("{base}/{missing}");
        let answer = Sim::read(sim.client.get(sim.url(&path))).await.unwrap();
        assert_eq!(answer.status, 404, "{path}");
    }
}
