//! Owners.

use serde_json::{Value, json};

use crate::{
    answer::{Answer, iso},
    model::{Data, Owner},
    server::Query,
};

fn shape(owner: &Owner) -> Value {
    let mut value = json!({
        "id": owner.id.to_string(), "email": owner.email, "type": "PERSON",
        "firstName": owner.first_name, "lastName": owner.last_name,
        "userId": owner.user_id, "userIdIncludingInactive": owner.user_id,
        "createdAt": iso(1_600_000_000_000), "updatedAt": iso(1_700_000_000_000),
        "archived": owner.archived,
    });
    if owner.archived {
        value["userId"] = Value::Null;
    }
    value
}

/// `/crm/owners/{version}[/{id}]`
pub(crate) fn handle(data: &Data, method: &str, rest: &[&str], query: &Query) -> Answer {
    match (method, rest) {
        ("GET", []) => {
            let archived = query.get("archived") == Some("true");
            let limit = query.number("limit").unwrap_or(100).clamp(1, 500) as usize;
            let after = query.number("after").unwrap_or(0);
            let email = query.get("email");
            let mut found = data
                .owners
                .range(after..)
                .map(|(_, o)| o)
                .filter(|o| o.archived == archived)
                .filter(|o| email.is_none_or(|e| e.eq_ignore_ascii_case(&o.email)));
            let page: Vec<_> = found.by_ref().take(limit).map(shape).collect();
            let mut body = json!({"results": page});
            if let Some(next) = found.next() {
                body["paging"] = json!({"next": {"after": next.id.to_string()}});
            }
            Answer::json(200, &body)
        }
        ("GET", [id]) => id
            .parse()
            .ok()
            .and_then(|id: u64| data.owners.get(&id))
            .map_or_else(Answer::not_found, |o| Answer::json(200, &shape(o))),
        _ => Answer::not_found(),
    }
}
