//! Arguments and environment. Wrong or missing: one message, exit code 2.

use std::{ffi::OsString, fmt};

use chrono::{DateTime, Utc};
use clap::{Parser, Subcommand};
use client::{BuildError, HubSpotSync};
use domain::{AdminId, ResyncMode, ResyncRequest, SyncType, WorkspaceId};
use secrecy::SecretString;
use url::Url;
use uuid::Uuid;

const URL: &str = "HUBSPOT_SYNC_URL";
const TOKEN: &str = "HUBSPOT_SYNC_TOKEN";
const WORKSPACE: &str = "HUBSPOT_SYNC_WORKSPACE";
const TEMPORAL: &str = "TEMPORAL_ADDRESS";

/// Who connects when nobody is named: a person at a terminal.
const TERMINAL_ADMIN: AdminId = AdminId::new(Uuid::nil());

// ---- as typed --------------------------------------------------------------------------------

/// Keeps a workspace and its HubSpot portal in step, from a terminal.
#[derive(Parser)]
#[command(
    name = "hubspot-sync",
    version,
    about,
    long_about = None,
    after_help = "The service token comes from the environment variable HUBSPOT_SYNC_TOKEN.\n\
                  Exit codes: 0 done, 1 refused or failed, 2 wrong usage or configuration."
)]
pub(crate) struct Args {
    /// Where the HubSpot sync service is, e.g. https://sync.example.com
    #[arg(long, global = true, env = "HUBSPOT_SYNC_URL", hide_env_values = true)]
    url: Option<String>,
    /// Which workspace, e.g. 01890a5d-ac96-774b-bcce-b302099a8057
    #[arg(
        long,
        global = true,
        env = "HUBSPOT_SYNC_WORKSPACE",
        value_name = "UUID"
    )]
    workspace: Option<String>,
    /// Temporal's frontend as host:port, for --via-temporal
    #[arg(
        long,
        global = true,
        env = "TEMPORAL_ADDRESS",
        hide_env_values = true,
        value_name = "HOST:PORT"
    )]
    temporal_address: Option<String>,
    /// Temporal namespace, for --via-temporal
    #[arg(
        long,
        global = true,
        env = "TEMPORAL_NAMESPACE",
        default_value = "default",
        value_name = "NAME"
    )]
    temporal_namespace: String,
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Connect the workspace to a HubSpot portal
    Connect {
        /// Who connects; the consent is bound to this person
        #[arg(long, value_name = "UUID", default_value_t = TERMINAL_ADMIN)]
        admin: AdminId,
        /// Connect without a browser: the environment variable that holds a HubSpot service key
        #[arg(long, value_name = "VARIABLE")]
        access_token_env: Option<String>,
        /// Stay until somebody has consented, ten minutes at most
        #[arg(long)]
        wait: bool,
    },
    /// Show where the connection stands and how far each object type is
    Status {
        /// Stay and show the progress until nothing is read any more
        #[arg(long, conflicts_with = "via_temporal")]
        watch: bool,
        /// JSON instead of text; with --watch one line per change
        #[arg(long)]
        json: bool,
        /// Ask the workflow by Temporal instead of the service by HTTP; knows no counts
        #[arg(long)]
        via_temporal: bool,
    },
    /// Read again what changed, or chosen object types, or everything
    Resync {
        /// Only these object types
        #[arg(long, value_delimiter = ',', value_name = "TYPE,TYPE")]
        types: Vec<SyncType>,
        /// What was modified at this time or later, e.g. 2026-09-01T00:00:00Z
        #[arg(long, value_name = "RFC3339", value_parser = rfc3339, conflicts_with = "from_scratch")]
        since: Option<DateTime<Utc>>,
        /// Everything, from the first record on
        #[arg(long)]
        from_scratch: bool,
        /// Signal the workflow by Temporal instead of asking the service by HTTP
        #[arg(long)]
        via_temporal: bool,
    },
    /// Disconnect the workspace; imported data stays
    Disconnect {
        /// Signal the workflow by Temporal instead of asking the service by HTTP
        #[arg(long)]
        via_temporal: bool,
    },
}

fn rfc3339(text: &str) -> Result<DateTime<Utc>, &'static str> {
    DateTime::parse_from_rfc3339(text)
        .map(|at| at.with_timezone(&Utc))
        .map_err(|_| "expected a time such as 2026-09-01T00:00:00Z")
}

// ---- checked ---------------------------------------------------------------------------------

/// What to do, for which workspace, by which way.
#[derive(Debug)]
pub(crate) struct Job {
    pub(crate) workspace: WorkspaceId,
    pub(crate) work: Work,
}

/// The two ways and what goes by each.
#[derive(Debug)]
pub(crate) enum Work {
    Http(Service, HttpWork),
    Temporal(Temporal, TemporalWork),
}

/// The service, with its address for messages.
#[derive(Debug)]
pub(crate) struct Service {
    pub(crate) client: HubSpotSync,
    pub(crate) origin: String,
}

/// Temporal's frontend.
#[derive(Debug)]
pub(crate) struct Temporal {
    pub(crate) address: Url,
    pub(crate) namespace: String,
}

#[derive(Debug)]
pub(crate) enum HttpWork {
    Connect {
        admin: AdminId,
        service_key: Option<SecretString>,
        wait: bool,
    },
    Status {
        watch: bool,
        json: bool,
    },
    Resync(ResyncRequest),
    Disconnect,
}

#[derive(Debug)]
pub(crate) enum TemporalWork {
    Status { json: bool },
    Resync(ResyncRequest),
    Disconnect,
}

/// Why the configuration cannot be used. Values are not repeated: they may be secrets.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) struct ConfigError {
    what: String,
    problem: &'static str,
    example: String,
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "configuration: {} {}; for example {}",
            self.what, self.problem, self.example
        )
    }
}

/// Looks up an environment variable.
type Env<'a> = &'a dyn Fn(&str) -> Option<OsString>;

impl Args {
    /// Checks everything that the command needs, and nothing else.
    pub(crate) fn check(self, env: Env<'_>, now: DateTime<Utc>) -> Result<Job, ConfigError> {
        let workspace = workspace(self.workspace)?;
        let service = || service(self.url, env);
        let temporal = || temporal(self.temporal_address, self.temporal_namespace);
        let work = match self.command {
            Command::Connect {
                admin,
                access_token_env,
                wait,
            } => Work::Http(
                service()?,
                HttpWork::Connect {
                    admin,
                    service_key: access_token_env
                        .map(|name| service_key(&name, env))
                        .transpose()?,
                    wait,
                },
            ),
            Command::Status {
                json,
                via_temporal: true,
                ..
            } => Work::Temporal(temporal()?, TemporalWork::Status { json }),
            Command::Status { watch, json, .. } => {
                Work::Http(service()?, HttpWork::Status { watch, json })
            }
            Command::Resync {
                types,
                since,
                from_scratch,
                via_temporal,
            } => {
                let request = resync(types, since, from_scratch, now)?;
                if via_temporal {
                    Work::Temporal(temporal()?, TemporalWork::Resync(request))
                } else {
                    Work::Http(service()?, HttpWork::Resync(request))
                }
            }
            Command::Disconnect { via_temporal: true } => {
                Work::Temporal(temporal()?, TemporalWork::Disconnect)
            }
            Command::Disconnect { .. } => Work::Http(service()?, HttpWork::Disconnect),
        };
        Ok(Job { workspace, work })
    }
}

fn workspace(value: Option<String>) -> Result<WorkspaceId, ConfigError> {
    const EXAMPLE: &str = "01890a5d-ac96-774b-bcce-b302099a8057";
    required(value, WORKSPACE, EXAMPLE)?
        .parse()
        .map_err(|_| variable(WORKSPACE, "(or --workspace) is not a UUID", EXAMPLE))
}

fn service(url: Option<String>, env: Env<'_>) -> Result<Service, ConfigError> {
    const EXAMPLE: &str = "https://sync.example.com";
    const WRONG_URL: &str = "(or --url) is not an http(s) address without user, query and fragment";
    let base =
        Url::parse(&required(url, URL, EXAMPLE)?).map_err(|_| variable(URL, WRONG_URL, EXAMPLE))?;
    let token = secret(TOKEN, env).map_err(|problem| variable(TOKEN, problem, "hss_…"))?;
    let origin = base.origin().ascii_serialization();
    let built = HubSpotSync::builder(base).bearer_token(token).build();
    let client = built.map_err(|error| match error {
        BuildError::BaseUrl => variable(URL, WRONG_URL, EXAMPLE),
        BuildError::Token => variable(
            TOKEN,
            "has characters that an HTTP header cannot carry",
            "hss_…",
        ),
        _ => variable(URL, "cannot be used: TLS does not work here", EXAMPLE),
    })?;
    Ok(Service { client, origin })
}

fn temporal(address: Option<String>, namespace: String) -> Result<Temporal, ConfigError> {
    const EXAMPLE: &str = "localhost:7233";
    let text = required(address, TEMPORAL, EXAMPLE)?;
    let with_scheme = if text.contains("://") {
        text
    } else {
        format!("http://{text}")
    };
    let address = Url::parse(&with_scheme)
        .ok()
        .filter(|url| url.has_host() && url.port_or_known_default().is_some())
        .ok_or_else(|| {
            variable(
                TEMPORAL,
                "(or --temporal-address) is not host:port",
                EXAMPLE,
            )
        })?;
    if namespace.is_empty() {
        return Err(variable(
            "TEMPORAL_NAMESPACE",
            "(or --temporal-namespace) is empty",
            "default",
        ));
    }
    Ok(Temporal { address, namespace })
}

fn service_key(name: &str, env: Env<'_>) -> Result<SecretString, ConfigError> {
    const EXAMPLE: &str = "--access-token-env HUBSPOT_SERVICE_KEY";
    let is_name = name.len() <= 64
        && name
            .bytes()
            .all(|b| b.is_ascii_uppercase() || b.is_ascii_digit() || b == b'_')
        && name.bytes().any(|b| b.is_ascii_uppercase());
    if !is_name {
        // Not repeated: somebody may have given the key itself.
        return Err(ConfigError {
            what: "--access-token-env".to_owned(),
            problem: "wants the name of an environment variable (capital letters, digits, _), \
                      never the key itself",
            example: EXAMPLE.to_owned(),
        });
    }
    secret(name, env).map_err(|problem| variable(name, problem, "pat-eu1-…"))
}

fn secret(name: &str, env: Env<'_>) -> Result<SecretString, &'static str> {
    match env(name).map(OsString::into_string) {
        Some(Ok(value)) if !value.is_empty() => Ok(value.into()),
        Some(Err(_)) => Err("is not valid UTF-8"),
        _ => Err("is not set"),
    }
}

fn resync(
    types: Vec<SyncType>,
    since: Option<DateTime<Utc>>,
    from_scratch: bool,
    now: DateTime<Utc>,
) -> Result<ResyncRequest, ConfigError> {
    if since.is_some_and(|since| since > now) {
        return Err(ConfigError {
            what: "--since".to_owned(),
            problem: "lies in the future: nothing was modified then",
            example: "--since 2026-09-01T00:00:00Z".to_owned(),
        });
    }
    let mode = match since {
        Some(since) => ResyncMode::Since { since },
        None if from_scratch => ResyncMode::FromScratch,
        None => ResyncMode::CatchUp,
    };
    Ok(ResyncRequest { types, mode })
}

fn required(value: Option<String>, name: &str, example: &str) -> Result<String, ConfigError> {
    value
        .filter(|value| !value.is_empty())
        .ok_or_else(|| variable(name, "is not set", example))
}

fn variable(name: &str, problem: &'static str, example: &str) -> ConfigError {
    ConfigError {
        what: name.to_owned(),
        problem,
        example: format!("{name}={example}"),
    }
}

#[cfg(test)]
mod tests {
    use clap::{CommandFactory as _, error::ErrorKind};
    use secrecy::ExposeSecret as _;

    use super::*;

    const GIVEN: [&str; 3] = [
        "--url=http://localhost:8080",
        "--workspace=01890a5d-ac96-774b-bcce-b302099a8057",
        "--temporal-address=localhost:7233",
    ];

    fn now() -> DateTime<Utc> {
        rfc3339("2026-10-01T12:00:00Z").unwrap()
    }

    fn env(name: &str) -> Option<OsString> {
        match name {
            "HUBSPOT_SYNC_TOKEN" => Some("sekret-token".into()),
            "SERVICE_KEY" => Some("sekret-key".into()),
            "EMPTY" => Some("".into()),
            _ => None,
        }
    }

    /// The defaults, unless a flag of that name is among these.
    fn parse(given: &[&str]) -> Result<Args, clap::Error> {
        let mut all = vec!["hubspot-sync"];
        all.extend(GIVEN.iter().filter(|default| {
            let name = default.split('=').next().unwrap();
            !given
                .iter()
                .any(|flag| flag.split('=').next() == Some(name))
        }));
        all.extend(given);
        Args::try_parse_from(all)
    }

    fn job(given: &[&str]) -> Job {
        parse(given).unwrap().check(&env, now()).unwrap()
    }

    #[test]
    fn the_definition_holds_together() {
        Args::command().debug_assert();
    }

    #[test]
    fn each_command_becomes_its_job() {
        let connect = job(&["connect", "--access-token-env", "SERVICE_KEY", "--wait"]);
        let Work::Http(
            service,
            HttpWork::Connect {
                admin,
                service_key,
                wait,
            },
        ) = connect.work
        else {
            panic!("{connect:?}");
        };
        assert_eq!(service.origin, "http://localhost:8080");
        assert_eq!(admin.as_uuid(), Uuid::nil());
        assert_eq!(service_key.unwrap().expose_secret(), "sekret-key");
        assert!(wait);

        let watch = job(&["status", "--watch", "--json"]).work;
        assert!(matches!(
            watch,
            Work::Http(
                _,
                HttpWork::Status {
                    watch: true,
                    json: true
                }
            )
        ));
        let disconnect = job(&["disconnect", "--via-temporal"]).work;
        let Work::Temporal(temporal, TemporalWork::Disconnect) = disconnect else {
            panic!("{disconnect:?}");
        };
        assert_eq!(temporal.address.as_str(), "http://localhost:7233/");
        assert_eq!(temporal.namespace, "default");
    }

    #[test]
    fn resync_says_what_and_how_much() {
        let since = rfc3339("2026-09-01T02:00:00+02:00").unwrap();
        let table: [(&[&str], ResyncRequest); 4] = [
            (&[], ResyncRequest::all()),
            (
                &["--types", "contacts,deals"],
                ResyncRequest {
                    types: vec![SyncType::Contacts, SyncType::Deals],
                    mode: ResyncMode::CatchUp,
                },
            ),
            (
                &["--from-scratch"],
                ResyncRequest {
                    types: vec![],
                    mode: ResyncMode::FromScratch,
                },
            ),
            (
                &["--since", "2026-09-01T00:00:00Z"],
                ResyncRequest {
                    types: vec![],
                    mode: ResyncMode::Since { since },
                },
            ),
        ];
        for (flags, expected) in table {
            let mut all = vec!["resync"];
            all.extend(flags);
            let http = job(&all).work;
            assert!(
                matches!(&http, Work::Http(_, HttpWork::Resync(r)) if *r == expected),
                "{http:?}"
            );
            all.push("--via-temporal");
            let temporal = job(&all).work;
            assert!(
                matches!(&temporal, Work::Temporal(_, TemporalWork::Resync(r)) if *r == expected),
                "{temporal:?}"
            );
        }
    }

    #[test]
    fn a_wrong_value_names_its_variable_and_an_example_but_not_the_value() {
        let table: [(&[&str], &str); 11] = [
            (&["--url=", "status"], URL),
            (&["--url=sekret", "status"], URL),
            (&["--url=https://me:sekret@localhost", "status"], URL),
            (&["--url=ftp://sekret", "status"], URL),
            (&["--workspace=", "status"], WORKSPACE),
            (&["--workspace=sekret", "status"], WORKSPACE),
            (
                &["--temporal-address=:sekret:", "status", "--via-temporal"],
                TEMPORAL,
            ),
            (
                &["--temporal-namespace=", "status", "--via-temporal"],
                "TEMPORAL_NAMESPACE",
            ),
            (
                &["connect", "--access-token-env", "sekret-na1"],
                "--access-token-env",
            ),
            (&["connect", "--access-token-env", "EMPTY"], "EMPTY"),
            (&["resync", "--since", "2026-10-01T12:00:01Z"], "--since"),
        ];
        for (flags, name) in table {
            let error = parse(flags).unwrap().check(&env, now()).unwrap_err();
            let message = error.to_string();
            assert!(message.contains(name), "{flags:?}: {message}");
            assert!(message.contains("for example"), "{message}");
            assert!(!message.contains("sekret"), "{message}");
            assert_eq!(message.lines().count(), 1, "{message}");
        }
    }

    #[test]
    fn the_token_is_asked_for_by_name_and_only_where_it_is_needed() {
        let nothing = |_: &str| None;
        let error = parse(&["status"]).unwrap().check(&nothing, now());
        let message = error.unwrap_err().to_string();
        assert!(
            message.contains("HUBSPOT_SYNC_TOKEN is not set"),
            "{message}"
        );
        let unsendable = |_: &str| Some(OsString::from("sekret\n"));
        let error = parse(&["status"]).unwrap().check(&unsendable, now());
        let message = error.unwrap_err().to_string();
        assert!(
            message.contains(TOKEN) && !message.contains("sekret"),
            "{message}"
        );
        let by_temporal = parse(&["status", "--via-temporal"]).unwrap();
        assert!(by_temporal.check(&nothing, now()).is_ok());
    }

    #[test]
    fn nonsense_is_refused_while_parsing() {
        let table: [(&[&str], ErrorKind); 6] = [
            (
                &["resync", "--types", "contacts,people"],
                ErrorKind::ValueValidation,
            ),
            (&["resync", "--types", ""], ErrorKind::ValueValidation),
            (
                &["resync", "--since", "yesterday"],
                ErrorKind::ValueValidation,
            ),
            (
                &[
                    "resync",
                    "--from-scratch",
                    "--since",
                    "2026-09-01T00:00:00Z",
                ],
                ErrorKind::ArgumentConflict,
            ),
            (
                &["status", "--watch", "--via-temporal"],
                ErrorKind::ArgumentConflict,
            ),
            (&["connect", "--admin", "me"], ErrorKind::ValueValidation),
        ];
        for (flags, kind) in table {
            let error = parse(flags).err().unwrap();
            assert_eq!(error.kind(), kind, "{flags:?}");
            assert_eq!(error.exit_code(), 2);
        }
    }

    #[test]
    fn debug_shows_no_secret() {
        let job = job(&["connect", "--access-token-env", "SERVICE_KEY"]);
        assert!(!format!("{job:?}").contains("sekret"));
    }
}
