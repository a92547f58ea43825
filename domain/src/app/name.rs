//! Names, as somebody looks for them.

use std::fmt;

/// The longest beginning of a name that tells: the store compares no more.
const LONGEST: usize = 100;

/// The beginning of a name: `ann`, `Ann Lee`, `Lee, Ann`. `Debug` does not show it (X5).
#[derive(Clone, PartialEq, Eq)]
pub struct NameStart(String);

impl NameStart {
    /// A text as the beginning of a name; none where it can be none: of an address, or with fewer than
    /// two letters.
    pub fn parse(text: &str) -> Option<Self> {
        let letters = text.chars().filter(|c| c.is_alphanumeric()).take(2);
        if letters.count() < 2 || text.contains(['@', '\0']) {
            return None;
        }
        let words = text.split(|c: char| c.is_whitespace() || c == ',');
        let words: Vec<&str> = words.filter(|word| !word.is_empty()).collect();
        Some(Self(words.join(" ").chars().take(LONGEST).collect()))
    }

    /// Its words, a space between two.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for NameStart {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("NameStart(..)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_is_the_beginning_of_a_name_or_none() {
        let parsed = |text: &str| NameStart::parse(text).map(|name| name.as_str().to_owned());
        for (text, want) in [
            (" Ann \t Lee ", Some("Ann Lee")),
            ("Lee,Ann", Some("Lee Ann")),
            ("李雷", Some("李雷")),
            ("d'Or", Some("d'Or")),
            ("ann.lee", Some("ann.lee")),
            ("ann@example.com", None),
            ("Ann\0", None),
            ("a", None),
            ("- ,", None),
            ("", None),
        ] {
            assert_eq!(parsed(text).as_deref(), want, "{text}");
        }
        let long = parsed(&"ü".repeat(500)).unwrap();
        assert_eq!(long.chars().count(), LONGEST);
        assert!(!format!("{:?}", NameStart::parse("Ann Lee")).contains("Ann"));
    }
}
