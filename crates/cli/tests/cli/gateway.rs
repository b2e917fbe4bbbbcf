//! The gateway's pool with the real program: memory estimates.

use std::sync::Arc;
use std::time::Duration;

use mlxm_gateway::pool::plan::{Rejection, Verdict};
use mlxm_gateway::{
    AcquireError, AcquireRequest, Class, LaunchConfig, LoadSettings, Pool, PoolOptions,
    ServerRecord, ServerStore, ShutdownMode, StoreError, Target, Timings, Ttl, UserId, WorkerKeys,
};
use uuid::Uuid;

use crate::support::{Checkpoint, TestEnv};

/// A store that keeps nothing.
struct NoStore;

impl ServerStore for NoStore {
    async fn list(&self) -> Result<Vec<ServerRecord>, StoreError> {
        Ok(Vec::new())
    }

    async fn save(&self, _: &ServerRecord) -> Result<(), StoreError> {
        Ok(())
    }

    async fn remove(&self, _: Uuid) -> Result<(), StoreError> {
        Ok(())
    }
}

async fn pool(env: &TestEnv, budget_bytes: u64) -> Pool {
    let launch = LaunchConfig {
        program: assert_cmd::cargo::cargo_bin!("mlxm").to_path_buf(),
        environment: Vec::new(),
        log_directory: env.path().join("logs"),
        keys: WorkerKeys::new(&[1; 32]).unwrap(),
        orphan_grace: Duration::ZERO,
        timings: Timings::default(),
    };
    let options = PoolOptions {
        budget_bytes,
        max_waiting: 16,
        drain_after: Duration::from_secs(30),
        compute_threads: 2,
        launch,
    };
    Pool::start(options, NoStore).await.unwrap()
}

fn request(settings: LoadSettings) -> AcquireRequest {
    AcquireRequest {
        target: Target {
            name: "tiny".to_owned(),
            settings: Arc::new(settings),
            ttl: Ttl::default(),
        },
        user: UserId(Uuid::nil()),
        class: Class::Normal,
        queue_timeout: Duration::from_secs(1),
    }
}

#[tokio::test]
async fn pool_plans_with_the_estimate_of_the_program() {
    let env = TestEnv::new();
    let model = env.local_model("tiny", &Checkpoint::endless());
    let json = env
        .run(&["show", "tiny", "--json", "--max-sequences", "16"])
        .json();
    let sizes = json["memory"]["cache_sizes"].as_array().unwrap();
    let bytes = |index: usize| sizes[index]["total_bytes"].as_u64().unwrap();

    // The whole budget is free: two contexts.
    let pool = pool(&env, bytes(0)).await;
    let settings = LoadSettings::new(&model);
    let verdict = pool.dry_run(request(settings.clone())).await.unwrap();
    let Verdict::Start { size } = verdict else {
        panic!("{verdict:?}");
    };
    assert_eq!((size.kv_pool_tokens, size.plan_bytes), (2 * 4096, bytes(0)));

    pool.set_budget(bytes(1)).unwrap();
    let verdict = pool.dry_run(request(settings.clone())).await.unwrap();
    assert!(matches!(verdict, Verdict::Start { size } if size.kv_pool_tokens == 4096));

    // The rejection names a context that does fit.
    pool.set_budget(bytes(1) - 1).unwrap();
    let verdict = pool.dry_run(request(settings.clone())).await.unwrap();
    let Verdict::Reject(Rejection::DoesNotFit {
        needed_bytes,
        largest_context,
        ..
    }) = verdict
    else {
        panic!("{verdict:?}");
    };
    assert_eq!(needed_bytes, bytes(1));
    assert!((256..4096).contains(&largest_context), "{largest_context}");
    let shorter = LoadSettings {
        context_length: u32::try_from(largest_context).ok(),
        ..settings
    };
    let verdict = pool.dry_run(request(shorter)).await.unwrap();
    assert!(matches!(verdict, Verdict::Start { .. }), "{verdict:?}");
    pool.shutdown(ShutdownMode::StopWorkers).await.unwrap();
}

#[tokio::test]
async fn damaged_model_is_rejected_with_the_message_of_the_program() {
    let env = TestEnv::new();
    let model = env.local_model("tiny", &Checkpoint::endless());
    std::fs::write(model.join("config.json"), "{").unwrap();
    let pool = pool(&env, 1 << 30).await;
    let error = pool
        .dry_run(request(LoadSettings::new(model)))
        .await
        .unwrap_err();
    assert!(matches!(error, AcquireError::Estimate(_)));
    assert!(error.to_string().contains("config.json"), "{error}");
    pool.shutdown(ShutdownMode::StopWorkers).await.unwrap();
}
