//! The activity of `ExportPreview`: the plans of an export, shown and not carried out (E9).

use std::sync::{Arc, atomic::AtomicU64};

use domain::{
    ConnectionState,
    api::ExportPreview,
    app::PersonId,
    export::{CompanyDomains, ExportCause, NoDomain, RequestKind, SkipReason, journal::Cause},
};
use hubspot::ErrorClass;
use store::WriterHold;
use temporalio_macros::activities;
use temporalio_sdk::activities::{ActivityContext, ActivityError};
use workflows::{
    activities::declared,
    export_preview::{ExportPreviewInput, PreviewEnd},
};

use super::{ground::Ground, run::Exporting, stop::Stop};
use crate::{Deps, failure, revoked};

/// The activity of `ExportPreview`.
pub struct Previewing {
    deps: Arc<Deps>,
}

impl Previewing {
    pub(crate) fn new(deps: Arc<Deps>) -> Self {
        Self { deps }
    }

    async fn preview(&self, input: ExportPreviewInput) -> Result<PreviewEnd, ActivityError> {
        let of_store = |e: store::StoreError| failure::of_store(&e);
        let store = &self.deps.store;
        let whom = store
            .preview_of(input.workspace, input.preview)
            .await
            .map_err(of_store)?;
        let Some(person) = whom else {
            return Ok(PreviewEnd::Gone);
        };
        let ground = Ground::of(&self.deps, input.workspace)
            .await
            .map_err(of_store)?;
        let Some(ground) = ground else {
            let connection = store.connection(input.workspace).await.map_err(of_store)?;
            let lost = connection.is_some_and(|c| c.state == ConnectionState::NeedsReconnect);
            return Ok(if lost {
                PreviewEnd::NeedsReconnect
            } else {
                PreviewEnd::NotConnected
            });
        };
        let asked = ExportCause::Manual { anew: input.anew };
        match planned(&self.deps, &ground, &person, asked, RequestKind::Manual).await {
            Ok(None) => Ok(PreviewEnd::Gone),
            Ok(Some(preview)) => {
                let waited = store
                    .answer_preview(input.workspace, input.preview, &preview)
                    .await
                    .map_err(of_store)?;
                Ok(if waited {
                    PreviewEnd::Answered
                } else {
                    PreviewEnd::Gone
                })
            }
            Err(Stop::Store(error)) => Err(failure::of_store(&error)),
            Err(Stop::Fenced) => Ok(PreviewEnd::NotConnected),
            Err(Stop::HubSpot(error)) => match error.class() {
                ErrorClass::AuthRevoked => {
                    revoked::tell(&self.deps, input.workspace, ground.epoch).await?;
                    Ok(PreviewEnd::NeedsReconnect)
                }
                ErrorClass::ScopeMissing | ErrorClass::Forbidden => Ok(PreviewEnd::ScopeMissing),
                _ => Ok(PreviewEnd::NoAnswer),
            },
            Err(
                Stop::Lost | Stop::Redefined | Stop::Waits(..) | Stop::Skips(_) | Stop::Fails(..),
            ) => Ok(PreviewEnd::NoAnswer),
        }
    }
}

/// What an export of a person would do. None of a person who is not known any more.
pub(super) async fn planned(
    deps: &Deps,
    ground: &Ground,
    person: &PersonId,
    asked: ExportCause,
    kind: RequestKind,
) -> Result<Option<ExportPreview>, Stop> {
    let facts = deps
        .store
        .drain_facts(ground.workspace, ground.portal, person)
        .await?;
    let Some(known) = &facts.person else {
        return Ok(None);
    };
    let hold = WriterHold::nobody(ground.workspace, person.clone());
    let done = AtomicU64::new(0);
    let why = Cause::Request(kind);
    let mut exporting = Exporting::new(deps, ground, &hold, &facts, asked, why, &done);
    if known.email.is_none() {
        let skip = SkipReason::NoEmail;
        return Ok(Some(ExportPreview::skipped(skip.into(), NoDomain::Missing)));
    }
    let contact = match exporting.planned_contact(known).await {
        Ok(plan) => plan,
        Err(Stop::Skips(skip)) => {
            return Ok(Some(ExportPreview::skipped(skip, NoDomain::Missing)));
        }
        Err(stop) => return Err(stop),
    };
    let domains = CompanyDomains::of(facts.company.as_ref(), known.email.as_ref());
    let company = match domains {
        Ok(domains) => Ok(exporting.planned_company(domains).await?),
        Err(why) => Err(why),
    };
    Ok(Some(ExportPreview::new(
        &contact,
        company.as_ref().map_err(|why| *why),
    )))
}

#[activities]
impl Previewing {
    #[activity(definition = declared::PreviewExport)]
    pub async fn preview_export(
        self: Arc<Self>,
        _ctx: ActivityContext,
        input: ExportPreviewInput,
    ) -> Result<PreviewEnd, ActivityError> {
        let _in_flight = self.deps.pulse.enter();
        self.preview(input).await
    }
}
