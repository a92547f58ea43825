//! The verdict on a person, and what the last one has to say when reads are missing.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{Judgement, Stale};
use crate::{HubSpotObjectId, named::named, portal::ListId, settings::DncRules};

/// What keeps a person from being contacted.
#[derive(
    Debug,
    Clone,
    Copy,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Hash,
    Serialize,
    Deserialize,
    ToSchema,
    strum::EnumCount,
    strum::IntoStaticStr,
    strum::VariantArray,
    strum::VariantNames,
)]
#[serde(rename_all = "snake_case")]
#[strum(serialize_all = "snake_case", const_into_str)]
pub enum DncRule {
    /// On a suppression list, or at a company that is on one.
    SuppressionList,
    /// An open deal.
    OpenDeal,
    /// A customer: a deal that was won, or the lifecycle stage.
    Customer,
    /// A deal that was lost not long ago.
    LostDeal,
    /// Opted out of e-mail in HubSpot.
    OptedOut,
    /// Already in HubSpot.
    InHubspot,
    /// Owned by an owner whom no team member stands for.
    UnmappedOwner,
    /// A rep was in touch not long ago.
    RecentTouch,
    /// Erased, here or in HubSpot (C7).
    Erased,
    /// The app has no person of this id, or the text is no e-mail address.
    NotKnown,
    /// A read that the rules stand on is missing, and there is no verdict from before.
    Unknown,
}

named!(DncRule, "rule");

impl DncRule {
    /// The bit that stands for the rule in a number of several rules. The store keeps an index by these
    /// numbers, so a rule keeps its bit for ever.
    pub const fn bit(self) -> i32 {
        match self {
            Self::SuppressionList => 1,
            Self::OpenDeal => 1 << 1,
            Self::Customer => 1 << 2,
            Self::LostDeal => 1 << 3,
            Self::OptedOut => 1 << 4,
            Self::InHubspot => 1 << 5,
            Self::UnmappedOwner => 1 << 6,
            Self::RecentTouch => 1 << 7,
            Self::Erased => 1 << 8,
            Self::NotKnown => 1 << 9,
            Self::Unknown => 1 << 10,
        }
    }

    /// The rules of such a number.
    pub fn of_bits(bits: i32) -> Vec<Self> {
        let all = Self::ALL.into_iter();
        all.filter(|rule| bits & rule.bit() != 0).collect()
    }

    /// All numbers that have the rule in them, in their order.
    pub fn bits_with(self) -> Vec<i32> {
        let all = 1..1 << Self::ALL.len();
        all.filter(|bits| bits & self.bit() != 0).collect()
    }

    /// Whether the settings have it in force; what is no rule of the settings always is.
    pub const fn in_force(self, rules: &DncRules) -> bool {
        match self {
            Self::OpenDeal => rules.open_deal.enabled,
            Self::Customer => rules.customer.enabled,
            Self::LostDeal => rules.lost_deal.enabled,
            Self::OptedOut => rules.opted_out,
            Self::InHubspot => rules.in_hubspot.enabled,
            Self::UnmappedOwner => rules.unmapped_owner,
            Self::RecentTouch => rules.recent_touch.enabled,
            Self::SuppressionList | Self::Erased | Self::NotKnown | Self::Unknown => true,
        }
    }
}

/// A record of HubSpot's.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, ToSchema,
)]
#[serde(rename_all = "snake_case", tag = "type", content = "id")]
pub enum RecordRef {
    /// A contact.
    Contact(HubSpotObjectId),
    /// A company.
    Company(HubSpotObjectId),
    /// A deal.
    Deal(HubSpotObjectId),
    /// A list.
    List(ListId),
}

/// A reason, with the record that it comes from.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, ToSchema)]
pub struct DncReason {
    /// Which rule.
    pub rule: DncRule,
    /// What it was found on; none where nothing is known of the person.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub record: Option<RecordRef>,
    /// The contact or company by which the record concerns the person, where that is another one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub through: Option<RecordRef>,
    /// What was found: a deal's stage, a lifecycle stage, an owner's id, a day, or `gone` of a list
    /// that HubSpot has no more.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub value: Option<String>,
}

impl DncReason {
    /// One that stands on no record.
    pub const fn bare(rule: DncRule) -> Self {
        Self {
            rule,
            record: None,
            through: None,
            value: None,
        }
    }
}

/// Whether a person may be contacted, and if not, every reason.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Verdict {
    /// Whether they may be contacted.
    pub allowed: bool,
    /// Why not; in the order of the rules. Empty exactly when they may be.
    pub reasons: Vec<DncReason>,
    /// Whether a read that the rules stand on is missing: what it would bring is not in the verdict.
    pub stale: bool,
}

impl Verdict {
    /// A no that stands on no record.
    pub fn no(rule: DncRule) -> Self {
        Self {
            allowed: false,
            reasons: vec![DncReason::bare(rule)],
            stale: false,
        }
    }

    /// What a judgement amounts to. As long as a read is missing the last verdict stands beside it, less
    /// what comes from rules that are not in force any more; where there is none, nobody is contacted.
    pub fn of(
        judgement: Judgement,
        stale: &[Stale],
        rules: &DncRules,
        last: Option<&Self>,
    ) -> Self {
        let mut reasons = judgement.reasons;
        let is_stale = !stale.is_empty();
        if is_stale {
            match last {
                Some(last) if last.allowed => {}
                Some(last) => {
                    let kept = last.reasons.iter().filter(|r| r.rule.in_force(rules));
                    for reason in kept {
                        let said = reasons
                            .iter()
                            .any(|r| (r.rule, r.record) == (reason.rule, reason.record));
                        // That nothing was known is no reason beside one that is.
                        if !said && reason.rule != DncRule::Unknown {
                            reasons.push(reason.clone());
                        }
                    }
                    if reasons.is_empty() {
                        reasons.push(DncReason::bare(DncRule::Unknown));
                    }
                }
                None if reasons.is_empty() => reasons.push(DncReason::bare(DncRule::Unknown)),
                None => {}
            }
            reasons.sort();
        }
        Self {
            allowed: reasons.is_empty(),
            reasons,
            stale: is_stale,
        }
    }
}
