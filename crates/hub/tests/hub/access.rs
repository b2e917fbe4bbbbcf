//! Authorization, gated and private models, offline mode, search and proxies.

use crate::support::{EventRecorder, REPO, TestEnv, assert_complete, model, pull, request};
use mlxm_hub::{CancellationToken, Hub, HubConfig, HubError, SearchQuery, Token, TokenSource};
use mlxm_testhub::{MOVED, TestHub, TestRepo};

fn with_token(env: &TestEnv, secret: &str) -> HubConfig {
    let mut config = env.config();
    config.token = Token::new(secret);
    config
}

#[tokio::test]
async fn token_is_sent_only_to_the_hub() {
    let env = TestEnv::with_model(5_000);
    let pulled = pull(&Hub::new(with_token(&env, "secret")).unwrap())
        .await
        .unwrap();
    assert_complete(&pulled.snapshot, 5_000);
    let received = env.server.received();
    assert!(received.iter().any(|request| request.at_storage));
    for request in received {
        let expected = (!request.at_storage).then(|| "Bearer secret".to_owned());
        assert_eq!(
            request.authorization, expected,
            "{} {}",
            request.method, request.path
        );
    }
}

#[tokio::test]
async fn redirects_to_another_hub_are_followed_without_the_token() {
    for status in [301, 302, 307, 308] {
        let env = TestEnv::new();
        let target = TestHub::start();
        target.add(model(REPO, 5_000));
        // The links to further pages of a listing lead to the target.
        target.page_size(2);
        env.server.redirect(status, target.endpoint());
        let hub = Hub::new(with_token(&env, "secret")).unwrap();
        let pulled = pull(&hub).await.unwrap();
        assert_complete(&pulled.snapshot, 5_000);
        let found = hub.search(&SearchQuery::default()).await;
        assert!(found.is_ok(), "{status}: {found:?}");
        let at_hub = env.server.received();
        assert!(at_hub.iter().all(|request| request.status == status));
        assert!(
            at_hub
                .iter()
                .any(|request| request.authorization.as_deref() == Some("Bearer secret"))
        );
        let at_target = target.received();
        assert!(
            at_target
                .iter()
                .any(|request| request.path.contains("/tree/"))
        );
        for request in at_target {
            assert_eq!(request.authorization, None, "{status} {}", request.path);
        }
    }
}

#[tokio::test]
async fn relative_redirects_are_followed_with_the_token() {
    for status in [307, 308] {
        let env = TestEnv::new();
        env.server.add(model(REPO, 5_000).private());
        env.server.redirect(status, MOVED);
        let pulled = pull(&Hub::new(with_token(&env, "secret")).unwrap())
            .await
            .unwrap();
        assert_complete(&pulled.snapshot, 5_000);
    }
}

#[tokio::test]
async fn endless_redirects_are_an_error() {
    let env = TestEnv::with_model(10);
    env.server.redirect(307, env.server.endpoint());
    let error = pull(&env.hub()).await.unwrap_err().to_string();
    assert!(error.contains("redirect"), "{error}");
}

#[tokio::test]
async fn no_authorization_without_a_token() {
    let env = TestEnv::with_model(10);
    pull(&env.hub()).await.unwrap();
    env.hub().search(&SearchQuery::default()).await.unwrap();
    assert!(
        env.server
            .received()
            .iter()
            .all(|request| request.authorization.is_none())
    );
}

#[tokio::test]
async fn gated_model_error_contains_the_request_page() {
    for secret in [None, Some("secret")] {
        let env = TestEnv::new();
        env.server.add(model(REPO, 10).gated());
        let mut config = env.config();
        config.token = secret.and_then(Token::new);
        let hub = Hub::new(config).unwrap();
        assert!(
            hub.model_info(&REPO.parse().unwrap(), None)
                .await
                .unwrap()
                .gated
        );
        let error = pull(&hub).await.unwrap_err();
        let page = format!("{}/{REPO}", env.server.endpoint());
        assert!(
            matches!(&error, HubError::Gated { page: found, .. } if *found == page),
            "{error:?}"
        );
        let message = error.to_string();
        let source = if secret.is_some() {
            "the token passed by the program"
        } else {
            "no token was sent"
        };
        assert!(
            message.contains(&page) && message.contains(source),
            "{message}"
        );
    }
}

#[tokio::test]
async fn rejected_token_error_names_its_source() {
    let env = TestEnv::with_model(10);
    env.server.accept_tokens(&["good"]);
    let file = env.home.path().join("token");
    std::fs::write(&file, "stale\n").unwrap();
    let home = env.home.path().to_str().unwrap().to_owned();
    let endpoint = env.server.endpoint().to_owned();
    let from_file = HubConfig::from_vars(|name| match name {
        "HOME" | "HF_HOME" => Some(home.clone()),
        "HF_ENDPOINT" => Some(endpoint.clone()),
        _ => None,
    });
    let error = pull(&Hub::new(from_file.unwrap()).unwrap())
        .await
        .unwrap_err();
    assert!(
        matches!(&error, HubError::Unauthorized { status: 401, .. }),
        "{error:?}"
    );
    assert!(
        error.to_string().contains(file.to_str().unwrap()),
        "{error}"
    );
    assert!(
        !format!("{error:?}{error}").contains("stale"),
        "the error contains the token"
    );

    let from_variable = HubConfig::from_vars(|name| match name {
        "HOME" => Some(home.clone()),
        "HF_TOKEN" => Some("stale".to_owned()),
        "HF_ENDPOINT" => Some(endpoint.clone()),
        _ => None,
    });
    let error = pull(&Hub::new(from_variable.unwrap()).unwrap())
        .await
        .unwrap_err();
    assert!(error.to_string().contains("HF_TOKEN"), "{error}");
}

#[tokio::test]
async fn private_model_without_token_looks_missing() {
    let env = TestEnv::new();
    env.server.accept_tokens(&["good"]);
    env.server.add(model(REPO, 10).private());
    let error = pull(&env.hub()).await.unwrap_err();
    assert!(
        matches!(error, HubError::RepoNotFound { token: None, .. }),
        "{error:?}"
    );
    let message = error.to_string();
    assert!(
        message.contains("spelling") && message.contains("private") && message.contains("HF_TOKEN"),
        "{message}"
    );
    assert_complete(
        &pull(&Hub::new(with_token(&env, "good")).unwrap())
            .await
            .unwrap()
            .snapshot,
        10,
    );

    let mut wrong = request();
    wrong.repo = "org/tiny-5bit".parse().unwrap();
    let hub = Hub::new(with_token(&env, "good")).unwrap();
    let error = hub
        .pull(&wrong, &EventRecorder::default(), &CancellationToken::new())
        .await
        .unwrap_err();
    assert!(
        matches!(&error, HubError::RepoNotFound { token: Some(token), .. } if *token.source() == TokenSource::Explicit)
    );
}

#[tokio::test]
async fn offline_mode_sends_no_requests() {
    let env = TestEnv::with_model(10);
    let pulled = pull(&env.hub()).await.unwrap();
    let before = env.server.received().len();

    let mut config = env.config();
    config.offline = true;
    let hub = Hub::new(config).unwrap();
    let repo = REPO.parse().unwrap();
    let errors = [
        pull(&hub).await.unwrap_err(),
        hub.search(&SearchQuery::default()).await.unwrap_err(),
        hub.model_info(&repo, None).await.unwrap_err(),
    ];
    for error in errors {
        assert!(matches!(error, HubError::Offline { .. }), "{error:?}");
        assert!(error.to_string().contains("HF_HUB_OFFLINE"), "{error}");
    }
    assert_eq!(hub.resolve("tiny").unwrap().path, pulled.snapshot);
    assert_eq!(hub.local().unwrap().len(), 1);
    assert_eq!(env.server.received().len(), before);
}

#[tokio::test]
async fn search_returns_mlx_models_sorted_by_downloads() {
    let env = TestEnv::new();
    for (id, downloads) in [
        ("org/qwen-small", 5),
        ("org/qwen-large", 50),
        ("other/qwen-mid", 20),
        ("org/llama", 99),
    ] {
        env.server.add(model(id, 10).downloads(downloads));
    }
    env.server.add(
        TestRepo::new("org/qwen-torch")
            .tags(&["pytorch"])
            .downloads(1000),
    );
    env.server.add(model("org/qwen-gated", 10).gated());
    let hub = env.hub();
    let names = async |query: SearchQuery| -> Vec<String> {
        hub.search(&query)
            .await
            .unwrap()
            .into_iter()
            .map(|model| model.repo)
            .collect()
    };
    let text = Some("qwen".to_owned());
    let query = SearchQuery {
        text,
        ..SearchQuery::default()
    };
    assert_eq!(
        names(query.clone()).await,
        [
            "org/qwen-large",
            "other/qwen-mid",
            "org/qwen-small",
            "org/qwen-gated"
        ]
    );
    assert_eq!(
        names(SearchQuery {
            limit: 2,
            ..query.clone()
        })
        .await,
        ["org/qwen-large", "other/qwen-mid"]
    );
    assert_eq!(
        names(SearchQuery {
            author: Some("other".to_owned()),
            ..query.clone()
        })
        .await,
        ["other/qwen-mid"]
    );
    assert_eq!(
        names(SearchQuery {
            mlx_only: false,
            limit: 1,
            ..query.clone()
        })
        .await,
        ["org/qwen-torch"]
    );
    env.server.page_size(1);
    assert_eq!(
        names(SearchQuery {
            limit: 3,
            ..query.clone()
        })
        .await
        .len(),
        3
    );
    assert_eq!(
        names(SearchQuery {
            offset: 1,
            limit: 2,
            ..query.clone()
        })
        .await,
        ["other/qwen-mid", "org/qwen-small"]
    );
    env.server.add(
        model("org/qwen-sized", 10)
            .downloads(60)
            .weights("U32", 100),
    );

    let found = hub.search(&query).await.unwrap();
    assert_eq!(found[0].downloads, Some(60));
    assert_eq!(found[0].weights_bytes, Some(400));
    assert_eq!(found[1].weights_bytes, None);
    assert_eq!(found[0].pipeline_tag.as_deref(), Some("text-generation"));
    assert!(found[0].last_modified.is_some());
    assert_eq!(
        found.iter().map(|model| model.gated).collect::<Vec<_>>(),
        [false, false, false, false, true]
    );
}

#[tokio::test]
async fn requests_use_the_proxy_except_for_no_proxy_hosts() {
    let env = TestEnv::with_model(10);
    // A proxy that responds to everything itself; the test only checks that it is reached.
    let proxy = TestHub::start();
    let mut config = env.config();
    config.endpoint = Some("http://hub.example".to_owned());
    let through = |no_proxy: Option<&str>| mlxm_hub::Proxies::Explicit {
        http: Some(proxy.endpoint().to_owned()),
        https: None,
        all: None,
        no_proxy: no_proxy.map(str::to_owned),
    };
    config.proxies = through(None);
    let error = pull(&Hub::new(config.clone()).unwrap()).await.unwrap_err();
    assert!(matches!(error, HubError::RepoNotFound { .. }), "{error:?}");
    assert!(
        proxy.received()[0]
            .path
            .starts_with("http://hub.example/api/models/org/tiny-4bit")
    );

    config.endpoint = Some(env.server.endpoint().to_owned());
    config.proxies = through(Some("127.0.0.1"));
    let before = proxy.received().len();
    assert_complete(
        &pull(&Hub::new(config).unwrap()).await.unwrap().snapshot,
        10,
    );
    assert_eq!(proxy.received().len(), before);
}
