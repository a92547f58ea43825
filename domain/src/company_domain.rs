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

/// Domains at which anybody may have a mailbox, sorted by bytes; `data/README.md` says from where.
const FREE_MAIL: &str = include_str!("../data/free_mail.txt");

/// Whether a domain, in the form of [`normalised`], is one at which anybody may have a mailbox, or lies
/// below one: it is no company's (E3, I8).
pub fn is_free_mail(domain: &str) -> bool {
    static SORTED: std::sync::LazyLock<Vec<&str>> =
        std::sync::LazyLock::new(|| FREE_MAIL.lines().collect());
    let mut rest = domain;
    loop {
        if SORTED.binary_search(&rest).is_ok() {
            return true;
        }
        match rest.split_once('.') {
            Some((_, parent)) if parent.contains('.') => rest = parent,
            _ => return false,
        }
    }
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
    fn free_mail_is_no_companys() {
        for (domain, free) in [
            ("gmail.com", true),
            ("web.de", true),
            ("vip.qq.com", true),
            ("sub.gmx.net", true),
            ("acme.example", false),
            ("com", false),
            ("frontier.com", false),
            ("notgmail.com", false),
        ] {
            assert_eq!(is_free_mail(domain), free, "{domain}");
        }
        let all: Vec<&str> = FREE_MAIL.lines().collect();
        assert!(all.len() > 200 && all.is_sorted());
        for domain in all {
            assert_eq!(normalised(domain).as_deref(), Some(domain));
        }
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
