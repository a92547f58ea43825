//! What a portal holds.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use crate::{
    events::{Event, Work},
    limits::Limits,
    records::{Lag, Records},
    rng::Rng,
    rules::Rules,
};

pub(crate) use crate::records::Record;

/// The types of records: the place of a type in arrays.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Kind {
    Contact = 0,
    Company = 1,
    Deal = 2,
    Ticket = 3,
    Email = 4,
    Call = 5,
    Meeting = 6,
    Note = 7,
    Task = 8,
    Communication = 9,
}

impl Kind {
    /// How many there are.
    pub(crate) const COUNT: usize = 10;

    pub(crate) const ALL: [Self; Self::COUNT] = [
        Self::Contact,
        Self::Company,
        Self::Deal,
        Self::Ticket,
        Self::Email,
        Self::Call,
        Self::Meeting,
        Self::Note,
        Self::Task,
        Self::Communication,
    ];

    /// What the counts of a portal have always covered.
    pub(crate) const CRM: [Self; 3] = [Self::Contact, Self::Company, Self::Deal];

    /// Every name that HubSpot takes in a path: plural, singular, type id.
    pub(crate) fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| {
            name == kind.type_id()
                || name.eq_ignore_ascii_case(kind.plural())
                || name.eq_ignore_ascii_case(kind.singular())
        })
    }

    pub(crate) const fn plural(self) -> &'static str {
        match self {
            Self::Contact => "contacts",
            Self::Company => "companies",
            Self::Deal => "deals",
            Self::Ticket => "tickets",
            Self::Email => "emails",
            Self::Call => "calls",
            Self::Meeting => "meetings",
            Self::Note => "notes",
            Self::Task => "tasks",
            Self::Communication => "communications",
        }
    }

    pub(crate) const fn singular(self) -> &'static str {
        match self {
            Self::Contact => "contact",
            Self::Company => "company",
            Self::Deal => "deal",
            Self::Ticket => "ticket",
            Self::Email => "email",
            Self::Call => "call",
            Self::Meeting => "meeting",
            Self::Note => "note",
            Self::Task => "task",
            Self::Communication => "communication",
        }
    }

    pub(crate) const fn type_id(self) -> &'static str {
        match self {
            Self::Contact => "0-1",
            Self::Company => "0-2",
            Self::Deal => "0-3",
            Self::Ticket => "0-5",
            Self::Email => "0-49",
            Self::Call => "0-48",
            Self::Meeting => "0-47",
            Self::Note => "0-46",
            Self::Task => "0-27",
            Self::Communication => "0-18",
        }
    }

    pub(crate) const fn is_engagement(self) -> bool {
        !matches!(
            self,
            Self::Contact | Self::Company | Self::Deal | Self::Ticket
        )
    }

    pub(crate) const fn last_modified(self) -> &'static str {
        match self {
            Self::Contact => "lastmodifieddate",
            _ => "hs_lastmodifieddate",
        }
    }

    pub(crate) const fn created(self) -> &'static str {
        if self.is_engagement() {
            "hs_createdate"
        } else {
            "createdate"
        }
    }

    /// The object whose scopes guard this type: activities use those of contacts.
    pub(crate) const fn scope(self) -> &'static str {
        match self {
            Self::Company => "companies",
            Self::Deal => "deals",
            Self::Ticket => "tickets",
            _ => "contacts",
        }
    }

    pub(crate) const fn default_properties(self) -> &'static [&'static str] {
        match self {
            Self::Contact => &[
                "createdate",
                "email",
                "firstname",
                "hs_object_id",
                "lastmodifieddate",
                "lastname",
            ],
            Self::Company => &[
                "createdate",
                "domain",
                "hs_lastmodifieddate",
                "hs_object_id",
                "name",
            ],
            Self::Deal => &[
                "amount",
                "closedate",
                "createdate",
                "dealname",
                "dealstage",
                "hs_lastmodifieddate",
                "hs_object_id",
                "pipeline",
            ],
            Self::Ticket => &[
                "content",
                "createdate",
                "hs_lastmodifieddate",
                "hs_object_id",
                "hs_pipeline",
                "hs_pipeline_stage",
                "hs_ticket_category",
                "hs_ticket_priority",
                "subject",
            ],
            _ => &["hs_createdate", "hs_lastmodifieddate", "hs_object_id"],
        }
    }
}

/// A value that a property had from a time on.
#[derive(Debug, Clone)]
pub(crate) struct Change {
    pub(crate) name: u16,
    pub(crate) at: i64,
    pub(crate) value: Box<str>,
}

/// A property definition.
#[derive(Debug, Clone)]
pub(crate) struct Property {
    pub(crate) name: String,
    pub(crate) label: String,
    pub(crate) kind: String,
    pub(crate) field_type: String,
    pub(crate) group_name: String,
    pub(crate) description: String,
    pub(crate) options: Vec<PropertyOption>,
    pub(crate) display_order: i64,
    pub(crate) has_unique_value: bool,
    pub(crate) hidden: bool,
    pub(crate) form_field: bool,
    pub(crate) calculated: bool,
    pub(crate) external_options: bool,
    pub(crate) read_only: bool,
    /// HubSpot's own; its definition cannot be changed.
    pub(crate) hubspot_defined: bool,
    pub(crate) created: i64,
    pub(crate) updated: i64,
    pub(crate) archived_at: Option<i64>,
}

impl Property {
    /// One that the portal made.
    pub(crate) fn custom(name: &str, kind: &str, group: &str) -> Self {
        Self {
            name: name.to_owned(),
            label: name.to_owned(),
            kind: kind.to_owned(),
            field_type: match kind {
                "number" => "number",
                "datetime" | "date" => "date",
                _ => "text",
            }
            .to_owned(),
            group_name: group.to_owned(),
            description: String::new(),
            options: Vec::new(),
            display_order: -1,
            has_unique_value: false,
            hidden: false,
            form_field: false,
            calculated: false,
            external_options: false,
            read_only: false,
            hubspot_defined: false,
            created: 1_700_000_000_000,
            updated: 1_700_000_000_000,
            archived_at: None,
        }
    }

    /// May a value be several options?
    pub(crate) fn is_multiple(&self) -> bool {
        self.kind == "enumeration" && self.field_type == "checkbox"
    }
}

/// An option of an enumeration.
#[derive(Debug, Clone)]
pub(crate) struct PropertyOption {
    pub(crate) label: String,
    pub(crate) value: String,
    pub(crate) description: Option<String>,
    pub(crate) display_order: i64,
    pub(crate) hidden: bool,
}

/// A group of properties.
#[derive(Debug, Clone)]
pub(crate) struct Group {
    pub(crate) label: String,
    pub(crate) display_order: i64,
    pub(crate) archived: bool,
}

/// An owner.
#[derive(Debug, Clone)]
pub(crate) struct Owner {
    pub(crate) id: u64,
    pub(crate) user_id: u64,
    pub(crate) email: String,
    pub(crate) first_name: String,
    pub(crate) last_name: String,
    pub(crate) archived: bool,
    /// Team ids with names; the first is the primary one.
    pub(crate) teams: Vec<(u64, String)>,
}

/// A stage of a pipeline.
#[derive(Debug, Clone)]
pub(crate) struct Stage {
    pub(crate) id: String,
    pub(crate) label: String,
    /// `probability` of a deal's stage, `ticketState` of a ticket's, `state` of a contact's.
    pub(crate) metadata: &'static str,
}

/// A pipeline.
#[derive(Debug, Clone)]
pub(crate) struct Pipeline {
    pub(crate) id: String,
    pub(crate) label: String,
    pub(crate) stages: Vec<Stage>,
}

/// A list.
#[derive(Debug, Clone)]
pub(crate) struct List {
    pub(crate) id: u64,
    pub(crate) name: String,
    pub(crate) kind: Kind,
    pub(crate) processing_type: &'static str,
    pub(crate) processing_status: String,
    /// Of MANUAL and SNAPSHOT lists, and of DYNAMIC ones without filters: who, since when.
    pub(crate) members: BTreeMap<u64, i64>,
    /// The root of the filters of a DYNAMIC or SNAPSHOT list.
    pub(crate) filters: Option<serde_json::Value>,
    pub(crate) created: i64,
    pub(crate) updated: i64,
    pub(crate) filters_updated: i64,
    pub(crate) deleted_at: Option<i64>,
    pub(crate) version: u64,
    /// The state of the records that the members of a DYNAMIC list were last worked out from.
    pub(crate) evaluated: Option<u64>,
}

impl List {
    /// One without members or filters.
    pub(crate) fn new(id: u64, name: String, kind: Kind, processing_type: &'static str) -> Self {
        const MADE: i64 = 1_700_000_000_000;
        Self {
            id,
            name,
            kind,
            processing_type,
            processing_status: "COMPLETE".to_owned(),
            members: BTreeMap::new(),
            filters: None,
            created: MADE,
            updated: MADE,
            filters_updated: MADE,
            deleted_at: None,
            version: 1,
            evaluated: None,
        }
    }
}

/// A label of associations that the portal made: one direction of it.
#[derive(Debug, Clone)]
pub(crate) struct Label {
    pub(crate) from: Kind,
    pub(crate) to: Kind,
    pub(crate) type_id: u32,
    /// The type of the other direction.
    pub(crate) inverse: u32,
    pub(crate) name: String,
    pub(crate) label: String,
    /// An integrator made it, not the portal.
    pub(crate) by_integrator: bool,
}

/// An association as seen from its first record: to which record, by which types.
pub(crate) type Links = BTreeMap<(Kind, u64), BTreeSet<u32>>;

/// Switches of a portal.
#[derive(Debug, Clone)]
pub(crate) struct Settings {
    pub(crate) name: String,
    /// None: switched off.
    pub(crate) limits: Option<Limits>,
    pub(crate) latency_ms: u64,
    /// How late the search index is, least and most.
    pub(crate) search_lag_ms: (i64, i64),
    /// A fresh record is found, is not found again, and then stays.
    pub(crate) search_flapping: bool,
    /// Filter groups that a search may have [U]: 5 or 6.
    pub(crate) search_filter_groups: usize,
    /// Whether the names of properties count towards the 3,000 characters of a search [U].
    pub(crate) search_counts_properties: bool,
    /// Whether NEQ, NOT_IN and NOT_CONTAINS_TOKEN find what has no value [U].
    pub(crate) search_negations_find_empty: bool,
    pub(crate) token_ttl_seconds: u64,
    pub(crate) rotate_refresh_tokens: bool,
    /// How long a refresh token works on that was replaced.
    pub(crate) old_refresh_token_seconds: u64,
    pub(crate) inline_association_page: usize,
    /// Scopes that the portal does not grant.
    pub(crate) denied_scopes: Vec<String>,
    /// Switches about records.
    pub(crate) rules: Rules,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            name: String::new(),
            limits: Some(Limits::default()),
            latency_ms: 0,
            search_lag_ms: (0, 0),
            search_flapping: false,
            search_filter_groups: 5,
            search_counts_properties: true,
            search_negations_find_empty: true,
            token_ttl_seconds: 1_800,
            rotate_refresh_tokens: true,
            old_refresh_token_seconds: 0,
            inline_association_page: 500,
            denied_scopes: Vec::new(),
            rules: Rules::default(),
        }
    }
}

/// The generation of the API that a path belongs to, the older ones first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Api {
    /// v1 to v3.
    V3,
    V4,
    /// Dated paths before 2026-09.
    Dated,
    /// From 2026-09 on: the portal's own rules hold, and dates are normalised.
    Validating,
}

impl Api {
    pub(crate) fn of(segments: &[&str]) -> Self {
        match segments {
            ["crm", "v4", ..] => Self::V4,
            ["crm", "v1" | "v2" | "v3", ..] => Self::V3,
            ["crm", _, version, ..] if *version >= "2026-09" && version.starts_with("20") => {
                Self::Validating
            }
            ["crm", _, version, ..] if version.starts_with("20") => Self::Dated,
            _ => Self::V3,
        }
    }
}

/// Who writes: the app, and whether it is HubSpot itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Actor {
    /// An app, by the id that HubSpot gave it.
    App(u64),
    /// HubSpot, or a person in its pages.
    HubSpot,
}

/// All of a portal's records.
#[derive(Debug)]
pub(crate) struct Data {
    /// The portal's id.
    pub(crate) portal: u64,
    pub(crate) settings: Settings,
    pub(crate) names: Vec<String>,
    pub(crate) name_ids: HashMap<String, u16>,
    pub(crate) records: [Records; Kind::COUNT],
    pub(crate) links: BTreeMap<(Kind, u64), Links>,
    /// Addresses of live contacts, the additional ones too, in lower case.
    pub(crate) emails: HashMap<String, u64>,
    /// Addresses that were erased or blocklisted.
    pub(crate) blocked_emails: HashSet<String>,
    /// Values of unique properties of live records.
    pub(crate) unique: HashMap<(Kind, u16), HashMap<Box<str>, u64>>,
    /// Companies by domain, as a hint: to be checked.
    pub(crate) domains: HashMap<Box<str>, u64>,
    /// Ids of records that were merged away, and what they are now.
    pub(crate) aliases: HashMap<(Kind, u64), u64>,
    /// Ids that were merged into a record, with the time.
    pub(crate) merged: HashMap<(Kind, u64), Vec<(u64, i64)>>,
    /// Values that were set after the first ones, and what they replaced, oldest first.
    pub(crate) history: HashMap<(Kind, u64), Vec<Change>>,
    /// Properties that can be seen and written.
    pub(crate) properties: [BTreeMap<String, Property>; Kind::COUNT],
    pub(crate) archived_properties: [BTreeMap<String, Property>; Kind::COUNT],
    pub(crate) groups: [BTreeMap<String, Group>; Kind::COUNT],
    pub(crate) owners: BTreeMap<u64, Owner>,
    pub(crate) pipelines: [Vec<Pipeline>; Kind::COUNT],
    pub(crate) lists: BTreeMap<u64, List>,
    pub(crate) labels: Vec<Label>,
    pub(crate) next_id: u64,
    /// What HubSpot will do by itself, by time and order.
    pub(crate) work: BTreeMap<(i64, u64), Work>,
    work_seq: u64,
    pub(crate) rng: Rng,
    /// Who the present request comes from.
    pub(crate) actor: Actor,
    /// The generation of the API that the present write came by.
    pub(crate) api: Api,
    /// Labels of associations that were deleted, with the time: for a while they count.
    pub(crate) deleted_labels: Vec<(Kind, Kind, i64)>,
    /// Counts changes of records and associations.
    pub(crate) changes: u64,
    /// Whether anybody wants events.
    pub(crate) listening: bool,
    pub(crate) events: Vec<(Actor, Event)>,
}

impl Data {
    pub(crate) fn new(settings: Settings, portal: u64, first_id: u64) -> Self {
        let mut data = Self {
            portal,
            settings,
            names: Vec::new(),
            name_ids: HashMap::new(),
            records: Default::default(),
            links: BTreeMap::new(),
            emails: HashMap::new(),
            blocked_emails: HashSet::new(),
            unique: HashMap::new(),
            domains: HashMap::new(),
            aliases: HashMap::new(),
            merged: HashMap::new(),
            history: HashMap::new(),
            properties: Default::default(),
            archived_properties: Default::default(),
            groups: Default::default(),
            owners: BTreeMap::new(),
            pipelines: crate::pipelines::defaults(),
            lists: BTreeMap::new(),
            labels: Vec::new(),
            next_id: first_id,
            work: BTreeMap::new(),
            work_seq: 0,
            rng: Rng::new(portal ^ 0x5eed_c0de),
            actor: Actor::HubSpot,
            api: Api::Validating,
            deleted_labels: Vec::new(),
            changes: 0,
            listening: false,
            events: Vec::new(),
        };
        data.set_lag();
        for kind in Kind::ALL {
            for property in crate::standard::properties(kind) {
                data.properties[kind as usize].insert(property.name.clone(), property);
            }
            data.groups[kind as usize] = crate::standard::groups(kind);
        }
        data
    }

    /// Makes the index as late as the settings say.
    pub(crate) fn set_lag(&mut self) {
        for kind in Kind::ALL {
            self.records[kind as usize].set_lag(Lag {
                range: self.settings.search_lag_ms,
                flapping: self.settings.search_flapping,
                rng: Rng::new(self.next_id ^ kind as u64),
            });
        }
    }

    /// Has something to be done by now?
    pub(crate) fn is_due(&self, now: i64) -> bool {
        self.work
            .first_key_value()
            .is_some_and(|((at, _), _)| *at <= now)
    }

    /// Does what is due.
    pub(crate) fn tick(&mut self, now: i64) {
        while self.is_due(now) {
            let Some(((at, _), work)) = self.work.pop_first() else {
                return;
            };
            let actor = std::mem::replace(&mut self.actor, Actor::HubSpot);
            match work {
                Work::CompanyFor(contact) => crate::companies::make(self, contact, at),
                Work::Reveal(kind, property) => crate::properties::reveal(self, kind, *property),
                Work::Processed(list) => crate::lists::processed(self, list),
            }
            self.actor = actor;
        }
    }

    pub(crate) fn plan(&mut self, at: i64, work: Work) {
        self.work_seq += 1;
        self.work.insert((at, self.work_seq), work);
    }

    pub(crate) fn emit(&mut self, event: impl FnOnce() -> Event) {
        if self.listening {
            self.events.push((self.actor, event()));
        }
    }

    pub(crate) fn record(&self, kind: Kind, id: u64) -> Option<&Record> {
        self.records[kind as usize].get(&id)
    }

    pub(crate) fn is_live(&self, kind: Kind, id: u64) -> bool {
        self.record(kind, id)
            .is_some_and(|r| r.archived_at.is_none() && r.raw.is_none())
    }

    /// The record that an id stands for, through merges.
    pub(crate) fn resolve(&self, kind: Kind, id: u64) -> u64 {
        if self.aliases.is_empty() {
            return id;
        }
        self.aliases.get(&(kind, id)).copied().unwrap_or(id)
    }

    /// A record was changed.
    pub(crate) fn touch(&mut self, kind: Kind, id: u64, now: i64) {
        if let Some(mut record) = self.records[kind as usize].get_mut(&id) {
            record.updated = now.max(record.updated);
        }
    }

    pub(crate) fn name_id(&mut self, name: &str) -> u16 {
        if let Some(id) = self.name_ids.get(name) {
            return *id;
        }
        let id = self.names.len() as u16;
        self.names.push(name.to_owned());
        self.name_ids.insert(name.to_owned(), id);
        id
    }

    pub(crate) fn take_id(&mut self) -> u64 {
        let id = self.next_id;
        self.next_id += 1;
        id
    }

    /// A value as the wire has it, the computed ones included.
    pub(crate) fn value(&self, kind: Kind, id: u64, record: &Record, name: &str) -> Option<String> {
        match name {
            "hs_object_id" => Some(id.to_string()),
            _ if name == kind.created() => Some(crate::answer::iso(record.created)),
            _ if name == kind.last_modified() => Some(crate::answer::iso(record.updated)),
            _ => match self.stored(record, name) {
                Some(value) => Some(value.to_owned()),
                None => crate::computed::value(self, kind, id, record, name),
            },
        }
    }

    pub(crate) fn stored<'a>(&self, record: &'a Record, name: &str) -> Option<&'a str> {
        record.values.get(*self.name_ids.get(name)?)
    }

    /// Puts a record in without asking: for seeds and loaders.
    pub(crate) fn insert(
        &mut self,
        kind: Kind,
        id: u64,
        values: &[(&str, String)],
        created: i64,
        updated: i64,
    ) {
        let mut stored = Vec::with_capacity(values.len());
        for (name, value) in values.iter().filter(|(_, value)| !value.is_empty()) {
            stored.push((self.name_id(name), value.as_str()));
        }
        let record = Record {
            values: stored.into_iter().collect(),
            ..Record::new(created, updated)
        };
        self.records[kind as usize].plant(id, record);
        self.enlist(kind, id);
    }

    /// Makes a record known by its addresses, unique values and domain.
    pub(crate) fn enlist(&mut self, kind: Kind, id: u64) {
        self.changes += 1;
        let Some(record) = self.records[kind as usize].get(&id) else {
            return;
        };
        for (name_id, value) in record.values.iter() {
            let name = self.names[usize::from(name_id)].as_str();
            match (kind, name) {
                (Kind::Contact, "email" | "hs_additional_emails") => {
                    for email in addresses(value) {
                        self.emails.insert(email, id);
                    }
                }
                (Kind::Company, "domain" | "hs_additional_domains") => {
                    for domain in value.split(';') {
                        self.domains
                            .entry(crate::companies::host(domain).into())
                            .or_insert(id);
                    }
                }
                _ => {
                    if let Some(known) = self.unique.get_mut(&(kind, name_id)) {
                        known.insert(value.into(), id);
                    }
                }
            }
        }
    }

    /// Frees the addresses and unique values of a record.
    pub(crate) fn delist(&mut self, kind: Kind, id: u64) {
        self.changes += 1;
        let Some(record) = self.records[kind as usize].get(&id) else {
            return;
        };
        for (name_id, value) in record.values.iter() {
            let name = self.names[usize::from(name_id)].as_str();
            if kind == Kind::Contact && matches!(name, "email" | "hs_additional_emails") {
                for email in addresses(value) {
                    if self.emails.get(&email) == Some(&id) {
                        self.emails.remove(&email);
                    }
                }
            } else if let Some(known) = self.unique.get_mut(&(kind, name_id))
                && known.get(value) == Some(&id)
            {
                known.remove(value);
            }
        }
    }

    /// Associates two records in both directions.
    pub(crate) fn link(&mut self, from: (Kind, u64), to: (Kind, u64), primary: bool) {
        let (there, back) = crate::associations::type_ids(from.0, to.0, primary);
        self.links
            .entry(from)
            .or_default()
            .entry(to)
            .or_default()
            .extend(there);
        self.links
            .entry(to)
            .or_default()
            .entry(from)
            .or_default()
            .extend(back);
    }
}

/// The addresses of a `;` list, in lower case.
pub(crate) fn addresses(list: &str) -> impl Iterator<Item = String> + '_ {
    list.split(';')
        .map(|email| email.trim().to_ascii_lowercase())
        .filter(|email| !email.is_empty())
}
