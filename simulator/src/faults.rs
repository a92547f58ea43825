//! Faults on demand: before a request has its effect, after it, or dropped now and applied later.

use serde::{Deserialize, Serialize};

/// When a fault strikes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum When {
    /// Nothing was done.
    Before,
    /// It was done, and nobody hears of it.
    After,
    /// It will be done, this many milliseconds later.
    LaterMs(u64),
}

/// What the client sees.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Effect {
    /// An answer of this status, with a body if one is given.
    Status {
        status: u16,
        #[serde(default)]
        body: Option<String>,
        #[serde(default)]
        html: bool,
    },
    /// No answer for this long, then the connection is dropped.
    Hang { ms: u64 },
    /// The connection is dropped in the middle of the answer.
    Drop,
    /// The right answer, late.
    Delay { ms: u64 },
}

/// A rule. The first that matches strikes.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Rule {
    /// To take it away by; given if missing.
    #[serde(default)]
    pub(crate) id: String,
    /// `GET`, `POST` …; any if missing.
    #[serde(default)]
    pub(crate) method: Option<String>,
    /// A part of the path, `*` standing for anything.
    #[serde(default)]
    pub(crate) path: Option<String>,
    /// Matching requests that pass first.
    #[serde(default)]
    pub(crate) skip: u64,
    /// Strikes that are left; without end if missing.
    #[serde(default)]
    pub(crate) times: Option<u64>,
    #[serde(default = "before")]
    pub(crate) when: When,
    pub(crate) effect: Effect,
}

const fn before() -> When {
    When::Before
}

/// The fields of a rule, for whoever writes one wrongly.
pub(crate) const FIELDS: &str = "id, method, path, skip, times, when (\"before\" | \"after\" | {\"later_ms\": N}), effect ({\"status\": {\"status\": N, \"body\": …, \"html\": …}} | {\"hang\": {\"ms\": N}} | \"drop\" | {\"delay\": {\"ms\": N}})";

fn matches(pattern: &str, path: &str) -> bool {
    let mut rest = path;
    for part in pattern.split('*') {
        match rest.find(part) {
            Some(at) => rest = &rest[at + part.len()..],
            None => return false,
        }
    }
    true
}

/// The rule that strikes this request, if any.
pub(crate) fn strike(rules: &mut [Rule], method: &str, path: &str) -> Option<(When, Effect)> {
    for rule in rules {
        let method_ok = rule.method.as_deref().is_none_or(|m| m == method);
        let path_ok = rule.path.as_deref().is_none_or(|p| matches(p, path));
        if !method_ok || !path_ok || rule.times == Some(0) {
            continue;
        }
        if rule.skip > 0 {
            rule.skip -= 1;
            continue;
        }
        if let Some(times) = &mut rule.times {
            *times -= 1;
        }
        return Some((rule.when, rule.effect.clone()));
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rules_skip_and_end() {
        let mut rules: Vec<Rule> = serde_json::from_str(
            r#"[{"path":"/objects/*/contacts","method":"GET","skip":1,"times":1,"effect":"drop"}]"#,
        )
        .unwrap();
        let path = "/crm/objects/2026-09/contacts";
        assert_eq!(strike(&mut rules, "POST", path), None);
        assert_eq!(strike(&mut rules, "GET", path), None);
        assert_eq!(
            strike(&mut rules, "GET", path),
            Some((When::Before, Effect::Drop))
        );
        assert_eq!(strike(&mut rules, "GET", path), None);
    }
}
