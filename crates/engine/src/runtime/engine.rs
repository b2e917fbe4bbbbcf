//! Loading a checkpoint and talking to the thread that runs it.

use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;
use std::sync::mpsc::{self, channel};

use mlxm_kernels::{CpuOptions, Kernels};
use mlxm_scheduler::{PrefixReuse, Scheduler, SchedulerConfig};

use super::cache::CachePool;
use super::counters::{Counters, SharedCounters};
use super::generation::Generation;
use super::mailbox::mailbox;
use super::memory::MemoryPlan;
use super::sequence::{ActiveRequest, Limits};
use super::worker::{Command, Worker};
use crate::chat::{ChatTemplate, TemplateError};
use crate::checkpoint::{CheckpointConfig, Loader, Quantization, Weights};
use crate::error::{LoadError, RequestError};
use crate::info::{ModelInfo, Recorded};
use crate::models::{self, Architecture};
use crate::options::{DeviceChoice, LoadOptions};
use crate::request::{Logits, Request};
use crate::sampling::SamplingParams;
use crate::text::Tokenizer;

/// A loaded model. Clones share it; it is unloaded when the last clone and the last [`Generation`] are gone.
#[derive(Clone)]
pub struct Engine {
    shared: Arc<Shared>,
}

struct Shared {
    info: ModelInfo,
    plan: MemoryPlan,
    tokenizer: Tokenizer,
    chat_template: Result<ChatTemplate, TemplateError>,
    default_sampling: SamplingParams,
    counters: Arc<SharedCounters>,
    commands: mpsc::Sender<Command>,
}

/// A checkpoint whose metadata is read and whose weights are not.
struct Opened {
    config: CheckpointConfig,
    architecture_name: &'static str,
    architecture: Box<dyn Architecture>,
    quantization: Quantization,
    chat_template: Result<ChatTemplate, TemplateError>,
    tokenizer: Tokenizer,
    weights: Weights,
    plan: MemoryPlan,
}

impl Opened {
    fn new(path: &Path, options: &LoadOptions) -> Result<Self, LoadError> {
        check(options)?;
        let config = CheckpointConfig::open(path)?;
        let (architecture_name, architecture) = models::read_architecture(&config)?;
        let mut weights = Weights::open(path)?;
        architecture.sanitize(&mut weights);
        let quantization = Quantization::from_config(&config, &mut weights)?;
        let tokenizer = Tokenizer::from_dir(path)?;
        let chat_template = ChatTemplate::from_dir(path, tokenizer.special_tokens());
        let plan = MemoryPlan::new(
            &architecture.cache_layers(),
            &architecture.dimensions(),
            config.stretched_context(),
            weights.size_bytes(),
            options,
        )?;
        Ok(Self {
            config,
            architecture_name,
            architecture,
            quantization,
            chat_template,
            tokenizer,
            weights,
            plan,
        })
    }

    /// The model, and how many parameters it has; ready to run when `kernels` are given.
    fn build(&self, kernels: Option<&Kernels>) -> Result<(Box<dyn models::Model>, u64), LoadError> {
        let loader = Loader::new(
            &self.weights,
            &self.quantization,
            self.config.file(),
            self.plan.context_length,
            kernels,
        );
        let model = self.architecture.load(&loader.root())?;
        let parameters = loader.finish(&self.config.model_type)?;
        Ok((model, parameters))
    }

    fn info(&self, parameters: u64) -> ModelInfo {
        let mut eos_token_ids = self.config.eos_token_ids();
        eos_token_ids.extend(self.tokenizer.stop_ids());
        eos_token_ids.sort_unstable();
        eos_token_ids.dedup();
        ModelInfo::new(Recorded {
            config: &self.config,
            architecture: self.architecture_name,
            sizes: &self.architecture.dimensions(),
            cache_layers: &self.architecture.cache_layers(),
            quantization: self.quantization.globals(),
            chat_template: self.chat_template.as_ref().ok(),
            eos_token_ids,
            parameters,
            size_bytes: self.weights.size_bytes(),
        })
    }
}

/// Describes the checkpoint at `path` and plans its memory without loading it: weights are mapped, none is read.
///
/// ```
/// use mlxm_engine::{LoadOptions, inspect};
///
/// # let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/golden/llama-4bit");
/// let (info, plan) = inspect(folder, &LoadOptions::default())?;
/// println!("{} layers, {} KV bytes per token", info.layers, plan.kv_bytes_per_token);
/// println!("16 GiB hold a context of {} tokens", plan.largest_context(16 << 30));
/// # Ok::<(), mlxm_engine::LoadError>(())
/// ```
///
/// # Errors
/// As [`Engine::load`].
pub fn inspect(
    path: impl AsRef<Path>,
    options: &LoadOptions,
) -> Result<(ModelInfo, MemoryPlan), LoadError> {
    let opened = Opened::new(path.as_ref(), options)?;
    let (_, parameters) = opened.build(None)?;
    let info = opened.info(parameters);
    Ok((info, opened.plan))
}

impl Engine {
    /// Loads the checkpoint in the folder `path`.
    ///
    /// # Errors
    /// When the folder is not a checkpoint this engine can run; every error names what is wrong.
    pub fn load(path: impl AsRef<Path>, options: &LoadOptions) -> Result<Self, LoadError> {
        let opened = Opened::new(path.as_ref(), options)?;
        let kernels = Kernels::cpu(CpuOptions {
            threads: options.threads,
            precision: options.precision,
        });
        let (model, parameters) = opened.build(Some(&kernels))?;
        let info = opened.info(parameters);
        let scheduler = Scheduler::new(SchedulerConfig {
            max_sequences: options.max_sequences,
            max_batch_tokens: options.max_batch_tokens,
        })
        .map_err(|error| LoadError::InvalidOption(error.to_string()))?;
        let counters = Arc::new(SharedCounters::default());
        let worker = Worker {
            counters: counters.clone(),
            cache: CachePool::new(&kernels, &opened.architecture.cache_layers(), &opened.plan)?,
            pool: opened.plan.block_pool()?,
            kernels,
            model,
            scheduler,
            limits: Limits {
                context_length: opened.plan.context_length,
                eos_token_ids: info.eos_token_ids.clone(),
            },
            vocab_size: info.vocab_size,
            max_batch_tokens: options.max_batch_tokens,
            active: HashMap::new(),
            scoring: Vec::new(),
            next_id: 0,
            settled: false,
        };
        let (commands, receiver) = channel();
        std::thread::Builder::new()
            .name("mlxm-engine".into())
            .spawn(move || worker.run(&receiver))
            .map_err(|source| LoadError::Io {
                path: path.as_ref().into(),
                source,
            })?;
        Ok(Self {
            shared: Arc::new(Shared {
                default_sampling: default_sampling(&opened.config),
                info,
                plan: opened.plan,
                tokenizer: opened.tokenizer,
                chat_template: opened.chat_template,
                counters,
                commands,
            }),
        })
    }

    /// What the checkpoint is.
    pub fn info(&self) -> &ModelInfo {
        &self.shared.info
    }

    /// Where the memory goes.
    pub fn memory_plan(&self) -> &MemoryPlan {
        &self.shared.plan
    }

    /// What has been done since the model was loaded.
    pub fn counters(&self) -> Counters {
        self.shared.counters.read()
    }

    /// The tokenizer.
    pub fn tokenizer(&self) -> &Tokenizer {
        &self.shared.tokenizer
    }

    /// The chat template.
    ///
    /// # Errors
    /// When the model has none, or one that cannot be used: the model still completes plain text then.
    pub fn chat_template(&self) -> Result<&ChatTemplate, &TemplateError> {
        self.shared.chat_template.as_ref()
    }

    /// The sampling that the model's `generation_config.json` asks for; greedy where it asks for nothing.
    pub fn default_sampling(&self) -> SamplingParams {
        self.shared.default_sampling.clone()
    }

    /// Starts a generation.
    ///
    /// ```
    /// # use mlxm_engine::{Engine, LoadOptions, Request, sampling::SamplingParams};
    /// # let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/golden/llama-4bit");
    /// let engine = Engine::load(folder, &LoadOptions::default())?;
    /// let sampling = SamplingParams { temperature: 0.8, top_p: 0.95, seed: Some(1), ..SamplingParams::default() };
    /// let request = Request { prompt: vec![1, 2, 3], sampling, max_tokens: Some(8), ..Request::default() };
    /// assert!(engine.submit(request)?.all(|event| event.is_ok()));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// When the request is refused; nothing has been computed then.
    pub fn submit(&self, request: Request) -> Result<Generation, RequestError> {
        self.check_tokens(&request.prompt)?;
        let context_length = self.shared.plan.context_length;
        if request.prompt.len() >= context_length {
            return Err(RequestError::PromptTooLong {
                prompt_tokens: request.prompt.len(),
                context_length,
            });
        }
        if request.max_tokens == Some(0) {
            return Err(RequestError::Invalid(
                "max_tokens must be at least 1".into(),
            ));
        }
        let (sender, receiver) = mailbox();
        let active = ActiveRequest::new(
            &request,
            &self.shared.tokenizer,
            self.shared.info.vocab_size,
            sender,
        )?;
        let prefix_reuse = if request.no_prefix_cache {
            PrefixReuse::Private
        } else {
            PrefixReuse::Shared
        };
        self.send(Command::Generate {
            tokens: request.prompt,
            prefix_reuse,
            request: Box::new(active),
        })?;
        Ok(Generation::new(receiver))
    }

    /// Logits of every position of `tokens`, computed through the cache `chunk` tokens at a time (as many as fit a step
    /// when absent). Waits until no answer is running.
    ///
    /// ```
    /// # use mlxm_engine::{Engine, LoadOptions};
    /// # let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/golden/llama-4bit");
    /// let engine = Engine::load(folder, &LoadOptions::default())?;
    /// let logits = engine.logits(&[1, 2, 3], None)?;
    /// assert_eq!((logits.rows, logits.vocab_size), (3, engine.info().vocab_size));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// When the tokens do not fit the vocabulary or the context.
    pub fn logits(&self, tokens: &[u32], chunk: Option<usize>) -> Result<Logits, RequestError> {
        self.check_scored(tokens)?;
        let most = self.shared.plan.max_batch_tokens;
        let chunk = match chunk {
            Some(0) => return Err(RequestError::Invalid("chunk must be at least 1".into())),
            chunk => chunk.unwrap_or(most).min(most),
        };
        let (reply, result) = channel();
        self.send(Command::Logits {
            tokens: tokens.into(),
            chunk,
            reply,
        })?;
        result.recv().map_err(|_| RequestError::Stopped)?
    }

    /// Natural logarithm of the probability of `tokens[i + 1]` after `tokens[..=i]`: one value fewer than there are
    /// tokens. Waits until no answer is running.
    ///
    /// # Errors
    /// When the tokens do not fit the vocabulary or the context.
    pub fn token_logprobs(&self, tokens: &[u32]) -> Result<Vec<f32>, RequestError> {
        self.check_scored(tokens)?;
        let (reply, result) = channel();
        self.send(Command::Logprobs {
            tokens: tokens.into(),
            reply,
        })?;
        result.recv().map_err(|_| RequestError::Stopped)?
    }

    /// Waits until the weights lie in memory where they are read fastest. They do so by themselves some time after the first
    /// answer has begun, since loading them there at once would delay it; a server or a benchmark has the time before. Does
    /// not wait for what was begun before.
    ///
    /// # Errors
    /// When the engine has stopped.
    pub fn settle(&self) -> Result<(), RequestError> {
        let (done, settled) = channel();
        self.send(Command::Settle { done })?;
        settled.recv().map_err(|_| RequestError::Stopped)
    }

    fn send(&self, command: Command) -> Result<(), RequestError> {
        self.shared
            .commands
            .send(command)
            .map_err(|_| RequestError::Stopped)
    }

    fn check_scored(&self, tokens: &[u32]) -> Result<(), RequestError> {
        let context_length = self.shared.plan.context_length;
        if tokens.len() > context_length {
            return Err(RequestError::PromptTooLong {
                prompt_tokens: tokens.len(),
                context_length,
            });
        }
        self.check_tokens(tokens)
    }

    fn check_tokens(&self, tokens: &[u32]) -> Result<(), RequestError> {
        if tokens.is_empty() {
            return Err(RequestError::EmptyPrompt);
        }
        let vocab_size = self.shared.info.vocab_size;
        match tokens.iter().position(|&id| id as usize >= vocab_size) {
            Some(position) => Err(RequestError::TokenOutOfRange {
                id: tokens[position],
                position,
                vocab_size,
            }),
            None => Ok(()),
        }
    }
}

/// What can be said about the options before anything is opened.
fn check(options: &LoadOptions) -> Result<(), LoadError> {
    if options.threads == Some(0) {
        return Err(LoadError::InvalidOption(
            "threads must be at least 1".into(),
        ));
    }
    match options.device {
        DeviceChoice::Auto | DeviceChoice::Cpu => Ok(()),
        DeviceChoice::Metal => Err(LoadError::Device(
            "the Metal backend is not there yet: use `--device cpu` (or auto, which runs on the CPU)".into(),
        )),
    }
}

/// Sampling as `generation_config.json` asks for it.
fn default_sampling(config: &CheckpointConfig) -> SamplingParams {
    let number = |key: &str| {
        config
            .generation
            .get(key)
            .and_then(serde_json::Value::as_f64)
    };
    let mut sampling = SamplingParams::default();
    if config.generation.get("do_sample") == Some(&serde_json::Value::Bool(false)) {
        return sampling;
    }
    if let Some(temperature) = number("temperature") {
        sampling.temperature = temperature as f32;
    }
    if let Some(top_p) = number("top_p") {
        sampling.top_p = top_p as f32;
    }
    if let Some(min_p) = number("min_p") {
        sampling.min_p = min_p as f32;
    }
    if let Some(top_k) = number("top_k") {
        sampling.top_k = top_k as usize;
    }
    if let Some(penalty) = number("repetition_penalty") {
        sampling.repetition_penalty = penalty as f32;
    }
    sampling
}
