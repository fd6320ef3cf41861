//! A hub that asks for certificates uses no adapter that lacks one.

use crate::hub::{Hub, RULES, points, root, ukimet, wait_until};
use crate::next_adapter::NextAdapter;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::Duration;
use ukimet_conformance::Options;
use ukimet_conformance::certify::{file_sha256, write};
use ukimet_conformance::suite::describe_adapter;
use ukimet_proto::certificate::{Certificate, Counts, SignedCertificate, Subject};
use ukimet_proto::signing::public_key;

const SECRET: [u8; 32] = [5; 32];

fn program() -> PathBuf {
    Path::new(env!("CARGO_BIN_EXE_ukimet")).with_file_name("ukimet-adapter-gdal")
}

/// The bundled adapter by itself; dropping it kills it by its process id.
struct Adapter(Child, String);

impl Adapter {
    fn start(folder: &Path) -> Self {
        let socket = folder.join("a.sock");
        let child = Command::new(program())
            .arg("--listen")
            .arg(format!("unix:{}", socket.display()))
            .arg("--scratch")
            .arg(folder.join("scratch"))
            .stdout(Stdio::null())
            .spawn()
            .expect("the adapter starts");
        wait_until("the adapter listens", || socket.exists());
        Self(child, format!("unix:{}", socket.display()))
    }

    /// A certificate for it as it is, in force now.
    fn certificate(&self) -> Certificate {
        let options = Options { class: None, seed: 1, requirement_time_max: Duration::from_secs(10) };
        let runtime = tokio::runtime::Runtime::new().expect("a runtime");
        let described = runtime.block_on(describe_adapter(&self.1, &options)).expect("it answers");
        let now = jiff::Timestamp::now();
        Certificate {
            subject: Subject::of(&described),
            program_sha256: Some(file_sha256(&program()).expect("read")),
            kit_version: "0.1.0".to_owned(),
            seed: 1,
            counts: Counts { passed: 1, ..Counts::default() },
            issued: now - jiff::SignedDuration::from_hours(1),
            expires: now + jiff::SignedDuration::from_hours(1),
        }
    }
}

impl Drop for Adapter {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// A folder with this certificate in it.
fn folder_of(dir: &Path, name: &str, signed: &SignedCertificate) -> PathBuf {
    let folder = dir.join(name);
    fs::create_dir(&folder).expect("made");
    write(signed, &folder.join("gdal.json")).expect("written");
    folder
}

/// What a hub says that asks for the certificates of a folder and must not start.
fn refusal(dir: &Path, folder: &Path, more: &[&str]) -> String {
    let Output { status, stderr, .. } = ukimet()
        .args(["serve", "--listen", "127.0.0.1:0", "--disk-reserve", "1MiB", "--data"])
        .arg(dir.join("data"))
        .arg("--adapter-certificates")
        .arg(folder)
        .args(["--adapter-authority", &public_key(&SECRET)])
        .args(more)
        .env("RUST_LOG", "warn")
        .output()
        .expect("runs");
    assert!(!status.success(), "the hub started");
    String::from_utf8_lossy(&stderr).into_owned()
}

#[test]
fn a_hub_that_asks_for_certificates_starts_only_with_one_that_counts() {
    let dir = tempfile::tempdir().expect("a folder");
    let adapter = Adapter::start(dir.path());
    let good = adapter.certificate();
    let changed = |change: &dyn Fn(&mut Certificate)| {
        let mut certificate = good.clone();
        change(&mut certificate);
        certificate.sign(&SECRET)
    };
    let mut tampered = good.clone().sign(&SECRET);
    tampered.certificate.counts.passed += 1;
    for (name, signed, part) in [
        ("tampered", tampered, "changed since it was signed"),
        ("version", changed(&|c| c.subject.version = "0.0.9".to_owned()), "for version"),
        ("rules", changed(&|c| c.subject.rules_version = "r0".to_owned()), "for rules"),
        ("formats", changed(&|c| c.subject.description_sha256.0[0] ^= 1), "libraries or formats"),
        ("program", changed(&|c| c.program_sha256 = Some(ukimet_model::Sha256([1; 32]))), "for the program"),
        ("expired", changed(&|c| c.expires = c.issued), "in force from"),
        ("name", changed(&|c| c.subject.adapter = "other".to_owned()), "none of its name"),
        ("authority", good.clone().sign(&[6; 32]), "signed it"),
    ] {
        let text = refusal(dir.path(), &folder_of(dir.path(), name, &signed), &[]);
        assert!(text.contains(part) && text.contains("\"gdal\""), "{name}: {text}");
    }
    let empty = dir.path().join("empty");
    fs::create_dir(&empty).expect("made");
    assert!(refusal(dir.path(), &empty, &[]).contains("none of its name"));
    let folder = folder_of(dir.path(), "good", &good.sign(&SECRET));
    let flags = ["--adapter-certificates", folder.to_str().expect("text"), "--adapter-authority", &public_key(&SECRET)];
    // One beside that none is for is left out, and does not keep the hub from starting.
    let next = NextAdapter::start(dir.path(), "7");
    let hub = Hub::start(&dir.path().join("data"), &[&flags[..], &["--adapter-beside", &next.url]].concat());
    let asked = ["renormalize", "--all", "--dry-run", "--rules", "7", "--hub", &hub.url];
    let Output { stderr, .. } = ukimet().args(asked).output().expect("runs");
    let told = String::from_utf8_lossy(&stderr);
    let expected = format!("rules \"7\" were asked for, the adapters of this hub apply \"{RULES}\"");
    assert!(told.contains(&expected), "{told}");
    let file = dir.path().join("points.csv");
    fs::write(&file, points(5)).expect("written");
    hub.publish(&file, "a/b", &[]);
}

#[test]
fn the_samples_of_the_bundled_adapter_are_there_for_its_certificate() {
    let samples = ukimet_conformance::samples::load(&root().join("adapters/gdal/samples")).expect("they load");
    assert!(samples.iter().any(|sample| sample.layers.iter().any(|layer| layer.refused > 0)));
}
