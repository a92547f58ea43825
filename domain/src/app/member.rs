//! Team members: who works in the app, and to whom HubSpot's owners are mapped (E6).

use std::fmt;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{
    Email, ItemCode, ItemProblem, MemberId, Merged, Patch, RecordVersion, Slot, SlotVersions,
    VersionConflict, Versioned,
    merge::Merger,
    person::{check_email, check_id, check_version},
};

/// A team member as stored and as answered.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Member {
    /// The app's id.
    pub id: MemberId,
    /// The highest version that was sent.
    pub version: RecordVersion,
    /// The address by which owners are matched, normalised.
    pub email: Option<Email>,
    /// What a person reads.
    pub name: Option<String>,
    /// Whether they still work in the app. Nothing is mapped to a member who does not. None means
    /// yes.
    pub active: Option<bool>,
    /// The versions of slots that have another than the record. Not part of the API.
    #[serde(skip)]
    pub slots: SlotVersions,
}

impl Member {
    /// Whether they still work in the app; a member is active unless the app says otherwise.
    pub fn is_active(&self) -> bool {
        self.active != Some(false)
    }
}

impl fmt::Debug for Member {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Member")
            .field("id", &self.id)
            .field("version", &self.version)
            .field("active", &self.active)
            .finish_non_exhaustive()
    }
}

/// A partial update of a team member: a missing field stays as it is, `null` empties it.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct MemberInput {
    /// The app's id.
    #[schema(min_length = 1, max_length = 128, pattern = "^[A-Za-z0-9._:-]+$")]
    pub id: String,
    /// The version of this update.
    #[schema(value_type = i64, minimum = 0)]
    pub version: u64,
    /// The address by which owners are matched.
    #[serde(default, skip_serializing_if = "Patch::is_keep")]
    #[schema(value_type = Option<String>, format = Email, max_length = 254)]
    pub email: Patch<String>,
    /// What a person reads.
    #[serde(default, skip_serializing_if = "Patch::is_keep")]
    #[schema(value_type = Option<String>, max_length = 200)]
    pub name: Patch<String>,
    /// Whether they still work in the app; `null` means yes.
    #[serde(default, skip_serializing_if = "Patch::is_keep")]
    #[schema(value_type = Option<bool>)]
    pub active: Patch<bool>,
}

impl fmt::Debug for MemberInput {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MemberInput")
            .field("version", &self.version)
            .finish_non_exhaustive()
    }
}

impl MemberInput {
    /// Checks each part and brings it into the form that is stored.
    ///
    /// # Errors
    /// The first [`ItemProblem`]; the item is refused as a whole then.
    pub fn check(self) -> Result<MemberUpsert, ItemProblem> {
        Ok(MemberUpsert {
            id: check_id("id", self.id)?,
            version: check_version(self.version)?,
            email: check_email(self.email)?,
            name: match self.name {
                Patch::Set(name) if name.trim().is_empty() && !name.contains('\0') => Patch::Clear,
                other => other.try_map(|name| {
                    if name.chars().count() > 200 || name.contains('\0') {
                        Err(ItemProblem::new(
                            ItemCode::ValueDoesNotFit,
                            Slot::named("name"),
                            "a name has at most 200 characters and no NUL",
                        ))
                    } else {
                        Ok(name.trim().to_owned())
                    }
                })?,
            },
            active: self.active,
        })
    }
}

/// A partial update of a team member, checked.
#[derive(Clone, PartialEq, Eq)]
pub struct MemberUpsert {
    /// The app's id.
    pub id: MemberId,
    /// The version of this update.
    pub version: RecordVersion,
    /// The address by which owners are matched, normalised.
    pub email: Patch<Email>,
    /// What a person reads.
    pub name: Patch<String>,
    /// Whether they still work in the app.
    pub active: Patch<bool>,
}

impl fmt::Debug for MemberUpsert {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MemberUpsert")
            .field("id", &self.id)
            .field("version", &self.version)
            .finish_non_exhaustive()
    }
}

impl Versioned for Member {
    type Upsert = MemberUpsert;

    fn apply(
        existing: Option<&Self>,
        upsert: &MemberUpsert,
    ) -> Result<Merged<Self>, VersionConflict> {
        let mut merge = Merger::new(existing.map(|m| (m.version, &m.slots)), upsert.version);
        let email = merge.slot(
            Slot::named("email"),
            existing.and_then(|m| m.email.as_ref()),
            upsert.email.as_ref(),
        );
        let name = merge.slot(
            Slot::named("name"),
            existing.and_then(|m| m.name.as_ref()),
            upsert.name.as_ref(),
        );
        let active = merge.slot(
            Slot::named("active"),
            existing.and_then(|m| m.active.as_ref()),
            upsert.active.as_ref(),
        );
        merge.finish(|version, slots| Self {
            id: upsert.id.clone(),
            version,
            email,
            name,
            active,
            slots,
        })
    }
}
