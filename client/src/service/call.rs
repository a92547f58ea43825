//! One call: address, headers, body, and how its answer is read.

use domain::{
    WorkspaceId,
    api::{IdempotencyKey, PageCursor, PageLimit, Problem},
};
use reqwest::{Method, RequestBuilder, Response, StatusCode, header};
use secrecy::ExposeSecret as _;
use serde::{Serialize, de::DeserializeOwned};
use url::Url;

use super::{Error, HubSpotSync, Unexpected};
use crate::Cause;

/// Far above every answer that is not a listing; keeps a wrong address from filling the memory.
const USUAL_ANSWER_BYTES: usize = 1024 * 1024;
/// For pages of up to 1,000 records, outcomes of as many items, and settings with their problems. A
/// bulk call carries 8 MiB for 1,000 records, and records grow over several calls.
const LARGE_ANSWER_BYTES: usize = 32 * 1024 * 1024;
/// RFC 9457
const PROBLEM_JSON: &str = "application/problem+json";

/// A call that is being put together.
pub(super) struct Call {
    request: RequestBuilder,
    most_bytes: usize,
}

impl HubSpotSync {
    /// A call about something of a workspace.
    pub(super) fn call(&self, method: Method, workspace: WorkspaceId, path: &[&str]) -> Call {
        let mut request = self
            .http
            .request(method, self.address(workspace, path))
            .header(header::ACCEPT, "application/json, application/problem+json");
        if let Some(token) = &self.token {
            request = request.bearer_auth(token.expose_secret());
        }
        Call {
            request,
            most_bytes: USUAL_ANSWER_BYTES,
        }
    }

    pub(super) fn get(&self, workspace: WorkspaceId, path: &[&str]) -> Call {
        self.call(Method::GET, workspace, path)
    }

    pub(super) fn post(&self, workspace: WorkspaceId, path: &[&str]) -> Call {
        self.call(Method::POST, workspace, path)
    }

    fn address(&self, workspace: WorkspaceId, rest: &[&str]) -> Url {
        let mut address = self.base.clone();
        if let Ok(mut path) = address.path_segments_mut() {
            path.pop_if_empty()
                .extend(["api", "v1", "workspaces", &workspace.to_string()])
                .extend(rest);
        }
        address
    }
}

impl Call {
    pub(super) fn body(mut self, body: &impl Serialize) -> Self {
        self.request = self.request.json(body);
        self
    }

    /// Makes it harmless to send the call again: the first answer comes back.
    pub(super) fn key(mut self, key: Option<&IdempotencyKey>) -> Self {
        if let Some(key) = key {
            self.request = self.request.header("Idempotency-Key", key.as_str());
        }
        self
    }

    pub(super) fn query(mut self, name: &str, value: &impl ToString) -> Self {
        self.request = self.request.query(&[(name, value.to_string())]);
        self
    }

    /// Which page of a listing.
    pub(super) fn page(self, after: Option<&PageCursor>, limit: PageLimit) -> Self {
        let call = self.query("limit", &limit.get()).large();
        match after {
            Some(after) => call.query("after", &after.as_str()),
            None => call,
        }
    }

    /// The answer may take so long, whatever the client's usual wait is.
    pub(super) fn within(mut self, longest: std::time::Duration) -> Self {
        self.request = self.request.timeout(longest);
        self
    }

    /// The answer may be long.
    pub(super) fn large(mut self) -> Self {
        self.most_bytes = LARGE_ANSWER_BYTES;
        self
    }

    /// Sends it, and reads the answer.
    pub(super) async fn answer<A: DeserializeOwned>(self) -> Result<A, Error> {
        let (status, body) = self.send().await?;
        serde_json::from_slice(&body).map_err(|_| unexpected(status, Unexpected::Body))
    }

    /// Sends what is answered without a body.
    pub(super) async fn done(self) -> Result<(), Error> {
        self.send().await.map(|_| ())
    }

    /// The body of a success.
    async fn send(self) -> Result<(StatusCode, Vec<u8>), Error> {
        let mut response = self.request.send().await.map_err(unreachable)?;
        let status = response.status();
        let is_problem = is_problem(&response);
        let announced = response.content_length().unwrap_or(0);
        if usize::try_from(announced).is_ok_and(|bytes| bytes > self.most_bytes) {
            return Err(unexpected(status, Unexpected::TooLarge));
        }
        let mut body = Vec::new();
        while let Some(chunk) = response.chunk().await.map_err(unreachable)? {
            if body.len() + chunk.len() > self.most_bytes {
                return Err(unexpected(status, Unexpected::TooLarge));
            }
            body.extend_from_slice(&chunk);
        }
        if status.is_success() {
            return Ok((status, body));
        }
        if status.is_redirection() {
            return Err(unexpected(status, Unexpected::Redirect));
        }
        if !is_problem {
            return Err(unexpected(status, Unexpected::NoProblem));
        }
        Err(refused(status, &body))
    }
}

fn is_problem(response: &Response) -> bool {
    response
        .headers()
        .get(header::CONTENT_TYPE)
        .and_then(|value| value.to_str().ok())
        .and_then(|value| value.split(';').next())
        .is_some_and(|media_type| media_type.trim().eq_ignore_ascii_case(PROBLEM_JSON))
}

/// What a problem document says. Those of settings have data beside the text; one of a newer
/// service, with data that cannot be read here, is told as text.
fn refused(status: StatusCode, body: &[u8]) -> Error {
    let Ok(problem) = serde_json::from_slice::<Problem>(body) else {
        return unexpected(status, Unexpected::NoProblem);
    };
    let with_data = match problem.code.as_str() {
        "HS-2190" => serde_json::from_slice(body)
            .ok()
            .map(|data| Error::SettingsRefused(Box::new(data))),
        "HS-2191" => serde_json::from_slice(body)
            .ok()
            .map(|data| Error::SettingsConflict(Box::new(data))),
        _ => None,
    };
    with_data.unwrap_or(Error::Problem {
        code: problem.code,
        title: problem.title,
        detail: problem.detail,
        status: status.as_u16(),
    })
}

fn unreachable(error: reqwest::Error) -> Error {
    let fallback = if error.is_timeout() {
        Cause::TimedOut
    } else if error.is_connect() {
        Cause::NoConnection
    } else {
        Cause::Broken
    };
    Error::Unreachable {
        cause: Cause::of(&error, fallback),
        source: error.without_url(),
    }
}

fn unexpected(status: StatusCode, reason: Unexpected) -> Error {
    Error::UnexpectedAnswer {
        status: status.as_u16(),
        reason,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn workspace() -> WorkspaceId {
        "01890a5d-ac96-774b-bcce-b302099a8057".parse().unwrap()
    }

    #[test]
    fn a_path_in_the_base_url_is_kept() {
        for base in [
            "https://sync.example.com/front",
            "https://sync.example.com/front/",
        ] {
            let client = HubSpotSync::builder(base.parse().unwrap()).build().unwrap();
            assert_eq!(
                client.address(workspace(), &["hubspot", "status"]).as_str(),
                "https://sync.example.com/front/api/v1/workspaces/\
                 01890a5d-ac96-774b-bcce-b302099a8057/hubspot/status"
            );
        }
    }

    #[test]
    fn problems_of_settings_have_their_data() {
        let status = StatusCode::UNPROCESSABLE_ENTITY;
        let head = r#""type":"/docs/errors#x","title":"t","status":422,"detail":"d""#;
        let rows = r#"[{"path":"/contacts/1","code":"HS-2101","severity":"error","message":"m"}]"#;
        let body = format!(r#"{{{head},"code":"HS-2190","problems":{rows}}}"#);
        let Error::SettingsRefused(refused) = refused(status, body.as_bytes()) else {
            panic!("no data");
        };
        assert_eq!(refused.problems[0].path.as_str(), "/contacts/1");
        // Of a newer service.
        let body = format!(r#"{{{head},"code":"HS-2191","changes":"many"}}"#);
        let error = super::refused(status, body.as_bytes());
        assert!(matches!(&error, Error::Problem { .. }), "{error:?}");
        assert_eq!(error.code(), Some("HS-2191"));
    }
}
