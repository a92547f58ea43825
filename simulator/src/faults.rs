//! Faults on demand: before a request has its effect, after it, dropped now and applied later, or a
//! right answer made wrong on its way (`rewrites`).

use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::{
    answer::{Answer, error_body},
    limits::refusal,
    rewrites::{self, Rewrite},
    rng::Rng,
    server::Query,
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
    /// An answer of this status, with a body if one is given: as it is, or an error in HubSpot's shape
    /// of this category and message.
    Status {
        status: u16,
        #[serde(default)]
        body: Option<String>,
        #[serde(default)]
        category: Option<String>,
        #[serde(default)]
        message: Option<String>,
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
        /// Of `missing_scopes`: any one of these would do.
        #[serde(default)]
        scopes: Option<Vec<String>>,
        /// Of `missing_scopes`: they are told in the older form, in the `context` of the body.
        #[serde(default)]
        in_context: bool,
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
    /// The right answer at once, but its body takes this long: a piece every tenth of a second.
    Dribble { ms: u64 },
    /// The right answer, its results gone and no page to follow; a total says 0.
    Empty,
    /// The same, and a total says what it said.
    EmptyWithTotal,
    /// The right answer without some of its results, and without a word about them.
    LeaveOut {
        /// Every n-th; 1 is every one.
        #[serde(default)]
        every: Option<usize>,
        /// Those of these ids (or names).
        #[serde(default)]
        ids: Vec<String>,
    },
    /// 207: an error for inputs of a batch, which are not done; the others are answered.
    ErrorPerInput {
        category: String,
        /// Every n-th input; all if missing.
        #[serde(default)]
        every: Option<usize>,
        /// The error does not say which input it is about.
        #[serde(default)]
        unnamed: bool,
    },
    /// `after` of the request is passed over: the first page again and again.
    IgnoreAfter,
    /// The right page, but its cursor is the one that was asked with.
    SameCursor,
    /// The first page again and again, each time with a cursor that was never seen.
    FreshCursor,
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
    /// 437: a limit of the portal's is reached.
    LimitReached,
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
            Self::MissingScopes => missing_scopes(&["crm.objects.contacts.read".to_owned()], false),
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
            Self::LimitReached => {
                Answer::error(437, "LIMIT_EXCEEDED", "This account has reached its limit")
            }
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

/// 403: any one of these scopes would do. HubSpot tells them in `errors`; in the `context` of the body
/// in the older form.
pub(crate) fn missing_scopes(scopes: &[String], in_context: bool) -> Answer {
    let mut body = error_body(
        "MISSING_SCOPES",
        "This app hasn't been granted all required scopes to make this call. Read more about required scopes here: https://developers.hubspot.com/scopes.",
    );
    let context = json!({"requiredGranularScopes": scopes});
    if in_context {
        body["context"] = context;
    } else {
        body["errors"] = json!([{
            "message": "One or more of the following scopes are required.",
            "context": context,
        }]);
    }
    Answer::json(403, &body)
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

    /// What it makes of a right answer, if that is what it does.
    pub(crate) fn rewrite(&self) -> Option<Rewrite<'_>> {
        Some(match self {
            Self::Dribble { ms } => Rewrite::Dribble(*ms),
            Self::Empty => Rewrite::Empty { total: false },
            Self::EmptyWithTotal => Rewrite::Empty { total: true },
            Self::LeaveOut { every, ids } => Rewrite::LeaveOut { every: *every, ids },
            Self::ErrorPerInput {
                category,
                every,
                unnamed,
            } => Rewrite::ErrorPerInput {
                category,
                every: every.unwrap_or(1),
                unnamed: *unnamed,
            },
            Self::IgnoreAfter => Rewrite::IgnoreAfter,
            Self::SameCursor => Rewrite::SameCursor,
            Self::FreshCursor => Rewrite::FreshCursor,
            _ => return None,
        })
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
            Self::Delay { .. }
            | Self::Dribble { .. }
            | Self::Empty
            | Self::EmptyWithTotal
            | Self::LeaveOut { .. }
            | Self::ErrorPerInput { .. }
            | Self::IgnoreAfter
            | Self::SameCursor
            | Self::FreshCursor => Instead::Nothing,
            Self::Hang { .. } | Self::Drop => Instead::Closed,
            Self::Cut => Instead::Half,
            Self::EmptyBatch => {
                let at = crate::answer::iso(crate::server::now());
                Instead::Answer(Answer::json(
                    200,
                    &json!({"status": "COMPLETE", "results": [], "startedAt": at, "completedAt": at}),
                ))
            }
            Self::Answer {
                name: Named::MissingScopes,
                retry_after,
                scopes: Some(scopes),
                in_context,
            } => with(missing_scopes(scopes, *in_context), retry_after),
            Self::Answer {
                name: Named::MissingScopes,
                retry_after,
                in_context: true,
                ..
            } => with(
                missing_scopes(&["crm.objects.contacts.read".to_owned()], true),
                retry_after,
            ),
            Self::Answer {
                name, retry_after, ..
            } => with(name.answer(portal), retry_after),
            Self::Status {
                status,
                body,
                category,
                message,
                html,
                retry_after,
            } => {
                let text = body.clone().unwrap_or_else(|| {
                    if *html {
                        "<html><body>Service unavailable</body></html>".to_owned()
                    } else {
                        error_body(
                            category.as_deref().unwrap_or("INTERNAL_ERROR"),
                            message.as_deref().unwrap_or("internal error"),
                        )
                        .to_string()
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
    /// A part of the path, `*` standing for anything, `$` for its end. Behind a `?` stand parameters
    /// of the query that have to be there, as in `query`.
    #[serde(default)]
    pub(crate) path: Option<String>,
    /// Parameters that have to be there, in any order: `archived=true`, or `after` with any value.
    #[serde(default)]
    pub(crate) query: Option<String>,
    /// A part of the body.
    #[serde(default)]
    pub(crate) body: Option<String>,
    /// Only requests for more than this: by `limit` of query or body, `count`, or the number of inputs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) limit_over: Option<u64>,
    /// Only every n-th of the matching requests.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) every: Option<u64>,
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
    /// Matching requests so far, for `every`.
    #[serde(skip)]
    seen: u64,
}

const fn before() -> When {
    When::Before
}

/// The fields of a rule, for whoever writes one wrongly.
pub(crate) const FIELDS: &str = "id, method, path (a part; * is anything, $ its end, ?a=b what the query has), query, body, limit_over, skip, nth, every, times, probability (0 to 1), seed, when (\"before\" | \"after\" | {\"later_ms\": N}), effect ({\"status\": {\"status\": N, \"body\": …, \"category\": …, \"message\": …, \"html\": …, \"retry_after\": N}} | {\"answer\": {\"name\": …, \"retry_after\": N, \"scopes\": […], \"in_context\": …}} | {\"hang\": {\"ms\": N}} | \"drop\" | \"cut\" | \"empty_batch\" | {\"delay\": {\"ms\": N}} | {\"dribble\": {\"ms\": N}} | \"empty\" | \"empty_with_total\" | {\"leave_out\": {\"every\": N, \"ids\": […]}} | {\"error_per_input\": {\"category\": …, \"every\": N, \"unnamed\": …}} | \"ignore_after\" | \"same_cursor\" | \"fresh_cursor\"); names of answers are ten_secondly, secondly, daily, rate_limits, expired, unauthenticated, missing_scopes, locked, migration, limit_reached, internal, bad_gateway, unavailable, gateway_timeout, cloudflare_520 to cloudflare_526";

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
        if rule.every == Some(0) {
            return Err("every counts from 1".to_owned());
        }
        if let Effect::LeaveOut { every, ids } = &rule.effect
            && (*every == Some(0) || (every.is_none() && ids.is_empty()))
        {
            return Err("effect.leave_out has every (counted from 1) or ids".to_owned());
        }
        if let Effect::ErrorPerInput { every: Some(0), .. } = rule.effect {
            return Err("effect.error_per_input.every counts from 1".to_owned());
        }
        if let Effect::Answer {
            name,
            scopes,
            in_context,
            ..
        } = &rule.effect
            && *name != Named::MissingScopes
            && (scopes.is_some() || *in_context)
        {
            return Err("effect.answer: scopes and in_context are of missing_scopes".to_owned());
        }
        let rewrites = rule.effect.rewrite().is_some();
        if rewrites && rule.when != When::Before {
            return Err("when: what is made of a right answer stands without when".to_owned());
        }
        if rewrites && rule.names_oauth() {
            return Err("path: the token endpoints give no pages or batches".to_owned());
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

    fn matches(&self, asked: &Asked<'_>) -> bool {
        let (path, of_path) = match self.path.as_deref().map(|p| p.split_once('?')) {
            Some(Some((path, query))) => (Some(path), Some(query)),
            _ => (self.path.as_deref(), None),
        };
        self.times != Some(0)
            && self.method.as_deref().is_none_or(|m| m == asked.method)
            && path.is_none_or(|p| fits(p, asked.path))
            && [of_path, self.query.as_deref()]
                .into_iter()
                .flatten()
                .all(|q| has_parameters(asked.query, q))
            && self
                .body
                .as_deref()
                .is_none_or(|b| contains(asked.body, b.as_bytes()))
            && self.limit_over.is_none_or(|most| {
                rewrites::asked_for(asked.query, asked.body).is_some_and(|n| n > most)
            })
    }
}

/// What a rule looks at.
pub(crate) struct Asked<'a> {
    pub(crate) method: &'a str,
    pub(crate) path: &'a str,
    pub(crate) query: &'a Query,
    pub(crate) body: &'a [u8],
}

/// Whether all parameters are there; one without a value may have any.
fn has_parameters(query: &Query, wanted: &str) -> bool {
    wanted.split('&').filter(|w| !w.is_empty()).all(|pair| {
        let wanted = Query::parse(pair);
        wanted.pairs().all(|(name, value)| {
            query
                .pairs()
                .any(|(n, v)| n == name && (!pair.contains('=') || v == value))
        })
    })
}

fn contains(text: &[u8], part: &[u8]) -> bool {
    part.is_empty() || text.windows(part.len()).any(|w| w == part)
}

fn fits(pattern: &str, path: &str) -> bool {
    let mut rest = path;
    if let Some(pattern) = pattern.strip_suffix('$') {
        // The last piece has to be the end; what is before it is looked for from the left.
        let (before, last) = pattern.rsplit_once('*').unwrap_or(("", pattern));
        return path.ends_with(last) && fits(before, &path[..path.len() - last.len()]);
    }
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
pub(crate) fn strike(rules: &mut [Rule], asked: &Asked<'_>, oauth: bool) -> Option<Struck> {
    for rule in rules {
        if (oauth && !rule.names_oauth()) || !rule.matches(asked) {
            continue;
        }
        if rule.skip > 0 {
            rule.skip -= 1;
            continue;
        }
        rule.seen += 1;
        if rule.every.is_some_and(|n| rule.seen % n != 0) {
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
        struck_at(rules, method, PATH, "", body)
    }

    fn struck_at(rules: &mut [Rule], method: &str, path: &str, query: &str, body: &str) -> bool {
        let query = Query::parse(query);
        let asked = Asked {
            method,
            path,
            query: &query,
            body: body.as_bytes(),
        };
        strike(rules, &asked, path.starts_with("/oauth/")).is_some()
    }

    #[test]
    fn a_query_may_stand_behind_the_path_or_apart() {
        for text in [
            r#"{"path":"/contacts?archived=true&limit=100","effect":"drop"}"#,
            r#"{"query":"limit=100&archived=true","effect":"drop"}"#,
            r#"{"path":"/objects/?archived","query":"limit=100","effect":"drop"}"#,
        ] {
            let mut rules = rule(text);
            assert!(
                struck_at(&mut rules, "GET", PATH, "limit=100&archived=true", ""),
                "{text}"
            );
            assert!(
                !struck_at(&mut rules, "GET", PATH, "limit=10&archived=true", ""),
                "{text}"
            );
            assert!(
                !struck_at(&mut rules, "GET", PATH, "limit=100", ""),
                "{text}"
            );
            assert!(!struck_at(&mut rules, "GET", PATH, "", ""), "{text}");
        }
        let mut rules = rule(r#"{"query":"after=a%3D","effect":"drop"}"#);
        assert!(struck_at(&mut rules, "GET", PATH, "after=a%3D", ""));
        assert!(!struck_at(&mut rules, "GET", PATH, "after=a", ""));
    }

    #[test]
    fn a_path_can_be_told_to_end() {
        let mut rules = rule(r#"{"path":"/objects/*/contacts$","effect":"drop"}"#);
        assert!(struck_at(&mut rules, "GET", PATH, "", ""));
        assert!(!struck_at(&mut rules, "GET", &format!("{PATH}/7"), "", ""));
        assert!(!struck_at(
            &mut rules,
            "GET",
            "/crm/lists/2026-09/contacts",
            "",
            ""
        ));
    }

    #[test]
    fn every_nth_strikes_again_and_again() {
        let mut rules = rule(r#"{"every":3,"effect":"drop"}"#);
        let hits: Vec<bool> = (0..7).map(|_| struck(&mut rules, "GET", "")).collect();
        assert_eq!(hits, [false, false, true, false, false, true, false]);
    }

    #[test]
    fn a_page_can_be_too_large() {
        let mut rules = rule(r#"{"limit_over":50,"effect":"drop"}"#);
        assert!(struck_at(&mut rules, "GET", PATH, "limit=51", ""));
        assert!(!struck_at(&mut rules, "GET", PATH, "limit=50", ""));
        assert!(!struck_at(&mut rules, "GET", PATH, "", ""));
        assert!(struck_at(&mut rules, "POST", PATH, "", r#"{"limit":100}"#));
        assert!(struck_at(
            &mut rules,
            "POST",
            PATH,
            "",
            r#"{"limit":"100"}"#
        ));
        assert!(!struck_at(&mut rules, "POST", PATH, "", r#"{"count":20}"#));
        let inputs = vec![r#"{"id":"1"}"#; 51].join(",");
        assert!(struck_at(
            &mut rules,
            "POST",
            PATH,
            "",
            &format!(r#"{{"inputs":[{inputs}]}}"#)
        ));
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
        assert!(!struck_at(
            &mut rules,
            "POST",
            "/oauth/2026-09/token",
            "",
            ""
        ));
        let mut rules = rule(r#"{"path":"/oauth/","effect":"drop"}"#);
        assert!(struck_at(
            &mut rules,
            "POST",
            "/oauth/2026-09/token",
            "",
            ""
        ));
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
            r#"{"effect":"drop","every":0}"#,
            r#"{"effect":"empty","when":"after"}"#,
            r#"{"effect":{"leave_out":{}}}"#,
            r#"{"effect":{"answer":{"name":"internal","in_context":true}}}"#,
            r#"{"effect":"empty","path":"/oauth/"}"#,
            r#"{}"#,
        ] {
            assert!(Rule::parse(bad.as_bytes(), 1).is_err(), "{bad}");
        }
    }
}
