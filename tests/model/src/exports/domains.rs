//! By which domains a company is known (E3).

use super::ExportRule;

const MAILBOXES: &[&str] = &["gmail.com"];
const PAGES_OF_OTHERS: &[&str] = &["linkedin.com"];
/// Names below which anybody registers.
const OPEN: &[&str] = &["co.uk"];

/// The domain of a website, without what does not count.
fn host(text: &str) -> String {
    let text = text.trim().to_lowercase();
    // The scheme may be left out before the two slashes.
    let text = match text.split_once("//") {
        Some((scheme, rest)) if scheme.is_empty() || scheme.ends_with(':') => rest,
        _ => text.as_str(),
    };
    let end = text.find(['/', '?', '#', ':']).unwrap_or(text.len());
    let host = text[..end].trim_end_matches('.');
    host.strip_prefix("www.").unwrap_or(host).to_owned()
}

fn registered(host: &str) -> String {
    let labels: Vec<&str> = host.split('.').collect();
    let open = OPEN.iter().any(|open| host.ends_with(&format!(".{open}")));
    let keep = if open { 3 } else { 2 };
    labels[labels.len().saturating_sub(keep)..].join(".")
}

/// The domains that a text names: the registered one first, then the one that was given.
fn named(text: &str, without: Option<ExportRule>) -> Vec<String> {
    let host = host(text);
    let mailbox =
        MAILBOXES.contains(&host.as_str()) && without != Some(ExportRule::FreeMailIsNobodys);
    let page = PAGES_OF_OTHERS.contains(&host.as_str()) && text.contains("/company/");
    if !host.contains('.') || host.contains('@') || mailbox || page {
        return Vec::new();
    }
    if without == Some(ExportRule::RegisteredDomain) {
        return vec![host];
    }
    let registered = registered(&host);
    if registered == host {
        vec![host]
    } else {
        vec![registered, host]
    }
}

/// All domains of a company, the one that a new company gets first: those of its fields, else that of
/// the person's address.
pub(crate) fn all(
    fields: &[Option<&str>],
    address: &str,
    without: Option<ExportRule>,
) -> Vec<String> {
    let mut all: Vec<String> = Vec::new();
    if without != Some(ExportRule::WebsiteFirst) {
        for text in fields.iter().flatten() {
            all.extend(named(text, without));
        }
    }
    if all.is_empty() {
        let domain = address.split_once('@').map_or("", |(_, domain)| domain);
        all = named(domain, without);
    }
    all
}

/// The one form of a domain of HubSpot's.
pub(super) fn plain(text: &str) -> String {
    host(text)
}
