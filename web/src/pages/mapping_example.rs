//! What the rows of the mapping do with the values of one real record (E4, I5).

use std::collections::BTreeMap;

use domain::{
    app::{FieldKey, FieldValue, RecordKind},
    export::{Example, example},
    portal::PropertyDefinition,
    profile::ProfileValue,
    settings::ExportBehavior,
};
use maud::{Markup, html};

use crate::{
    api::profiles,
    pages::{
        guard::Visit,
        person::{preview::change, text_of},
        refused::Refused,
    },
    state::App,
};

/// The longest text that is shown, in characters.
const LONGEST: usize = 60;

/// A record with its values on both sides.
pub(crate) struct ExampleOf {
    /// What people call it.
    pub(crate) name: String,
    fields: BTreeMap<FieldKey, ProfileValue>,
}

/// A row as it is on the page, saved or not.
pub(crate) struct ShownRow<'a> {
    pub(crate) key: &'a FieldKey,
    pub(crate) property: &'a str,
    pub(crate) behavior: ExportBehavior,
    /// Which option a value of the app becomes.
    pub(crate) options: &'a BTreeMap<String, String>,
    pub(crate) definition: Option<&'a PropertyDefinition>,
}

impl ExampleOf {
    /// One of the app's own, preferably one that is in HubSpot too; none where the app has none.
    pub(crate) async fn of(
        app: &App,
        visit: &Visit,
        record: RecordKind,
    ) -> Result<Option<Self>, Refused> {
        let (store, workspace) = (&app.parts()?.store, visit.workspace());
        let Some(connection) = store.connection(workspace).await? else {
            return Ok(None);
        };
        let found = store.example_record(workspace, connection.portal, record);
        let Some(id) = found.await? else {
            return Ok(None);
        };
        // Without a profile the page does without an example.
        let Ok(profile) = profiles::one(app, workspace, record, id.clone(), "record").await else {
            return Ok(None);
        };
        let fields = profile.fields.into_iter().map(|(key, f)| (key, f.of));
        let fields: BTreeMap<FieldKey, ProfileValue> = fields.collect();
        let named = ["first_name", "last_name", "name"].map(|key| {
            let key = FieldKey::parse(key).ok();
            let value = key.and_then(|key| fields.get(&key)?.winning());
            text_of(value).trim().to_owned()
        });
        let name = named.join(" ").trim().to_owned();
        Ok(Some(Self {
            name: short(if name.is_empty() { &id } else { &name }),
            fields,
        }))
    }

    /// What a row does with it.
    pub(crate) fn cell(&self, row: &ShownRow<'_>) -> Markup {
        let value = self.fields.get(row.key);
        let Some(value) = value.filter(|v| v.property.as_deref() == Some(row.property)) else {
            return html! { span .muted { "Known once it is saved" } };
        };
        let (app, hubspot) = (value.app.as_ref(), value.hubspot.as_ref());
        let theirs = short(&text_of(hubspot));
        let ours = short(&option_of(row, app).unwrap_or_else(|| text_of(app)));
        let stays = |why: &str| {
            html! {
                @if theirs.is_empty() { span .muted { "empty" } } @else { bdi { (theirs) } }
                span .sub { (why) }
            }
        };
        if value.unreadable {
            return html! { span .muted { "HubSpot’s value does not read as this field’s type" } };
        }
        match example(row.behavior, app, hubspot) {
            Example::Nothing => html! { span .muted { "Empty on both sides" } },
            Example::NotExported => stays("Not exported"),
            Example::Same => stays("Same on both sides"),
            Example::Stays => stays("Stays as it is"),
            Example::Written => change((!theirs.is_empty()).then_some(&*theirs), Some(&ours)),
            Example::Added => html! {
                span .change { bdi { (theirs) } " " ins { "+ " bdi { (ours) } } }
            },
        }
    }
}

/// The option that the table of a row names for a value, as people read it.
fn option_of(row: &ShownRow<'_>, app: Option<&FieldValue>) -> Option<String> {
    let Some(FieldValue::Text(text)) = app else {
        return None;
    };
    let lower = text.to_lowercase();
    let named = row
        .options
        .iter()
        .find(|(from, _)| from.to_lowercase() == lower);
    let option = named.map(|(_, to)| to)?;
    let known = row
        .definition
        .and_then(|d| d.options.iter().find(|o| o.value == *option));
    Some(known.map_or_else(|| option.clone(), |o| o.label.clone()))
}

fn short(text: &str) -> String {
    match text.char_indices().nth(LONGEST) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_values_are_cut_between_letters() {
        assert_eq!(short("Head of Sales"), "Head of Sales");
        assert_eq!(short(&"ü".repeat(60)), "ü".repeat(60));
        assert_eq!(short(&"ü".repeat(61)), format!("{}…", "ü".repeat(60)));
    }
}
