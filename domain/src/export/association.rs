//! The association of a contact with its company (E3). HubSpot tells the primary company apart from
//! the plain ones; a contact has one primary company at most.

use crate::HubSpotObjectId;

/// HubSpot's type of an association from a contact to a company.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum AssociationKind {
    /// The plain one.
    Plain,
    /// The primary one; it brings the plain one along.
    Primary,
}

impl AssociationKind {
    /// HubSpot's number of the type, of the category `HUBSPOT_DEFINED`.
    pub const fn type_id(self) -> u16 {
        match self {
            Self::Plain => 279,
            Self::Primary => 1,
        }
    }
}

/// A company that a contact is associated with, as a read of the contact brought it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ContactCompany {
    /// Which one.
    pub company: HubSpotObjectId,
    /// Whether as the primary one.
    pub primary: bool,
}

/// When it is looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Moment {
    /// With an export.
    Export,
    /// About a minute after a contact was made: by then HubSpot's own automation may have put another
    /// company in the place of ours.
    AfterCreate {
        /// Whether ours was made the primary one.
        was_primary: bool,
    },
}

/// What a new contact is associated with in its create: nothing of anybody's is replaced.
pub const WITH_CREATE: [AssociationKind; 2] = [AssociationKind::Plain, AssociationKind::Primary];

/// What is still to be written, so that a contact is associated with its company; none where it is.
///
/// The primary company is ours only where there was none, or where HubSpot itself replaced ours after
/// the create. Whom a person in HubSpot made primary stays. `companies` is a read that came to its
/// end; of one that did not, nothing follows.
pub fn decide(
    companies: &[ContactCompany],
    ours: HubSpotObjectId,
    moment: Moment,
) -> Option<AssociationKind> {
    let with_ours = companies.iter().any(|c| c.company == ours);
    let primary = companies.iter().find(|c| c.primary).map(|c| c.company);
    let replaced = moment == Moment::AfterCreate { was_primary: true };
    match primary {
        Some(primary) if primary == ours => None,
        None => Some(AssociationKind::Primary),
        Some(_) if replaced => Some(AssociationKind::Primary),
        Some(_) if with_ours => None,
        Some(_) => Some(AssociationKind::Plain),
    }
}

/// The company that stands for a contact: the primary one, else the one that HubSpot had first.
pub fn primary(companies: &[ContactCompany]) -> Option<HubSpotObjectId> {
    let primary = companies.iter().find(|c| c.primary).map(|c| c.company);
    primary.or_else(|| companies.iter().map(|c| c.company).min())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_primary_company_is_ours_only_where_there_was_none_or_ours_was_replaced() {
        use AssociationKind::{Plain, Primary};
        let id = |n| HubSpotObjectId::new(n).unwrap();
        let with = |all: &[(i64, bool)]| -> Vec<ContactCompany> {
            all.iter()
                .map(|(n, primary)| ContactCompany {
                    company: id(*n),
                    primary: *primary,
                })
                .collect()
        };
        let replaced = Moment::AfterCreate { was_primary: true };
        let plain = Moment::AfterCreate { was_primary: false };
        for (companies, moment, want) in [
            (vec![], Moment::Export, Some(Primary)),
            (vec![(7, true)], Moment::Export, None),
            (vec![(7, false)], Moment::Export, Some(Primary)),
            (vec![(7, false), (8, false)], Moment::Export, Some(Primary)),
            (vec![(8, true)], Moment::Export, Some(Plain)),
            (vec![(8, true), (7, false)], Moment::Export, None),
            // Primary and unlabelled come as two rows of one id.
            (vec![(7, false), (7, true)], Moment::Export, None),
            (vec![(8, true), (7, false)], replaced, Some(Primary)),
            (vec![(8, true)], replaced, Some(Primary)),
            (vec![(7, true), (8, false)], replaced, None),
            (vec![(8, true), (7, false)], plain, None),
            (vec![], replaced, Some(Primary)),
        ] {
            assert_eq!(
                decide(&with(&companies), id(7), moment),
                want,
                "{companies:?} {moment:?}"
            );
        }
        assert_eq!((Plain.type_id(), Primary.type_id()), (279, 1));
        for (companies, want) in [
            (vec![], None),
            (vec![(8, false), (7, false)], Some(7)),
            (vec![(7, false), (8, true)], Some(8)),
        ] {
            assert_eq!(primary(&with(&companies)), want.map(id), "{companies:?}");
        }
    }
}
