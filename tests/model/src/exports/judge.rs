//! Which requests there are, and whether they go on (E1, E7).

use super::{
    Behavior, Company, ExportRule, Exports, Op, Outcome, Outcomes, Person, Policy, Settings,
};

/// What the policy says of somebody.
enum Verdict {
    Goes,
    Earlier,
    No(&'static str),
}

/// What asks for an export.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Asks {
    Status,
    FieldChange,
    Policy,
    Bulk { earlier: bool },
    Manual { anew: bool },
}

impl Asks {
    const fn name(self) -> &'static str {
        match self {
            Self::Status => "status",
            Self::FieldChange => "field_change",
            Self::Policy => "policy",
            Self::Bulk { .. } => "bulk",
            Self::Manual { .. } => "manual",
        }
    }
}

impl Exports {
    /// All this happens, and all requests end or wait. With a rule left out, if one is named.
    pub fn wave(&mut self, ops: &[Op], without: Option<ExportRule>) -> Outcomes {
        let mut outcomes = Outcomes::new();
        for op in ops {
            outcomes.extend(self.step(op, without));
        }
        let waiting = self.waiting.iter();
        outcomes.extend(waiting.map(|person| ((person.clone(), "status"), Outcome::Waits)));
        outcomes
    }

    fn step(&mut self, op: &Op, without: Option<ExportRule>) -> Outcomes {
        match op {
            Op::Person(after) => {
                let mut after = after.clone();
                after.email = after.email.map(|email| email.trim().to_lowercase());
                let before = self.people.insert(after.id.clone(), after.clone());
                let asks = self.asked_by(before.as_ref(), &after, without);
                self.drain(&after.id, asks, without)
            }
            Op::Company(after) => {
                let before = self.companies.insert(after.id.clone(), after.clone());
                let concerned = self
                    .settings
                    .as_ref()
                    .is_some_and(|settings| is_written(settings, before.as_ref(), after, without));
                let mut people = self.people.values();
                let of = people.find(|p| {
                    p.company.as_ref() == Some(&after.id) && self.exported.contains(&p.id)
                });
                match of.map(|p| p.id.clone()).filter(|_| concerned) {
                    Some(person) => self.drain(&person, vec![Asks::FieldChange], without),
                    None => Outcomes::new(),
                }
            }
            Op::Export { person, anew } => {
                self.drain(person, vec![Asks::Manual { anew: *anew }], without)
            }
            Op::Bulk { people, earlier } => {
                let asks = Asks::Bulk { earlier: *earlier };
                let all = people.iter();
                all.flat_map(|person| self.drain(person, vec![asks], without))
                    .collect()
            }
        }
    }

    fn asked_by(
        &self,
        before: Option<&Person>,
        after: &Person,
        without: Option<ExportRule>,
    ) -> Vec<Asks> {
        let Some(settings) = &self.settings else {
            return Vec::new();
        };
        let exported = self.exported.contains(&after.id);
        let written = before.is_some_and(|before| {
            let others = before.email != after.email
                || before.owner != after.owner
                || before.company != after.company;
            let mapped = settings.contacts.iter().any(|row| {
                let is = after.fields.get(row.field);
                let counts = row.behavior != Behavior::DoNotExport
                    || without == Some(ExportRule::OnlyMappedFields);
                counts && is.is_some() && before.fields.get(row.field) != is
            });
            others || mapped
        });
        let facts = |p: &Person| (p.contacted, p.replied, p.positively);
        let news = written || before.is_none_or(|before| facts(before) != facts(after));
        let mut asks = Vec::new();
        if !exported && news && matches!(judge(settings, after, without), Verdict::Goes) {
            asks.push(Asks::Policy);
        } else if exported && written && without != Some(ExportRule::KeptUpToDate) {
            asks.push(Asks::FieldChange);
        }
        let named = settings.status.iter().flat_map(|s| &s.rows);
        let named = named.map(|(status, _)| *status).collect::<Vec<_>>();
        let status = after.status.filter(|status| named.contains(status));
        if status.is_some() && before.and_then(|b| b.status) != status {
            asks.push(Asks::Status);
        }
        asks
    }

    /// Everything that is asked about somebody ends as one export, waits, or ends by itself.
    fn drain(
        &mut self,
        person: &str,
        mut asks: Vec<Asks>,
        without: Option<ExportRule>,
    ) -> Outcomes {
        let named = |asks: Asks, outcome| ((person.to_owned(), asks.name()), outcome);
        if asks.is_empty() {
            return Outcomes::new();
        }
        let newest = asks.contains(&Asks::Status);
        if self.waiting.contains(person) && !newest {
            asks.push(Asks::Status);
        }
        asks.sort();
        let judged: Vec<(Asks, Result<(), Outcome>)> = asks
            .iter()
            .map(|asks| (*asks, self.goes(person, *asks, without)))
            .collect();
        let lead = judged.iter().rev().find(|(_, goes)| goes.is_ok());
        let mut outcomes: Outcomes = match lead {
            Some((lead, _)) => {
                let outcome = self.export(person, *lead, without);
                asks.iter().map(|asks| named(*asks, outcome)).collect()
            }
            None => judged
                .iter()
                .filter_map(|(asks, goes)| Some(named(*asks, goes.err()?)))
                .collect(),
        };
        if newest && self.waiting.contains(person) && without != Some(ExportRule::NewestStatus) {
            let superseded = (person.to_owned(), "superseded");
            outcomes.insert(superseded, Outcome::Skipped("superseded"));
        }
        let waits = outcomes.values().any(|outcome| *outcome == Outcome::Waits);
        if waits {
            self.waiting.insert(person.to_owned());
        } else {
            self.waiting.remove(person);
        }
        outcomes
    }

    fn goes(&self, person: &str, asks: Asks, without: Option<ExportRule>) -> Result<(), Outcome> {
        let of = &self.people[person];
        if of.email.is_none() && without != Some(ExportRule::NoEmail) {
            return Err(Outcome::Skipped("no_email"));
        }
        if self.exported.contains(person) && asks <= Asks::FieldChange {
            return Ok(());
        }
        let Some(settings) = &self.settings else {
            return match asks {
                Asks::Manual { .. } => Ok(()),
                // Nobody saved which policy it is: it is the one that a fresh workspace has.
                _ => Err(Outcome::Skipped("settings_not_saved")),
            };
        };
        let verdict = judge(settings, of, without);
        match (asks, verdict) {
            (Asks::Manual { .. }, _) if without != Some(ExportRule::ManualWhateverThePolicy) => {
                Ok(())
            }
            (_, Verdict::Goes) => Ok(()),
            (Asks::Bulk { earlier: true }, Verdict::Earlier)
                if without != Some(ExportRule::ConfirmedBulk) =>
            {
                Ok(())
            }
            (Asks::Status, _) if without == Some(ExportRule::StatusWaits) => Ok(()),
            (Asks::Status, _) => Err(Outcome::Waits),
            (_, Verdict::Earlier) => Err(Outcome::Skipped("qualified_earlier")),
            (_, Verdict::No(reason)) => Err(Outcome::Skipped(reason)),
        }
    }
}

/// Whoever qualified before the policy was in force is not exported by itself.
fn judge(settings: &Settings, person: &Person, without: Option<ExportRule>) -> Verdict {
    let policy = match settings.policy {
        _ if without == Some(ExportRule::Policy) => Policy::Contacted,
        policy => policy,
    };
    let missing = match settings.policy {
        Policy::Contacted => "not_contacted",
        Policy::Replied => "not_replied",
        Policy::RepliedPositively => "not_replied_positively",
    };
    match policy.qualified([person.contacted, person.replied, person.positively]) {
        None => Verdict::No(missing),
        Some(at) if at < settings.since && without != Some(ExportRule::QualifiedEarlier) => {
            Verdict::Earlier
        }
        Some(_) => Verdict::Goes,
    }
}

/// Whether an export may write something else of a company, or match it by something else.
fn is_written(
    settings: &Settings,
    before: Option<&Company>,
    after: &Company,
    without: Option<ExportRule>,
) -> bool {
    let rows = settings.companies.iter();
    let mapped = rows
        .filter(|row| {
            row.behavior != Behavior::DoNotExport || without == Some(ExportRule::OnlyMappedFields)
        })
        .map(|row| row.field);
    mapped.chain(["domain", "website"]).any(|field| {
        let is = after.fields.get(field);
        is.is_some() && before.and_then(|b| b.fields.get(field)) != is
    })
}
