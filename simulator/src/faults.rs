//! Faults on demand: before a request has its effect, after it, or dropped now and applied later.

use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::{
    answer::{Answer, error_body},
    limits::refusal,
    rng::Rng,
};

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
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub(crate) enum Effect {
    /// An answer of this status, with a body if one is given.
    Status {
        status: u16,
        #[serde(default)]
        body: Option<String>,
        #[serde(default)]
        html: bool,
        /// `Retry-After`, in seconds.
        #[serde(default)]
        retry_after: Option<u64>,
    },
    /// An answer that HubSpot or what stands before it is known to give.
    Answer {
        name: Named,
        /// `Retry-After`, in seconds.
        #[serde(default)]
        retry_after: Option<u64>,
    },
    /// No answer for this long, then the connection is closed.
    Hang { ms: u64 },
    /// The connection is closed without an answer.
    Drop,
    /// The connection is closed in the middle of the answer.
    Cut,
    /// 200 and a batch without results.
    EmptyBatch,
    /// The right answer, late.
    Delay { ms: u64 },
}

/// Answers by name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Named {
    TenSecondly,
    Secondly,
    Daily,
    /// A 429 as the changelog of 2019 has it.
    RateLimits,
    Expired,
    Unauthenticated,
    MissingScopes,
    Locked,
    Migration,
    Internal,
    BadGateway,
    Unavailable,
    GatewayTimeout,
    #[serde(rename = "cloudflare_520")]
    Cloudflare520,
    #[serde(rename = "cloudflare_521")]
    Cloudflare521,
    #[serde(rename = "cloudflare_522")]
    Cloudflare522,
    #[serde(rename = "cloudflare_523")]
    Cloudflare523,
    #[serde(rename = "cloudflare_524")]
    Cloudflare524,
    #[serde(rename = "cloudflare_525")]
    Cloudflare525,
    #[serde(rename = "cloudflare_526")]
    Cloudflare526,
}

impl Named {
    pub(crate) fn answer(self, portal: u64) -> Answer {
        let limit = |policy| Answer::json(429, &refusal(policy, portal, false));
        let cloudflare = |status: u16, what: &str| {
            Answer::html(
                status,
                format!(
                    "<!DOCTYPE html>\n<html lang=\"en-US\"><head><title>api.hubapi.com | {status}: {what}</title></head>\
                     <body><h1>Error {status}</h1><h2>{what}</h2><p>Cloudflare Ray ID: <strong>8f1c0de0c0ffee00</strong></p></body></html>"
                ),
            )
        };
        let plain = |status: u16, what: &str| {
            Answer::html(
                status,
                format!(
                    "<html>\r\n<head><title>{status} {what}</title></head>\r\n<body>\r\n<center><h1>{status} {what}</h1></center>\r\n</body>\r\n</html>\r\n"
                ),
            )
        };
        match self {
            Self::TenSecondly => limit("TEN_SECONDLY_ROLLING"),
            Self::Secondly => limit("SECONDLY"),
            Self::Daily => limit("DAILY"),
            Self::RateLimits => Answer::json(
                429,
                &error_body("RATE_LIMITS", "You have reached your secondly limit."),
            ),
            Self::Expired => Answer::error(
                401,
                "EXPIRED_AUTHENTICATION",
                "The OAuth token used to make this call expired 0 minute(s) ago.",
            ),
            Self::Unauthenticated => Answer::error(
                401,
                "INVALID_AUTHENTICATION",
                "Authentication credentials not found. This API supports OAuth 2.0 authentication and you can find more details at https://developers.hubspot.com/docs/methods/auth/oauth-overview",
            ),
            Self::MissingScopes => {
                let mut body = error_body(
                    "MISSING_SCOPES",
                    "This app hasn't been granted all required scopes to make this call. Read more about required scopes here: https://developers.hubspot.com/scopes.",
                );
                body["errors"] = json!([{
                    "message": "One or more of the following scopes are required.",
                    "context": {"requiredGranularScopes": ["crm.objects.contacts.read"]},
                }]);
                Answer::json(403, &body)
            }
            Self::Locked => Answer::error(
                423,
                "LOCKED",
                "Some of the objects are locked; wait two seconds and try again",
            ),
            Self::Migration => Answer::error(
                477,
                "MIGRATION_IN_PROGRESS",
                "This account is currently being migrated between data hosting locations",
            )
            .with_header("retry-after", "60"),
            Self::Internal => Answer::error(500, "INTERNAL_ERROR", "internal error"),
            Self::BadGateway => plain(502, "Bad Gateway"),
            Self::Unavailable => plain(503, "Service Temporarily Unavailable"),
            Self::GatewayTimeout => plain(504, "Gateway Time-out"),
            Self::Cloudflare520 => cloudflare(520, "Web server is returning an unknown error"),
            Self::Cloudflare521 => cloudflare(521, "Web server is down"),
            Self::Cloudflare522 => cloudflare(522, "Connection timed out"),
            Self::Cloudflare523 => cloudflare(523, "Origin is unreachable"),
            Self::Cloudflare524 => cloudflare(524, "A timeout occurred"),
            Self::Cloudflare525 => cloudflare(525, "SSL handshake failed"),
            Self::Cloudflare526 => cloudflare(526, "Invalid SSL certificate"),
        }
    }
}

/// What comes instead of the right answer.
#[derive(Debug)]
pub(crate) enum Instead {
    /// The right one after all.
    Nothing,
    Answer(Answer),
    Closed,
    /// The right one up to its middle.
    Half,
}

impl Effect {
    pub(crate) const fn is_delay(&self) -> bool {
        matches!(self, Self::Delay { .. })
    }

    /// The status that the log shows: 0 for none.
    pub(crate) fn status(&self, portal: u64) -> u16 {
        match self.instead(portal) {
            Instead::Answer(answer) => answer.status,
            _ => 0,
        }
    }

    /// Milliseconds before anything happens.
    pub(crate) const fn wait(&self) -> u64 {
        match self {
            Self::Hang { ms } | Self::Delay { ms } => *ms,
            _ => 0,
        }
    }

    /// What comes then.
    pub(crate) fn instead(&self, portal: u64) -> Instead {
        let with = |answer: Answer, retry_after: &Option<u64>| match retry_after {
            Some(seconds) => {
                let mut answer = answer;
                answer.headers.retain(|(name, _)| *name != "retry-after");
                Instead::Answer(answer.with_header("retry-after", seconds.to_string()))
            }
            None => Instead::Answer(answer),
        };
        match self {
            Self::Delay { .. } => Instead::Nothing,
            Self::Hang { .. } | Self::Drop => Instead::Closed,
            Self::Cut => Instead::Half,
            Self::EmptyBatch => {
                let at = crate::answer::iso(crate::server::now());
                Instead::Answer(Answer::json(
                    200,
                    &json!({"status": "COMPLETE", "results": [], "startedAt": at, "completedAt": at}),
                ))
            }
            Self::Answer { name, retry_after } => with(name.answer(portal), retry_after),
            Self::Status {
                status,
                body,
                html,
                retry_after,
            } => {
                let text = body.clone().unwrap_or_else(|| {
                    if *html {
                        "<html><body>Service unavailable</body></html>".to_owned()
                    } else {
                        error_body("INTERNAL_ERROR", "internal error").to_string()
                    }
                });
                let answer = if *html {
                    Answer::html(*status, text)
                } else {
                    Answer::text(*status, text)
                };
                with(answer, retry_after)
            }
        }
    }
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
    /// A part of the body.
    #[serde(default)]
    pub(crate) body: Option<String>,
    /// Matching requests that pass first.
    #[serde(default)]
    pub(crate) skip: u64,
    /// Only this one of the matching requests, counted from 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) nth: Option<u64>,
    /// Strikes that are left; without end if missing.
    #[serde(default)]
    pub(crate) times: Option<u64>,
    /// From 0 to 1; always if missing.
    #[serde(default)]
    pub(crate) probability: Option<f64>,
    /// Of the probability: the same seed strikes the same requests.
    #[serde(default)]
    pub(crate) seed: u64,
    #[serde(default = "before")]
    pub(crate) when: When,
    pub(crate) effect: Effect,
    /// How often it has struck; not to be given.
    #[serde(default, skip_deserializing)]
    pub(crate) struck: u64,
    #[serde(skip)]
    rng: Option<Rng>,
}

const fn before() -> When {
    When::Before
}

/// The fields of a rule, for whoever writes one wrongly.
pub(crate) const FIELDS: &str = "id, method, path, body, skip, nth, times, probability (0 to 1), seed, when (\"before\" | \"after\" | {\"later_ms\": N}), effect ({\"status\": {\"status\": N, \"body\": …, \"html\": …, \"retry_after\": N}} | {\"answer\": {\"name\": …, \"retry_after\": N}} | {\"hang\": {\"ms\": N}} | \"drop\" | \"cut\" | \"empty_batch\" | {\"delay\": {\"ms\": N}}); names of answers are ten_secondly, secondly, daily, rate_limits, expired, unauthenticated, missing_scopes, locked, migration, internal, bad_gateway, unavailable, gateway_timeout, cloudflare_520 to cloudflare_526";

impl Rule {
    /// Reads a rule and makes it ready.
    ///
    /// # Errors
    /// What is wrong with it.
    pub(crate) fn parse(body: &[u8], number: usize) -> Result<Self, String> {
        let mut rule: Self =
            serde_json::from_slice(body).map_err(|e| format!("{e}; a rule has {FIELDS}"))?;
        if rule.probability.is_some_and(|p| !(0.0..=1.0).contains(&p)) {
            return Err("probability is a number from 0 to 1".to_owned());
        }
        if let Effect::Status { status, .. } = rule.effect
            && !(200..=599).contains(&status)
        {
            return Err("effect.status.status is a number from 200 to 599".to_owned());
        }
        let methods = ["GET", "POST", "PUT", "PATCH", "DELETE"];
        if let Some(method) = &rule.method
            && !methods.contains(&method.as_str())
        {
            return Err(format!("method is one of {methods:?}"));
        }
        if let Some(nth) = rule.nth.take() {
            if nth == 0 || rule.skip > 0 || rule.times.is_some() {
                return Err("nth counts from 1 and stands without skip and times".to_owned());
            }
            rule.skip = nth - 1;
            rule.times = Some(1);
        }
        if rule.id.is_empty() {
            rule.id = format!("rule-{number}");
        }
        rule.rng = Some(Rng::new(rule.seed ^ 0x5eed_fa17));
        Ok(rule)
    }

    /// Whether its path is one of the token endpoints'.
    pub(crate) fn names_oauth(&self) -> bool {
        self.path.as_deref().is_some_and(|p| p.contains("oauth"))
    }

    fn matches(&self, method: &str, path: &str, body: &[u8]) -> bool {
        self.times != Some(0)
            && self.method.as_deref().is_none_or(|m| m == method)
            && self.path.as_deref().is_none_or(|p| fits(p, path))
            && self
                .body
                .as_deref()
                .is_none_or(|b| contains(body, b.as_bytes()))
    }
}

fn contains(text: &[u8], part: &[u8]) -> bool {
    part.is_empty() || text.windows(part.len()).any(|w| w == part)
}

fn fits(pattern: &str, path: &str) -> bool {
    let mut rest = path;
    for part in pattern.split('*') {
        match rest.find(part) {
            Some(at) => rest = &rest[at + part.len()..],
            None => return false,
        }
    }
    true
}

/// A fault that strikes now.
#[derive(Debug, Clone)]
pub(crate) struct Struck {
    pub(crate) rule: String,
    pub(crate) when: When,
    pub(crate) effect: Effect,
}

/// The rule that strikes this request, if any. At the token endpoints only rules that name `oauth`
/// do.
pub(crate) fn strike(
    rules: &mut [Rule],
    method: &str,
    path: &str,
    body: &[u8],
    oauth: bool,
) -> Option<Struck> {
    for rule in rules {
        if (oauth && !rule.names_oauth()) || !rule.matches(method, path, body) {
            continue;
        }
        if rule.skip > 0 {
            rule.skip -= 1;
            continue;
        }
        if let (Some(probability), Some(rng)) = (rule.probability, &mut rule.rng) {
            // 53 bits: as many as a float holds exactly.
            let drawn = (rng.next() >> 11) as f64 / (1_u64 << 53) as f64;
            if drawn >= probability {
                continue;
            }
        }
        if let Some(times) = &mut rule.times {
            *times -= 1;
        }
        rule.struck += 1;
        return Some(Struck {
            rule: rule.id.clone(),
            when: rule.when,
            effect: rule.effect.clone(),
        });
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    const PATH: &str = "/crm/objects/2026-09/contacts";

    fn rule(text: &str) -> Vec<Rule> {
        vec![Rule::parse(text.as_bytes(), 1).unwrap()]
    }

    fn struck(rules: &mut [Rule], method: &str, body: &str) -> bool {
        strike(rules, method, PATH, body.as_bytes(), false).is_some()
    }

    #[test]
    fn rules_skip_and_end() {
        let mut rules = rule(
            r#"{"path":"/objects/*/contacts","method":"GET","skip":1,"times":1,"effect":"drop"}"#,
        );
        assert!(!struck(&mut rules, "POST", ""));
        assert!(!struck(&mut rules, "GET", ""));
        assert!(struck(&mut rules, "GET", ""));
        assert!(!struck(&mut rules, "GET", ""));
        assert_eq!(rules[0].struck, 1);
    }

    #[test]
    fn rules_look_into_the_body_and_count() {
        let mut rules = rule(r#"{"body":"ada@","nth":2,"effect":"cut"}"#);
        let hits: Vec<bool> = ["x", "ada@x", "y", "bada@", "ada@"]
            .iter()
            .map(|body| struck(&mut rules, "POST", body))
            .collect();
        assert_eq!(hits, [false, false, false, true, false]);
    }

    #[test]
    fn chance_is_the_same_for_the_same_seed() {
        let draw = |seed: u64| -> Vec<bool> {
            let mut rules = rule(&format!(
                r#"{{"probability":0.3,"seed":{seed},"effect":"drop"}}"#
            ));
            (0..1_000).map(|_| struck(&mut rules, "GET", "")).collect()
        };
        assert_eq!(draw(7), draw(7));
        assert_ne!(draw(7), draw(8));
        let hits = draw(7).iter().filter(|h| **h).count();
        assert!((200..400).contains(&hits), "{hits}");
    }

    #[test]
    fn token_endpoints_are_struck_by_name_only() {
        let mut rules = rule(r#"{"effect":"drop"}"#);
        assert!(strike(&mut rules, "POST", "/oauth/2026-09/token", b"", true).is_none());
        let mut rules = rule(r#"{"path":"/oauth/","effect":"drop"}"#);
        assert!(strike(&mut rules, "POST", "/oauth/2026-09/token", b"", true).is_some());
    }

    #[test]
    fn what_is_wrong_is_said_with_what_there_is() {
        for bad in [
            r#"{"effect":"drop","probability":2}"#,
            r#"{"effect":{"status":{"status":99}}}"#,
            r#"{"effect":"explode"}"#,
            r#"{"effect":"drop","colour":"red"}"#,
            r#"{"effect":"drop","method":"get"}"#,
            r#"{"effect":"drop","nth":0}"#,
            r#"{}"#,
        ] {
            assert!(Rule::parse(bad.as_bytes(), 1).is_err(), "{bad}");
        }
    }
}
