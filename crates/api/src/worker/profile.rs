//! Request settings of a profile: defaults for what a request leaves out.
//!
//! The gateway sends them with each request, so that profiles with the same load settings share a server. Precedence: request,
//! profile, `generation_config.json`.

use std::sync::{Arc, Mutex, PoisonError};

use axum::http::HeaderMap;
use data_encoding::BASE64URL_NOPAD;
use lru::LruCache;
use mlxm_chat::{ChatRequest, GenerationParams, ToolChoice};
use serde::Deserialize;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::error::ApiError;
use crate::extract::{Body, Fields, RequestBody};
use crate::fields::{FieldPolicy, Warnings};
use crate::numbers;
use crate::openai::options;
use crate::openai::shared::SamplingFields;
use crate::state::ServedModel;

/// The settings as base64url of a JSON object.
const SETTINGS: &str = "x-mlxm-defaults";
/// The id of settings that were registered before.
const SETTINGS_ID: &str = "x-mlxm-defaults-id";

/// Largest JSON object in a header.
const MAX_HEADER_BYTES: usize = 64 << 10;
/// Settings that stay registered.
const MAX_REGISTERED: usize = 256;

/// The request settings of a profile.
#[derive(Debug, Clone, Default)]
pub struct Profile {
    params: GenerationParams,
    system_prompt: Option<String>,
    thinking: Option<Thinking>,
    tool_choice: Option<ToolChoice>,
    /// Settings that this version does not know.
    unknown: Warnings,
}

/// The settings that are no sampling parameters.
#[derive(Debug, Deserialize)]
struct ProfileFields {
    #[serde(default, deserialize_with = "numbers::limit")]
    max_tokens: Option<usize>,
    system_prompt: Option<String>,
    thinking: Option<Thinking>,
    tool_choice: Option<String>,
}

/// Whether the model reasons, or how much.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(
    untagged,
    expecting = "expected true, false or an effort such as \"low\""
)]
enum Thinking {
    Enabled(bool),
    Effort(String),
}

impl RequestBody for Profile {
    const POLICY: FieldPolicy = FieldPolicy {
        ignored: &[],
        hints: &[],
        unsupported: &[
            ("n", "each request says how many completions it wants"),
            ("ignore_eos", "it is an option of single requests"),
            ("service_tier", "use the header x-mlxm-priority"),
            ("cache_salt", "it is an option of single requests"),
        ],
    };

    fn read(fields: &mut Fields) -> Result<Self, ApiError> {
        let ProfileFields {
            max_tokens,
            system_prompt,
            thinking,
            tool_choice,
        } = fields.take()?;
        let sampling: SamplingFields = fields.take()?;
        let tool_choice = tool_choice.map(|choice| ToolChoice::from_json(Some(&choice.into())));
        Ok(Self {
            params: GenerationParams {
                max_tokens,
                ..sampling.params()?
            },
            system_prompt: system_prompt.filter(|text| !text.is_empty()),
            thinking,
            tool_choice: tool_choice.transpose()?,
            unknown: Warnings::default(),
        })
    }
}

impl Profile {
    /// Parses a JSON object.
    fn parse(json: &[u8]) -> Result<Self, ApiError> {
        let Body { request, warnings } = Body::<Self>::parse(json, false)?;
        Ok(Self {
            unknown: warnings,
            ..request
        })
    }

    /// Fills in the sampling parameters that a request leaves out.
    pub fn fill_params(&self, params: &mut GenerationParams) {
        let own = &self.params;
        params.temperature = params.temperature.or(own.temperature);
        params.top_p = params.top_p.or(own.top_p);
        params.top_k = params.top_k.or(own.top_k);
        params.min_p = params.min_p.or(own.min_p);
        params.repetition_penalty = params.repetition_penalty.or(own.repetition_penalty);
        params.repetition_context = params.repetition_context.or(own.repetition_context);
        params.presence_penalty = params.presence_penalty.or(own.presence_penalty);
        params.frequency_penalty = params.frequency_penalty.or(own.frequency_penalty);
        params.seed = params.seed.or(own.seed);
        params.max_tokens = params.max_tokens.or(own.max_tokens);
        if params.logit_bias.is_empty() {
            params.logit_bias.clone_from(&own.logit_bias);
        }
        if params.stop.is_empty() {
            params.stop.clone_from(&own.stop);
        }
    }

    /// Fills in what a chat leaves out. `gives_tool_choice` says whether the request has a tool choice of its own.
    pub fn fill(
        &self,
        request: &mut ChatRequest,
        gives_tool_choice: bool,
        model: &ServedModel,
        warnings: &mut Warnings,
    ) {
        self.warn_of_unknown(warnings);
        self.fill_params(&mut request.params);
        if let Some(choice) = &self.tool_choice
            && !gives_tool_choice
            && !request.tools.is_empty()
        {
            request.tool_choice = choice.clone();
        }
        if let Some(text) = &self.system_prompt
            && !request.messages.iter().any(is_system)
        {
            let message = json!({"role": "system", "content": text});
            request.messages.insert(0, message);
        }
        self.fill_thinking(request, model, warnings);
    }

    /// Adds a warning about settings that this version does not know.
    pub fn warn_of_unknown(&self, warnings: &mut Warnings) {
        warnings.extend(&self.unknown);
    }

    fn fill_thinking(
        &self,
        request: &mut ChatRequest,
        model: &ServedModel,
        warnings: &mut Warnings,
    ) {
        let kwargs = &mut request.template_kwargs;
        let given = ["enable_thinking", "reasoning_effort"];
        if request.thinking_budget.is_some() || given.iter().any(|name| kwargs.contains_key(*name))
        {
            return;
        }
        match &self.thinking {
            None => {}
            Some(Thinking::Effort(effort)) => {
                options::set_reasoning_effort("thinking", model, kwargs, effort.clone(), warnings);
            }
            Some(Thinking::Enabled(enabled)) => {
                if model.chat.template_mentions("enable_thinking") {
                    kwargs.insert("enable_thinking".to_owned(), (*enabled).into());
                } else if *enabled != model.chat.supports_reasoning() {
                    warnings.ignored("thinking", "the model's chat template has no switch for it");
                }
            }
        }
    }

    /// The temperature and the top-p of the profile.
    pub fn temperature_and_top_p(&self) -> (Option<f32>, Option<f32>) {
        (self.params.temperature, self.params.top_p)
    }
}

fn is_system(message: &Value) -> bool {
    message["role"] == "system" || message["role"] == "developer"
}

/// Settings too large for a header, by the ids that they were given.
#[derive(Debug)]
pub struct RegisteredProfiles(Mutex<LruCache<String, Arc<Profile>>>);

impl Default for RegisteredProfiles {
    fn default() -> Self {
        Self(Mutex::new(LruCache::unbounded()))
    }
}

impl RegisteredProfiles {
    /// Registers settings and returns their id. When there are too many, those that were not used for longest are removed.
    pub fn insert(&self, body: Body<Profile>) -> String {
        let id = Uuid::new_v4().simple().to_string();
        let profile = Profile {
            unknown: body.warnings,
            ..body.request
        };
        let mut profiles = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        profiles.put(id.clone(), Arc::new(profile));
        if profiles.len() > MAX_REGISTERED {
            profiles.pop_lru();
        }
        id
    }

    fn get(&self, id: &str) -> Option<Arc<Profile>> {
        let mut profiles = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        profiles.get(id).cloned()
    }
}

/// The profile that the headers of a request contain or name; one without settings if there is none.
pub fn read(
    headers: &HeaderMap,
    registered: &RegisteredProfiles,
) -> Result<Arc<Profile>, ApiError> {
    let (settings, id) = (headers.get(SETTINGS), headers.get(SETTINGS_ID));
    match (settings, id) {
        (None, None) => Ok(Arc::default()),
        (Some(_), Some(_)) => Err(ApiError::at(
            SETTINGS,
            "and x-mlxm-defaults-id exclude each other: send one of them",
        )),
        (Some(encoded), None) => Profile::parse(&decode(encoded.as_bytes())?)
            .map(Arc::new)
            .map_err(|error| ApiError::at(SETTINGS, &format!("is invalid: {error}"))),
        (None, Some(id)) => {
            let profile = id.to_str().ok().and_then(|id| registered.get(id));
            profile.ok_or_else(|| {
                let problem = "is not registered (any more): send the settings to POST /internal/defaults again";
                ApiError::at(SETTINGS_ID, problem)
            })
        }
    }
}

/// The JSON in a header. Padding is optional.
fn decode(encoded: &[u8]) -> Result<Vec<u8>, ApiError> {
    let padding = encoded.iter().rev().take_while(|byte| **byte == b'=');
    let encoded = &encoded[..encoded.len() - padding.count()];
    if encoded.len() > BASE64URL_NOPAD.encode_len(MAX_HEADER_BYTES) {
        let problem = "is longer than 64 KB: send the settings to POST /internal/defaults once and their id in x-mlxm-defaults-id";
        return Err(ApiError::at(SETTINGS, problem));
    }
    BASE64URL_NOPAD
        .decode(encoded)
        .map_err(|error| ApiError::at(SETTINGS, &format!("is not base64url: {error}")))
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderValue;

    use super::*;

    fn headers(name: &'static str, value: &[u8]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        headers.insert(name, HeaderValue::from_bytes(value).unwrap());
        headers
    }

    fn inline(settings: &Value) -> Result<Arc<Profile>, String> {
        let encoded = BASE64URL_NOPAD.encode(settings.to_string().as_bytes());
        let headers = headers(SETTINGS, encoded.as_bytes());
        read(&headers, &RegisteredProfiles::default()).map_err(|error| error.to_string())
    }

    #[test]
    fn request_takes_precedence_over_the_profile() {
        let profile = inline(&json!({
            "temperature": 0.5, "top_p": 0.9, "top_k": 7, "stop": "x", "seed": 3, "max_tokens": 50, "logit_bias": {"1": 2},
        }))
        .unwrap();
        let mut params = GenerationParams {
            temperature: Some(0.0),
            stop: vec!["y".to_owned()],
            ..GenerationParams::default()
        };
        profile.fill_params(&mut params);
        assert_eq!(
            (params.temperature, params.top_p, params.top_k),
            (Some(0.0), Some(0.9), Some(7))
        );
        assert_eq!((params.seed, params.max_tokens), (Some(3), Some(50)));
        assert_eq!(params.stop, ["y"]);
        assert_eq!(params.logit_bias.get(&1), Some(&2.0));
        let mut empty = GenerationParams::default();
        profile.fill_params(&mut empty);
        assert_eq!(empty.stop, ["x"]);
    }

    #[test]
    fn invalid_settings_are_errors_that_name_the_header_and_the_setting() {
        for (settings, expected) in [
            (
                json!({"top_k": "x"}),
                "x-mlxm-defaults is invalid: top_k: invalid type",
            ),
            (
                json!({"n": 2}),
                "x-mlxm-defaults is invalid: `n` is not supported",
            ),
            (
                json!({"thinking": 3}),
                "x-mlxm-defaults is invalid: thinking: expected true, false or an effort",
            ),
            (
                json!({"tool_choice": "maybe"}),
                "x-mlxm-defaults is invalid: tool_choice must be",
            ),
            (json!([]), "x-mlxm-defaults is invalid: the request body"),
            (
                json!({"system_prompt": "x".repeat(MAX_HEADER_BYTES)}),
                "x-mlxm-defaults is longer than 64 KB",
            ),
        ] {
            let error = inline(&settings).unwrap_err();
            assert!(error.starts_with(expected), "{error}");
        }
        let registered = RegisteredProfiles::default();
        for (name, value, expected) in [
            (
                SETTINGS,
                b"{}".as_slice(),
                "x-mlxm-defaults is not base64url",
            ),
            (
                SETTINGS_ID,
                b"x".as_slice(),
                "x-mlxm-defaults-id is not registered",
            ),
        ] {
            let error = read(&headers(name, value), &registered).unwrap_err();
            assert!(error.to_string().starts_with(expected), "{error}");
        }
    }

    #[test]
    fn unknown_settings_are_warnings() {
        let profile = inline(&json!({"temperature": 1, "brand_new": 1})).unwrap();
        let mut warnings = Warnings::default();
        profile.warn_of_unknown(&mut warnings);
        assert!(warnings.to_string().contains("brand_new"), "{warnings}");
    }

    #[test]
    fn registered_settings_are_found_by_their_id_while_they_are_used() {
        let registered = RegisteredProfiles::default();
        let register = |text: &str| {
            let body = json!({"system_prompt": text}).to_string();
            registered.insert(Body::parse(body.as_bytes(), false).unwrap())
        };
        let (used, unused) = (register("used"), register("unused"));
        for _ in 0..MAX_REGISTERED {
            assert!(registered.get(&used).is_some());
            register("other");
        }
        assert!(registered.get(&unused).is_none());
        let found = read(&headers(SETTINGS_ID, used.as_bytes()), &registered).unwrap();
        assert_eq!(found.system_prompt.as_deref(), Some("used"));
    }
}
