//! `mlxm run --url`: answers of a server.

use std::net::TcpListener;
use std::process::Stdio;

use serde_json::{Value, json};

use crate::support::server::{ChatServer, Reply, answer, ended, event, said, thought};
use crate::support::terminal::{CTRL_C, CTRL_D, Terminal};
use crate::support::{Outcome, TestEnv};

const PROMPT: &str = ">>> ";

fn run(server: &ChatServer, arguments: &[&str]) -> Outcome {
    let url = server.url();
    TestEnv::new().run(&[&["run", "--url", &url], arguments].concat())
}

/// A server with one model that always replies like this.
fn replying(reply: impl Fn() -> Reply + Send + Sync + 'static) -> ChatServer {
    ChatServer::start(&["tiny"], move |_| reply())
}

#[test]
fn an_answer_is_streamed_from_the_servers_only_model() {
    let server = replying(|| Reply::stream([said(""), said("Par"), said("is."), ended("stop")]));
    let outcome = run(&server, &["capital of France?"]);
    assert_eq!(outcome.success(), "Paris.\n");
    assert_eq!(outcome.stderr, "");
    assert_eq!(server.received()[0].path, "/v1/chat/completions");
    assert_eq!(
        server.body(),
        json!({
            "model": "tiny",
            "messages": [{"role": "user", "content": "capital of France?"}],
            "stream": true,
            "stream_options": {"include_usage": true},
        })
    );
}

#[test]
fn options_are_sent_under_their_names_in_the_protocol() {
    let server = replying(|| answer("ok"));
    let options = [
        ["--system", "be brief"],
        ["--temp", "0.7"],
        ["--top-k", "40"],
        ["--top-p", "0.95"],
        ["--min-p", "0.05"],
        ["--repetition-penalty", "1.1"],
        ["--presence-penalty", "-0.5"],
        ["--frequency-penalty", "0.25"],
        ["--logit-bias", "42=-5"],
        ["--seed", "7"],
        ["--max-tokens", "9"],
        ["--stop", "END"],
        ["--template-kwargs", r#"{"extra": 1}"#],
    ];
    let arguments = [&["--no-think", "hi"], options.concat().as_slice()].concat();
    run(&server, &arguments).success();
    let body = server.body();
    assert_eq!(
        body["messages"][0],
        json!({"role": "system", "content": "be brief"})
    );
    for (name, value) in [
        ("temperature", json!(0.7)),
        ("top_k", json!(40)),
        ("top_p", json!(0.95)),
        ("min_p", json!(0.05)),
        ("repetition_penalty", json!(1.1)),
        ("presence_penalty", json!(-0.5)),
        ("frequency_penalty", json!(0.25)),
        ("logit_bias", json!({"42": -5.0})),
        ("seed", json!(7)),
        ("max_tokens", json!(9)),
        ("stop", json!(["END"])),
        (
            "chat_template_kwargs",
            json!({"extra": 1, "enable_thinking": false}),
        ),
    ] {
        assert_eq!(body[name], value, "{name}");
    }
}

#[test]
fn the_key_comes_from_the_option_or_the_environment() {
    let server = replying(|| answer("ok"));
    let url = server.url();
    let env = TestEnv::new();
    let mut command = env.command(&["run", "--url", &url, "hi"]);
    Outcome::of(command.env("MLXM_API_KEY", "of-the-environment")).success();
    command.args(["--api-key", "of-the-option"]);
    Outcome::of(&mut command).success();
    run(&server, &["hi"]).success();
    let keys: Vec<Option<String>> = server
        .received()
        .into_iter()
        .map(|request| request.authorization)
        .collect();
    let bearer = |key: &str| Some(format!("Bearer {key}"));
    assert_eq!(
        keys,
        [bearer("of-the-environment"), bearer("of-the-option"), None]
    );
    let without = env.run(&["run", "tiny", "hi", "--api-key", "x"]);
    without.failure_with(2, &["--url"]);
}

#[test]
fn one_argument_is_a_model_of_the_server_or_the_prompt() {
    let server = ChatServer::start(&["org/tiny-4bit", "large"], |_| answer("ok"));
    run(&server, &["tiny-4bit", "hi"]).success();
    run(&server, &["large", "hi"]).success();
    run(&server, &["new", "hi"]).success();
    let models: Vec<Value> = server
        .received()
        .iter()
        .map(|request| request.body["model"].clone())
        .collect();
    assert_eq!(models, ["org/tiny-4bit", "large", "new"]);
    run(&server, &["hi"]).failure(&["2 models", "org/tiny-4bit, large"]);
    run(&server, &["large"]).failure_with(2, &["no prompt"]);
    let one = replying(|| answer("ok"));
    run(&one, &["large"]).success();
    assert_eq!(one.body()["messages"][0]["content"], "large");
}

#[test]
fn servers_that_do_not_list_their_models_get_the_name_as_it_is() {
    let server = ChatServer::start_bare(|request| {
        if request.path == "/v1/models" {
            Reply::text(404, "")
        } else {
            answer("ok")
        }
    });
    run(&server, &["hi"]).failure(&["does not list its models"]);
    run(&server, &["mine", "hi"]).success();
    assert_eq!(server.body()["model"], "mine");
    let none = ChatServer::start(&[], |_| answer("ok"));
    run(&none, &["hi"]).failure(&["has no model"]);
}

#[test]
fn json_has_the_same_shape_as_that_of_a_local_model() {
    let server = replying(|| Reply::stream([thought("hm"), said("O"), said("k"), ended("stop")]));
    let answer = run(&server, &["hi", "--json"]).json();
    assert_eq!(answer["model"], "tiny");
    assert_eq!(answer["text"], "Ok");
    assert_eq!(answer["thinking"], "hm");
    assert_eq!(answer["finish_reason"], "stop");
    assert_eq!(
        (
            &answer["prompt_tokens"],
            &answer["cached_tokens"],
            &answer["generated_tokens"]
        ),
        (&json!(20), &json!(12), &json!(5))
    );
    assert!(answer["time_to_first_token_ms"].as_f64().unwrap() > 0.0);
    assert!(answer.get("peak_memory_bytes").is_none(), "{answer}");

    let outcome = run(&server, &["hi", "--stream-json"]);
    let lines: Vec<Value> = outcome
        .success()
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    let kinds: Vec<&str> = lines
        .iter()
        .map(|line| line["type"].as_str().unwrap())
        .collect();
    assert_eq!(kinds, ["thinking", "text", "text", "result"]);
}

#[test]
fn statistics_have_what_the_server_tells() {
    let server = replying(|| Reply::stream([said("a"), said("b"), ended("stop")]));
    let outcome = run(&server, &["hi", "--stats"]);
    assert_eq!(outcome.success(), "ab\n");
    for word in [
        "prompt 20 tokens (12 cached)",
        "first token",
        "answer 5 tokens",
    ] {
        assert!(outcome.stderr.contains(word), "{word}: {outcome:#?}");
    }
    assert!(!outcome.stderr.contains("memory"), "{outcome:#?}");
    let silent = replying(|| Reply::stream([said("a"), "data: [DONE]\n\n".to_owned()]));
    let outcome = run(&silent, &["hi", "--stats"]);
    assert_eq!(outcome.success(), "a\n");
    assert!(!outcome.stderr.contains("prompt"), "{outcome:#?}");
}

#[test]
fn log_probabilities_are_asked_for_and_told() {
    let token = |text: &str, logprob: f64| json!({"token": text, "logprob": logprob});
    let mut scored = token("a", -0.5);
    scored["top_logprobs"] = json!([token("a", -0.5), token("b", -1.5)]);
    let piece = event(
        &json!({"choices": [{"delta": {"content": "a"}, "logprobs": {"content": [scored]}}]}),
    );
    let server = replying(move || Reply::stream([piece.clone(), ended("stop")]));
    let answer = run(&server, &["hi", "--json", "--logprobs", "2"]).json();
    let body = server.body();
    assert_eq!(
        (&body["logprobs"], &body["top_logprobs"]),
        (&json!(true), &json!(2))
    );
    assert_eq!(
        answer["tokens"],
        json!([{"text": "a", "logprob": -0.5, "top_logprobs": [
            {"text": "a", "logprob": -0.5}, {"text": "b", "logprob": -1.5}]}])
    );
}

#[test]
fn thinking_is_shown_like_that_of_a_local_model() {
    let told = replying(|| {
        Reply::stream([
            thought("\nh"),
            thought("m\n"),
            said("\n\nO"),
            said("k"),
            ended("stop"),
        ])
    });
    let tagged =
        replying(|| Reply::stream([said("<thi"), said("nk>hm</think>\nOk"), ended("stop")]));
    for server in [told, tagged] {
        assert_eq!(run(&server, &["hi"]).success(), "hm\n\nOk\n");
        assert_eq!(run(&server, &["hi", "--hide-thinking"]).success(), "Ok\n");
    }
}

#[test]
fn a_raw_prompt_goes_to_completions() {
    let piece = event(&json!({"choices": [{"index": 0, "text": " time", "finish_reason": null}]}));
    let server = replying(move || Reply::stream([piece.clone(), ended("length")]));
    let outcome = run(&server, &["Once upon a", "--raw", "--max-tokens", "5"]);
    assert_eq!(outcome.success(), " time\n");
    assert!(
        outcome.stderr.contains("stopped after 5 tokens"),
        "{outcome:#?}"
    );
    assert_eq!(server.received()[0].path, "/v1/completions");
    let body = server.body();
    assert_eq!(body["prompt"], "Once upon a");
    assert!(body.get("messages").is_none(), "{body}");
}

#[test]
fn characters_may_be_cut_anywhere() {
    let text = said("grüße 🦀") + ": keepalive\n\n" + &ended("stop");
    let server = replying(move || Reply::stream(text.as_bytes().chunks(1)));
    assert_eq!(run(&server, &["hi"]).success(), "grüße 🦀\n");
}

#[test]
fn an_answer_that_is_cut_off_is_a_failure() {
    for reply in [
        || Reply::stream([said("half an ans")]).cut(),
        || Reply::stream([said("half an ans")]),
    ] {
        let outcome = run(&replying(reply), &["hi"]);
        outcome.failure(&["cut off"]);
        assert_eq!(outcome.stdout, "half an ans\n");
    }
    // Some servers close the connection instead of sending the last event.
    let reason = event(&json!({"choices": [{"delta": {}, "finish_reason": "stop"}]}));
    let server = replying(move || Reply::stream([said("whole"), reason.clone()]));
    assert_eq!(run(&server, &["hi"]).success(), "whole\n");
}

#[test]
fn refusals_are_told_in_the_servers_words() {
    let refusing = |status: u16, message: &'static str| {
        replying(move || {
            Reply::json(status, &json!({"error": {"message": message, "type": "x"}}))
                .header("retry-after: 3")
        })
    };
    run(&refusing(400, "temperature is -1"), &["hi"]).failure(&["400", "temperature is -1"]);
    run(&refusing(401, "no such key"), &["hi"]).failure(&["401", "no such key", "MLXM_API_KEY"]);
    run(&refusing(503, "the queue is full"), &["hi"]).failure(&[
        "503",
        "the queue is full",
        "again in 3 s",
    ]);
    let failing = replying(|| {
        let error = event(&json!({"error": {"message": "out of memory", "code": 500}}));
        Reply::stream([said("a"), error])
    });
    run(&failing, &["hi"]).failure(&["failed while it answered", "out of memory"]);
    let other = ChatServer::start_bare(|_| Reply::text(200, "<html>"));
    run(&other, &["hi"]).failure(&[&other.url(), "OpenAI-compatible"]);
    let strange = replying(|| Reply::stream(["data: <html>\n\n"]));
    run(&strange, &["hi"]).failure(&["pieces of a completion"]);
    let moved = ChatServer::start_bare(|_| Reply::text(308, "").header("location: http://else"));
    run(&moved, &["hi"]).failure(&["moved to http://else"]);
}

#[test]
fn a_server_that_is_not_there_is_told_with_what_to_do() {
    let port = TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap()
        .port();
    let env = TestEnv::new();
    let url = format!("http://127.0.0.1:{port}/v1");
    env.run(&["run", "--url", &url, "hi"]).failure(&[
        &format!("http://127.0.0.1:{port} "),
        "refused",
        "mlxm serve",
    ]);
    env.run(&["run", "--url", "ftp://x", "hi"])
        .failure(&["ftp://x", "neither http nor https"]);
}

#[test]
fn what_the_server_warns_of_is_told() {
    let server = replying(|| answer("ok").header("warning: 299 - \"unknown field top_k\""));
    let outcome = run(&server, &["hi", "--top-k", "3"]);
    assert_eq!(outcome.success(), "ok\n");
    assert!(
        outcome.stderr.contains("unknown field top_k"),
        "{outcome:#?}"
    );
}

#[test]
fn options_of_local_models_are_wrong_usage() {
    let server = replying(|| answer("ok"));
    for option in [
        ["--threads", "1"].as_slice(),
        &["--device", "cpu"],
        &["--activation-dtype", "exact"],
        &["--kv-cache-dtype", "f16"],
        &["--memory", "1GB"],
        &["--context-length", "512"],
        &["--template", "x"],
        &["--pull"],
    ] {
        let outcome = run(&server, &[&["hi"], option].concat());
        outcome.failure_with(2, &[option[0], "--url"]);
    }
    assert!(server.received().is_empty());
}

#[cfg(unix)]
#[test]
fn an_interrupt_closes_the_connection() {
    // While the answer comes, and before anything of it has come.
    for reply in [
        || Reply::stream([said("abc")]).endless(),
        || Reply::stream([": the prompt is being read\n\n"]).silent(),
    ] {
        let server = replying(reply);
        let url = server.url();
        let env = TestEnv::new();
        let mut command = env.command(&["run", "--url", &url, "hi"]);
        let child = command.stdout(Stdio::piped()).stderr(Stdio::piped());
        let child = child.spawn().unwrap();
        while server.received().is_empty() {
            std::thread::sleep(std::time::Duration::from_millis(10));
        }
        // SAFETY: the child is ours and has not been waited for.
        assert_eq!(unsafe { libc::kill(child.id() as i32, libc::SIGINT) }, 0);
        let outcome = Outcome::from(child.wait_with_output().unwrap());
        assert_eq!(outcome.code, Some(130), "{outcome:#?}");
        server.expect_hang_up();
    }
}

#[test]
fn a_chat_sends_the_whole_conversation() {
    let server = ChatServer::start(&["tiny"], |request| {
        let messages = request.body["messages"].as_array().unwrap();
        answer(&format!("answer {}", messages.len()))
    });
    let url = server.url();
    let env = TestEnv::new();
    let mut terminal = Terminal::start(env.command(&["run", "--url", &url]));
    terminal.expect(PROMPT);
    terminal.line("one");
    terminal.expect("answer 1\r\n");
    terminal.expect(PROMPT);
    terminal.line("two");
    terminal.expect("answer 3\r\n");
    terminal.expect(PROMPT);
    terminal.line("/stats");
    terminal.expect("context: 25 tokens used");
    terminal.expect(PROMPT);
    terminal.send(CTRL_D);
    assert_eq!(terminal.end().0, Some(0));
    let last = server.received().pop().unwrap().body;
    let contents: Vec<&str> = last["messages"]
        .as_array()
        .unwrap()
        .iter()
        .map(|message| message["content"].as_str().unwrap())
        .collect();
    assert_eq!(contents, ["one", "answer 1", "two"]);
}

#[test]
fn a_chat_survives_failures_of_the_server_and_ctrl_c() {
    let server = ChatServer::start(&["tiny"], |request| {
        let messages = request.body["messages"].as_array().unwrap();
        match messages.last().unwrap()["content"].as_str().unwrap() {
            "refuse" => Reply::json(503, &json!({"error": {"message": "draining"}})),
            "cut" => Reply::stream([said("half")]).cut(),
            "for ever" => Reply::stream([said("abc")]).endless(),
            _ => answer(&format!("answer {}", messages.len())),
        }
    });
    let url = server.url();
    let env = TestEnv::new();
    let mut terminal = Terminal::start(env.command(&["run", "--url", &url]));
    terminal.expect(PROMPT);
    for (line, expected) in [("refuse", "draining"), ("cut", "cut off")] {
        terminal.line(line);
        terminal.expect(expected);
        terminal.expect(PROMPT);
    }
    terminal.line("for ever");
    terminal.expect("abcabc");
    terminal.send(CTRL_C);
    terminal.expect("stopped");
    terminal.expect(PROMPT);
    server.expect_hang_up();
    // What was refused or cut off is forgotten, what was stopped is not.
    terminal.line("again");
    terminal.expect("answer 3\r\n");
    terminal.expect(PROMPT);
    terminal.send(CTRL_D);
    assert_eq!(terminal.end().0, Some(0));
}
