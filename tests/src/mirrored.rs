//! The mirror of a tenant beside its portal, record by record.

use std::collections::{BTreeMap, BTreeSet};

use domain::ObjectType;
use serde_json::Value;
use store::Store;

use crate::Tenant;

/// An association: to which type, to which record, by which type of association.
pub type Tie = (String, String, String);

/// Records of a type by id: properties and associations. What lies in the recycle bin is no part of it.
pub type Records = BTreeMap<i64, (Value, BTreeSet<Tie>)>;

/// Everything that is mirrored, by the plural of its type.
pub type Everything = BTreeMap<&'static str, Records>;

/// All records of a type as the portal has them, also those in the recycle bin.
///
/// # Panics
/// When the simulator refuses.
pub async fn records_of(tenant: &Tenant, plural: &str) -> Vec<Value> {
    let mut all = Vec::new();
    let mut after = String::from("0");
    loop {
        let path = format!("records/{plural}?after={after}&limit=500");
        let page = tenant.control("GET", &path, None).await;
        all.extend(page["results"].as_array().into_iter().flatten().cloned());
        match page["next"].as_str() {
            Some(next) => after = next.to_owned(),
            None => return all,
        }
    }
}

/// The associations of a record of the portal's.
///
/// # Panics
/// When they are not as the simulator writes them.
pub fn ties_of(record: &Value) -> BTreeSet<Tie> {
    let mut ties = BTreeSet::new();
    for (to, block) in record["associations"].as_object().into_iter().flatten() {
        for link in block["results"].as_array().into_iter().flatten() {
            let text = |name: &str| link[name].as_str().expect("a text").to_owned();
            ties.insert((to.clone(), text("id"), text("type")));
        }
    }
    ties
}

/// What is in the portal.
///
/// # Panics
/// When the simulator refuses.
pub async fn portal(tenant: &Tenant) -> Everything {
    let mut everything = Everything::new();
    for object_type in ObjectType::MIRRORED {
        let wanted = domain::backfill::associations_read_with(object_type);
        let of_type = everything.entry(object_type.plural()).or_default();
        for mut record in records_of(tenant, object_type.plural()).await {
            if record["archived"] == true {
                continue;
            }
            let mut ties = ties_of(&record);
            ties.retain(|(to, ..)| wanted.iter().any(|t| to == t.plural()));
            let id = record["id"].as_str().expect("an id");
            let id = id.parse().expect("a number");
            of_type.insert(id, (record["properties"].take(), ties));
        }
    }
    everything
}

/// What is in the mirror.
///
/// # Panics
/// When the store does not answer.
pub async fn mirror(tenant: &Tenant, store: &Store) -> Everything {
    let mut everything = Everything::new();
    for object_type in ObjectType::MIRRORED {
        let of_type = everything.entry(object_type.plural()).or_default();
        let mut last = None;
        loop {
            let page = store
                .objects_after(tenant.workspace, tenant.portal, object_type, last, 5_000)
                .await
                .expect("a page of the mirror");
            let Some(end) = page.last() else { break };
            last = Some(end.id);
            // What HubSpot no longer shows stays as a tombstone.
            for row in page.into_iter().filter(|row| !row.archived) {
                let known = of_type.insert(row.id.get(), (row.properties, BTreeSet::new()));
                assert!(known.is_none(), "twice");
            }
        }
        for link in store
            .associations_from(tenant.workspace, tenant.portal, object_type)
            .await
            .expect("associations")
        {
            let to = link.to_type.plural().to_owned();
            for label in link.labels {
                let tie = (to.clone(), link.to.to_string(), label);
                let from = of_type.entry(link.from.get()).or_default();
                from.1.insert(tie);
            }
        }
    }
    everything
}

/// Where the mirror is not as the portal: the first difference of each type.
pub fn differences(mirror: &Everything, portal: &Everything) -> Vec<String> {
    ObjectType::MIRRORED
        .into_iter()
        .filter_map(|object_type| {
            let plural = object_type.plural();
            let nothing = Records::new();
            let ours = mirror.get(plural).unwrap_or(&nothing);
            let theirs = portal.get(plural).unwrap_or(&nothing);
            difference(object_type, ours, theirs)
        })
        .collect()
}

fn difference(object_type: ObjectType, ours: &Records, theirs: &Records) -> Option<String> {
    let plural = object_type.plural();
    let ids = |of: &Records| of.keys().copied().collect::<BTreeSet<i64>>();
    let (here, there) = (ids(ours), ids(theirs));
    if here != there {
        let missing: Vec<_> = there.difference(&here).collect();
        let too_many: Vec<_> = here.difference(&there).collect();
        return Some(format!(
            "{plural}: missing {missing:?}, too many {too_many:?}"
        ));
    }
    for (id, (properties, ties)) in ours {
        let (wanted, wanted_ties) = &theirs[id];
        for (name, value) in properties.as_object().into_iter().flatten() {
            if *value != wanted[name] {
                return Some(format!(
                    "{plural} {id}: {name} is {value}, not {}",
                    wanted[name]
                ));
            }
        }
        // What the source has and we ask for must not be missing either.
        for name in domain::backfill::needed_properties(object_type) {
            if wanted.get(*name).is_some() && properties.get(*name).is_none() {
                return Some(format!("{plural} {id} lacks {name}"));
            }
        }
        if ties != wanted_ties {
            return Some(format!(
                "{plural} {id} is tied to {ties:?}, not {wanted_ties:?}"
            ));
        }
    }
    None
}

/// Compares the mirror of a tenant with the simulator, record by record and property by property,
/// and the associations; what lies in the recycle bin is no part of either. Returns how many
/// records were compared.
///
/// # Panics
/// Where they differ.
pub async fn assert_mirrored(tenant: &Tenant, store: &Store) -> u64 {
    let theirs = portal(tenant).await;
    let found = differences(&mirror(tenant, store).await, &theirs);
    assert!(found.is_empty(), "{found:#?}");
    theirs.values().map(|of_type| of_type.len() as u64).sum()
}
