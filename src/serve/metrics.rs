//! Counters in the text form of Prometheus (exposition format 0.0.4).

use std::fmt::Write as _;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

const METHODS: [&str; 7] = ["GET", "HEAD", "POST", "PATCH", "PUT", "DELETE", "other"];
const CLASSES: [&str; 5] = ["1xx", "2xx", "3xx", "4xx", "5xx"];

/// What is counted while a registry runs.
#[derive(Debug, Default)]
pub(super) struct Metrics {
    requests: [[AtomicU64; CLASSES.len()]; METHODS.len()],
    running: AtomicU64,
    sent: AtomicU64,
    uploaded: AtomicU64,
    broken: AtomicU64,
    refused: AtomicU64,
    let_go: AtomicU64,
}

impl Metrics {
    pub fn begin(&self) {
        self.running.fetch_add(1, Relaxed);
    }

    pub fn end(&self, method: &str, status: u16, announced: u64) {
        self.running.fetch_sub(1, Relaxed);
        self.sent.fetch_add(announced, Relaxed);
        let row = METHODS.iter().position(|known| *known == method).unwrap_or(METHODS.len() - 1);
        let column = usize::from(status / 100).saturating_sub(1);
        if let Some(counter) = self.requests.get(row).and_then(|row| row.get(column)) {
            counter.fetch_add(1, Relaxed);
        }
    }

    pub fn uploaded(&self, bytes: u64) {
        self.uploaded.fetch_add(bytes, Relaxed);
    }

    pub fn broken(&self) {
        self.broken.fetch_add(1, Relaxed);
    }

    pub fn refused(&self) {
        self.refused.fetch_add(1, Relaxed);
    }

    pub fn let_go(&self) {
        self.let_go.fetch_add(1, Relaxed);
    }

    pub fn text(&self) -> String {
        let mut text = String::from("# HELP sealift_http_requests_total Requests answered.\n# TYPE sealift_http_requests_total counter\n");
        for (method, row) in METHODS.iter().zip(&self.requests) {
            for (class, counter) in CLASSES.iter().zip(row) {
                let count = counter.load(Relaxed);
                if count > 0 {
                    let _ = writeln!(text, "sealift_http_requests_total{{method=\"{method}\",status=\"{class}\"}} {count}");
                }
            }
        }
        for (name, kind, help, value) in [
            ("http_requests_running", "gauge", "Requests being answered.", &self.running),
            ("http_sent_bytes_total", "counter", "Bytes of bodies announced in answers.", &self.sent),
            ("uploaded_bytes_total", "counter", "Bytes taken into uploads.", &self.uploaded),
            ("broken_bodies_total", "counter", "Blobs that could not be read to their end.", &self.broken),
            ("refused_logins_total", "counter", "Requests with wrong credentials.", &self.refused),
            ("let_go_total", "counter", "Clients let go for being slow while others waited.", &self.let_go),
        ] {
            let _ = writeln!(text, "# HELP sealift_{name} {help}\n# TYPE sealift_{name} {kind}\nsealift_{name} {}", value.load(Relaxed));
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_are_counted_by_method_and_class() {
        let metrics = Metrics::default();
        metrics.begin();
        metrics.end("GET", 206, 10);
        metrics.begin();
        metrics.end("BREW", 599, 0);
        metrics.begin();
        let text = metrics.text();
        for line in [
            "sealift_http_requests_total{method=\"GET\",status=\"2xx\"} 1",
            "sealift_http_requests_total{method=\"other\",status=\"5xx\"} 1",
            "sealift_http_requests_running 1",
            "sealift_http_sent_bytes_total 10",
        ] {
            assert!(text.lines().any(|found| found == line), "{line}\n{text}");
        }
    }
}
