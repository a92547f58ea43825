//! What is to be done with an activity, by what is known of it now (E8).

use crate::{
    HubSpotObjectId,
    app::RecordVersion,
    export::{SkipReason, WaitReason},
};

/// What is known of an activity.
#[derive(Debug, Clone, Copy)]
pub struct LogFacts {
    /// Whether an admin has saved the settings once: nothing is logged by itself before.
    pub settings_saved: bool,
    /// Whether the portal has the person from us.
    pub exported: bool,
    /// Whether the settings log activities of this kind.
    pub logs: bool,
    /// Whether what the app deletes is archived in HubSpot.
    pub archive_deleted: bool,
    /// The version of the app's.
    pub version: RecordVersion,
    /// Whether the app deleted it.
    pub deleted: bool,
    /// The engagement that the portal has of it, with the version that was written; whether its
    /// associations are known to be there.
    pub logged: Option<(HubSpotObjectId, RecordVersion, bool)>,
}

/// What is to be done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogStep {
    /// It waits.
    Wait(WaitReason),
    /// Nothing, and that is how it ends.
    Skip(SkipReason),
    /// Nothing: HubSpot has it as it is.
    Done(HubSpotObjectId),
    /// Made.
    Create,
    /// Its associations are looked at.
    Verify(HubSpotObjectId),
    /// Written anew.
    Update(HubSpotObjectId),
    /// Archived.
    Archive(HubSpotObjectId),
}

/// What is to be done next.
///
/// - An activity exports nobody: it waits for the person (E1).
/// - A kind that is off is not logged; what HubSpot has of it stays as it is.
/// - What the app deleted is archived where the workspace says so, and stays otherwise.
pub fn next(facts: &LogFacts) -> LogStep {
    if let (true, None) = (facts.deleted, facts.logged) {
        return LogStep::Skip(SkipReason::ActivityDeleted);
    }
    if !facts.exported || !facts.settings_saved {
        return LogStep::Wait(WaitReason::PersonNotExported);
    }
    match facts.logged {
        Some((record, ..)) if facts.deleted && facts.archive_deleted => LogStep::Archive(record),
        Some((record, ..)) if facts.deleted => LogStep::Done(record),
        Some((record, _, false)) => LogStep::Verify(record),
        Some((record, version, true)) if version >= facts.version => LogStep::Done(record),
        _ if !facts.logs => LogStep::Skip(SkipReason::ActivityOff),
        Some((record, ..)) => LogStep::Update(record),
        None => LogStep::Create,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_of_steps() {
        use LogStep as S;
        let record = HubSpotObjectId::new(7).unwrap();
        let version = |n| RecordVersion::new(n).unwrap();
        let logged = |n, known| Some((record, version(n), known));
        let off = S::Skip(SkipReason::ActivityOff);
        let gone = S::Skip(SkipReason::ActivityDeleted);
        let waits = S::Wait(WaitReason::PersonNotExported);
        // Logged, deleted; kept as it is, archived; switched off; not exported.
        for (logged, deleted, stays, archives, switched_off, not_exported) in [
            (None, false, S::Create, S::Create, off, waits),
            (None, true, gone, gone, gone, gone),
            (
                logged(3, true),
                false,
                S::Update(record),
                S::Update(record),
                off,
                waits,
            ),
            (
                logged(4, true),
                false,
                S::Done(record),
                S::Done(record),
                S::Done(record),
                waits,
            ),
            (
                logged(4, false),
                false,
                S::Verify(record),
                S::Verify(record),
                S::Verify(record),
                waits,
            ),
            (
                logged(3, false),
                false,
                S::Verify(record),
                S::Verify(record),
                S::Verify(record),
                waits,
            ),
            (
                logged(3, true),
                true,
                S::Done(record),
                S::Archive(record),
                S::Done(record),
                waits,
            ),
            (
                logged(3, false),
                true,
                S::Done(record),
                S::Archive(record),
                S::Done(record),
                waits,
            ),
        ] {
            let facts = LogFacts {
                settings_saved: true,
                exported: true,
                logs: true,
                archive_deleted: false,
                version: version(4),
                deleted,
                logged,
            };
            assert_eq!(next(&facts), stays, "{facts:?}");
            assert_eq!(
                next(&LogFacts {
                    archive_deleted: true,
                    ..facts
                }),
                archives,
                "{facts:?}"
            );
            assert_eq!(
                next(&LogFacts {
                    logs: false,
                    ..facts
                }),
                switched_off,
                "{facts:?}"
            );
            assert_eq!(
                next(&LogFacts {
                    exported: false,
                    ..facts
                }),
                not_exported,
                "{facts:?}"
            );
            assert_eq!(
                next(&LogFacts {
                    settings_saved: false,
                    ..facts
                }),
                not_exported,
                "{facts:?}"
            );
        }
    }
}
