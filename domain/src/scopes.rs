//! HubSpot scopes, and the features that need them (C2).

/// What is always asked for.
pub const REQUIRED: &[&str] = &[
    "oauth",
    "crm.objects.contacts.read",
    "crm.objects.contacts.write",
    "crm.objects.companies.read",
    "crm.objects.companies.write",
    "crm.objects.deals.read",
    "crm.objects.owners.read",
    "crm.lists.read",
    "crm.schemas.contacts.read",
    "crm.schemas.companies.read",
    "crm.schemas.deals.read",
    "sales-email-read",
];

/// What is used when granted: our unique keys (X2).
pub const OPTIONAL: &[&str] = &["crm.schemas.contacts.write", "crm.schemas.companies.write"];

/// The required scopes that were not granted, in the order of [`REQUIRED`].
pub fn missing<'a>(granted: impl IntoIterator<Item = &'a str> + Clone) -> Vec<&'static str> {
    REQUIRED
        .iter()
        .copied()
        .filter(|scope| !granted.clone().into_iter().any(|g| g == *scope))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_not_granted_is_named() {
        assert_eq!(missing(REQUIRED.iter().copied()), Vec::<&str>::new());
        let some = REQUIRED.iter().copied().filter(|s| *s != "crm.lists.read");
        assert_eq!(missing(some), ["crm.lists.read"]);
    }
}
