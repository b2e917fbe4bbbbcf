//! Symbolic links, pipes and devices in the directories of models.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Command;

use mlxm_hub::{Hub, HubConfig, HubError, LocalModel};
use tempfile::TempDir;

const COMMIT: &str = "c0ffee";

/// Directories of models, and one of something else.
struct Machine(TempDir);

impl Machine {
    fn new() -> Self {
        let machine = Self(tempfile::tempdir().unwrap());
        for folder in ["hub", "models", "elsewhere"] {
            fs::create_dir(machine.path(folder)).unwrap();
        }
        machine
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn hub(&self) -> Hub {
        let mut config = HubConfig::new(self.path("hub"), self.path("models"));
        config.offline = true;
        Hub::new(config).unwrap()
    }

    fn model(&self, name: &str) -> LocalModel {
        let models = self.hub().local().unwrap();
        let model = models.into_iter().find(|model| model.name == name);
        model.unwrap()
    }

    /// A repository in the directory `root`, with a revision for each commit.
    fn repository(&self, root: &str, commits: &[&str]) -> PathBuf {
        let root = self.path(root);
        for commit in commits {
            write_model(&root.join("snapshots").join(commit));
            write(&root.join("refs").join(commit), commit);
        }
        fs::create_dir_all(root.join("blobs")).unwrap();
        root
    }
}

fn write(path: &Path, content: &str) {
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, content).unwrap();
}

fn write_model(folder: &Path) {
    write(&folder.join("config.json"), "{}");
    write(&folder.join("model.safetensors"), "weights");
}

fn pipe(path: &Path) {
    let status = Command::new("mkfifo").arg(path).status().unwrap();
    assert!(status.success());
}

#[test]
fn removing_a_link_keeps_what_it_leads_to() {
    let machine = Machine::new();
    let target = machine.path("elsewhere/model");
    write_model(&target);
    symlink(&target, machine.path("models/linked")).unwrap();
    let removed = machine.hub().remove("linked", None).unwrap();
    assert_eq!(removed.bytes_freed, 0);
    assert!(!machine.path("models/linked").exists());
    assert!(target.join("model.safetensors").exists());

    let repository = machine.repository("elsewhere/repository", &[COMMIT]);
    symlink(&repository, machine.path("hub/models--org--linked")).unwrap();
    let removed = machine.hub().remove("org/linked", None).unwrap();
    assert_eq!(removed.bytes_freed, 0);
    assert!(!machine.path("hub/models--org--linked").exists());
    assert!(repository.join("snapshots").join(COMMIT).exists());
}

#[test]
fn nothing_is_removed_through_a_link() {
    let machine = Machine::new();
    let target = machine.path("elsewhere/org/model");
    write_model(&target);
    symlink(machine.path("elsewhere/org"), machine.path("models/org")).unwrap();
    let error = machine.hub().remove("org/model", None).unwrap_err();
    assert!(matches!(error, HubError::LinkedElsewhere { .. }), "{error}");
    assert!(target.join("config.json").exists());

    let repository = machine.repository("elsewhere/repository", &["aaaaaaa", "bbbbbbb"]);
    symlink(&repository, machine.path("hub/models--org--linked")).unwrap();
    let removed = machine.hub().remove("org/linked", Some("aaaaaaa"));
    assert!(
        matches!(removed, Err(HubError::LinkedElsewhere { .. })),
        "{removed:?}"
    );
    assert!(repository.join("snapshots/aaaaaaa/config.json").exists());
    assert!(repository.join("refs/aaaaaaa").exists());

    // The partial files of a download.
    let other = machine.path("elsewhere/documents");
    write(&other.join("letter"), "important");
    let repository = machine.path("hub/models--org--begun");
    fs::create_dir(&repository).unwrap();
    symlink(&other, repository.join("blobs")).unwrap();
    let repo = "org/begun".parse().unwrap();
    let removed = machine.hub().remove_partial(&repo);
    assert!(
        matches!(removed, Err(HubError::LinkedElsewhere { .. })),
        "{removed:?}"
    );
    assert!(other.join("letter").exists());
}

#[test]
fn directory_of_models_may_be_a_link_itself() {
    let machine = Machine::new();
    let disk = machine.path("elsewhere/disk");
    write_model(&disk.join("org/model"));
    fs::remove_dir(machine.path("models")).unwrap();
    symlink(&disk, machine.path("models")).unwrap();
    let removed = machine.hub().remove("org/model", None).unwrap();
    assert!(removed.bytes_freed > 0);
    assert!(!disk.join("org/model").exists());
}

#[test]
fn links_in_a_circle_end() {
    let machine = Machine::new();
    write_model(&machine.path("models/model"));
    symlink(machine.path("models"), machine.path("models/model/up")).unwrap();
    symlink(machine.path("models"), machine.path("models/again")).unwrap();
    symlink(machine.path("models/self"), machine.path("models/self")).unwrap();
    symlink("/", machine.path("models/root")).unwrap();
    let model = machine.model("model");
    assert!(model.complete, "{:?}", model.missing_files);
    assert_eq!(model.size_bytes, 9);
    assert!(model.verify().is_ok());
}

#[test]
fn pipes_and_devices_are_never_opened() {
    let machine = Machine::new();
    for name in [
        "config.json",
        "model.safetensors",
        "model.safetensors.index.json",
    ] {
        let folder = machine.path("models/model");
        write_model(&folder);
        for link in [None, Some("/dev/zero")] {
            let path = folder.join(name);
            let _ = fs::remove_file(&path);
            match link {
                None => pipe(&path),
                Some(device) => symlink(device, &path).unwrap(),
            }
            let model = machine.model("model");
            assert!(!model.complete, "{name}");
            assert!(model.missing_files.iter().any(|file| file == name));
            let verified = model.verify().unwrap();
            assert!(verified.damaged_files.iter().any(|file| file == name));
            assert!(machine.hub().resolve("model").is_err());
            assert!(model.read_text(name, 10).is_err());
        }
        machine.hub().remove("model", None).unwrap();
    }

    let repository = machine.repository("hub/models--org--model", &[COMMIT]);
    pipe(&repository.join("refs/pipe"));
    symlink("/dev/zero", repository.join("refs/main")).unwrap();
    assert_eq!(machine.model("org/model").revisions[0].refs, [COMMIT]);
}

#[test]
fn texts_of_a_model_are_its_own() {
    let machine = Machine::new();
    let secret = machine.path("elsewhere/secret");
    write(&secret, "secret");
    let folder = machine.path("models/model");
    write_model(&folder);
    write(&folder.join("docs/card.md"), "a model");
    symlink("docs/card.md", folder.join("README.md")).unwrap();
    symlink(&secret, folder.join("absolute.md")).unwrap();
    symlink("../../elsewhere/secret", folder.join("relative.md")).unwrap();
    let model = machine.model("model");
    assert_eq!(model.read_text("README.md", 5).unwrap(), "a mod");
    for name in [
        "absolute.md",
        "relative.md",
        "../../elsewhere/secret",
        "absent.md",
        secret.to_str().unwrap(),
    ] {
        assert!(model.read_text(name, 100).is_err(), "{name}");
    }

    // In the cache, files are links to blobs.
    let repository = machine.repository("hub/models--org--model", &[COMMIT]);
    let snapshot = repository.join("snapshots").join(COMMIT);
    write(&repository.join("blobs/b10b"), "a card");
    symlink("../../blobs/b10b", snapshot.join("README.md")).unwrap();
    symlink(&secret, snapshot.join("absolute.md")).unwrap();
    let model = machine.model("org/model");
    assert_eq!(model.read_text("README.md", 100).unwrap(), "a card");
    assert!(model.read_text("absolute.md", 100).is_err());
}

#[test]
fn name_of_a_file_does_not_claim_any_number_of_files() {
    let machine = Machine::new();
    let folder = machine.path("models/model");
    write_model(&folder);
    write(&folder.join("x-000001-of-999999.safetensors"), "weights");
    assert!(machine.model("model").missing_files.len() < 10);
}
