//! E-mail addresses, normalised (E2).

use std::fmt;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// Why a text is no e-mail address. The text is not repeated: it is personal data.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum EmailError {
    /// Nothing but white space.
    #[error("the e-mail is empty")]
    Empty,
    /// Longer than an address can be.
    #[error("the e-mail is longer than 254 characters")]
    TooLong,
    /// Not exactly one `@`.
    #[error("an e-mail has exactly one @ with something on both sides")]
    At,
    /// What stands before the `@`.
    #[error(
        "the part before the @ is longer than 64 characters, has a dot at an end or two in a row, or a character that is not allowed there"
    )]
    Local,
    /// What stands behind the `@`.
    #[error("the part behind the @ is no domain such as example.com")]
    Domain,
}

/// An e-mail address in the one form in which it is compared and stored: trimmed, in lower case,
/// an internationalised domain in its ASCII form. `+tags` and dots stay: they tell mailboxes apart.
/// `Debug` does not show it (X5).
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, ToSchema)]
#[serde(try_from = "String", into = "String")]
#[schema(value_type = String, format = Email, max_length = 254)]
pub struct Email(String);

impl Email {
    /// Normalises an address. What comes out is its own normal form, so whatever is stored reads
    /// back: an address whose lower case holds what is not allowed (`İ` becomes `i` and a combining
    /// dot) is refused.
    ///
    /// # Errors
    /// [`EmailError`] says which part is wrong.
    pub fn parse(text: &str) -> Result<Self, EmailError> {
        let address = normalised(text)?;
        if address == text {
            return Ok(Self(address));
        }
        match normalised(&address) {
            Ok(again) if again == address => Ok(Self(address)),
            Ok(_) => Err(EmailError::Domain),
            Err(error) => Err(error),
        }
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// What stands behind the `@`.
    pub fn domain(&self) -> &str {
        self.0.split_once('@').map_or("", |(_, domain)| domain)
    }
}

/// Where people are looked for. `Debug` does not show it (X5).
#[derive(Clone, PartialEq, Eq)]
pub enum EmailPlace {
    /// Whoever has this address.
    Address(Email),
    /// Whoever has an address of this domain.
    Domain(String),
}

impl EmailPlace {
    /// An address, or a domain with or without an `@` before it; none where it is neither.
    pub fn parse(text: &str) -> Option<Self> {
        let text = text.trim();
        if let Ok(email) = Email::parse(text) {
            return Some(Self::Address(email));
        }
        let domain = text.strip_prefix('@').unwrap_or(text);
        let of_domain = Email::parse(&format!("x@{domain}")).ok()?;
        Some(Self::Domain(of_domain.domain().to_owned()))
    }
}

impl fmt::Debug for EmailPlace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Address(_) => "Address(..)",
            Self::Domain(_) => "Domain(..)",
        })
    }
}

/// One pass over an address.
fn normalised(text: &str) -> Result<String, EmailError> {
    let text = text.trim();
    if text.is_empty() {
        return Err(EmailError::Empty);
    }
    // IDNA may shorten; anything this long is refused before it is looked at closely.
    if text.len() > 1_024 {
        return Err(EmailError::TooLong);
    }
    let (local, domain) = text.split_once('@').ok_or(EmailError::At)?;
    if local.is_empty() || domain.is_empty() || domain.contains('@') {
        return Err(EmailError::At);
    }
    let local_allowed = |c: char| c.is_alphanumeric() || "!#$%&'*+/=?^_`{|}~.-".contains(c);
    if local.chars().count() > 64
        || local.starts_with('.')
        || local.ends_with('.')
        || local.contains("..")
        || !local.chars().all(local_allowed)
    {
        return Err(EmailError::Local);
    }
    let domain = idna::domain_to_ascii(domain).map_err(|_| EmailError::Domain)?;
    if !is_domain(&domain) {
        return Err(EmailError::Domain);
    }
    let address = format!("{}@{domain}", local.to_lowercase());
    if address.len() > 254 {
        return Err(EmailError::TooLong);
    }
    Ok(address)
}

/// The forms of one address, for comparing and for looking up: HubSpot keeps international addresses
/// as they were typed (`info@müller.de`, `info@xn--mller-kva.de`), and also such that
/// [`Email::parse`] would not take. `Debug` does not show them (X5).
#[derive(Clone, PartialEq, Eq)]
pub struct AddressForms {
    canonical: String,
    others: Vec<String>,
}

impl AddressForms {
    /// The forms of an address, however it is written. Two ways of writing one address have the same
    /// [`canonical`](Self::canonical) form; that of an [`Email`] is the e-mail itself.
    pub fn of(address: &str) -> Self {
        let trimmed = address.trim();
        let lower = trimmed.to_lowercase();
        let Some((local, domain)) = trimmed.rsplit_once('@') else {
            return Self {
                others: [trimmed.to_owned()]
                    .into_iter()
                    .filter(|t| *t != lower)
                    .collect(),
                canonical: lower,
            };
        };
        let local = local.to_lowercase();
        // IDNA has lower cases of its own.
        let ascii = idna::domain_to_ascii(domain)
            .ok()
            .filter(|ascii| !ascii.is_empty())
            .unwrap_or_else(|| domain.to_lowercase());
        let canonical = format!("{local}@{ascii}");
        let unicode = format!("{local}@{}", idna::domain_to_unicode(&ascii).0);
        let mut others = Vec::new();
        for form in [unicode, lower.clone(), trimmed.to_owned()] {
            if form != canonical && !others.contains(&form) {
                others.push(form);
            }
        }
        Self { canonical, others }
    }

    /// The one form to hash and to compare by.
    pub fn canonical(&self) -> &str {
        &self.canonical
    }

    /// All forms in which the address may stand somewhere, the canonical one first.
    pub fn all(&self) -> impl Iterator<Item = &str> {
        std::iter::once(self.canonical.as_str()).chain(self.others.iter().map(String::as_str))
    }
}

impl fmt::Debug for AddressForms {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("AddressForms(…)")
    }
}

/// At least two labels of letters, digits and inner hyphens; the last one is not all digits.
pub(crate) fn is_domain(domain: &str) -> bool {
    let labels: Vec<&str> = domain.split('.').collect();
    domain.len() <= 253
        && labels.len() >= 2
        && labels.iter().all(|label| {
            (1..=63).contains(&label.len())
                && label
                    .bytes()
                    .all(|b| b.is_ascii_alphanumeric() || b == b'-')
                && !label.starts_with('-')
                && !label.ends_with('-')
        })
        && labels
            .last()
            .is_some_and(|top| top.len() >= 2 && !top.bytes().all(|b| b.is_ascii_digit()))
}

impl fmt::Debug for Email {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Email(…)")
    }
}

impl TryFrom<String> for Email {
    type Error = EmailError;

    fn try_from(text: String) -> Result<Self, EmailError> {
        Self::parse(&text)
    }
}

impl From<Email> for String {
    fn from(email: Email) -> Self {
        email.0
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn one_form_for_one_address() {
        for (text, want) in [
            ("jane@example.com", "jane@example.com"),
            ("  Jane.Doe+hs@Example.COM\n", "jane.doe+hs@example.com"),
            ("o'brien@example.co.uk", "o'brien@example.co.uk"),
            ("info@Müller.de", "info@xn--mller-kva.de"),
            ("info@xn--mller-kva.de", "info@xn--mller-kva.de"),
            ("JÖRG@example.com", "jörg@example.com"),
        ] {
            assert_eq!(Email::parse(text).unwrap().as_str(), want);
        }
        assert_eq!(Email::parse("a@B.example").unwrap().domain(), "b.example");
    }

    #[test]
    fn what_is_wrong_is_named() {
        let long_local = format!("{}@example.com", "x".repeat(65));
        let long = format!("x@{}.com", "a".repeat(1_100));
        let long_domain = format!("x@{}com", "abcdefg.".repeat(32));
        for (text, want) in [
            ("", EmailError::Empty),
            (" \t", EmailError::Empty),
            ("jane", EmailError::At),
            ("@example.com", EmailError::At),
            ("jane@", EmailError::At),
            ("a@b@example.com", EmailError::At),
            (".a@example.com", EmailError::Local),
            ("a.@example.com", EmailError::Local),
            ("a..b@example.com", EmailError::Local),
            ("a b@example.com", EmailError::Local),
            ("a\0b@example.com", EmailError::Local),
            ("Jane <jane@example.com>", EmailError::Local),
            (&long_local, EmailError::Local),
            ("a@localhost", EmailError::Domain),
            ("a@-x.com", EmailError::Domain),
            ("a@x_y.com", EmailError::Domain),
            ("a@127.0.0.1", EmailError::Domain),
            ("a@x.c", EmailError::Domain),
            ("İSMAİL@firma.com.tr", EmailError::Local),
            ("a@exa mple.com", EmailError::Domain),
            ("a@example.com.", EmailError::Domain),
            (&long, EmailError::TooLong),
            (&long_domain, EmailError::Domain),
        ] {
            assert_eq!(Email::parse(text).unwrap_err(), want, "{text:?}");
        }
    }

    #[test]
    fn one_address_has_one_canonical_form_however_it_is_written() {
        for (writings, canonical) in [
            (
                &[
                    "info@Müller.de",
                    "INFO@müller.de ",
                    "info@xn--mller-kva.de",
                    "info@XN--MLLER-KVA.DE",
                ][..],
                "info@xn--mller-kva.de",
            ),
            (&["Jörg@b.example", "JÖRG@B.EXAMPLE"], "jörg@b.example"),
            (&["İsmail@firma.com.tr"], "i\u{307}smail@firma.com.tr"),
            (
                &["почта@пример.рф", "ПОЧТА@xn--e1afmkfd.xn--p1ai"],
                "почта@xn--e1afmkfd.xn--p1ai",
            ),
            (&["no address", "NO ADDRESS"], "no address"),
            (&[""], ""),
        ] {
            for writing in writings {
                let forms = AddressForms::of(writing);
                assert_eq!(forms.canonical(), canonical, "{writing}");
                assert_eq!(AddressForms::of(canonical).canonical(), canonical);
                assert!(forms.all().any(|form| form == writing.trim()));
                if let Ok(email) = Email::parse(writing) {
                    assert_eq!(email.as_str(), canonical);
                }
            }
        }
        let forms = AddressForms::of("info@xn--mller-kva.de");
        assert!(forms.all().any(|form| form == "info@müller.de"));
    }

    #[test]
    fn debug_shows_nothing() {
        assert_eq!(
            format!("{:?}", Email::parse("a@b.example").unwrap()),
            "Email(…)"
        );
    }

    proptest! {
        #[test]
        fn no_text_panics(text in "\\PC{0,40}") {
            let _ = Email::parse(&text);
            let _ = AddressForms::of(&text);
        }
    }

    #[test]
    fn people_are_looked_for_by_address_or_by_domain() {
        let place = |text: &str| match EmailPlace::parse(text) {
            Some(EmailPlace::Address(email)) => format!("address {}", email.as_str()),
            Some(EmailPlace::Domain(domain)) => format!("domain {domain}"),
            None => "neither".to_owned(),
        };
        for (text, want) in [
            (" Ann.Lee@Example.com ", "address ann.lee@example.com"),
            ("@Example.com", "domain example.com"),
            ("bücher.example", "domain xn--bcher-kva.example"),
            ("ann lee", "neither"),
            ("a@b@example.com", "neither"),
            ("", "neither"),
        ] {
            assert_eq!(place(text), want, "{text}");
        }
    }
}
