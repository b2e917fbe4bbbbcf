//! Repositories of a test hub.

use std::collections::{BTreeMap, HashMap};

use data_encoding::HEXLOWER;
use serde_json::{Value, json};
use sha1::Sha1;
use sha2::{Digest, Sha256};

/// A commit of a model repository to add to a [`TestHub`](crate::TestHub).
#[derive(Debug, Clone)]
pub struct TestRepo {
    pub(crate) id: String,
    pub(crate) files: BTreeMap<String, TestFile>,
    pub(crate) gated: bool,
    pub(crate) private: bool,
    pub(crate) tags: Vec<String>,
    pub(crate) downloads: u64,
    pub(crate) branch: String,
    pub(crate) weights: Option<Value>,
}

/// Content of a file and how it is stored.
#[derive(Debug, Clone)]
pub(crate) struct TestFile {
    pub content: Vec<u8>,
    pub is_large: bool,
}

impl TestFile {
    /// The etag: SHA-256 for large files, git blob hash for others.
    pub fn etag(&self) -> String {
        if self.is_large {
            HEXLOWER.encode(&Sha256::digest(&self.content))
        } else {
            self.git_oid()
        }
    }

    pub fn git_oid(&self) -> String {
        let prefix = format!("blob {}\0", self.content.len());
        HEXLOWER.encode(
            &Sha1::new_with_prefix(prefix)
                .chain_update(&self.content)
                .finalize(),
        )
    }
}

impl TestRepo {
    /// A model without files, tagged as MLX.
    #[must_use]
    pub fn new(id: &str) -> Self {
        Self {
            id: id.to_owned(),
            files: BTreeMap::new(),
            gated: false,
            private: false,
            tags: vec!["mlx".to_owned()],
            downloads: 0,
            branch: "main".to_owned(),
            weights: None,
        }
    }

    /// Adds a file that the hub serves itself.
    #[must_use]
    pub fn file(mut self, path: &str, content: impl Into<Vec<u8>>) -> Self {
        self.files.insert(
            path.to_owned(),
            TestFile {
                content: content.into(),
                is_large: false,
            },
        );
        self
    }

    /// Adds a file that the storage host serves.
    #[must_use]
    pub fn large_file(mut self, path: &str, content: impl Into<Vec<u8>>) -> Self {
        self.files.insert(
            path.to_owned(),
            TestFile {
                content: content.into(),
                is_large: true,
            },
        );
        self
    }

    /// Makes the repository gated. No token has access.
    #[must_use]
    pub fn gated(mut self) -> Self {
        self.gated = true;
        self
    }

    /// Makes the repository private: only accepted tokens can see it.
    #[must_use]
    pub fn private(mut self) -> Self {
        self.private = true;
        self
    }

    /// Sets the tags; the default is `mlx`.
    #[must_use]
    pub fn tags(mut self, tags: &[&str]) -> Self {
        self.tags = tags.iter().map(|&tag| tag.to_owned()).collect();
        self
    }

    /// Sets the number of downloads.
    #[must_use]
    pub fn downloads(mut self, downloads: u64) -> Self {
        self.downloads = downloads;
        self
    }

    /// Sets the branch; the default is `main`.
    #[must_use]
    pub fn branch(mut self, branch: &str) -> Self {
        branch.clone_into(&mut self.branch);
        self
    }

    /// Sets the number of weights of a data type, which search results contain.
    #[must_use]
    pub fn weights(mut self, dtype: &str, count: u64) -> Self {
        self.weights = Some(json!({ "parameters": { dtype: count }, "total": count }));
        self
    }

    /// The commit: it names the content.
    pub fn commit(&self) -> String {
        let mut hasher = Sha1::new();
        for (path, file) in &self.files {
            hasher.update(format!("{path} {}\n", file.etag()));
        }
        HEXLOWER.encode(&hasher.finalize())
    }
}

#[derive(Debug)]
pub(crate) struct StoredRepo {
    pub latest: TestRepo,
    pub commits: HashMap<String, BTreeMap<String, TestFile>>,
    refs: HashMap<String, String>,
}

impl StoredRepo {
    pub fn new(repo: TestRepo) -> Self {
        let mut stored = Self {
            latest: repo.clone(),
            commits: HashMap::new(),
            refs: HashMap::new(),
        };
        stored.update(repo);
        stored
    }

    pub fn update(&mut self, repo: TestRepo) {
        let commit = repo.commit();
        self.refs.insert(repo.branch.clone(), commit.clone());
        self.commits.insert(commit, repo.files.clone());
        self.latest = repo;
    }

    /// The commit a revision names.
    pub fn commit_of(&self, revision: &str) -> Option<String> {
        let commit = self
            .refs
            .get(revision)
            .cloned()
            .unwrap_or_else(|| revision.to_owned());
        self.commits.contains_key(&commit).then_some(commit)
    }

    /// As the hub describes it.
    pub fn describe(&self, commit: &str) -> Value {
        let repo = &self.latest;
        let files = self.commits.get(commit).into_iter().flatten();
        let siblings: Vec<Value> = files
            .map(|(path, _)| json!({ "rfilename": path }))
            .collect();
        json!({
            "_id": "0123456789abcdef01234567",
            "id": repo.id,
            "modelId": repo.id,
            "author": repo.id.split('/').next(),
            "sha": commit,
            "private": repo.private,
            "gated": if repo.gated { json!("manual") } else { json!(false) },
            "disabled": false,
            "downloads": repo.downloads,
            "likes": 3,
            "tags": repo.tags,
            "pipeline_tag": "text-generation",
            "library_name": "mlx",
            "createdAt": "2025-01-01T00:00:00.000Z",
            "lastModified": "2025-02-03T04:05:06.000Z",
            "siblings": siblings,
            "safetensors": repo.weights,
        })
    }

    /// The files of a commit as the hub lists them.
    pub fn tree(&self, commit: &str) -> Vec<Value> {
        let mut entries = vec![
            json!({ "type": "directory", "oid": "d".repeat(40), "size": 0, "path": "folder" }),
        ];
        for (path, file) in self.commits.get(commit).into_iter().flatten() {
            let size = file.content.len();
            let mut entry =
                json!({ "type": "file", "oid": file.git_oid(), "size": size, "path": path });
            if file.is_large {
                entry["lfs"] = json!({ "oid": file.etag(), "size": size, "pointerSize": 135 });
                entry["oid"] = json!("f".repeat(40));
            }
            entries.push(entry);
        }
        entries
    }
}
