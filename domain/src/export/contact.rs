//! The plan of a person's contact (E2, E4–E7): what an export would write, and why.
//!
//! - Whom it is about: the contact that a fresh read found by the link, else by the address. The link
//!   follows a merge. One that was archived is not made again, unless a manual export says so.
//! - New: every rule that has a value writes it, with the create itself. There already: each rule by
//!   its behavior, only where HubSpot has something else.
//! - Of several people who are one contact, the one who owns the values writes rows and status. The
//!   others write what is nobody's own: fixed values, and an owner where there is none.

use super::{
    Change, ExportCause, HubSpotValue, LeftOut, Rule, SkipReason, Why, Write,
    address::may_be_refused,
    history::History,
    lifecycle::LIFECYCLE,
    record::{Known, MERGED_IDS, RecordRead},
    sheet::{Filled, KeyProperty, OWNER, PortalSide, Sheet, Wanted},
};
use crate::{
    HubSpotObjectId,
    activities::recognise::SOURCE,
    app::{AddressForms, Fields, LeadStatus, Person, RecordKind},
    linking::LinkOrigin,
    owners::OwnerForMember,
    settings::{ExportBehavior, OwnerSettings, RecordCreation, Settings},
};

/// What identifies a contact.
pub(super) const KEY: KeyProperty = KeyProperty {
    primary: "email",
    additional: "hs_additional_emails",
    field: Some("email"),
    form: |address| Ok(address.to_owned()),
};

/// Properties that a fresh read of a contact asks for, beside those that the settings speak of.
pub const CONTACT_NEEDS: &[&str] = &[
    "email",
    "hs_additional_emails",
    "hubspot_owner_id",
    MERGED_IDS,
    LIFECYCLE,
    SOURCE,
];

/// What a fresh read found.
#[derive(Debug, Clone, Copy)]
pub enum Found<'a> {
    /// A contact, by the link or by the address.
    Live(&'a RecordRead),
    /// The linked contact is in the recycle bin, and no other has the address.
    Archived(HubSpotObjectId),
    /// HubSpot does not know the linked contact any more, and no other has the address.
    Gone(HubSpotObjectId),
    /// There is no link, and HubSpot said that nobody has the address.
    Nobody,
}

/// What holds for all plans of a workspace.
#[derive(Debug, Clone, Copy)]
pub struct Workspace<'a> {
    /// The settings in force.
    pub settings: &'a Settings,
    /// The workspace's fields.
    pub fields: &'a Fields,
    /// The portal's contacts.
    pub contacts: PortalSide<'a>,
    /// The portal's companies.
    pub companies: PortalSide<'a>,
}

/// What a plan of a contact is made from.
#[derive(Debug, Clone, Copy)]
pub struct ContactFacts<'a> {
    /// What asks for it.
    pub cause: ExportCause,
    /// The person as the app has them.
    pub person: &'a Person,
    /// The contact that the person is linked to.
    pub linked: Option<HubSpotObjectId>,
    /// What the fresh read found.
    pub found: Found<'a>,
    /// Whether another live contact has an address of the person too.
    pub key_taken: bool,
    /// Whether the person owns the values of the contact; true of the only one.
    pub owns_values: bool,
    /// The owner for the acting member.
    pub owner: OwnerForMember,
    /// The status that HubSpot was last told of.
    pub status_said: Option<LeadStatus>,
    /// What was written before.
    pub history: &'a History,
}

/// What becomes of the link.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LinkChange {
    /// It stays; without one, there is still none.
    Keep,
    /// The person is linked to a contact that was found.
    Make(HubSpotObjectId, LinkOrigin),
    /// The linked contact was merged, archived or gone, and another stands for it.
    Follow {
        /// From this contact.
        from: HubSpotObjectId,
        /// To this one.
        to: HubSpotObjectId,
        /// How it was found.
        origin: LinkOrigin,
    },
}

/// Why nothing is exported.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Skip {
    /// The reason.
    pub reason: SkipReason,
    /// The properties that the portal requires and that are lacking; none with other reasons.
    pub properties: Vec<String>,
}

impl From<SkipReason> for Skip {
    fn from(reason: SkipReason) -> Self {
        Self {
            reason,
            properties: Vec::new(),
        }
    }
}

/// What is done about a record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Decision {
    /// It is made.
    Create,
    /// One that was found is linked, and written where something changes.
    Adopt(HubSpotObjectId),
    /// The linked one is written.
    Update(HubSpotObjectId),
    /// Nothing is to be written.
    Nothing(HubSpotObjectId),
    /// The request ends.
    Skip(Skip),
}

/// The plan of a contact.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ContactPlan {
    /// What is done.
    pub decision: Decision,
    /// Whether HubSpot may refuse the address of a new contact: it is made before its company then, so that
    /// nobody whom HubSpot does not take leaves a company behind.
    pub contact_first: bool,
    /// What becomes of the link.
    pub link: LinkChange,
    /// The properties that are written; no others are sent.
    pub changes: Vec<Change>,
    /// The properties that rules are about and that are not written.
    pub left_out: Vec<LeftOut>,
    /// The status that HubSpot knows of once the plan is carried out, by a write or because it has it.
    pub status_said: Option<LeadStatus>,
}

impl ContactPlan {
    /// The contact; none of one that is still to be made, or of a request that ends.
    pub const fn contact(&self) -> Option<HubSpotObjectId> {
        match self.decision {
            Decision::Adopt(id) | Decision::Update(id) | Decision::Nothing(id) => Some(id),
            Decision::Create | Decision::Skip(_) => None,
        }
    }

    /// Whether HubSpot is written to.
    pub const fn writes(&self) -> bool {
        matches!(self.decision, Decision::Create) || !self.changes.is_empty()
    }

    /// The same, and what was emptied to be set and is not set by it gets back what it had: an export clears
    /// nothing (E4).
    #[must_use]
    pub fn with_emptied_back(mut self, read: &RecordRead, history: &History) -> Self {
        if self.contact() != Some(read.id()) {
            return self;
        }
        for (property, old, rule) in history.all_emptied() {
            let written = self.changes.iter().any(|c| c.property == property);
            if written || read.known(property) != Known::Empty {
                continue;
            }
            self.changes.push(Change {
                property: property.to_owned(),
                rule: rule.cloned().unwrap_or(Rule::Fixed),
                behavior: ExportBehavior::Overwrite,
                old: Some(old.clone()),
                write: Write::Set(old.clone()),
            });
        }
        if let (Decision::Nothing(id), false) = (&self.decision, self.changes.is_empty()) {
            self.decision = Decision::Update(*id);
        }
        self
    }

    fn skipped(skip: impl Into<Skip>, left_out: Vec<LeftOut>, said: Option<LeadStatus>) -> Self {
        Self {
            decision: Decision::Skip(skip.into()),
            contact_first: false,
            link: LinkChange::Keep,
            changes: Vec::new(),
            left_out,
            status_said: said,
        }
    }
}

/// Plans a contact.
pub fn plan(workspace: &Workspace<'_>, facts: &ContactFacts<'_>) -> ContactPlan {
    let skipped = |reason: SkipReason| ContactPlan::skipped(reason, Vec::new(), facts.status_said);
    let Some(email) = &facts.person.email else {
        return skipped(SkipReason::NoEmail);
    };
    let anew = matches!(facts.cause, ExportCause::Manual { anew: true });
    let read = match facts.found {
        Found::Live(read) => Some(read),
        Found::Archived(_) if !anew => return skipped(SkipReason::ContactArchived),
        Found::Gone(_) if !anew => return skipped(SkipReason::ContactGone),
        Found::Archived(_) | Found::Gone(_) | Found::Nobody => None,
    };
    if read.is_none() && workspace.settings.export.contacts == RecordCreation::UpdateOnly {
        return skipped(SkipReason::UpdateOnly);
    }
    let mut sheet = Sheet::new(
        workspace.contacts,
        KEY,
        read,
        facts.history,
        facts.key_taken,
    );
    if read.is_none() {
        sheet.put(Wanted {
            property: KEY.primary,
            rule: Rule::Key,
            behavior: ExportBehavior::CreateOnly,
            value: HubSpotValue::stored(email.as_str()).ok_or(Why::NoAppValue),
            may_go_back: false,
        });
    }
    let said = status(&mut sheet, workspace.settings, facts);
    owner(&mut sheet, &workspace.settings.owners, facts);
    let shared = !facts.owns_values && read.is_some();
    sheet.rows(
        &workspace.settings.contacts,
        |key| workspace.fields.get(RecordKind::Person, key),
        |key| facts.person.value(key),
        shared,
    );
    let source = workspace.settings.contact_source.iter();
    let fixed = workspace.settings.contact_values.iter();
    sheet.stamps(
        source
            .map(|s| (s, Rule::Source))
            .chain(fixed.map(|s| (s, Rule::Fixed))),
    );
    let Filled {
        changes,
        left_out,
        lacking,
    } = sheet.finish();
    if !lacking.is_empty() {
        let skip = Skip {
            reason: SkipReason::PortalRule,
            properties: lacking,
        };
        return ContactPlan::skipped(skip, left_out, facts.status_said);
    }
    let (decision, link) = match read {
        None => (Decision::Create, LinkChange::Keep),
        Some(read) => about(read, email.as_str(), facts.linked, changes.is_empty()),
    };
    // A status that the portal's rules took out again was not said.
    let written = |rule: &Rule| matches!(rule, Rule::Status(_));
    let settled = changes.iter().any(|c| written(&c.rule))
        || left_out
            .iter()
            .any(|l| written(&l.rule) && matches!(l.why, Why::Same | Why::StageBack));
    ContactPlan {
        contact_first: decision == Decision::Create && may_be_refused(email),
        decision,
        link,
        changes,
        left_out,
        status_said: said.filter(|_| settled).or(facts.status_said),
    }
}

/// What is done about a contact that is there, and what becomes of the link.
fn about(
    read: &RecordRead,
    email: &str,
    linked: Option<HubSpotObjectId>,
    unchanged: bool,
) -> (Decision, LinkChange) {
    let id = read.id();
    let address = AddressForms::of(email);
    let additional = read
        .each(KEY.additional)
        .any(|known| AddressForms::of(known).canonical() == address.canonical());
    let origin = if additional {
        LinkOrigin::Additional
    } else {
        LinkOrigin::Primary
    };
    match linked {
        None => (Decision::Adopt(id), LinkChange::Make(id, origin)),
        Some(from) => {
            let decision = if unchanged {
                Decision::Nothing(id)
            } else {
                Decision::Update(id)
            };
            let link = if from == id {
                LinkChange::Keep
            } else {
                LinkChange::Follow {
                    from,
                    to: id,
                    origin,
                }
            };
            (decision, link)
        }
    }
}

/// The status (E7): the newest one, once. What a rep sets in HubSpot afterwards stays until the app's
/// status changes, or somebody exports the person by hand.
fn status(
    sheet: &mut Sheet<'_>,
    settings: &Settings,
    facts: &ContactFacts<'_>,
) -> Option<LeadStatus> {
    let mapping = settings.status.as_ref()?;
    let status = facts.person.status?;
    let rule = Rule::Status(status);
    let row = mapping.rows.iter().find(|row| row.status == status);
    let by_hand = matches!(facts.cause, ExportCause::Manual { .. });
    let value = match row {
        None => Err(Why::StatusNotMapped),
        Some(_) if !facts.owns_values && !sheet.is_new() => Err(Why::Shared),
        Some(_) if facts.status_said == Some(status) && !sheet.is_new() && !by_hand => {
            Err(Why::StatusSaid)
        }
        Some(row) => sheet.fixed(&mapping.property, &row.value),
    };
    sheet.put(Wanted {
        property: &mapping.property,
        rule,
        behavior: ExportBehavior::Overwrite,
        value,
        may_go_back: mapping.allow_backward,
    });
    Some(status)
}

/// The owner (E6), of contacts: who does not own the values takes nobody's contact.
fn owner(sheet: &mut Sheet<'_>, settings: &OwnerSettings, facts: &ContactFacts<'_>) {
    put_owner(sheet, facts.owner, settings.overwrite && facts.owns_values);
}

/// Puts the owner to a record.
pub(super) fn put_owner(sheet: &mut Sheet<'_>, owner: OwnerForMember, overwrite: bool) {
    let value = owner
        .owner()
        .and_then(|owner| HubSpotValue::stored(&owner.to_string()));
    sheet.put(Wanted {
        property: OWNER,
        rule: Rule::Owner(owner),
        behavior: if overwrite {
            ExportBehavior::Overwrite
        } else {
            ExportBehavior::FillIfEmpty
        },
        value: value.ok_or(Why::NoOwner),
        may_go_back: false,
    });
}
