//! Listing, resolving and removing local models.

use std::fs;
use std::path::{Path, PathBuf};

use crate::support::{EventRecorder, REPO, TestEnv, assert_complete, model, pull, request};
use mlxm_hub::{
    CancellationToken, FileFilter, Hub, HubConfig, HubError, LocalSource, ResolveError,
};
use tempfile::TempDir;

/// A home directory without network access.
struct Machine(TempDir);

impl Machine {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn hub(&self) -> Hub {
        let mut config = HubConfig::new(self.cache(), self.models());
        config.offline = true;
        Hub::new(config).unwrap()
    }

    fn cache(&self) -> PathBuf {
        self.0.path().join("hub")
    }

    fn models(&self) -> PathBuf {
        self.0.path().join("models")
    }

    /// Writes a snapshot the way `huggingface_hub` does: blobs named by etag, relative links, a
    /// ref without a line end.
    fn cached(&self, repo: &str, commit: &str, files: &[(&str, &str, &str)]) -> PathBuf {
        let root = self
            .cache()
            .join(format!("models--{}", repo.replace('/', "--")));
        let snapshot = root.join("snapshots").join(commit);
        for (name, etag, content) in files {
            write(&root.join("blobs").join(etag), content);
            let pointer = snapshot.join(name);
            fs::create_dir_all(pointer.parent().unwrap()).unwrap();
            let up = "../".repeat(name.matches('/').count() + 2);
            std::os::unix::fs::symlink(format!("{up}blobs/{etag}"), pointer).unwrap();
        }
        write(&root.join("refs/main"), commit);
        snapshot
    }

    fn whole(&self, repo: &str) -> PathBuf {
        self.cached(
            repo,
            "c0ffee",
            &[
                ("config.json", "e1", "{}"),
                ("model.safetensors", "e2", "weights"),
            ],
        )
    }

    fn local_model(&self, name: &str) -> PathBuf {
        let folder = self.models().join(name);
        write(&folder.join("config.json"), "{}");
        write(&folder.join("model.safetensors"), "weights");
        folder
    }
}

fn write(path: &Path, content: &str) {
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, content).unwrap();
}

#[test]
fn local_lists_cached_and_local_models() {
    let machine = Machine::new();
    assert_eq!(machine.hub().local().unwrap(), []);
    let snapshot = machine.whole("org/cached");
    let here = machine.local_model("converted");
    let owned = machine.local_model("me/converted-4bit");
    write(
        &machine.cache().join("datasets--org--data/refs/main"),
        "c0ffee",
    );
    write(&machine.models().join("notes/readme.txt"), "no model");
    write(&machine.models().join("file"), "no folder");

    let models = machine.hub().local().unwrap();
    let names: Vec<&str> = models.iter().map(|model| model.name.as_str()).collect();
    assert_eq!(names, ["converted", "me/converted-4bit", "org/cached"]);
    let paths: Vec<_> = models
        .iter()
        .map(|model| model.path.clone().unwrap())
        .collect();
    assert_eq!(paths, [here, owned, snapshot]);
    assert!(
        models
            .iter()
            .all(|model| model.complete && model.size_bytes == 9)
    );
    assert_eq!(models[2].source, LocalSource::HubCache);
    assert_eq!(models[2].revisions[0].refs, ["main"]);
    assert_eq!(models[0].source, LocalSource::ModelsDir);
}

#[test]
fn local_lists_incomplete_models_with_missing_files() {
    let machine = Machine::new();
    let files = [
        ("config.json", "e1", "{}"),
        ("model-00001-of-00002.safetensors", "e2", "half"),
    ];
    machine.cached("org/half", "c0ffee", &files);
    write(
        &machine
            .cache()
            .join("models--org--begun/blobs/abc.incomplete"),
        "beginning",
    );
    let models = machine.hub().local().unwrap();
    assert_eq!(models[0].name, "org/begun");
    assert_eq!(
        (
            models[0].path.clone(),
            models[0].complete,
            models[0].size_bytes
        ),
        (None, false, 9)
    );
    assert_eq!(
        models[1].missing_files,
        ["model-00002-of-00002.safetensors"]
    );

    let error = machine.hub().resolve("org/half").unwrap_err();
    assert!(
        matches!(
            &error,
            ResolveError::Incomplete {
                pullable: Some(_),
                ..
            }
        ),
        "{error:?}"
    );
    let words = error.to_string();
    assert!(
        words.contains("model-00002-of-00002.safetensors") && words.contains("mlxm pull org/half"),
        "{words}"
    );
    assert!(matches!(
        machine.hub().resolve("begun"),
        Err(ResolveError::Incomplete { .. })
    ));
}

#[test]
fn complete_revision_is_preferred() {
    let machine = Machine::new();
    let whole = [
        ("config.json", "e1", "{}"),
        ("model.safetensors", "e2", "weights"),
    ];
    let old = machine.cached("org/name", "aaaaaaaa", &whole);
    machine.cached("org/name", "bbbbbbbb", &whole[..1]);
    let resolved = machine.hub().resolve("org/name").unwrap();
    assert_eq!(
        (resolved.path, resolved.commit.as_deref()),
        (old, Some("aaaaaaaa"))
    );
    assert!(matches!(
        machine.hub().resolve_revision("org/name", "main"),
        Err(ResolveError::Incomplete { .. })
    ));
    assert!(matches!(
        machine.hub().resolve_revision("org/name", "v2"),
        Err(ResolveError::NoSuchRevision { .. })
    ));
}

#[test]
fn snapshot_without_tokenizer_does_not_hide_an_older_one() {
    let machine = Machine::new();
    let files = [
        ("config.json", "e1", "{}"),
        ("model.safetensors", "e2", "weights"),
        ("tokenizer.json", "e3", "{}"),
    ];
    let old = machine.cached("org/name", "aaaaaaaa", &files);
    let new = machine.cached("org/name", "bbbbbbbb", &files[..2]);
    let resolved = |machine: &Machine| machine.hub().resolve("org/name").unwrap().path;
    assert_eq!(resolved(&machine), old);
    // On request, the newer one.
    let revision = machine.hub().resolve_revision("org/name", "main").unwrap();
    assert_eq!(revision.path, new);
    machine.cached("org/name", "bbbbbbbb", &files[2..]);
    assert_eq!(resolved(&machine), new);

    // Without a better one, it is used.
    let machine = Machine::new();
    let only = machine.cached("org/name", "bbbbbbbb", &files[..2]);
    assert_eq!(resolved(&machine), only);
}

#[test]
fn snapshot_with_partial_files_does_not_hide_an_older_one() {
    let machine = Machine::new();
    let whole = [
        ("config.json", "e1", "{}"),
        ("model.safetensors", "e2", "weights"),
    ];
    let old = machine.cached("org/name", "aaaaaaaa", &whole);
    let new = machine.cached("org/name", "bbbbbbbb", &whole[..1]);
    for partial in [
        "model.safetensors.incomplete",
        "._model.safetensors",
        "model-00001-of-00002.safetensors",
    ] {
        write(&new.join(partial), "part");
        let resolved = machine.hub().resolve("org/name").unwrap();
        assert_eq!(resolved.path, old, "{partial}");
    }
}

#[test]
fn name_may_be_a_unique_substring() {
    let machine = Machine::new();
    machine.whole("mlx-community/Qwen3-0.6B-4bit");
    machine.whole("mlx-community/Qwen3-0.6B-8bit");
    machine.whole("mlx-community/Llama-3.2-1B");
    machine.whole("other/Llama-3.2-1B-Instruct");
    let hub = machine.hub();
    let name = |text: &str| hub.resolve(text).map(|resolved| resolved.name);
    assert_eq!(
        name("mlx-community/Qwen3-0.6B-4bit").unwrap(),
        "mlx-community/Qwen3-0.6B-4bit"
    );
    assert_eq!(
        name("MLX-community/qwen3-0.6b-4BIT").unwrap(),
        "mlx-community/Qwen3-0.6B-4bit"
    );
    assert_eq!(name("8bit").unwrap(), "mlx-community/Qwen3-0.6B-8bit");
    // An exact match of the last part takes precedence over a substring match.
    assert_eq!(name("llama-3.2-1b").unwrap(), "mlx-community/Llama-3.2-1B");
    assert_eq!(name("instruct").unwrap(), "other/Llama-3.2-1B-Instruct");
    match name("qwen3").unwrap_err() {
        ResolveError::Ambiguous { candidates, .. } => {
            assert_eq!(
                candidates,
                [
                    "mlx-community/Qwen3-0.6B-4bit",
                    "mlx-community/Qwen3-0.6B-8bit"
                ]
            );
        }
        other => panic!("{other:?}"),
    }
    assert!(matches!(name(""), Err(ResolveError::NotFound { .. })));
}

#[test]
fn directory_name_is_the_name_of_a_path() {
    let machine = Machine::new();
    let snapshot = machine.whole("mlx-community/Qwen3-0.6B-4bit");
    let local = machine.local_model("org/name");
    let name = |text: &str| machine.hub().resolve(text).unwrap().directory_name();
    assert_eq!(
        name(snapshot.to_str().unwrap()).as_deref(),
        Some("mlx-community/Qwen3-0.6B-4bit")
    );
    assert_eq!(name(local.to_str().unwrap()).as_deref(), Some("name"));
    let nested = local.join("..").join("name").join(".");
    assert_eq!(name(nested.to_str().unwrap()).as_deref(), Some("name"));
    assert_eq!(name("qwen3-0.6b-4bit"), None);
}

#[test]
fn incomplete_model_does_not_make_a_name_ambiguous() {
    let machine = Machine::new();
    let whole = machine.whole("org/qwen-a");
    machine.cached("org/qwen-b", "c0ffee", &[("config.json", "e1", "{}")]);
    assert_eq!(machine.hub().resolve("qwen").unwrap().path, whole);
}

#[test]
fn local_model_shadows_cached_model_of_the_same_name() {
    let machine = Machine::new();
    machine.whole("org/name");
    let here = machine.local_model("org/name");
    assert_eq!(machine.hub().resolve("org/name").unwrap().path, here);
    machine.hub().remove("org/name", None).unwrap();
    assert_eq!(
        machine.hub().resolve("org/name").unwrap().commit.as_deref(),
        Some("c0ffee")
    );
}

#[test]
fn not_found_error_suggests_similar_names() {
    let machine = Machine::new();
    machine.whole("mlx-community/Qwen3-0.6B-4bit");
    match machine
        .hub()
        .resolve("mlx-comunity/Qwen3-0.6B-4bit")
        .unwrap_err()
    {
        ResolveError::NotFound {
            pullable, nearest, ..
        } => {
            assert_eq!(pullable.unwrap().as_str(), "mlx-comunity/Qwen3-0.6B-4bit");
            assert_eq!(nearest, ["mlx-community/Qwen3-0.6B-4bit"]);
        }
        other => panic!("{other:?}"),
    }
    let error = machine.hub().resolve("zzz").unwrap_err();
    assert!(
        matches!(&error, ResolveError::NotFound { pullable: None, nearest, .. } if nearest.is_empty())
    );
    assert!(error.to_string().contains("mlxm list"), "{error}");
}

#[test]
fn paths_resolve_to_themselves() {
    let machine = Machine::new();
    let folder = machine.local_model("converted");
    let hub = machine.hub();
    let path = folder.to_str().unwrap();
    assert_eq!(hub.resolve(path).unwrap().path, folder);

    let missing = machine.0.path().join("nothing");
    assert!(matches!(
        hub.resolve(missing.to_str().unwrap()),
        Err(ResolveError::NoSuchPath { .. })
    ));
    assert!(matches!(
        hub.resolve("./nothing"),
        Err(ResolveError::NoSuchPath { .. })
    ));

    let reason = |path: &Path| match hub.resolve(path.to_str().unwrap()).unwrap_err() {
        ResolveError::NotAModel { reason, .. } => reason,
        other => panic!("{other:?}"),
    };
    let empty = machine.0.path().join("empty");
    fs::create_dir(&empty).unwrap();
    assert_eq!(reason(&empty), "it is empty");
    write(&empty.join("model.gguf"), "GGUF");
    assert!(reason(&empty).contains("only GGUF"), "{}", reason(&empty));
    assert!(reason(&empty.join("model.gguf")).contains("mlxm convert"));
    fs::remove_file(folder.join("model.safetensors")).unwrap();
    assert!(reason(&folder).contains("safetensors"));
}

#[tokio::test]
async fn removing_a_revision_keeps_shared_blobs() {
    let env = TestEnv::with_model(50_000);
    let hub = env.hub();
    let old = pull(&hub).await.unwrap();
    env.server
        .add(model(REPO, 50_000).file("config.json", r#"{"model_type":"qwen2"}"#));
    let new = pull(&hub).await.unwrap();

    let removed = hub.remove(REPO, Some(&new.commit)).unwrap();
    assert_eq!(removed.commits, [new.commit]);
    assert_eq!(
        removed.bytes_freed,
        r#"{"model_type":"qwen2"}"#.len() as u64
    );
    assert!(!new.snapshot.exists());
    assert!(!env.repo_folder().join("refs/main").exists());
    assert_complete(&old.snapshot, 50_000);

    assert!(matches!(
        hub.remove(REPO, Some("v9")),
        Err(HubError::RevisionNotFound { .. })
    ));
    let removed = hub.remove(REPO, None).unwrap();
    assert!(removed.bytes_freed > 50_000);
    assert!(!env.repo_folder().exists());
    assert_eq!(hub.local().unwrap(), []);
    assert!(matches!(
        hub.remove(REPO, None),
        Err(HubError::NoLocalModel { .. })
    ));
    // A substring of the name is not accepted.
    pull(&hub).await.unwrap();
    assert!(matches!(
        hub.remove("tiny", None),
        Err(HubError::NoLocalModel { .. })
    ));
}

#[test]
fn removing_a_local_model_removes_its_directory() {
    let machine = Machine::new();
    machine.local_model("me/one");
    machine.local_model("me/two");
    let removed = machine.hub().remove("me/one", None).unwrap();
    assert_eq!(removed.bytes_freed, 9);
    assert!(machine.models().join("me/two").exists());
    machine.hub().remove("me/two", None).unwrap();
    assert!(!machine.models().join("me").exists());
}

#[tokio::test]
async fn model_pulled_by_pattern_is_incomplete() {
    let env = TestEnv::with_model(1_000);
    let mut only_settings = request();
    only_settings.files = FileFilter::Patterns {
        include: vec!["*.json".to_owned()],
        exclude: vec![],
    };
    let hub = env.hub();
    hub.pull(
        &only_settings,
        &EventRecorder::default(),
        &CancellationToken::new(),
    )
    .await
    .unwrap();
    assert!(matches!(
        hub.resolve(REPO),
        Err(ResolveError::Incomplete { .. })
    ));
    assert_complete(&pull(&hub).await.unwrap().snapshot, 1_000);
    assert!(hub.resolve(REPO).is_ok());
}

#[tokio::test]
async fn damaged_and_missing_files_are_found() {
    let env = TestEnv::with_model(100_000);
    let hub = env.hub();
    let pulled = pull(&hub).await.unwrap();
    let verified = hub.find(REPO).unwrap().verify().unwrap();
    assert_eq!(verified.damaged_files, Vec::<String>::new());
    assert!(verified.checked_bytes > 100_000);

    let weights = pulled.snapshot.join("model.safetensors");
    let mut content = fs::read(&weights).unwrap();
    content[50_000] ^= 1;
    fs::write(&weights, content).unwrap();
    fs::remove_file(fs::canonicalize(pulled.snapshot.join("config.json")).unwrap()).unwrap();
    let verified = hub.find(REPO).unwrap().verify().unwrap();
    assert_eq!(verified.damaged_files, ["config.json", "model.safetensors"]);
}

#[test]
fn weights_without_a_digest_are_checked_by_their_length() {
    let machine = Machine::new();
    let folder = machine.models().join("tiny");
    write(&folder.join("config.json"), "{}");
    let header = r#"{"a":{"dtype":"U8","shape":[4],"data_offsets":[0,4]}}"#;
    let file = |data: &str| {
        let length = String::from_utf8((header.len() as u64).to_le_bytes().to_vec()).unwrap();
        write(
            &folder.join("model.safetensors"),
            &format!("{length}{header}{data}"),
        );
        machine
            .hub()
            .find("tiny")
            .unwrap()
            .verify()
            .unwrap()
            .damaged_files
    };
    assert_eq!(file("1234"), Vec::<String>::new());
    assert_eq!(file("123"), ["model.safetensors"]);
    assert_eq!(file("12345"), ["model.safetensors"]);
}
