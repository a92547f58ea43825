//! Access tokens: one cache for the process, refreshed in time, by one process at a time, and in a
//! task of its own (C3).
//!
//! Whoever needs a token gets the one that is in memory as long as it is good. The refresh runs
//! beside: it outlives the activity that asked for it, holds no connection to the database while
//! HubSpot answers, and stores what HubSpot gave before anybody uses it. A token endpoint that is
//! slow or away delays the portals whose tokens ran out, and nobody else.

use std::{
    collections::BTreeMap,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use async_trait::async_trait;
use chrono::TimeDelta;
use domain::{
    Epoch, WorkspaceId,
    tokens::{RefusedToken, refresh_retry_delay, refused_key, refused_refresh, renew_early},
};
use hubspot::{
    AccessToken, AccessTokenSource, TokenError,
    oauth::{OAuth, OAuthError, TokenGrant},
};
use store::{LeaseOutcome, RefreshLease, Refreshed, Store, StoredRefresh, Tokens};
use tokio::{sync::watch, time::Instant};
use tokio_util::task::TaskTracker;

/// With more life than this left, nobody waits for the refresh that is under way.
const USED_MEANWHILE: Duration = Duration::from_secs(10);
/// How long a refresh is waited for from its beginning: longer than HubSpot takes when all is well.
/// Whoever finds it slower comes again, and leaves its place to work of other portals.
const WAIT: Duration = Duration::from_secs(3);
/// How soon a caller that waited in vain comes again.
const COME_AGAIN: Duration = Duration::from_secs(5);
/// How often a process looks whether another one has refreshed.
const LOOK_EVERY: Duration = Duration::from_millis(500);
/// A lease that was taken longer ago than this is not used any more: a process that was frozen
/// before it asked HubSpot would use a refresh token that another has replaced by then.
const ASK_WITHIN: Duration = Duration::from_secs(10);
/// A token that HubSpot refuses is refreshed, but not one after the other.
const REFUSED_AGAIN_AFTER: Duration = Duration::from_secs(30);
/// How long the tokens of a connection are kept in memory that nobody asks for.
const KEPT_UNUSED: Duration = Duration::from_secs(600);
/// How long what HubSpot gave is tried to be stored.
const STORE_FOR: Duration = Duration::from_secs(600);

/// The tokens of this process. Cheap to clone.
#[derive(Clone)]
pub(crate) struct TokenCache {
    inner: Arc<Inner>,
}

struct Inner {
    store: Store,
    oauth: Option<OAuth>,
    /// The newest epoch of each workspace that was asked for.
    connections: Mutex<BTreeMap<WorkspaceId, Arc<Connection>>>,
    /// Refreshes under way, for a shutdown to wait for.
    refreshes: TaskTracker,
}

impl TokenCache {
    pub(crate) fn new(store: Store, oauth: Option<OAuth>) -> Self {
        Self {
            inner: Arc::new(Inner {
                store,
                oauth,
                connections: Mutex::default(),
                refreshes: TaskTracker::new(),
            }),
        }
    }

    /// The tokens of a connection, shared by all who ask for this epoch.
    pub(crate) fn of(&self, workspace: WorkspaceId, epoch: Epoch) -> Arc<dyn AccessTokenSource> {
        let mut connections = self
            .inner
            .connections
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        // What nobody uses any more is read again when somebody does: secrets stay no longer than
        // they are needed.
        let now = Instant::now();
        connections.retain(|_, c| Arc::strong_count(c) > 1 || c.used_at(None) + KEPT_UNUSED > now);
        let known = connections.get(&workspace).filter(|c| c.epoch >= epoch);
        let connection = match known {
            Some(connection) if connection.epoch == epoch => connection.clone(),
            // Fenced off by now: it will be told so.
            Some(_) => Arc::new(Connection::new(self.inner.clone(), workspace, epoch)),
            None => {
                let new = Arc::new(Connection::new(self.inner.clone(), workspace, epoch));
                connections.insert(workspace, new.clone());
                new
            }
        };
        connection.used_at(Some(now));
        Arc::new(Source(connection))
    }

    /// Waits for the refreshes under way. `false` when some are not over in time.
    pub(crate) async fn settle(&self, within: Duration) -> bool {
        self.inner.refreshes.close();
        let settled = tokio::time::timeout(within, self.inner.refreshes.wait()).await;
        settled.is_ok()
    }
}

/// One connection in one epoch.
struct Connection {
    cache: Arc<Inner>,
    workspace: WorkspaceId,
    epoch: Epoch,
    state: tokio::sync::Mutex<State>,
    /// Whether the service key was refused when it was last asked.
    doubted: AtomicBool,
    used: Mutex<Instant>,
}

#[derive(Default)]
struct State {
    held: Option<Held>,
    /// The refresh under way.
    refresh: Option<UnderWay>,
    /// HubSpot is not asked before: its token endpoint, or anything by a refused service key.
    not_before: Option<Instant>,
    /// When a refresh last began because HubSpot had refused the token.
    refused_at: Option<Instant>,
}

/// A refresh under way.
#[derive(Clone)]
struct UnderWay {
    began: Instant,
    end: watch::Receiver<Option<Result<(), TokenError>>>,
}

impl State {
    fn wait(&self, now: Instant) -> Option<Duration> {
        self.not_before
            .and_then(|at| at.checked_duration_since(now))
            .filter(|wait| !wait.is_zero())
    }
}

/// Tokens in memory.
struct Held {
    token: AccessToken,
    renewable: bool,
    ends: Option<Instant>,
    renew_at: Option<Instant>,
}

impl Held {
    fn new(tokens: Tokens, now: Instant) -> Self {
        let span = |d: TimeDelta| d.to_std().unwrap_or_default();
        let ends = tokens.life.map(|life| now + span(life.left));
        let renew_at = tokens.life.map(|life| {
            let early = renew_early(life.whole);
            now + span(life.left - early)
        });
        Self {
            token: AccessToken {
                secret: tokens.access,
                version: tokens.version,
            },
            renewable: tokens.refresh.is_some(),
            ends,
            renew_at,
        }
    }

    fn wants_renewal(&self, now: Instant) -> bool {
        self.renewable && self.renew_at.is_some_and(|at| now >= at)
    }

    fn left(&self, now: Instant) -> Duration {
        self.ends
            .map_or(Duration::MAX, |at| at.saturating_duration_since(now))
    }

    /// Whether it may be used although it is being renewed: long lives to their last seconds, short
    /// ones to the middle of what is left of them.
    fn may_be_used_meanwhile(&self, now: Instant) -> bool {
        let margin = match (self.ends, self.renew_at) {
            (Some(ends), Some(renew_at)) => {
                USED_MEANWHILE.min(ends.saturating_duration_since(renew_at) / 2)
            }
            _ => Duration::ZERO,
        };
        self.left(now) > margin
    }
}

/// What clients hold: the cache keeps the connection itself.
struct Source(Arc<Connection>);

impl Connection {
    fn new(cache: Arc<Inner>, workspace: WorkspaceId, epoch: Epoch) -> Self {
        Self {
            cache,
            workspace,
            epoch,
            state: tokio::sync::Mutex::default(),
            doubted: AtomicBool::new(false),
            used: Mutex::new(Instant::now()),
        }
    }

    /// When somebody last asked for it; `now`, if somebody does.
    fn used_at(&self, now: Option<Instant>) -> Instant {
        let mut used = self.used.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(now) = now {
            *used = now;
        }
        *used
    }

    async fn load(&self, state: &mut State) -> Result<(), TokenError> {
        if state.held.is_some() {
            return Ok(());
        }
        match self.cache.store.tokens(self.workspace, self.epoch).await {
            Ok(Some(tokens)) => {
                let now = Instant::now();
                let wait = tokens.not_before.and_then(|wait| wait.to_std().ok());
                state.not_before = wait.map(|wait| now + wait);
                self.doubted.store(tokens.refused, Ordering::Relaxed);
                state.held = Some(Held::new(tokens, now));
                Ok(())
            }
            Ok(None) => Err(TokenError::Fenced),
            Err(error) => Err(unavailable(&error, "tokens could not be read")),
        }
    }

    /// Joins the refresh under way, or begins one.
    fn begin_refresh(self: &Arc<Self>, state: &mut State, seen: i64) -> UnderWay {
        if let Some(under_way) = &state.refresh {
            return under_way.clone();
        }
        let (end, ended) = watch::channel(None);
        let under_way = UnderWay {
            began: Instant::now(),
            end: ended,
        };
        state.refresh = Some(under_way.clone());
        let this = self.clone();
        self.cache.refreshes.spawn(async move {
            let refreshed = Refresh { of: &this, seen }.run().await;
            let mut state = this.state.lock().await;
            state.refresh = None;
            let result = match refreshed {
                Ok(tokens) => {
                    state.not_before = None;
                    state.held = Some(Held::new(tokens, Instant::now()));
                    Ok(())
                }
                Err(error) => {
                    match error {
                        TokenError::Fenced | TokenError::Revoked => state.held = None,
                        TokenError::Unavailable { retry_after } => {
                            let wait = retry_after.unwrap_or(COME_AGAIN);
                            state.not_before = Some(Instant::now() + wait);
                        }
                        TokenError::Misconfigured(_) | TokenError::Doubted { .. } => {}
                    }
                    Err(error)
                }
            };
            // Nobody may be waiting any more.
            end.send_replace(Some(result));
        });
        under_way
    }
}

/// Waits for a refresh, for a while.
async fn wait_for(mut under_way: UnderWay) -> Result<(), TokenError> {
    let come_again = Err(TokenError::Unavailable {
        retry_after: Some(COME_AGAIN),
    });
    let ended = under_way.end.wait_for(Option::is_some);
    match tokio::time::timeout_at(under_way.began + WAIT, ended).await {
        Ok(Ok(end)) => end.unwrap_or(come_again),
        // Slow, or gone with its process.
        Ok(Err(_)) | Err(_) => come_again,
    }
}

fn unavailable(error: &store::StoreError, what: &'static str) -> TokenError {
    tracing::warn!(code = error.code(), error = %error, "{what}");
    TokenError::Unavailable { retry_after: None }
}

#[async_trait]
impl AccessTokenSource for Source {
    async fn access_token(&self) -> Result<AccessToken, TokenError> {
        let connection = &self.0;
        loop {
            let ended = {
                // Held while the store is asked, so that this process asks once; never while HubSpot
                // is.
                let mut state = connection.state.lock().await;
                connection.load(&mut state).await?;
                let now = Instant::now();
                let wait = state.wait(now);
                let Some(held) = &state.held else {
                    continue;
                };
                if !held.renewable
                    && connection.doubted.load(Ordering::Relaxed)
                    && let Some(retry_after) = wait
                {
                    return Err(TokenError::Doubted { retry_after });
                }
                if !held.wants_renewal(now) {
                    return Ok(held.token.clone());
                }
                let token = held.token.clone();
                let meanwhile = held.may_be_used_meanwhile(now);
                let left = held.left(now);
                if let Some(retry_after) = wait {
                    // The token endpoint is away: what is still good is used to its end.
                    return if left.is_zero() {
                        Err(TokenError::Unavailable {
                            retry_after: Some(retry_after),
                        })
                    } else {
                        Ok(token)
                    };
                }
                let ended = connection.begin_refresh(&mut state, token.version);
                if meanwhile {
                    return Ok(token);
                }
                ended
            };
            wait_for(ended).await?;
        }
    }

    async fn expired(&self, token: &AccessToken) -> Result<(), TokenError> {
        let connection = &self.0;
        let ended = {
            let mut state = connection.state.lock().await;
            connection.load(&mut state).await?;
            let Some(held) = &state.held else {
                return Ok(());
            };
            if held.token.version != token.version {
                return Ok(());
            }
            if !held.renewable {
                return connection.key_refused(&mut state, token.version).await;
            }
            let now = Instant::now();
            let again = state.refused_at.map(|at| at + REFUSED_AGAIN_AFTER);
            let wait = state
                .wait(now)
                .or_else(|| again.and_then(|at| at.checked_duration_since(now)));
            if let Some(retry_after) = wait.filter(|wait| !wait.is_zero()) {
                return Err(TokenError::Unavailable {
                    retry_after: Some(retry_after),
                });
            }
            state.refused_at = Some(now);
            connection.begin_refresh(&mut state, token.version)
        };
        wait_for(ended).await
    }

    fn accepted(&self, token: &AccessToken) {
        let connection = &self.0;
        if !connection.doubted.swap(false, Ordering::Relaxed) {
            return;
        }
        let (connection, version) = (connection.clone(), token.version);
        let refreshes = connection.cache.refreshes.clone();
        refreshes.spawn(async move {
            let store = &connection.cache.store;
            match store.note_key_accepted(connection.workspace, version).await {
                Ok(()) => connection.state.lock().await.not_before = None,
                Err(error) => {
                    connection.doubted.store(true, Ordering::Relaxed);
                    tracing::warn!(code = error.code(), "an accepted key could not be noted");
                }
            }
        });
    }
}

impl Connection {
    /// A service key cannot be renewed, and one 401 does not say that it is gone.
    async fn key_refused(&self, state: &mut State, version: i64) -> Result<(), TokenError> {
        let refused = self
            .cache
            .store
            .note_key_refused(self.workspace, self.epoch, version)
            .await
            .map_err(|e| unavailable(&e, "a refused key could not be noted"))?;
        let Some(refused) = refused else {
            // Fenced off, or another key by now: what is read next says which.
            state.held = None;
            return Ok(());
        };
        match refused_key(refused.asked, refused.since) {
            RefusedToken::Revoked => Err(TokenError::Revoked),
            RefusedToken::AskAgain(after) => {
                tracing::warn!(
                    code = "HS-3013",
                    workspace = %self.workspace,
                    asked = refused.asked,
                    "HubSpot refuses the service key; it is asked again before that counts"
                );
                let retry_after = after.to_std().unwrap_or_default();
                state.not_before = Some(Instant::now() + retry_after);
                self.doubted.store(true, Ordering::Relaxed);
                Err(TokenError::Doubted { retry_after })
            }
        }
    }
}

/// A refresh of the tokens that were seen in a version.
struct Refresh<'a> {
    of: &'a Connection,
    seen: i64,
}

impl Refresh<'_> {
    async fn run(&self) -> Result<Tokens, TokenError> {
        let Some(oauth) = &self.of.cache.oauth else {
            return Err(TokenError::Misconfigured("HUBSPOT_CLIENT_ID"));
        };
        let store = &self.of.cache.store;
        loop {
            let asked = Instant::now();
            let leased = store
                .lease_refresh(self.of.workspace, self.of.epoch, self.seen)
                .await
                .map_err(|e| unavailable(&e, "the right to refresh could not be had"))?;
            let lease = match leased {
                LeaseOutcome::Leased(lease) => lease,
                LeaseOutcome::Newer(tokens) => return Ok(tokens),
                LeaseOutcome::Fenced => return Err(TokenError::Fenced),
                LeaseOutcome::NotBefore(wait) => return Err(after(wait)),
                LeaseOutcome::NotRenewable => {
                    return Err(TokenError::Unavailable { retry_after: None });
                }
                LeaseOutcome::Busy(left) => {
                    let left = left.to_std().unwrap_or_default();
                    tokio::time::sleep(left.clamp(LOOK_EVERY / 10, LOOK_EVERY)).await;
                    continue;
                }
            };
            if asked.elapsed() > ASK_WITHIN {
                self.give_back(&lease, TimeDelta::zero()).await?;
                continue;
            }
            let wait = match oauth.refresh(&lease.refresh).await {
                Ok(grant) => return self.keep(oauth, &lease, grant).await,
                Err(OAuthError::Revoked) => match refused_refresh(lease.doubtful_for) {
                    RefusedToken::AskAgain(wait) => wait,
                    RefusedToken::Revoked => {
                        let wait = refresh_retry_delay(lease.failures + 1, None);
                        // Only if nobody else refreshed or connected meanwhile.
                        if self.give_back(&lease, wait).await? {
                            return Err(TokenError::Revoked);
                        }
                        continue;
                    }
                },
                Err(OAuthError::Misconfigured(what)) => {
                    let wait = refresh_retry_delay(u32::MAX, None);
                    self.give_back(&lease, wait).await?;
                    return Err(TokenError::Misconfigured(what));
                }
                Err(OAuthError::Transient { retry_after }) => {
                    let asked_for = retry_after.and_then(|d| TimeDelta::from_std(d).ok());
                    refresh_retry_delay(lease.failures + 1, asked_for)
                }
                Err(OAuthError::BadCode) => refresh_retry_delay(lease.failures + 1, None),
            };
            tracing::warn!(
                code = "HS-3012",
                workspace = %self.of.workspace,
                wait_ms = wait.num_milliseconds(),
                "HubSpot did not refresh the tokens; they are used to their end"
            );
            if self.give_back(&lease, wait).await? {
                return Err(after(wait));
            }
        }
    }

    async fn give_back(&self, lease: &RefreshLease, wait: TimeDelta) -> Result<bool, TokenError> {
        // What fails here ends by itself with the lease.
        let given_back = self.of.cache.store.postpone_refresh(lease, wait).await;
        given_back.map_err(|e| unavailable(&e, "a refresh could not be given back"))
    }

    /// Stores what HubSpot gave, whatever it takes: a rotated refresh token that is lost means to
    /// connect again.
    async fn keep(
        &self,
        oauth: &OAuth,
        lease: &RefreshLease,
        grant: TokenGrant,
    ) -> Result<Tokens, TokenError> {
        let answered = Instant::now();
        let mut new = Refreshed {
            access: grant.access_token,
            refresh: grant.refresh_token,
            lifetime: TimeDelta::from_std(grant.expires_in).unwrap_or(TimeDelta::zero()),
            age: TimeDelta::zero(),
        };
        let mut pause = Duration::from_millis(100);
        loop {
            new.age = TimeDelta::from_std(answered.elapsed()).unwrap_or(TimeDelta::zero());
            match self.of.cache.store.store_refreshed(lease, &new).await {
                Ok(StoredRefresh::Stored(tokens)) => return Ok(tokens),
                Ok(StoredRefresh::Superseded) => {
                    let stored = self.of.cache.store.tokens(self.of.workspace, self.of.epoch);
                    return match stored.await {
                        Ok(Some(tokens)) => Ok(tokens),
                        Ok(None) => Err(TokenError::Fenced),
                        Err(error) => Err(unavailable(&error, "tokens could not be read")),
                    };
                }
                Ok(StoredRefresh::Erased) => {
                    // The disconnect revoked the refresh token before this one.
                    if let Some(refresh) = &new.refresh
                        && oauth.revoke(refresh).await.is_err()
                    {
                        tracing::warn!(workspace = %self.of.workspace, "a token that came after the disconnect was not revoked");
                    }
                    return Err(TokenError::Fenced);
                }
                Err(error) if answered.elapsed() < STORE_FOR => {
                    tracing::error!(
                        code = "HS-5008",
                        workspace = %self.of.workspace,
                        error = %error,
                        "refreshed tokens are not stored yet; trying again"
                    );
                    tokio::time::sleep(pause).await;
                    pause = (pause * 2).min(Duration::from_secs(5));
                }
                Err(error) => {
                    tracing::error!(code = "HS-5008", workspace = %self.of.workspace, "refreshed tokens could not be stored");
                    return Err(unavailable(&error, "tokens could not be stored"));
                }
            }
        }
    }
}

fn after(wait: TimeDelta) -> TokenError {
    TokenError::Unavailable {
        retry_after: wait.to_std().ok(),
    }
}

#[cfg(test)]
mod tests {
    use secrecy::SecretString;
    use store::TokenLife;

    use super::*;

    fn held(left: i64, whole: Option<i64>, now: Instant) -> Held {
        let tokens = Tokens {
            version: 1,
            access: SecretString::from("a"),
            refresh: Some(SecretString::from("r")),
            life: Some(TokenLife {
                left: TimeDelta::seconds(left),
                whole: whole.map(TimeDelta::seconds),
            }),
            not_before: None,
            refused: false,
        };
        Held::new(tokens, now)
    }

    /// However often it is read from the store: the whole life decides, not what is left of it.
    #[test]
    fn renewed_five_minutes_early_however_late_it_is_read() {
        let now = Instant::now();
        for left in [1_799, 900, 301] {
            let held = held(left, Some(1_800), now);
            let at = |s: i64| now + Duration::from_secs(u64::try_from(s).unwrap());
            assert!(!held.wants_renewal(at(left - 301)), "{left}");
            assert!(held.wants_renewal(at(left - 300)), "{left}");
            // Used while it is renewed, to its last seconds.
            assert!(held.may_be_used_meanwhile(at(left - 11)));
            assert!(!held.may_be_used_meanwhile(at(left - 10)));
        }
        assert!(held(299, Some(1_800), now).wants_renewal(now));
        assert!(held(299, None, now).wants_renewal(now));
        let short = held(59, Some(60), now);
        assert!(!short.wants_renewal(now + Duration::from_secs(48)));
        assert!(short.wants_renewal(now + Duration::from_secs(49)));
        assert!(held(-5, Some(1_800), now).left(now).is_zero());
    }
}
