//! Who may use the gateway, and who may manage it.

use serde_json::Value;

use crate::gateway_process::{Client, Gateway, chat, home};
use crate::support::{Checkpoint, TestEnv};

fn env() -> TestEnv {
    let env = TestEnv::new();
    env.local_model("tiny", &Checkpoint::endless());
    env
}

/// The owner's key, which is new for each start.
fn owner_key(env: &TestEnv) -> String {
    let file = std::fs::read(home(env).join("gateway.json")).unwrap();
    let discovery: Value = serde_json::from_slice(&file).unwrap();
    discovery["token"].as_str().unwrap().to_owned()
}

#[test]
fn pages_of_other_sites_may_not_manage_the_gateway_even_if_they_may_use_models() {
    let env = env();
    let gateway = Gateway::start(&env, &["--cors", "*"]);
    let page = || Client::new(gateway.address()).header("origin: http://other.example");
    assert_eq!(page().get("/v1/models").0, 200);
    let (status, problem) = page().get("/api/servers");
    assert_eq!(status, 403, "{problem}");
    assert_eq!(problem["code"], "forbidden");
    let image = Client::new(gateway.address()).header("sec-fetch-site: cross-site");
    assert_eq!(image.get("/api/servers").0, 403);
    let own = Client::new(gateway.address())
        .header(&format!("host: {}", gateway.address()))
        .header(&format!("origin: {}", gateway.url()));
    assert_eq!(own.get("/api/servers").0, 200);
    let rebound = Client::new(gateway.address()).header("host: other.example");
    for path in ["/api/servers", "/v1/models", "/metrics", "/health"] {
        assert_eq!(rebound.get(path).0, 403, "{path}");
    }
}

#[test]
fn with_a_key_clients_need_it_and_the_owner_does_not() {
    let env = env();
    let gateway = Gateway::start_with(&env, &[], &[("MLXM_API_KEY", "secret")]);
    let client = |header: &str| {
        let client = Client::new(gateway.address());
        let client = if header.is_empty() {
            client
        } else {
            client.header(header)
        };
        client.post("/v1/chat/completions", &chat("tiny", 1)).0
    };
    let owner = format!("authorization: Bearer {}", owner_key(&env));
    assert_eq!(client(""), 401);
    assert_eq!(client("x-api-key: wrong"), 401);
    assert_eq!(client("x-api-key: secret"), 200);
    assert_eq!(client(&owner), 200);
    assert_eq!(gateway.get("/api/servers").0, 200);

    // What a proxy forwards comes from anywhere.
    let forwarded = || Client::new(gateway.address()).header("x-forwarded-for: 10.0.0.1");
    assert_eq!(forwarded().get("/api/servers").0, 403);
    assert_eq!(
        forwarded()
            .header("x-api-key: secret")
            .get("/api/servers")
            .0,
        403
    );
    assert_eq!(forwarded().header(&owner).get("/api/servers").0, 200);
    let first = owner_key(&env);
    gateway.stop();
    let _gateway = Gateway::start(&env, &[]);
    assert_ne!(owner_key(&env), first);
}

#[test]
fn other_machines_are_served_with_a_key_only() {
    let env = env();
    let outcome = env.run(&["serve", "--host", "0.0.0.0", "--port", "0"]);
    outcome.failure(&["an API key is required", "--api-key-file"]);
}

#[test]
fn files_of_the_gateway_are_private() {
    use std::os::unix::fs::PermissionsExt as _;

    let env = env();
    let gateway = Gateway::start(&env, &[]);
    assert_eq!(gateway.chat("tiny").0, 200);
    let logs = home(&env).join("logs");
    let files = [
        "mlxm.db",
        "mlxm.db.lock",
        "secret.key",
        "gateway.id",
        "gateway.json",
    ];
    let files = files.iter().map(|name| home(&env).join(name));
    let logs = std::fs::read_dir(logs).unwrap();
    for file in files.chain(logs.map(|entry| entry.unwrap().path())) {
        let mode = std::fs::metadata(&file).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600, "{}", file.display());
    }
    // Neither the keys of workers nor that of the owner are stored or logged.
    let key = owner_key(&env);
    assert!(!gateway.log().contains(&key));
}
