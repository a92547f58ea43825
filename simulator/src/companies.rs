//! Companies that HubSpot makes or associates by itself for new contacts.

use crate::{
    associations,
    model::{Data, Kind, Record},
    write,
};

/// Mail domains that are nobody's company.
const FREE: &[&str] = &[
    "gmail.com",
    "googlemail.com",
    "yahoo.com",
    "hotmail.com",
    "outlook.com",
    "live.com",
    "msn.com",
    "icloud.com",
    "me.com",
    "aol.com",
    "gmx.com",
    "gmx.de",
    "gmx.net",
    "web.de",
    "mail.com",
    "mail.ru",
    "yandex.ru",
    "protonmail.com",
    "proton.me",
    "qq.com",
    "163.com",
];

/// The host of an address, without `www.`.
pub(crate) fn host(address: &str) -> String {
    let rest = address.split_once("://").map_or(address, |(_, rest)| rest);
    let host = rest.split(['/', '?', '#', ':']).next().unwrap_or_default();
    let host = host.trim().to_ascii_lowercase();
    host.strip_prefix("www.").unwrap_or(&host).to_owned()
}

fn domain_of(data: &Data, record: &Record) -> Option<String> {
    let email = data.stored(record, "email");
    let domain = email
        .and_then(|e| e.rsplit_once('@'))
        .map(|(_, domain)| domain.to_ascii_lowercase())
        .filter(|domain| !FREE.contains(&domain.as_str()));
    domain
        .or_else(|| data.stored(record, "website").map(host))
        .filter(|domain| domain.contains('.'))
}

/// The live company of a domain, the oldest if there are several.
fn company_of(data: &Data, domain: &str) -> Option<u64> {
    let has = |id: u64| {
        data.is_live(Kind::Company, id)
            && data.record(Kind::Company, id).is_some_and(|r| {
                data.stored(r, "domain").is_some_and(|d| host(d) == domain)
                    || data
                        .stored(r, "hs_additional_domains")
                        .is_some_and(|all| all.split(';').any(|d| host(d) == domain))
            })
    };
    match data.domains.get(domain) {
        None => None,
        Some(id) if has(*id) => Some(*id),
        // The one that was known is gone or has another domain by now: there may be a second.
        Some(_) => data.records[Kind::Company as usize]
            .keys()
            .copied()
            .find(|id| has(*id)),
    }
}

/// `acme.example.com` → `Acme`.
fn name_of(domain: &str) -> String {
    let label = domain.split('.').next().unwrap_or_default();
    let mut letters = label.chars();
    letters
        .next()
        .map(|first| first.to_uppercase().chain(letters).collect())
        .unwrap_or_default()
}

/// Makes or associates the company of a contact.
pub(crate) fn make(data: &mut Data, contact: u64, now: i64) {
    let contact = data.resolve(Kind::Contact, contact);
    if !data.is_live(Kind::Contact, contact) {
        return;
    }
    let Some(domain) = data
        .record(Kind::Contact, contact)
        .and_then(|record| domain_of(data, record))
    else {
        return;
    };
    let company = company_of(data, &domain).unwrap_or_else(|| {
        let id = data.take_id();
        data.records[Kind::Company as usize].insert(id, Record::new(now, now));
        data.emit(|| crate::events::Event::Created {
            kind: Kind::Company,
            id,
            at: now,
        });
        let values = [
            ("domain", domain.clone()),
            ("name", name_of(&domain)),
            ("hs_object_source", "CRM_SETTING".to_owned()),
            ("hs_object_source_label", "CRM_SETTING".to_owned()),
            (
                "hs_object_source_id",
                "AutomaticallyCreateAndAssociateCompanies".to_owned(),
            ),
        ]
        .map(|(name, value)| (name.to_owned(), value));
        write::apply(data, Kind::Company, id, values.into(), now);
        id
    });
    let me = (Kind::Contact, contact);
    if associations::types_between(data, me, (Kind::Company, company)).is_some() {
        return;
    }
    let percent = data.settings.rules.auto_company_primary_percent;
    let has_primary = associations::primary_of(data, me, Kind::Company).is_some();
    let primary = !has_primary || data.rng.below(100) < percent;
    let types: &[u32] = if primary { &[1] } else { &[279] };
    associations::connect(data, me, (Kind::Company, company), types, now);
}
