//! Memory estimates by a child process.

use mlxm_gateway::pool::plan::{Rejection, Verdict};
use mlxm_gateway::{AcquireError, ShutdownMode};

use crate::support::{SHOW, Setup, ready};

#[tokio::test]
async fn estimate_is_kept_until_a_file_changes() {
    let setup = Setup::new(&format!("echo run >> $FOLDER/runs\n{SHOW}"), &ready());
    let pool = setup.pool().await;
    let runs = || {
        let text = std::fs::read_to_string(setup.path().join("runs")).unwrap();
        text.lines().count()
    };
    for _ in 0..2 {
        let verdict = pool.dry_run(setup.request("a")).await.unwrap();
        assert!(matches!(verdict, Verdict::Start { size } if size.plan_bytes == 4));
        assert_eq!(runs(), 1);
    }
    std::fs::write(setup.path().join("a/config.json"), "{\"changed\": true}").unwrap();
    pool.dry_run(setup.request("a")).await.unwrap();
    assert_eq!(runs(), 2);
    pool.shutdown(ShutdownMode::StopWorkers).await.unwrap();
}

#[tokio::test]
async fn model_larger_than_the_budget_is_rejected_without_a_start() {
    let mut setup = Setup::ready();
    setup.budget_bytes = 3;
    let pool = setup.pool().await;
    let error = setup.acquire(&pool, "a").await.unwrap_err();
    let expected = Rejection::DoesNotFit {
        name: "a".to_owned(),
        needed_bytes: 4,
        budget_bytes: 3,
        largest_context: 9,
    };
    assert!(matches!(&error, AcquireError::Rejected(rejection) if *rejection == expected));
    pool.set_budget(4).unwrap();
    setup.acquire(&pool, "a").await.unwrap();
    pool.shutdown(ShutdownMode::StopWorkers).await.unwrap();
}

#[tokio::test]
async fn message_of_an_invalid_model_is_returned() {
    let setup = Setup::new("echo 'error: unknown architecture x' >&2; exit 1", &ready());
    let pool = setup.pool().await;
    let error = setup.acquire(&pool, "a").await.unwrap_err();
    assert_eq!(error.to_string(), "unknown architecture x");
    let absent = setup.acquire(&pool, "absent").await.unwrap_err();
    assert!(absent.to_string().contains("mlxm list"), "{absent}");
    pool.shutdown(ShutdownMode::StopWorkers).await.unwrap();
}
