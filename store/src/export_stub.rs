//! Stand-ins until their parts are joined.
use chrono::{DateTime, Utc};
use domain::{ObjectType, PortalId, WorkspaceId, export::RequiredProperty, settings::Settings};

use crate::{Store, StoreError};

/// Stand-in.
#[derive(Debug)]
pub struct ExportStanding {
    /// Stand-in.
    pub settings_saved: bool,
    /// Stand-in.
    pub settings: Settings,
    /// Stand-in.
    pub in_force_since: Option<DateTime<Utc>>,
}

impl Store {
    /// Stand-in.
    pub async fn export_standing(
        &self,
        workspace: WorkspaceId,
    ) -> Result<ExportStanding, StoreError> {
        let row = self.settings(workspace).await?;
        let since = row.as_ref().map(|row| row.saved_at);
        let saved = row.and_then(|row| domain::settings::read(row.document).ok());
        Ok(ExportStanding {
            settings_saved: saved.is_some(),
            settings: match saved {
                Some(s) => s,
                None => Settings::defaults(&self.portal_facts(workspace).await?),
            },
            in_force_since: since,
        })
    }

    /// Stand-in.
    pub async fn portal_rules(
        &self,
        _workspace: WorkspaceId,
        _portal: PortalId,
        _object_type: ObjectType,
    ) -> Result<Vec<RequiredProperty>, StoreError> {
        Ok(Vec::new())
    }
}
