//! Domains of companies, in the one form in which they are compared.

/// The domain that a text names: without scheme, path, port and `www.`, in lower case, an international
/// one in its ASCII form. `None` when nothing is left.
pub fn normalised(text: &str) -> Option<String> {
    let text = text.trim();
    let host = text.split_once("://").map_or(text, |(_, rest)| rest);
    let host = host.split(['/', '?', '#', ':']).next().unwrap_or(host);
    let host = host.trim().trim_end_matches('.').to_lowercase();
    let host = host.strip_prefix("www.").unwrap_or(&host);
    let ascii = idna::domain_to_ascii(host).unwrap_or_else(|_| host.to_owned());
    (!ascii.is_empty() && ascii.len() <= 253 && !ascii.contains('\0')).then_some(ascii)
}

/// Domains at which anybody can have an address: they say nothing of where somebody works.
const FREE_MAIL: &[&str] = &[
    "126.com",
    "163.com",
    "aol.com",
    "bluewin.ch",
    "fastmail.com",
    "free.fr",
    "freenet.de",
    "gmail.com",
    "gmx.at",
    "gmx.ch",
    "gmx.com",
    "gmx.de",
    "gmx.net",
    "googlemail.com",
    "hey.com",
    "hotmail.com",
    "hotmail.co.uk",
    "hotmail.de",
    "hotmail.fr",
    "icloud.com",
    "inbox.com",
    "laposte.net",
    "libero.it",
    "live.com",
    "mac.com",
    "mail.com",
    "mail.ru",
    "me.com",
    "msn.com",
    "naver.com",
    "orange.fr",
    "outlook.com",
    "outlook.de",
    "proton.me",
    "protonmail.com",
    "qq.com",
    "rediffmail.com",
    "t-online.de",
    "tutanota.com",
    "web.de",
    "yahoo.co.uk",
    "yahoo.com",
    "yandex.ru",
    "zoho.com",
];

/// Whether anybody can have an address at a normalised domain, so that it is no company's.
pub fn is_free_mail(domain: &str) -> bool {
    FREE_MAIL.contains(&domain)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn one_domain_has_one_form() {
        for (text, domain) in [
            ("acme.example", Some("acme.example")),
            (" WWW.Acme.example ", Some("acme.example")),
            ("https://www.acme.example/about?x#y", Some("acme.example")),
            ("http://acme.example:8080", Some("acme.example")),
            ("b\u{fc}cher.example.", Some("xn--bcher-kva.example")),
            ("https://", None),
            ("  ", None),
        ] {
            assert_eq!(normalised(text).as_deref(), domain, "{text:?}");
        }
    }

    #[test]
    fn free_mail_domains_are_in_their_normal_form() {
        for domain in FREE_MAIL.iter().copied() {
            assert_eq!(normalised(domain).as_deref(), Some(domain));
            assert!(is_free_mail(domain));
        }
        assert!(!is_free_mail("acme.example"));
    }

    proptest! {
        #[test]
        fn normalising_twice_changes_nothing(text in "[a-z0-9.-]{1,30}") {
            if let Some(once) = normalised(&text)
                && !once.starts_with("www.")
            {
                prop_assert_eq!(normalised(&once), Some(once));
            }
        }
    }
}
