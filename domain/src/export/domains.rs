//! The domains by which a company is known (E3): those of its website and domain, else that of the
//! person's address. One claim covers all of them.

use crate::{
    app::{Company, Email, FieldValue, email::is_domain},
    company_domain::{is_free_mail, normalised},
};

/// A domain that can be a company's, in the one form in which domains are compared.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CompanyDomain(String);

impl CompanyDomain {
    /// The text within.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// Why a text names no domain of a company.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NoDomain {
    /// There is none.
    #[error("there is neither a website nor an e-mail address")]
    Missing,
    /// `acme`, `192.168.0.1`, an e-mail address.
    #[error("it is no domain such as acme.com")]
    NotADomain,
    /// Anybody may have a mailbox there.
    #[error("anybody may have a mailbox there")]
    FreeMail,
    /// `co.uk`: everybody's companies lie below it.
    #[error("everybody's domains lie below it")]
    PublicSuffix,
    /// A page on somebody else's site, such as `linkedin.com/company/acme`.
    #[error("it is a page on another company's site")]
    Profile,
}

impl NoDomain {
    /// The paragraph in `docs/errors.md`.
    pub const fn code(&self) -> &'static str {
        "HS-2431"
    }

    /// The name in the API and in metrics.
    pub const fn as_str(&self) -> &'static str {
        match self {
            Self::Missing => "no_website",
            Self::NotADomain => "not_a_domain",
            Self::FreeMail => "free_mail",
            Self::PublicSuffix => "public_suffix",
            Self::Profile => "profile_page",
        }
    }
}

/// Sites where companies have pages. A bare address of one is the site's own.
const PROFILE_SITES: &[&str] = &[
    "linkedin.com",
    "facebook.com",
    "instagram.com",
    "twitter.com",
    "x.com",
    "xing.com",
    "youtube.com",
    "tiktok.com",
    "crunchbase.com",
    "github.com",
    "medium.com",
    "linktr.ee",
    "google.com",
    "g.page",
    "goo.gl",
    "bit.ly",
    "yelp.com",
    "notion.so",
];

/// The domains that a company is known by; at least one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CompanyDomains {
    /// The one that a new company gets.
    first: CompanyDomain,
    /// All of them, `first` among them, sorted.
    all: Vec<CompanyDomain>,
}

impl CompanyDomains {
    /// Of a company of the app by its fields `domain` and `website`; without any that names a domain,
    /// by the person's address.
    ///
    /// # Errors
    /// [`NoDomain`] says why there is none: of the company's own fields, where they name something.
    pub fn of(company: Option<&Company>, email: Option<&Email>) -> Result<Self, NoDomain> {
        let text = |field: &str| match company?.fields.get(field) {
            Some(FieldValue::Text(text)) => Some(text.as_str()),
            _ => None,
        };
        let mut refused = None;
        let mut named: Vec<CompanyDomain> = Vec::new();
        for text in ["domain", "website"].into_iter().filter_map(text) {
            match site(text) {
                Ok(domains) => named.extend(domains),
                Err(why) => refused = refused.or(Some(why)),
            }
        }
        if named.is_empty()
            && let Some(email) = email
        {
            match host(email.domain()) {
                Ok(domains) => named.extend(domains),
                Err(why) => refused = refused.or(Some(why)),
            }
        }
        let first = named.first().cloned();
        named.sort_unstable();
        named.dedup();
        match first {
            Some(first) => Ok(Self { first, all: named }),
            None => Err(refused.unwrap_or(NoDomain::Missing)),
        }
    }

    /// The one that a new company gets.
    pub const fn first(&self) -> &CompanyDomain {
        &self.first
    }

    /// All of them, sorted: what is claimed and what is looked for.
    pub fn all(&self) -> &[CompanyDomain] {
        &self.all
    }

    /// Whether a text of HubSpot's names one of them.
    pub fn names(&self, text: &str) -> bool {
        normalised(text).is_some_and(|domain| self.all.iter().any(|d| d.0 == domain))
    }
}

/// The domain that somebody registered, of a website or domain.
///
/// # Errors
/// [`NoDomain`].
pub(super) fn registered(text: &str) -> Result<CompanyDomain, NoDomain> {
    let domains = site(text)?;
    domains.into_iter().next().ok_or(NoDomain::NotADomain)
}

/// What a website says.
fn site(text: &str) -> Result<Vec<CompanyDomain>, NoDomain> {
    let text = text.trim().trim_start_matches('/');
    let bare = text.split_once("://").map_or(text, |(_, rest)| rest);
    let domains = host(bare)?;
    let has_page = bare
        .split_once('/')
        .is_some_and(|(_, path)| !path.trim_matches(['/', ' ']).is_empty());
    let of_a_profile_site = domains
        .iter()
        .any(|domain| PROFILE_SITES.contains(&domain.as_str()));
    if has_page && of_a_profile_site {
        return Err(NoDomain::Profile);
    }
    Ok(domains)
}

/// The domain that somebody registered, and the one below it that was given, if it is another.
fn host(text: &str) -> Result<Vec<CompanyDomain>, NoDomain> {
    let domain = normalised(text).ok_or(NoDomain::NotADomain)?;
    if !is_domain(&domain) {
        return Err(NoDomain::NotADomain);
    }
    if is_free_mail(&domain) {
        return Err(NoDomain::FreeMail);
    }
    let registered = psl::domain_str(&domain).ok_or(NoDomain::PublicSuffix)?;
    let mut domains = vec![CompanyDomain(registered.to_owned())];
    if registered != domain {
        domains.push(CompanyDomain(domain));
    }
    Ok(domains)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::app::{RecordVersion, SlotVersions};

    fn company(domain: Option<&str>, website: Option<&str>) -> Company {
        let field = |key: &str, text: Option<&str>| {
            text.map(|t| (key.parse().unwrap(), FieldValue::Text(t.to_owned())))
        };
        Company {
            id: "c".parse().unwrap(),
            version: RecordVersion::MIN,
            fields: [field("domain", domain), field("website", website)]
                .into_iter()
                .flatten()
                .collect(),
            slots: SlotVersions::default(),
        }
    }

    #[test]
    fn what_websites_name() {
        for (website, want) in [
            (
                "https://www.Example.co.uk:443/path?utm=1#x",
                Ok("example.co.uk"),
            ),
            ("WWW.acme.com./", Ok("acme.com")),
            ("//acme.com", Ok("acme.com")),
            ("münchen.de", Ok("xn--mnchen-3ya.de")),
            ("MÜNCHEN.DE", Ok("xn--mnchen-3ya.de")),
            ("https://acme.example", Ok("acme.example")),
            ("shop.eu.acme.com", Ok("acme.com")),
            ("acme.github.io", Ok("acme.github.io")),
            ("https://linkedin.com/", Ok("linkedin.com")),
            ("linkedin.com/company/x", Err(NoDomain::Profile)),
            ("https://de.linkedin.com/company/x", Err(NoDomain::Profile)),
            ("acme", Err(NoDomain::NotADomain)),
            ("192.168.0.1", Err(NoDomain::NotADomain)),
            ("http://[::1]/", Err(NoDomain::NotADomain)),
            ("jane@acme.com", Err(NoDomain::NotADomain)),
            ("acme .com", Err(NoDomain::NotADomain)),
            ("\u{7}", Err(NoDomain::NotADomain)),
            ("gmail.com", Err(NoDomain::FreeMail)),
            ("https://mail.gmx.net/x", Err(NoDomain::FreeMail)),
            ("co.uk", Err(NoDomain::PublicSuffix)),
            ("https://com/", Err(NoDomain::NotADomain)),
        ] {
            let got = CompanyDomains::of(Some(&company(None, Some(website))), None);
            let got = got.as_ref().map(|d| d.first().as_str()).map_err(|e| *e);
            assert_eq!(got, want, "{website:?}");
        }
    }

    #[test]
    fn the_address_counts_where_the_company_names_none() {
        let jane = Email::parse("jane@mail.acme.com").unwrap();
        let free = Email::parse("jane@gmail.com").unwrap();
        let all = |company: Option<&Company>, email: &Email| {
            CompanyDomains::of(company, Some(email)).map(|d| {
                d.all()
                    .iter()
                    .map(|d| d.as_str().to_owned())
                    .collect::<Vec<_>>()
            })
        };
        assert_eq!(all(None, &jane).unwrap(), ["acme.com", "mail.acme.com"]);
        assert_eq!(all(None, &free), Err(NoDomain::FreeMail));
        let other = company(Some("other.com"), Some("https://other.de/"));
        assert_eq!(all(Some(&other), &jane).unwrap(), ["other.com", "other.de"]);
        let page = company(None, Some("linkedin.com/company/acme"));
        assert_eq!(
            all(Some(&page), &jane).unwrap(),
            ["acme.com", "mail.acme.com"]
        );
        assert_eq!(all(Some(&page), &free), Err(NoDomain::Profile));
        let none = company(None, None);
        assert_eq!(
            CompanyDomains::of(Some(&none), None),
            Err(NoDomain::Missing)
        );
    }
}
