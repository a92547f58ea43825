//! Arguments and environment, right and wrong.

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
            ..
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
    assert_eq!(temporal.address(), "http://localhost:7233");
    assert_eq!(temporal.namespace(), "default");
}

#[test]
fn a_profile_is_one_persons_or_one_companys() {
    let work = job(&["profile", "--company", "acme"]).work;
    let Work::Http(
        _,
        HttpWork::Data(DataWork::ShowProfile {
            person,
            company,
            json,
        }),
    ) = work
    else {
        panic!("{work:?}");
    };
    assert_eq!((person, json), (None, false));
    assert_eq!(company.unwrap().as_str(), "acme");
    assert!(parse(&["profile"]).is_err());
    assert!(parse(&["profile", "--person", "p", "--company", "c"]).is_err());
    assert!(parse(&["profile", "--person", "jane@example.com"]).is_err());
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
            matches!(&http, Work::Http(_, HttpWork::Resync { request: r, json: false }) if *r == expected),
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
            "TEMPORAL_ADDRESS",
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

#[test]
fn commands_about_data_become_their_work() {
    let work = |given: &[&str]| match job(given).work {
        Work::Http(_, HttpWork::Data(work)) => work,
        other => panic!("{other:?}"),
    };
    let import = |file: &str, format: FileFormat| Import {
        file: file.into(),
        format,
        rejects: None,
        row_version: None,
        json: false,
    };
    for (given, expected) in [
        (
            &["people", "import", "a.CSV"][..],
            DataWork::ImportPeople(import("a.CSV", FileFormat::Csv)),
        ),
        (
            &["people", "import", "a.csv", "--format", "jsonl"],
            DataWork::ImportPeople(import("a.csv", FileFormat::Jsonl)),
        ),
        (
            &["members", "import", "a.ndjson"],
            DataWork::ImportMembers(import("a.ndjson", FileFormat::Jsonl)),
        ),
        (&["settings", "get"], DataWork::GetSettings),
        (
            &["settings", "check"],
            DataWork::CheckSettings {
                file: None,
                json: false,
            },
        ),
        (
            &["token", "list", "--json"],
            DataWork::ListTokens { json: true },
        ),
    ] {
        assert_eq!(work(given), expected);
    }
    for given in [
        &["people", "import", "a"][..],
        &["people", "import", "a.xlsx"],
        &["members", "import", "a.csv"],
    ] {
        let error = parse(given).unwrap().check(&env, now()).unwrap_err();
        assert!(error.to_string().contains("FILE"), "{error}");
    }
}
