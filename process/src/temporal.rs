//! Temporal, configured as its own tools are (`envconfig`): address, namespace, TLS, API key, or a
//! profile of a configuration file that holds them.

use std::{collections::HashMap, fmt, time::Duration};

use temporalio_client::{
    Client, ClientOptions, Connection, ConnectionOptions, TlsOptions,
    envconfig::{DataSource, LoadClientConfigProfileOptions},
};
use temporalio_common::{
    envconfig::{ClientConfigProfile, load_client_config_profile},
    telemetry::metrics::TemporalMeter,
};
use url::{Host, Url};

use crate::{Backoff, config::ConfigError};

const ADDRESS: &str = "TEMPORAL_ADDRESS";
const ADDRESS_EXAMPLE: &str = "localhost:7233";
/// What is either true or false.
const SWITCHES: [&str; 2] = ["TEMPORAL_TLS", "TEMPORAL_TLS_DISABLE_HOST_VERIFICATION"];
/// How long a server may take to answer the first time.
const CONNECT_WITHIN: Duration = Duration::from_secs(10);

/// The flags of all programs. Everything else comes from the environment or from a profile.
#[derive(clap::Args)]
pub struct TemporalArgs {
    /// Temporal's frontend as host:port; without it TEMPORAL_ADDRESS, or what the profile says
    /// (TEMPORAL_PROFILE, TEMPORAL_CONFIG_FILE). TEMPORAL_API_KEY and TEMPORAL_TLS… are heeded, too
    #[arg(long, value_name = "HOST:PORT")]
    temporal_address: Option<String>,
    /// Temporal namespace; without it TEMPORAL_NAMESPACE, or what the profile says, or `default`
    #[arg(long, value_name = "NAME")]
    temporal_namespace: Option<String>,
}

/// How to reach Temporal.
#[derive(Clone)]
pub struct TemporalConfig {
    options: Box<ConnectionOptions>,
    namespace: String,
}

impl fmt::Debug for TemporalConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TemporalConfig")
            .field("address", &self.address())
            .field("namespace", &self.namespace)
            .field("tls", &self.options.tls_options.is_some())
            .field("api_key", &self.options.api_key.is_some())
            .finish()
    }
}

/// The variables that are set. An empty one is none, as compose files pass what nobody gave.
pub fn environment() -> HashMap<String, String> {
    std::env::vars_os()
        .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
        .filter(|(name, value)| name.starts_with("TEMPORAL_") && !value.is_empty())
        .collect()
}

impl TemporalArgs {
    /// Checked, with the environment of the process.
    ///
    /// # Errors
    /// Names the variable.
    pub fn check(self) -> Result<TemporalConfig, ConfigError> {
        TemporalConfig::load(
            self.temporal_address,
            self.temporal_namespace,
            &environment(),
        )
    }
}

impl TemporalConfig {
    /// From flags, variables and a profile, in this order.
    ///
    /// # Errors
    /// Names the variable. What the SDK would take and not heed is an error, too.
    pub fn load(
        address: Option<String>,
        namespace: Option<String>,
        environment: &HashMap<String, String>,
    ) -> Result<Self, ConfigError> {
        let mut profile = profile(environment)?;
        if let Some(address) = address.filter(|a| !a.is_empty()) {
            profile.address = Some(address);
        }
        if let Some(namespace) = namespace {
            profile.namespace = Some(namespace);
        }
        let address = profile.address.clone().filter(|a| !a.is_empty());
        let address =
            address.ok_or_else(|| ConfigError::new(ADDRESS, "is not set", ADDRESS_EXAMPLE))?;
        let namespace = profile.namespace.clone();
        let namespace = namespace.unwrap_or_else(|| "default".to_owned());
        if namespace.is_empty() {
            return Err(ConfigError::new(
                "TEMPORAL_NAMESPACE",
                "(or --temporal-namespace) is empty",
                "default",
            ));
        }
        check_heeded(&profile)?;
        check_files(&profile)?;
        let tls = profile.tls.as_ref();
        let switched_off = tls.is_some_and(|t| t.disabled == Some(true));
        let wants_tls = !switched_off && (tls.is_some() || profile.api_key.is_some());
        let has_key = profile.api_key.is_some();
        let url = url_of(&address, wants_tls)?;
        let options = ConnectionOptions::try_from(profile).map_err(|_| unusable())?;
        let mut options = Box::new(options);
        match (url.scheme(), wants_tls) {
            ("http", true) => {
                return Err(ConfigError::new(
                    ADDRESS,
                    "begins with http:// although TLS or an API key is configured",
                    "https://my.namespace.tmprl.cloud:7233",
                ));
            }
            ("https", false) if switched_off => {
                return Err(ConfigError::new(
                    "TEMPORAL_TLS",
                    "is off although the address begins with https://",
                    "true",
                ));
            }
            ("https", false) => options.tls_options = Some(TlsOptions::default()),
            _ => {}
        }
        if has_key && options.tls_options.is_none() && !is_loopback(&url) {
            return Err(ConfigError::new(
                "TEMPORAL_TLS",
                "is off although an API key would travel in the clear",
                "true",
            ));
        }
        options.target = url;
        options.connect_timeout = Some(CONNECT_WITHIN);
        Ok(Self { options, namespace })
    }

    /// Where the server is: fit for a log.
    pub fn address(&self) -> String {
        let target = &self.options.target;
        let host = target.host_str().unwrap_or_default();
        let port = target.port_or_known_default().unwrap_or_default();
        format!("{}://{host}:{port}", target.scheme())
    }

    pub fn namespace(&self) -> &str {
        &self.namespace
    }

    /// The SDK's options, for one connection of this program.
    pub fn connection_options(
        &self,
        program: &str,
        meter: Option<TemporalMeter>,
    ) -> ConnectionOptions {
        let mut options = ConnectionOptions::clone(&self.options);
        options.identity = format!("{program}@{}", std::process::id());
        options.metrics_meter = meter;
        options
    }

    /// Connects once.
    ///
    /// # Errors
    /// When the server does not answer, or not as one that speaks for the certificate and key.
    pub async fn connect(
        &self,
        program: &str,
        meter: Option<TemporalMeter>,
    ) -> anyhow::Result<Client> {
        let connection = Connection::connect(self.connection_options(program, meter)).await?;
        let options = ClientOptions::new(self.namespace.clone()).build();
        Ok(Client::new(connection, options)?)
    }

    /// Connects, however long that takes.
    pub async fn connect_until_there(&self, program: &str, meter: Option<TemporalMeter>) -> Client {
        let mut backoff = Backoff::default();
        loop {
            match self.connect(program, meter.clone()).await {
                Ok(client) => return client,
                Err(error) => tracing::warn!(
                    code = "HS-5007",
                    address = %self.address(),
                    error = format!("{error:#}"),
                    "Temporal (TEMPORAL_ADDRESS) is not to be had yet; trying again"
                ),
            }
            backoff.wait().await;
        }
    }
}

/// Texts of the SDK's errors may quote the file, and with it a key: none is repeated.
fn unusable() -> ConfigError {
    ConfigError::new(
        "TEMPORAL_CONFIG_FILE",
        "or a TEMPORAL_… variable cannot be used: it is no TOML of profiles, or a path and data are \
         both given for one thing",
        "temporal.toml",
    )
}

fn profile(environment: &HashMap<String, String>) -> Result<ClientConfigProfile, ConfigError> {
    for name in SWITCHES {
        let known = ["true", "false", "1", "0"];
        if let Some(value) = environment.get(name)
            && !known.contains(&value.to_lowercase().as_str())
        {
            return Err(ConfigError::new(name, "is neither true nor false", "true"));
        }
    }
    if let Some(path) = environment.get("TEMPORAL_CONFIG_FILE")
        && std::fs::File::open(path).is_err()
    {
        return Err(ConfigError::new(
            "TEMPORAL_CONFIG_FILE",
            "names a file that cannot be read",
            "temporal.toml",
        ));
    }
    load_client_config_profile(LoadClientConfigProfileOptions::default(), Some(environment))
        .map_err(|error| match error {
            temporalio_client::envconfig::ConfigError::ProfileNotFound(_) => ConfigError::new(
                "TEMPORAL_PROFILE",
                "names no profile of the configuration file",
                "default",
            ),
            _ => unusable(),
        })
}

/// What the SDK reads and then drops.
fn check_heeded(profile: &ClientConfigProfile) -> Result<(), ConfigError> {
    if profile
        .tls
        .as_ref()
        .is_some_and(|tls| tls.disable_host_verification)
    {
        return Err(ConfigError::new(
            "TEMPORAL_TLS_DISABLE_HOST_VERIFICATION",
            "is not supported; give the server's name in TEMPORAL_TLS_SERVER_NAME or its CA in \
             TEMPORAL_TLS_SERVER_CA_CERT_PATH",
            "false",
        ));
    }
    if profile.codec.is_some() {
        return Err(ConfigError::new(
            "TEMPORAL_CODEC_ENDPOINT",
            "is not supported: payloads hold ids, states and counts only, and are not encoded",
            "",
        ));
    }
    Ok(())
}

fn check_files(profile: &ClientConfigProfile) -> Result<(), ConfigError> {
    let Some(tls) = profile.tls.as_ref().filter(|t| t.disabled != Some(true)) else {
        return Ok(());
    };
    let example = "certificate.pem";
    for (source, variable) in [
        (&tls.client_cert, "TEMPORAL_TLS_CLIENT_CERT_PATH"),
        (&tls.client_key, "TEMPORAL_TLS_CLIENT_KEY_PATH"),
        (&tls.server_ca_cert, "TEMPORAL_TLS_SERVER_CA_CERT_PATH"),
    ] {
        let pem = match source {
            None => continue,
            Some(DataSource::Path(path)) => std::fs::read(path).map_err(|_| {
                ConfigError::new(variable, "names a file that cannot be read", example)
            })?,
            Some(DataSource::Data(data)) => data.clone(),
            Some(_) => continue,
        };
        let begins = b"-----BEGIN ";
        if !pem.windows(begins.len()).any(|part| part == begins) {
            return Err(ConfigError::new(
                variable,
                "(or …_DATA) holds no PEM",
                example,
            ));
        }
    }
    match (&tls.client_cert, &tls.client_key) {
        (Some(_), None) => Err(ConfigError::new(
            "TEMPORAL_TLS_CLIENT_KEY_PATH",
            "is not set although a client certificate is",
            "key.pem",
        )),
        (None, Some(_)) => Err(ConfigError::new(
            "TEMPORAL_TLS_CLIENT_CERT_PATH",
            "is not set although a client key is",
            example,
        )),
        _ => Ok(()),
    }
}

/// Temporal's own tools take host:port; a whole address will do too.
fn url_of(address: &str, tls: bool) -> Result<Url, ConfigError> {
    let with_scheme = if address.contains("://") {
        address.to_owned()
    } else {
        format!("{}://{address}", if tls { "https" } else { "http" })
    };
    Url::parse(&with_scheme)
        .ok()
        .filter(|url| matches!(url.scheme(), "http" | "https") && url.has_host())
        .ok_or_else(|| {
            let problem = "(or --temporal-address) is not host:port";
            ConfigError::new(ADDRESS, problem, ADDRESS_EXAMPLE)
        })
}

fn is_loopback(url: &Url) -> bool {
    match url.host() {
        Some(Host::Domain(name)) => name == "localhost",
        Some(Host::Ipv4(ip)) => ip.is_loopback(),
        Some(Host::Ipv6(ip)) => ip.is_loopback(),
        None => false,
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use super::*;

    type Variables<'a> = &'a [(&'a str, &'a str)];

    fn load(environment: Variables<'_>) -> Result<TemporalConfig, ConfigError> {
        let environment = environment
            .iter()
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
            .collect();
        TemporalConfig::load(None, None, &environment)
    }

    fn file(text: &str) -> tempfile::NamedTempFile {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        file.write_all(text.as_bytes()).unwrap();
        file
    }

    #[test]
    fn plain_by_default_and_tls_with_a_key_or_when_asked_for() {
        let cloud = "my.tmprl.cloud:7233";
        let table: [(Variables<'_>, &str, bool); 6] = [
            (
                &[(ADDRESS, "localhost:7233")],
                "http://localhost:7233",
                false,
            ),
            (&[(ADDRESS, "http://t:7")], "http://t:7", false),
            (&[(ADDRESS, "https://t")], "https://t:443", true),
            (
                &[(ADDRESS, cloud), ("TEMPORAL_API_KEY", "sekret")],
                "https://my.tmprl.cloud:7233",
                true,
            ),
            (
                &[(ADDRESS, cloud), ("TEMPORAL_TLS", "true")],
                "https://my.tmprl.cloud:7233",
                true,
            ),
            (
                &[
                    (ADDRESS, "127.0.0.1:7"),
                    ("TEMPORAL_API_KEY", "sekret"),
                    ("TEMPORAL_TLS", "false"),
                ],
                "http://127.0.0.1:7",
                false,
            ),
        ];
        for (environment, address, tls) in table {
            let config = load(environment).unwrap();
            assert_eq!(config.address(), address);
            assert_eq!(config.namespace(), "default");
            assert_eq!(config.options.tls_options.is_some(), tls, "{address}");
            assert!(!format!("{config:?}").contains("sekret"));
        }
    }

    #[test]
    fn a_profile_holds_it_all_and_variables_and_flags_overrule_it() {
        let file = file(
            "[profile.cloud]\naddress = \"my.tmprl.cloud:7233\"\nnamespace = \"my.ns\"\n\
             api_key = \"sekret\"\n",
        );
        let path = file.path().to_str().unwrap();
        let from = [
            ("TEMPORAL_CONFIG_FILE", path),
            ("TEMPORAL_PROFILE", "cloud"),
        ];
        let config = load(&from).unwrap();
        assert_eq!(config.address(), "https://my.tmprl.cloud:7233");
        assert_eq!(config.namespace(), "my.ns");
        assert_eq!(config.options.api_key.as_deref(), Some("sekret"));
        let mut overruled = from.to_vec();
        overruled.push(("TEMPORAL_NAMESPACE", "other"));
        assert_eq!(load(&overruled).unwrap().namespace(), "other");
        let environment = overruled
            .iter()
            .map(|(n, v)| ((*n).to_owned(), (*v).to_owned()))
            .collect();
        let flags = TemporalConfig::load(Some("t:1".into()), Some("mine".into()), &environment);
        let flags = flags.unwrap();
        assert_eq!(
            (flags.address().as_str(), flags.namespace()),
            ("https://t:1", "mine")
        );
    }

    #[test]
    fn what_is_wrong_names_its_variable_and_not_the_value() {
        let no_toml = file("api_key = sekret");
        let no_toml = no_toml.path().to_str().unwrap();
        let no_pem = file("sekret");
        let no_pem = no_pem.path().to_str().unwrap();
        let pem = file("-----BEGIN CERTIFICATE-----\nsekret\n");
        let pem = pem.path().to_str().unwrap();
        let t = (ADDRESS, "t:1");
        let table: [(Variables<'_>, &str); 15] = [
            (&[], ADDRESS),
            (&[(ADDRESS, ":::sekret")], ADDRESS),
            (&[(ADDRESS, "ftp://sekret")], ADDRESS),
            (
                &[(ADDRESS, "http://t:1"), ("TEMPORAL_API_KEY", "sekret")],
                ADDRESS,
            ),
            (
                &[(ADDRESS, "https://t:1"), ("TEMPORAL_TLS", "false")],
                "TEMPORAL_TLS",
            ),
            (
                &[t, ("TEMPORAL_API_KEY", "sekret"), ("TEMPORAL_TLS", "false")],
                "TEMPORAL_TLS",
            ),
            (&[t, ("TEMPORAL_TLS", "sekret")], "TEMPORAL_TLS"),
            (
                &[t, ("TEMPORAL_TLS_DISABLE_HOST_VERIFICATION", "true")],
                "TEMPORAL_TLS_DISABLE_HOST_VERIFICATION",
            ),
            (
                &[t, ("TEMPORAL_CODEC_ENDPOINT", "sekret")],
                "TEMPORAL_CODEC_ENDPOINT",
            ),
            (
                &[t, ("TEMPORAL_CONFIG_FILE", "/sekret")],
                "TEMPORAL_CONFIG_FILE",
            ),
            (
                &[t, ("TEMPORAL_CONFIG_FILE", no_toml)],
                "TEMPORAL_CONFIG_FILE",
            ),
            (&[t, ("TEMPORAL_PROFILE", "sekret")], "TEMPORAL_PROFILE"),
            (
                &[t, ("TEMPORAL_TLS_CLIENT_CERT_PATH", "/sekret")],
                "TEMPORAL_TLS_CLIENT_CERT_PATH",
            ),
            (
                &[t, ("TEMPORAL_TLS_SERVER_CA_CERT_PATH", no_pem)],
                "TEMPORAL_TLS_SERVER_CA_CERT_PATH",
            ),
            (
                &[t, ("TEMPORAL_TLS_CLIENT_CERT_PATH", pem)],
                "TEMPORAL_TLS_CLIENT_KEY_PATH",
            ),
        ];
        for (environment, variable) in table {
            let error = load(environment).unwrap_err();
            assert_eq!(error.variable(), variable, "{error}");
            assert!(!error.to_string().contains("sekret"), "{error}");
        }
    }
}
