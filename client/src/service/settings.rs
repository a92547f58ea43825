//! The settings of a workspace.

use domain::{
    WorkspaceId,
    api::{OwnPropertiesAnswer, SettingsAnswer, SettingsCheck, SettingsCheckAnswer, SettingsPut},
};
use reqwest::Method;

use super::{Error, HubSpotSync};

/// Properties are made in HubSpot: longer than the service waits for that.
const MADE_WITHIN: std::time::Duration = std::time::Duration::from_secs(30);

impl HubSpotSync {
    /// The settings in force: before any were saved the defaults for the portal, as revision 0.
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn get_settings(&self, workspace: WorkspaceId) -> Result<SettingsAnswer, Error> {
        self.get(workspace, &["settings"]).large().answer().await
    }

    /// The defaults for the portal as it is known now.
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn get_default_settings(
        &self,
        workspace: WorkspaceId,
    ) -> Result<SettingsAnswer, Error> {
        self.get(workspace, &["settings", "defaults"])
            .large()
            .answer()
            .await
    }

    /// Makes our group of properties in the portal, and maps them. Asked again, it changes nothing.
    ///
    /// # Errors
    /// [`Error::Problem`] with HS-1003 or HS-3003 without a usable connection, HS-3004 without the scope for
    /// it, HS-1009 where HubSpot does not answer in time.
    pub async fn make_own_properties(
        &self,
        workspace: WorkspaceId,
    ) -> Result<OwnPropertiesAnswer, Error> {
        self.post(workspace, &["own-properties"])
            .within(MADE_WITHIN)
            .answer()
            .await
    }

    /// What is wrong with settings, without saving them. That something is wrong is no error here.
    ///
    /// # Errors
    /// [`Error::Problem`] with HS-2192 where the document cannot be read at all.
    pub async fn check_settings(
        &self,
        workspace: WorkspaceId,
        settings: &SettingsCheck,
    ) -> Result<SettingsCheckAnswer, Error> {
        self.post(workspace, &["settings", "check"])
            .body(settings)
            .large()
            .answer()
            .await
    }

    /// Saves settings. Sent again after an answer that was lost, it is a conflict with oneself.
    ///
    /// # Errors
    /// [`Error::SettingsRefused`] names the rows that are wrong, [`Error::SettingsConflict`] what
    /// somebody else changed since the expected revision. Nothing was saved then.
    pub async fn put_settings(
        &self,
        workspace: WorkspaceId,
        settings: &SettingsPut,
    ) -> Result<SettingsAnswer, Error> {
        self.call(Method::PUT, workspace, &["settings"])
            .body(settings)
            .large()
            .answer()
            .await
    }
}
