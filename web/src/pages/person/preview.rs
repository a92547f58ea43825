//! What an export would do (E9), and how a change is shown.

use axum::{
    extract::State,
    http::StatusCode,
    response::{IntoResponse as _, Response},
};
use domain::{
    ObjectType,
    api::{
        ChangePreview, ExportPreview, PreviewAction, PreviewRequest, RecordPreview, RetryReason,
        RulePreview, WhyPreview,
    },
    app::RecordKind,
    entry::PageEvent,
    settings::ExportBehavior,
};
use maud::{Markup, html};

use super::{At, Facts, content, labels::Labels, page};
use crate::{
    api::previews,
    pages::{
        guard::Visit,
        head::Head,
        parts::{Tone, fold, icon, notice, pill, section},
        reasons,
        refused::Refused,
    },
    state::App,
};

/// A value that another one takes the place of.
pub(in crate::pages) fn change(old: Option<&str>, new: Option<&str>) -> Markup {
    html! {
        span .change {
            @if let Some(old) = old { span .sr { "from " } del { bdi { (old) } } }
            @else { span .muted { "nothing" } }
            (icon::draw(icon::ARROW))
            @if let Some(new) = new { span .sr { "to " } ins { bdi { (new) } } }
            @else { span .muted { "nothing" } }
        }
    }
}

/// Answered directly: it holds for its moment, and has values of the person in it.
pub(super) async fn preview(
    State(app): State<App>,
    visit: Visit,
    At(person): At,
) -> Result<Response, Refused> {
    let head = Head::of(&app, visit.workspace()).await?;
    let facts = Facts::of(&app, &visit, &head, &person).await?;
    let asked = PreviewRequest {
        person,
        anew: false,
    };
    let made = previews::preview(&app, visit.workspace(), &asked).await;
    let (status, shown) = match &made {
        Ok(made) => {
            visit.note(&app, PageEvent::Previewed, None).await;
            let labels = Labels::of_previews(&app, &visit, head.status.portal, [made]).await?;
            (StatusCode::OK, previewed(made, &labels))
        }
        Err(refusal) => {
            let problem = refusal.problem();
            let status = StatusCode::from_u16(problem.status).unwrap_or(StatusCode::BAD_GATEWAY);
            let text = html! { p { b { (problem.title) ". " } (problem.detail) " " code { (problem.code) } } };
            (status, notice(Tone::Error, icon::WARN, &text, None))
        }
    };
    let shown = section(
        "preview",
        "What an export would do now",
        "Nothing was written.",
        &shown,
    );
    let mut page = page(&visit, &head, content(&visit, &head, &facts, &shown));
    page.status = status;
    Ok(page.into_response())
}

/// What would become of both records.
pub(in crate::pages) fn previewed(preview: &ExportPreview, labels: &Labels) -> Markup {
    html! {
        div .stack {
            (record(RecordKind::Person, &preview.contact, labels))
            @if let Some(company) = &preview.company { (record(RecordKind::Company, company, labels)) }
            @if let Some(why) = &preview.no_company { p .hint { "No company: " (why_text(why)) } }
            @if preview.may_become_marketing_contact {
                p .hint { "Whether a new contact counts as a marketing contact, for which HubSpot may charge, is decided by a setting of the portal." }
            }
        }
    }
}

fn record(of: RecordKind, record: &RecordPreview, labels: &Labels) -> Markup {
    let (kind, object_type) = match of {
        RecordKind::Person => ("Contact", ObjectType::Contact),
        RecordKind::Company => ("Company", ObjectType::Company),
    };
    let (tone, path, what) = match record.action {
        PreviewAction::Create => (Tone::Info, icon::CHECK, "would be made"),
        PreviewAction::Adopt => (Tone::Info, icon::CHECK, "is in HubSpot and would be linked"),
        PreviewAction::Update => (Tone::Info, icon::SYNC, "would be written"),
        PreviewAction::Nothing => (Tone::Ok, icon::CHECK, "is as it should be"),
        PreviewAction::Skip => (Tone::Warn, icon::STOP, "would be left out"),
    };
    let left = html! {
        ul .stack .tight {
            @for left in &record.left_out {
                li { (labels.property(object_type, &left.property)) " (" (rule_name(&left.rule, of, labels)) "): " (why_text(&left.why)) }
            }
        }
    };
    html! {
        div .card {
            div .row {
                (pill(tone, path, format!("{kind} {what}")))
                @if let Some(why) = &record.reason { span { (why_text(why)) } }
            }
            @if !record.changes.is_empty() { div { (changes(of, object_type, &record.changes, labels)) } }
            @if !record.left_out.is_empty() {
                div { (fold(false, format!("Not written: {}", record.left_out.len()), &left)) }
            }
        }
    }
}

fn changes(
    of: RecordKind,
    object_type: ObjectType,
    changes: &[ChangePreview],
    labels: &Labels,
) -> Markup {
    html! {
        table .table {
            caption .sr { "What would be written" }
            thead { tr { th scope="col" { "Property" } th scope="col" { "Change" } th scope="col" { "Rule" } } }
            tbody { @for c in changes {
                tr {
                    th scope="row" { (labels.property(object_type, &c.property)) }
                    td data-l="Change" { (change(c.old.as_deref(), Some(&c.new))) }
                    td data-l="Rule" { (rule_name(&c.rule, of, labels)) span .sub { (behavior_name(c.behavior)) } }
                }
            } }
        }
    }
}

fn rule_name(rule: &RulePreview, of: RecordKind, labels: &Labels) -> String {
    match rule {
        RulePreview::Key => "what identifies the record".to_owned(),
        RulePreview::Name => "the company’s name".to_owned(),
        RulePreview::Row { app_field } => {
            let label = labels.field_label(of, app_field);
            format!("mapping of {}", label.unwrap_or(app_field.as_str()))
        }
        RulePreview::Status { status } => format!("status {status}"),
        RulePreview::Owner { fallback: true } => "fallback owner".to_owned(),
        RulePreview::Owner { fallback: false } => "owner".to_owned(),
        RulePreview::Source => "contact source".to_owned(),
        RulePreview::Fixed => "fixed value".to_owned(),
    }
}

const fn behavior_name(behavior: ExportBehavior) -> &'static str {
    match behavior {
        ExportBehavior::DoNotExport => "do not export",
        ExportBehavior::FillIfEmpty => "fill if empty",
        ExportBehavior::Overwrite => "overwrite",
        ExportBehavior::CreateOnly => "on create only",
        ExportBehavior::Append => "append",
    }
}

/// Why a value is not written, where that is no outcome of a request.
fn in_words(reason: &str) -> String {
    match reason {
        "same" => "HubSpot has it already",
        "has_value" => "HubSpot has a value",
        "on_create_only" => "written on create only",
        "do_not_export" => "the row is not exported",
        "no_app_value" => "the app has none",
        "no_status" => "the app has no status",
        "status_not_mapped" => "this status has no value",
        "has_owner" => "it has an owner",
        "no_owner" => "nobody is matched, and there is no fallback owner",
        other => return other.replace('_', " "),
    }
    .to_owned()
}

/// The reason's name as words, with what it is about.
fn why_text(why: &WhyPreview) -> Markup {
    html! {
        @match why.reason.parse::<RetryReason>() {
            Ok(reason) => { (reasons::of(reason).title) }
            Err(_) => { (in_words(&why.reason)) }
        }
        @for property in &why.properties { " " code { (property) } }
        @if let Some(code) = &why.code { " " code { (code) } }
    }
}

#[cfg(test)]
mod tests {
    use domain::export::change::Why;

    use super::*;

    #[test]
    fn reasons_are_said_in_words() {
        for (why, words) in [
            (Why::NoAppValue, "the app has none"),
            (Why::OnCreateOnly, "written on create only"),
            (Why::SetBack, "set back"),
        ] {
            assert_eq!(in_words(why.as_str()), words);
        }
    }
}
