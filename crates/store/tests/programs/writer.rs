//! Writes audit rows until it is killed, and prints the ids of each batch after its commit. A program for the test of
//! crashes: `mlxm-store-writer HOME`.

use mlxm_store::requests::{self, Request, TokenUsage};
use mlxm_store::{Location, OpenOptions, Store, Uuid, now_ms};
use std::error::Error;
use std::fmt::Write as _;
use std::io::{self, Write as _};
use std::path::Path;
use std::process::ExitCode;

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    let Some(home) = std::env::args_os().nth(1) else {
        eprintln!("usage: mlxm-store-writer HOME");
        return ExitCode::FAILURE;
    };
    match write_forever(home.as_ref()).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

async fn write_forever(home: &Path) -> Result<(), Box<dyn Error>> {
    let location = Location::new(None, home)?;
    let store = Store::open(&OpenOptions::new(location, home)).await?;
    let gateway_id = Uuid::now_v7();
    for batch in 0_u64.. {
        let rows: Vec<Request> = (0..=batch % 20)
            .map(|tokens| row(gateway_id, tokens))
            .collect();
        requests::insert(&store, &rows).await?;
        let mut lines = String::new();
        for row in &rows {
            writeln!(lines, "{}", row.id)?;
        }
        let mut output = io::stdout().lock();
        output.write_all(lines.as_bytes())?;
        output.flush()?;
    }
    Ok(())
}

fn row(gateway_id: Uuid, tokens: u64) -> Request {
    Request {
        id: Uuid::now_v7(),
        gateway_id,
        request_id: Uuid::now_v7().to_string(),
        at_ms: now_ms(),
        endpoint: "/v1/chat/completions".to_owned(),
        model: "model".to_owned(),
        served_by: Some("local".to_owned()),
        status: 200,
        error_kind: None,
        finish_reason: Some("stop".to_owned()),
        usage: Some(TokenUsage {
            prompt_tokens: tokens,
            cached_tokens: 0,
            completion_tokens: tokens,
        }),
        queue_ms: Some(0),
        time_to_first_token_ms: Some(1),
        duration_ms: 2,
    }
}
