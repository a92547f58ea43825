//! HubSpot scopes, and the features that need them (C2).
//!
//! Here is the one list. The app's configuration in `docs/hubspot-app` has to be the same, as HubSpot
//! refuses a consent that asks for other scopes than the app is configured with
//! (`hubspot-api.md` §15.21).

/// What nothing works without. A portal whose plan lacks one of them cannot connect, so they are few.
pub const REQUIRED: &[&str] = &[
    "oauth",
    "crm.objects.contacts.read",
    "crm.schemas.contacts.read",
];

/// What is used when granted, the features first: without one of them its feature is off, and is
/// shown so.
pub const OPTIONAL: &[&str] = &[
    "crm.objects.contacts.write",
    "crm.objects.companies.read",
    "crm.objects.companies.write",
    "crm.objects.deals.read",
    "crm.objects.owners.read",
    "crm.lists.read",
    "crm.schemas.companies.read",
    "crm.schemas.deals.read",
    "sales-email-read",
    "crm.schemas.contacts.write",
    "crm.schemas.companies.write",
];

/// Optional ones without which nothing is missed: our unique keys, for which there is another way (X2), and
/// our group of properties, which somebody has to ask for (E5).
const EXTRAS: &[&str] = &["crm.schemas.contacts.write", "crm.schemas.companies.write"];

/// The scopes that a feature needs and that were not granted, in the order of [`REQUIRED`] and
/// [`OPTIONAL`].
pub fn missing<'a>(granted: impl IntoIterator<Item = &'a str> + Clone) -> Vec<&'static str> {
    REQUIRED
        .iter()
        .chain(OPTIONAL)
        .copied()
        .filter(|scope| !EXTRAS.contains(scope))
        .filter(|scope| !granted.clone().into_iter().any(|g| g == *scope))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_not_granted_is_named() {
        let all = || REQUIRED.iter().chain(OPTIONAL).copied();
        assert_eq!(missing(all()), Vec::<&str>::new());
        let some = all().filter(|s| *s != "crm.lists.read");
        assert_eq!(missing(some), ["crm.lists.read"]);
        let without_extras = all().filter(|s| !EXTRAS.contains(s));
        assert_eq!(missing(without_extras), Vec::<&str>::new());
    }

    #[test]
    fn the_configuration_of_the_app_has_the_same_scopes() {
        let file = include_str!("../../docs/hubspot-app/src/app/app-hsmeta.json");
        let app: serde_json::Value = serde_json::from_str(file).unwrap();
        let scopes = |name: &str| -> Vec<String> {
            serde_json::from_value(app["config"]["auth"][name].clone()).unwrap()
        };
        assert_eq!(scopes("requiredScopes"), REQUIRED);
        assert_eq!(scopes("optionalScopes"), OPTIONAL);
        assert!(scopes("conditionallyRequiredScopes").is_empty());
        assert!(REQUIRED.iter().all(|scope| !OPTIONAL.contains(scope)));
    }
}
