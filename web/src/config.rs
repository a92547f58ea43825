//! Configuration from environment and flags. Wrong or missing: one message, exit code 2.

use std::{net::SocketAddr, time::Duration};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use clap::{Parser, Subcommand};
use process::{
    config::{ConfigError, HubSpotArgs, HubSpotConfig, http_url, required},
    database::{DatabaseArgs, DatabaseConfig, DatabaseDefaults},
    logging::{LogArgs, LogFormat},
    temporal::{TemporalArgs, TemporalConfig},
};
use secrecy::{SecretBox, SecretString};
use url::Url;

use crate::pages::entry::EntryKeys;

/// Ten connections; a caller hears within two seconds that Postgres is away.
const DATABASE: DatabaseDefaults = DatabaseDefaults {
    max_connections: 10,
    acquire: Duration::from_secs(2),
};

/// The front door of the HubSpot sync.
#[derive(Parser)]
#[command(name = "hubspot-sync-web", version, about, long_about = None)]
pub(crate) struct Args {
    #[command(subcommand)]
    command: Option<Command>,
    #[command(flatten)]
    database: DatabaseArgs,
    #[command(flatten)]
    temporal: TemporalArgs,
    #[command(flatten)]
    hubspot: HubSpotArgs,
    #[command(flatten)]
    log: LogArgs,
    /// Where to listen
    #[arg(long, env = "WEB_LISTEN_ADDR", default_value = "127.0.0.1:8080")]
    listen: String,
    /// Where metrics are served, such as 127.0.0.1:9091; nowhere when empty
    #[arg(long, env = "WEB_METRICS_ADDR", default_value = "")]
    metrics: String,
    /// How browsers reach this server; HubSpot redirects to `<PUBLIC_URL>/oauth/hubspot/callback`
    /// and sends webhooks to `<PUBLIC_URL>/webhooks/hubspot`
    #[arg(long, env = "PUBLIC_URL")]
    public_url: Option<String>,
    /// Key that signs links and the OAuth state: base64 of 32 bytes
    #[arg(long, env = "WEB_SIGNING_KEY", hide_env_values = true)]
    signing_key: Option<String>,
    /// What the app signs the tokens with that open the settings pages: base64 of 32 bytes. While a
    /// new key takes an old one's place there are two, with a comma between them. Without it nobody
    /// can open the pages
    #[arg(
        long,
        env = "WEB_ENTRY_KEYS",
        hide_env_values = true,
        default_value = ""
    )]
    entry_keys: String,
    /// Bearer token of the whole installation for `/api/v1`, 16 characters at least
    #[arg(long, env = "API_TOKEN", hide_env_values = true)]
    api_token: Option<String>,
    /// Connections at once; of more, those that idle longest are closed
    #[arg(long, env = "WEB_MAX_CONNECTIONS", default_value_t = 800)]
    max_connections: usize,
    /// Requests at once; more are told to come again (HS-4012)
    #[arg(long, env = "WEB_MAX_REQUESTS", default_value_t = 256)]
    max_requests: usize,
    /// Megabytes of request bodies at once; of more, the latest are told to come again (HS-4012)
    #[arg(long, env = "WEB_MAX_BODY_MB", default_value_t = 128)]
    max_body_mb: usize,
    /// Who may show pages within their own, such as `https://app.example.com`, separated by spaces;
    /// nobody when empty. The page that asks to confirm a connection is never shown so
    #[arg(long, env = "WEB_FRAME_ANCESTORS", default_value = "")]
    frame_ancestors: String,
}

#[derive(Subcommand)]
enum Command {
    /// Brings the database up to date and ends
    Migrate,
    /// Prints the OpenAPI document of `/api/v1` and ends
    Openapi,
}

/// The configuration, checked. It holds keys, and so cannot be shown.
pub(crate) struct Config {
    pub(crate) temporal: TemporalConfig,
    pub(crate) database: DatabaseConfig,
    pub(crate) hubspot: HubSpotConfig,
    pub(crate) listen: SocketAddr,
    pub(crate) metrics: Option<SocketAddr>,
    pub(crate) public_url: Url,
    pub(crate) signing_key: SecretBox<[u8; 32]>,
    pub(crate) api_token: SecretString,
    pub(crate) entry_keys: Option<EntryKeys>,
    pub(crate) log: LogFormat,
    pub(crate) connections: crate::serve::Limits,
    pub(crate) requests: crate::admit::Limits,
    /// As the header wants it.
    pub(crate) frame_ancestors: String,
}

/// What `migrate` needs: the database and nothing else.
#[derive(Debug)]
pub(crate) struct MigrationConfig {
    pub(crate) database: DatabaseConfig,
    pub(crate) log: LogFormat,
}

const KEY: &str = "MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY=";

impl Args {
    pub(crate) const fn wants_migration(&self) -> bool {
        matches!(self.command, Some(Command::Migrate))
    }

    pub(crate) const fn wants_document(&self) -> bool {
        matches!(self.command, Some(Command::Openapi))
    }

    pub(crate) fn check_for_migration(self) -> Result<MigrationConfig, ConfigError> {
        Ok(MigrationConfig {
            log: self.log.check()?,
            database: self.database.check_for_migration(DATABASE)?,
        })
    }

    pub(crate) fn check(self) -> Result<Config, ConfigError> {
        const TOKEN: &str = "a-long-random-text-of-your-own";
        const URL: &str = "https://sync.example.com";
        let signing_key = required(self.signing_key, "WEB_SIGNING_KEY", KEY)?;
        let api_token = required(self.api_token, "API_TOKEN", TOKEN)?;
        if api_token.len() < 16 {
            let problem = "is shorter than 16 characters";
            return Err(ConfigError::new("API_TOKEN", problem, TOKEN));
        }
        let public_url = required(self.public_url, "PUBLIC_URL", URL)?;
        Ok(Config {
            database: self.database.check(DATABASE)?,
            temporal: self.temporal.check()?,
            hubspot: self.hubspot.check()?,
            listen: self.listen.parse().map_err(|_| {
                ConfigError::new("WEB_LISTEN_ADDR", "is no address:port", "127.0.0.1:8080")
            })?,
            metrics: (!self.metrics.is_empty())
                .then(|| {
                    self.metrics.parse().map_err(|_| {
                        ConfigError::new("WEB_METRICS_ADDR", "is no address:port", "127.0.0.1:9091")
                    })
                })
                .transpose()?,
            public_url: http_url(&public_url, "PUBLIC_URL", URL)?,
            signing_key: key(&signing_key, "WEB_SIGNING_KEY")?,
            entry_keys: entry_keys(&self.entry_keys)?,
            api_token: api_token.into(),
            connections: crate::serve::Limits::new(at_least(
                self.max_connections,
                10,
                "WEB_MAX_CONNECTIONS",
                "800",
            )?),
            requests: crate::admit::Limits::new(
                at_least(self.max_requests, 1, "WEB_MAX_REQUESTS", "256")?,
                // One bulk call has to fit in.
                at_least(self.max_body_mb, 16, "WEB_MAX_BODY_MB", "128")?
                    .saturating_mul(1024 * 1024),
            ),
            frame_ancestors: frame_ancestors(&self.frame_ancestors)?,
            log: self.log.check()?,
        })
    }
}

fn at_least(
    value: usize,
    least: usize,
    variable: &'static str,
    example: &'static str,
) -> Result<usize, ConfigError> {
    if value >= least {
        Ok(value)
    } else {
        Err(ConfigError::new(variable, "is too small", example))
    }
}

fn key(text: &str, variable: &'static str) -> Result<SecretBox<[u8; 32]>, ConfigError> {
    STANDARD
        .decode(text)
        .ok()
        .and_then(|k| k.try_into().ok())
        .map(|key: [u8; 32]| SecretBox::new(Box::new(key)))
        .ok_or_else(|| ConfigError::new(variable, "is not base64 of 32 bytes", KEY))
}

fn entry_keys(text: &str) -> Result<Option<EntryKeys>, ConfigError> {
    if text.trim().is_empty() {
        return Ok(None);
    }
    let keys = text.split(',').map(|k| key(k.trim(), "WEB_ENTRY_KEYS"));
    Ok(Some(EntryKeys(keys.collect::<Result<_, _>>()?)))
}

/// Origins only: anything else could say more in the header than it should.
fn frame_ancestors(text: &str) -> Result<String, ConfigError> {
    let mut all = Vec::new();
    for word in text.split_whitespace() {
        let url = http_url(word, "WEB_FRAME_ANCESTORS", "https://app.example.com")?;
        if url.path() != "/" || url.query().is_some() || !url.username().is_empty() {
            return Err(ConfigError::new(
                "WEB_FRAME_ANCESTORS",
                "has more than scheme, host and port",
                "https://app.example.com",
            ));
        }
        all.push(url.origin().ascii_serialization());
    }
    Ok(if all.is_empty() {
        "'none'".to_owned()
    } else {
        all.join(" ")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(replaced: &str) -> Result<Config, ConfigError> {
        let name = replaced.split('=').next().unwrap().to_owned();
        let mut all = vec!["hubspot-sync-web".to_owned(), replaced.to_owned()];
        for default in [
            "--database-url=postgres://localhost/x".to_owned(),
            "--temporal-address=localhost:7233".to_owned(),
            format!("--token-encryption-keys=k1:{KEY}"),
            format!("--erasure-key={KEY}"),
            "--public-url=http://localhost:1".to_owned(),
            format!("--signing-key={KEY}"),
            "--api-token=0123456789abcdef".to_owned(),
        ] {
            if !default.starts_with(&name) {
                all.push(default);
            }
        }
        Args::parse_from(all).check()
    }

    #[test]
    fn a_wrong_value_names_its_variable_and_an_example_but_not_the_value() {
        for (flag, variable) in [
            ("--database-url=", "DATABASE_URL"),
            ("--temporal-address=:::sekret", "TEMPORAL_ADDRESS"),
            ("--public-url=sekret", "PUBLIC_URL"),
            ("--signing-key=sekret", "WEB_SIGNING_KEY"),
            ("--api-token=sekret", "API_TOKEN"),
            ("--entry-keys=sekret", "WEB_ENTRY_KEYS"),
            (
                "--entry-keys=MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY=,sekret",
                "WEB_ENTRY_KEYS",
            ),
            ("--erasure-key=", "ERASURE_KEY"),
            ("--hubspot-client-secret=sekret", "HUBSPOT_CLIENT_ID"),
            ("--listen=sekret", "WEB_LISTEN_ADDR"),
            ("--metrics=sekret", "WEB_METRICS_ADDR"),
            ("--max-connections=0", "WEB_MAX_CONNECTIONS"),
            ("--max-body-mb=1", "WEB_MAX_BODY_MB"),
            ("--frame-ancestors=sekret", "WEB_FRAME_ANCESTORS"),
            (
                "--frame-ancestors=https://a.example.com/;sekret",
                "WEB_FRAME_ANCESTORS",
            ),
        ] {
            let error = parse(flag).err();
            let message = error.unwrap_or_else(|| panic!("{flag} passes")).to_string();
            assert!(message.contains(variable), "{message}");
            assert!(message.contains("for example"), "{message}");
            assert!(!message.contains("sekret"), "{message}");
        }
        let json = parse("--log-format=json").ok().unwrap();
        assert_eq!(json.log, LogFormat::Json);
        let framed = "--frame-ancestors=https://a.example.com https://b.example.com:8443";
        assert_eq!(
            parse(framed).ok().unwrap().frame_ancestors,
            "https://a.example.com https://b.example.com:8443"
        );
        let nobody = parse("--log-format=text").ok().unwrap();
        assert_eq!(nobody.frame_ancestors, "'none'");
    }

    #[test]
    fn migrating_needs_the_database_only() {
        let args = [
            "hubspot-sync-web",
            "--database-url=postgres://localhost/x",
            "migrate",
        ];
        assert!(Args::parse_from(args).check_for_migration().is_ok());
    }
}
