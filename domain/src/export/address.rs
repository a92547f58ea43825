//! Addresses that HubSpot may refuse, as far as that can be told before it is asked (E2).

use crate::app::Email;

/// Whether HubSpot may refuse an address that the app takes: it wants a top-level domain of IANA's list,
/// and plain characters before the `@` (`hubspot-api.md` §15.13). Lists get old, so this ends no request:
/// HubSpot is asked, before anything else is made for the person's sake.
pub fn may_be_refused(email: &Email) -> bool {
    let local = email.as_str().split('@').next().unwrap_or_default();
    let known_top = psl::suffix(email.domain().as_bytes()).is_some_and(|suffix| suffix.is_known());
    !local.is_ascii() || !known_top
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn odd_addresses_are_told_from_others() {
        for (address, doubtful) in [
            ("jane@acme.com", false),
            ("o'brien+x@acme.co.uk", false),
            ("info@münchen.de", false),
            ("jane@acme.github.io", false),
            ("jane@firma.рф", false),
            ("jane@acme.bad", true),
            ("jane@acme.internal", true),
            ("jörg@acme.com", true),
        ] {
            let email = Email::parse(address).unwrap();
            assert_eq!(may_be_refused(&email), doubtful, "{address}");
        }
    }
}
