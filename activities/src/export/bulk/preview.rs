//! Who a bulk export would take: judged page by page before anything is written, and some of them shown in
//! full.

use domain::{
    api::{BulkPreview, BulkSample, BulkWhom},
    app::{FieldValue, Person, PersonId},
    export::{
        Automatic, ExportCause, RequestKind, SkipReason, automatic,
        policy::{Qualified, Standing, requalify},
    },
};
use store::{BulkPerson, BulkPlanned, BulkRow};

use super::{
    super::{ground::Ground, preview::planned, stop::Stop},
    BulkExporting,
};

/// People who are judged at a time.
const PAGE: u32 = 1_000;
/// People who are shown in full.
const SAMPLE: u32 = 10;

/// Whether a bulk export is about somebody whom it did not name.
fn is_about(row: &BulkRow, ground: &Ground, one: &BulkPerson) -> bool {
    let Some(person) = &one.person else {
        return matches!(row.whom, BulkWhom::People { .. });
    };
    match &row.whom {
        BulkWhom::People { .. } => true,
        BulkWhom::Campaign { campaign } => {
            matches!(person.value("campaign"), Some(FieldValue::Text(text)) if text == *campaign)
        }
        BulkWhom::QualifiedEarlier => {
            let known = &ground.known;
            let policy = known.settings.export.policy;
            let does = automatic(policy, known.in_force_since, &person.outreach);
            does == Automatic::QualifiedEarlier && !one.exported
        }
        BulkWhom::Exported => one.exported,
    }
}

/// Why somebody would be left out, if they would.
fn left_out(row: &BulkRow, ground: &Ground, one: &BulkPerson) -> Option<SkipReason> {
    let Some(person) = &one.person else {
        return Some(SkipReason::UnknownPerson);
    };
    let standing = standing(ground, person, one.exported);
    match requalify(row.whom.kind(), cause(row), &standing) {
        Qualified::No(reason) => Some(reason),
        Qualified::Yes | Qualified::Waits => None,
    }
}

/// Why people of a bulk export are looked at.
fn cause(row: &BulkRow) -> ExportCause {
    match row.whom.kind() {
        RequestKind::Bulk => ExportCause::Bulk {
            include_earlier: row.include_earlier,
        },
        _ => ExportCause::Automatic,
    }
}

fn standing<'a>(ground: &'a Ground, person: &'a Person, exported: bool) -> Standing<'a> {
    Standing {
        settings_saved: ground.known.settings_saved,
        policy: ground.known.settings.export.policy,
        in_force_since: ground.known.in_force_since,
        outreach: &person.outreach,
        has_email: person.email.is_some(),
        erased: false,
        exported,
    }
}

impl BulkExporting {
    /// Judges the next people. The last page turns the run to where it waits for the confirmation.
    pub(super) async fn preview_page(&self, ground: &Ground, row: &BulkRow) -> Result<(), Stop> {
        let store = &self.deps.store;
        let people = store.bulk_people(row, PAGE).await?;
        let finished = people.len() < PAGE as usize;
        let mut preview: BulkPreview = row.preview.clone();
        let mut about: Vec<(PersonId, bool)> = Vec::new();
        for one in people.iter().filter(|one| is_about(row, ground, one)) {
            let left_out = left_out(row, ground, one);
            match left_out {
                Some(reason) => *preview.skipped.entry(reason).or_default() += 1,
                None if one.has_contact => preview.update += 1,
                None => preview.create += 1,
            }
            about.push((one.id.clone(), left_out.is_some()));
        }
        let planned = BulkPlanned {
            to: people.last().map(|one| &one.id),
            people: &about,
            preview: &preview,
            finished: false,
        };
        if !store.bulk_planned(row, &planned).await? {
            return Ok(());
        }
        if finished && let Some(row) = store.bulk(row.workspace, row.bulk).await? {
            self.sample(ground, &row).await?;
            let last = BulkPlanned {
                to: None,
                people: &[],
                preview: &row.preview,
                finished: true,
            };
            store.bulk_planned(&row, &last).await?;
        }
        Ok(())
    }

    /// Shows some of those who would be taken in full. One that HubSpot does not answer about is left out.
    async fn sample(&self, ground: &Ground, row: &BulkRow) -> Result<(), Stop> {
        let store = &self.deps.store;
        let (cause, kind) = (cause(row), row.whom.kind());
        let mut sample = Vec::new();
        for person in store.bulk_first(row.bulk, SAMPLE).await? {
            match planned(&self.deps, ground, &person, cause, kind).await {
                Ok(Some(preview)) => sample.push(BulkSample { person, preview }),
                Ok(None) => {}
                Err(Stop::Store(error)) => return Err(error.into()),
                Err(Stop::Fenced) => return Err(Stop::Fenced),
                Err(stop) => {
                    tracing::warn!(code = stop.name(), "one of a sample could not be shown");
                }
            }
        }
        store
            .keep_bulk_sample(row.workspace, row.bulk, &sample)
            .await?;
        Ok(())
    }
}
