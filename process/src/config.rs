//! Values from environment and flags.

use std::{fmt, ops::RangeInclusive, time::Duration};

use secrecy::SecretString;
use url::Url;

/// Why the configuration cannot be used. The value is not repeated: it may be a secret.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConfigError {
    variable: &'static str,
    problem: String,
    example: &'static str,
}

impl ConfigError {
    /// `variable` has this problem; `example` would do.
    pub fn new(variable: &'static str, problem: impl Into<String>, example: &'static str) -> Self {
        Self {
            variable,
            problem: problem.into(),
            example,
        }
    }

    pub const fn variable(&self) -> &'static str {
        self.variable
    }

    /// What is wrong with it.
    pub fn problem(&self) -> &str {
        &self.problem
    }

    /// A value that would do.
    pub const fn example(&self) -> &'static str {
        self.example
    }
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            variable,
            problem,
            example,
        } = self;
        write!(
            f,
            "configuration: {variable} {problem}; for example {variable}={example}"
        )
    }
}

impl std::error::Error for ConfigError {}

/// A value that has to be there; an empty one is none.
///
/// # Errors
/// When it is missing.
pub fn required(
    value: Option<String>,
    variable: &'static str,
    example: &'static str,
) -> Result<String, ConfigError> {
    value
        .filter(|v| !v.is_empty())
        .ok_or_else(|| ConfigError::new(variable, "is not set", example))
}

/// A whole number in a range.
///
/// # Errors
/// When it is none.
pub fn number(
    text: &str,
    variable: &'static str,
    range: RangeInclusive<u64>,
    example: &'static str,
) -> Result<u64, ConfigError> {
    text.parse()
        .ok()
        .filter(|n| range.contains(n))
        .ok_or_else(|| {
            let (least, most) = (range.start(), range.end());
            let problem = format!("is not a whole number from {least} to {most}");
            ConfigError::new(variable, problem, example)
        })
}

/// A number that fits its type, such as connections or slots.
///
/// # Errors
/// When it is none.
pub fn count(
    text: &str,
    variable: &'static str,
    range: RangeInclusive<u32>,
    example: &'static str,
) -> Result<u32, ConfigError> {
    let wide = u64::from(*range.start())..=u64::from(*range.end());
    let n = number(text, variable, wide, example)?;
    Ok(u32::try_from(n).unwrap_or(*range.end()))
}

/// Whole seconds.
///
/// # Errors
/// When it is none.
pub fn seconds(
    text: &str,
    variable: &'static str,
    range: RangeInclusive<u64>,
    example: &'static str,
) -> Result<Duration, ConfigError> {
    number(text, variable, range, example).map(Duration::from_secs)
}

/// `on` or `off`.
///
/// # Errors
/// When it is neither.
pub fn on_or_off(text: &str, variable: &'static str) -> Result<bool, ConfigError> {
    match text {
        "on" => Ok(true),
        "off" => Ok(false),
        _ => Err(ConfigError::new(variable, "is neither on nor off", "on")),
    }
}

/// An address of the web.
///
/// # Errors
/// When it is none.
pub fn http_url(
    text: &str,
    variable: &'static str,
    example: &'static str,
) -> Result<Url, ConfigError> {
    Url::parse(text)
        .ok()
        .filter(|url| matches!(url.scheme(), "http" | "https") && url.has_host())
        .ok_or_else(|| ConfigError::new(variable, "is not an http(s) address", example))
}

/// The HubSpot app, and where HubSpot is: flags and variables of all programs that talk to it.
#[derive(clap::Args)]
pub struct HubSpotArgs {
    /// Where HubSpot's API is
    #[arg(
        long,
        env = "HUBSPOT_API_URL",
        default_value = "https://api.hubapi.com"
    )]
    hubspot_api_url: String,
    /// Where HubSpot's app is (consent page)
    #[arg(
        long,
        env = "HUBSPOT_APP_URL",
        default_value = "https://app.hubspot.com"
    )]
    hubspot_app_url: String,
    /// Client id of the HubSpot app; without it only service keys connect
    #[arg(long, env = "HUBSPOT_CLIENT_ID")]
    hubspot_client_id: Option<String>,
    /// Client secret of the HubSpot app
    #[arg(long, env = "HUBSPOT_CLIENT_SECRET", hide_env_values = true)]
    hubspot_client_secret: Option<String>,
}

/// Where HubSpot is, and as which app we come.
#[derive(Debug, Clone)]
pub struct HubSpotConfig {
    /// The API.
    pub api_url: Url,
    /// The app, with its consent page.
    pub app_url: Url,
    /// The app; none where only service keys connect.
    pub app: Option<AppCredentials>,
}

/// The HubSpot app.
#[derive(Debug, Clone)]
pub struct AppCredentials {
    /// Its client id.
    pub client_id: String,
    /// Its client secret.
    pub client_secret: SecretString,
}

impl HubSpotArgs {
    /// Checked.
    ///
    /// # Errors
    /// Names the variable.
    pub fn check(self) -> Result<HubSpotConfig, ConfigError> {
        let given = |value: Option<String>| value.filter(|v| !v.is_empty());
        let app = match (
            given(self.hubspot_client_id),
            given(self.hubspot_client_secret),
        ) {
            (Some(client_id), Some(secret)) => Some(AppCredentials {
                client_id,
                client_secret: secret.into(),
            }),
            (None, None) => None,
            (Some(_), None) => {
                return Err(ConfigError::new(
                    "HUBSPOT_CLIENT_SECRET",
                    "is not set",
                    "the app's client secret",
                ));
            }
            (None, Some(_)) => {
                return Err(ConfigError::new(
                    "HUBSPOT_CLIENT_ID",
                    "is not set",
                    "the app's client id",
                ));
            }
        };
        Ok(HubSpotConfig {
            api_url: http_url(
                &self.hubspot_api_url,
                "HUBSPOT_API_URL",
                "https://api.hubapi.com",
            )?,
            app_url: http_url(
                &self.hubspot_app_url,
                "HUBSPOT_APP_URL",
                "https://app.hubspot.com",
            )?,
            app,
        })
    }
}
