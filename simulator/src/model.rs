//! What a portal holds.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use serde::{Deserialize, Serialize};

use crate::{
    records::{Lag, Records},
    rng::Rng,
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

/// A property definition.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Property {
    pub(crate) name: String,
    pub(crate) label: String,
    #[serde(rename = "type")]
    pub(crate) kind: String,
    pub(crate) field_type: String,
    #[serde(default)]
    pub(crate) group_name: String,
    #[serde(default)]
    pub(crate) options: Vec<PropertyOption>,
    #[serde(default)]
    pub(crate) has_unique_value: bool,
    #[serde(default)]
    pub(crate) read_only: bool,
}

/// An option of an enumeration.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct PropertyOption {
    pub(crate) label: String,
    pub(crate) value: String,
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
}

/// A stage of the one deal pipeline.
#[derive(Debug, Clone)]
pub(crate) struct Stage {
    pub(crate) id: String,
    pub(crate) label: String,
    pub(crate) probability: &'static str,
}

/// A list.
#[derive(Debug, Clone)]
pub(crate) struct List {
    pub(crate) id: u64,
    pub(crate) name: String,
    pub(crate) kind: Kind,
    pub(crate) processing_type: &'static str,
    pub(crate) processing_status: String,
    pub(crate) members: BTreeMap<u64, i64>,
}

/// An association as seen from its first record: to which record, by which types.
pub(crate) type Links = BTreeMap<(Kind, u64), BTreeSet<u32>>;

/// Limits of a portal.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Limits {
    pub(crate) ten_secondly: u32,
    pub(crate) search_secondly: u32,
    pub(crate) associations_ten_secondly: u32,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            ten_secondly: 110,
            search_secondly: 5,
            associations_ten_secondly: 100,
        }
    }
}

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
    /// Whether NEQ, NOT_IN and NOT_CONTAINS_TOKEN find what has no value [U].
    pub(crate) search_negations_find_empty: bool,
    pub(crate) token_ttl_seconds: u64,
    pub(crate) rotate_refresh_tokens: bool,
    pub(crate) inline_association_page: usize,
    /// Scopes that the portal does not grant.
    pub(crate) denied_scopes: Vec<String>,
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
            search_negations_find_empty: true,
            token_ttl_seconds: 1_800,
            rotate_refresh_tokens: true,
            inline_association_page: 500,
            denied_scopes: Vec::new(),
        }
    }
}

/// All of a portal's records.
#[derive(Debug)]
pub(crate) struct Data {
    pub(crate) settings: Settings,
    pub(crate) names: Vec<String>,
    pub(crate) name_ids: HashMap<String, u16>,
    pub(crate) records: [Records; Kind::COUNT],
    pub(crate) links: BTreeMap<(Kind, u64), Links>,
    pub(crate) emails: HashMap<String, u64>,
    pub(crate) properties: [BTreeMap<String, Property>; Kind::COUNT],
    pub(crate) owners: BTreeMap<u64, Owner>,
    pub(crate) stages: Vec<Stage>,
    pub(crate) lists: BTreeMap<u64, List>,
    pub(crate) next_id: u64,
}

impl Data {
    pub(crate) fn new(settings: Settings, first_id: u64) -> Self {
        let mut data = Self {
            settings,
            names: Vec::new(),
            name_ids: HashMap::new(),
            records: Default::default(),
            links: BTreeMap::new(),
            emails: HashMap::new(),
            properties: Default::default(),
            owners: BTreeMap::new(),
            stages: crate::properties::default_stages(),
            lists: BTreeMap::new(),
            next_id: first_id,
        };
        data.set_lag();
        for kind in Kind::ALL {
            for property in crate::properties::standard(kind) {
                data.properties[kind as usize].insert(property.name.clone(), property);
            }
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
            _ => self.stored(record, name).map(str::to_owned),
        }
    }

    pub(crate) fn stored<'a>(&self, record: &'a Record, name: &str) -> Option<&'a str> {
        let id = self.name_ids.get(name)?;
        record.values.get(*id)
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
        for (name, value) in values {
            if value.is_empty() {
                continue;
            }
            if *name == "email" {
                self.emails.insert(value.to_ascii_lowercase(), id);
            }
            stored.push((self.name_id(name), value.as_str()));
        }
        self.records[kind as usize].plant(
            id,
            Record {
                values: stored.into_iter().collect(),
                ..Record::new(created, updated)
            },
        );
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
