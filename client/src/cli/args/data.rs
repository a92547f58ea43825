//! The commands about the app's side: people, team, settings, tokens.

use std::path::{Path, PathBuf};

use clap::{Subcommand, ValueEnum};
use domain::{
    BulkId, HubSpotObjectId,
    api::{ResumeRow, RetryReason, TokenId},
    app::{AppCompanyId, PersonId, RecordKind},
    export::{RequestId, RequestState, journal::EntryId},
    portal::ListId,
    settings::SettingsRevision,
};

use super::ConfigError;
use crate::cli::bulk::{BulkOf, BulkWork};

// ---- as typed --------------------------------------------------------------------------------

#[derive(Subcommand)]
pub(crate) enum PeopleCommand {
    /// Send the people of a file; the good rows go in, each refused row is told
    ///
    /// A CSV file begins with the names of its columns; `id` is needed, and an empty cell leaves
    /// the field as it is. A JSONL file has an object a line, as in the bulk call. Rows may come
    /// twice, late or out of order: versions decide, so that running again is harmless. Ends with 1
    /// when a row was refused.
    Import(ImportArgs),
}

#[derive(Subcommand)]
pub(crate) enum MembersCommand {
    /// List the team members: id, state, e-mail, name
    List {
        /// A JSON object a line instead of text
        #[arg(long)]
        json: bool,
    },
    /// Send the team members of a JSONL file; the good rows go in, each refused row is told
    Import(ImportArgs),
}

#[derive(Subcommand)]
pub(crate) enum ActivitiesCommand {
    /// Send the activities of a JSONL file; the good rows go in, each refused row is told
    ///
    /// An object a line, as in the bulk call. Each is whole: an edit has a higher version, a deletion
    /// says `deleted`. Running again is harmless. Ends with 1 when a row was refused.
    Push(ImportArgs),
    /// List the activities of a person, and how each stands in HubSpot
    List {
        /// The app's id of the person
        person: PersonId,
        /// A JSON object a line instead of text
        #[arg(long)]
        json: bool,
    },
}

#[derive(Subcommand)]
pub(crate) enum OwnersCommand {
    /// List HubSpot's owners, and the members who stand for them
    List {
        /// A JSON object a line instead of text
        #[arg(long)]
        json: bool,
    },
}

#[derive(clap::Args)]
pub(crate) struct ProfileArgs {
    /// The app's id of the person
    #[arg(
        long,
        value_name = "ID",
        required_unless_present = "company",
        conflicts_with = "company"
    )]
    person: Option<PersonId>,
    /// The app's id of the company
    #[arg(long, value_name = "ID")]
    company: Option<AppCompanyId>,
    /// JSON instead of text
    #[arg(long)]
    json: bool,
}

#[derive(Subcommand)]
pub(crate) enum SettingsCommand {
    /// Print the settings in force, with their revision, as JSON
    Get,
    /// Save settings; what `get` printed, changed, is what this takes
    Set {
        /// What `get` printed, or the settings alone
        file: PathBuf,
        /// The revision that the change was made from; that of the file unless given
        #[arg(long, value_name = "NUMBER")]
        expected_revision: Option<u64>,
        /// JSON instead of text
        #[arg(long)]
        json: bool,
    },
    /// Make our group of properties in the portal, and map them; what is there is taken as it is
    OwnProperties {
        /// JSON instead of text
        #[arg(long)]
        json: bool,
    },
    /// Show what is wrong with settings, and save nothing; ends with 1 if they could not be saved
    Check {
        /// What `get` printed, or the settings alone; those in force unless given
        file: Option<PathBuf>,
        /// JSON instead of text
        #[arg(long)]
        json: bool,
    },
}

#[derive(Subcommand)]
pub(crate) enum TokenCommand {
    /// Make a service token for the workspace; it is printed this once
    Create {
        /// What it is for, for people
        name: String,
        /// JSON, with the token's id
        #[arg(long)]
        json: bool,
    },
    /// List the service tokens, revoked ones too
    List {
        /// A JSON object a line instead of text
        #[arg(long)]
        json: bool,
    },
    /// Revoke a service token, from the next call on
    Revoke {
        /// Its id, as in the list
        id: TokenId,
    },
}

#[derive(clap::Args)]
pub(crate) struct ImportArgs {
    /// The file
    file: PathBuf,
    /// Tell refused rows in this file instead of on standard error
    #[arg(long, value_name = "FILE")]
    rejects: Option<PathBuf>,
    /// What the file is, where its name does not end in .csv or .jsonl
    #[arg(long, value_name = "FORMAT")]
    format: Option<FileFormat>,
    /// The version of rows that have none; the time of the file's last change in milliseconds
    /// unless given
    #[arg(long, value_name = "NUMBER")]
    row_version: Option<u64>,
    /// JSON instead of text: a line for each refused row, and the summary
    #[arg(long)]
    json: bool,
}

#[derive(clap::Args)]
#[command(group(clap::ArgGroup::new("whom").required(true).multiple(true)))]
pub(crate) struct DncArgs {
    /// A person of the app; may be given many times
    #[arg(long = "person", value_name = "ID", group = "whom")]
    people: Vec<PersonId>,
    /// An e-mail address; may be given many times
    #[arg(long = "email", value_name = "ADDRESS", group = "whom")]
    emails: Vec<String>,
    /// The app's people on this list of HubSpot's
    #[arg(long, value_name = "LIST", group = "whom", conflicts_with_all = ["people", "emails", "file"])]
    list: Option<HubSpotObjectId>,
    /// A file with an id or an e-mail address a line
    #[arg(long, value_name = "FILE", group = "whom", conflicts_with_all = ["people", "emails"])]
    file: Option<PathBuf>,
    /// A JSON object a line instead of text
    #[arg(long)]
    json: bool,
}

#[derive(clap::Args)]
pub(crate) struct ListsArgs {
    /// Show the members of this list, with the contacts and people who count by them
    list: Option<HubSpotObjectId>,
    /// A JSON object a line instead of text
    #[arg(long)]
    json: bool,
}

#[derive(clap::Args)]
#[command(group(clap::ArgGroup::new("whose").required(true)))]
pub(crate) struct DealsArgs {
    /// A person of the app
    #[arg(long, value_name = "ID", group = "whose")]
    person: Option<PersonId>,
    /// A company of the app
    #[arg(long, value_name = "ID", group = "whose")]
    company: Option<AppCompanyId>,
    /// A JSON object a line instead of text
    #[arg(long)]
    json: bool,
}

#[derive(clap::Args)]
pub(crate) struct TouchesArgs {
    /// The app's id of the person
    person: PersonId,
    /// A JSON object a line instead of text
    #[arg(long)]
    json: bool,
}

#[derive(clap::Args)]
pub(crate) struct ExportArgs {
    /// The app's id of the person
    person: PersonId,
    /// Show what the export would do, and write nothing
    #[arg(long, conflicts_with = "wait")]
    preview: bool,
    /// Make the contact again if it was archived in HubSpot
    #[arg(long)]
    anew: bool,
    /// Stay until the request has ended, two minutes at most; ends with 1 unless HubSpot has the person
    #[arg(long)]
    wait: bool,
    /// JSON instead of text
    #[arg(long)]
    json: bool,
}

#[derive(clap::Args)]
pub(crate) struct JournalArgs {
    /// The app's id of the person
    person: PersonId,
    /// A JSON object a line instead of text
    #[arg(long)]
    json: bool,
}

#[derive(clap::Args)]
pub(crate) struct RevertArgs {
    /// The entry, as `journal` shows it
    entry: EntryId,
    /// The property to bring back
    property: String,
    /// JSON instead of text
    #[arg(long)]
    json: bool,
}

#[derive(Subcommand)]
pub(crate) enum ExportsCommand {
    /// List requests to export with what became of them, oldest first
    List {
        /// About this person only
        #[arg(long, value_name = "ID")]
        person: Option<PersonId>,
        /// In this state only: accepted, waiting, exported, skipped, failed
        #[arg(long, value_name = "STATE")]
        state: Option<RequestState>,
        /// A JSON object a line instead of text
        #[arg(long)]
        json: bool,
    },
    /// Let a request go on now, or all that failed, or all with one reason
    Retry {
        /// The request, as in the list
        request: Option<RequestId>,
        /// Those that wait, were left out or failed for this reason, as in the list
        #[arg(long, value_name = "REASON", conflicts_with = "request")]
        reason: Option<RetryReason>,
        /// JSON instead of text
        #[arg(long)]
        json: bool,
    },
    /// Let a paused row go on: one whose value another system set back, or somebody reverted
    Resume {
        /// The app's id of the person in whose exports it is paused
        #[arg(value_name = "PERSON")]
        person: PersonId,
        /// The HubSpot property that it writes
        property: String,
        /// A row of the Companies tab, of the company that the person is at
        #[arg(long)]
        company: bool,
        /// JSON instead of text
        #[arg(long)]
        json: bool,
    },
    /// Export many people, by the policy: begun, looked at, confirmed, cancelled
    Bulk {
        #[command(subcommand)]
        command: BulkCommand,
    },
    /// Show in numbers who qualifies, what waits, failed or was left out, and since when
    Summary {
        /// JSON instead of text
        #[arg(long)]
        json: bool,
    },
}

#[derive(Subcommand)]
pub(crate) enum BulkCommand {
    /// Find out who would be taken; nothing is written before `confirm`
    Start(BulkStartArgs),
    /// Show how one stands
    Show {
        /// The bulk export
        bulk: BulkId,
        /// Stay until it is over
        #[arg(long)]
        watch: bool,
        /// JSON instead of text
        #[arg(long)]
        json: bool,
    },
    /// Export the people from now on
    Confirm {
        /// The bulk export
        bulk: BulkId,
        /// Stay until it is over
        #[arg(long)]
        watch: bool,
        /// JSON instead of text
        #[arg(long)]
        json: bool,
    },
    /// Begin with nobody any more; what was begun comes to its end
    Cancel {
        /// The bulk export
        bulk: BulkId,
        /// JSON instead of text
        #[arg(long)]
        json: bool,
    },
}

#[derive(clap::Args)]
#[command(group(clap::ArgGroup::new("bulk_of").required(true).multiple(false)))]
pub(crate) struct BulkStartArgs {
    /// A person of the app; may be given many times
    #[arg(long = "person", value_name = "ID", group = "bulk_of")]
    people: Vec<PersonId>,
    /// A file with an id a line
    #[arg(long, value_name = "FILE", group = "bulk_of")]
    file: Option<PathBuf>,
    /// Everybody of this campaign
    #[arg(long, value_name = "NAME", group = "bulk_of")]
    campaign: Option<String>,
    /// Everybody who qualified before the policy was in force and was not exported
    #[arg(long, group = "bulk_of")]
    qualified_earlier: bool,
    /// Everybody who was exported, to apply what the settings say by now
    #[arg(long, group = "bulk_of")]
    exported: bool,
    /// Also people who qualified before the policy was in force
    #[arg(long)]
    include_earlier: bool,
    /// JSON instead of text
    #[arg(long)]
    json: bool,
}

// ---- checked ---------------------------------------------------------------------------------

/// What a file is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum FileFormat {
    Csv,
    Jsonl,
}

/// A file to send.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Import {
    pub(crate) file: PathBuf,
    pub(crate) format: FileFormat,
    pub(crate) rejects: Option<PathBuf>,
    pub(crate) row_version: Option<u64>,
    pub(crate) json: bool,
}

/// Whom a verdict is asked for.
#[derive(PartialEq, Eq)]
pub(crate) enum DncOf {
    Named {
        people: Vec<PersonId>,
        emails: Vec<String>,
    },
    List(ListId),
    File(PathBuf),
}

impl std::fmt::Debug for DncOf {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("DncOf").finish_non_exhaustive()
    }
}

/// Whose deals.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum DealsOf {
    Person(PersonId),
    Company(AppCompanyId),
}

#[derive(Debug, PartialEq, Eq)]
pub(crate) enum DataWork {
    Preview {
        person: PersonId,
        anew: bool,
        json: bool,
    },
    Export {
        person: PersonId,
        anew: bool,
        wait: bool,
        json: bool,
    },
    Journal {
        person: PersonId,
        json: bool,
    },
    Revert {
        entry: EntryId,
        property: String,
        json: bool,
    },
    Dnc {
        of: DncOf,
        json: bool,
    },
    Lists {
        list: Option<ListId>,
        json: bool,
    },
    Deals {
        of: DealsOf,
        json: bool,
    },
    Touches {
        person: PersonId,
        json: bool,
    },
    ImportPeople(Import),
    ImportMembers(Import),
    PushActivities(Import),
    ListActivities {
        person: PersonId,
        json: bool,
    },
    ListMembers {
        json: bool,
    },
    ListOwners {
        json: bool,
    },
    ShowProfile {
        person: Option<PersonId>,
        company: Option<AppCompanyId>,
        json: bool,
    },
    ListExports {
        person: Option<PersonId>,
        state: Option<RequestState>,
        json: bool,
    },
    MakeOwnProperties {
        json: bool,
    },
    ResumeRow {
        row: ResumeRow,
        json: bool,
    },
    RetryExport {
        request: RequestId,
        json: bool,
    },
    RetryExports {
        reason: Option<RetryReason>,
        json: bool,
    },
    Bulk {
        work: BulkWork,
        json: bool,
    },
    SummarizeExports {
        json: bool,
    },
    GetSettings,
    SetSettings {
        file: PathBuf,
        expected: Option<SettingsRevision>,
        json: bool,
    },
    CheckSettings {
        file: Option<PathBuf>,
        json: bool,
    },
    CreateToken {
        name: String,
        json: bool,
    },
    ListTokens {
        json: bool,
    },
    RevokeToken(TokenId),
}

impl PeopleCommand {
    pub(super) fn check(self) -> Result<DataWork, ConfigError> {
        let Self::Import(args) = self;
        args.check().map(DataWork::ImportPeople)
    }
}

impl ActivitiesCommand {
    pub(super) fn check(self) -> Result<DataWork, ConfigError> {
        match self {
            Self::List { person, json } => Ok(DataWork::ListActivities { person, json }),
            Self::Push(args) => args
                .check_jsonl(ACTIVITY_LINE)
                .map(DataWork::PushActivities),
        }
    }
}

/// A line of a file of activities.
const ACTIVITY_LINE: &str = "{\"id\": \"a1\", \"version\": 1, \"person\": \"lead_1\", \"at\": \"…\", \"content\": {\"note\": {\"text\": \"…\"}}}";

impl MembersCommand {
    pub(super) fn check(self) -> Result<DataWork, ConfigError> {
        match self {
            Self::List { json } => Ok(DataWork::ListMembers { json }),
            Self::Import(args) => args
                .check_jsonl("{\"id\": \"m1\", \"version\": 1, \"name\": \"…\"}")
                .map(DataWork::ImportMembers),
        }
    }
}

impl From<ExportArgs> for DataWork {
    fn from(args: ExportArgs) -> Self {
        let (person, anew, json) = (args.person, args.anew, args.json);
        if args.preview {
            return Self::Preview { person, anew, json };
        }
        Self::Export {
            person,
            anew,
            wait: args.wait,
            json,
        }
    }
}

impl From<JournalArgs> for DataWork {
    fn from(args: JournalArgs) -> Self {
        let JournalArgs { person, json } = args;
        Self::Journal { person, json }
    }
}

impl From<RevertArgs> for DataWork {
    fn from(args: RevertArgs) -> Self {
        let RevertArgs {
            entry,
            property,
            json,
        } = args;
        Self::Revert {
            entry,
            property,
            json,
        }
    }
}

impl From<OwnersCommand> for DataWork {
    fn from(command: OwnersCommand) -> Self {
        let OwnersCommand::List { json } = command;
        Self::ListOwners { json }
    }
}

impl From<ProfileArgs> for DataWork {
    fn from(args: ProfileArgs) -> Self {
        let ProfileArgs {
            person,
            company,
            json,
        } = args;
        Self::ShowProfile {
            person,
            company,
            json,
        }
    }
}

impl From<DncArgs> for DataWork {
    fn from(args: DncArgs) -> Self {
        let of = match (args.list, args.file) {
            (Some(list), _) => DncOf::List(ListId::new(list.get())),
            (None, Some(file)) => DncOf::File(file),
            (None, None) => DncOf::Named {
                people: args.people,
                emails: args.emails,
            },
        };
        Self::Dnc {
            of,
            json: args.json,
        }
    }
}

impl From<ListsArgs> for DataWork {
    fn from(args: ListsArgs) -> Self {
        Self::Lists {
            list: args.list.map(|list| ListId::new(list.get())),
            json: args.json,
        }
    }
}

impl DealsArgs {
    pub(super) fn check(self) -> Result<DataWork, ConfigError> {
        let of = match (self.person, self.company) {
            (Some(person), _) => DealsOf::Person(person),
            (None, Some(company)) => DealsOf::Company(company),
            (None, None) => {
                return Err(ConfigError::of(
                    "--person or --company",
                    "is missing",
                    "--person lead_1",
                ));
            }
        };
        Ok(DataWork::Deals {
            of,
            json: self.json,
        })
    }
}

impl From<TouchesArgs> for DataWork {
    fn from(args: TouchesArgs) -> Self {
        Self::Touches {
            person: args.person,
            json: args.json,
        }
    }
}

impl From<ExportsCommand> for DataWork {
    fn from(command: ExportsCommand) -> Self {
        match command {
            ExportsCommand::List {
                person,
                state,
                json,
            } => Self::ListExports {
                person,
                state,
                json,
            },
            ExportsCommand::Retry {
                request: Some(request),
                json,
                ..
            } => Self::RetryExport { request, json },
            ExportsCommand::Retry { reason, json, .. } => Self::RetryExports { reason, json },
            ExportsCommand::Resume {
                person,
                property,
                company,
                json,
            } => Self::ResumeRow {
                row: ResumeRow {
                    person,
                    property,
                    record: if company {
                        RecordKind::Company
                    } else {
                        RecordKind::Person
                    },
                },
                json,
            },
            ExportsCommand::Bulk { command } => command.into(),
            ExportsCommand::Summary { json } => Self::SummarizeExports { json },
        }
    }
}

impl From<BulkCommand> for DataWork {
    fn from(command: BulkCommand) -> Self {
        let (work, json) = match command {
            BulkCommand::Start(args) => {
                let whom = match (args.file, args.campaign) {
                    (Some(file), _) => BulkOf::File(file),
                    (_, Some(campaign)) => BulkOf::Campaign(campaign),
                    _ if args.qualified_earlier => BulkOf::QualifiedEarlier,
                    _ if args.exported => BulkOf::Exported,
                    _ => BulkOf::People(args.people),
                };
                let include_earlier = args.include_earlier;
                let work = BulkWork::Start {
                    whom,
                    include_earlier,
                };
                (work, args.json)
            }
            BulkCommand::Show { bulk, watch, json } => (BulkWork::Show { bulk, watch }, json),
            BulkCommand::Confirm { bulk, watch, json } => (BulkWork::Confirm { bulk, watch }, json),
            BulkCommand::Cancel { bulk, json } => (BulkWork::Cancel { bulk }, json),
        };
        Self::Bulk { work, json }
    }
}

impl From<SettingsCommand> for DataWork {
    fn from(command: SettingsCommand) -> Self {
        match command {
            SettingsCommand::Get => Self::GetSettings,
            SettingsCommand::Set {
                file,
                expected_revision,
                json,
            } => Self::SetSettings {
                file,
                expected: expected_revision.map(SettingsRevision::new),
                json,
            },
            SettingsCommand::OwnProperties { json } => Self::MakeOwnProperties { json },
            SettingsCommand::Check { file, json } => Self::CheckSettings { file, json },
        }
    }
}

impl From<TokenCommand> for DataWork {
    fn from(command: TokenCommand) -> Self {
        match command {
            TokenCommand::Create { name, json } => Self::CreateToken { name, json },
            TokenCommand::List { json } => Self::ListTokens { json },
            TokenCommand::Revoke { id } => Self::RevokeToken(id),
        }
    }
}

impl ImportArgs {
    /// A file of what only comes as JSONL.
    fn check_jsonl(self, line: &str) -> Result<Import, ConfigError> {
        let import = self.check()?;
        if import.format == FileFormat::Csv {
            return Err(ConfigError::of(
                "FILE",
                "is CSV; these come as JSONL, an object a line",
                line,
            ));
        }
        Ok(import)
    }

    fn check(self) -> Result<Import, ConfigError> {
        let format = match self.format {
            Some(format) => format,
            None => format_of(&self.file).ok_or_else(|| {
                ConfigError::of(
                    "FILE",
                    "ends neither in .csv nor in .jsonl; say what it is with --format",
                    "--format csv",
                )
            })?,
        };
        // Opening it for writing would empty what is to be read.
        if let Some(rejects) = &self.rejects
            && is_same(rejects, &self.file)
        {
            return Err(ConfigError::of(
                "--rejects",
                "is the file that is to be read; name another one",
                "--rejects rejects.txt",
            ));
        }
        Ok(Import {
            file: self.file,
            format,
            rejects: self.rejects,
            row_version: self.row_version,
            json: self.json,
        })
    }
}

fn format_of(file: &Path) -> Option<FileFormat> {
    let ending = file.extension()?.to_str()?.to_ascii_lowercase();
    match ending.as_str() {
        "csv" => Some(FileFormat::Csv),
        "jsonl" | "ndjson" => Some(FileFormat::Jsonl),
        _ => None,
    }
}

fn is_same(one: &Path, other: &Path) -> bool {
    match (one.canonicalize(), other.canonicalize()) {
        (Ok(one), Ok(other)) => one == other,
        // One that is not there yet is no other one.
        _ => false,
    }
}
