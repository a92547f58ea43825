//! Where HubSpot is and how to speak to it.

use std::time::Duration;

use url::Url;

/// The date-versioned edition of HubSpot's API that every path names.
///
/// HubSpot publishes one each March and September and supports it for 18 months. This is the one
/// place to change.
pub const API_VERSION: &str = "2026-09";

/// What a [`Client`](crate::Client) needs to know about its surroundings.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClientConfig {
    /// Base of the API. HubSpot's own: `https://api.hubapi.com`.
    pub api_url: Url,
    /// Base of the web application, where people give consent. HubSpot's own:
    /// `https://app.hubspot.com`.
    pub app_url: Url,
    /// How long one request may take in all, the body of the answer included. A write that runs
    /// into it ends as [`Error::OutcomeUnknown`](crate::Error::OutcomeUnknown).
    pub request_timeout: Duration,
    /// How long opening a connection may take.
    pub connect_timeout: Duration,
    /// Sent as `User-Agent`.
    pub user_agent: String,
}

/// Why a configuration cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ConfigError {
    /// A variable holds no usable URL.
    #[error("{variable} is not a usable URL: expected something like {example}")]
    InvalidUrl {
        /// The variable.
        variable: &'static str,
        /// A value that would do.
        example: &'static str,
    },
}

const API_URL: &str = "https://api.hubapi.com";
const APP_URL: &str = "https://app.hubspot.com";

impl Default for ClientConfig {
    /// HubSpot proper, 30 s per request.
    fn default() -> Self {
        Self {
            api_url: Url::parse(API_URL).expect("a constant URL"),
            app_url: Url::parse(APP_URL).expect("a constant URL"),
            request_timeout: Duration::from_secs(30),
            connect_timeout: Duration::from_secs(10),
            user_agent: concat!("hubspot-client-rust/", env!("CARGO_PKG_VERSION")).to_owned(),
        }
    }
}

impl ClientConfig {
    /// The defaults, with `HUBSPOT_API_URL` and `HUBSPOT_APP_URL` taken from `lookup` where it
    /// knows them. This library never reads the environment itself:
    ///
    /// ```
    /// # use hubspot::ClientConfig;
    /// let config = ClientConfig::from_lookup(|name| std::env::var(name).ok())?;
    /// # Ok::<(), hubspot::ConfigError>(())
    /// ```
    ///
    /// # Errors
    /// [`ConfigError::InvalidUrl`] names the variable that is not an `http` or `https` URL.
    pub fn from_lookup(lookup: impl Fn(&str) -> Option<String>) -> Result<Self, ConfigError> {
        let mut config = Self::default();
        for (variable, example, target) in [
            ("HUBSPOT_API_URL", API_URL, &mut config.api_url),
            ("HUBSPOT_APP_URL", APP_URL, &mut config.app_url),
        ] {
            if let Some(text) = lookup(variable).filter(|text| !text.trim().is_empty()) {
                *target = parse_base(text.trim()).ok_or(ConfigError::InvalidUrl { variable, example })?;
            }
        }
        Ok(config)
    }
}

/// A base that paths can be appended to: http(s), with a host, without query or fragment.
fn parse_base(text: &str) -> Option<Url> {
    let url = Url::parse(text).ok()?;
    let usable = matches!(url.scheme(), "http" | "https")
        && url.has_host()
        && url.query().is_none()
        && url.fragment().is_none();
    usable.then_some(url)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn without_variables_it_is_hubspot_proper() {
        let config = ClientConfig::from_lookup(|_| None).unwrap();
        assert_eq!(config, ClientConfig::default());
        assert_eq!(config.api_url.as_str(), "https://api.hubapi.com/");
    }

    #[test]
    fn variables_redirect_and_blank_ones_do_not() {
        let config = ClientConfig::from_lookup(|name| match name {
            "HUBSPOT_API_URL" => Some("http://127.0.0.1:4010".to_owned()),
            _ => Some("  ".to_owned()),
        })
        .unwrap();
        assert_eq!(config.api_url.as_str(), "http://127.0.0.1:4010/");
        assert_eq!(config.app_url, ClientConfig::default().app_url);
    }

    #[test]
    fn a_bad_url_names_its_variable() {
        for text in ["nonsense", "ftp://host", "http://host/?a=b", "http://host/#x", "mailto:a"] {
            let error = ClientConfig::from_lookup(|name| {
                (name == "HUBSPOT_APP_URL").then(|| text.to_owned())
            })
            .unwrap_err();
            assert!(error.to_string().starts_with("HUBSPOT_APP_URL"), "{error}");
        }
    }
}
