//! Texts as HubSpot's timeline takes them: HTML without anything that runs, loads or hides, and no longer
//! than a property may be.

use std::{borrow::Cow, collections::HashSet, sync::LazyLock};

use ammonia::{Builder, UrlRelative};

/// The most characters of a property, as HubSpot counts them (`hubspot-api.md` §9, said of notes).
pub const MOST: usize = 65_536;
/// What stands where something was cut.
pub const MARK: &str = "[…]";

/// No pictures: one that is not seen tells its sender whenever somebody looks at the timeline. No relative
/// addresses: they would lead into HubSpot.
static CLEANER: LazyLock<Builder<'static>> = LazyLock::new(|| {
    let mut builder = Builder::default();
    builder
        .rm_tags(["img", "map", "area"])
        .url_schemes(HashSet::from(["http", "https", "mailto", "tel"]))
        .url_relative(UrlRelative::Deny)
        .clean_content_tags(HashSet::from([
            "script", "style", "title", "noscript", "template",
        ]));
    builder
});

static STRIPPER: LazyLock<Builder<'static>> = LazyLock::new(|| {
    let mut builder = Builder::empty();
    builder.clean_content_tags(HashSet::from([
        "script", "style", "title", "noscript", "template",
    ]));
    builder
});

/// As many UTF-16 units as it has: what HubSpot counts.
pub fn length(text: &str) -> usize {
    text.chars().map(char::len_utf16).sum()
}

/// What can be shown of HTML that anybody wrote.
pub fn sanitised(html: &str) -> String {
    CLEANER.clean(html).to_string()
}

/// A text as HTML: paragraphs at empty lines, line breaks where it has some.
pub fn of_text(text: &str) -> String {
    let text = text.replace("\r\n", "\n").replace('\r', "\n");
    text.split("\n\n")
        .map(|paragraph| paragraph.trim_matches('\n'))
        .filter(|paragraph| !paragraph.trim().is_empty())
        .map(|paragraph| format!("<p>{}</p>", escaped(paragraph).replace('\n', "<br>")))
        .collect()
}

/// A text that means itself within HTML.
pub fn escaped(text: &str) -> String {
    text.chars()
        .fold(String::with_capacity(text.len()), |mut to, c| {
            match c {
                '&' => to.push_str("&amp;"),
                '<' => to.push_str("&lt;"),
                '>' => to.push_str("&gt;"),
                '"' => to.push_str("&quot;"),
                other => to.push(other),
            }
            to
        })
}

/// The words of HTML, without its tags.
pub fn words(html: &str) -> String {
    // A tag is a gap between words, however it is shown.
    let apart = html.replace('<', " <");
    let text = STRIPPER.clean(&apart).to_string();
    let mut plain = String::with_capacity(text.len());
    let mut rest = text.as_str();
    while let Some(at) = rest.find('&') {
        let (before, from) = rest.split_at(at);
        plain.push_str(before);
        let known = [
            ("&amp;", "&"),
            ("&lt;", "<"),
            ("&gt;", ">"),
            ("&quot;", "\""),
            ("&nbsp;", " "),
            ("&#39;", "'"),
        ];
        let found = known.iter().find(|(name, _)| from.starts_with(name));
        let (taken, meant) = found.map_or((1, "&"), |(name, meant)| (name.len(), *meant));
        plain.push_str(meant);
        rest = &from[taken..];
    }
    plain.push_str(rest);
    plain.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// A line of text that is not too long; whether it was cut.
pub fn line(text: &str, most: usize) -> (String, bool) {
    let text = text.split_whitespace().collect::<Vec<_>>().join(" ");
    shortened(&text, most)
}

/// A text that is not too long; whether it was cut.
pub fn shortened(text: &str, most: usize) -> (String, bool) {
    if length(text) <= most {
        return (text.to_owned(), false);
    }
    let room = most.saturating_sub(length(MARK) + 1);
    (format!("{} {MARK}", start_of(text, room).trim_end()), true)
}

/// Sanitised HTML that is not too long: what is cut off ends with a mark, and all tags are closed.
pub fn fitted(html: String, most: usize) -> (String, bool) {
    if length(&html) <= most {
        return (html, false);
    }
    let mark = format!("<p>{MARK}</p>");
    let room = most.saturating_sub(length(&mark));
    let mut budget = room;
    while budget > 0 {
        let closed = sanitised(before_a_tag(start_of(&html, budget)));
        if length(&closed) <= room {
            return (closed + &mark, true);
        }
        budget = budget * 9 / 10;
    }
    (mark, true)
}

/// The first characters of a text, so many units at most.
fn start_of(text: &str, most: usize) -> &str {
    let mut units = 0;
    let end = text
        .char_indices()
        .find(|(_, c)| {
            units += c.len_utf16();
            units > most
        })
        .map_or(text.len(), |(at, _)| at);
    &text[..end]
}

/// Without a tag or an entity that was cut in two.
fn before_a_tag(html: &str) -> &str {
    let tag = html
        .rfind('<')
        .filter(|open| html.rfind('>').is_none_or(|close| close < *open));
    let html = tag.map_or(html, |at| &html[..at]);
    let entity = html
        .rfind('&')
        .filter(|at| html.len() - at < 12 && !html[*at..].contains(';'));
    entity.map_or(html, |at| &html[..at])
}

/// Two texts are the same where their words are: HubSpot writes HTML anew, and breaks lines otherwise.
pub(super) fn essence(html: &str) -> Cow<'_, str> {
    words(html).split_whitespace().collect::<String>().into()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn nothing_runs_loads_or_hides() {
        for (html, want) in [
            ("<p>Hi <b>Ann</b></p>", "<p>Hi <b>Ann</b></p>"),
            ("<script>alert(1)</script>x", "x"),
            ("<style>p{}</style>x<title>t</title>", "x"),
            (
                "<img src=\"https://t.example/p.gif\" width=1 height=1>x",
                "x",
            ),
            ("<p onclick=\"x()\" style=\"color:red\">x</p>", "<p>x</p>"),
            ("<iframe src=\"https://t.example\"></iframe>x", "x"),
            (
                "<a href=\"javascript:x()\">x</a>",
                "<a rel=\"noopener noreferrer\">x</a>",
            ),
            (
                "<a href=\"https://x.example/?a=1&b=2\">x</a>",
                "<a href=\"https://x.example/?a=1&amp;b=2\" rel=\"noopener noreferrer\">x</a>",
            ),
            (
                "<a href=\"/settings\">x</a>",
                "<a rel=\"noopener noreferrer\">x</a>",
            ),
            ("<svg><script>x</script></svg>y", "y"),
            ("<b>not closed", "<b>not closed</b>"),
            ("a < b", "a &lt; b"),
            ("<p dir=\"rtl\">שלום 👋🏽</p>", "<p>שלום 👋🏽</p>"),
            ("", ""),
        ] {
            assert_eq!(sanitised(html), want, "{html}");
        }
    }

    #[test]
    fn a_text_becomes_paragraphs() {
        assert_eq!(
            of_text("a\r\nb\r\n\r\n\r\nc <d> & \"e\""),
            "<p>a<br>b</p><p>c &lt;d&gt; &amp; &quot;e&quot;</p>"
        );
        assert_eq!(of_text(" \n\n "), "");
    }

    #[test]
    fn words_are_what_is_read() {
        assert_eq!(
            words("<p>a</p><p>b &amp; <i>c</i>&nbsp;d</p><style>x</style>"),
            "a b & c d"
        );
        assert_eq!(essence("<p>a<br>b</p>"), essence("a b"));
    }

    #[test]
    fn what_is_too_long_is_cut_with_a_mark_and_closed() {
        let (short, cut) = fitted("<p>x</p>".to_owned(), 100);
        assert!(!cut && short == "<p>x</p>");
        let long = format!(
            "<div><p>{}</p></div>",
            "<b>word</b> &amp; 👋🏽 ".repeat(20_000)
        );
        let (fit, cut) = fitted(sanitised(&long), MOST);
        assert!(cut && length(&fit) <= MOST && length(&fit) > MOST * 8 / 10);
        assert!(fit.ends_with("<p>[…]</p>"));
        assert_eq!(sanitised(&fit), fit);
        let (line, cut) = line(&"wort ".repeat(500), 50);
        assert!(
            cut && length(&line) <= 50 && line.ends_with(" […]"),
            "{line}"
        );
    }

    proptest! {
        #[test]
        fn whatever_comes_fits_and_stays_what_it_is(html in "([<>&;a-z\"'=/ 👋é]|<p>|</p>|<b|&amp;|&lt;){0,400}", most in 12usize..200) {
            let clean = sanitised(&html);
            prop_assert_eq!(sanitised(&clean), clean.clone());
            let (fit, cut) = fitted(clean.clone(), most);
            prop_assert!(length(&fit) <= most);
            prop_assert_eq!(cut, length(&clean) > most);
            let (text, _) = shortened(&html, most);
            prop_assert!(length(&text) <= most);
        }
    }
}
