//! OAuth: consent page, codes, tokens, introspection, revocation (`hubspot-api.md` §11).

use std::collections::HashMap;

use serde_json::json;

use crate::{answer::Answer, page, rng::Rng, server::Query};

/// An app that portals can install.
#[derive(Debug, Clone)]
pub(crate) struct App {
    pub(crate) secret: String,
}

/// What an access token may do.
#[derive(Debug, Clone)]
pub(crate) struct Access {
    pub(crate) portal: u64,
    pub(crate) app: String,
    pub(crate) scopes: Vec<String>,
    /// None: a service key, which does not expire.
    pub(crate) expires: Option<i64>,
}

impl Access {
    pub(crate) fn may(&self, scope: &str) -> bool {
        self.scopes.iter().any(|s| s == scope)
    }
}

#[derive(Debug, Clone)]
struct Grant {
    portal: u64,
    app: String,
    scopes: Vec<String>,
    redirect_uri: String,
    expires: i64,
}

/// Everything about tokens.
#[derive(Debug)]
pub(crate) struct Tokens {
    pub(crate) apps: HashMap<String, App>,
    codes: HashMap<String, Grant>,
    refresh: HashMap<String, Grant>,
    /// Refresh tokens that were replaced, and when they die.
    dying: HashMap<String, i64>,
    pub(crate) access: HashMap<String, Access>,
    rng: Rng,
    keys: u64,
}

/// What the portal says when tokens are made.
#[derive(Debug, Clone)]
pub(crate) struct PortalRules {
    pub(crate) ttl_seconds: u64,
    pub(crate) rotate: bool,
    /// How long a refresh token works on that was replaced.
    pub(crate) old_lives_seconds: u64,
    pub(crate) denied_scopes: Vec<String>,
}

fn refused(status: &str, error: &str, description: &str) -> Answer {
    Answer::json(
        400,
        &json!({"status": status, "error": error, "error_description": description, "message": description}),
    )
}

impl Tokens {
    pub(crate) fn new(seed: u64) -> Self {
        let mut apps = HashMap::new();
        apps.insert(
            "simulator-client-id".to_owned(),
            App {
                secret: "simulator-client-secret".to_owned(),
            },
        );
        Self {
            apps,
            codes: HashMap::new(),
            refresh: HashMap::new(),
            dying: HashMap::new(),
            access: HashMap::new(),
            rng: Rng::new(seed ^ 0x0a07_4b1d),
            keys: 0,
        }
    }

    /// A static token.
    pub(crate) fn service_key(&mut self, portal: u64, scopes: Vec<String>) -> String {
        let token = format!("pat-sim-{}", self.rng.token());
        // Each is an app of its own to the limits.
        self.keys += 1;
        self.access.insert(
            token.clone(),
            Access {
                portal,
                app: format!("service-key-{}", self.keys),
                scopes,
                expires: None,
            },
        );
        token
    }

    /// Installs an app without the consent page, and answers as the token endpoint would.
    pub(crate) fn install(
        &mut self,
        portal: u64,
        app: &str,
        scopes: Vec<String>,
        rules: &PortalRules,
        now: i64,
    ) -> Answer {
        let grant = Grant {
            portal,
            app: app.to_owned(),
            scopes,
            redirect_uri: String::new(),
            expires: now,
        };
        self.issue(grant, None, Some(rules.clone()), now)
    }

    /// The portal that a code or token is of; that of the consent page's form, too.
    pub(crate) fn portal_of(&self, form: &Query, of_path: &str) -> Option<u64> {
        if let Some(portal) = form.number("portal_id") {
            return Some(portal);
        }
        if let Some(grant) = form.get("code").and_then(|c| self.codes.get(c)) {
            return Some(grant.portal);
        }
        let named = ["refresh_token", "token", "access_token"]
            .into_iter()
            .filter_map(|name| form.get(name));
        named.chain([of_path]).find_map(|token| {
            let grant = self.refresh.get(token).map(|g| g.portal);
            grant.or_else(|| self.access.get(token).map(|a| a.portal))
        })
    }

    /// Removes the app from a portal: refresh tokens die; access tokens live on until they expire.
    pub(crate) fn uninstall(&mut self, portal: u64) {
        self.refresh.retain(|_, g| g.portal != portal);
        self.codes.retain(|_, g| g.portal != portal);
    }

    /// One app leaves a portal.
    pub(crate) fn uninstall_app(&mut self, portal: u64, app: &str) {
        let stays = |g: &Grant| g.portal != portal || g.app != app;
        self.refresh.retain(|_, g| stays(g));
        self.codes.retain(|_, g| stays(g));
    }

    /// All access tokens of a portal expire now.
    pub(crate) fn expire(&mut self, portal: u64, now: i64) {
        for access in self.access.values_mut().filter(|a| a.portal == portal) {
            if access.expires.is_some() {
                access.expires = Some(now);
            }
        }
    }

    /// `GET /oauth/authorize`
    pub(crate) fn authorize_page(&self, query: &Query, portals: &[(u64, String)]) -> Answer {
        let known = query
            .get("client_id")
            .is_some_and(|id| self.apps.contains_key(id));
        if !known {
            return Answer::html(
                400,
                page::message("This app is not known", "Check the client id."),
            );
        }
        if query.get("redirect_uri").is_none() || query.get("scope").is_none() {
            return Answer::html(
                400,
                page::message(
                    "This link is not complete",
                    "redirect_uri and scope are required.",
                ),
            );
        }
        Answer::html(200, page::consent(query, portals))
    }

    /// `POST /oauth/authorize/decision`
    pub(crate) fn decide(
        &mut self,
        form: &Query,
        rules: impl Fn(u64) -> Option<PortalRules>,
        now: i64,
    ) -> Answer {
        let redirect = form.get("redirect_uri").unwrap_or_default();
        let state = form.get("state").unwrap_or_default();
        let back = |pairs: &[(&str, &str)]| {
            let mut all = pairs.to_vec();
            if !state.is_empty() {
                all.push(("state", state));
            }
            let query = serde_urlencoded::to_string(all).unwrap_or_default();
            let separator = if redirect.contains('?') { '&' } else { '?' };
            Answer::redirect(format!("{redirect}{separator}{query}"))
        };
        match form.get("decision") {
            Some("approve") => {}
            Some("no_permission") => {
                return back(&[
                    ("error", "access_denied"),
                    (
                        "error_description",
                        "You don't have permission to install apps in this account. Ask a super admin.",
                    ),
                ]);
            }
            _ => {
                return back(&[
                    ("error", "access_denied"),
                    (
                        "error_description",
                        "The resource owner denied the request.",
                    ),
                ]);
            }
        }
        let portal = form.number("portal_id").unwrap_or(0);
        let Some(rules) = rules(portal) else {
            return Answer::html(400, page::message("No such account", "Choose another one."));
        };
        let scopes: Vec<String> = ["scope", "optional_scope"]
            .iter()
            .flat_map(|n| form.get(n).unwrap_or_default().split(' '))
            .filter(|s| !s.is_empty() && !rules.denied_scopes.iter().any(|d| d == s))
            .map(str::to_owned)
            .collect();
        let code = self.rng.token();
        self.codes.insert(
            code.clone(),
            Grant {
                portal,
                app: form.get("client_id").unwrap_or_default().to_owned(),
                scopes,
                redirect_uri: redirect.to_owned(),
                expires: now + 60_000,
            },
        );
        back(&[("code", &code)])
    }

    /// `POST /oauth/{version}/token`. The portal is told for the log.
    pub(crate) fn token(
        &mut self,
        form: &Query,
        rules: impl Fn(u64) -> Option<PortalRules>,
        now: i64,
    ) -> (Option<u64>, Answer) {
        let client = form.get("client_id").unwrap_or_default();
        let Some(app) = self.apps.get(client) else {
            return (
                None,
                refused(
                    "BAD_CLIENT_ID",
                    "invalid_client",
                    "missing or unknown client id",
                ),
            );
        };
        if form.get("client_secret") != Some(app.secret.as_str()) {
            return (
                None,
                refused(
                    "BAD_CLIENT_SECRET",
                    "invalid_client",
                    "missing or invalid client secret",
                ),
            );
        }
        match form.get("grant_type") {
            Some("authorization_code") => {
                let code = form.get("code").unwrap_or_default();
                let Some(grant) = self
                    .codes
                    .remove(code)
                    .filter(|g| g.expires > now && g.app == client)
                else {
                    return (
                        None,
                        refused(
                            "BAD_AUTH_CODE",
                            "invalid_grant",
                            "missing or unknown auth code",
                        ),
                    );
                };
                if form.get("redirect_uri") != Some(grant.redirect_uri.as_str()) {
                    return (
                        Some(grant.portal),
                        refused(
                            "BAD_REDIRECT_URI",
                            "invalid_request",
                            "the redirect_uri does not match",
                        ),
                    );
                }
                let portal = grant.portal;
                (Some(portal), self.issue(grant, None, rules(portal), now))
            }
            Some("refresh_token") => {
                let token = form.get("refresh_token").unwrap_or_default();
                if self.dying.get(token).is_some_and(|at| *at <= now) {
                    self.dying.remove(token);
                    self.refresh.remove(token);
                }
                let Some(grant) = self.refresh.get(token).filter(|g| g.app == client).cloned()
                else {
                    return (
                        None,
                        refused(
                            "BAD_REFRESH_TOKEN",
                            "invalid_grant",
                            "refresh token is invalid, expired or revoked",
                        ),
                    );
                };
                let portal = grant.portal;
                (
                    Some(portal),
                    self.issue(grant, Some(token), rules(portal), now),
                )
            }
            _ => (
                None,
                refused(
                    "BAD_GRANT_TYPE",
                    "unsupported_grant_type",
                    "missing or unknown grant type",
                ),
            ),
        }
    }

    fn issue(
        &mut self,
        grant: Grant,
        old: Option<&str>,
        rules: Option<PortalRules>,
        now: i64,
    ) -> Answer {
        let Some(rules) = rules else {
            return refused("BAD_HUB", "access_denied", "the account is gone");
        };
        let access = format!("acc-sim-{}", self.rng.token());
        let refresh = match old {
            Some(old) if !rules.rotate => old.to_owned(),
            _ => {
                match old {
                    Some(old) if rules.old_lives_seconds > 0 => {
                        let dies = now + rules.old_lives_seconds as i64 * 1_000;
                        self.dying.entry(old.to_owned()).or_insert(dies);
                    }
                    Some(old) => {
                        self.refresh.remove(old);
                    }
                    None => {}
                }
                let new = format!("ref-sim-{}", self.rng.token());
                self.refresh.insert(new.clone(), grant.clone());
                new
            }
        };
        let body = json!({
            "token_type": "bearer", "access_token": access, "refresh_token": refresh,
            "expires_in": rules.ttl_seconds, "hub_id": grant.portal, "scopes": grant.scopes,
            "user_id": 1, "token_use": "access_token",
        });
        self.access.insert(
            access,
            Access {
                portal: grant.portal,
                app: grant.app,
                scopes: grant.scopes,
                expires: Some(now + rules.ttl_seconds as i64 * 1_000),
            },
        );
        Answer::json(200, &body)
    }

    /// `POST /oauth/{version}/token/introspect`. An app that says who it is has to say it rightly.
    pub(crate) fn introspect(&self, form: &Query, now: i64) -> Answer {
        if let Some(client) = form.get("client_id") {
            let Some(app) = self.apps.get(client) else {
                return refused(
                    "BAD_CLIENT_ID",
                    "invalid_client",
                    "missing or unknown client id",
                );
            };
            if form.get("client_secret") != Some(app.secret.as_str()) {
                return refused(
                    "BAD_CLIENT_SECRET",
                    "invalid_client",
                    "missing or invalid client secret",
                );
            }
        }
        let token = form.get("token").unwrap_or_default();
        let inactive = || Answer::json(200, &json!({"active": false}));
        let active = |kind: &str, portal: u64, app: &str, scopes: &[String]| {
            json!({
                "active": true, "token": token, "token_type": "bearer", "token_use": kind,
                "hub_id": portal, "hub_domain": format!("portal-{portal}.example.com"),
                "user": "admin@portal.example.com", "user_id": 1, "scopes": scopes,
                "client_id": app, "app_id": crate::server::app_id(app),
                "is_private_distribution": true,
            })
        };
        if let Some(access) = self.access.get(token) {
            if access.expires.is_some_and(|at| at <= now) {
                return inactive();
            }
            let mut body = active("access_token", access.portal, &access.app, &access.scopes);
            if let Some(at) = access.expires {
                body["expires_in"] = json!((at - now) / 1_000);
                body["expires_at"] = json!(at / 1_000);
            }
            return Answer::json(200, &body);
        }
        let dead = self.dying.get(token).is_some_and(|at| *at <= now);
        match self.refresh.get(token).filter(|_| !dead) {
            Some(grant) => Answer::json(
                200,
                &active("refresh_token", grant.portal, &grant.app, &grant.scopes),
            ),
            None => inactive(),
        }
    }

    /// `POST /oauth/{version}/token/revoke`: the refresh token dies, issued access tokens do not.
    pub(crate) fn revoke(&mut self, form: &Query) -> (Option<u64>, Answer) {
        let token = form.get("token").unwrap_or_default();
        let portal = self.refresh.remove(token).map(|g| g.portal);
        (portal, Answer::empty(204))
    }

    /// `GET /oauth/v1/access-tokens/{token}`: what a token of the first generation says of itself.
    pub(crate) fn describe_access(&self, token: &str, now: i64) -> Answer {
        let Some(access) = self.access.get(token) else {
            return Answer::not_found();
        };
        let left = access.expires.map_or(0, |at| (at - now) / 1_000);
        if access.expires.is_some() && left <= 0 {
            return Answer::error(401, "EXPIRED_AUTHENTICATION", "the access token expired");
        }
        Answer::json(
            200,
            &json!({
                "token": token, "user": "admin@portal.example.com",
                "hub_domain": format!("portal-{}.example.com", access.portal),
                "scopes": access.scopes, "hub_id": access.portal, "app_id": 1,
                "expires_in": left, "user_id": 1, "token_type": "access",
            }),
        )
    }

    /// `GET /oauth/v1/refresh-tokens/{token}`
    pub(crate) fn describe_refresh(&self, token: &str) -> Answer {
        self.refresh.get(token).map_or_else(Answer::not_found, |g| {
            Answer::json(
                200,
                &json!({
                    "token": token, "user": "admin@portal.example.com",
                    "hub_domain": format!("portal-{}.example.com", g.portal),
                    "scopes": g.scopes, "hub_id": g.portal, "client_id": g.app, "user_id": 1,
                    "token_type": "refresh",
                }),
            )
        })
    }

    /// `DELETE /oauth/v1/refresh-tokens/{token}`
    pub(crate) fn forget(&mut self, token: &str) {
        self.refresh.remove(token);
    }

    /// Refresh tokens that are alive, for tests.
    pub(crate) fn refresh_tokens_of(&self, portal: u64) -> usize {
        self.refresh.values().filter(|g| g.portal == portal).count()
    }
}
