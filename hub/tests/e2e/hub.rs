//! A built hub in a process of its own, on a free port, over a temporary catalog.

use serde_json::Value;
use std::fmt::Write;
use std::fs;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

/// A running hub; dropping it kills it by its process id.
pub struct Hub {
    child: Child,
    pub url: String,
}

/// The rules of the bundled adapter.
pub const RULES: &str = "4";

pub fn ukimet() -> Command {
    Command::new(env!("CARGO_BIN_EXE_ukimet"))
}

/// The root of the repository.
pub fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the hub is a folder of the repository").to_owned()
}

impl Hub {
    /// Starts a hub with further flags and waits until it says that it is ready.
    pub fn start(data: &Path, flags: &[&str]) -> Self {
        let mut child = ukimet()
            .args(["serve", "--listen", "127.0.0.1:0", "--disk-reserve", "1MiB", "--data"])
            .arg(data)
            .args(flags)
            .env("RUST_LOG", "warn")
            .stdout(Stdio::piped())
            .spawn()
            .expect("the hub starts");
        let mut ready = String::new();
        BufReader::new(child.stdout.take().expect("piped")).read_line(&mut ready).expect("a line");
        let url = ready.split_whitespace().find(|word| word.starts_with("http://"));
        let url = url.unwrap_or_else(|| panic!("a ready line with a URL was expected, found {ready:?}")).to_owned();
        Self { child, url }
    }

    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Sends a signal by process id.
    pub fn signal(&self, name: &str) {
        signal(self.pid(), name);
    }

    /// Waits for the end; the exit code.
    pub fn wait(mut self, max: Duration) -> Option<i32> {
        let begin = Instant::now();
        while begin.elapsed() < max {
            if let Some(status) = self.child.try_wait().expect("our child") {
                return status.code();
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        panic!("the hub did not end within {max:?}");
    }

    /// Runs `ukimet push FILE --dataset …` with further flags; exit code and the JSON it printed.
    pub fn push(&self, file: &Path, dataset: &str, flags: &[&str]) -> (i32, Value) {
        let output = ukimet()
            .arg("push")
            .arg(file)
            .args(["--dataset", dataset, "--hub", &self.url, "--json"])
            .args(flags)
            .output()
            .expect("the command runs");
        json_of(&output)
    }

    /// Pushes and expects a version.
    pub fn publish(&self, file: &Path, dataset: &str, flags: &[&str]) -> Value {
        let (code, outcome) = self.push(file, dataset, flags);
        assert_eq!((code, &outcome["status"]), (0, &Value::from("published")), "{outcome:#}");
        outcome
    }

    /// Pushes and expects a refusal: the code's name and its message.
    pub fn refused(&self, file: &Path, dataset: &str, flags: &[&str]) -> (String, String) {
        let (code, outcome) = self.push(file, dataset, flags);
        assert_ne!(code, 0, "{outcome:#}");
        assert_eq!(outcome["status"], "refused", "{outcome:#}");
        let text = |key: &str| outcome["error"][key].as_str().unwrap_or_default().to_owned();
        (text("code"), text("message"))
    }

    /// Runs another subcommand against this hub with `--json`.
    pub fn ask(&self, arguments: &[&str]) -> (i32, Value) {
        let output = ukimet().args(arguments).args(["--hub", &self.url, "--json"]).output().expect("the command runs");
        json_of(&output)
    }

    /// The one column of an export, its cells sorted and joined, or why there is none.
    pub fn exported(&self, dir: &Path, arguments: &[&str]) -> Result<String, String> {
        let out = dir.join("out.csv");
        let fixed = ["export", "--hub", &self.url, "-o", out.to_str().expect("text")];
        let output = ukimet().args(fixed).args(arguments).output().expect("runs");
        if !output.status.success() {
            return Err(String::from_utf8_lossy(&output.stderr).into_owned());
        }
        let text = fs::read_to_string(out).expect("read");
        let mut cells: Vec<&str> = text.lines().skip(1).collect();
        cells.sort_unstable();
        Ok(cells.concat())
    }

    /// Ids of every dataset.
    pub fn datasets(&self) -> Vec<String> {
        let (_, found) = self.ask(&["search", "--limit", "1000"]);
        let ids = found["datasets"].as_array().expect("a list");
        ids.iter().map(|d| d["dataset"].as_str().expect("an id").to_owned()).collect()
    }
}

impl Drop for Hub {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

pub fn signal(pid: u32, name: &str) {
    // The shell has a kill of its own; the program is in a package that a small system lacks.
    let status = Command::new("sh").args(["-c", &format!("kill -s {name} {pid}")]).status().expect("a shell runs");
    assert!(status.success(), "kill -s {name} {pid}");
}

fn json_of(output: &Output) -> (i32, Value) {
    let text = String::from_utf8_lossy(&output.stdout);
    let value = serde_json::from_str(&text).unwrap_or_else(|e| {
        panic!("JSON was expected ({e}), found {text:?}, {}", String::from_utf8_lossy(&output.stderr))
    });
    (output.status.code().expect("an exit code"), value)
}

/// Waits for what must come; looks every 20 ms.
pub fn wait_until(what: &str, mut is_so: impl FnMut() -> bool) {
    let begin = Instant::now();
    while !is_so() {
        assert!(begin.elapsed() < Duration::from_mins(1), "not within a minute: {what}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// Expects that a deep `ukimet verify` finds nothing; what it says.
pub fn verified(data: &Path) -> String {
    let output = ukimet().args(["verify", "--deep", "--data"]).arg(data).output().expect("runs");
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success() && text.starts_with("clean"), "{text}");
    text
}

/// Every file below a folder.
pub fn files_below(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).expect("a folder").flatten() {
        if entry.path().is_dir() { found.extend(files_below(&entry.path())) } else { found.push(entry.path()) }
    }
    found
}

/// A CSV of points around Almaty.
pub fn points(rows: usize) -> String {
    let mut text = "name,lon,lat\n".to_owned();
    for i in 0..rows {
        let (lon, lat) = (76.0 + (i % 1000) as f64 / 1000.0, 43.0 + (i / 1000) as f64 / 1000.0);
        writeln!(text, "point {i},{lon},{lat}").expect("text takes everything");
    }
    text
}
