//! Ids of calls in the form that the template requires.

use std::collections::{HashMap, HashSet};

use serde_json::Value;

use super::message::{calls, calls_mut, role};
use crate::template::CallIds;

/// Letters and digits.
const ALPHABET: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
/// Length of the ids of Mistral's templates.
const LENGTH: usize = 9;

/// Replaces the ids of calls and results. A call and its result keep equal ids, and an id is replaced by the same one in every
/// request, so that prefixes stay cached.
pub(super) fn map_call_ids(messages: &mut [Value], form: CallIds) {
    match form {
        CallIds::Any => {}
        CallIds::NineCharacters => map_to_nine_characters(messages),
        CallIds::Function => number_functions(messages),
    }
}

fn map_to_nine_characters(messages: &mut [Value]) {
    let mut mapped: HashMap<String, String> = HashMap::new();
    let mut used: HashSet<String> = messages
        .iter()
        .flat_map(calls)
        .filter_map(|call| call["id"].as_str())
        .filter(|id| has_nine_characters(id))
        .map(str::to_owned)
        .collect();
    let mut map = |id: &mut Value| {
        let text = id.as_str().unwrap_or_default();
        if has_nine_characters(text) {
            return;
        }
        let short = mapped.entry(text.to_owned()).or_insert_with(|| {
            let mut hash = fnv1a(text.as_bytes());
            let mut short = short_id(hash);
            while !used.insert(short.clone()) {
                hash = hash.wrapping_add(1);
                short = short_id(hash);
            }
            short
        });
        *id = short.clone().into();
    };
    for message in messages {
        if role(message) == "tool" {
            map(&mut message["tool_call_id"]);
        }
        for call in calls_mut(std::slice::from_mut(message)) {
            map(&mut call["id"]);
        }
    }
}

fn has_nine_characters(id: &str) -> bool {
    id.len() == LENGTH && id.bytes().all(|byte| byte.is_ascii_alphanumeric())
}

/// 64-bit FNV-1a: the same in every process and version, unlike the standard library's hashes.
fn fnv1a(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3)
    })
}

fn short_id(mut hash: u64) -> String {
    let base = ALPHABET.len() as u64;
    let characters = (0..LENGTH).map(|_| {
        let character = char::from(ALPHABET[(hash % base) as usize]);
        hash /= base;
        character
    });
    characters.collect()
}

/// `functions.NAME:INDEX`, with the index of the call in the conversation.
fn number_functions(messages: &mut [Value]) {
    let mut numbered: HashMap<String, String> = HashMap::new();
    let mut index = 0;
    for message in messages {
        if role(message) == "tool" {
            let id = &mut message["tool_call_id"];
            if let Some(function) = numbered.get(id.as_str().unwrap_or_default()) {
                *id = function.clone().into();
            }
        }
        for call in calls_mut(std::slice::from_mut(message)) {
            let name = call["function"]["name"].as_str().unwrap_or_default();
            let function = format!("functions.{name}:{index}");
            index += 1;
            let id = call["id"].as_str().unwrap_or_default().to_owned();
            numbered.insert(id, function.clone());
            call["id"] = function.into();
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn turn(id: &str) -> [Value; 2] {
        let call =
            json!({"id": id, "type": "function", "function": {"name": "f", "arguments": {}}});
        [
            json!({"role": "assistant", "content": "", "tool_calls": [call]}),
            json!({"role": "tool", "tool_call_id": id, "content": "1"}),
        ]
    }

    fn ids(messages: &[Value]) -> Vec<&str> {
        let ids = messages.iter().map(|message| match calls(message) {
            [call, ..] => &call["id"],
            [] => &message["tool_call_id"],
        });
        ids.map(|id| id.as_str().unwrap()).collect()
    }

    #[test]
    fn ids_of_any_length_become_nine_characters() {
        let given = [
            "call_0123456789abcdef0123456789abcdef",
            "a",
            "",
            "toolu_x",
            "12345678_",
            "Abcdefgh9",
        ];
        let mut messages: Vec<Value> = given.iter().flat_map(|id| turn(id)).collect();
        map_call_ids(&mut messages, CallIds::NineCharacters);
        let ids = ids(&messages);
        assert!(ids.iter().all(|id| has_nine_characters(id)), "{ids:?}");
        assert!(ids.chunks(2).all(|pair| pair[0] == pair[1]), "{ids:?}");
        assert_eq!(ids.iter().collect::<HashSet<_>>().len(), given.len());
        assert_eq!(ids[10], "Abcdefgh9");
    }

    #[test]
    fn an_id_is_mapped_to_the_same_one_in_a_longer_conversation() {
        let mut short: Vec<Value> = turn("call_1").into();
        let mut long: Vec<Value> = turn("call_1").into_iter().chain(turn("call_2")).collect();
        map_call_ids(&mut short, CallIds::NineCharacters);
        map_call_ids(&mut long, CallIds::NineCharacters);
        assert_eq!(short, long[..2]);
    }

    #[test]
    fn functions_are_numbered_for_templates_that_print_only_ids() {
        let mut messages: Vec<Value> = turn("a").into_iter().chain(turn("b")).collect();
        map_call_ids(&mut messages, CallIds::Function);
        assert_eq!(
            ids(&messages),
            [
                "functions.f:0",
                "functions.f:0",
                "functions.f:1",
                "functions.f:1"
            ]
        );
    }

    #[test]
    fn other_templates_keep_ids() {
        let mut messages = turn("toolu_1");
        map_call_ids(&mut messages, CallIds::Any);
        assert_eq!(messages, turn("toolu_1"));
    }
}
