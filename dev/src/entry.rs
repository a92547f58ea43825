//! Tokens that open the settings pages, as a main app makes them.

use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::Context as _;
use base64::{
    Engine as _,
    engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD},
};
use hmac::{Hmac, KeyInit as _, Mac as _};
use serde_json::{Value, json};
use sha2::Sha256;

use crate::stack::{Addresses, DEV_KEY};

/// Seconds since 1970.
pub fn now() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.map_or(0, |d| i64::try_from(d.as_secs()).unwrap_or(i64::MAX))
}

/// What a token says of somebody who comes now. `id` is the token's own.
pub fn claims(workspace: &str, user: &str, role: &str, id: &str) -> Value {
    json!({
        "aud": "hubspot-sync-settings", "jti": id, "exp": now() + 60,
        "workspace": workspace, "user": user, "role": role,
    })
}

/// Signs claims, with base64 of a key.
///
/// # Errors
/// When the key is none.
pub fn token(claims: &Value, key: &str) -> anyhow::Result<String> {
    let part = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
    let signed = format!(
        "{}.{}",
        part(&json!({"alg": "HS256", "typ": "JWT"})),
        part(claims)
    );
    let key = STANDARD.decode(key).context("the key is not base64")?;
    let mut mac = Hmac::<Sha256>::new_from_slice(&key).context("the key has no length")?;
    mac.update(signed.as_bytes());
    let signature = URL_SAFE_NO_PAD.encode(mac.finalize().into_bytes());
    Ok(format!("{signed}.{signature}"))
}

/// An address that opens the settings pages once, within a minute.
///
/// # Errors
/// When the development key is none.
pub fn link(addresses: &Addresses, claims: &Value) -> anyhow::Result<String> {
    let token = token(claims, DEV_KEY)?;
    Ok(format!(
        "{}/settings/hubspot/enter?token={token}",
        addresses.web
    ))
}
