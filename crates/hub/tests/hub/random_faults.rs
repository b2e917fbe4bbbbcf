//! Property test: random network faults never lead to wrong content.

use std::fs;
use std::sync::LazyLock;
use std::sync::atomic::{AtomicU32, Ordering};

use crate::support::{WEIGHTS, config, weights};
use mlxm_hub::{CancellationToken, NoProgress, PullRequest, blocking::Hub};
use mlxm_testhub::{Fault, TestHub, TestRepo};
use proptest::collection::vec;
use proptest::prelude::*;

static SERVER: LazyLock<TestHub> = LazyLock::new(TestHub::start);
static CASES: AtomicU32 = AtomicU32::new(0);

fn fault(size: usize) -> impl Strategy<Value = Fault> {
    prop_oneof![
        4 => (0..=size).prop_map(Fault::DropAfter),
        1 => Just(Fault::IgnoreRange),
        1 => Just(Fault::HubStatus(503, None)),
        1 => Just(Fault::Status(408)),
        1 => Just(Fault::Status(500)),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn content_is_correct_despite_random_faults(
        (size, faults) in (1_usize..2_500_000).prop_flat_map(|size| (Just(size), vec(fault(size), 0..7))),
        is_large in any::<bool>(),
        damage in any::<Option<prop::sample::Index>>(),
        left_bytes in 0_usize..2_000_000,
    ) {
        let repo = format!("org/case-{}", CASES.fetch_add(1, Ordering::Relaxed));
        let content = weights(size);
        let stored = TestRepo::new(&repo).file("config.json", "{}");
        SERVER.add(if is_large {
            stored.large_file(WEIGHTS, content.clone())
        } else {
            stored.file(WEIGHTS, content.clone())
        });
        let mut faults = faults;
        // Two corrupt downloads are an error, so inject at most one.
        if let Some(index) = damage {
            faults.insert(index.index(faults.len() + 1), Fault::Corrupt);
        }
        for fault in faults {
            SERVER.inject(&repo, WEIGHTS, fault);
        }

        let home = tempfile::tempdir().unwrap();
        let mut config = config(SERVER.endpoint(), home.path());
        config.retry.max_attempts = 12;
        let hub = Hub::new(config).unwrap();
        let request = PullRequest::new(repo.parse().unwrap());
        // A valid partial download left by an earlier process.
        let info = hub.model_info(&request.repo, None).unwrap();
        let etag = info.files.iter().find(|file| file.path == WEIGHTS).unwrap().digest.as_str().to_owned();
        let blobs = hub.config().cache_dir.join(format!("models--{}", repo.replace('/', "--"))).join("blobs");
        fs::create_dir_all(&blobs).unwrap();
        fs::write(blobs.join(format!("{etag}.incomplete")), &content[..left_bytes.min(size)]).unwrap();

        let pulled = hub.pull(&request, &NoProgress, &CancellationToken::new()).unwrap();
        prop_assert!(fs::read(pulled.snapshot.join(WEIGHTS)).unwrap() == content);
        prop_assert_eq!(fs::read_dir(&blobs).unwrap().count(), 2);
    }
}
