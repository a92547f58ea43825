//! The rules of HubSpot, one function each, with where they come from (§ of `hubspot-api.md`).

use std::collections::{BTreeMap, BTreeSet};

use crate::{
    ops::{Answer, Filter, Key, Op, Refusal, Seen, Upserted, Values},
    state::{Kind, Link, Mismatch, Model, Place, Record},
};

/// A rule that a model may have wrong on purpose.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Broken {
    EmailsMayRepeat,
    UniqueValuesMayRepeat,
    SearchMindsCase,
    ArchivedStayListed,
    ArchivingMovesLastModified,
    MergeKeepsThePrimaryId,
    MergedIdsAreGone,
    BatchUpdateTakesMergedIds,
    AssociationsGoOneWay,
    ClearingDoesNothing,
    AppendingReplaces,
    UpsertAlwaysCreates,
    ErasedAreArchived,
    OptionsAreNotChecked,
}

impl Broken {
    /// All of them.
    pub const ALL: [Self; 14] = [
        Self::EmailsMayRepeat,
        Self::UniqueValuesMayRepeat,
        Self::SearchMindsCase,
        Self::ArchivedStayListed,
        Self::ArchivingMovesLastModified,
        Self::MergeKeepsThePrimaryId,
        Self::MergedIdsAreGone,
        Self::BatchUpdateTakesMergedIds,
        Self::AssociationsGoOneWay,
        Self::ClearingDoesNothing,
        Self::AppendingReplaces,
        Self::UpsertAlwaysCreates,
        Self::ErasedAreArchived,
        Self::OptionsAreNotChecked,
    ];
}

/// Properties that the model keeps.
const fn tracked(kind: Kind) -> &'static [&'static str] {
    match kind {
        Kind::Contact => &[
            "email",
            "firstname",
            "phone",
            "hs_lead_status",
            "model_choice",
            "model_number",
            "model_key",
        ],
        Kind::Company => &["name", "domain", "model_key"],
        Kind::Deal => &["dealname", "amount", "model_key"],
        Kind::Note => &["hs_note_body", "model_key"],
    }
}

type Checked = Result<(), Mismatch>;

fn mismatch(text: String) -> Checked {
    Err(Mismatch(text))
}

/// A value as it is compared: e-mails without case (§5), several choices in any order.
fn canonical(name: &str, value: &str) -> String {
    match name {
        "email" => value.to_lowercase(),
        "model_choice" => {
            let all: BTreeSet<&str> = value.split(';').filter(|v| !v.is_empty()).collect();
            all.into_iter().collect::<Vec<_>>().join(";")
        }
        _ => value.to_owned(),
    }
}

impl Model {
    /// Properties to ask for, so that the model can judge.
    pub const fn properties(kind: Kind) -> &'static [&'static str] {
        tracked(kind)
    }

    /// Takes in an operation and its answer.
    ///
    /// # Errors
    /// When HubSpot could not have answered so.
    pub fn check(&mut self, op: &Op, answer: &Answer) -> Checked {
        match (op, answer) {
            (
                Op::Create {
                    kind,
                    values,
                    company,
                },
                Answer::Record(got),
            ) => {
                self.batch_create(
                    *kind,
                    std::slice::from_ref(values),
                    std::slice::from_ref(got),
                )?;
                if let (Ok(seen), Some(company)) = (got, company) {
                    // Inline associations are made with the record.
                    self.link(Link {
                        from_kind: *kind,
                        from: seen.id,
                        to_kind: Kind::Company,
                        to: *company,
                    });
                }
                Ok(())
            }
            (Op::Update { kind, id, values }, Answer::Record(got)) => {
                self.update_one(*kind, *id, values, got)
            }
            (Op::Get { kind, id }, Answer::Record(got)) => self.get(*kind, *id, got),
            (Op::Archive { kind, id }, Answer::Done(got)) => {
                self.archive(*kind, &[*id], std::slice::from_ref(got))
            }
            (Op::BatchCreate { kind, inputs }, Answer::Records(got)) => {
                self.batch_create(*kind, inputs, got)
            }
            (Op::BatchUpdate { kind, inputs }, Answer::Records(got)) => {
                self.batch_update(*kind, inputs, got)
            }
            (
                Op::BatchUpsert {
                    kind,
                    by_email,
                    inputs,
                },
                Answer::Upserts(got),
            ) => self.batch_upsert(*kind, *by_email, inputs, got),
            (Op::BatchRead { kind, keys }, Answer::Records(got)) => {
                self.batch_read(*kind, keys, got)
            }
            (Op::BatchArchive { kind, ids }, Answer::Dones(got)) => self.archive(*kind, ids, got),
            (
                Op::Merge {
                    kind,
                    primary,
                    other,
                },
                Answer::Record(got),
            ) => self.merge(*kind, *primary, *other, got),
            (Op::Erase { id }, Answer::Done(got)) => self.erase(*id, got),
            (Op::Associate { links }, Answer::Dones(got)) => self.associate(links, got),
            (Op::Dissociate { links }, Answer::Dones(got)) => self.dissociate(links, got),
            (Op::Associations { from, to, ids }, Answer::Links(got)) => {
                self.associations(*from, *to, ids, got)
            }
            (Op::Search { kind, filter }, Answer::Page(got)) => self.search(*kind, filter, got),
            (Op::List { kind, archived }, Answer::Page(got)) => self.list(*kind, *archived, got),
            _ => mismatch(format!("an answer of another kind: {answer:?}")),
        }
    }

    /// Properties that are refused for what they say (§7), and a note without its time (§5).
    fn invalid(&self, kind: Kind, values: &Values, new: bool) -> BTreeSet<String> {
        let mut bad = BTreeSet::new();
        for (name, value) in values {
            let wrong = match name.as_str() {
                "no_such_property" => true,
                "hs_lead_status" => {
                    value == "NO_SUCH_OPTION" && !self.is_broken(Broken::OptionsAreNotChecked)
                }
                "email" => !value.contains('@'),
                "model_number" => !value.is_empty() && value.parse::<f64>().is_err(),
                _ => false,
            };
            if wrong {
                bad.insert(name.clone());
            }
        }
        if kind == Kind::Note && new && !values.contains_key("hs_timestamp") {
            bad.insert("hs_timestamp".to_owned());
        }
        bad
    }

    /// Who else holds a value that can be held once: contacts' e-mails with their additional ones,
    /// and unique properties (§5).
    fn holder(&self, kind: Kind, me: Option<u64>, name: &str, value: &str) -> Option<u64> {
        let email = kind == Kind::Contact && name == "email";
        if value.is_empty() || !(email || name == "model_key") {
            return None;
        }
        if self.is_broken(if email {
            Broken::EmailsMayRepeat
        } else {
            Broken::UniqueValuesMayRepeat
        }) {
            return None;
        }
        let wanted = canonical(name, value);
        self.live_ids(kind).into_iter().find(|id| {
            Some(*id) != me
                && self.live(kind, *id).is_some_and(|r| {
                    r.values
                        .get(name)
                        .is_some_and(|v| canonical(name, v) == wanted)
                        || (email && r.more_emails.contains(&wanted))
                })
        })
    }

    /// Writes values into a record. An empty one clears, and a leading `;` appends to a choice (§5).
    fn apply(&mut self, kind: Kind, id: u64, values: &Values, updated: i64) {
        let (keeps, replaces) = (
            self.is_broken(Broken::ClearingDoesNothing),
            self.is_broken(Broken::AppendingReplaces),
        );
        let Some(record) = self.records.get_mut(&(kind, id)) else {
            return;
        };
        record.updated = updated;
        for (name, value) in values {
            record.open.remove(name);
            let old = record.values.get(name).cloned();
            if value.is_empty() {
                if !keeps {
                    record.values.remove(name);
                }
            } else if let Some(more) = value.strip_prefix(';') {
                let all = match old.filter(|_| !replaces) {
                    Some(old) => format!("{old};{more}"),
                    None => more.to_owned(),
                };
                record.values.insert(name.clone(), all);
            } else {
                // What becomes of the old one is left open.
                if let Some(old) = old.filter(|old| canonical(name, old) != canonical(name, value))
                    && matches!(name.as_str(), "email" | "model_key")
                {
                    self.retired.insert(canonical(name, &old));
                }
                record.values.insert(name.clone(), value.clone());
            }
        }
    }

    /// Whether an answer shows a record as it is. All tracked properties, or those written.
    fn shows(&mut self, kind: Kind, seen: &Seen, written: Option<&Values>) -> Checked {
        let Some(record) = self.records.get_mut(&(kind, seen.id)) else {
            return mismatch(format!("{kind:?} {} was never made", seen.id));
        };
        for name in tracked(kind) {
            if let Some(values) = written
                && !values.contains_key(*name)
            {
                continue;
            }
            let shown = seen.values.get(*name).filter(|v| !v.is_empty());
            if record.open.remove(*name) {
                match shown {
                    Some(value) => record.values.insert((*name).to_owned(), value.clone()),
                    None => record.values.remove(*name),
                };
                continue;
            }
            let should = record.values.get(*name).map(|v| canonical(name, v));
            let is = shown.map(|v| canonical(name, v));
            if should != is {
                return mismatch(format!(
                    "{kind:?} {}: {name} is {is:?}, should be {should:?}",
                    seen.id
                ));
            }
        }
        if written.is_none() && seen.updated != record.updated {
            return mismatch(format!(
                "{kind:?} {}: last modified {}, should be {}",
                seen.id, seen.updated, record.updated
            ));
        }
        if seen.archived != (record.place == Place::Archived) {
            return mismatch(format!(
                "{kind:?} {}: archived is {}",
                seen.id, seen.archived
            ));
        }
        Ok(())
    }

    /// Whether a refusal of a write has a reason: it is wrong, or a value is taken.
    fn justified(
        &self,
        kind: Kind,
        me: Option<u64>,
        values: &Values,
        new: bool,
        refusal: &Refusal,
        taken_in_batch: &BTreeSet<(String, String)>,
    ) -> bool {
        match refusal {
            Refusal::Invalid(property) => {
                let bad = self.invalid(kind, values, new);
                property
                    .as_ref()
                    .map_or(!bad.is_empty(), |p| bad.contains(p))
            }
            Refusal::Conflict(existing) => values.iter().any(|(name, value)| {
                match self.holder(kind, me, name, value) {
                    // A contact's conflict names the other one (§7).
                    Some(holder) => match existing {
                        Some(existing) => *existing == holder,
                        None => !(new && name == "email"),
                    },
                    None => taken_in_batch.contains(&(name.clone(), canonical(name, value))),
                }
            }),
            _ => false,
        }
    }

    /// No two records that are there hold the same e-mail or unique value.
    fn nothing_twice(&self, kind: Kind) -> Checked {
        for id in self.live_ids(kind) {
            let values = self.live(kind, id).map(|r| r.values.clone());
            for (name, value) in values.unwrap_or_default() {
                if let Some(other) = self.holder(kind, Some(id), &name, &value) {
                    return mismatch(format!("{kind:?} {id} and {other} have the same {name}"));
                }
            }
        }
        Ok(())
    }

    /// Creates: each input for itself, whatever becomes of the others (§7, with trace ids).
    fn batch_create(
        &mut self,
        kind: Kind,
        inputs: &[Values],
        got: &[Result<Seen, Refusal>],
    ) -> Checked {
        same_length(inputs.len(), got.len())?;
        for (values, one) in inputs.iter().zip(got) {
            if let Ok(seen) = one {
                self.made(kind, values, values, seen)?;
            }
        }
        for (values, one) in inputs.iter().zip(got) {
            if let Err(refusal) = one
                && !self.justified(kind, None, values, true, refusal, &BTreeSet::new())
            {
                return mismatch(format!("no reason to refuse {values:?}: {refusal:?}"));
            }
        }
        self.nothing_twice(kind)
    }

    /// A new record holds these values; its answer shows those that were written.
    fn made(&mut self, kind: Kind, values: &Values, written: &Values, seen: &Seen) -> Checked {
        let bad = self.invalid(kind, values, true);
        if !bad.is_empty() {
            return mismatch(format!("made in spite of {bad:?}"));
        }
        if self.known(kind, seen.id) {
            return mismatch(format!("{kind:?} {} is an id that is used", seen.id));
        }
        self.records.insert(
            (kind, seen.id),
            Record {
                values: BTreeMap::new(),
                open: BTreeSet::new(),
                place: Place::Live,
                updated: seen.updated,
                merged: BTreeSet::new(),
                more_emails: BTreeSet::new(),
            },
        );
        self.apply(kind, seen.id, values, seen.updated);
        self.shows(kind, seen, Some(written))
    }

    fn changed(&mut self, kind: Kind, id: u64, values: &Values, seen: &Seen) -> Checked {
        let bad = self.invalid(kind, values, false);
        if !bad.is_empty() {
            return mismatch(format!("changed in spite of {bad:?}"));
        }
        if seen.id != id {
            return mismatch(format!("{kind:?} {id} was changed, and {} shown", seen.id));
        }
        let Some(record) = self.live(kind, id) else {
            return mismatch(format!("{kind:?} {id} is not there, and was changed"));
        };
        if seen.updated < record.updated {
            return mismatch(format!("{kind:?} {id}: last modified goes back"));
        }
        self.apply(kind, id, values, seen.updated);
        self.shows(kind, seen, Some(values))
    }

    /// A single update, also by an id that was merged away (§12).
    fn update_one(
        &mut self,
        kind: Kind,
        id: u64,
        values: &Values,
        got: &Result<Seen, Refusal>,
    ) -> Checked {
        let target = self.resolve(kind, id);
        let there = self.live(kind, target).is_some()
            && !(target != id && self.is_broken(Broken::MergedIdsAreGone));
        match got {
            Ok(_) if !there => mismatch(format!("{kind:?} {id} is not there, and was changed")),
            Ok(seen) => {
                self.changed(kind, target, values, seen)?;
                self.nothing_twice(kind)
            }
            Err(Refusal::NotFound) if !there => Ok(()),
            // Which of two reasons comes first is not said.
            Err(Refusal::Invalid(_)) if !there && !self.invalid(kind, values, false).is_empty() => {
                Ok(())
            }
            Err(refusal)
                if there
                    && self.justified(
                        kind,
                        Some(target),
                        values,
                        false,
                        refusal,
                        &BTreeSet::new(),
                    ) =>
            {
                Ok(())
            }
            Err(refusal) => mismatch(format!(
                "no reason to refuse {values:?} for {kind:?} {id}: {refusal:?}"
            )),
        }
    }

    /// Updates: ids that were merged away are dropped without a word (§7), unknown ones are named.
    fn batch_update(
        &mut self,
        kind: Kind,
        inputs: &[(u64, Values)],
        got: &[Result<Seen, Refusal>],
    ) -> Checked {
        same_length(inputs.len(), got.len())?;
        let taken: BTreeSet<(String, String)> = inputs
            .iter()
            .zip(got)
            .filter(|(_, one)| one.is_ok())
            .flat_map(|((_, values), _)| values)
            .map(|(name, value)| (name.clone(), canonical(name, value)))
            .chain(self.unique_values(kind))
            .collect();
        for ((id, values), one) in inputs.iter().zip(got) {
            let merged = self.aliases.contains_key(&(kind, *id));
            let target = if self.is_broken(Broken::BatchUpdateTakesMergedIds) {
                self.resolve(kind, *id)
            } else {
                *id
            };
            let there = self.live(kind, target).is_some();
            match one {
                Ok(seen) if there => self.changed(kind, target, values, seen)?,
                Ok(_) => return mismatch(format!("{kind:?} {id} is not there, and was changed")),
                Err(Refusal::NotMentioned) if !there && merged => {}
                Err(Refusal::NotFound) if !there && !merged => {}
                Err(Refusal::Invalid(_))
                    if !there && !self.invalid(kind, values, false).is_empty() => {}
                Err(refusal)
                    if there
                        && self.justified(kind, Some(target), values, false, refusal, &taken) => {}
                Err(refusal) => {
                    return mismatch(format!(
                        "no reason to refuse {values:?} for {kind:?} {id}: {refusal:?}"
                    ));
                }
            }
        }
        self.nothing_twice(kind)
    }

    fn unique_values(&self, kind: Kind) -> Vec<(String, String)> {
        let mut all = Vec::new();
        for id in self.live_ids(kind) {
            for (name, value) in self.live(kind, id).into_iter().flat_map(|r| &r.values) {
                if matches!(name.as_str(), "email" | "model_key") {
                    all.push((name.clone(), canonical(name, value)));
                }
            }
        }
        all
    }

    fn find(&self, kind: Kind, name: &str, value: &str) -> Option<u64> {
        let wanted = canonical(name, value);
        self.live_ids(kind).into_iter().find(|id| {
            self.live(kind, *id).is_some_and(|r| {
                r.values
                    .get(name)
                    .is_some_and(|v| canonical(name, v) == wanted)
                    || (name == "email" && r.more_emails.contains(&wanted))
            })
        })
    }

    /// Upserts: by a unique property, new where nobody has the value (§5).
    fn batch_upsert(
        &mut self,
        kind: Kind,
        by_email: bool,
        inputs: &[(String, Values)],
        got: &[Result<Upserted, Refusal>],
    ) -> Checked {
        same_length(inputs.len(), got.len())?;
        let name = if by_email { "email" } else { "model_key" };
        let taken: BTreeSet<(String, String)> = inputs
            .iter()
            .zip(got)
            .filter(|(_, one)| one.is_ok())
            .flat_map(|((_, values), _)| values)
            .map(|(name, value)| (name.clone(), canonical(name, value)))
            .chain(self.unique_values(kind))
            .collect();
        let mut later = Vec::new();
        for ((key, values), one) in inputs.iter().zip(got) {
            let there = self
                .find(kind, name, key)
                .filter(|_| !self.is_broken(Broken::UpsertAlwaysCreates));
            match one {
                Ok(upserted) => {
                    if upserted.created.is_some_and(|c| c != there.is_none()) {
                        return mismatch(format!(
                            "{name} {key}: new is {:?}, and it was {there:?}",
                            upserted.created
                        ));
                    }
                    match there {
                        Some(id) => self.changed(kind, id, values, &upserted.seen)?,
                        None => {
                            let mut all = values.clone();
                            all.insert(name.to_owned(), key.clone());
                            self.made(kind, &all, values, &upserted.seen)?;
                        }
                    }
                }
                Err(refusal) => {
                    let new = there.is_none();
                    if !self.justified(kind, there, values, new, refusal, &taken) {
                        later.push((key, values, refusal));
                    }
                }
            }
        }
        // Nobody promises an order: another item of the batch may have come first.
        for (key, values, refusal) in later {
            let there = self.find(kind, name, key);
            if !self.justified(kind, there, values, there.is_none(), refusal, &taken) {
                return mismatch(format!(
                    "no reason to refuse {values:?} for {name} {key}: {refusal:?}"
                ));
            }
        }
        self.nothing_twice(kind)
    }

    /// A single read, also by an id that was merged away (§12); none of what is archived.
    fn get(&mut self, kind: Kind, id: u64, got: &Result<Seen, Refusal>) -> Checked {
        let target = self.resolve(kind, id);
        let there = self.live(kind, target).is_some()
            && !(target != id && self.is_broken(Broken::MergedIdsAreGone));
        match got {
            Ok(seen) if there && seen.id == target => self.shows(kind, seen, None),
            Err(Refusal::NotFound) if !there => Ok(()),
            other => mismatch(format!(
                "{kind:?} {id} leads to {target} (there: {there}), got {other:?}"
            )),
        }
    }

    /// Reads by id, e-mail (additional ones too) or unique value.
    fn batch_read(&mut self, kind: Kind, keys: &[Key], got: &[Result<Seen, Refusal>]) -> Checked {
        same_length(keys.len(), got.len())?;
        for (key, one) in keys.iter().zip(got) {
            let there = match key {
                Key::Id(id) => self.live(kind, *id).map(|_| *id),
                Key::Email(email) => self.find(kind, "email", email),
                Key::Ours(value) => self.find(kind, "model_key", value),
            };
            // What a batch read makes of an id that was merged away is not said.
            let alias = match key {
                Key::Id(id) if self.aliases.contains_key(&(kind, *id)) => {
                    Some(self.resolve(kind, *id))
                }
                _ => None,
            };
            match (one, there.or(alias)) {
                (Ok(seen), Some(id)) if seen.id == id => self.shows(kind, seen, None)?,
                (Err(Refusal::NotFound | Refusal::NotMentioned), _) if there.is_none() => {}
                _ => return mismatch(format!("{kind:?} by {key:?} is {there:?}, got {one:?}")),
            }
        }
        Ok(())
    }

    /// Archiving: out of reads, lists and search, into the archived listing; last-modified stays
    /// (§12).
    fn archive(&mut self, kind: Kind, ids: &[u64], got: &[Result<(), Refusal>]) -> Checked {
        same_length(ids.len(), got.len())?;
        for (id, one) in ids.iter().zip(got) {
            if let Err(refusal) = one {
                return mismatch(format!("{kind:?} {id} was not archived: {refusal:?}"));
            }
            let touches = self.is_broken(Broken::ArchivingMovesLastModified);
            if let Some(record) = self.records.get_mut(&(kind, *id)) {
                record.place = Place::Archived;
                record.updated += i64::from(touches);
                for name in ["email", "model_key"] {
                    let value = record.values.get(name).map(|v| canonical(name, v));
                    self.retired.extend(value);
                }
                self.retired.extend(record.more_emails.clone());
            }
            self.open_links.insert((kind, *id));
        }
        Ok(())
    }

    /// Merging: a new record with a new id; the primary's values win; both old ids lead to it (§12).
    fn merge(
        &mut self,
        kind: Kind,
        primary: u64,
        other: u64,
        got: &Result<Seen, Refusal>,
    ) -> Checked {
        let seen = match got {
            Ok(seen) => seen,
            Err(refusal) => return mismatch(format!("not merged: {refusal:?}")),
        };
        let keeps = self.is_broken(Broken::MergeKeepsThePrimaryId);
        if keeps != (seen.id == primary) || (!keeps && self.known(kind, seen.id)) {
            return mismatch(format!("{primary} and {other} became {}", seen.id));
        }
        let (Some(first), Some(second)) = (
            self.records.remove(&(kind, primary)),
            self.records.remove(&(kind, other)),
        ) else {
            return mismatch("merged what is not there".to_owned());
        };
        let mut record = first.clone();
        record.updated = seen.updated;
        record.merged = [primary, other]
            .into_iter()
            .chain(first.merged)
            .chain(second.merged)
            .collect();
        // What the primary does not have may come from the other one.
        for name in second.values.keys() {
            if !record.values.contains_key(name) {
                record.open.insert(name.clone());
            }
        }
        record.open.extend(second.open);
        for name in ["email", "model_key"] {
            let value = second.values.get(name).map(|v| canonical(name, v));
            self.retired.extend(value);
        }
        self.retired.extend(second.more_emails);
        self.records.insert((kind, seen.id), record);
        for old in [primary, other] {
            self.aliases.insert((kind, old), seen.id);
            self.forget_links(kind, old);
        }
        // Which associations survive is not said.
        self.open_links.insert((kind, seen.id));
        let named: BTreeSet<u64> = seen
            .values
            .get("hs_merged_object_ids")
            .map(|ids| ids.split(';').filter_map(|id| id.parse().ok()).collect())
            .unwrap_or_default();
        if ![primary, other].iter().all(|id| named.contains(id)) {
            return mismatch(format!(
                "{} does not name what was merged: {named:?}",
                seen.id
            ));
        }
        self.shows(kind, seen, None)
    }

    /// Erasing a contact: gone from everywhere (§5).
    fn erase(&mut self, id: u64, got: &Result<(), Refusal>) -> Checked {
        if let Err(refusal) = got {
            return mismatch(format!("contact {id} was not erased: {refusal:?}"));
        }
        if self.is_broken(Broken::ErasedAreArchived) {
            return self.archive(Kind::Contact, &[id], &[Ok(())]);
        }
        if let Some(record) = self.records.remove(&(Kind::Contact, id)) {
            for name in ["email", "model_key"] {
                let value = record.values.get(name).map(|v| canonical(name, v));
                self.retired.extend(value);
            }
            self.retired.extend(record.more_emails);
        }
        self.erased.insert((Kind::Contact, id));
        self.forget_links(Kind::Contact, id);
        Ok(())
    }

    fn forget_links(&mut self, kind: Kind, id: u64) {
        self.links
            .retain(|l| (l.from_kind, l.from) != (kind, id) && (l.to_kind, l.to) != (kind, id));
    }

    /// An association is seen from both ends.
    fn link(&mut self, link: Link) {
        self.links.insert(link);
        if !self.is_broken(Broken::AssociationsGoOneWay) {
            self.links.insert(link.reversed());
        }
    }

    fn both_there(&self, link: &Link) -> bool {
        self.live(link.from_kind, link.from).is_some() && self.live(link.to_kind, link.to).is_some()
    }

    /// Associating: both ways; twice is once; not with what is not there (§7).
    fn associate(&mut self, links: &[Link], got: &[Result<(), Refusal>]) -> Checked {
        same_length(links.len(), got.len())?;
        for (link, one) in links.iter().zip(got) {
            match one {
                Ok(()) if self.both_there(link) => self.link(*link),
                Err(Refusal::Invalid(_) | Refusal::NotFound | Refusal::NotMentioned)
                    if !self.both_there(link) => {}
                other => {
                    return mismatch(format!(
                        "{link:?} (there: {}), got {other:?}",
                        self.both_there(link)
                    ));
                }
            }
        }
        Ok(())
    }

    /// Dissociating: both ways; what is not associated is no error.
    fn dissociate(&mut self, links: &[Link], got: &[Result<(), Refusal>]) -> Checked {
        same_length(links.len(), got.len())?;
        for (link, one) in links.iter().zip(got) {
            if let Err(refusal) = one {
                return mismatch(format!("{link:?} was not removed: {refusal:?}"));
            }
            self.links.remove(link);
            self.links.remove(&link.reversed());
        }
        Ok(())
    }

    fn associations(&self, from: Kind, to: Kind, ids: &[u64], got: &[(u64, u64)]) -> Checked {
        let judged = |a: u64, b: u64| {
            !self.open_links.contains(&(from, a)) && !self.open_links.contains(&(to, b))
        };
        let should: BTreeSet<(u64, u64)> = self
            .links
            .iter()
            .filter(|l| l.from_kind == from && l.to_kind == to && ids.contains(&l.from))
            .map(|l| (l.from, l.to))
            .filter(|(a, b)| judged(*a, *b))
            .collect();
        let is: Vec<(u64, u64)> = got
            .iter()
            .copied()
            .filter(|(a, b)| judged(*a, *b))
            .collect();
        let once: BTreeSet<(u64, u64)> = is.iter().copied().collect();
        if once.len() != is.len() || once != should {
            return mismatch(format!("{from:?} to {to:?}: {is:?}, should be {should:?}"));
        }
        Ok(())
    }

    /// Search: live records only, without regard to case (§6), in the order of ids.
    fn search(&mut self, kind: Kind, filter: &Filter, got: &[Seen]) -> Checked {
        if let Filter::OfContact(id) = filter
            && self.open_links.contains(&(Kind::Contact, *id))
        {
            return Ok(());
        }
        let fold = |text: &str| {
            if self.is_broken(Broken::SearchMindsCase) {
                text.to_owned()
            } else {
                text.to_lowercase()
            }
        };
        let property = match filter {
            Filter::Equals(name, _)
            | Filter::OneOf(name, _)
            | Filter::Known(name)
            | Filter::Unknown(name) => Some(*name),
            Filter::IdAfter(_) | Filter::OfContact(_) => None,
        };
        let mut should = Vec::new();
        let mut open = BTreeSet::new();
        for id in self.live_ids(kind) {
            let Some(record) = self.live(kind, id) else {
                continue;
            };
            if property.is_some_and(|p| record.open.contains(p))
                || (matches!(filter, Filter::OfContact(_)) && self.open_links.contains(&(kind, id)))
            {
                open.insert(id);
                continue;
            }
            let value = |name: &str| record.values.get(name).map(|v| fold(v));
            let found = match filter {
                Filter::Equals(name, wanted) => value(name) == Some(fold(wanted)),
                Filter::OneOf(name, wanted) => {
                    value(name).is_some_and(|v| wanted.iter().any(|w| fold(w) == v))
                }
                Filter::Known(name) => value(name).is_some(),
                Filter::Unknown(name) => value(name).is_none(),
                Filter::IdAfter(after) => id > *after,
                Filter::OfContact(contact) => self.links.contains(&Link {
                    from_kind: kind,
                    from: id,
                    to_kind: Kind::Contact,
                    to: *contact,
                }),
            };
            if found {
                should.push(id);
            }
        }
        let is: Vec<u64> = got
            .iter()
            .map(|s| s.id)
            .filter(|id| !open.contains(id))
            .collect();
        if is != should {
            return mismatch(format!("{kind:?} {filter:?}: {is:?}, should be {should:?}"));
        }
        got.iter().try_for_each(|seen| self.shows(kind, seen, None))
    }

    /// Lists: each record once, in the order of ids (§5).
    fn list(&mut self, kind: Kind, archived: bool, got: &[Seen]) -> Checked {
        let mut should = if archived {
            self.archived_ids(kind)
        } else {
            self.live_ids(kind)
        };
        if !archived && self.is_broken(Broken::ArchivedStayListed) {
            should.extend(self.archived_ids(kind));
            should.sort_unstable();
        }
        let is: Vec<u64> = got.iter().map(|s| s.id).collect();
        if is != should {
            return mismatch(format!(
                "{kind:?}, archived {archived}: {is:?}, should be {should:?}"
            ));
        }
        got.iter().try_for_each(|seen| self.shows(kind, seen, None))
    }
}

fn same_length(inputs: usize, outcomes: usize) -> Checked {
    if inputs == outcomes {
        Ok(())
    } else {
        mismatch(format!("{inputs} inputs, {outcomes} outcomes"))
    }
}
