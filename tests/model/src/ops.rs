//! Operations and answers, and how random numbers become operations.

use std::collections::BTreeMap;

use crate::state::{Kind, Link, Model};

/// Names a record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Key {
    /// By id.
    Id(u64),
    /// By e-mail (contacts).
    Email(String),
    /// By our unique property.
    Ours(String),
}

/// A search.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Filter {
    /// A text property is this one, whatever its case.
    Equals(&'static str, String),
    /// A text property is one of these.
    OneOf(&'static str, Vec<String>),
    /// There is a value.
    Known(&'static str),
    /// There is none.
    Unknown(&'static str),
    /// Ids beyond this one.
    IdAfter(u64),
    /// Associated with this contact.
    OfContact(u64),
}

/// Names to values; an empty value clears.
pub(crate) type Values = BTreeMap<String, String>;

/// An operation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Op {
    Create {
        kind: Kind,
        values: Values,
        company: Option<u64>,
    },
    Update {
        kind: Kind,
        id: u64,
        values: Values,
    },
    Get {
        kind: Kind,
        id: u64,
    },
    Archive {
        kind: Kind,
        id: u64,
    },
    BatchCreate {
        kind: Kind,
        inputs: Vec<Values>,
    },
    BatchUpdate {
        kind: Kind,
        inputs: Vec<(u64, Values)>,
    },
    BatchUpsert {
        kind: Kind,
        by_email: bool,
        inputs: Vec<(String, Values)>,
    },
    BatchRead {
        kind: Kind,
        keys: Vec<Key>,
    },
    BatchArchive {
        kind: Kind,
        ids: Vec<u64>,
    },
    Merge {
        kind: Kind,
        primary: u64,
        other: u64,
    },
    Erase {
        id: u64,
    },
    Associate {
        links: Vec<Link>,
    },
    Dissociate {
        links: Vec<Link>,
    },
    Associations {
        from: Kind,
        to: Kind,
        ids: Vec<u64>,
    },
    Search {
        kind: Kind,
        filter: Filter,
    },
    List {
        kind: Kind,
        archived: bool,
    },
}

/// A record as an answer shows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Seen {
    /// Its id.
    pub id: u64,
    /// The properties that were asked for; empty ones are left out.
    pub values: Values,
    /// Last modified, in milliseconds.
    pub updated: i64,
    /// Whether it is in the recycle bin.
    pub archived: bool,
}

/// Why something was not done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Refusal {
    /// There is no such record.
    NotFound,
    /// A batch was answered without a word about it.
    NotMentioned,
    /// The value is taken, by this record if HubSpot says so.
    Conflict(Option<u64>),
    /// The request is wrong, in this property if HubSpot says so.
    Invalid(Option<String>),
    /// Anything else, which no rule allows.
    Other(String),
}

/// A record of an upsert.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Upserted {
    /// The record.
    pub seen: Seen,
    /// Whether it is new.
    pub created: Option<bool>,
}

/// What came of an operation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer {
    /// One record (create, update, get, merge).
    Record(Result<Seen, Refusal>),
    /// Nothing to see (archive, erase).
    Done(Result<(), Refusal>),
    /// One for each input of a batch.
    Records(Vec<Result<Seen, Refusal>>),
    /// One for each input of an upsert.
    Upserts(Vec<Result<Upserted, Refusal>>),
    /// One for each input of a batch that shows nothing.
    Dones(Vec<Result<(), Refusal>>),
    /// Associations: from, to.
    Links(Vec<(u64, u64)>),
    /// Records in the order in which they came.
    Page(Vec<Seen>),
}

/// Random numbers that an operation is made of, so that a failure can be made smaller.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Raw {
    /// Which operation.
    pub what: u8,
    /// Which type.
    pub kind: u8,
    /// How many inputs.
    pub many: u8,
    /// Everything else.
    pub seed: u64,
}

/// Makes operations of numbers, as the portal stands.
#[derive(Debug)]
pub struct Decode<'a> {
    model: &'a Model,
    seed: u64,
}

const FIRST: [&str; 5] = ["Ada", "ada", "Grace", "Åsa", "Bo"];
const STATUS: [&str; 3] = ["NEW", "OPEN", "IN_PROGRESS"];
const CHOICES: [&str; 4] = ["red", "green", "red;green", ";blue"];

impl<'a> Decode<'a> {
    /// The operation that these numbers mean.
    pub fn op(model: &'a Model, raw: Raw) -> Op {
        let mut decode = Self {
            model,
            seed: raw.seed,
        };
        let kind = Kind::ALL[usize::from(raw.kind) % 4];
        let many = usize::from(raw.many % 6) + 1;
        decode.make(raw.what, kind, many)
    }

    /// The next number below `below`.
    fn next(&mut self, below: usize) -> usize {
        // splitmix64
        self.seed = self.seed.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.seed;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^= z >> 31;
        usize::try_from(z % (below.max(1) as u64)).unwrap_or(0)
    }

    fn chance(&mut self, percent: usize) -> bool {
        self.next(100) < percent
    }

    fn pick<'b>(&mut self, from: &[&'b str]) -> &'b str {
        from[self.next(from.len())]
    }

    fn pick_id(&mut self, from: &[u64]) -> Option<u64> {
        if from.is_empty() {
            None
        } else {
            Some(from[self.next(from.len())])
        }
    }

    fn make(&mut self, what: u8, kind: Kind, many: usize) -> Op {
        match what % 20 {
            0..=2 => Op::Create {
                kind,
                values: self.values(kind, true),
                company: if kind == Kind::Contact && self.chance(30) {
                    let all = self.model.live_ids(Kind::Company);
                    self.pick_id(&all)
                } else {
                    None
                },
            },
            3 | 4 => Op::Update {
                kind,
                id: self.any_id(kind),
                values: self.values(kind, false),
            },
            5 => Op::Get {
                kind,
                id: self.any_id(kind),
            },
            6 => match self.live_id(kind) {
                Some(id) => Op::Archive { kind, id },
                None => self.list(kind),
            },
            7 | 8 => Op::BatchCreate {
                kind,
                inputs: (0..many).map(|_| self.values(kind, true)).collect(),
            },
            9 => Op::BatchUpdate {
                kind,
                inputs: (0..many)
                    .map(|_| (self.any_id(kind), self.values(kind, false)))
                    .collect(),
            },
            10 | 11 => self.upsert(kind, many),
            12 => Op::BatchRead {
                kind,
                keys: (0..many).map(|_| self.key(kind)).collect(),
            },
            13 => {
                let ids: Vec<u64> = (0..many.min(3))
                    .filter_map(|_| self.live_id(kind))
                    .collect();
                if ids.is_empty() {
                    self.list(kind)
                } else {
                    Op::BatchArchive { kind, ids }
                }
            }
            14 => self.merge(kind),
            15 => match self.live_id(Kind::Contact) {
                Some(id) if self.chance(50) => Op::Erase { id },
                _ => self.search(kind),
            },
            16 => self.links(many, true),
            17 => self.links(many, false),
            18 => {
                let to = Kind::ALL[self.next(4)];
                if to == kind {
                    return self.list(kind);
                }
                let ids = self.model.live_ids(kind);
                Op::Associations {
                    from: kind,
                    to,
                    ids,
                }
            }
            _ => self.search(kind),
        }
    }

    fn list(&mut self, kind: Kind) -> Op {
        let archived = self.chance(30);
        Op::List { kind, archived }
    }

    fn live_id(&mut self, kind: Kind) -> Option<u64> {
        let all = self.model.live_ids(kind);
        self.pick_id(&all)
    }

    /// Mostly a live one; else one that was merged away, archived, or never was.
    fn any_id(&mut self, kind: Kind) -> u64 {
        let live = self.live_id(kind);
        let merged = self.model.merged_away(kind);
        let archived = self.model.archived_ids(kind);
        let other = match self.next(10) {
            0 | 1 => self.pick_id(&merged),
            2 => self.pick_id(&archived),
            3 => Some(7_777_777_777_777),
            _ => None,
        };
        other.or(live).unwrap_or(7_777_777_777_777)
    }

    /// An e-mail of a small number of people, in some case; none whose state the notes leave open.
    fn email(&mut self) -> Option<String> {
        for _ in 0..4 {
            let n = self.next(9);
            let email = format!("p{n}@example.com");
            if !self.model.retired.contains(&email) {
                return Some(if self.chance(25) {
                    email.to_uppercase()
                } else {
                    email
                });
            }
        }
        None
    }

    fn ours(&mut self) -> Option<String> {
        for _ in 0..4 {
            let key = format!("k{}", self.next(9));
            if !self.model.retired.contains(&key) {
                return Some(key);
            }
        }
        None
    }

    fn key(&mut self, kind: Kind) -> Key {
        match self.next(3) {
            0 if kind == Kind::Contact => self.email().map(Key::Email),
            1 => self.ours().map(Key::Ours),
            _ => None,
        }
        .unwrap_or_else(|| Key::Id(self.any_id(kind)))
    }

    fn values(&mut self, kind: Kind, new: bool) -> Values {
        let mut values = Values::new();
        let mut set = |name: &str, value: String| values.insert(name.to_owned(), value);
        let first = self.pick(&FIRST).to_owned();
        match kind {
            Kind::Contact => {
                set("firstname", first);
                if self.chance(if new { 70 } else { 20 })
                    && let Some(email) = self.email()
                {
                    set("email", email);
                }
                if self.chance(30) {
                    let n = self.next(3);
                    set("phone", ["", "+4915112345", "555"][n].to_owned());
                }
                if self.chance(20) {
                    set("hs_lead_status", self.pick(&STATUS).to_owned());
                }
                if self.chance(20) {
                    set("model_choice", self.pick(&CHOICES).to_owned());
                }
                if self.chance(20) {
                    let n = self.next(3);
                    set("model_number", ["1", "2.5", ""][n].to_owned());
                }
            }
            Kind::Company => {
                set("name", first);
                if self.chance(50) {
                    let n = self.next(4);
                    set("domain", format!("c{n}.example.com"));
                }
            }
            Kind::Deal => {
                set("dealname", first);
                if new {
                    set("pipeline", "default".to_owned());
                    set("dealstage", "appointmentscheduled".to_owned());
                }
                if self.chance(30) {
                    let n = self.next(100);
                    set("amount", n.to_string());
                }
            }
            Kind::Note => {
                set("hs_note_body", first);
                if new && !self.chance(8) {
                    set("hs_timestamp", "2026-01-02T03:04:05.678Z".to_owned());
                }
            }
        }
        if self.chance(if new { 35 } else { 15 })
            && let Some(key) = self.ours()
        {
            values.insert("model_key".to_owned(), key);
        }
        if self.chance(8) {
            let (name, value) = match (kind, self.next(3)) {
                (Kind::Contact, 0) => ("hs_lead_status", "NO_SUCH_OPTION"),
                (Kind::Contact, 1) => ("email", "not an address"),
                (Kind::Contact, _) => ("model_number", "many"),
                // The notes do not agree on what an update does with it.
                _ if new => ("no_such_property", "x"),
                _ => return values,
            };
            values.insert(name.to_owned(), value.to_owned());
        }
        values
    }

    fn upsert(&mut self, kind: Kind, many: usize) -> Op {
        let by_email = kind == Kind::Contact && self.chance(50);
        let mut inputs = Vec::new();
        for _ in 0..many {
            let key = if by_email { self.email() } else { self.ours() };
            let Some(key) = key else { continue };
            let mut values = self.values(kind, true);
            // What an upsert does with another value of its key, and by e-mail with a bad one, is
            // left open.
            values.remove(if by_email { "email" } else { "model_key" });
            // Answers do not show the e-mail. Where results bear no trace ids either, nobody can tell
            // inputs with the same values apart, and the client says so.
            if by_email {
                values.insert("model_number".to_owned(), inputs.len().to_string());
            }
            inputs.push((key, values));
        }
        if inputs.is_empty() {
            return self.list(kind);
        }
        Op::BatchUpsert {
            kind,
            by_email,
            inputs,
        }
    }

    fn merge(&mut self, kind: Kind) -> Op {
        let kind = if matches!(kind, Kind::Note) {
            Kind::Contact
        } else {
            kind
        };
        match (self.live_id(kind), self.live_id(kind)) {
            (Some(primary), Some(other)) if primary != other => Op::Merge {
                kind,
                primary,
                other,
            },
            _ => self.list(kind),
        }
    }

    fn links(&mut self, many: usize, make: bool) -> Op {
        let pairs = [
            (Kind::Contact, Kind::Company),
            (Kind::Company, Kind::Contact),
            (Kind::Contact, Kind::Deal),
            (Kind::Deal, Kind::Company),
            (Kind::Note, Kind::Contact),
        ];
        let (from_kind, to_kind) = pairs[self.next(pairs.len())];
        let mut links = Vec::new();
        for _ in 0..many {
            let from = self.live_id(from_kind);
            let to = if make && self.chance(10) {
                Some(7_777_777_777_777)
            } else {
                self.live_id(to_kind)
            };
            if let (Some(from), Some(to)) = (from, to) {
                links.push(Link {
                    from_kind,
                    from,
                    to_kind,
                    to,
                });
            }
        }
        if links.is_empty() {
            return self.list(from_kind);
        }
        if make {
            Op::Associate { links }
        } else {
            Op::Dissociate { links }
        }
    }

    fn search(&mut self, kind: Kind) -> Op {
        let text = match kind {
            Kind::Contact => "firstname",
            Kind::Company => "name",
            Kind::Deal => "dealname",
            Kind::Note => return self.list(kind),
        };
        let value = self.pick(&FIRST).to_uppercase();
        let filter = match self.next(6) {
            0 => Filter::Equals(text, value),
            1 => Filter::OneOf(text, vec![value, self.pick(&FIRST).to_owned()]),
            2 => Filter::Known("model_key"),
            3 => Filter::Unknown("model_key"),
            4 => Filter::IdAfter(self.live_id(kind).unwrap_or(0)),
            _ => match self.live_id(Kind::Contact) {
                Some(id) if kind != Kind::Contact => Filter::OfContact(id),
                _ => Filter::Known(text),
            },
        };
        Op::Search { kind, filter }
    }
}
