//! SIGKILL at random moments loses no acknowledged row.

use crate::support::{home, open, run};
use mlxm_store::now_ms;
use mlxm_store::requests::{self, RequestFilter};
use std::collections::HashSet;
use std::io::Read;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

const ROUNDS: u32 = 50;

#[test]
fn acknowledged_rows_survive_sigkill() {
    let home = home();
    let mut acknowledged = HashSet::new();
    for round in 0..ROUNDS {
        let started = now_ms();
        let written = write_until_killed(home.path());
        let stored = stored_since(home.path(), started);
        let lost = written.iter().filter(|id| !stored.contains(*id)).count();
        assert_eq!(lost, 0, "of {} rows of round {round}", written.len());
        acknowledged.extend(written);
    }
    assert!(
        acknowledged.len() > ROUNDS as usize,
        "the writer wrote {} rows",
        acknowledged.len()
    );
    let lost = acknowledged
        .difference(&stored_since(home.path(), 0))
        .count();
    assert_eq!(lost, 0, "of {} rows of all rounds", acknowledged.len());
}

/// The ids that a writer printed before it was killed.
fn write_until_killed(home: &Path) -> Vec<String> {
    let mut writer = Command::new(env!("CARGO_BIN_EXE_mlxm-store-writer"))
        .arg(home)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut output = writer.stdout.take().unwrap();
    // The pipe must be emptied meanwhile: a writer that waits for it commits nothing.
    let reader = std::thread::spawn(move || {
        let mut text = String::new();
        output.read_to_string(&mut text).unwrap();
        text
    });
    // From before the migration of the first round to hundreds of commits.
    std::thread::sleep(Duration::from_millis(fastrand::u64(0..250)));
    let ended = writer.try_wait().unwrap();
    assert!(ended.is_none(), "the writer ended by itself: {ended:?}");
    writer.kill().unwrap();
    writer.wait().unwrap();
    let text = reader.join().unwrap();
    // The last line may be incomplete.
    let complete = text.rfind('\n').map_or("", |end| &text[..end]);
    complete.lines().map(str::to_owned).collect()
}

fn stored_since(home: &Path, time_ms: i64) -> HashSet<String> {
    run(async {
        let store = open(home).await.unwrap();
        let filter = RequestFilter {
            from_ms: Some(time_ms),
            limit: u64::from(u32::MAX),
            ..RequestFilter::default()
        };
        let rows = requests::list(&store, &filter).await.unwrap();
        store.close().await;
        rows.into_iter().map(|row| row.id.to_string()).collect()
    })
}
