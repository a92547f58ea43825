//! What becomes of people's activities on HubSpot's timeline, computed naively from `product.md` and the
//! notes on HubSpot's API alone (E1, E7, E8, X1). One thing after the other: what ends differently in
//! another order is not asked about.

mod compare;
mod entry;
mod rule;

use std::collections::{BTreeMap, BTreeSet};

pub use compare::{Portal, SeenContact, SeenEngagement};
pub use entry::Entry;
pub use rule::TimelineRule;

use crate::exports::{ExportRule, Policy, domains};

/// A kind of activity.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[allow(missing_docs, reason = "the names say it")]
pub enum Kind {
    Email,
    Message,
    Request,
    Call,
    Meeting,
    Note,
    Task,
}

impl Kind {
    /// All seven.
    pub const ALL: [Self; 7] = [
        Self::Email,
        Self::Message,
        Self::Request,
        Self::Call,
        Self::Meeting,
        Self::Note,
        Self::Task,
    ];
}

/// What happened. Each kind has its own of this; times are milliseconds since 1970.
#[derive(Debug, Clone, PartialEq)]
pub struct Happened {
    /// Which kind.
    pub kind: Kind,
    /// When it happened.
    pub at: i64,
    /// Who acted.
    pub member: Option<&'static str>,
    /// Came from the person: e-mails, messages, calls.
    pub incoming: bool,
    /// Subject or title: e-mails, calls, meetings, tasks.
    pub title: String,
    /// What it says.
    pub text: String,
    /// What HTML has besides, and nobody is to see: e-mails, notes.
    pub hidden: Option<&'static str>,
    /// Whom an e-mail is from and to.
    pub parties: [String; 2],
    /// Whether a connection request was accepted.
    pub accepted: bool,
    /// Where the recording of a call is.
    pub recording: Option<String>,
    /// How long a call took, in milliseconds.
    pub duration: Option<u32>,
    /// Whether somebody answered a call.
    pub answered: Option<bool>,
    /// When a meeting begins, and ends.
    pub span: [i64; 2],
    /// Where a meeting is.
    pub place: Option<String>,
    /// When a task is due.
    pub due: Option<i64>,
    /// Whether a task is done.
    pub done: bool,
    /// Whether a task is urgent.
    pub urgent: bool,
}

/// An activity as the app sends it.
#[derive(Debug, Clone, PartialEq)]
pub struct Sent {
    /// The app's id.
    pub id: String,
    /// Which version.
    pub version: u64,
    /// About whom.
    pub person: String,
    /// What happened; none: the app deleted it.
    pub happened: Option<Happened>,
}

/// Somebody in the app.
#[derive(Debug, Clone, Default, PartialEq)]
#[allow(missing_docs, reason = "the names say it")]
pub struct Person {
    pub id: String,
    pub email: Option<String>,
    pub status: Option<&'static str>,
    /// Milliseconds since 1970, as the next two.
    pub contacted: Option<i64>,
    pub replied: Option<i64>,
    pub positively: Option<i64>,
}

/// The settings of the workspace.
#[derive(Debug, Clone, PartialEq)]
pub struct Settings {
    /// Who is exported by itself.
    pub policy: Policy,
    /// Since when, as facts of people.
    pub since: i64,
    /// What stands in front of each activity.
    pub label: &'static str,
    /// What stands there for a kind that has its own.
    pub labels: BTreeMap<Kind, &'static str>,
    /// Kinds that are not logged.
    pub off: BTreeSet<Kind>,
    /// Whether what the app deletes is archived.
    pub archive: bool,
    /// Whose is what nobody's owner did.
    pub fallback: Option<u64>,
}

/// Something happens: in the app, but for the last two.
#[derive(Debug, Clone, PartialEq)]
#[allow(missing_docs, reason = "the names say it")]
pub enum Op {
    Save(Settings),
    Person(Person),
    Activity(Sent),
    /// One lead is exported by hand.
    Export(String),
    /// An admin confirms a bulk export.
    Bulk {
        people: Vec<String>,
        earlier: bool,
    },
    /// Somebody in HubSpot gives an engagement to another owner.
    TakenOver {
        activity: String,
        owner: u64,
    },
    /// Somebody in HubSpot merges the contacts of two people.
    Merged {
        primary: String,
        other: String,
    },
}

/// How an activity stands when it is quiet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs, reason = "the names say it")]
pub enum Stands {
    WaitsForThePerson,
    Logged,
    Off,
    Deleted,
}

/// An activity and what HubSpot has of it.
#[derive(Debug, Clone)]
pub struct Told {
    /// Its newest version.
    pub newest: Sent,
    /// How it stands.
    pub stands: Stands,
    entries: Vec<Entry>,
}

impl Told {
    /// Whether HubSpot has it.
    pub fn is_there(&self) -> bool {
        !self.entries.is_empty()
    }
}

/// A workspace, and what its portal has from it.
#[derive(Debug, Clone)]
pub struct Timelines {
    /// The owner of each team member that has one.
    pub owners: BTreeMap<&'static str, u64>,
    /// None before an admin saved them.
    pub settings: Option<Settings>,
    /// The app's people.
    pub people: BTreeMap<String, Person>,
    /// The app's activities.
    pub activities: BTreeMap<String, Told>,
    without: Option<TimelineRule>,
    of: BTreeMap<String, Vec<String>>,
    exported: BTreeSet<String>,
    /// Addresses whose contact was merged into that of another.
    merged: BTreeMap<String, String>,
    /// The status that each contact has, by its address.
    statuses: BTreeMap<String, &'static str>,
}

/// Why somebody is exported.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Why {
    Policy,
    Bulk { earlier: bool },
    ByHand,
}

impl Timelines {
    /// A workspace that has not exported anything, with a rule left out if one is named.
    pub fn new(owners: BTreeMap<&'static str, u64>, without: Option<TimelineRule>) -> Self {
        Self {
            owners,
            settings: None,
            people: BTreeMap::new(),
            activities: BTreeMap::new(),
            without,
            of: BTreeMap::new(),
            exported: BTreeSet::new(),
            merged: BTreeMap::new(),
            statuses: BTreeMap::new(),
        }
    }

    /// The same with all this done.
    #[must_use]
    pub fn after<'o>(mut self, ops: impl IntoIterator<Item = &'o Op>) -> Self {
        for op in ops {
            self.step(op);
        }
        self
    }

    fn left_out(&self, rule: TimelineRule) -> bool {
        self.without == Some(rule)
    }

    /// Whether somebody was exported.
    pub fn is_exported(&self, person: &str) -> bool {
        self.exported.contains(person)
    }

    /// Whether somebody's contact was merged with another.
    pub fn is_merged(&self, person: &str) -> bool {
        let email = self.people[person].email.as_deref();
        let mut pairs = self.merged.iter();
        pairs.any(|(gone, into)| [gone, into].map(|e| Some(e.as_str())).contains(&email))
    }

    /// The status that somebody's contact has.
    pub fn status_of(&self, person: &str) -> Option<&'static str> {
        let email = self.people[person].email.as_ref()?;
        self.statuses.get(email).copied()
    }

    /// One thing happens, and all that follows from it.
    pub fn step(&mut self, op: &Op) {
        use TimelineRule as R;
        match op {
            Op::Save(settings) => self.settings = Some(settings.clone()),
            Op::Person(person) => self.person(person),
            Op::Activity(sent) => self.activity(sent),
            Op::Export(person) => self.export(person, Why::ByHand),
            Op::Bulk { people, earlier } => {
                let earlier = *earlier && !self.left_out(R::ConfirmedBulk);
                for person in people {
                    self.export(person, Why::Bulk { earlier });
                }
            }
            Op::TakenOver { activity, owner } => {
                let told = self.activities.get_mut(activity);
                for entry in told.into_iter().flat_map(|told| &mut told.entries) {
                    entry.owner = Some(*owner);
                }
            }
            Op::Merged { primary, other } => self.merge(primary, other),
        }
    }

    fn person(&mut self, after: &Person) {
        let before = self.people.insert(after.id.clone(), after.clone());
        let facts = |p: &Person| (p.contacted, p.replied, p.positively);
        if before.is_none_or(|before| facts(&before) != facts(after)) {
            self.export(&after.id, Why::Policy);
        }
        if self.is_exported(&after.id) {
            self.push_status(&after.id);
        }
    }

    /// Who has the contact's primary address owns its values.
    fn push_status(&mut self, id: &str) {
        let person = &self.people[id];
        let (Some(email), Some(status)) = (&person.email, person.status) else {
            return;
        };
        if self.left_out(TimelineRule::StatusIsPushed) {
            return;
        }
        match self.merged.get(email) {
            None => {
                self.statuses.insert(email.clone(), status);
            }
            Some(into) if self.left_out(TimelineRule::OneOwnsTheStatus) => {
                self.statuses.insert(into.clone(), status);
            }
            Some(_) => {}
        }
    }

    fn goes(&self, person: &Person, why: Why) -> bool {
        use TimelineRule as R;
        if person.email.is_none() && !self.left_out(R::NoEmail) {
            return false;
        }
        let Some(settings) = &self.settings else {
            return self.left_out(R::NothingBeforeSettings);
        };
        let facts = [person.contacted, person.replied, person.positively];
        let policy = if self.left_out(R::Policy) {
            Policy::Contacted
        } else {
            settings.policy
        };
        match (why, policy.qualified(facts)) {
            (Why::ByHand, _) if !self.left_out(R::ByHandWhateverThePolicy) => true,
            (Why::Bulk { .. }, None) => self.left_out(R::BulkKeepsThePolicy),
            (_, None) => false,
            (Why::Bulk { earlier: true }, Some(_)) => true,
            (_, Some(at)) => at >= settings.since || self.left_out(R::QualifiedEarlier),
        }
    }

    fn export(&mut self, id: &str, why: Why) {
        if self.is_exported(id) || !self.goes(&self.people[id], why) {
            return;
        }
        self.exported.insert(id.to_owned());
        self.push_status(id);
        if self.left_out(TimelineRule::WaitingFollows) {
            return;
        }
        for activity in self.of.get(id).cloned().unwrap_or_default() {
            if self.activities[&activity].stands == Stands::WaitsForThePerson {
                self.log(&activity);
            }
        }
    }

    fn activity(&mut self, sent: &Sent) {
        match self.activities.get_mut(&sent.id) {
            Some(told) => {
                let newer = sent.version > told.newest.version;
                let passed_by = match (&told.newest.happened, &sent.happened) {
                    _ if !newer => self.without != Some(TimelineRule::NewestVersion),
                    (Some(_), None) if told.entries.is_empty() => {
                        self.without == Some(TimelineRule::DeletedIsNotLogged)
                    }
                    (None, Some(_)) => self.without == Some(TimelineRule::RestoredComesBack),
                    _ => false,
                };
                if passed_by {
                    return;
                }
                told.newest = sent.clone();
            }
            None => {
                let told = Told {
                    newest: sent.clone(),
                    stands: Stands::WaitsForThePerson,
                    entries: Vec::new(),
                };
                self.activities.insert(sent.id.clone(), told);
                let of = self.of.entry(sent.person.clone()).or_default();
                of.push(sent.id.clone());
            }
        }
        self.log(&sent.id);
    }

    /// Brings HubSpot up to what the app says of an activity.
    fn log(&mut self, id: &str) {
        use TimelineRule as R;
        let Told {
            newest,
            mut entries,
            ..
        } = self.activities[id].clone();
        let waits = !self.is_exported(&newest.person) && !self.left_out(R::WaitsForThePerson);
        let settings = self.settings.clone();
        let stands = match (&newest.happened, settings) {
            (None, _) if entries.is_empty() => Stands::Deleted,
            _ if waits => Stands::WaitsForThePerson,
            (_, None) => Stands::WaitsForThePerson,
            (None, Some(settings)) => {
                let archives = settings.archive && !self.left_out(R::DeletedIsArchived)
                    || self.left_out(R::DeletedStays);
                if archives {
                    entries.clear();
                    Stands::Deleted
                } else {
                    Stands::Logged
                }
            }
            (Some(happened), Some(settings))
                if settings.off.contains(&happened.kind) && !self.left_out(R::Toggle) =>
            {
                if self.left_out(R::OffLeavesWhatIsThere) {
                    entries.clear();
                }
                Stands::Off
            }
            (Some(happened), Some(settings)) => {
                let mut entry = self.entry_of(&newest.person, happened, &settings);
                if let Some(there) = entries.first() {
                    if !self.left_out(R::OwnerStays) {
                        entry.owner = there.owner;
                    }
                    entry.company.clone_from(&there.company);
                    if !self.left_out(R::SameRecord) {
                        let kept = entries.remove(0);
                        if self.left_out(R::EditsAreWritten) {
                            entry = kept;
                        }
                    }
                }
                entries.push(entry);
                Stands::Logged
            }
        };
        if let Some(told) = self.activities.get_mut(id) {
            told.stands = stands;
            told.entries = entries;
        }
    }

    fn merge(&mut self, primary: &str, other: &str) {
        let email = |id: &str| self.people[id].email.clone().unwrap_or_default();
        let (primary, other) = (email(primary), email(other));
        if let Some(status) = self.statuses.remove(&other) {
            self.statuses.entry(primary.clone()).or_insert(status);
        }
        self.merged.insert(other, primary);
    }

    /// The address by which somebody's contact is known now.
    fn contact(&self, email: &str) -> String {
        let into = self.merged.get(email);
        let into = into.filter(|_| !self.left_out(TimelineRule::MergedTogether));
        into.map_or_else(|| email.to_owned(), Clone::clone)
    }

    /// The company of an address, where it has one.
    fn company_of(&self, email: &str) -> Option<String> {
        let free_mail = self
            .left_out(TimelineRule::FreeMailIsNobodys)
            .then_some(ExportRule::FreeMailIsNobodys);
        domains::all(&[], email, free_mail).into_iter().next()
    }
}
