//! Arguments and environment. Wrong or missing: one message, exit code 2.

mod data;

use std::{ffi::OsString, fmt};

use chrono::{DateTime, Utc};
use clap::{Parser, Subcommand};
use client::{BuildError, HubSpotSync};
use domain::{
    AdminId, ResyncMode, ResyncRequest, SyncType, WorkspaceId,
    api::{PageCursor, ShownName},
};
use process::temporal::TemporalConfig;
use secrecy::SecretString;
use url::Url;
use uuid::Uuid;

use data::{
    ActivitiesCommand, DealsArgs, DncArgs, ExportArgs, ExportsCommand, JournalArgs, ListsArgs,
    MembersCommand, OwnersCommand, PeopleCommand, ProfileArgs, RevertArgs, SettingsCommand,
    TokenCommand, TouchesArgs,
};
pub(crate) use data::{DataWork, DealsOf, DncOf, FileFormat, Import};

const URL: &str = "HUBSPOT_SYNC_URL";
const TOKEN: &str = "HUBSPOT_SYNC_TOKEN";
const WORKSPACE: &str = "HUBSPOT_SYNC_WORKSPACE";

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
    after_help = "The service token comes from the environment variable HUBSPOT_SYNC_TOKEN; `token` \
                  needs the token\n\
                  of the whole installation there.\n\
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
    /// Temporal's frontend as host:port, for --via-temporal; without it TEMPORAL_ADDRESS, or what the
    /// profile says (TEMPORAL_PROFILE, TEMPORAL_CONFIG_FILE). TEMPORAL_API_KEY and TEMPORAL_TLS… are
    /// heeded, too
    #[arg(long, global = true, value_name = "HOST:PORT")]
    temporal_address: Option<String>,
    /// Temporal namespace, for --via-temporal; without it TEMPORAL_NAMESPACE, or what the profile
    /// says, or `default`
    #[arg(long, global = true, value_name = "NAME")]
    temporal_namespace: Option<String>,
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
        /// What people call the workspace; shown to whoever consents
        #[arg(long, value_name = "NAME", value_parser = shown_name)]
        workspace_name: Option<ShownName>,
        /// What people call the one who connects; shown in the same place
        #[arg(long, value_name = "NAME", value_parser = shown_name)]
        admin_name: Option<ShownName>,
        /// Connect without a browser: the environment variable that holds a HubSpot service key
        #[arg(long, value_name = "VARIABLE")]
        access_token_env: Option<String>,
        /// Stay until somebody has consented and confirmed, twenty minutes at most
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
        /// JSON instead of text
        #[arg(long, conflicts_with = "via_temporal")]
        json: bool,
        /// Signal the workflow by Temporal instead of asking the service by HTTP
        #[arg(long)]
        via_temporal: bool,
    },
    /// Disconnect the workspace; imported data stays
    Disconnect {
        /// JSON instead of text
        #[arg(long, conflicts_with = "via_temporal")]
        json: bool,
        /// Signal the workflow by Temporal instead of asking the service by HTTP
        #[arg(long)]
        via_temporal: bool,
    },
    /// Show what changed in HubSpot: kind, id and what happened, in order
    Changes {
        /// Stay, and show what changes from now on; ends with Ctrl-C
        #[arg(long)]
        follow: bool,
        /// Only what changed since; the cursor that an earlier call ended with
        #[arg(long, value_name = "CURSOR", value_parser = cursor)]
        after: Option<PageCursor>,
        /// A page a line as JSON, with its cursor
        #[arg(long)]
        json: bool,
    },
    /// The app's people
    #[command(subcommand)]
    People(PeopleCommand),
    /// The app's team members
    #[command(subcommand)]
    Members(MembersCommand),
    /// What was done about people and what came back, for HubSpot's timeline
    #[command(subcommand)]
    Activities(ActivitiesCommand),
    /// HubSpot's owners
    #[command(subcommand)]
    Owners(OwnersCommand),
    /// Show what both sides say of a person or a company, and which of it wins
    Profile(ProfileArgs),
    /// Tell whether people may be contacted, and if not, every reason with its record
    ///
    /// People are named by the app's ids. An e-mail address is never repeated: it is told by its place.
    Dnc(DncArgs),
    /// List HubSpot's lists, or the members of one that has a use
    Lists(ListsArgs),
    /// List the deals of a person or a company
    Deals(DealsArgs),
    /// List recent engagements of other reps with a person
    Touches(TouchesArgs),
    /// Export a person to HubSpot, whatever the policy says, or show what that would do
    Export(ExportArgs),
    /// List what exports of a person wrote to HubSpot, newest first
    Journal(JournalArgs),
    /// Bring back what an export overwrote, unless HubSpot has another value by then
    Revert(RevertArgs),
    /// Requests to export people to HubSpot
    #[command(subcommand)]
    Exports(ExportsCommand),
    /// The settings of the workspace
    #[command(subcommand)]
    Settings(SettingsCommand),
    /// Service tokens of the workspace; needs the token of the whole installation
    #[command(subcommand)]
    Token(TokenCommand),
}

fn shown_name(text: &str) -> Result<ShownName, &'static str> {
    ShownName::try_from(text.to_owned()).map_err(|_| "expected 1 to 200 characters")
}

fn cursor(text: &str) -> Result<PageCursor, &'static str> {
    PageCursor::try_from(text.to_owned()).map_err(|_| "expected a cursor as `changes` printed it")
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
    Temporal(TemporalConfig, TemporalWork),
}

/// The service, with its address for messages.
#[derive(Debug)]
pub(crate) struct Service {
    pub(crate) client: HubSpotSync,
    pub(crate) origin: String,
}

#[derive(Debug)]
pub(crate) enum HttpWork {
    Connect {
        admin: AdminId,
        workspace_name: Option<ShownName>,
        admin_name: Option<ShownName>,
        service_key: Option<SecretString>,
        wait: bool,
    },
    Status {
        watch: bool,
        json: bool,
    },
    Resync {
        request: ResyncRequest,
        json: bool,
    },
    Disconnect {
        json: bool,
    },
    Changes {
        follow: bool,
        after: Option<PageCursor>,
        json: bool,
    },
    Data(DataWork),
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
    problem: String,
    example: String,
}

impl ConfigError {
    pub(crate) fn of(what: &str, problem: &'static str, example: &str) -> Self {
        Self {
            what: what.to_owned(),
            problem: problem.to_owned(),
            example: example.to_owned(),
        }
    }
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
                workspace_name,
                admin_name,
                access_token_env,
                wait,
            } => Work::Http(
                service()?,
                HttpWork::Connect {
                    admin,
                    workspace_name,
                    admin_name,
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
                json,
                via_temporal,
            } => {
                let request = resync(types, since, from_scratch, now)?;
                if via_temporal {
                    Work::Temporal(temporal()?, TemporalWork::Resync(request))
                } else {
                    Work::Http(service()?, HttpWork::Resync { request, json })
                }
            }
            Command::Disconnect {
                via_temporal: true, ..
            } => Work::Temporal(temporal()?, TemporalWork::Disconnect),
            Command::Disconnect { json, .. } => {
                Work::Http(service()?, HttpWork::Disconnect { json })
            }
            Command::Changes {
                follow,
                after,
                json,
            } => Work::Http(
                service()?,
                HttpWork::Changes {
                    follow,
                    after,
                    json,
                },
            ),
            Command::People(command) => data(service, command.check()?)?,
            Command::Members(command) => data(service, command.check()?)?,
            Command::Activities(command) => data(service, command.check()?)?,
            Command::Owners(command) => data(service, command.into())?,
            Command::Profile(args) => data(service, args.into())?,
            Command::Dnc(args) => data(service, args.into())?,
            Command::Lists(args) => data(service, args.into())?,
            Command::Deals(args) => data(service, args.check()?)?,
            Command::Touches(args) => data(service, args.into())?,
            Command::Export(args) => data(service, args.into())?,
            Command::Journal(args) => data(service, args.into())?,
            Command::Revert(args) => data(service, args.into())?,
            Command::Exports(command) => data(service, command.into())?,
            Command::Settings(command) => data(service, command.into())?,
            Command::Token(command) => data(service, command.into())?,
        };
        Ok(Job { workspace, work })
    }
}

fn data(
    service: impl FnOnce() -> Result<Service, ConfigError>,
    work: DataWork,
) -> Result<Work, ConfigError> {
    Ok(Work::Http(service()?, HttpWork::Data(work)))
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
    let token = secret(TOKEN, env).map_err(|problem| variable(TOKEN, problem, "hst_…"))?;
    let origin = base.origin().ascii_serialization();
    let built = HubSpotSync::builder(base).bearer_token(token).build();
    let client = built.map_err(|error| match error {
        BuildError::BaseUrl => variable(URL, WRONG_URL, EXAMPLE),
        BuildError::Token => variable(
            TOKEN,
            "has characters that an HTTP header cannot carry",
            "hst_…",
        ),
        _ => variable(URL, "cannot be used: TLS does not work here", EXAMPLE),
    })?;
    Ok(Service { client, origin })
}

fn temporal(
    address: Option<String>,
    namespace: Option<String>,
) -> Result<TemporalConfig, ConfigError> {
    TemporalConfig::load(address, namespace, &process::temporal::environment()).map_err(|error| {
        ConfigError {
            what: error.variable().to_owned(),
            problem: error.problem().to_owned(),
            example: format!("{}={}", error.variable(), error.example()),
        }
    })
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
        return Err(ConfigError::of(
            "--access-token-env",
            "wants the name of an environment variable (capital letters, digits, _), never the key \
             itself",
            EXAMPLE,
        ));
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
        return Err(ConfigError::of(
            "--since",
            "lies in the future: nothing was modified then",
            "--since 2026-09-01T00:00:00Z",
        ));
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
        problem: problem.to_owned(),
        example: format!("{name}={example}"),
    }
}

#[cfg(test)]
mod tests;
