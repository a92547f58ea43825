//! Lifecycle stages move forward only (E7): HubSpot keeps the later one, whoever writes.

use super::Why;
use crate::portal::PropertyDefinition;

/// The property of contacts and companies that holds the stage.
pub(super) const LIFECYCLE: &str = "lifecyclestage";

/// Which way a stage would go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Way {
    /// To a later stage.
    Forward,
    /// To an earlier one.
    Back,
    /// One of the two is no stage of the portal.
    Unknown,
}

/// Which way, by HubSpot's order of the options.
pub(super) fn way(definition: &PropertyDefinition, now: &str, wanted: &str) -> Way {
    let place = |stage: &str| {
        definition
            .options
            .iter()
            .position(|option| option.value == stage.trim())
    };
    match (place(now), place(wanted)) {
        (Some(now), Some(wanted)) if wanted < now => Way::Back,
        (Some(_), Some(_)) => Way::Forward,
        _ => Way::Unknown,
    }
}

impl Way {
    /// Why a stage is not written, where stages may not go back.
    pub(super) const fn refused(self) -> Option<Why> {
        match self {
            Self::Forward => None,
            Self::Back => Some(Why::StageBack),
            Self::Unknown => Some(Why::StageUnknown),
        }
    }
}
