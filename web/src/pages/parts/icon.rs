//! Icons: 16 px, drawn with the text's colour. A word always stands beside one.

use maud::{Markup, html};

pub(crate) const CHECK: &str = "M3 8.5l3.2 3.2L13 5";
pub(crate) const CROSS: &str = "M4 4l8 8M12 4l-8 8";
pub(crate) const WARN: &str = "M8 2.5L14.5 13.5H1.5ZM8 6.5v3M8 11.6v.1";
pub(crate) const STOP: &str = "M8 1.8a6.2 6.2 0 1 0 0 12.4A6.2 6.2 0 1 0 8 1.8M3.7 3.7l8.6 8.6";
pub(crate) const CLOCK: &str = "M8 1.8a6.2 6.2 0 1 0 0 12.4A6.2 6.2 0 1 0 8 1.8M8 4.8V8l2.2 1.6";
pub(crate) const SYNC: &str = "M13.5 7A5.6 5.6 0 0 0 3.4 4.6L2.2 6M2.2 2.8V6h3.2M2.5 9a5.6 5.6 0 0 0 10.1 2.4L13.8 10M13.8 13.2V10h-3.2";
pub(crate) const SLOW: &str = "M2.2 12a6.2 6.2 0 1 1 11.6 0M8 9.5L5 6";
pub(crate) const KEY: &str = "M10.5 2a3.5 3.5 0 1 1-2.6 5.8L2.5 13.2v.8H5v-2h2v-1.6l.9-.9M11 5v.1";
pub(crate) const LOCK: &str = "M3.5 7h9v6.5h-9ZM5.5 7V5a2.5 2.5 0 0 1 5 0v2";
pub(crate) const DOWN: &str = "M4 6l4 4 4-4";
pub(crate) const RIGHT: &str = "M6 4l4 4-4 4";
pub(crate) const BACK: &str = "M13.5 8h-11M6.5 4l-4 4 4 4";
pub(crate) const PLUS: &str = "M8 3v10M3 8h10";
pub(crate) const ARROW: &str = "M2.5 8h11M9.5 4l4 4-4 4";
pub(crate) const SUN: &str = "M8 5a3 3 0 1 0 0 6 3 3 0 1 0 0-6M8 1.5v1M8 13.5v1M1.5 8h1M13.5 8h1M3.4 3.4l.7.7M11.9 11.9l.7.7M3.4 12.6l.7-.7M11.9 4.1l.7-.7";
pub(crate) const MOON: &str = "M13 9.5A5.5 5.5 0 0 1 6.5 3 5.5 5.5 0 1 0 13 9.5Z";
pub(crate) const HALF: &str = "M8 1.8a6.2 6.2 0 1 0 0 12.4ZM8 1.8a6.2 6.2 0 1 1 0 12.4";

/// Draws one.
pub(crate) fn draw(path: &str) -> Markup {
    html! { svg .i viewBox="0 0 16 16" aria-hidden="true" { path d=(path) {} } }
}
