//! The settings pages as a browser without script uses them.

use dev::entry;
use reqwest::header::{HeaderMap, LOCATION, SET_COOKIE};
use serde_json::{Value, json};
use uuid::Uuid;

use crate::Tenant;

/// The person who looks at the pages.
pub const USER: &str = "0d3f0000-0000-4000-8000-0000000000aa";

/// An answer to a browser.
#[derive(Debug)]
pub struct Got {
    /// HTTP status.
    pub status: u16,
    /// Its headers.
    pub headers: HeaderMap,
    /// The page.
    pub text: String,
}

impl Got {
    /// Our code, of a page that says no.
    pub fn code(&self) -> &str {
        between(&self.text, "quote <code>", "<").unwrap_or_default()
    }

    /// A header; empty where it is not there.
    pub fn header(&self, name: &str) -> &str {
        let value = self.headers.get(name).and_then(|v| v.to_str().ok());
        value.unwrap_or_default()
    }

    /// Where the browser is sent.
    pub fn location(&self) -> &str {
        self.header(LOCATION.as_str())
    }

    /// What a form of this page brings along.
    pub fn csrf(&self) -> &str {
        between(&self.text, "name=\"csrf\" value=\"", "\"").unwrap_or_default()
    }

    /// The revision that a form of this page began from.
    pub fn revision(&self) -> &str {
        between(&self.text, "name=\"revision\" value=\"", "\"").unwrap_or_default()
    }
}

impl Got {
    /// What a browser would send of the form that goes there: names and values, in their order.
    ///
    /// # Panics
    /// When the page has no such form.
    pub fn form(&self, path: &str) -> Vec<(String, String)> {
        let start = format!("method=\"post\" action=\"{path}\"");
        let form = between(&self.text, &start, "</form>");
        let form = form.unwrap_or_else(|| panic!("no form for {path} in {}", self.text));
        let mut fields = Vec::new();
        let mut list: Option<(String, Option<String>)> = None;
        for piece in form.split('<').skip(1) {
            let (tag, text) = piece.split_once('>').unwrap_or((piece, ""));
            let value = || attribute(tag, "value").unwrap_or_default();
            let name = attribute(tag, "name").unwrap_or_default();
            let has = |word: &str| tag.split(' ').any(|part| part == word);
            match tag.split(' ').next().unwrap_or_default() {
                "input" if has("disabled") || name.is_empty() => {}
                "input" => match attribute(tag, "type").as_deref() {
                    Some("checkbox" | "radio") if !has("checked") => {}
                    Some("checkbox") => fields.push((name, "on".to_owned())),
                    _ => fields.push((name, value())),
                },
                "textarea" => fields.push((name, plain(text.trim_start_matches('\n')))),
                "select" => list = Some((name, None)),
                // Without a chosen one it is the first.
                "option" => {
                    if let Some((_, chosen)) = &mut list
                        && (chosen.is_none() || has("selected"))
                    {
                        *chosen = Some(value());
                    }
                }
                "/select" => fields.extend(list.take().map(|(n, v)| (n, v.unwrap_or_default()))),
                _ => {}
            }
        }
        fields
    }
}

fn attribute(tag: &str, name: &str) -> Option<String> {
    between(tag, &format!(" {name}=\""), "\"").map(plain)
}

/// A text without the escapes of HTML.
fn plain(text: &str) -> String {
    let text = text.replace("&lt;", "<").replace("&gt;", ">");
    text.replace("&quot;", "\"").replace("&amp;", "&")
}

/// What stands between two texts.
pub fn between<'a>(text: &'a str, before: &str, after: &str) -> Option<&'a str> {
    text.split_once(before)?.1.split_once(after).map(|(x, _)| x)
}

/// A browser with a session, or without.
#[derive(Debug, Clone)]
pub struct Pages {
    client: reqwest::Client,
    root: String,
    /// The cookie that it sends.
    pub cookie: String,
    /// What its forms bring along.
    pub csrf: String,
}

/// What a token says of somebody of a tenant.
pub fn claims(tenant: &Tenant, role: &str) -> Value {
    let id = Uuid::new_v4().to_string();
    entry::claims(&tenant.id(), USER, role, &id)
}

impl Pages {
    /// A browser without a session.
    ///
    /// # Panics
    /// When there is no HTTP client.
    pub fn stranger(tenant: &Tenant) -> Self {
        Self {
            client: dev::http().expect("an HTTP client"),
            root: tenant.api.addresses().web.clone(),
            cookie: String::new(),
            csrf: String::new(),
        }
    }

    /// A browser that came from the app.
    ///
    /// # Panics
    /// When the pages do not let it in.
    pub async fn open(tenant: &Tenant, role: &str) -> Self {
        let mut named = claims(tenant, role);
        named["user_name"] = json!("Mara Quill");
        Self::open_with(tenant, &named).await
    }

    /// A browser that came with a token that says this.
    ///
    /// # Panics
    /// When the pages do not let it in.
    pub async fn open_with(tenant: &Tenant, claims: &Value) -> Self {
        let mut pages = Self::stranger(tenant);
        let link = entry::link(tenant.api.addresses(), claims).expect("a link");
        let entered = pages.get(link.trim_start_matches(&pages.root)).await;
        assert_eq!(entered.status, 303, "{}", entered.text);
        pages.cookie = cookie_of(&entered);
        pages.csrf = pages.get("/settings/hubspot").await.csrf().to_owned();
        assert!(!pages.csrf.is_empty(), "no form on the overview");
        pages
    }

    /// Loads a page; follows nothing.
    ///
    /// # Panics
    /// When the front door does not answer.
    pub async fn get(&self, path: &str) -> Got {
        let request = self.client.get(format!("{}{path}", self.root));
        self.send(request).await
    }

    /// Loads a page whose body does not end soon.
    ///
    /// # Panics
    /// When the front door does not answer.
    pub async fn stream(&self, path: &str) -> reqwest::Response {
        let request = self.client.get(format!("{}{path}", self.root));
        let request = request.header("cookie", &self.cookie);
        request.send().await.expect("the front door answers")
    }

    /// Sends a form as a page of this session would.
    pub async fn post(&self, path: &str, fields: &[(&str, &str)]) -> Got {
        let csrf = self.csrf.clone();
        self.post_with(path, &csrf, fields).await
    }

    /// Sends a form with this proof of where it comes from.
    ///
    /// # Panics
    /// When the front door does not answer.
    pub async fn post_with(&self, path: &str, csrf: &str, fields: &[(&str, &str)]) -> Got {
        let mut form = vec![("csrf", csrf)];
        form.extend_from_slice(fields);
        let request = self.client.post(format!("{}{path}", self.root)).form(&form);
        self.send(request).await
    }

    /// Asks for a page in another way than a browser does.
    ///
    /// # Panics
    /// When the front door does not answer, or HTTP has no such method.
    pub async fn any(&self, method: &str, path: &str) -> Got {
        let method = method.parse().expect("a method");
        let request = self.client.request(method, format!("{}{path}", self.root));
        self.send(request).await
    }

    async fn send(&self, request: reqwest::RequestBuilder) -> Got {
        let answer = request
            .header("cookie", &self.cookie)
            .send()
            .await
            .expect("the front door answers");
        Got {
            status: answer.status().as_u16(),
            headers: answer.headers().clone(),
            text: answer.text().await.expect("a body"),
        }
    }
}

/// The cookie that an answer sets, as it is sent back.
pub fn cookie_of(got: &Got) -> String {
    let set = got.header(SET_COOKIE.as_str());
    set.split(';').next().unwrap_or_default().to_owned()
}
