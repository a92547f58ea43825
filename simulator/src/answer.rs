//! Answers in HubSpot's shapes (`hubspot-api.md` §7).

use serde_json::{Value, json};

/// An answer before it becomes HTTP.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) body: Body,
    /// Names in lower case.
    pub(crate) headers: Vec<(&'static str, String)>,
}

#[derive(Debug)]
pub(crate) enum Body {
    Empty,
    Json(String),
    Html(String),
}

impl Body {
    pub(crate) fn len(&self) -> usize {
        match self {
            Self::Empty => 0,
            Self::Json(text) | Self::Html(text) => text.len(),
        }
    }
}

impl Answer {
    pub(crate) fn json(status: u16, value: &Value) -> Self {
        Self::text(status, value.to_string())
    }

    pub(crate) const fn text(status: u16, json: String) -> Self {
        Self {
            status,
            body: Body::Json(json),
            headers: Vec::new(),
        }
    }

    pub(crate) const fn empty(status: u16) -> Self {
        Self {
            status,
            body: Body::Empty,
            headers: Vec::new(),
        }
    }

    pub(crate) const fn html(status: u16, html: String) -> Self {
        Self {
            status,
            body: Body::Html(html),
            headers: Vec::new(),
        }
    }

    pub(crate) fn redirect(location: String) -> Self {
        Self {
            status: 302,
            body: Body::Empty,
            headers: vec![("location", location)],
        }
    }

    /// The same with one header more.
    pub(crate) fn with_header(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.headers.push((name, value.into()));
        self
    }

    /// The same with one field more in its JSON, unless there is nothing to say.
    pub(crate) fn with_field(self, name: &str, values: Vec<Value>) -> Self {
        let Body::Json(text) = &self.body else {
            return self;
        };
        if values.is_empty() {
            return self;
        }
        let mut body: Value = serde_json::from_str(text).unwrap_or_default();
        body[name] = Value::Array(values);
        Self {
            body: Body::Json(body.to_string()),
            ..self
        }
    }

    /// `{status: "error", message, correlationId, category}`
    pub(crate) fn error(status: u16, category: &str, message: &str) -> Self {
        Self::json(status, &error_body(category, message))
    }

    pub(crate) fn not_found() -> Self {
        Self::json(
            404,
            &json!({"status": "error", "message": "resource not found", "correlationId": CORRELATION, "category": "OBJECT_NOT_FOUND"}),
        )
    }

    /// A type of records that HubSpot does not know; the body has no category.
    pub(crate) fn unknown_type(name: &str) -> Self {
        Self::json(
            400,
            &json!({"status": "error", "message": format!("Unable to infer object type from: {name}"), "correlationId": CORRELATION}),
        )
    }

    pub(crate) fn method_not_allowed() -> Self {
        Self::error(405, "METHOD_NOT_ALLOWED", "HTTP 405 Method Not Allowed")
    }

    pub(crate) fn validation(message: &str) -> Self {
        Self::error(400, "VALIDATION_ERROR", message)
    }
}

pub(crate) const CORRELATION: &str = "aeb5f871-7f07-4993-9211-075dc63e7cbf";

pub(crate) fn error_body(category: &str, message: &str) -> Value {
    json!({"status": "error", "message": message, "correlationId": CORRELATION, "category": category})
}

/// Writes a string as JSON.
pub(crate) fn push_string(out: &mut String, text: &str) {
    // Writing to a String cannot fail, and a str is always valid.
    out.push_str(&serde_json::to_string(text).unwrap_or_default());
}

/// Milliseconds as HubSpot writes times.
pub(crate) fn iso(ms: i64) -> String {
    chrono::DateTime::from_timestamp_millis(ms)
        .unwrap_or_default()
        .to_rfc3339_opts(chrono::SecondsFormat::Millis, true)
}
