//! What all exports of a workspace stand on.

use std::{
    collections::BTreeSet,
    num::NonZeroUsize,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use chrono::{DateTime, NaiveDate, Utc};
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
use lru::LruCache;
use store::{Store, StoreError};

use super::stop::Stop;
use crate::{Deps, convert::request_class, slices::MAX_BUDGET_WAIT};

/// Workspaces whose grounds a process keeps: a portal has some hundred definitions, a megabyte or so.
const KEPT: NonZeroUsize = NonZeroUsize::new(64).expect("more than none");

/// What all exports of a workspace stand on, as it is when an export begins.
pub(super) struct Ground {
    pub(super) workspace: WorkspaceId,
    pub(super) portal: PortalId,
    pub(super) epoch: Epoch,
    pub(super) client: Client,
    /// The scopes of the connection; none where HubSpot does not tell them.
    pub(super) scopes: Vec<String>,
    pub(super) known: Arc<Known>,
}

/// The part of it that is the same until the store has another mark.
pub(super) struct Known {
    mark: String,
    pub(super) settings: Settings,
    pub(super) settings_saved: bool,
    pub(super) in_force_since: DateTime<Utc>,
    pub(super) zone: Tz,
    fields: Fields,
    facts: PortalFacts,
    contacts: Properties,
    companies: Properties,
    contact_rules: Vec<RequiredProperty>,
    company_rules: Vec<RequiredProperty>,
}

impl Known {
    async fn read(
        store: &Store,
        workspace: WorkspaceId,
        portal: PortalId,
        mark: String,
    ) -> Result<Self, StoreError> {
        let mut facts = store.portal_facts(workspace).await?;
        let standing = store.export_standing(workspace).await?;
        let mut rules = store.portal_rules(workspace, portal).await?;
        Ok(Self {
            mark,
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
        })
    }
}

/// What this process knows of workspaces, by the store's mark: most exports find the same as the one
/// before. What was asked for longest ago goes first.
pub(crate) struct Grounds(Mutex<LruCache<WorkspaceId, Arc<Known>>>);

impl Default for Grounds {
    fn default() -> Self {
        Self(Mutex::new(LruCache::new(KEPT)))
    }
}

impl Grounds {
    async fn known(
        &self,
        store: &Store,
        workspace: WorkspaceId,
        portal: PortalId,
    ) -> Result<Arc<Known>, StoreError> {
        // Before what it marks: what changes in between is read again the next time.
        let mark = store.export_mark(workspace, portal).await?;
        if let Some(known) = self.kept().get(&workspace)
            && known.mark == mark
        {
            return Ok(known.clone());
        }
        let known = Arc::new(Known::read(store, workspace, portal, mark).await?);
        self.kept().put(workspace, known.clone());
        Ok(known)
    }

    fn kept(&self) -> MutexGuard<'_, LruCache<WorkspaceId, Arc<Known>>> {
        // Each change of it is one insert: nothing is left half done.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Ground {
    /// The day of a moment where the portal is.
    pub(super) fn day(&self, at: DateTime<Utc>) -> NaiveDate {
        at.with_timezone(&self.known.zone).date_naive()
    }

    /// None where the workspace is not connected.
    pub(super) async fn of(
        deps: &Deps,
        workspace: WorkspaceId,
    ) -> Result<Option<Self>, StoreError> {
        Self::with_urgency(deps, workspace, Urgency::Interactive).await
    }

    /// The same for work of an urgency.
    pub(super) async fn with_urgency(
        deps: &Deps,
        workspace: WorkspaceId,
        urgency: Urgency,
    ) -> Result<Option<Self>, StoreError> {
        let connection = deps.store.connection(workspace).await?;
        let Some(connection) = connection.filter(|c| c.state == ConnectionState::Connected) else {
            return Ok(None);
        };
        let portal = connection.portal;
        let client = deps
            .portals
            .client(workspace, portal, connection.epoch)
            .with_class(request_class(urgency))
            .with_max_wait(MAX_BUDGET_WAIT);
        Ok(Some(Self {
            workspace,
            portal,
            epoch: connection.epoch,
            scopes: connection.scopes,
            client,
            known: deps.grounds.known(&deps.store, workspace, portal).await?,
        }))
    }

    /// What to stand on for what is asked for by now, where that is another ground: asked after it was read
    /// what is to be done, for whoever saves settings and asks for something after it means those settings.
    ///
    /// # Errors
    /// [`Stop::Fenced`] where the connection is another one, or none.
    pub(super) async fn newer(&self, deps: &Deps) -> Result<Option<Self>, Stop> {
        let (workspace, portal) = (self.workspace, self.portal);
        if deps.store.export_mark(workspace, portal).await? == self.known.mark {
            return Ok(None);
        }
        let connection = deps.store.connection(workspace).await?;
        let connection = connection
            .filter(|c| c.state == ConnectionState::Connected)
            .filter(|c| (c.portal, c.epoch) == (portal, self.epoch))
            .ok_or(Stop::Fenced)?;
        Ok(Some(Self {
            workspace,
            portal,
            epoch: self.epoch,
            client: self.client.clone(),
            scopes: connection.scopes,
            known: deps.grounds.known(&deps.store, workspace, portal).await?,
        }))
    }

    fn external(&self) -> External<'_> {
        External {
            owners: self.known.facts.owners.as_deref(),
            pipelines: self.known.facts.pipelines.as_deref(),
        }
    }

    pub(super) fn rules(&self) -> Workspace<'_> {
        Workspace {
            settings: &self.known.settings,
            fields: &self.known.fields,
            contacts: PortalSide {
                definitions: &self.known.contacts,
                external: self.external(),
                required: &self.known.contact_rules,
            },
            companies: PortalSide {
                definitions: &self.known.companies,
                external: self.external(),
                required: &self.known.company_rules,
            },
        }
    }

    pub(super) fn owners(&self) -> OwnerMap<'_> {
        let owners = self.known.facts.owners.as_deref().unwrap_or_default();
        OwnerMap::new(
            &self.known.settings.owners,
            owners,
            &self.known.facts.members,
        )
    }

    pub(super) fn definitions(&self, object_type: ObjectType) -> Definitions<'_> {
        Definitions(self.properties(object_type))
    }

    pub(super) fn properties(&self, object_type: ObjectType) -> &Properties {
        match object_type {
            ObjectType::Company => &self.known.companies,
            _ => &self.known.contacts,
        }
    }

    /// What a fresh read of a contact asks for.
    pub(super) fn contact_properties(&self) -> Vec<String> {
        let settings = &self.known.settings;
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
        with_rules(names, &self.known.contact_rules)
    }

    /// What a read of a company asks for.
    pub(super) fn company_properties(&self) -> Vec<String> {
        let settings = &self.known.settings;
        let mut names: BTreeSet<&str> = COMPANY_NEEDS.iter().copied().collect();
        names.extend(settings.companies.iter().map(|row| row.property.as_str()));
        names.extend(settings.company_values.iter().map(|v| v.property.as_str()));
        with_rules(names, &self.known.company_rules)
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
