//! Metrics, alerts and the dashboard, as the programs see them that they are made for.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

use pg_hooks_tests::site::{SOON, Site};
use pg_hooks_tests::{Behaviour, Cluster, checkout, ports, wait_until};

fn folder() -> PathBuf {
    checkout::root().join("docs/monitoring")
}

fn text(file: &str) -> String {
    std::fs::read_to_string(folder().join(file)).unwrap_or_else(|error| panic!("{file}: {error}"))
}

/// The exporter of Debian, connected as a reader; it ends with the test.
struct Exporter {
    process: Child,
    port: u16,
}

impl Exporter {
    fn start(site: &mut Site) -> Exporter {
        let user = format!("monitor_{}", site.database);
        site.run(&format!("create role \"{user}\" login in role hooks_reader"));
        let port = ports::free();
        let source = format!(
            "postgresql://{user}@127.0.0.1:{}/{}?sslmode=disable",
            Cluster::shared().port(),
            site.database
        );
        let process = Command::new("prometheus-postgres-exporter")
            .arg(format!(
                "--extend.query-path={}",
                folder().join("queries.yaml").display()
            ))
            .arg(format!("--web.listen-address=127.0.0.1:{port}"))
            .args(["--disable-default-metrics", "--disable-settings-metrics"])
            .env("DATA_SOURCE_NAME", source)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("the exporter runs");
        Exporter { process, port }
    }

    /// What one scrape gives: the value of each series.
    fn scrape(&self) -> BTreeMap<String, f64> {
        let mut answer = String::new();
        if let Ok(mut stream) = TcpStream::connect(("127.0.0.1", self.port)) {
            let asked = stream.set_read_timeout(Some(SOON));
            asked
                .and_then(|()| stream.write_all(b"GET /metrics HTTP/1.0\r\n\r\n"))
                .and_then(|()| stream.read_to_string(&mut answer))
                .expect("the exporter answers");
        }
        let series = answer.lines().filter(|line| line.starts_with("pg_hooks"));
        series
            .filter_map(|line| {
                let (series, value) = line.rsplit_once(' ')?;
                Some((series.to_owned(), value.parse().ok()?))
            })
            .collect()
    }
}

impl Drop for Exporter {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// Value of the series of this metric whose labels hold this text.
fn value_of(scraped: &BTreeMap<String, f64>, metric: &str, label: &str) -> Option<f64> {
    let mut found = scraped
        .iter()
        .filter(|(series, _)| series.split('{').next() == Some(metric) && series.contains(label));
    found.next().map(|(_, value)| *value)
}

/// Names of our metrics within a text.
fn metrics_in(text: &str) -> BTreeSet<String> {
    let words = text.split(|c: char| !(c.is_ascii_alphanumeric() || c == '_'));
    words
        .filter(|word| word.starts_with("pg_hooks_"))
        .map(str::to_owned)
        .collect()
}

#[test]
fn metrics_appear_move_and_are_all_that_alerts_and_dashboard_ask_for() {
    let mut site = Site::new();
    site.receiver.on("/bad", Behaviour::status(500));
    site.queue("good", "");
    site.queue("bad", ", max_attempts => 1");
    site.queue("full", ", active => false");
    site.run("select hooks.send_batch('full', array_fill('x'::text, '{1500}'))");
    let exporter = Exporter::start(&mut site);
    wait_until("the exporter to answer", SOON, || {
        let seen = exporter.scrape();
        value_of(&seen, "pg_hooks_health_status", "check_name=\"worker\"") == Some(0.0)
            && value_of(&seen, "pg_hooks_delivered_total", "") == Some(0.0)
    });
    site.run("select hooks.send_batch('good', array['a', 'b', 'c']); select hooks.send('bad', 'x')");
    let seen = wait_until("the metrics to move", SOON, || {
        let seen = exporter.scrape();
        let moved = [
            ("pg_hooks_delivered_total", "", 3.0),
            ("pg_hooks_dead_total", "", 1.0),
            ("pg_hooks_queues_paused", "", 1.0),
            ("pg_hooks_queue_due", "queue=\"full\"", 1000.0),
            ("pg_hooks_queue_capped", "queue=\"full\"", 1.0),
            ("pg_hooks_queue_capped", "queue=\"good\"", 0.0),
            ("pg_hooks_queue_delivered_total", "queue=\"good\"", 3.0),
            ("pg_hooks_queue_failed_total", "queue=\"bad\"", 1.0),
            ("pg_hooks_health_status", "check_name=\"dead_letters\"", 1.0),
        ];
        moved
            .iter()
            .all(|(metric, label, value)| value_of(&seen, metric, label) == Some(*value))
            .then_some(seen)
    });
    let seen: BTreeSet<String> = seen
        .keys()
        .map(|series| series.split('{').next().unwrap_or_default().to_owned())
        .collect();
    for file in ["alerts.yaml", "dashboard.json"] {
        let asked = metrics_in(&text(file));
        assert!(asked.len() >= 4, "{file} asks for {asked:?}");
        let unknown: Vec<_> = asked.difference(&seen).collect();
        assert!(
            unknown.is_empty(),
            "{file} asks for {unknown:?}, and there are {seen:?}"
        );
    }
}

#[test]
fn dashboard_is_json_with_a_query_in_each_panel() {
    let dashboard: serde_json::Value = serde_json::from_str(&text("dashboard.json")).expect("JSON");
    let panels = dashboard["panels"].as_array().expect("panels");
    assert!(panels.len() >= 8);
    for panel in panels {
        let targets = panel["targets"].as_array().expect("targets");
        assert!(
            !targets.is_empty() && targets.iter().all(|t| t["expr"].is_string()),
            "{}",
            panel["title"]
        );
    }
}

#[test]
fn alerts_fire_when_they_should() {
    for arguments in [
        ["check", "rules", "alerts.yaml"],
        ["test", "rules", "alerts.test.yaml"],
    ] {
        let output = Command::new("promtool")
            .args(arguments)
            .current_dir(folder())
            .output()
            .expect("promtool runs");
        let said = [output.stdout, output.stderr].concat();
        assert!(
            output.status.success(),
            "{arguments:?}: {}",
            String::from_utf8_lossy(&said)
        );
    }
}
