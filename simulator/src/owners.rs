//! Owners (`hubspot-api.md` §10). The API only reads them.

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
    if !owner.teams.is_empty() {
        value["teams"] = owner
            .teams
            .iter()
            .enumerate()
            .map(|(place, (id, name))| {
                json!({"id": id.to_string(), "name": name, "primary": place == 0})
            })
            .collect();
    }
    value
}

/// `/crm/owners/{version}[/{id}]`
pub(crate) fn handle(data: &Data, method: &str, rest: &[&str], query: &Query) -> Answer {
    let archived = query.flag("archived");
    match (method, rest) {
        ("GET", []) => {
            let limit = query.number("limit").unwrap_or(100);
            if limit == 0 || limit > 500 {
                return Answer::validation("limit must be between 1 and 500");
            }
            let after = match query.get("after").map(str::parse) {
                None => 0,
                Some(Ok(after)) => after,
                Some(Err(_)) => return Answer::validation("The cursor is not valid"),
            };
            let email = query.get("email");
            let mut found = data
                .owners
                .range(after..)
                .map(|(_, o)| o)
                .filter(|o| {
                    o.archived == archived
                        || (archived && data.settings.rules.archived_owners_with_active)
                })
                .filter(|o| email.is_none_or(|e| e.eq_ignore_ascii_case(&o.email)));
            let page: Vec<_> = found.by_ref().take(limit as usize).map(shape).collect();
            let mut body = json!({"results": page});
            if let Some(next) = found.next() {
                body["paging"] = json!({"next": {"after": next.id.to_string()}});
            }
            Answer::json(200, &body)
        }
        ("GET", [id]) => {
            let by_user = match query.get("idProperty") {
                None | Some("id") => false,
                Some("userId") => true,
                Some(other) => {
                    return Answer::validation(&format!(
                        "idProperty {other} is not one of [id, userId]"
                    ));
                }
            };
            id.parse()
                .ok()
                .and_then(|id: u64| {
                    if by_user {
                        data.owners.values().find(|o| o.user_id == id)
                    } else {
                        data.owners.get(&id)
                    }
                })
                .filter(|o| o.archived == archived)
                .map_or_else(Answer::not_found, |o| Answer::json(200, &shape(o)))
        }
        _ => Answer::not_found(),
    }
}
