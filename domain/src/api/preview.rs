//! A preview (E9): the plan of an export, shown. Nothing is decided here.

use std::fmt;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::{
    ErrorCode, HubSpotObjectId,
    app::{FieldKey, LeadStatus},
    export::{
        Change, CompanyPlan, ContactPlan, Decision, LeftOut, LinkChange, NoCompany, NoDomain, Rule,
        Skip, SkipReason, Why,
    },
    owners::OwnerForMember,
    settings::ExportBehavior,
};

/// What an export would do, if it was made now.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ExportPreview {
    /// The person's contact.
    pub contact: RecordPreview,
    /// The company; null where there is none, or where the contact is not exported.
    pub company: Option<RecordPreview>,
    /// Why the contact would have no company: neither website nor address names one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub no_company: Option<WhyPreview>,
    /// Whether a contact is made. HubSpot decides by the portal's own setting whether a new contact
    /// counts as a marketing contact, for which it may charge; exports never set or clear that.
    pub may_become_marketing_contact: bool,
}

/// What would become of a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum PreviewAction {
    /// It is made.
    Create,
    /// One that HubSpot has is linked, and written where something changes.
    Adopt,
    /// The linked one is written.
    Update,
    /// Nothing is written.
    Nothing,
    /// It is left out.
    Skip,
}

/// A record of a preview.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct RecordPreview {
    /// What would be done.
    pub action: PreviewAction,
    /// The record; null of one that would be made.
    pub hubspot_id: Option<HubSpotObjectId>,
    /// Why it is left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<WhyPreview>,
    /// What would be written.
    pub changes: Vec<ChangePreview>,
    /// What would not be written, and why.
    pub left_out: Vec<LeftOutPreview>,
    /// Other records of HubSpot's that are known by the same.
    pub others: Vec<HubSpotObjectId>,
}

/// A reason.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct WhyPreview {
    /// Its name.
    pub reason: String,
    /// The paragraph about it, where somebody may want to do something.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub code: Option<ErrorCode>,
    /// The properties that the portal requires and that have no value.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub properties: Vec<String>,
}

/// The rule behind a property.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case", tag = "by")]
pub enum RulePreview {
    /// What identifies the record.
    Key,
    /// A company's name, that no row gives.
    Name,
    /// A row of the property mapping.
    Row {
        /// The app's field.
        app_field: FieldKey,
    },
    /// The status mapping.
    Status {
        /// The person's status.
        status: LeadStatus,
    },
    /// The owner mapping.
    Owner {
        /// Whether it is the fallback owner.
        fallback: bool,
    },
    /// The contact source.
    Source,
    /// A fixed value.
    Fixed,
}

impl From<&Rule> for RulePreview {
    fn from(rule: &Rule) -> Self {
        match rule {
            Rule::Key => Self::Key,
            Rule::Name => Self::Name,
            Rule::Row(app_field) => Self::Row {
                app_field: app_field.clone(),
            },
            Rule::Status(status) => Self::Status { status: *status },
            Rule::Owner(owner) => Self::Owner {
                fallback: matches!(owner, OwnerForMember::Fallback(_)),
            },
            Rule::Source => Self::Source,
            Rule::Fixed => Self::Fixed,
        }
    }
}

/// A property that would be written. `Debug` does not show its values (X5).
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ChangePreview {
    /// The property's name.
    pub property: String,
    /// What HubSpot has; null where it has nothing.
    pub old: Option<String>,
    /// What would stand there.
    pub new: String,
    /// The rule behind it.
    pub rule: RulePreview,
    /// The rule's behavior.
    pub behavior: ExportBehavior,
}

impl fmt::Debug for ChangePreview {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ChangePreview")
            .field("property", &self.property)
            .field("rule", &self.rule)
            .finish_non_exhaustive()
    }
}

impl From<&Change> for ChangePreview {
    fn from(change: &Change) -> Self {
        Self {
            property: change.property.clone(),
            old: change.old.as_ref().map(|old| old.as_str().to_owned()),
            new: change.write.result().as_str().to_owned(),
            rule: (&change.rule).into(),
            behavior: change.behavior,
        }
    }
}

/// A property that would not be written.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct LeftOutPreview {
    /// The property's name.
    pub property: String,
    /// The rule that is about it.
    pub rule: RulePreview,
    /// Why.
    #[serde(flatten)]
    pub why: WhyPreview,
}

impl From<&LeftOut> for LeftOutPreview {
    fn from(left: &LeftOut) -> Self {
        let properties = match &left.why {
            Why::PortalRequires(property) => vec![property.clone()],
            _ => Vec::new(),
        };
        Self {
            property: left.property.clone(),
            rule: (&left.rule).into(),
            why: WhyPreview::new(left.why.as_str(), left.why.code(), properties),
        }
    }
}

impl WhyPreview {
    fn new(reason: &str, code: Option<&str>, properties: Vec<String>) -> Self {
        Self {
            reason: reason.to_owned(),
            code: code.and_then(|code| code.parse().ok()),
            properties,
        }
    }

    fn skipped(reason: SkipReason, properties: Vec<String>) -> Self {
        Self::new(reason.as_str(), Some(reason.code()), properties)
    }

    fn no_company(why: &NoCompany) -> Self {
        let properties = match why {
            NoCompany::PortalRule(properties) => properties.clone(),
            NoCompany::UpdateOnly | NoCompany::Archived => Vec::new(),
        };
        Self::new(why.as_str(), Some(why.code()), properties)
    }
}

impl RecordPreview {
    fn new(
        decision: Result<&Decision, &NoCompany>,
        changes: &[Change],
        left_out: &[LeftOut],
        others: &[HubSpotObjectId],
    ) -> Self {
        use PreviewAction as A;
        let (action, hubspot_id, reason) = match decision {
            Ok(Decision::Create) => (A::Create, None, None),
            Ok(Decision::Adopt(id)) => (A::Adopt, Some(*id), None),
            Ok(Decision::Update(id)) => (A::Update, Some(*id), None),
            Ok(Decision::Nothing(id)) => (A::Nothing, Some(*id), None),
            Ok(Decision::Skip(skip)) => {
                let left = WhyPreview::skipped(skip.reason, skip.properties.clone());
                (A::Skip, None, Some(left))
            }
            Err(why) => (A::Skip, None, Some(WhyPreview::no_company(why))),
        };
        Self {
            action,
            hubspot_id,
            reason,
            changes: changes.iter().map(ChangePreview::from).collect(),
            left_out: left_out.iter().map(LeftOutPreview::from).collect(),
            others: others.to_vec(),
        }
    }
}

impl ExportPreview {
    /// Of a person who is left out before there is anything to plan.
    pub fn skipped(skip: Skip, no_company: NoDomain) -> Self {
        let plan = ContactPlan {
            decision: Decision::Skip(skip),
            contact_first: false,
            link: LinkChange::Keep,
            changes: Vec::new(),
            left_out: Vec::new(),
            status_said: None,
        };
        Self::new(&plan, Err(no_company))
    }

    /// Shows plans. Of a contact that is not exported the company is none.
    pub fn new(contact: &ContactPlan, company: Result<&CompanyPlan, NoDomain>) -> Self {
        let exported = !matches!(contact.decision, Decision::Skip(_));
        Self {
            may_become_marketing_contact: contact.decision == Decision::Create,
            contact: RecordPreview::new(
                Ok(&contact.decision),
                &contact.changes,
                &contact.left_out,
                &[],
            ),
            company: company.ok().filter(|_| exported).map(|plan| {
                RecordPreview::new(
                    plan.decision.as_ref(),
                    &plan.changes,
                    &plan.left_out,
                    &plan.others,
                )
            }),
            no_company: company
                .err()
                .filter(|_| exported)
                .map(|why| WhyPreview::new(why.as_str(), Some(why.code()), Vec::new())),
        }
    }
}
