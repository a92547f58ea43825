//! The app's side: people, companies and team members, with their fields and statuses.

pub mod catalogue;
pub mod company;
pub mod email;
pub mod field;
pub mod ids;
pub mod member;
pub mod merge;
pub mod name;
pub mod patch;
pub mod person;
pub mod problem;
pub mod status;
pub mod value;

pub use catalogue::{
    COMPANY_FIELDS, CatalogueField, CustomField, CustomFieldError, FieldInfo, FieldSource, Fields,
    PERSON_FIELDS, RecordKind,
};
pub use company::{Company, CompanyInput, CompanyUpsert};
pub use email::{AddressForms, Email, EmailError, EmailPlace};
pub use field::{FieldKey, FieldType};
pub use ids::{ActivityId, AppCompanyId, MemberId, PersonId, RecordVersion};
pub use member::{Member, MemberInput, MemberUpsert};
pub use merge::{Merged, Slot, SlotVersions, UpsertOutcome, VersionConflict, Versioned};
pub use name::NameStart;
pub use patch::Patch;
pub use person::{Outreach, Person, PersonInput, PersonUpsert};
pub use problem::{ItemCode, ItemProblem};
pub use status::LeadStatus;
pub use value::{FieldValue, FieldValueOrNull, ValueError};
