//! Import, lists, DNC, labels, retention.

use std::{collections::BTreeSet, ops::RangeInclusive};

use super::Checker;
use crate::{
    ObjectType,
    settings::{
        ActivityContext, ActivitySettings, ExportSettings, ImportSettings, RetentionSettings,
        Settings, SettingsCode, SettingsPath,
    },
};

/// The bounds of rules that look back, in days.
const LOOK_BACK: RangeInclusive<u32> = 1..=3_650;

pub(super) fn check(settings: &Settings, c: &mut Checker<'_>) {
    for (pointer, number, bounds) in [
        (
            "/import/interval_minutes",
            settings.import.interval_minutes,
            ImportSettings::INTERVAL,
        ),
        (
            "/import/reconcile_hours",
            settings.import.reconcile_hours,
            ImportSettings::RECONCILE,
        ),
        (
            "/dnc/lost_deal/within_days",
            settings.dnc.lost_deal.within_days,
            LOOK_BACK,
        ),
        (
            "/dnc/recent_touch/within_days",
            settings.dnc.recent_touch.within_days,
            LOOK_BACK,
        ),
        (
            "/activity_context/days",
            settings.activity_context.days,
            ActivityContext::DAYS,
        ),
        (
            "/retention/journal_days",
            settings.retention.journal_days,
            RetentionSettings::DAYS,
        ),
        (
            "/retention/quarantine_days",
            settings.retention.quarantine_days,
            RetentionSettings::DAYS,
        ),
    ] {
        if !bounds.contains(&number) {
            c.error(
                SettingsPath::new(pointer),
                SettingsCode::OutOfBounds,
                format!(
                    "{}: {number} is not within {} to {}",
                    &pointer[1..].replace('/', "."),
                    bounds.start(),
                    bounds.end()
                ),
            );
        }
    }
    if let Some(ceiling) = settings.export.daily_ceiling
        && !ExportSettings::CEILING.contains(&ceiling)
    {
        c.error(
            SettingsPath::new("/export/daily_ceiling"),
            SettingsCode::OutOfBounds,
            format!(
                "export.daily_ceiling: {ceiling} is not within {} to {}; leave it out for no ceiling",
                ExportSettings::CEILING.start(),
                ExportSettings::CEILING.end()
            ),
        );
    }
    labels(&settings.activities, c);
    lists(settings, c);
    pipelines(settings, c);
    lifecycle_stages(settings, c);
}

fn lifecycle_stages(settings: &Settings, c: &mut Checker<'_>) {
    let path = SettingsPath::new("/dnc/in_hubspot/lifecycle_stages");
    let stages = &settings.dnc.in_hubspot.lifecycle_stages;
    if !c.length(path.clone(), stages.len(), 200) {
        return;
    }
    for (n, stage) in stages.iter().enumerate() {
        let words = format!("rule for who is in HubSpot, lifecycle stage {}", n + 1);
        c.text(path.at(n), &words, "stage's value", stage, 100);
    }
}

fn labels(activities: &ActivitySettings, c: &mut Checker<'_>) {
    let path = SettingsPath::new("/activities");
    let own = activities.kinds.iter().filter_map(|(kind, setting)| {
        let label = setting.label.as_deref()?;
        Some((path.at("kinds").at(kind).at("label"), label))
    });
    let all: Vec<_> = std::iter::once((path.at("label"), activities.label.as_str()))
        .chain(own)
        .collect();
    for (path, label) in all {
        if label.chars().count() > ActivitySettings::MAX_LABEL || label.contains(char::is_control) {
            c.error(
                path,
                SettingsCode::LabelNotValid,
                format!(
                    "a label has at most {} characters, and no line break",
                    ActivitySettings::MAX_LABEL
                ),
            );
        }
    }
}

fn lists(settings: &Settings, c: &mut Checker<'_>) {
    let path = SettingsPath::new("/lists");
    if !c.length(path.clone(), settings.lists.len(), 1_000) {
        return;
    }
    let mut seen = BTreeSet::new();
    let facts = c.facts;
    for (n, row) in settings.lists.iter().enumerate() {
        let at = path.at(n);
        let words = format!("list row {} ({})", n + 1, row.list);
        if !seen.insert(row.list) {
            c.error(
                at.clone(),
                SettingsCode::DuplicateRow,
                format!("{words}: an earlier row is about the same list; a list has one use"),
            );
        }
        let Some(lists) = &facts.lists else {
            c.not_read(&path, "lists");
            continue;
        };
        match lists
            .iter()
            .find(|l| l.id == row.list)
            .map(|l| l.object_type)
        {
            None => c.error(
                at.at("list"),
                SettingsCode::ListUnknown,
                format!("{words}: the portal has no list of this id"),
            ),
            Some(Some(ObjectType::Contact | ObjectType::Company)) => {}
            Some(_) => c.error(
                at.at("list"),
                SettingsCode::ListType,
                format!("{words}: the list is of neither contacts nor companies"),
            ),
        }
    }
}

fn pipelines(settings: &Settings, c: &mut Checker<'_>) {
    let path = SettingsPath::new("/dnc/open_deal/pipelines");
    let choices = &settings.dnc.open_deal.pipelines;
    if !c.length(path.clone(), choices.len(), 200) {
        return;
    }
    let mut seen = BTreeSet::new();
    let facts = c.facts;
    for (n, choice) in choices.iter().enumerate() {
        let at = path.at(n);
        let words = format!("open-deal rule, pipeline {}", n + 1);
        if !seen.insert(&choice.pipeline) {
            c.error(
                at.clone(),
                SettingsCode::DuplicateRow,
                format!("{words}: an earlier row is about the same pipeline"),
            );
        }
        if !c.length(at.at("stages"), choice.stages.len(), 500) {
            continue;
        }
        let named = c.text(
            at.at("pipeline"),
            &words,
            "pipeline's id",
            &choice.pipeline,
            100,
        );
        let stages_named: Vec<bool> = choice
            .stages
            .iter()
            .enumerate()
            .map(|(m, stage)| c.text(at.at("stages").at(m), &words, "stage's id", stage, 100))
            .collect();
        if !named {
            continue;
        }
        let Some(pipelines) = &facts.pipelines else {
            c.not_read(&path, "pipelines");
            continue;
        };
        let Some(pipeline) = pipelines.iter().find(|p| p.id == choice.pipeline) else {
            c.error(
                at.at("pipeline"),
                SettingsCode::PipelineUnknown,
                format!(
                    "{words}: the portal has no pipeline {}; it is the id, not the label",
                    choice.pipeline
                ),
            );
            continue;
        };
        for (m, (stage, named)) in choice.stages.iter().zip(stages_named).enumerate() {
            if named && !pipeline.stages.iter().any(|s| s.id == *stage) {
                c.error(
                    at.at("stages").at(m),
                    SettingsCode::StageUnknown,
                    format!("{words}: the pipeline {} has no stage {stage}; it is the id, not the label", choice.pipeline),
                );
            }
        }
    }
}
