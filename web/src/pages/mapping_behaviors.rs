//! Export behaviors of a row (E4): their names in forms, and what people read of them.

use domain::settings::ExportBehavior;

/// By their value in a form, and their label.
pub(super) const BEHAVIORS: [(&str, &str, ExportBehavior); 5] = [
    (
        "fill_if_empty",
        "Fill if empty",
        ExportBehavior::FillIfEmpty,
    ),
    ("overwrite", "Overwrite", ExportBehavior::Overwrite),
    ("create_only", "On create only", ExportBehavior::CreateOnly),
    ("append", "Append", ExportBehavior::Append),
    (
        "do_not_export",
        "Do not export",
        ExportBehavior::DoNotExport,
    ),
];

/// What one does.
pub(super) const fn meaning(of: ExportBehavior) -> &'static str {
    match of {
        ExportBehavior::FillIfEmpty => "Written where HubSpot has no value yet.",
        ExportBehavior::Overwrite => {
            "The app’s value takes the place of HubSpot’s. An empty one never does."
        }
        ExportBehavior::CreateOnly => "Written when an export makes the record, and never after.",
        ExportBehavior::Append => {
            "The app’s choices are ticked besides those that are; of multiple checkboxes only."
        }
        ExportBehavior::DoNotExport => "Never written. Values still come from HubSpot.",
    }
}
