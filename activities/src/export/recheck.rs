//! Companies of new contacts are looked at once more: HubSpot's own automation comes a little later, and
//! may have put another company in the place of ours (E3).

use domain::{
    HubSpotObjectId,
    export::{
        association::{self, Moment},
        journal::Cause,
    },
};

use super::{run::Exporting, stop::Stop};

/// A contact to look at again.
#[derive(Debug, Clone, Copy)]
pub(super) struct Recheck {
    pub(super) contact: HubSpotObjectId,
    pub(super) company: HubSpotObjectId,
    pub(super) was_primary: bool,
}

impl Exporting<'_> {
    /// Restores our company where it was replaced, or never arrived.
    pub(super) async fn recheck(&mut self, recheck: Recheck) -> Result<(), Stop> {
        let companies = self.companies_of(recheck.contact).await?;
        let moment = Moment::AfterCreate {
            was_primary: recheck.was_primary,
        };
        if let Some(kind) = association::decide(&companies, recheck.company, moment) {
            self.associate(recheck.contact, recheck.company, kind, Cause::Repair)
                .await?;
        }
        Ok(())
    }
}

