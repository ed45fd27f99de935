//! A real browser: headless Chromium, driven by chromedriver over the WebDriver protocol.
//!
//! Clicks and keys are those of a person: what is hidden, covered or out of reach cannot be pressed. Waiting is looking
//! at the page again and again until a deadline; nothing waits for a fixed time.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

/// How long the page may take for anything.
const PATIENCE: Duration = Duration::from_secs(120);

/// How often it is looked at.
const LOOK: Duration = Duration::from_millis(20);

/// Under this key an answer names an element (W3C WebDriver, section 12).
const ELEMENT: &str = "element-6066-11e4-a52e-4f735466cecf";

/// A browser with one window, and a profile of its own.
pub struct Browser {
    driver: Child,
    port: u16,
    session: String,
    pictures: Option<PathBuf>,
    _profile: tempfile::TempDir,
}

/// What to look at while a picture is taken.
#[derive(Clone, Copy)]
pub struct Look {
    pub width: u32,
    pub height: u32,
    pub dark: bool,
    /// Pixels of the picture for each of the page's.
    pub scale: f32,
}

/// A desktop window.
pub const DESKTOP: Look = Look { width: 1400, height: 900, dark: false, scale: 1.0 };

/// A desktop window at night.
pub const NIGHT: Look = Look { dark: true, ..DESKTOP };

/// A phone held upright.
pub const PHONE: Look = Look { width: 390, height: 844, ..DESKTOP };

/// As high as a whole story, for the README: `docs/images/demo.png`.
pub const STORY: Look = Look { width: 1120, height: 1570, scale: 1.25, ..DESKTOP };

impl Browser {
    /// Starts one. `None`, with a word on the test's output, where there is no Chromium and nobody insists on it.
    pub fn start() -> Option<Self> {
        let profile = tempfile::tempdir().expect("a temporary folder");
        #[expect(clippy::disallowed_methods, reason = "the browser, from outside the product")]
        let started = Command::new("chromedriver")
            .arg("--port=0")
            // What the browser leaves in the temporary folder goes with the profile.
            .env("TMPDIR", profile.path())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn();
        let mut driver = match started {
            Ok(driver) => driver,
            Err(error) => return without(&format!("chromedriver does not start ({error})")),
        };
        let port = port(&mut driver);
        let pictures = std::env::var_os("CODEBUTLER_SCREENSHOTS").map(PathBuf::from);
        let data = profile.path().join("data").display().to_string();
        let mut browser = Self { driver, port, session: String::new(), pictures, _profile: profile };
        let options = [
            "--headless",
            "--no-sandbox",
            "--disable-gpu",
            "--disable-dev-shm-usage",
            "--disable-background-networking",
            "--no-first-run",
            "--disable-component-update",
            "--disable-sync",
            "--lang=en-GB",
            &format!("--user-data-dir={data}"),
        ];
        let wanted = json!({ "capabilities": { "alwaysMatch": {
            "goog:chromeOptions": { "args": options },
            "goog:loggingPrefs": { "browser": "ALL" },
            "timeouts": { "script": 120_000, "pageLoad": 120_000 },
        } } });
        match browser.ask("POST", "/session", Some(&wanted)) {
            Ok(session) => browser.session = text(&session["sessionId"]),
            Err(error) if error.contains("cannot find Chrome binary") => return without("there is no chromium"),
            Err(error) => panic!("no browser: {error}"),
        }
        browser.look(DESKTOP);
        Some(browser)
    }

    /// Opens an address.
    pub fn open(&self, url: &str) {
        self.command("url", &json!({ "url": url }));
    }

    /// Loads the page again.
    pub fn reload(&self) {
        self.command("refresh", &json!({}));
    }

    /// Opens an address in a further tab and stays there; gives the name of the tab before it.
    pub fn next_tab(&self, url: &str) -> String {
        let before = self.session("window", "GET", None);
        let tab = self.command("window/new", &json!({ "type": "tab" }));
        self.go_to_tab(&text(&tab["handle"]));
        self.open(url);
        text(&before)
    }

    /// Goes to a tab.
    pub fn go_to_tab(&self, tab: &str) {
        self.command("window", &json!({ "handle": tab }));
    }

    /// What a script returns: the body of a function with these arguments.
    pub fn run(&self, script: &str, arguments: &[&str]) -> Value {
        self.command("execute/sync", &json!({ "script": script, "args": arguments }))
    }

    /// Waits until a script returns something that is true, and gives it.
    pub fn until(&self, what: &str, script: &str, arguments: &[&str]) -> Value {
        let started = Instant::now();
        loop {
            let value = self.run(script, arguments);
            if !matches!(value, Value::Null | Value::Bool(false)) && value != "" {
                return value;
            }
            if started.elapsed() > PATIENCE {
                let page = text(&self.run("return document.body.innerText", &[]));
                panic!("{what} did not come. The page:\n{page}");
            }
            std::thread::sleep(LOOK);
        }
    }

    /// Waits until an element that can be seen has this text, and gives all of its text.
    pub fn sees(&self, selector: &str, words: &str) -> String {
        let script = "return [...document.querySelectorAll(arguments[0])].filter((e) => e.checkVisibility())\
                      .map((e) => e.innerText).find((text) => text.includes(arguments[1]))";
        text(&self.until(&format!("{words:?} in {selector}"), script, &[selector, words]))
    }

    /// How many elements there are.
    pub fn count(&self, selector: &str) -> u64 {
        self.run("return document.querySelectorAll(arguments[0]).length", &[selector]).as_u64().expect("a number")
    }

    /// Clicks on the button with this label, as soon as it is there. Where it moves away under the pointer, again.
    pub fn press(&self, label: &str) {
        let script = "return [...document.querySelectorAll('button, a, summary')]\
                      .find((e) => e.checkVisibility() && !e.disabled && e.innerText.trim() === arguments[0])";
        let started = Instant::now();
        loop {
            let element = self.until(&format!("the button {label:?}"), script, &[label]);
            let path = format!("/session/{}/element/{}/click", self.session, text(&element[ELEMENT]));
            match self.ask("POST", &path, Some(&json!({}))) {
                Ok(_) => return,
                Err(error) => assert!(started.elapsed() < PATIENCE, "{label:?} cannot be clicked: {error}"),
            }
        }
    }

    /// Types on the keyboard, to whatever has the focus. `\u{E004}` is Tab, `\u{E007}` is Enter.
    pub fn keys(&self, keys: &str) {
        let strokes = keys.chars().flat_map(|key| ["keyDown", "keyUp"].map(|kind| json!({"type": kind, "value": key})));
        let keyboard = json!({ "type": "key", "id": "keyboard", "actions": strokes.collect::<Vec<_>>() });
        self.command("actions", &json!({ "actions": [keyboard] }));
    }

    /// What has the focus, by its text or its label.
    pub fn focused(&self) -> String {
        let script = "const e = document.activeElement; return e.getAttribute('aria-label') || e.innerText";
        text(&self.run(script, &[]))
    }

    /// Everything on the browser's console since the last time, such as what the page's own policy has blocked.
    pub fn console(&self) -> Vec<String> {
        let log = self.command("se/log", &json!({ "type": "browser" }));
        log.as_array().into_iter().flatten().map(|line| format!("{}: {}", line["level"], line["message"])).collect()
    }

    /// Changes the window's size and colours.
    pub fn look(&self, look: Look) {
        let scheme = if look.dark { "dark" } else { "light" };
        let size =
            json!({ "width": look.width, "height": look.height, "deviceScaleFactor": look.scale, "mobile": false });
        self.tools("Emulation.setDeviceMetricsOverride", &size);
        let features = json!({ "features": [{ "name": "prefers-color-scheme", "value": scheme }] });
        self.tools("Emulation.setEmulatedMedia", &features);
    }

    /// Takes a picture as `NAME.png` when `CODEBUTLER_SCREENSHOTS` names a folder for them.
    pub fn picture(&self, name: &str, look: Look) {
        let Some(folder) = &self.pictures else { return };
        self.look(look);
        // What the new size sets in motion; a dot that breathes never ends.
        let moving = "return Promise.all(document.getAnimations().filter((a) => a instanceof CSSTransition)\
                      .map((a) => a.finished)).then(() => true)";
        self.run(moving, &[]);
        let picture = self.tools("Page.captureScreenshot", &json!({ "format": "png" }));
        write_picture(&folder.join(format!("{name}.png")), &text(&picture["data"]));
        self.look(DESKTOP);
    }

    /// Speaks the protocol of the developer tools, through chromedriver.
    fn tools(&self, method: &str, parameters: &Value) -> Value {
        self.command("goog/cdp/execute", &json!({ "cmd": method, "params": parameters }))
    }

    fn command(&self, path: &str, body: &Value) -> Value {
        self.session(path, "POST", Some(body))
    }

    fn session(&self, path: &str, method: &str, body: Option<&Value>) -> Value {
        self.ask(method, &format!("/session/{}/{path}", self.session), body)
            .unwrap_or_else(|error| panic!("{path} {}: {error}", body.unwrap_or(&Value::Null)))
    }

    /// One request to chromedriver; the error is its own text.
    fn ask(&self, method: &str, path: &str, body: Option<&Value>) -> Result<Value, String> {
        let answer = self.exchange(method, path, body).map_err(|error| format!("chromedriver: {error}"))?;
        let value = answer["value"].clone();
        match value["error"].as_str() {
            Some(error) => Err(format!("{error}: {}", value["message"].as_str().unwrap_or_default())),
            None => Ok(value),
        }
    }

    fn exchange(&self, method: &str, path: &str, body: Option<&Value>) -> std::io::Result<Value> {
        let body = body.map(Value::to_string).unwrap_or_default();
        let mut stream = TcpStream::connect(("127.0.0.1", self.port))?;
        stream.set_read_timeout(Some(2 * PATIENCE))?;
        let head = format!("{method} {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: {}\r\n\r\n", body.len());
        stream.write_all((head + &body).as_bytes())?;
        let mut reader = BufReader::new(stream);
        let mut length = 0;
        loop {
            let mut line = String::new();
            reader.read_line(&mut line)?;
            match line.trim_end().to_lowercase().split_once(':') {
                Some(("content-length", value)) => length = value.trim().parse().map_err(std::io::Error::other)?,
                _ if line.trim_end().is_empty() => break,
                _ => {}
            }
        }
        let mut answer = vec![0; length];
        reader.read_exact(&mut answer)?;
        Ok(serde_json::from_slice(&answer)?)
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        if !self.session.is_empty() {
            let _ = self.ask("DELETE", &format!("/session/{}", self.session), None);
        }
        let _ = self.driver.kill();
        let _ = self.driver.wait();
    }
}

/// No browser: fine, unless this run is to test everything.
fn without(reason: &str) -> Option<Browser> {
    let insists = std::env::var("CODEBUTLER_TEST_FULL").is_ok_and(|value| value == "1");
    assert!(!insists, "{reason}; install chromium and chromium-driver");
    #[expect(clippy::print_stdout, reason = "a test that did not look says so")]
    {
        println!("skipped: {reason}");
    }
    None
}

/// The port that chromedriver says it listens on.
fn port(driver: &mut Child) -> u16 {
    let output = driver.stdout.take().expect("piped");
    let lines = BufReader::new(output).lines().map_while(Result::ok);
    let port = lines
        .filter(|line| line.contains("started successfully"))
        .find_map(|line| line.trim_end_matches('.').rsplit_once(' ').and_then(|(_, port)| port.parse().ok()));
    port.expect("chromedriver says where it listens")
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

/// Decodes the base64 in which pictures come.
fn write_picture(path: &Path, base64: &str) {
    const DIGITS: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let (mut bytes, mut bits, mut count) = (Vec::new(), 0_u32, 0);
    for digit in base64.bytes().filter_map(|byte| DIGITS.iter().position(|digit| *digit == byte)) {
        bits = bits << 6 | u32::try_from(digit).expect("below 64");
        count += 6;
        if count >= 8 {
            count -= 8;
            bytes.push((bits >> count & 0xff) as u8);
        }
    }
    std::fs::create_dir_all(path.parent().expect("in a folder")).expect("the folder of the pictures");
    std::fs::write(path, bytes).expect("the picture is written");
}
