//! `mlxm run --url` with a fake server.

use std::net::TcpListener;
use std::process::Stdio;

use serde_json::{Value, json};

use crate::support::server::{FakeServer, Reply, completion, content, event, finish, reasoning};
use crate::support::terminal::{CTRL_C, CTRL_D, Terminal};
use crate::support::{Outcome, TestEnv};

const PROMPT: &str = ">>> ";

fn run(server: &FakeServer, arguments: &[&str]) -> Outcome {
    let url = server.url();
    TestEnv::new().run(&[&["run", "--url", &url], arguments].concat())
}

/// A server with one model that always sends this response.
fn replying(reply: impl Fn() -> Reply + Send + Sync + 'static) -> FakeServer {
    FakeServer::start(&["tiny"], move |_| reply())
}

#[test]
fn run_streams_from_the_only_model() {
    let server =
        replying(|| Reply::stream([content(""), content("Par"), content("is."), finish("stop")]));
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
fn options_are_sent_under_their_api_names() {
    let server = replying(|| completion("ok"));
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
fn api_key_comes_from_the_option_or_the_environment() {
    let server = replying(|| completion("ok"));
    let url = server.url();
    let env = TestEnv::new();
    let mut command = env.command(&["run", "--url", &url, "hi"]);
    Outcome::of(command.env("MLXM_API_KEY", "from-environment")).success();
    command.args(["--api-key", "from-option"]);
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
        [bearer("from-environment"), bearer("from-option"), None]
    );
    let without = env.run(&["run", "tiny", "hi", "--api-key", "x"]);
    without.failure_with(2, &["--url"]);
}

#[test]
fn single_argument_is_a_served_model_or_the_prompt() {
    let server = FakeServer::start(&["org/tiny-4bit", "large"], |_| completion("ok"));
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
    let one = replying(|| completion("ok"));
    run(&one, &["large"]).success();
    assert_eq!(one.body()["messages"][0]["content"], "large");
}

#[test]
fn reasoning_under_both_names_and_null_choices_are_accepted() {
    let delta = |delta: Value| event(&json!({"choices": [{"index": 0, "delta": delta}]}));
    let usage = json!({"prompt_tokens": 3.0, "completion_tokens": 2.0, "total_tokens": 5.0});
    let server = replying(move || {
        Reply::stream([
            delta(json!({"reasoning": null, "reasoning_content": "h"})),
            delta(json!({"reasoning": "m", "reasoning_content": "m"})),
            content("yes"),
            event(&json!({"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]})),
            event(&json!({"choices": null, "usage": usage})),
            "data: [DONE]\n\n".to_owned(),
        ])
    });
    let result = run(&server, &["hi", "--json"]).json();
    assert_eq!(result["thinking"], "hm");
    assert_eq!(result["text"], "yes");
    assert_eq!(
        (&result["prompt_tokens"], &result["generated_tokens"]),
        (&json!(3), &json!(2))
    );
}

#[test]
fn model_name_is_passed_through_if_models_are_not_listed() {
    let server = FakeServer::with_handler(|request| {
        if request.path == "/v1/models" {
            Reply::text(404, "")
        } else {
            completion("ok")
        }
    });
    run(&server, &["hi"]).failure(&["does not list its models"]);
    run(&server, &["mine", "hi"]).success();
    assert_eq!(server.body()["model"], "mine");
    let none = FakeServer::start(&[], |_| completion("ok"));
    run(&none, &["hi"]).failure(&["has no models"]);
}

#[test]
fn json_output_has_the_local_format() {
    let server =
        replying(|| Reply::stream([reasoning("hm"), content("O"), content("k"), finish("stop")]));
    let result = run(&server, &["hi", "--json"]).json();
    assert_eq!(result["model"], "tiny");
    assert_eq!(result["text"], "Ok");
    assert_eq!(result["thinking"], "hm");
    assert_eq!(result["finish_reason"], "stop");
    assert_eq!(
        (
            &result["prompt_tokens"],
            &result["cached_tokens"],
            &result["generated_tokens"]
        ),
        (&json!(20), &json!(12), &json!(5))
    );
    assert!(result["time_to_first_token_ms"].as_f64().unwrap() > 0.0);
    assert!(result.get("peak_memory_bytes").is_none(), "{result}");

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
fn stats_include_the_reported_usage() {
    let server = replying(|| Reply::stream([content("a"), content("b"), finish("stop")]));
    let outcome = run(&server, &["hi", "--stats"]);
    assert_eq!(outcome.success(), "ab\n");
    for word in [
        "prompt 20 tokens (12 cached)",
        "first token",
        "generation 5 tokens",
    ] {
        assert!(outcome.stderr.contains(word), "{word}: {outcome:#?}");
    }
    assert!(!outcome.stderr.contains("memory"), "{outcome:#?}");
    let without_usage = replying(|| Reply::stream([content("a"), "data: [DONE]\n\n".to_owned()]));
    let outcome = run(&without_usage, &["hi", "--stats"]);
    assert_eq!(outcome.success(), "a\n");
    assert!(!outcome.stderr.contains("prompt"), "{outcome:#?}");
}

#[test]
fn logprobs_are_requested_and_printed() {
    let token = |text: &str, logprob: f64| json!({"token": text, "logprob": logprob});
    let mut with_top = token("a", -0.5);
    with_top["top_logprobs"] = json!([token("a", -0.5), token("b", -1.5)]);
    let delta = event(
        &json!({"choices": [{"delta": {"content": "a"}, "logprobs": {"content": [with_top]}}]}),
    );
    let server = replying(move || Reply::stream([delta.clone(), finish("stop")]));
    let result = run(&server, &["hi", "--json", "--logprobs", "2"]).json();
    let body = server.body();
    assert_eq!(
        (&body["logprobs"], &body["top_logprobs"]),
        (&json!(true), &json!(2))
    );
    assert_eq!(
        result["tokens"],
        json!([{"text": "a", "logprob": -0.5, "top_logprobs": [
            {"text": "a", "logprob": -0.5}, {"text": "b", "logprob": -1.5}]}])
    );
}

#[test]
fn separated_and_tagged_reasoning_print_alike() {
    let separated = replying(|| {
        Reply::stream([
            reasoning("\nh"),
            reasoning("m\n"),
            content("\n\nO"),
            content("k"),
            finish("stop"),
        ])
    });
    let tagged = replying(|| {
        Reply::stream([
            content("<thi"),
            content("nk>hm</think>\nOk"),
            finish("stop"),
        ])
    });
    for server in [separated, tagged] {
        assert_eq!(run(&server, &["hi"]).success(), "hm\n\nOk\n");
        assert_eq!(run(&server, &["hi", "--hide-thinking"]).success(), "Ok\n");
    }
}

#[test]
fn raw_prompts_use_the_completions_endpoint() {
    let delta = event(&json!({"choices": [{"index": 0, "text": " time", "finish_reason": null}]}));
    let server = replying(move || Reply::stream([delta.clone(), finish("length")]));
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
fn events_and_characters_may_be_split_anywhere() {
    let text = content("grüße 🦀") + ": keepalive\n\n" + &finish("stop");
    let server = replying(move || Reply::stream(text.as_bytes().chunks(1)));
    assert_eq!(run(&server, &["hi"]).success(), "grüße 🦀\n");
}

#[test]
fn truncated_responses_are_errors() {
    for reply in [
        || Reply::stream([content("half of a comp")]).cut(),
        || Reply::stream([content("half of a comp")]),
    ] {
        let outcome = run(&replying(reply), &["hi"]);
        outcome.failure(&["truncated"]);
        assert_eq!(outcome.stdout, "half of a comp\n");
    }
    // Some servers close the connection without sending [DONE].
    let reason = event(&json!({"choices": [{"delta": {}, "finish_reason": "stop"}]}));
    let server = replying(move || Reply::stream([content("done"), reason.clone()]));
    assert_eq!(run(&server, &["hi"]).success(), "done\n");
}

#[test]
fn server_errors_are_printed_with_their_message() {
    let rejecting = |status: u16, message: &'static str| {
        replying(move || {
            Reply::json(status, &json!({"error": {"message": message, "type": "x"}}))
                .header("retry-after: 3")
        })
    };
    run(&rejecting(400, "temperature is -1"), &["hi"]).failure(&["400", "temperature is -1"]);
    run(&rejecting(401, "no such key"), &["hi"]).failure(&["401", "no such key", "MLXM_API_KEY"]);
    run(&rejecting(503, "the queue is full"), &["hi"]).failure(&[
        "503",
        "the queue is full",
        "retry after 3 s",
    ]);
    let failing = replying(|| {
        let error = event(&json!({"error": {"message": "out of memory", "code": 500}}));
        Reply::stream([content("a"), error])
    });
    run(&failing, &["hi"]).failure(&["failed while streaming", "out of memory"]);
    let other = FakeServer::with_handler(|_| Reply::text(200, "<html>"));
    run(&other, &["hi"]).failure(&[&other.url(), "OpenAI-compatible"]);
    let malformed = replying(|| Reply::stream(["data: <html>\n\n"]));
    run(&malformed, &["hi"]).failure(&["completion chunks"]);
    let moved = FakeServer::with_handler(|_| Reply::text(308, "").header("location: http://else"));
    run(&moved, &["hi"]).failure(&["moved to http://else"]);
}

#[test]
fn unreachable_servers_cause_an_error_with_a_hint() {
    let port = TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap()
        .port();
    let env = TestEnv::new();
    let url = format!("http://127.0.0.1:{port}/v1");
    env.run(&["run", "--url", &url, "hi"]).failure(&[
        &format!("http://127.0.0.1:{port} "),
        "Connection refused",
        "mlxm serve",
    ]);
    env.run(&["run", "--url", "ftp://x", "hi"])
        .failure(&["ftp://x", "http or https"]);
}

#[test]
fn server_warnings_are_printed() {
    let server = replying(|| completion("ok").header("warning: 299 - \"unknown field top_k\""));
    let outcome = run(&server, &["hi", "--top-k", "3"]);
    assert_eq!(outcome.success(), "ok\n");
    assert!(
        outcome.stderr.contains("unknown field top_k"),
        "{outcome:#?}"
    );
}

#[test]
fn options_for_local_models_are_rejected() {
    let server = replying(|| completion("ok"));
    for option in [
        ["--threads", "1"].as_slice(),
        &["--device", "cpu"],
        &["--activation-dtype", "f32"],
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
fn ctrl_c_closes_the_connection() {
    // While streaming, and during prefill.
    for reply in [
        || Reply::stream([content("abc")]).endless(),
        || Reply::stream([": keepalive\n\n"]).silent(),
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
        server.expect_disconnect();
    }
}

#[test]
fn chat_sends_the_conversation_history() {
    let server = FakeServer::start(&["tiny"], |request| {
        let messages = request.body["messages"].as_array().unwrap();
        completion(&format!("reply {}", messages.len()))
    });
    let url = server.url();
    let env = TestEnv::new();
    let mut terminal = Terminal::start(env.command(&["run", "--url", &url]));
    terminal.expect(PROMPT);
    terminal.line("one");
    terminal.expect("reply 1\r\n");
    terminal.expect(PROMPT);
    terminal.line("two");
    terminal.expect("reply 3\r\n");
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
    assert_eq!(contents, ["one", "reply 1", "two"]);
}

#[test]
fn chat_continues_after_server_errors_and_ctrl_c() {
    let server = FakeServer::start(&["tiny"], |request| {
        let messages = request.body["messages"].as_array().unwrap();
        match messages.last().unwrap()["content"].as_str().unwrap() {
            "reject" => Reply::json(503, &json!({"error": {"message": "draining"}})),
            "cut" => Reply::stream([content("half")]).cut(),
            "endless" => Reply::stream([content("abc")]).endless(),
            _ => completion(&format!("reply {}", messages.len())),
        }
    });
    let url = server.url();
    let env = TestEnv::new();
    let mut terminal = Terminal::start(env.command(&["run", "--url", &url]));
    terminal.expect(PROMPT);
    for (line, expected) in [("reject", "draining"), ("cut", "truncated")] {
        terminal.line(line);
        terminal.expect(expected);
        terminal.expect(PROMPT);
    }
    terminal.line("endless");
    terminal.expect("abcabc");
    terminal.send(CTRL_C);
    terminal.expect("stopped");
    terminal.expect(PROMPT);
    server.expect_disconnect();
    // Rejected and truncated turns are dropped; the interrupted one is kept.
    terminal.line("again");
    terminal.expect("reply 3\r\n");
    terminal.expect(PROMPT);
    terminal.send(CTRL_D);
    assert_eq!(terminal.end().0, Some(0));
}
