//! The settings: get, set, check (E4 to E8).

use std::{fs::File, io::Read as _, path::Path};

use client::Error;
use domain::{
    WorkspaceId,
    api::{
        OwnPropertiesAnswer, SettingsAnswer, SettingsCheck, SettingsCheckAnswer, SettingsConflict,
        SettingsPut, SettingsRefused,
    },
    own_properties::OwnOutcome,
    settings::{ChangeKind, SettingsChange, SettingsProblem, SettingsRevision, Severity},
};
use serde::{Deserialize, Serialize, de::IgnoredAny};
use serde_json::Value;

use super::{
    args::{ConfigError, Service},
    failure::Failure,
    output::clean,
    show::Answer,
};

/// Far above every settings document; the service takes 1 MiB.
const MOST_BYTES: u64 = 4 * 1024 * 1024;

/// Settings that were just saved.
#[derive(Serialize)]
#[serde(transparent)]
pub(crate) struct Saved(SettingsAnswer);

impl Answer for Saved {
    fn text(&self) -> String {
        let saved = format!("saved as revision {}", self.0.revision);
        lines(std::iter::once(saved).chain(self.0.problems.iter().map(problem_line)))
    }
}

impl Answer for OwnPropertiesAnswer {
    fn text(&self) -> String {
        let each = self.properties.iter().map(|own| {
            let outcome = match own.outcome {
                OwnOutcome::Made => "made",
                OwnOutcome::There => "there already",
                OwnOutcome::Taken => "taken by another property",
                OwnOutcome::Refused => "refused by HubSpot",
            };
            let code = own
                .code
                .as_ref()
                .map(|code| format!(" ({})", code.as_str()));
            let mapped = if own.mapped {
                format!(", mapped to {}", own.app_field)
            } else {
                ", not mapped".to_owned()
            };
            let code = code.unwrap_or_default();
            format!("{}\t{outcome}{code}{mapped}", clean(&own.property))
        });
        lines(each.chain(std::iter::once(format!(
            "settings are at revision {}",
            self.revision
        ))))
    }
}

impl Answer for SettingsCheckAnswer {
    fn text(&self) -> String {
        if self.problems.is_empty() {
            return "nothing is wrong".to_owned();
        }
        lines(self.problems.iter().map(problem_line))
    }
}

/// Why settings were not saved, row by row.
#[derive(Serialize)]
#[serde(untagged)]
pub(crate) enum NotSaved<'a> {
    Refused(&'a SettingsRefused),
    Conflict(&'a SettingsConflict),
}

impl<'a> NotSaved<'a> {
    pub(crate) fn of(error: &'a Error) -> Option<Self> {
        match error {
            Error::SettingsRefused(refused) => Some(Self::Refused(refused)),
            Error::SettingsConflict(conflict) => Some(Self::Conflict(conflict)),
            _ => None,
        }
    }

    /// What is wrong, or was changed meanwhile.
    pub(crate) fn lines(&self) -> Vec<String> {
        match self {
            Self::Refused(refused) => refused.problems.iter().map(problem_line).collect(),
            Self::Conflict(conflict) => conflict.changes.iter().map(change_line).collect(),
        }
    }
}

fn lines(all: impl Iterator<Item = String>) -> String {
    all.collect::<Vec<_>>().join("\n")
}

/// Saves what the file holds. The inner error is the service's.
pub(crate) async fn set(
    service: &Service,
    workspace: WorkspaceId,
    file: &Path,
    expected: Option<SettingsRevision>,
) -> Result<Result<Saved, Error>, Failure> {
    let document = Document::read(file)?;
    let expected_revision = expected.or(document.revision).ok_or_else(|| {
        ConfigError::of(
            "FILE",
            "has no revision; say from which one the change was made",
            "--expected-revision 3",
        )
    })?;
    let put = SettingsPut {
        expected_revision,
        settings: document.settings,
    };
    let saved = service.client.put_settings(workspace, &put).await;
    Ok(saved.map(Saved))
}

/// Checks what the file holds; without one, what is in force.
pub(crate) async fn check(
    service: &Service,
    workspace: WorkspaceId,
    file: Option<&Path>,
) -> Result<SettingsCheckAnswer, Failure> {
    match file {
        Some(file) => {
            let settings = Document::read(file)?.settings;
            service
                .client
                .check_settings(workspace, &SettingsCheck { settings })
                .await
        }
        None => service
            .client
            .get_settings(workspace)
            .await
            .map(|in_force| SettingsCheckAnswer::new(in_force.problems)),
    }
    .map_err(|error| Failure::of(service, error))
}

fn problem_line(problem: &SettingsProblem) -> String {
    let severity = match problem.severity {
        Severity::Error => "error",
        Severity::Warning => "warning",
    };
    clean(&format!(
        "{severity} {} {}: {}",
        problem.code.code(),
        problem.path,
        problem.message
    ))
}

fn change_line(change: &SettingsChange) -> String {
    let kind = match change.change {
        ChangeKind::Added => "added",
        ChangeKind::Removed => "removed",
        ChangeKind::Changed => "changed",
    };
    let row = match &change.row {
        Some(row) => format!(" ({row})"),
        None => String::new(),
    };
    clean(&format!("{kind} {}{row}", change.path))
}

/// A settings file: what `get` prints, the body of the call, or the settings alone.
#[derive(Debug, PartialEq)]
struct Document {
    revision: Option<SettingsRevision>,
    settings: Value,
}

/// What `get` prints. Only these fields, so that a misspelt one is noticed.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Printed {
    #[serde(alias = "expected_revision")]
    revision: Option<SettingsRevision>,
    settings: Value,
    #[serde(rename = "saved_at")]
    _saved_at: Option<IgnoredAny>,
    #[serde(rename = "problems")]
    _problems: Option<IgnoredAny>,
}

impl Document {
    fn read(file: &Path) -> Result<Self, Failure> {
        let mut text = Vec::new();
        File::open(file)
            .and_then(|file| file.take(MOST_BYTES).read_to_end(&mut text))
            .map_err(Failure::Input)?;
        Self::parse(&text)
    }

    fn parse(text: &[u8]) -> Result<Self, Failure> {
        let unreadable = |error: serde_json::Error| {
            Failure::NotDone(format!(
                "FILE is not the JSON that `settings get` prints; the error is at line {}, column \
                 {}",
                error.line(),
                error.column()
            ))
        };
        let settings: Value = serde_json::from_slice(text).map_err(unreadable)?;
        if settings.get("settings").is_none() {
            return Ok(Self {
                revision: None,
                settings,
            });
        }
        let printed: Printed = serde_json::from_slice(text).map_err(unreadable)?;
        Ok(Self {
            revision: printed.revision,
            settings: printed.settings,
        })
    }
}

#[cfg(test)]
mod tests {
    use domain::settings::{SettingsCode, SettingsPath};
    use serde_json::json;

    use super::*;

    #[test]
    fn what_get_prints_and_what_the_call_takes_can_be_set() {
        let settings = json!({"schema_version": 2});
        for (text, revision) in [
            (r#"{"schema_version":2}"#, None),
            (r#"{"settings":{"schema_version":2}}"#, None),
            (
                r#"{"expected_revision":3,"settings":{"schema_version":2}}"#,
                Some(3),
            ),
            (
                r#"{"revision":3,"saved_at":null,"settings":{"schema_version":2},"problems":[]}"#,
                Some(3),
            ),
        ] {
            let read = Document::parse(text.as_bytes()).unwrap();
            assert_eq!(read.revision.map(|r| r.get()), revision, "{text}");
            assert_eq!(read.settings, settings, "{text}");
        }
        for text in [
            "",
            "{",
            r#"{"settings":{},"revison":3}"#,
            r#"{"settings":{},"revision":"sekret"}"#,
        ] {
            let failure = Document::parse(text.as_bytes()).unwrap_err();
            assert!(failure.to_string().contains("line 1"), "{text}: {failure}");
            assert!(!failure.to_string().contains("sekret"), "{failure}");
        }
    }

    #[test]
    fn problems_and_changes_are_a_line_each() {
        let problem = SettingsProblem {
            path: SettingsPath::new("/contacts/1"),
            code: SettingsCode::PropertyUnknown,
            severity: Severity::Warning,
            message: "no such\nproperty".to_owned(),
        };
        assert_eq!(
            problem_line(&problem),
            "warning HS-2101 /contacts/1: no such property"
        );
        let change = SettingsChange {
            path: SettingsPath::new("/contacts/1"),
            change: ChangeKind::Removed,
            row: Some("job_title".to_owned()),
        };
        assert_eq!(change_line(&change), "removed /contacts/1 (job_title)");
    }
}
