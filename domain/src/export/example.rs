//! What a row of the mapping does with the values of one record: for whoever sets it up (E4). What an export
//! does in fact is decided by its plan, on a fresh read.

use crate::{app::FieldValue, settings::ExportBehavior};

/// What becomes of the value in HubSpot, if the record is there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Example {
    /// Neither side has a value.
    Nothing,
    /// The row is for import alone.
    NotExported,
    /// Both sides say the same.
    Same,
    /// What HubSpot has, be it nothing, stays.
    Stays,
    /// The app's value takes its place.
    Written,
    /// The app's options are added.
    Added,
}

/// What a row of this behavior does with these values.
pub fn example(
    behavior: ExportBehavior,
    app: Option<&FieldValue>,
    hubspot: Option<&FieldValue>,
) -> Example {
    use ExportBehavior as B;
    match (behavior, app, hubspot) {
        (_, None, None) => Example::Nothing,
        (B::DoNotExport, ..) => Example::NotExported,
        (_, Some(app), Some(hubspot)) if app == hubspot => Example::Same,
        (B::CreateOnly, ..) | (_, None, _) | (B::FillIfEmpty, _, Some(_)) => Example::Stays,
        (B::Append, _, Some(_)) => Example::Added,
        (B::FillIfEmpty | B::Append, _, None) | (B::Overwrite, ..) => Example::Written,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_does_with_values_what_its_behavior_says() {
        use Example::{Added, NotExported, Nothing, Same, Stays, Written};
        use ExportBehavior::{Append, CreateOnly, DoNotExport, FillIfEmpty, Overwrite};
        let text = |t: &str| FieldValue::Text(t.to_owned());
        let (a, b) = (text("a"), text("b"));
        // App alone, HubSpot alone, both and another, both the same, neither.
        for (behavior, want) in [
            (FillIfEmpty, [Written, Stays, Stays, Same, Nothing]),
            (Overwrite, [Written, Stays, Written, Same, Nothing]),
            (CreateOnly, [Stays, Stays, Stays, Same, Nothing]),
            (Append, [Written, Stays, Added, Same, Nothing]),
            (
                DoNotExport,
                [NotExported, NotExported, NotExported, NotExported, Nothing],
            ),
        ] {
            let got = [
                (Some(&a), None),
                (None, Some(&b)),
                (Some(&a), Some(&b)),
                (Some(&a), Some(&a)),
                (None, None),
            ]
            .map(|(app, hubspot)| example(behavior, app, hubspot));
            assert_eq!(got, want, "{behavior:?}");
        }
    }
}
