//! Configuration from environment and flags. Wrong or missing: one message, exit code 2.

use std::net::SocketAddr;

use base64::{Engine as _, engine::general_purpose::STANDARD};
use clap::{Parser, Subcommand};
use secrecy::SecretString;
use url::Url;

/// Why the configuration cannot be used. The value is not repeated: it may be a secret.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct ConfigError {
    variable: &'static str,
    problem: &'static str,
    example: &'static str,
}

impl std::fmt::Display for ConfigError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
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

/// The front door of the HubSpot sync.
#[derive(Parser)]
#[command(name = "hubspot-sync-web", version, about, long_about = None)]
pub(crate) struct Args {
    #[command(subcommand)]
    command: Option<Command>,
    /// Postgres, e.g. postgres://user:password@host:5432/database
    #[arg(long, env = "DATABASE_URL", hide_env_values = true)]
    database_url: Option<String>,
    /// Temporal's frontend as host:port
    #[arg(long, env = "TEMPORAL_ADDRESS")]
    temporal_address: Option<String>,
    /// Temporal namespace
    #[arg(long, env = "TEMPORAL_NAMESPACE", default_value = "default")]
    temporal_namespace: String,
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
    /// Keys that encrypt tokens at rest: `<key id>:<base64 of 32 bytes>`, older ones behind a comma
    #[arg(long, env = "TOKEN_ENCRYPTION_KEYS", hide_env_values = true)]
    token_encryption_keys: Option<String>,
    /// Key of the hashes that stay of erased people: base64 of 32 bytes, the same for ever
    #[arg(long, env = "ERASURE_KEY", hide_env_values = true)]
    erasure_key: Option<String>,
    /// Where to listen
    #[arg(long, env = "WEB_LISTEN_ADDR", default_value = "127.0.0.1:8080")]
    listen: String,
    /// How browsers reach this server; HubSpot redirects to `<PUBLIC_URL>/oauth/hubspot/callback`
    #[arg(long, env = "PUBLIC_URL")]
    public_url: Option<String>,
    /// Key that signs links and the OAuth state: base64 of 32 bytes
    #[arg(long, env = "WEB_SIGNING_KEY", hide_env_values = true)]
    signing_key: Option<String>,
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
    /// Log lines as `text` or `json`; which ones, says RUST_LOG (default `info`)
    #[arg(long, env = "LOG_FORMAT", default_value = "text")]
    log_format: String,
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
    pub(crate) database_url: SecretString,
    pub(crate) temporal_address: Url,
    pub(crate) temporal_namespace: String,
    pub(crate) hubspot_api_url: Url,
    pub(crate) hubspot_app_url: Url,
    pub(crate) app: Option<(String, SecretString)>,
    pub(crate) token_encryption_keys: SecretString,
    pub(crate) erasure_key: SecretString,
    pub(crate) listen: SocketAddr,
    pub(crate) public_url: Url,
    pub(crate) signing_key: [u8; 32],
    pub(crate) api_token: SecretString,
    pub(crate) log_json: bool,
    pub(crate) connections: crate::serve::Limits,
    pub(crate) requests: crate::admit::Limits,
    /// As the header wants it.
    pub(crate) frame_ancestors: String,
}

const KEY: &str = "MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY=";

impl Args {
    pub(crate) const fn wants_migration(&self) -> bool {
        matches!(self.command, Some(Command::Migrate))
    }

    pub(crate) const fn wants_document(&self) -> bool {
        matches!(self.command, Some(Command::Openapi))
    }

    pub(crate) fn check(self) -> Result<Config, ConfigError> {
        let migrate = self.wants_migration();
        let database_url = required(
            self.database_url,
            "DATABASE_URL",
            "postgres://sync:secret@localhost:5432/hubspot_sync",
        )?;
        // A migration needs the database and nothing else.
        let or = |value: Option<String>, fallback: &str| {
            value.or_else(|| migrate.then(|| fallback.to_owned()))
        };
        let app = match (self.hubspot_client_id, self.hubspot_client_secret) {
            (Some(id), Some(secret)) => Some((id, secret.into())),
            (None, None) => None,
            (Some(_), None) => {
                return Err(wrong(
                    "HUBSPOT_CLIENT_SECRET",
                    "is not set",
                    "the app's client secret",
                ));
            }
            (None, Some(_)) => {
                return Err(wrong(
                    "HUBSPOT_CLIENT_ID",
                    "is not set",
                    "the app's client id",
                ));
            }
        };
        let temporal = required(
            or(self.temporal_address, "localhost:7233"),
            "TEMPORAL_ADDRESS",
            "localhost:7233",
        )?;
        let signing_key = required(or(self.signing_key, KEY), "WEB_SIGNING_KEY", KEY)?;
        let api_token = required(
            or(self.api_token, KEY),
            "API_TOKEN",
            "a-long-random-text-of-your-own",
        )?;
        if api_token.len() < 16 {
            return Err(wrong(
                "API_TOKEN",
                "is shorter than 16 characters",
                "a-long-random-text-of-your-own",
            ));
        }
        let public_url = required(
            or(self.public_url, "http://localhost:8080"),
            "PUBLIC_URL",
            "https://sync.example.com",
        )?;
        Ok(Config {
            database_url: database_url.into(),
            temporal_address: Url::parse(&with_scheme(&temporal))
                .ok()
                .filter(Url::has_host)
                .ok_or(wrong(
                    "TEMPORAL_ADDRESS",
                    "is not host:port",
                    "localhost:7233",
                ))?,
            temporal_namespace: self.temporal_namespace,
            hubspot_api_url: http_url(
                &self.hubspot_api_url,
                "HUBSPOT_API_URL",
                "https://api.hubapi.com",
            )?,
            hubspot_app_url: http_url(
                &self.hubspot_app_url,
                "HUBSPOT_APP_URL",
                "https://app.hubspot.com",
            )?,
            app,
            token_encryption_keys: required(
                or(self.token_encryption_keys, &format!("k1:{KEY}")),
                "TOKEN_ENCRYPTION_KEYS",
                "k1:MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY=",
            )?
            .into(),
            erasure_key: required(or(self.erasure_key, KEY), "ERASURE_KEY", KEY)?.into(),
            listen: self
                .listen
                .parse()
                .map_err(|_| wrong("WEB_LISTEN_ADDR", "is no address:port", "127.0.0.1:8080"))?,
            public_url: http_url(&public_url, "PUBLIC_URL", "https://sync.example.com")?,
            signing_key: STANDARD
                .decode(signing_key)
                .ok()
                .and_then(|k| k.try_into().ok())
                .ok_or(wrong("WEB_SIGNING_KEY", "is not base64 of 32 bytes", KEY))?,
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
            log_json: match self.log_format.as_str() {
                "text" => false,
                "json" => true,
                _ => return Err(wrong("LOG_FORMAT", "is neither text nor json", "json")),
            },
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
        Err(wrong(variable, "is too small", example))
    }
}

/// Origins only: anything else could say more in the header than it should.
fn frame_ancestors(text: &str) -> Result<String, ConfigError> {
    let mut all = Vec::new();
    for word in text.split_whitespace() {
        let url = http_url(word, "WEB_FRAME_ANCESTORS", "https://app.example.com")?;
        if url.path() != "/" || url.query().is_some() || !url.username().is_empty() {
            return Err(wrong(
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

/// Temporal's own tools take host:port; a whole address will do too.
fn with_scheme(address: &str) -> String {
    if address.contains("://") {
        address.to_owned()
    } else {
        format!("http://{address}")
    }
}

const fn wrong(
    variable: &'static str,
    problem: &'static str,
    example: &'static str,
) -> ConfigError {
    ConfigError {
        variable,
        problem,
        example,
    }
}

fn required(
    value: Option<String>,
    variable: &'static str,
    example: &'static str,
) -> Result<String, ConfigError> {
    value
        .filter(|v| !v.is_empty())
        .ok_or(wrong(variable, "is not set", example))
}

fn http_url(text: &str, variable: &'static str, example: &'static str) -> Result<Url, ConfigError> {
    Url::parse(text)
        .ok()
        .filter(|url| matches!(url.scheme(), "http" | "https") && url.has_host())
        .ok_or(wrong(variable, "is not an http(s) address", example))
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
            ("--erasure-key=", "ERASURE_KEY"),
            ("--hubspot-client-secret=sekret", "HUBSPOT_CLIENT_ID"),
            ("--listen=sekret", "WEB_LISTEN_ADDR"),
            ("--max-connections=0", "WEB_MAX_CONNECTIONS"),
            ("--max-body-mb=1", "WEB_MAX_BODY_MB"),
            ("--frame-ancestors=sekret", "WEB_FRAME_ANCESTORS"),
            (
                "--frame-ancestors=https://a.example.com/;sekret",
                "WEB_FRAME_ANCESTORS",
            ),
        ] {
            let message = parse(flag).err().unwrap().to_string();
            assert!(message.contains(variable), "{message}");
            assert!(message.contains("for example"), "{message}");
            assert!(!message.contains("sekret"), "{message}");
        }
        assert!(parse("--log-format=json").ok().unwrap().log_json);
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
        assert!(Args::parse_from(args).check().is_ok());
    }
}
