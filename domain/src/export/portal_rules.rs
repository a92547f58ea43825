//! What the portal's admins ask of writes: properties that are required, always or because of another
//! one's value (`hubspot-api.md` §15.2). HubSpot refuses a write that lacks one as a whole.

use super::{
    Change, LeftOut, Why,
    record::{Known, RecordRead},
};

/// A rule of the portal's about one property.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RequiredProperty {
    /// What is required.
    pub property: String,
    /// What makes it required; none: it always is.
    pub when: Option<RequiredWhen>,
}

/// What makes a property required.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RequiredWhen {
    /// This other property …
    pub property: String,
    /// … has one of these values; none: any.
    pub values: Vec<String>,
}

/// Leaves out what would make the portal ask for something that the record lacks, and names what a
/// new record lacks by itself. An update is asked only about what it touches.
pub(super) fn enforce(
    rules: &[RequiredProperty],
    read: Option<&RecordRead>,
    changes: &mut Vec<Change>,
    left_out: &mut Vec<LeftOut>,
) -> Vec<String> {
    while let Some((place, lacking)) = asking(rules, read, changes) {
        let change = changes.remove(place);
        left_out.push(LeftOut {
            property: change.property,
            rule: change.rule,
            why: Why::PortalRequires(lacking),
        });
    }
    if read.is_some() {
        return Vec::new();
    }
    let mut lacking: Vec<String> = rules
        .iter()
        .filter(|rule| rule.when.is_none() && written(changes, &rule.property).is_none())
        .map(|rule| rule.property.clone())
        .collect();
    lacking.sort_unstable();
    lacking.dedup();
    lacking
}

/// The place of a change whose value makes something required that the record lacks, with what it
/// lacks. Where the condition holds already, the change that would be touched by it does no harm.
fn asking(
    rules: &[RequiredProperty],
    read: Option<&RecordRead>,
    changes: &[Change],
) -> Option<(usize, String)> {
    rules.iter().find_map(|rule| {
        let when = rule.when.as_ref()?;
        let place = changes.iter().position(|c| c.property == when.property)?;
        let value = changes.get(place)?.write.result().as_str();
        let holds = when.values.is_empty() || when.values.iter().any(|v| v == value);
        let there = written(changes, &rule.property).is_some()
            || read.is_some_and(|r| !matches!(r.known(&rule.property), Known::Empty));
        (holds && !there).then(|| (place, rule.property.clone()))
    })
}

fn written<'c>(changes: &'c [Change], property: &str) -> Option<&'c Change> {
    changes.iter().find(|c| c.property == property)
}
