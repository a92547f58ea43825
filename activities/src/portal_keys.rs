//! Unique properties of ours, where the portal allows them (X2).

use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use domain::{ObjectType, PortalId};
use hubspot::{
    Client, ErrorClass,
    properties::{NewProperty, UniqueProperty},
};
use store::{PortalKey, Store, StoreError};

use crate::read;

/// The property that holds our key.
pub const COMPANY_KEY: &str = "artisan_record_key";
const LABEL: &str = "Artisan record key";
const GROUP: &str = "companyinformation";
/// Making it asks for this scope.
const SCOPE: &str = "crm.schemas.companies.write";
/// A portal that refused is asked again after this: somebody may have made room.
const AGAIN: TimeDelta = TimeDelta::days(1);
/// A new property is to be seen within a second or so.
const LOOKS: u32 = 6;
const BETWEEN: Duration = Duration::from_millis(500);

/// Why it is not known whether a portal allows a unique property.
#[derive(Debug, thiserror::Error)]
pub enum PortalKeyError {
    /// HubSpot did not say.
    #[error(transparent)]
    HubSpot(#[from] hubspot::Error),
    /// The store did not do it.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// The unique property of companies that holds our key; none where the portal does not allow one, or
/// where that cannot be told yet: records are then made without it.
///
/// The portal is asked at the first time, and again a day after it refused; what it said is kept for
/// all workspaces of the portal. `granted` are the scopes of the connection, none where HubSpot does
/// not tell them (service keys). Without the scope for it nothing is asked.
///
/// # Errors
/// [`PortalKeyError::HubSpot`] where no other request would do better now: the connection is fenced
/// off or revoked, or the limit is reached.
pub async fn company_key(
    store: &Store,
    client: &Client,
    portal: PortalId,
    granted: &[String],
    now: DateTime<Utc>,
) -> Result<Option<String>, PortalKeyError> {
    let allowed = granted.is_empty() || granted.iter().any(|scope| scope == SCOPE);
    key_of(
        store,
        client,
        portal,
        ObjectType::Company,
        GROUP,
        allowed,
        now,
    )
    .await
}

/// The unique property of a type of engagements that holds our key; none where the portal does not allow
/// one, or where that cannot be told yet. Only calls, meetings and tasks may have one (`hubspot-api.md`
/// §15.7); of others nothing is asked. Which scope it takes HubSpot does not say: it is asked.
///
/// # Errors
/// As of [`company_key`].
pub(crate) async fn engagement_key(
    store: &Store,
    client: &Client,
    portal: PortalId,
    object_type: ObjectType,
    now: DateTime<Utc>,
) -> Result<Option<String>, PortalKeyError> {
    let group = match object_type {
        ObjectType::Call => "call",
        ObjectType::Meeting => "meeting",
        ObjectType::Task => "task",
        _ => return Ok(None),
    };
    key_of(store, client, portal, object_type, group, true, now).await
}

async fn key_of(
    store: &Store,
    client: &Client,
    portal: PortalId,
    object_type: ObjectType,
    group: &str,
    allowed: bool,
    now: DateTime<Utc>,
) -> Result<Option<String>, PortalKeyError> {
    if let Some(said) = store.portal_key(portal, object_type).await? {
        match said.key {
            PortalKey::Available(name) => return Ok(Some(name)),
            PortalKey::Refused if now - said.asked_at < AGAIN => return Ok(None),
            PortalKey::Refused => {}
        }
    }
    if !allowed {
        return Ok(None);
    }
    let property = NewProperty {
        description: "Which record of the app this is. It keeps records from being made twice."
            .to_owned(),
        hidden: true,
        ..NewProperty::text(COMPANY_KEY, LABEL, group).unique()
    };
    let said = client
        .properties()
        .ensure_unique(read::object_type(object_type), &property, LOOKS, BETWEEN)
        .await;
    let key = match said {
        Ok(UniqueProperty::Ready) => PortalKey::Available(COMPANY_KEY.to_owned()),
        Ok(UniqueProperty::NotUnique | UniqueProperty::Refused(_)) => PortalKey::Refused,
        // Whoever comes next looks again.
        Ok(UniqueProperty::NotVisibleYet) => return Ok(None),
        Err(error) => match error.class() {
            ErrorClass::ScopeMissing | ErrorClass::Forbidden | ErrorClass::Invalid => {
                PortalKey::Refused
            }
            ErrorClass::RateLimited | ErrorClass::AuthRevoked | ErrorClass::Refused => {
                return Err(error.into());
            }
            _ => return Ok(None),
        },
    };
    tracing::info!(%portal, %object_type, available = key != PortalKey::Refused, "a unique property");
    store
        .write_portal_key(portal, object_type, &key, now)
        .await?;
    Ok(match key {
        PortalKey::Available(name) => Some(name),
        PortalKey::Refused => None,
    })
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use hubspot::{ClientConfig, StaticToken, Timeouts, Unlimited};
    use serde_json::{Value, json};
    use store::testing::TestDatabase;
    use url::Url;

    use super::*;

    struct World {
        store: Store,
        http: reqwest::Client,
        url: Url,
        client: Client,
    }

    const PORTAL: i64 = 1;

    impl World {
        async fn new(settings: Value, scopes: Value) -> Self {
            let database = TestDatabase::create().await;
            let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
            let url = Url::parse(&format!("http://{}", listener.local_addr().unwrap())).unwrap();
            tokio::spawn(simulator::serve(listener, simulator::Simulator::new(1)));
            let config = ClientConfig {
                api_url: url.clone(),
                app_url: url.clone(),
                timeouts: Timeouts::all(Duration::from_secs(5)),
                ..ClientConfig::default()
            };
            // It brings along what TLS needs.
            let nobody = StaticToken::new(String::new().into());
            let _brings =
                Client::new(config.clone(), Arc::new(nobody), Arc::new(Unlimited)).unwrap();
            let http = reqwest::Client::new();
            let mut body = json!({"portal_id": PORTAL, "limits": "off"});
            for (name, value) in settings.as_object().unwrap() {
                body[name] = value.clone();
            }
            let call = async |path: &str, body: Value| -> Value {
                let url = format!("{url}_simulator/{path}");
                let answer = http.post(url).json(&body).send().await.unwrap();
                assert!(answer.status().is_success(), "{path}");
                answer.json().await.unwrap_or_default()
            };
            call("portals", body).await;
            let key = call(&format!("portals/{PORTAL}/service-keys"), scopes).await;
            let token = StaticToken::new(key["token"].as_str().unwrap().to_owned().into());
            Self {
                store: database.store,
                client: Client::new(config, Arc::new(token), Arc::new(Unlimited)).unwrap(),
                http,
                url,
            }
        }

        async fn key(&self, granted: &[&str], now: DateTime<Utc>) -> Option<String> {
            let granted: Vec<String> = granted.iter().map(|s| (*s).to_owned()).collect();
            let portal = PortalId::new(PORTAL).unwrap();
            company_key(&self.store, &self.client, portal, &granted, now)
                .await
                .unwrap()
        }

        /// How many requests about properties the simulator saw.
        async fn requests(&self) -> usize {
            let url = format!("{}_simulator/portals/{PORTAL}/requests", self.url);
            let log: Value = self
                .http
                .get(url)
                .send()
                .await
                .unwrap()
                .json()
                .await
                .unwrap();
            let requests = log["requests"].as_array().unwrap();
            let of_properties = |r: &&Value| r["path"].as_str().unwrap().contains("/properties/");
            requests.iter().filter(of_properties).count()
        }
    }

    #[tokio::test]
    async fn it_is_made_once_and_read_back() {
        let world = World::new(json!({}), json!({})).await;
        let now = Utc::now();
        assert_eq!(world.key(&[SCOPE], now).await.as_deref(), Some(COMPANY_KEY));
        let there = world
            .client
            .properties()
            .get(hubspot::ObjectType::Company, COMPANY_KEY)
            .await
            .unwrap();
        assert!(there.has_unique_value && there.label == LABEL);
        let before = world.requests().await;
        let later = now + TimeDelta::days(100);
        assert_eq!(world.key(&[], later).await.as_deref(), Some(COMPANY_KEY));
        assert_eq!(world.requests().await, before);
    }

    #[tokio::test]
    async fn a_portal_without_room_is_asked_again_after_a_day() {
        let world = World::new(json!({"property_delay_ms": 0}), json!({})).await;
        let properties = world.client.properties();
        let company = hubspot::ObjectType::Company;
        for n in 0..10 {
            let theirs = NewProperty::text(format!("theirs_{n}"), "Theirs", GROUP).unique();
            properties.create(company, &theirs).await.unwrap();
        }
        let now = Utc::now();
        assert_eq!(world.key(&[SCOPE], now).await, None);
        let before = world.requests().await;
        let soon = now + AGAIN - TimeDelta::seconds(1);
        assert_eq!(world.key(&[SCOPE], soon).await, None);
        assert_eq!(world.requests().await, before);
        properties.archive(company, "theirs_0").await.unwrap();
        let then = now + AGAIN;
        assert_eq!(
            world.key(&[SCOPE], then).await.as_deref(),
            Some(COMPANY_KEY)
        );
    }

    #[tokio::test]
    async fn without_the_scope_there_is_none() {
        let world = World::new(
            json!({}),
            json!({"scopes": ["crm.schemas.companies.read", "crm.objects.companies.read"]}),
        )
        .await;
        let now = Utc::now();
        // It was not granted: nothing is asked.
        assert_eq!(world.key(&["crm.objects.companies.read"], now).await, None);
        assert_eq!(world.requests().await, 0);
        // It is not known what was granted, and HubSpot refuses.
        assert_eq!(world.key(&[], now).await, None);
        let portal = PortalId::new(PORTAL).unwrap();
        let said = world.store.portal_key(portal, ObjectType::Company).await;
        assert_eq!(said.unwrap().unwrap().key, PortalKey::Refused);
    }

    #[tokio::test]
    async fn one_that_somebody_made_without_uniqueness_is_none() {
        let world = World::new(json!({}), json!({})).await;
        let theirs = NewProperty::text(COMPANY_KEY, "Theirs", GROUP);
        let properties = world.client.properties();
        properties
            .create(hubspot::ObjectType::Company, &theirs)
            .await
            .unwrap();
        tokio::time::sleep(Duration::from_millis(400)).await;
        assert_eq!(world.key(&[SCOPE], Utc::now()).await, None);
    }

    #[tokio::test]
    async fn trouble_says_nothing() {
        let world = World::new(json!({}), json!({})).await;
        let url = format!("{}_simulator/portals/{PORTAL}/faults", world.url);
        let rule =
            json!({"path": "/properties/", "times": 4, "effect": {"answer": {"name": "internal"}}});
        let made = world.http.post(url).json(&rule).send().await.unwrap();
        assert!(made.status().is_success());
        assert_eq!(world.key(&[SCOPE], Utc::now()).await, None);
        let portal = PortalId::new(PORTAL).unwrap();
        let said = world.store.portal_key(portal, ObjectType::Company).await;
        assert_eq!(said.unwrap(), None);
        let key = world.key(&[SCOPE], Utc::now()).await;
        assert_eq!(key.as_deref(), Some(COMPANY_KEY));
    }
}
