//! What all exports of a workspace stand on.

use std::collections::BTreeSet;

use chrono::{DateTime, Utc};
use chrono_tz::Tz;
use domain::{
    ConnectionState, Epoch, ObjectType, PortalId, Urgency, WorkspaceId,
    app::Fields,
    export::{
        PortalSide, Workspace, ceiling, company::COMPANY_NEEDS, contact::CONTACT_NEEDS,
        portal_rules::RequiredProperty, sameness::Definitions,
    },
    owners::OwnerMap,
    portal::{External, PortalFacts, Properties},
    settings::Settings,
};
use hubspot::Client;
use store::StoreError;

use crate::{Deps, convert::request_class, slices::MAX_BUDGET_WAIT};

/// What all exports of a workspace stand on, as it is when an export begins.
pub(super) struct Ground {
    pub(super) workspace: WorkspaceId,
    pub(super) portal: PortalId,
    pub(super) epoch: Epoch,
    pub(super) client: Client,
    pub(super) settings: Settings,
    pub(super) settings_saved: bool,
    pub(super) in_force_since: DateTime<Utc>,
    pub(super) zone: Tz,
    /// The scopes of the connection; none where HubSpot does not tell them.
    pub(super) scopes: Vec<String>,
    fields: Fields,
    facts: PortalFacts,
    contacts: Properties,
    companies: Properties,
    contact_rules: Vec<RequiredProperty>,
    company_rules: Vec<RequiredProperty>,
}

impl Ground {
    /// None where the workspace is not connected.
    pub(super) async fn of(
        deps: &Deps,
        workspace: WorkspaceId,
    ) -> Result<Option<Self>, StoreError> {
        let store = &deps.store;
        let connection = store.connection(workspace).await?;
        let Some(connection) = connection.filter(|c| c.state == ConnectionState::Connected) else {
            return Ok(None);
        };
        let mut facts = store.portal_facts(workspace).await?;
        let standing = store.export_standing(workspace).await?;
        let portal = connection.portal;
        let mut rules = store.portal_rules(workspace, portal).await?;
        let client = deps
            .portals
            .client(workspace, portal, connection.epoch)
            .with_class(request_class(Urgency::Interactive))
            .with_max_wait(MAX_BUDGET_WAIT);
        Ok(Some(Self {
            workspace,
            portal,
            epoch: connection.epoch,
            scopes: connection.scopes.clone(),
            client,
            settings: standing.settings,
            settings_saved: standing.settings_saved,
            // Without, nobody came to qualify yet.
            in_force_since: standing.in_force_since.unwrap_or(DateTime::<Utc>::MAX_UTC),
            zone: ceiling::zone_of(store.portal_zone(workspace, portal).await?.as_deref()),
            fields: Fields::new(&facts.custom_fields),
            contacts: facts.contact_properties.take().unwrap_or_default(),
            companies: facts.company_properties.take().unwrap_or_default(),
            facts,
            contact_rules: rules.remove(&ObjectType::Contact).unwrap_or_default(),
            company_rules: rules.remove(&ObjectType::Company).unwrap_or_default(),
        }))
    }

    fn external(&self) -> External<'_> {
        External {
            owners: self.facts.owners.as_deref(),
            pipelines: self.facts.pipelines.as_deref(),
        }
    }

    pub(super) fn rules(&self) -> Workspace<'_> {
        Workspace {
            settings: &self.settings,
            fields: &self.fields,
            contacts: PortalSide {
                definitions: &self.contacts,
                external: self.external(),
                required: &self.contact_rules,
            },
            companies: PortalSide {
                definitions: &self.companies,
                external: self.external(),
                required: &self.company_rules,
            },
        }
    }

    pub(super) fn owners(&self) -> OwnerMap<'_> {
        let owners = self.facts.owners.as_deref().unwrap_or_default();
        OwnerMap::new(&self.settings.owners, owners, &self.facts.members)
    }

    pub(super) const fn definitions(&self, object_type: ObjectType) -> Definitions<'_> {
        Definitions(self.properties(object_type))
    }

    pub(super) const fn properties(&self, object_type: ObjectType) -> &Properties {
        match object_type {
            ObjectType::Company => &self.companies,
            _ => &self.contacts,
        }
    }

    /// What a fresh read of a contact asks for.
    pub(super) fn contact_properties(&self) -> Vec<String> {
        let settings = &self.settings;
        let mut names: BTreeSet<&str> = CONTACT_NEEDS.iter().copied().collect();
        names.extend(settings.contacts.iter().map(|row| row.property.as_str()));
        names.extend(
            settings
                .status
                .iter()
                .map(|status| status.property.as_str()),
        );
        let stamps = settings
            .contact_source
            .iter()
            .chain(&settings.contact_values);
        names.extend(stamps.map(|stamp| stamp.property.as_str()));
        with_rules(names, &self.contact_rules)
    }

    /// What a read of a company asks for.
    pub(super) fn company_properties(&self) -> Vec<String> {
        let settings = &self.settings;
        let mut names: BTreeSet<&str> = COMPANY_NEEDS.iter().copied().collect();
        names.extend(settings.companies.iter().map(|row| row.property.as_str()));
        names.extend(settings.company_values.iter().map(|v| v.property.as_str()));
        with_rules(names, &self.company_rules)
    }
}

/// With the properties that rules of the portal are about.
fn with_rules<'a>(mut names: BTreeSet<&'a str>, rules: &'a [RequiredProperty]) -> Vec<String> {
    for rule in rules {
        names.insert(&rule.property);
        names.extend(rule.when.iter().map(|when| when.property.as_str()));
    }
    names.into_iter().map(str::to_owned).collect()
}
