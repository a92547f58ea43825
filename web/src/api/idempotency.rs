//! `Idempotency-Key`: a call that is sent again gets the answer of the first one.

use axum::{
    RequestExt as _,
    body::{Body, Bytes, to_bytes},
    extract::{RawPathParams, Request, State},
    http::{HeaderValue, Method, StatusCode, header},
    middleware::Next,
    response::{IntoResponse as _, Response},
};
use chrono::Utc;
use domain::{WorkspaceId, api::IdempotencyKey};
use store::{CallBegun, KeptAnswer, KeyedCall};

use crate::{
    api::extract::{read_whole, text_header},
    problem::Refusal,
    state::App,
};

const HEADER: &str = "idempotency-key";
/// Tells a caller that nothing was done this time.
const REPLAYED: &str = "idempotency-replayed";

/// Calls whose answer is a secret, or a link that is good for minutes: it must not lie around for a
/// day. Repeated, they make another one.
pub(crate) fn answers_with_a_secret(path: &str) -> bool {
    path.ends_with("/tokens") || path.ends_with("/hubspot/connect")
}

/// Keeps answers of POSTs that carry a key, and gives them again.
pub(crate) async fn replay(
    State(app): State<App>,
    mut request: Request,
    next: Next,
) -> Result<Response, Refusal> {
    if request.method() != Method::POST || answers_with_a_secret(request.uri().path()) {
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
    match store.begin_call(call, Utc::now()).await? {
        CallBegun::New => {}
        CallBegun::Answered(kept) => return Ok(again(kept)),
        CallBegun::UnderWay => return Err(Refusal::CallUnderWay),
        CallBegun::OtherCall => return Err(Refusal::KeyOfOtherCall),
    }
    let answer = next.run(Request::from_parts(parts, Body::from(body))).await;
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
            )
            .await
    } else {
        store.give_up_call(call).await
    };
    if let Err(error) = kept {
        // The call is done all the same; sent again it is told to wait, and is then done again,
        // which is harmless for all calls but not for free.
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
