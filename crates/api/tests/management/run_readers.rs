//! Readers of runs: attaching at any moment, without gaps or duplicates.

use std::collections::BTreeMap;
use std::time::Duration;

use futures_util::future::join_all;
use serde_json::{Value, json};

use crate::events::Events;
use crate::player::Player;
use crate::support::TestGateway;

/// Longest wait for an event.
const TIMEOUT: Duration = Duration::from_mins(1);

/// Creates a chat with `org/small`, and returns its id.
pub async fn new_chat(gateway: &TestGateway) -> String {
    let (status, chat) = gateway
        .post("/api/chats", json!({"model": "org/small"}))
        .await;
    assert_eq!(status, 201, "{chat}");
    chat["id"].as_str().unwrap().to_owned()
}

/// Sends a message, and returns what was started.
pub async fn send(gateway: &TestGateway, chat: &str, text: &str) -> Value {
    let body = json!({"content": [{"type": "text", "text": text}]});
    let (status, started) = gateway
        .post(&format!("/api/chats/{chat}/messages"), body)
        .await;
    assert_eq!(status, 202, "{started}");
    started
}

/// The text of a message.
pub fn text_of(message: &Value) -> String {
    let parts = message["content"].as_array().unwrap().iter();
    parts
        .map(|part| part["text"].as_str().unwrap_or_default())
        .collect()
}

/// A client that shows a chat. It knows nothing but what it has read.
pub struct Reader {
    events: Events,
    /// By id.
    messages: BTreeMap<String, Value>,
    /// The last event of each run.
    seen: BTreeMap<String, u64>,
    finished: usize,
}

impl Reader {
    /// Reads the chat, and then its events from there.
    pub async fn attach(gateway: &TestGateway, chat: &str) -> Self {
        let detail = read(gateway, chat).await;
        let path = format!("/api/events?topics=chat:{chat}");
        let last = detail["last_event_id"].as_str().unwrap();
        let events = Events::open(gateway, &path, Some(last)).await;
        Self::new(events, &detail)
    }

    /// Opens the stream of events, and reads the chat after that.
    pub async fn attach_to_events_first(gateway: &TestGateway, chat: &str) -> Self {
        let path = format!("/api/events?topics=chat:{chat}");
        let events = Events::open(gateway, &path, None).await;
        let detail = read(gateway, chat).await;
        Self::new(events, &detail)
    }

    fn new(events: Events, detail: &Value) -> Self {
        let messages = detail["messages"].as_array().unwrap().iter();
        let runs = detail["runs"].as_array().unwrap().iter();
        Self {
            events,
            messages: messages
                .map(|message| (id_of(message), message.clone()))
                .collect(),
            seen: runs
                .map(|run| (id_of(run), run["seq"].as_u64().unwrap()))
                .collect(),
            finished: detail["runs"]
                .as_array()
                .unwrap()
                .iter()
                .filter(|run| run["state"] == "finished")
                .count(),
        }
    }

    /// Reads until this many runs have ended and their results have come, and returns all messages.
    pub async fn read_until_finished(&mut self, runs: usize) -> &BTreeMap<String, Value> {
        while self.finished < runs
            || self
                .messages
                .values()
                .any(|message| message["state"] == "running")
        {
            let next = tokio::time::timeout(TIMEOUT, self.events.next()).await;
            let (_, event) = next.unwrap().unwrap();
            assert_eq!(event["topic"], "chat", "{event}");
            self.apply(&event["event"]);
        }
        &self.messages
    }

    fn apply(&mut self, change: &Value) {
        match change["type"].as_str().unwrap() {
            "messages" => {
                for message in change["messages"].as_array().unwrap() {
                    self.replace(message);
                }
            }
            "started" => {
                self.seen.entry(id_of(&change["run"])).or_insert(0);
            }
            "run" => self.apply_run(&change["event"]),
            "changed" => {}
            other => panic!("{other}: {change}"),
        }
    }

    /// A message that was read with a later state of its run is not replaced by an earlier one.
    fn replace(&mut self, message: &Value) {
        let run = message["run"].as_str().unwrap_or_default();
        let is_older =
            message["state"] == "running" && self.seen.get(run).is_some_and(|seq| *seq > 0);
        if !is_older {
            // What the events say and what is stored in the end is the same.
            if let Some(known) = self.messages.get(&id_of(message))
                && message["state"] != "running"
                && self.seen.contains_key(run)
            {
                assert_eq!(text_of(known), text_of(message));
                assert_eq!(known["reasoning"], message["reasoning"]);
            }
            self.messages.insert(id_of(message), message.clone());
        }
    }

    fn apply_run(&mut self, event: &Value) {
        let run = event["run"].as_str().unwrap();
        let seq = event["seq"].as_u64().unwrap();
        let seen = self.seen.entry(run.to_owned()).or_insert(0);
        if seq <= *seen {
            return;
        }
        assert_eq!(seq, *seen + 1, "a gap: {event}");
        *seen = seq;
        let mut messages = self.messages.values_mut();
        let message = messages.find(|message| message["run"] == run).unwrap();
        match event["type"].as_str().unwrap() {
            "text" => {
                let text = text_of(message) + event["text"].as_str().unwrap();
                message["content"] = json!([{"type": "text", "text": text}]);
            }
            "reasoning" => {
                let known = message["reasoning"].as_str().unwrap_or_default();
                message["reasoning"] = format!("{known}{}", event["text"].as_str().unwrap()).into();
            }
            "finished" => self.finished += 1,
            _ => {}
        }
    }
}

fn id_of(value: &Value) -> String {
    value["id"].as_str().unwrap().to_owned()
}

async fn read(gateway: &TestGateway, chat: &str) -> Value {
    let (status, detail) = gateway.get(&format!("/api/chats/{chat}")).await;
    assert_eq!(status, 200, "{detail}");
    detail
}

/// Waits until a run has at least this text.
async fn wait_for_text(gateway: &TestGateway, run: &str, text: &str) {
    let path = format!("/api/runs/{run}");
    let has_text = |snapshot: &Value| text_of(&snapshot["message"]).contains(text).then_some(());
    gateway.wait_for(&path, has_text).await;
}

#[tokio::test]
async fn reader_can_attach_at_every_event() {
    let gateway = TestGateway::start().await;
    let chat = new_chat(&gateway).await;
    let player = Player::new();
    let started = send(&gateway, &chat, &player.message()).await;
    let run = started["run"]["id"].as_str().unwrap().to_owned();
    let response = started["run"]["message"].as_str().unwrap().to_owned();
    let mut readers = vec![Reader::attach(&gateway, &chat).await];
    player.reasoning("think ");
    let mut expected = String::new();
    for index in 0..24 {
        let piece = format!("{index} ");
        player.text(&piece);
        expected.push_str(&piece);
        wait_for_text(&gateway, &run, &piece).await;
        let reader = if index % 2 == 0 {
            Reader::attach(&gateway, &chat).await
        } else {
            Reader::attach_to_events_first(&gateway, &chat).await
        };
        readers.push(reader);
    }
    player.finish("stop", 25);
    for reader in &mut readers {
        let messages = reader.read_until_finished(1).await;
        let message = &messages[&response];
        assert_eq!(text_of(message), expected);
        assert_eq!(message["reasoning"], "think ");
        assert_eq!(message["state"], "complete");
        assert_eq!(message["usage"]["completion_tokens"], 25);
    }
    // Whoever comes later reads the same.
    let (_, detail) = gateway.get(&format!("/api/chats/{chat}")).await;
    assert_eq!(detail["runs"], json!([]));
    assert_eq!(text_of(&detail["messages"][1]), expected);
}

#[tokio::test]
async fn twenty_readers_of_one_run_read_the_same() {
    let gateway = TestGateway::start().await;
    let chat = new_chat(&gateway).await;
    let player = Player::new();
    let started = send(&gateway, &chat, &player.message()).await;
    let response = started["run"]["message"].as_str().unwrap().to_owned();
    let expected = (0..400)
        .map(|index| format!("{index} "))
        .collect::<Vec<_>>()
        .concat();
    let playing = tokio::spawn(async move {
        for index in 0..400 {
            player.text(&format!("{index} "));
            tokio::task::yield_now().await;
        }
        player.finish("stop", 400);
    });
    let readers = (0..20).map(|index| {
        let (gateway, chat, response) = (&gateway, &chat, &response);
        async move {
            let mut reader = if index % 2 == 0 {
                Reader::attach(gateway, chat).await
            } else {
                Reader::attach_to_events_first(gateway, chat).await
            };
            // Those that attach after its end have read all of it.
            let runs = reader.seen.len();
            text_of(&reader.read_until_finished(runs).await[response])
        }
    });
    let texts = join_all(readers).await;
    playing.await.unwrap();
    assert!(texts.iter().all(|text| *text == expected), "{texts:?}");
}

#[tokio::test]
async fn two_tabs_that_edit_the_same_message_show_the_same_tree() {
    let gateway = TestGateway::start().await;
    let chat = new_chat(&gateway).await;
    let player = Player::new();
    let started = send(&gateway, &chat, &player.message()).await;
    let first = started["messages"][0]["id"].as_str().unwrap().to_owned();
    let mut tabs = [
        Reader::attach(&gateway, &chat).await,
        Reader::attach(&gateway, &chat).await,
    ];
    player.text("original");
    player.finish("stop", 1);
    let players = [Player::new(), Player::new()];
    let path = format!("/api/chats/{chat}/messages/{first}");
    let edits = players.iter().map(|player| {
        let body = json!({"content": [{"type": "text", "text": player.message()}]});
        gateway.send(reqwest::Method::PATCH, &path, body)
    });
    for (status, edited) in join_all(edits).await {
        assert_eq!(status, 202, "{edited}");
    }
    for player in players {
        player.text(&format!("response to {}", player.message()));
        player.finish("stop", 4);
    }
    let mut shown = Vec::new();
    for tab in &mut tabs {
        shown.push(tab.read_until_finished(3).await.clone());
    }
    assert_eq!(shown[0], shown[1]);
    let detail = read(&gateway, &chat).await;
    let stored: BTreeMap<String, Value> = detail["messages"]
        .as_array()
        .unwrap()
        .iter()
        .map(|message| (id_of(message), message.clone()))
        .collect();
    assert_eq!(stored, shown[0]);
    // The original and two versions of the message, each with its response.
    let users = stored.values().filter(|message| message["role"] == "user");
    assert_eq!((stored.len(), users.count()), (6, 3));
    for message in stored
        .values()
        .filter(|message| message["role"] == "assistant")
    {
        let parent = &stored[message["parent_id"].as_str().unwrap()];
        let text = text_of(message);
        assert!(
            text == "original" || text == format!("response to {}", text_of(parent)),
            "{text}"
        );
    }
}
