//! `Idempotency-Key`: a call that is sent again gets the answer of the first one.

use axum::{
    RequestExt as _,
    body::{Body, Bytes, to_bytes},
    extract::{FromRequestParts, RawPathParams, Request, State},
    http::{HeaderValue, Method, StatusCode, header, request::Parts},
    middleware::Next,
    response::{IntoResponse as _, Response},
};
use chrono::{DateTime, TimeDelta, Utc};
use domain::{WorkspaceId, api::IdempotencyKey};
use store::{CallBegun, KeptAnswer, KeyedCall};
use uuid::Uuid;

use crate::{
    api::extract::{read_whole, text_header},
    problem::Refusal,
    state::App,
};

const HEADER: &str = "idempotency-key";
/// Tells a caller that nothing was done this time.
const REPLAYED: &str = "idempotency-replayed";

/// Calls whose answer is a secret, or a link that is good for minutes: it must not lie around for a
/// day. Repeated, they make another one. And a verdict holds for its moment: one of yesterday would let
/// somebody be contacted today; so does a preview, which has values of people in it.
pub(crate) fn answer_is_not_kept(path: &str) -> bool {
    ["/tokens", "/hubspot/connect", "/dnc", "/exports/preview"]
        .iter()
        .any(|end| path.ends_with(end))
}

/// Ids of what a call makes. With an `Idempotency-Key` they follow from the call: should it die after
/// its effect and before its answer was kept, the same call makes the same rows, which are there.
#[derive(Debug, Clone, Copy)]
pub(crate) struct CallIds(Option<Seed>);

#[derive(Debug, Clone, Copy)]
struct Seed {
    first_at: DateTime<Utc>,
    hash: [u8; 32],
}

impl CallIds {
    /// Of a call without a key.
    pub(crate) const fn fresh() -> Self {
        Self(None)
    }

    /// When the call first began, if it died then and is sent again. That is a minute ago at least:
    /// a call of just now is not told from one of another process's clock.
    pub(crate) fn died_before(&self, now: DateTime<Utc>) -> Option<DateTime<Utc>> {
        let first_at = self.0?.first_at;
        (now - first_at > TimeDelta::seconds(30)).then_some(first_at)
    }

    /// The id of the n-th thing; in order of time, as those that are made without a key.
    pub(crate) fn nth(&self, n: usize) -> Uuid {
        let Some(Seed { first_at, hash }) = self.0 else {
            return Uuid::now_v7();
        };
        let millis = u64::try_from(first_at.timestamp_millis()).unwrap_or_default();
        let mut rest = [0; 10];
        rest.copy_from_slice(&hash[..10]);
        // Twelve bits say which of the call's things it is: more than a call may make.
        let place = u16::try_from(n).unwrap_or(u16::MAX).to_be_bytes();
        rest[..2].copy_from_slice(&place);
        uuid::Builder::from_unix_timestamp_millis(millis, &rest).into_uuid()
    }
}

impl<S: Sync> FromRequestParts<S> for CallIds {
    type Rejection = std::convert::Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Self::Rejection> {
        Ok(parts.extensions.get().copied().unwrap_or(Self(None)))
    }
}

/// Keeps answers of POSTs that carry a key, and gives them again.
pub(crate) async fn replay(
    State(app): State<App>,
    mut request: Request,
    next: Next,
) -> Result<Response, Refusal> {
    if request.method() != Method::POST || answer_is_not_kept(request.uri().path()) {
        return Ok(next.run(request).await);
    }
    let Some(key) = text_header(request.headers(), HEADER)? else {
        return Ok(next.run(request).await);
    };
    let key = IdempotencyKey::try_from(key.to_owned())
        .map_err(|e| Refusal::Malformed(format!("header Idempotency-Key: {e}")))?;
    let workspace = request
        .extract_parts::<RawPathParams>()
        .await
        .ok()
        .and_then(|params| {
            let (_, text) = params.iter().find(|(name, _)| *name == "workspace")?;
            text.parse::<WorkspaceId>().ok()
        });
    // Without a workspace there is nothing behind the address.
    let Some(workspace) = workspace else {
        return Ok(next.run(request).await);
    };
    let (parts, body) = request.into_parts();
    let body = read_whole(body).await?;
    let store = &app.parts()?.store;
    let call = KeyedCall {
        workspace,
        key: key.as_str(),
        request_hash: store.fingerprint(&[
            parts
                .uri
                .path_and_query()
                .map_or("", |p| p.as_str())
                .as_bytes(),
            &body,
        ]),
    };
    let ids = match store.begin_call(call, Utc::now()).await? {
        CallBegun::New { first_at } => CallIds(Some(Seed {
            first_at,
            hash: store.fingerprint(&[
                workspace.as_uuid().as_bytes(),
                key.as_str().as_bytes(),
                &call.request_hash,
            ]),
        })),
        CallBegun::Answered(kept) => return Ok(again(kept)),
        CallBegun::UnderWay => return Err(Refusal::CallUnderWay),
        CallBegun::OtherCall => return Err(Refusal::KeyOfOtherCall),
    };
    let mut request = Request::from_parts(parts, Body::from(body));
    request.extensions_mut().insert(ids);
    let answer = next.run(request).await;
    let (head, body) = answer.into_parts();
    let body = to_bytes(body, usize::MAX).await.unwrap_or_default();
    // What was done or refused for good stays. The rest depends on the moment and may be sent again.
    let keep = head.status.is_success() || head.status == StatusCode::UNPROCESSABLE_ENTITY;
    let kept = if keep {
        let content_type = head
            .headers
            .get(header::CONTENT_TYPE)
            .and_then(|v| v.to_str().ok())
            .unwrap_or("application/json");
        store
            .finish_call(
                call,
                &KeptAnswer {
                    status: head.status.as_u16(),
                    content_type: content_type.to_owned(),
                    body: body.to_vec(),
                },
                Utc::now(),
            )
            .await
    } else {
        store.give_up_call(call).await
    };
    if let Err(error) = kept {
        // The call is done all the same; sent again it is told to wait, and is then done again,
        // which makes nothing twice ([`CallIds`]).
        tracing::warn!(code = error.code(), "an answer could not be kept");
    }
    Ok(Response::from_parts(head, Body::from(body)))
}

fn again(kept: KeptAnswer) -> Response {
    let mut answer = Bytes::from(kept.body).into_response();
    *answer.status_mut() = StatusCode::from_u16(kept.status).unwrap_or(StatusCode::OK);
    if let Ok(value) = HeaderValue::from_str(&kept.content_type) {
        answer.headers_mut().insert(header::CONTENT_TYPE, value);
    }
    answer
        .headers_mut()
        .insert(REPLAYED, HeaderValue::from_static("true"));
    answer
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_of_a_call_with_a_key_follow_from_it_in_order() {
        let seed = |hash: u8, millis| {
            CallIds(Some(Seed {
                first_at: DateTime::from_timestamp_millis(millis).unwrap(),
                hash: [hash; 32],
            }))
        };
        let ids: Vec<Uuid> = (0..domain::api::MAX_ITEMS)
            .map(|n| seed(1, 9).nth(n))
            .collect();
        assert!(ids.is_sorted_by(|a, b| a < b));
        assert!(ids.iter().all(|id| id.get_version_num() == 7));
        assert_eq!(ids[5], seed(1, 9).nth(5));
        assert_ne!(ids[5], seed(2, 9).nth(5));
        assert!(seed(1, 8).nth(999) < ids[0]);
        assert_ne!(CallIds(None).nth(0), CallIds(None).nth(0));
    }
}
