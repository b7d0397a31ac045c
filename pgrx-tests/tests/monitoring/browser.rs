//! A real browser, without a screen.

use std::path::Path;
use std::process::{Command, Output};

use serde_json::Value;

/// What the page is shown like.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scheme {
    Light,
    Dark,
}

/// Shows the page in a frame, and writes down what it looks like from there.
const HARNESS: &str = r#"<!doctype html><meta charset="utf-8"><body style="margin:0">
<iframe id="frame" src="page.html" style="border:0;width:{width}px;height:20000px"></iframe>
<pre id="seen"></pre>
<script>
  document.getElementById('frame').addEventListener('load', event => {
    const frame = event.target.contentWindow, page = frame.document;
    document.getElementById('seen').textContent = JSON.stringify({
      width: frame.innerWidth,
      contents: page.documentElement.scrollWidth,
      requests: frame.performance.getEntriesByType('resource').map(entry => entry.name),
      scripts: page.scripts.length,
      handlers: [...page.querySelectorAll('*')].flatMap(element => [...element.attributes])
        .filter(attribute => attribute.name.startsWith('on')).length,
      links: page.querySelectorAll('a, img, object, embed, iframe, form').length,
      hacked: 'hacked' in window || 'hacked' in frame,
      ground: frame.getComputedStyle(page.body).backgroundColor,
      ink: frame.getComputedStyle(page.body).color,
      charts: page.querySelectorAll('svg.chart').length,
      text: page.body.innerText,
    });
  });
</script>"#;

/// Status with which timeout(1) ends, unless it had to kill, and itself as well.
const TIMED_OUT: i32 = 124;

/// Loads a page from a file, and gives what is seen of it; a complaint on the console fails the test.
#[track_caller]
pub fn look(page: &str, width: u32, scheme: Scheme) -> Value {
    let folder = tempfile::tempdir().expect("a folder");
    let file = |name: &str| folder.path().join(name);
    std::fs::write(file("page.html"), page).expect("the page is written");
    std::fs::write(
        file("harness.html"),
        HARNESS.replace("{width}", &width.to_string()),
    )
    .expect("the harness is written");
    let mut output = run_browser(&file("harness.html"), &file("profile"), scheme);
    // A browser that hangs says nothing about the page, unless the next one does so too.
    if output.status.code().is_none_or(|code| code == TIMED_OUT) {
        eprintln!("chromium hung, and is started once more");
        output = run_browser(&file("harness.html"), &file("second-profile"), scheme);
    }
    let (seen, said) = (
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr),
    );
    let complaints: Vec<&str> = said.lines().filter(|line| line.contains("CONSOLE")).collect();
    assert!(complaints.is_empty(), "{complaints:?}");
    let json = seen
        .split_once("<pre id=\"seen\">")
        .and_then(|(_, rest)| rest.split_once("</pre>"));
    let json = json.map_or_else(|| panic!("nothing seen:\n{said}\n{seen}"), |(json, _)| json);
    let json = json
        .replace("&lt;", "<")
        .replace("&gt;", ">")
        .replace("&nbsp;", " ")
        .replace("&amp;", "&");
    serde_json::from_str(&json).unwrap_or_else(|error| panic!("{error}: {json}"))
}

fn run_browser(page: &Path, profile: &Path, scheme: Scheme) -> Output {
    let mut browser = Command::new("timeout");
    browser
        .args(["--kill-after=5", "90", "chromium"])
        .args([
            "--headless=new",
            "--no-sandbox",
            "--disable-gpu",
            "--disable-dev-shm-usage",
            "--no-first-run",
        ])
        .args([
            "--disable-background-networking",
            "--disable-component-update",
            "--host-resolver-rules=MAP * ~NOTFOUND",
        ])
        .args([
            "--allow-file-access-from-files",
            "--enable-logging=stderr",
            "--virtual-time-budget=5000",
            "--dump-dom",
        ])
        .arg(format!("--user-data-dir={}", profile.display()))
        .arg(match scheme {
            Scheme::Light => "--blink-settings=preferredColorScheme=1",
            Scheme::Dark => "--blink-settings=preferredColorScheme=0",
        });
    browser.arg(page).output().expect("chromium runs")
}
