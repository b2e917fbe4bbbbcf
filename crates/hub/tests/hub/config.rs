//! Configuration from environment variables.

use std::collections::HashMap;
use std::fs;
use std::path::Path;

use mlxm_hub::{HubConfig, HubError, Proxies, TokenSource};

fn config(vars: &[(&str, &str)]) -> Result<HubConfig, HubError> {
    let vars: HashMap<&str, &str> = vars.iter().copied().collect();
    HubConfig::from_vars(|name| vars.get(name).map(|value| (*value).to_owned()))
}

#[test]
fn directories_follow_huggingface_hub_rules() {
    let cache = |vars: &[(&str, &str)]| config(vars).unwrap().cache_dir;
    let home = ("HOME", "/home");
    assert_eq!(cache(&[home]), Path::new("/home/.cache/huggingface/hub"));
    assert_eq!(
        cache(&[home, ("XDG_CACHE_HOME", "/xdg")]),
        Path::new("/xdg/huggingface/hub")
    );
    assert_eq!(
        cache(&[home, ("HF_HOME", "/hf"), ("XDG_CACHE_HOME", "/xdg")]),
        Path::new("/hf/hub")
    );
    assert_eq!(
        cache(&[home, ("HF_HOME", "~/hf")]),
        Path::new("/home/hf/hub")
    );
    assert_eq!(
        cache(&[home, ("HF_HOME", "/hf"), ("HUGGINGFACE_HUB_CACHE", "/old")]),
        Path::new("/old")
    );
    assert_eq!(
        cache(&[
            home,
            ("HUGGINGFACE_HUB_CACHE", "/old"),
            ("HF_HUB_CACHE", "/new")
        ]),
        Path::new("/new")
    );
    assert_eq!(
        cache(&[home, ("HF_HOME", "")]),
        Path::new("/home/.cache/huggingface/hub")
    );

    let models = |vars: &[(&str, &str)]| config(vars).unwrap().models_dir;
    assert_eq!(models(&[home]), Path::new("/home/.mlxm/models"));
    assert_eq!(
        models(&[home, ("MLXM_HOME", "/mlxm")]),
        Path::new("/mlxm/models")
    );
}

#[test]
fn home_is_required_only_without_explicit_directories() {
    assert!(config(&[("HF_HUB_CACHE", "/cache"), ("MLXM_HOME", "/mlxm")]).is_ok());
    let error = config(&[("MLXM_HOME", "/mlxm")]).unwrap_err();
    assert!(
        matches!(&error, HubError::InvalidConfig(words) if words.contains("HF_HOME")),
        "{error:?}"
    );
}

#[test]
fn token_variable_takes_precedence_over_file() {
    let home = tempfile::tempdir().unwrap();
    let hf_home = home.path().to_str().unwrap();
    let elsewhere = home.path().join("elsewhere");
    let source = |vars: &[(&str, &str)]| {
        let vars: Vec<_> = [("HOME", "/home"), ("HF_HOME", hf_home)]
            .iter()
            .chain(vars)
            .copied()
            .collect();
        config(&vars)
            .unwrap()
            .token
            .map(|token| token.source().clone())
    };
    assert_eq!(source(&[]), None);
    fs::write(home.path().join("token"), " in-file\n").unwrap();
    fs::write(&elsewhere, "\n").unwrap();
    assert_eq!(
        source(&[]),
        Some(TokenSource::File(home.path().join("token")))
    );
    assert_eq!(
        source(&[("HF_TOKEN_PATH", elsewhere.to_str().unwrap())]),
        None,
        "a blank file holds no token"
    );
    fs::write(&elsewhere, "other").unwrap();
    assert_eq!(
        source(&[("HF_TOKEN_PATH", elsewhere.to_str().unwrap())]),
        Some(TokenSource::File(elsewhere))
    );
    let old = ("HUGGING_FACE_HUB_TOKEN", "old");
    assert_eq!(
        source(&[old]),
        Some(TokenSource::Variable("HUGGING_FACE_HUB_TOKEN"))
    );
    assert_eq!(
        source(&[old, ("HF_TOKEN", "new")]),
        Some(TokenSource::Variable("HF_TOKEN"))
    );
    assert_eq!(
        source(&[("HF_TOKEN", "new"), ("HF_HUB_DISABLE_IMPLICIT_TOKEN", "1")]),
        None
    );
}

#[test]
fn offline_accepts_common_true_values() {
    let offline = |vars: &[(&str, &str)]| {
        let vars: Vec<_> = [("HOME", "/home")].iter().chain(vars).copied().collect();
        config(&vars).unwrap().offline
    };
    for yes in ["1", "true", "TRUE", "yes", "On"] {
        assert!(offline(&[("HF_HUB_OFFLINE", yes)]), "{yes}");
    }
    for no in ["0", "false", "no", "off", "", "2"] {
        assert!(!offline(&[("HF_HUB_OFFLINE", no)]), "{no}");
    }
    assert!(offline(&[("TRANSFORMERS_OFFLINE", "1")]));
    assert!(!offline(&[
        ("HF_HUB_OFFLINE", "0"),
        ("TRANSFORMERS_OFFLINE", "1")
    ]));
}

#[test]
fn proxy_variables_are_case_insensitive() {
    let proxies = |vars: &[(&str, &str)]| {
        let vars: Vec<_> = [("HOME", "/home")].iter().chain(vars).copied().collect();
        config(&vars).unwrap().proxies
    };
    assert_eq!(proxies(&[]), Proxies::System);
    let (address, hosts) = ("http://proxy:3128", "localhost,.example");
    let expected = Proxies::Explicit {
        http: None,
        https: Some(address.to_owned()),
        all: None,
        no_proxy: Some(hosts.to_owned()),
    };
    assert_eq!(
        proxies(&[("HTTPS_PROXY", address), ("NO_PROXY", hosts)]),
        expected
    );
    assert_eq!(
        proxies(&[("https_proxy", address), ("no_proxy", hosts)]),
        expected
    );
}
