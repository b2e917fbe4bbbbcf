//! Responses of a hub. A server on this machine sends the input, whatever is requested.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use mlxm_hub::blocking::Hub;
use mlxm_hub::{HubConfig, RepoId, SearchQuery};
use serde_json::{Value, json};

use super::Subject;
use crate::mutate::responses::{SEPARATOR, split};

/// Headers of a request are not read beyond this.
const MAX_REQUEST_BYTES: u64 = 1 << 16;

/// An example of the responses to the requests for metadata, for the list of files, and for a search, in this order.
pub(super) fn seeds() -> Vec<Vec<u8>> {
    let model = json!({
        "_id": "1", "id": "org/name", "modelId": "org/name", "sha": "0123456789abcdef0123456789abcdef01234567",
        "lastModified": "2026-01-01T00:00:00.000Z", "private": false, "gated": false, "disabled": false,
        "downloads": 10, "likes": 1, "tags": ["mlx"], "pipeline_tag": "text-generation", "library_name": "mlx",
        "siblings": [{"rfilename": "config.json"}],
    });
    let files = json!([
        {"type": "directory", "oid": "0123456789abcdef0123456789abcdef01234567", "size": 0, "path": "more"},
        {"type": "file", "oid": "0123456789abcdef0123456789abcdef01234567", "size": 2, "path": "config.json"},
        {
            "type": "file", "oid": "0123456789abcdef0123456789abcdef01234567", "size": 130, "path": "model.safetensors",
            "lfs": {
                "oid": "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef",
                "size": 1000, "pointerSize": 130,
            },
        },
    ]);
    let found = json!([model]);
    vec![
        [model, files, found]
            .map(|body| response(&body))
            .join(SEPARATOR),
    ]
}

fn response(body: &Value) -> Vec<u8> {
    let headers = "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nConnection: close\r\n\r\n";
    format!("{headers}{body}").into_bytes()
}

/// Asks a hub that responds with the input. It is accepted if all responses are.
pub(super) fn ask_with() -> anyhow::Result<Subject> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let endpoint = format!("http://{}", listener.local_addr()?);
    let responses = Arc::new(Mutex::new(Vec::new()));
    let served = Arc::clone(&responses);
    // It ends with the process.
    thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let responses = served
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .clone();
            // The client may have closed the connection.
            let _ = respond(stream, &responses);
        }
    });

    let folder = tempfile::tempdir()?;
    let mut config = HubConfig::new(folder.path().join("hub"), folder.path().join("models"));
    config.endpoint = Some(endpoint);
    config.connect_timeout = Duration::from_secs(2);
    config.read_timeout = Duration::from_secs(2);
    config.retry.max_attempts = 1;
    config.retry.max_backoff = Duration::from_millis(1);
    let hub = Hub::new(config)?;
    let repo: RepoId = "org/name".parse()?;
    Ok(Box::new(move |input| {
        // Removed only after the last case.
        let _ = &folder;
        *responses.lock().unwrap_or_else(PoisonError::into_inner) = input.to_vec();
        let info = hub.model_info(&repo, None);
        let found = hub.search(&SearchQuery::default());
        Ok(info.is_ok() && found.is_ok())
    }))
}

fn respond(stream: TcpStream, responses: &[u8]) -> std::io::Result<()> {
    let mut reader = BufReader::new((&stream).take(MAX_REQUEST_BYTES));
    let mut request = String::new();
    reader.read_line(&mut request)?;
    let mut header = String::new();
    while reader.read_line(&mut header)? > 2 {
        header.clear();
    }
    let index = if request.contains("/tree/") {
        1
    } else if request.contains("/api/models?") {
        2
    } else {
        0
    };
    let response = split(responses).get(index).copied().unwrap_or_default();
    (&stream).write_all(response)
}
