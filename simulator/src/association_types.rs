//! Types of associations: HubSpot's own (`hubspot-api.md` §8), and labels that a portal made.

use crate::{
    model::{Data, Kind},
    rules::UnknownTypes,
};

/// The unlabelled type between two types of records and, where there is one, the primary.
///
/// `hubspot-api.md` §8; those of tickets from HubSpot's guide on association type ids.
pub(crate) const fn pair(from: Kind, to: Kind) -> Option<(u32, Option<u32>)> {
    use Kind::{Call, Communication, Company, Contact, Deal, Email, Meeting, Note, Task, Ticket};
    Some(match (from, to) {
        (Contact, Company) => (279, Some(1)),
        (Company, Contact) => (280, Some(2)),
        (Contact, Deal) => (4, None),
        (Deal, Contact) => (3, None),
        (Deal, Company) => (341, Some(5)),
        (Company, Deal) => (342, Some(6)),
        (Contact, Contact) => (449, None),
        (Company, Company) => (450, None),
        (Deal, Deal) => (451, None),
        (Ticket, Ticket) => (452, None),
        (Contact, Ticket) => (15, None),
        (Ticket, Contact) => (16, None),
        (Ticket, Company) => (339, Some(26)),
        (Company, Ticket) => (340, Some(25)),
        (Deal, Ticket) => (27, None),
        (Ticket, Deal) => (28, None),
        (Call, Contact) => (194, None),
        (Contact, Call) => (193, None),
        (Call, Company) => (182, None),
        (Company, Call) => (181, None),
        (Call, Deal) => (206, None),
        (Deal, Call) => (205, None),
        (Call, Ticket) => (220, None),
        (Ticket, Call) => (219, None),
        (Email, Contact) => (198, None),
        (Contact, Email) => (197, None),
        (Email, Company) => (186, None),
        (Company, Email) => (185, None),
        (Email, Deal) => (210, None),
        (Deal, Email) => (209, None),
        (Email, Ticket) => (224, None),
        (Ticket, Email) => (223, None),
        (Meeting, Contact) => (200, None),
        (Contact, Meeting) => (199, None),
        (Meeting, Company) => (188, None),
        (Company, Meeting) => (187, None),
        (Meeting, Deal) => (212, None),
        (Deal, Meeting) => (211, None),
        (Meeting, Ticket) => (226, None),
        (Ticket, Meeting) => (225, None),
        (Note, Contact) => (202, None),
        (Contact, Note) => (201, None),
        (Note, Company) => (190, None),
        (Company, Note) => (189, None),
        (Note, Deal) => (214, None),
        (Deal, Note) => (213, None),
        (Note, Ticket) => (228, None),
        (Ticket, Note) => (227, None),
        (Task, Contact) => (204, None),
        (Contact, Task) => (203, None),
        (Task, Company) => (192, None),
        (Company, Task) => (191, None),
        (Task, Deal) => (216, None),
        (Deal, Task) => (215, None),
        (Task, Ticket) => (230, None),
        (Ticket, Task) => (229, None),
        (Communication, Contact) => (81, None),
        (Contact, Communication) => (82, None),
        (Communication, Company) => (87, None),
        (Company, Communication) => (88, None),
        (Communication, Deal) => (85, None),
        (Deal, Communication) => (86, None),
        (Communication, Ticket) => (83, None),
        (Ticket, Communication) => (84, None),
        _ => return None,
    })
}

/// Type ids there and back. A primary one is also an unlabelled one.
pub(crate) fn type_ids(from: Kind, to: Kind, primary: bool) -> (Vec<u32>, Vec<u32>) {
    let of = |from, to| {
        pair(from, to).map_or_else(Vec::new, |(plain, prime)| {
            prime
                .filter(|_| primary)
                .into_iter()
                .chain([plain])
                .collect()
        })
    };
    (of(from, to), of(to, from))
}

/// The types of one direction besides the unlabelled: id, the other direction's id, label.
pub(crate) fn labelled(data: &Data, from: Kind, to: Kind) -> Vec<(u32, u32, String)> {
    let mut all = Vec::new();
    if let (Some((_, Some(there))), Some((_, Some(back)))) = (pair(from, to), pair(to, from)) {
        all.push((there, back, "Primary".to_owned()));
    }
    if (from, to) == (Kind::Company, Kind::Company) {
        all.push((13, 14, "Child Company".to_owned()));
        all.push((14, 13, "Parent Company".to_owned()));
    }
    all.extend(
        data.labels
            .iter()
            .filter(|l| l.from == from && l.to == to)
            .map(|l| (l.type_id, l.inverse, l.label.clone())),
    );
    all
}

/// All types of one direction, the unlabelled first.
pub(crate) fn types_of(data: &Data, from: Kind, to: Kind) -> Vec<u32> {
    let Some((plain, _)) = pair(from, to) else {
        return Vec::new();
    };
    let more = labelled(data, from, to).into_iter().map(|(id, _, _)| id);
    std::iter::once(plain).chain(more).collect()
}

/// The type of record that an association type leads to.
pub(crate) fn target(data: &Data, from: Kind, type_id: u32) -> Option<Kind> {
    Kind::ALL.into_iter().find(|to| {
        pair(from, *to).is_some_and(|(plain, _)| {
            plain == type_id
                || labelled(data, from, *to)
                    .iter()
                    .any(|(t, _, _)| *t == type_id)
        })
    })
}

/// Is it the type of a primary company, from either side?
pub(crate) fn is_primary(type_id: u32) -> bool {
    matches!(type_id, 1 | 2 | 5 | 6 | 25 | 26)
}

/// The type of the other direction.
pub(crate) fn inverse(data: &Data, from: Kind, to: Kind, type_id: u32) -> u32 {
    labelled(data, from, to)
        .into_iter()
        .find(|(there, _, _)| *there == type_id)
        .map(|(_, back, _)| back)
        .or_else(|| pair(to, from).map(|(plain, _)| plain))
        .unwrap_or(type_id)
}

/// The name of a type in inline associations and in v3.
pub(crate) fn inline_name(data: &Data, from: Kind, to: Kind, type_id: u32) -> String {
    let word = |kind: Kind| match kind {
        Kind::Meeting => "meeting_event",
        kind => kind.singular(),
    };
    let name = format!("{}_to_{}", word(from), word(to));
    match type_id {
        279 | 280 | 341 | 342 | 339 | 340 | 450 => format!("{name}_unlabeled"),
        13 => "parent_to_child_company".to_owned(),
        14 => "child_to_parent_company".to_owned(),
        _ => data
            .labels
            .iter()
            .find(|l| l.type_id == type_id)
            .map_or(name, |l| l.name.clone()),
    }
}

/// HubSpot's own, the portal's, or an integrator's.
pub(crate) fn category(data: &Data, type_id: u32) -> &'static str {
    match data.labels.iter().find(|l| l.type_id == type_id) {
        Some(label) if label.by_integrator => "INTEGRATOR_DEFINED",
        Some(_) => "USER_DEFINED",
        None => "HUBSPOT_DEFINED",
    }
}

/// Whether a type of a request is to be used: category and id have to go together. False: it does not
/// exist, and the portal passes that over.
///
/// # Errors
/// Why it is refused.
pub(crate) fn known_type(data: &Data, type_id: u32, given: Option<&str>) -> Result<bool, String> {
    let exists = Kind::ALL
        .into_iter()
        .any(|from| target(data, from, type_id).is_some());
    let right = category(data, type_id);
    match given {
        _ if !exists && data.settings.rules.unknown_association_types == UnknownTypes::Ignored => {
            Ok(false)
        }
        None => Err("Some required fields were not set: [associationCategory]".to_owned()),
        Some(given) if exists && given == right => Ok(true),
        Some(given) => Err(format!(
            "Association type {type_id} of category {given} does not exist"
        )),
    }
}

/// What HubSpot says of a type that leads from another type of records, if that is what is wrong.
pub(crate) fn wrong_from(data: &Data, from: Kind, type_id: u32) -> Option<String> {
    if target(data, from, type_id).is_some() {
        return None;
    }
    let expected = Kind::ALL
        .into_iter()
        .find(|k| target(data, *k, type_id).is_some())?;
    Some(format!(
        "invalid from object type {} for associations to be created. expected: {}",
        from.type_id(),
        expected.type_id()
    ))
}
