//! `mlxm launch` after changes of a user, and `--undo`.

use std::fs;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use crate::gateway_process::Gateway;
use crate::launch::{aliases, env, launch, launch_with, program, read, settings};
use crate::support::TestEnv;

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o777
}

fn write_settings(env: &TestEnv, text: &str) {
    fs::create_dir_all(settings(env).parent().unwrap()).unwrap();
    fs::write(settings(env), text).unwrap();
}

#[test]
fn changes_between_launches_remain() {
    let env = env();
    let _gateway = Gateway::start(&env, &[]);
    for before in [
        None,
        Some("{\n  // mine\n  \"env\": { \"MINE\": \"1\" }\n}\n"),
    ] {
        let mut expected = json!({"theme": "dark"});
        if let Some(text) = before {
            write_settings(&env, text);
            expected["env"] = json!({"MINE": "1"});
        }
        launch(&env, &["claude", "--config"]).success();
        let text = fs::read_to_string(settings(&env)).unwrap();
        let text = text.replacen('{', "{\"theme\": \"dark\",", 1);
        fs::write(settings(&env), text).unwrap();
        // The second time, nothing was changed since.
        for _ in 0..2 {
            launch(&env, &["claude", "--config"]).success();
        }
        launch(&env, &["claude", "--undo"]).success();
        let restored = fs::read_to_string(settings(&env)).unwrap();
        let uncommented = restored.replace("// mine", "");
        let value: Value = serde_json::from_str(&uncommented).unwrap();
        assert_eq!(value, expected, "{restored}");
        assert_eq!(restored.contains("// mine"), before.is_some());
        fs::remove_file(settings(&env)).unwrap();
    }
}

#[test]
fn changed_file_of_its_own_is_kept_before_it_is_written_again() {
    let env = env();
    let _gateway = Gateway::start(&env, &[]);
    launch(&env, &["codex", "--config"]).success();
    let profile = env.path().join(".codex/mlxm.config.toml");
    let written = fs::read_to_string(&profile).unwrap();
    let mut copies: Vec<PathBuf> = Vec::new();
    for text in ["model = \"one\"\n", "model = \"two\"\n"] {
        fs::write(&profile, text).unwrap();
        let again = launch(&env, &["codex", "--config", "--json"]).json();
        let kept = PathBuf::from(again["files"][0]["kept"].as_str().unwrap());
        assert_eq!(fs::read_to_string(&kept).unwrap(), text);
        assert_eq!(fs::read_to_string(&profile).unwrap(), written);
        copies.push(kept);
    }
    let again = launch(&env, &["codex", "--config", "--json"]).json();
    assert_eq!(again["files"][0]["kept"], Value::Null);
    fs::write(&profile, "model = \"three\"\n").unwrap();
    let again = launch(&env, &["codex", "--config"]);
    assert!(
        again.success().contains("your changes since are in"),
        "{again:#?}"
    );
    let undone = launch(&env, &["codex", "--undo", "--json"]).json();
    assert_eq!(undone["files"][0]["kept"], Value::Null);
    assert!(!profile.exists());
    assert_eq!(fs::read_to_string(&copies[0]).unwrap(), "model = \"one\"\n");
    assert_eq!(fs::read_to_string(&copies[1]).unwrap(), "model = \"two\"\n");
}

#[test]
fn changes_of_a_file_that_a_command_writes_are_kept() {
    let env = env();
    let _gateway = Gateway::start(&env, &[]);
    let providers = env.path().join(".cline/data/settings/providers.json");
    fs::create_dir_all(providers.parent().unwrap()).unwrap();
    fs::write(&providers, "before\n").unwrap();
    let write = format!(
        "[ \"$1\" = auth ] && echo auth >> '{}'; true",
        providers.display()
    );
    program(&env, "cline", &[], &write);
    launch(&env, &["cline"]).success();
    fs::write(&providers, "before\nauth\nmine\n").unwrap();
    launch(&env, &["cline"]).success();
    let undone = launch(&env, &["cline", "--undo", "--json"]).json();
    assert_eq!(fs::read_to_string(&providers).unwrap(), "before\n");
    let kept = undone["files"][0]["kept"].as_str().unwrap();
    assert_eq!(
        fs::read_to_string(kept).unwrap(),
        "before\nauth\nmine\nauth\n"
    );
}

#[test]
fn files_of_the_same_name_have_backups_of_their_own() {
    let env = env();
    let _gateway = Gateway::start(&env, &[]);
    let directories = ["one", "two"].map(|name| env.path().join(name));
    for directory in &directories {
        fs::create_dir(directory).unwrap();
        let before = format!("{{\"directory\": {:?}}}", directory.display().to_string());
        fs::write(directory.join("settings.json"), before).unwrap();
        let variables = [("CLAUDE_CONFIG_DIR", directory.as_path())];
        launch_with(&env, &["claude", "--config"], &variables).success();
    }
    launch(&env, &["claude", "--undo"]).success();
    for directory in &directories {
        let restored = read(&directory.join("settings.json"));
        assert_eq!(
            restored,
            json!({"directory": directory.display().to_string()})
        );
    }
}

#[test]
fn links_stay_and_a_removed_directory_is_restored() {
    let env = env();
    let _gateway = Gateway::start(&env, &[]);
    let link = env.path().join(".codex/mlxm.config.toml");
    let target = env.path().join("dotfiles/codex.toml");
    fs::create_dir(link.parent().unwrap()).unwrap();
    symlink("../dotfiles/codex.toml", &link).unwrap();
    launch(&env, &["codex", "--config"]).success();
    assert!(link.is_symlink());
    assert!(target.is_file());
    launch(&env, &["codex", "--undo"]).success();
    assert!(link.is_symlink());
    assert!(!target.exists());

    write_settings(&env, "{}\n");
    launch(&env, &["claude", "--config"]).success();
    fs::remove_dir_all(settings(&env).parent().unwrap()).unwrap();
    launch(&env, &["claude", "--undo"]).success();
    assert_eq!(fs::read_to_string(settings(&env)).unwrap(), "{}\n");
}

#[test]
fn files_with_a_key_are_readable_by_their_owner_only() {
    let env = env();
    let _gateway = Gateway::start_with(&env, &[], &[("MLXM_API_KEY", "the-key")]);
    let key = [("MLXM_API_KEY", Path::new("the-key"))];
    write_settings(&env, "{}\n");
    fs::set_permissions(settings(&env), fs::Permissions::from_mode(0o644)).unwrap();
    launch_with(&env, &["claude", "--config"], &key).success();
    assert_eq!(mode(&settings(&env)), 0o600);
    launch(&env, &["claude", "--undo"]).success();
    assert_eq!(mode(&settings(&env)), 0o644);
    assert_eq!(fs::read_to_string(settings(&env)).unwrap(), "{}\n");

    let providers = env.path().join(".cline/data/settings/providers.json");
    let write = format!(
        "umask 022; mkdir -p '{}'; [ \"$1\" = auth ] && echo \"$*\" > '{}'; true",
        providers.parent().unwrap().display(),
        providers.display()
    );
    program(&env, "cline", &[], &write);
    launch_with(&env, &["cline"], &key).success();
    let written = fs::read_to_string(&providers).unwrap();
    assert!(written.contains("-k the-key"), "{written}");
    assert_eq!(mode(&providers), 0o600);
}

#[test]
fn aliases_are_restored_on_the_gateway_that_has_them() {
    let (env, other) = (env(), env());
    let gateway = Gateway::start(&other, &[]);
    let url = gateway.url();
    launch(&env, &["claude", "--config", "--url", url]).success();
    let undo = format!("mlxm launch claude-code --undo --url {url}");
    launch(&env, &["claude", "--undo"]).failure(&["claude-*", url, &undo]);
    assert!(settings(&env).exists());
    let own = Gateway::start(&env, &[]);
    launch(&env, &["claude", "--undo"]).failure(&[url]);
    assert!(settings(&env).exists());
    assert_eq!(aliases(&gateway).as_array().unwrap().len(), 2);
    // Both have some.
    launch(&env, &["claude", "--config"]).success();
    launch(&env, &["claude", "--undo"]).failure(&[url]);
    assert_eq!(aliases(&own), json!([]));
    launch(&env, &["claude", "--undo", "--url", url]).success();
    assert_eq!(aliases(&gateway), json!([]));
    assert!(!settings(&env).exists());
}

#[test]
fn own_gateway_can_have_another_address_since() {
    let env = env();
    let gateway = Gateway::start(&env, &[]);
    launch(&env, &["claude", "--config", "--url", gateway.url()]).success();
    assert_eq!(aliases(&gateway).as_array().unwrap().len(), 2);
    gateway.stop();
    let gateway = Gateway::start(&env, &[]);
    launch(&env, &["claude", "--undo"]).success();
    assert_eq!(aliases(&gateway), json!([]));
}

#[test]
fn alias_that_was_changed_between_launches_is_restored_to_that() {
    let env = env();
    let gateway = Gateway::start(&env, &[]);
    launch(&env, &["claude", "--config"]).success();
    let other = json!({"name": "claude-*", "target": "other"});
    assert_eq!(gateway.post("/api/aliases", &other).0, 200);
    launch(&env, &["claude", "--config"]).success();
    assert_eq!(
        aliases(&gateway),
        json!([["claude-*", "tiny"], ["claude-*haiku*", "tiny"]])
    );
    launch(&env, &["claude", "--undo"]).success();
    assert_eq!(aliases(&gateway), json!([["claude-*", "other"]]));
}

#[test]
fn file_that_cannot_be_changed_leaves_no_aliases() {
    let env = env();
    let gateway = Gateway::start(&env, &[]);
    write_settings(&env, "{ \"theme\": ");
    launch(&env, &["claude", "--config"]).failure(&["settings.json cannot be changed"]);
    assert_eq!(aliases(&gateway), json!([]));
    launch(&env, &["claude", "--undo"]).failure(&["nothing was changed"]);
}

#[test]
fn zed_uses_the_directory_of_xdg_on_linux_only() {
    let env = env();
    let _gateway = Gateway::start(&env, &[]);
    let xdg = env.path().join("xdg");
    let variables = [("XDG_CONFIG_HOME", xdg.as_path())];
    launch_with(&env, &["zed", "--config"], &variables).success();
    let expected = if cfg!(target_os = "linux") {
        xdg.join("zed/settings.json")
    } else {
        env.path().join(".config/zed/settings.json")
    };
    assert!(expected.is_file());
}
