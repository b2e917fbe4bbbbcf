//! Profiles between the store and the API, which have the same fields.

use mlxm_store::profiles as stored;

use crate::wire::profiles as wire;

/// Conversions in both directions of structs with the same fields, which are moved or, after the semicolon, converted.
macro_rules! same_fields {
    ($stored:ty, $wire:ty, $($field:ident),+; $($converted:ident),*) => {
        impl From<$stored> for $wire {
            fn from(value: $stored) -> Self {
                Self {
                    $($field: value.$field,)+
                    $($converted: value.$converted.map(Into::into),)*
                }
            }
        }

        impl From<$wire> for $stored {
            fn from(value: $wire) -> Self {
                Self {
                    $($field: value.$field,)+
                    $($converted: value.$converted.map(Into::into),)*
                }
            }
        }
    };
}

same_fields!(
    stored::LoadSettings,
    wire::LoadSettings,
    context_length,
    max_sequences,
    kv_pool_tokens,
    max_batch_tokens,
    kv_cache_dtype,
    activation_dtype,
    device,
    draft_model,
    adapters,
    chat_template_file,
    tool_call_parser,
    reasoning_parser;
);

same_fields!(
    stored::RequestSettings,
    wire::RequestSettings,
    temperature,
    top_p,
    top_k,
    min_p,
    repetition_penalty,
    repetition_context_size,
    presence_penalty,
    frequency_penalty,
    logit_bias,
    seed,
    stop,
    max_tokens,
    system_prompt,
    tool_choice;
    thinking
);

impl From<stored::Thinking> for wire::Thinking {
    fn from(thinking: stored::Thinking) -> Self {
        match thinking {
            stored::Thinking::Enabled(enabled) => Self::Enabled(enabled),
            stored::Thinking::Effort(effort) => Self::Effort(effort),
        }
    }
}

impl From<wire::Thinking> for stored::Thinking {
    fn from(thinking: wire::Thinking) -> Self {
        match thinking {
            wire::Thinking::Enabled(enabled) => Self::Enabled(enabled),
            wire::Thinking::Effort(effort) => Self::Effort(effort),
        }
    }
}

impl From<stored::ProfileConfig> for wire::ProfileConfig {
    fn from(config: stored::ProfileConfig) -> Self {
        Self {
            name: config.name,
            model: config.model,
            description: config.description,
            host: config.host,
            port: config.port,
            ttl_seconds: config.ttl_seconds,
            queue_timeout_seconds: config.queue_timeout_seconds,
            queue_size: config.queue_size,
            is_pinned: config.is_pinned,
            auto_start: config.auto_start,
            log_level: config.log_level,
            color: config.color,
            load: config.load.into(),
            request: config.request.into(),
        }
    }
}

impl From<stored::Profile> for wire::Profile {
    fn from(profile: stored::Profile) -> Self {
        Self {
            id: profile.id,
            config: profile.config.into(),
            created_at_ms: profile.created_at_ms,
            updated_at_ms: profile.updated_at_ms,
        }
    }
}

/// The configuration to store. Whether a service is installed is not edited with the profile.
pub fn to_stored(config: wire::ProfileConfig, service_installed: bool) -> stored::ProfileConfig {
    stored::ProfileConfig {
        name: config.name,
        description: config.description,
        model: config.model,
        host: config.host,
        port: config.port,
        ttl_seconds: config.ttl_seconds,
        queue_timeout_seconds: config.queue_timeout_seconds,
        queue_size: config.queue_size,
        is_pinned: config.is_pinned,
        auto_start: config.auto_start,
        service_installed,
        log_level: config.log_level,
        color: config.color,
        load: config.load.into(),
        request: config.request.into(),
    }
}
