//! A real browser: Chromium without a window, driven by its DevTools protocol.

use std::{
    path::Path,
    process::Stdio,
    time::{Duration, Instant},
};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::{
    io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader},
    process::{Child, ChildStdin, ChildStdout, Command},
};

/// A loaded machine starts it in seconds.
const ANSWERS_WITHIN: Duration = Duration::from_secs(60);
/// The code of an answer that the page went away from under.
const NAVIGATED: i64 = -32_000;
const SHOWS_WITHIN: Duration = Duration::from_secs(60);

/// A browser with one tab and a profile of its own.
#[derive(Debug)]
pub struct Browser {
    /// Killed when it is dropped.
    _process: Child,
    _profile: TempDir,
    input: ChildStdin,
    output: BufReader<ChildStdout>,
    tab: Option<String>,
    calls: u64,
    violations: Vec<String>,
    asked: Vec<String>,
}

impl Browser {
    /// Starts one.
    ///
    /// # Panics
    /// When it does not start.
    pub async fn start() -> Self {
        let chromium = std::env::var_os("HUBSPOT_SYNC_CHROMIUM")
            .expect("HUBSPOT_SYNC_CHROMIUM is not set: run the tests with `cargo dev test`");
        let profile = tempfile::tempdir().expect("a folder");
        // It takes orders by descriptor 3 and answers by 4; a child of ours has pipes at 0 and 1.
        let mut process = Command::new("sh")
            .args(["-c", r#"exec "$0" "$@" 3<&0 4>&1 0</dev/null 1>&2"#])
            .arg(chromium)
            .args([
                "--headless",
                "--no-sandbox",
                "--disable-gpu",
                "--disable-quic",
                "--no-first-run",
                "--disable-background-networking",
                "--disable-component-update",
                "--disable-sync",
                "--remote-debugging-pipe",
            ])
            .arg(format!("--user-data-dir={}", profile.path().display()))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .kill_on_drop(true)
            .spawn()
            .expect("Chromium starts");
        let mut browser = Self {
            input: process.stdin.take().expect("a pipe"),
            output: BufReader::new(process.stdout.take().expect("a pipe")),
            _process: process,
            _profile: profile,
            tab: None,
            calls: 0,
            violations: Vec::new(),
            asked: Vec::new(),
        };
        let target = browser
            .call("Target.createTarget", json!({"url": "about:blank"}))
            .await;
        let attach = json!({"targetId": target["targetId"], "flatten": true});
        let attached = browser.call("Target.attachToTarget", attach).await;
        browser.tab = attached["sessionId"].as_str().map(str::to_owned);
        for domain in ["Page", "Runtime", "Log"] {
            browser.call(&format!("{domain}.enable"), json!({})).await;
        }
        browser
    }

    /// One order, and its result.
    async fn call(&mut self, method: &str, params: Value) -> Value {
        let mut answer = self.answer(method, params).await;
        assert!(answer["error"].is_null(), "{method}: {answer}");
        answer["result"].take()
    }

    /// Sends an order, and gives its number.
    async fn order(&mut self, method: &str, params: Value) -> u64 {
        self.calls += 1;
        let mut order = json!({"id": self.calls, "method": method, "params": params});
        if let Some(tab) = &self.tab {
            order["sessionId"] = json!(tab);
        }
        let mut bytes = order.to_string().into_bytes();
        bytes.push(0);
        self.input.write_all(&bytes).await.expect("it listens");
        self.calls
    }

    /// The whole answer to an order.
    async fn answer(&mut self, method: &str, params: Value) -> Value {
        let number = self.order(method, params).await;
        loop {
            let mut answer = Vec::new();
            let read = self.output.read_until(0, &mut answer);
            tokio::time::timeout(ANSWERS_WITHIN, read)
                .await
                .unwrap_or_else(|_| panic!("{method}: no answer"))
                .expect("it speaks");
            assert_eq!(answer.pop(), Some(0), "{method}: the browser ended");
            let answer: Value = serde_json::from_slice(&answer).expect("JSON");
            if answer["id"] == number {
                return answer;
            }
            if answer["method"] == "Page.javascriptDialogOpening" {
                // Nothing goes on before somebody says yes.
                let kind = answer["params"]["type"].as_str().unwrap_or_default();
                self.asked.push(kind.to_owned());
                self.order("Page.handleJavaScriptDialog", json!({"accept": true}))
                    .await;
            }
            let entry = &answer["params"]["entry"];
            if entry["source"] == "security" {
                self.violations.push(entry["text"].to_string());
            }
        }
    }

    /// What a script gives, once it is there; null where the page is just changing.
    pub async fn evaluate(&mut self, script: &str) -> Value {
        let params = json!({"expression": script, "returnByValue": true, "awaitPromise": true});
        let mut answer = self.answer("Runtime.evaluate", params).await;
        if answer["error"]["code"] == NAVIGATED {
            return Value::Null;
        }
        assert!(answer["error"].is_null(), "{script}: {answer}");
        answer["result"]["result"]["value"].take()
    }

    /// Types an address.
    pub async fn open(&mut self, url: &str) {
        self.call("Page.navigate", json!({"url": url})).await;
    }

    /// Loads the page again.
    pub async fn reload(&mut self) {
        self.mark().await;
        self.call("Page.reload", json!({})).await;
        self.until_next().await;
    }

    /// Types an address, and waits until its page is there.
    pub async fn visit(&mut self, url: &str) {
        self.mark().await;
        self.open(url).await;
        self.until_next().await;
    }

    /// Sends a form of this page's session, and waits until the page that answers is there.
    ///
    /// # Panics
    /// When it does not come in time.
    pub async fn send(&mut self, path: &str, fields: &[(&str, &str)]) {
        self.mark().await;
        let script = format!(
            "(() => {{ const form = document.createElement('form'); form.method = 'post'; \
             form.action = {path:?}; \
             const csrf = document.querySelector('[name=csrf]').value; \
             for (const [name, value] of [['csrf', csrf], ...{}]) {{ \
             const field = document.createElement('textarea'); field.name = name; field.value = value; \
             form.append(field); }} \
             document.body.append(form); form.submit(); }})()",
            json!(fields)
        );
        self.evaluate(&script).await;
        self.until_next().await;
    }

    /// Leaves a mark that the next page does not have.
    async fn mark(&mut self) {
        self.evaluate("window.wasThereBefore = true").await;
    }

    async fn until_next(&mut self) {
        let deadline = Instant::now() + SHOWS_WITHIN;
        let loaded = "!window.wasThereBefore && document.readyState === 'complete'";
        while self.evaluate(loaded).await != true {
            assert!(Instant::now() < deadline, "the next page does not come");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    /// Keeps a cookie that another browser got from this address.
    pub async fn keep_cookie(&mut self, url: &str, name: &str, value: &str) {
        let path = json!({"url": url, "name": name, "value": value, "path": "/"});
        self.call("Network.setCookie", path).await;
    }

    /// From the next page on no page's own script runs.
    pub async fn without_script(&mut self) {
        self.call(
            "Emulation.setScriptExecutionDisabled",
            json!({"value": true}),
        )
        .await;
    }

    /// How wide the window is, and whether the system is dark. Nothing moves.
    pub async fn looks(&mut self, width: u32, dark: bool) {
        let size = json!({"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": false});
        self.call("Emulation.setDeviceMetricsOverride", size).await;
        let scheme = if dark { "dark" } else { "light" };
        let features = json!({"features": [
            {"name": "prefers-color-scheme", "value": scheme},
            {"name": "prefers-reduced-motion", "value": "reduce"},
        ]});
        self.call("Emulation.setEmulatedMedia", features).await;
    }

    /// A picture of the whole page.
    ///
    /// # Panics
    /// When it cannot be written.
    pub async fn picture(&mut self, to: &Path) {
        let whole = json!({"format": "png", "captureBeyondViewport": true});
        let picture = self.call("Page.captureScreenshot", whole).await;
        let data = picture["data"].as_str().expect("a picture");
        let bytes = STANDARD.decode(data).expect("base64");
        std::fs::write(to, bytes).expect("the picture is written");
    }

    /// Presses a key: `Tab`, `Enter`, `Space`, `ArrowDown`, `Escape`.
    ///
    /// # Panics
    /// When the key is not known here.
    pub async fn press(&mut self, key: &str) {
        let (name, code, text) = match key {
            "Tab" => ("Tab", 9, ""),
            "Enter" => ("Enter", 13, "\r"),
            "Space" => (" ", 32, " "),
            "ArrowDown" => ("ArrowDown", 40, ""),
            "Escape" => ("Escape", 27, ""),
            _ => panic!("{key} is no key"),
        };
        for kind in ["keyDown", "keyUp"] {
            let text = if kind == "keyDown" { text } else { "" };
            let event = json!({
                "type": kind, "key": name, "code": key, "windowsVirtualKeyCode": code, "text": text,
            });
            self.call("Input.dispatchKeyEvent", event).await;
        }
    }

    /// Types a text where the cursor is.
    pub async fn type_in(&mut self, text: &str) {
        self.call("Input.insertText", json!({"text": text})).await;
    }

    /// Presses Tab until the element with this selector has the focus, and says which ones had it on the
    /// way.
    ///
    /// # Panics
    /// When it is not reached.
    pub async fn tab_to(&mut self, selector: &str) -> Vec<String> {
        let mut passed = Vec::new();
        for _ in 0..300 {
            self.press("Tab").await;
            let script = format!(
                "(() => {{ const e = document.activeElement; \
                 return [e.matches({selector:?}), e.outerHTML.slice(0, 120)]; }})()"
            );
            let now = self.evaluate(&script).await;
            if now[0] == true {
                return passed;
            }
            passed.push(now[1].as_str().unwrap_or_default().to_owned());
        }
        panic!("no key leads to {selector}, but to {passed:#?}")
    }

    /// Presses the back button; `false` where there is nothing before.
    pub async fn back(&mut self) -> bool {
        let history = self.history().await;
        let current = history["currentIndex"].as_u64().expect("an index");
        let Some(before) = current.checked_sub(1) else {
            return false;
        };
        let entry = &history["entries"][usize::try_from(before).expect("an index")];
        let to = json!({"entryId": entry["id"]});
        self.call("Page.navigateToHistoryEntry", to).await;
        let deadline = Instant::now() + SHOWS_WITHIN;
        loop {
            let history = self.history().await;
            if history["currentIndex"] == before {
                return true;
            }
            assert!(Instant::now() < deadline, "it does not go back");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    /// Where one was, once no page is just changing.
    async fn history(&mut self) -> Value {
        let deadline = Instant::now() + SHOWS_WITHIN;
        loop {
            let method = "Page.getNavigationHistory";
            let mut answer = self.answer(method, json!({})).await;
            if answer["error"].is_null() {
                return answer["result"].take();
            }
            let is_changing = answer["error"]["code"] == NAVIGATED;
            assert!(
                is_changing && Instant::now() < deadline,
                "{method}: {answer}"
            );
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    /// What can be read on the page.
    pub async fn text(&mut self) -> String {
        let text = self.evaluate("document.body?.innerText").await;
        text.as_str().unwrap_or_default().to_owned()
    }

    /// What can be read in the element with this selector.
    pub async fn text_of(&mut self, selector: &str) -> String {
        let text = self
            .evaluate(&format!("{}?.innerText", element(selector)))
            .await;
        text.as_str().unwrap_or_default().to_owned()
    }

    /// A style of the element with this selector, as it is shown.
    pub async fn style_of(&mut self, selector: &str, style: &str) -> String {
        let script = format!("getComputedStyle({})[{style:?}]", element(selector));
        self.evaluate(&script).await.to_string()
    }

    /// Waits until this can be read on the page, and gives all of it.
    ///
    /// # Panics
    /// When it does not come in time.
    pub async fn until_shown(&mut self, part: &str) -> String {
        let deadline = Instant::now() + SHOWS_WITHIN;
        loop {
            let text = self.text().await;
            if text.contains(part) {
                return text;
            }
            assert!(Instant::now() < deadline, "no {part:?} but {text}");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    /// Waits until this can be read on the page no more.
    ///
    /// # Panics
    /// When it stays.
    pub async fn until_gone(&mut self, part: &str) {
        let deadline = Instant::now() + SHOWS_WITHIN;
        loop {
            let text = self.text().await;
            if !text.is_empty() && !text.contains(part) {
                return;
            }
            assert!(Instant::now() < deadline, "still {part:?} in {text}");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    /// Chooses an option.
    pub async fn choose(&mut self, selector: &str, value: &str) {
        let script = format!("{}.value = {value:?}", element(selector));
        assert_eq!(self.evaluate(&script).await, value, "{selector}");
    }

    /// Presses the mouse so many times in a row where the element is.
    ///
    /// # Panics
    /// When it is not there.
    pub async fn click(&mut self, selector: &str, times: u32) {
        let script = format!(
            "(() => {{ const e = {}; e.scrollIntoView({{block: 'center'}}); \
             const r = e.getBoundingClientRect(); \
             return [r.x + r.width / 2, r.y + r.height / 2]; }})()",
            element(selector)
        );
        let at = self.evaluate(&script).await;
        assert!(at[0].is_number(), "there is no {selector}");
        for count in 1..=times {
            for kind in ["mousePressed", "mouseReleased"] {
                let event = json!({
                    "type": kind, "x": at[0], "y": at[1], "button": "left", "clickCount": count,
                });
                self.call("Input.dispatchMouseEvent", event).await;
            }
        }
    }

    /// From the overview of a workspace without a connection to HubSpot's consent page and back, to the
    /// confirmation and on to the settings.
    ///
    /// # Panics
    /// When one of these pages does not come.
    pub async fn connect(&mut self, portal: domain::PortalId) {
        self.click("#connect", 1).await;
        self.until_shown("The app asks for").await;
        self.choose("#portal", &portal.to_string()).await;
        self.click("#approve", 1).await;
        self.until_shown("Connect this HubSpot account to this workspace?")
            .await;
        self.click("#connect", 1).await;
        self.until_shown("HubSpot is connected").await;
        self.click("#settings", 1).await;
    }

    /// Where it is.
    pub async fn address(&mut self) -> String {
        let address = self.evaluate("location.href").await;
        address.as_str().unwrap_or_default().to_owned()
    }

    /// Runs a script in the page.
    pub async fn run(&mut self, script: &str) {
        self.evaluate(script).await;
    }

    /// What pages asked in a dialog (`beforeunload`: whether to leave) since this was called last. It was
    /// answered yes.
    pub fn asked(&mut self) -> Vec<String> {
        std::mem::take(&mut self.asked)
    }

    /// What the page was kept from by its own policy, so far.
    pub async fn violations(&mut self) -> Vec<String> {
        // What happened before this was answered has been told.
        self.evaluate("0").await;
        self.violations.clone()
    }
}

fn element(selector: &str) -> String {
    format!("document.querySelector({selector:?})")
}
