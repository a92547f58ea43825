//! The pipelines and stages whose open deals stop outreach (I8). None chosen means all of them.

use domain::{
    portal::{PortalPipeline, PortalStage},
    settings::{OpenDealRule, PipelineChoice},
};
use maud::{Markup, html};

use crate::pages::{
    parts::fold,
    settings_form::{Values, ticked, value},
};

/// What the names of their boxes begin with.
pub(super) const STAGE: &str = "stage-";

fn input(pipeline: &PortalPipeline, stage: &PortalStage) -> String {
    format!("{STAGE}{}/{}", pipeline.id, stage.id)
}

/// Deals in these can be open.
fn open_stages(pipeline: &PortalPipeline) -> impl Iterator<Item = &PortalStage> {
    let stages = pipeline.stages.iter();
    stages.filter(|stage| !stage.closed && !stage.archived)
}

fn live(pipelines: &[PortalPipeline]) -> impl Iterator<Item = &PortalPipeline> {
    pipelines.iter().filter(|pipeline| !pipeline.archived)
}

fn holds(choice: &PipelineChoice, stage: &PortalStage) -> bool {
    choice.stages.is_empty() || choice.stages.contains(&stage.id)
}

/// A box for each open stage.
pub(super) fn values(
    pipelines: &[PortalPipeline],
    rule: &OpenDealRule,
) -> impl Iterator<Item = (String, String)> {
    live(pipelines).flat_map(move |pipeline| {
        let choice = rule.pipelines.iter().find(|c| c.pipeline == pipeline.id);
        open_stages(pipeline).map(move |stage| {
            let on = choice.is_some_and(|choice| holds(choice, stage));
            (input(pipeline, stage), ticked(on))
        })
    })
}

/// Puts the boxes into the rule. What the page does not show stays as it is.
pub(super) fn apply(pipelines: &[PortalPipeline], values: &Values, rule: &mut OpenDealRule) {
    for pipeline in live(pipelines) {
        let on = |stage: &&PortalStage| !value(values, &input(pipeline, stage)).is_empty();
        let chosen: Vec<&str> = open_stages(pipeline)
            .filter(on)
            .map(|stage| stage.id.as_str())
            .collect();
        let place = rule
            .pipelines
            .iter()
            .position(|c| c.pipeline == pipeline.id);
        let before: Vec<&str> = place.map_or_else(Vec::new, |n| {
            let shown = open_stages(pipeline).filter(|stage| holds(&rule.pipelines[n], stage));
            shown.map(|stage| stage.id.as_str()).collect()
        });
        if chosen == before {
            continue;
        }
        let all = chosen.len() == open_stages(pipeline).count();
        let choice = PipelineChoice {
            pipeline: pipeline.id.clone(),
            stages: if all {
                Vec::new()
            } else {
                chosen.iter().map(|id| (*id).to_owned()).collect()
            },
        };
        match (place, chosen.is_empty()) {
            (Some(n), true) => {
                rule.pipelines.remove(n);
            }
            (Some(n), false) => rule.pipelines[n] = choice,
            (None, _) => rule.pipelines.push(choice),
        }
    }
}

/// What people call a box.
pub(super) fn label(pipelines: &[PortalPipeline], name: &str) -> String {
    let found = live(pipelines).find_map(|pipeline| {
        let stage = open_stages(pipeline).find(|stage| input(pipeline, stage) == name)?;
        Some(format!("Open deal in {}, {}", pipeline.label, stage.label))
    });
    found.unwrap_or_else(|| name.to_owned())
}

/// The boxes, a group for each pipeline.
pub(super) fn fields(pipelines: &[PortalPipeline], values: &Values) -> Markup {
    let chosen = values
        .iter()
        .filter(|(name, on)| name.starts_with(STAGE) && !on.is_empty())
        .count();
    let title = match chosen {
        0 => "In all pipelines and stages".to_owned(),
        1 => "In one chosen stage".to_owned(),
        n => format!("In {n} chosen stages"),
    };
    let content = html! {
        p .hint { "Choose stages to have only deals in these stop outreach. With none chosen all of them do." }
        @for pipeline in live(pipelines) {
            fieldset .stack .tight {
                legend { bdi { (pipeline.label) } }
                @for stage in open_stages(pipeline) {
                    @let name = input(pipeline, stage);
                    label .row {
                        input type="checkbox" name=(name) checked[!value(values, &name).is_empty()];
                        span { bdi { (stage.label) } }
                    }
                }
            }
        }
    };
    html! { @if live(pipelines).next().is_some() { (fold(chosen > 0, title, &content)) } }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pipelines() -> Vec<PortalPipeline> {
        let stage = |id: &str, closed, archived| PortalStage {
            id: id.to_owned(),
            label: id.to_uppercase(),
            closed,
            won: false,
            archived,
        };
        let pipeline = |id: &str, archived| PortalPipeline {
            id: id.to_owned(),
            label: id.to_uppercase(),
            stages: vec![
                stage("new", false, false),
                stage("late", false, false),
                stage("won", true, false),
                stage("old", false, true),
            ],
            archived,
        };
        vec![
            pipeline("a", false),
            pipeline("b", false),
            pipeline("gone", true),
        ]
    }

    fn choice(pipeline: &str, stages: &[&str]) -> PipelineChoice {
        PipelineChoice {
            pipeline: pipeline.to_owned(),
            stages: stages.iter().map(|s| (*s).to_owned()).collect(),
        }
    }

    #[test]
    fn what_is_shown_saves_as_it_was_and_a_box_changes_its_own_pipeline_alone() {
        let all = pipelines();
        let rule = OpenDealRule {
            enabled: true,
            pipelines: vec![
                choice("gone", &["new"]),
                choice("a", &[]),
                choice("b", &["won", "late"]),
            ],
        };
        let shown: Values = values(&all, &rule).collect();
        let on: Vec<&str> = shown
            .iter()
            .filter(|(_, v)| !v.is_empty())
            .map(|(n, _)| n.as_str())
            .collect();
        assert_eq!(on, ["stage-a/late", "stage-a/new", "stage-b/late"]);
        assert_eq!(shown.len(), 4);
        let mut same = rule.clone();
        apply(&all, &shown, &mut same);
        assert_eq!(same, rule);

        let with = |changes: &[(&str, &str)]| {
            let mut typed = shown.clone();
            for (name, on) in changes {
                typed.insert((*name).to_owned(), (*on).to_owned());
            }
            let mut changed = rule.clone();
            apply(&all, &typed, &mut changed);
            changed.pipelines
        };
        let gone = || choice("gone", &["new"]);
        let b = || choice("b", &["won", "late"]);
        assert_eq!(
            with(&[("stage-a/new", "")]),
            [gone(), choice("a", &["late"]), b()]
        );
        assert_eq!(
            with(&[("stage-b/new", "on")]),
            [gone(), choice("a", &[]), choice("b", &[])]
        );
        assert_eq!(with(&[("stage-b/late", "")]), [gone(), choice("a", &[])]);
        assert_eq!(label(&all, "stage-b/new"), "Open deal in B, NEW");
    }
}
