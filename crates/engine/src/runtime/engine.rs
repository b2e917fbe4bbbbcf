//! The handle of a loaded model: loads a checkpoint, starts its worker thread and submits requests to it.

use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{self, channel};
use std::time::Duration;

use mlxm_kernels::Kernels;
use mlxm_scheduler::{Scheduler, SchedulerConfig, Sequence, SequenceId};

use super::admission::Admission;
use super::default_sampling::default_sampling;
use super::device::ComputeDevice;
use super::generation::Generation;
use super::mailbox::mailbox;
use super::memory::MemoryPlan;
use super::prepared::Prepared;
use super::scoring::Scoring;
use super::sequence::{ActiveRequest, Limits};
use super::stats::{Counters, EngineStats, SharedStats};
use super::step_limit::StepLimit;
use super::worker::{Command, Worker};
use crate::cancel::CancelToken;
use crate::checkpoint::LoadProgress;
use crate::error::{LoadError, RequestError};
use crate::forward::Model;
use crate::info::ModelInfo;
use crate::options::{DEFAULT_MAX_QUEUED_REQUESTS, LoadOptions};
use crate::request::{Logits, Request};
use crate::sampling::SamplingParams;
use crate::text::Tokenizer;

/// Requests of the next higher priority that may skip an earlier request. With the default length of the queue, one request
/// of high priority skips the whole queue.
const MAX_SKIPS_PER_LEVEL: usize = DEFAULT_MAX_QUEUED_REQUESTS;

/// A loaded model. Clones share it; it is unloaded when the last clone and the last [`Generation`] are gone.
#[derive(Clone)]
pub struct Engine {
    shared: Arc<Shared>,
}

struct Shared {
    device: ComputeDevice,
    info: ModelInfo,
    plan: MemoryPlan,
    tokenizer: Tokenizer,
    default_sampling: SamplingParams,
    stats: Arc<SharedStats>,
    admission: Arc<Admission>,
    next_id: AtomicU64,
    commands: mpsc::Sender<Command>,
}

impl Engine {
    /// Loads the checkpoint in the folder `path`.
    ///
    /// # Errors
    /// When the folder is not a checkpoint this engine can run; every error names what is wrong.
    pub fn load(path: impl AsRef<Path>, options: &LoadOptions) -> Result<Self, LoadError> {
        Self::load_cancellable(path, options, &CancelToken::default())
    }

    /// As [`load`](Self::load), but can be cancelled by another thread.
    ///
    /// # Errors
    /// As [`load`](Self::load), and [`LoadError::Cancelled`].
    pub fn load_cancellable(
        path: impl AsRef<Path>,
        options: &LoadOptions,
        cancel: &CancelToken,
    ) -> Result<Self, LoadError> {
        Self::load_with_progress(path, options, cancel, &|_| {})
    }

    /// As [`load_cancellable`](Self::load_cancellable), and calls `progress` before each weight and after the last one.
    ///
    /// ```
    /// # use mlxm_engine::{CancelToken, Engine, LoadOptions};
    /// # let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/golden/llama-4bit");
    /// Engine::load_with_progress(folder, &LoadOptions::default(), &CancelToken::default(), &|progress| {
    ///     println!("{} of {} bytes", progress.loaded_bytes, progress.total_bytes);
    /// })?;
    /// # Ok::<(), mlxm_engine::LoadError>(())
    /// ```
    ///
    /// # Errors
    /// As [`load_cancellable`](Self::load_cancellable).
    pub fn load_with_progress(
        path: impl AsRef<Path>,
        options: &LoadOptions,
        cancel: &CancelToken,
        progress: &dyn Fn(LoadProgress),
    ) -> Result<Self, LoadError> {
        let path = path.as_ref();
        Self::load_with(path, options, cancel, progress, None, |model| model)
    }

    /// As [`load`](Self::load), but on the device of `kernels`. Options that concern only the CPU have no effect.
    ///
    /// # Errors
    /// As [`load`](Self::load).
    pub fn load_on(
        path: impl AsRef<Path>,
        options: &LoadOptions,
        kernels: Kernels,
    ) -> Result<Self, LoadError> {
        let cancel = CancelToken::default();
        let (path, kernels) = (path.as_ref(), Some(kernels));
        Self::load_with(path, options, &cancel, &|_| {}, kernels, |model| model)
    }

    /// As [`load_with_progress`](Self::load_with_progress), but on given kernels, and runs the model that `wrap` returns.
    pub(super) fn load_with(
        path: &Path,
        options: &LoadOptions,
        cancel: &CancelToken,
        progress: &dyn Fn(LoadProgress),
        kernels: Option<Kernels>,
        wrap: impl FnOnce(Box<dyn Model>) -> Box<dyn Model>,
    ) -> Result<Self, LoadError> {
        let Prepared {
            device,
            load_plan,
            kernels,
            model,
            parameters,
            cache,
        } = Prepared::new(path, options, kernels, cancel, progress)?;
        let info = load_plan.info(parameters);
        let scheduler = Scheduler::new(SchedulerConfig {
            max_sequences: options.max_sequences,
            max_batch_tokens: options.max_batch_tokens,
            max_skips_per_level: MAX_SKIPS_PER_LEVEL,
        })
        .map_err(|error| LoadError::InvalidOption(error.to_string()))?;
        let stats = Arc::new(SharedStats::default());
        let worker = Worker {
            counters: Counters::default(),
            stats: stats.clone(),
            cache,
            pool: load_plan.memory_plan.block_pool()?,
            kernels,
            model: wrap(model),
            scheduler,
            limits: Limits {
                context_length: load_plan.memory_plan.context_length,
                eos_token_ids: info.eos_token_ids.clone(),
            },
            vocab_size: info.vocab_size,
            max_batch_tokens: options.max_batch_tokens,
            step_limit: StepLimit::new(options.max_batch_tokens),
            active: HashMap::new(),
            finished: Vec::new(),
            pending_scoring: Vec::new(),
            huge_pages_promoted: false,
            forward_time: Duration::ZERO,
        };
        worker.publish();
        let (commands, receiver) = channel();
        std::thread::Builder::new()
            .name("mlxm-engine".into())
            .spawn(move || worker.run(&receiver))
            .map_err(|source| LoadError::Io {
                path: path.into(),
                source,
            })?;
        Ok(Self {
            shared: Arc::new(Shared {
                device,
                default_sampling: default_sampling(&load_plan.config),
                info,
                plan: load_plan.memory_plan,
                tokenizer: load_plan.tokenizer,
                stats,
                admission: Arc::new(Admission::new(
                    options.max_sequences,
                    options.max_queued_requests,
                )),
                next_id: AtomicU64::new(0),
                commands,
            }),
        })
    }

    /// Characteristics of the checkpoint.
    pub fn info(&self) -> &ModelInfo {
        &self.shared.info
    }

    /// The device that the model runs on.
    pub fn device(&self) -> &ComputeDevice {
        &self.shared.device
    }

    /// The planned memory.
    pub fn memory_plan(&self) -> &MemoryPlan {
        &self.shared.plan
    }

    /// Counts since the model was loaded.
    pub fn counters(&self) -> Counters {
        self.shared.stats.counters()
    }

    /// Current state and counters. Does not wait for the running step.
    pub fn stats(&self) -> EngineStats {
        let (in_flight, draining) = self.shared.admission.status();
        self.shared.stats.read(in_flight, draining)
    }

    /// The tokenizer.
    pub fn tokenizer(&self) -> &Tokenizer {
        &self.shared.tokenizer
    }

    /// The sampling parameters of the model's `generation_config.json`; greedy if it has none.
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
    /// When the request is invalid, or the engine does not accept it: [`RequestError::QueueFull`] if
    /// [`LoadOptions::max_queued_requests`] requests are waiting, in addition to [`LoadOptions::max_sequences`] that can run.
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
        let permit = self.shared.admission.acquire()?;
        let (sender, receiver) = mailbox();
        let active = ActiveRequest::new(
            &request,
            &self.shared.tokenizer,
            self.shared.info.vocab_size,
            sender,
            permit,
        )?;
        let prefix_caching = !request.no_prefix_cache && request.prompt_logprobs.is_none();
        let id = self.shared.next_id.fetch_add(1, Ordering::Relaxed);
        let sequence = Sequence {
            cache_salt: request.cache_salt,
            prefix_caching,
            priority: request.priority,
            ..Sequence::new(SequenceId(id), request.prompt)
        };
        self.send(Command::Generate {
            sequence,
            request: Box::new(active),
        })?;
        Ok(Generation::new(receiver))
    }

    /// Logits of every position of `tokens`, computed through the cache in chunks of `chunk` tokens
    /// ([`LoadOptions::max_batch_tokens`] if absent). Waits until no generation is running.
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
        self.submit_logits(tokens, chunk)?.wait()
    }

    /// Starts the computation of [`logits`](Self::logits), for callers that have to check for signals while they wait.
    ///
    /// # Errors
    /// When the tokens do not fit the vocabulary or the context.
    pub fn submit_logits(
        &self,
        tokens: &[u32],
        chunk: Option<usize>,
    ) -> Result<Scoring<Logits>, RequestError> {
        self.check_scored(tokens)?;
        let permit = self.shared.admission.acquire()?;
        let max_batch_tokens = self.shared.plan.max_batch_tokens;
        let chunk = match chunk {
            Some(0) => return Err(RequestError::Invalid("chunk must be at least 1".into())),
            Some(chunk) => chunk.min(max_batch_tokens),
            None => max_batch_tokens,
        };
        let (reply, result) = channel();
        let scoring = Scoring::new(result, permit);
        self.send(Command::Logits {
            tokens: tokens.into(),
            chunk,
            cancel: scoring.cancel_token(),
            reply,
        })?;
        Ok(scoring)
    }

    /// Log-probability of each of `tokens[1..]` given the tokens before it. Waits until no generation is running.
    ///
    /// # Errors
    /// When the tokens do not fit the vocabulary or the context.
    pub fn token_logprobs(&self, tokens: &[u32]) -> Result<Vec<f32>, RequestError> {
        self.submit_token_logprobs(tokens)?.wait()
    }

    /// Starts the computation of [`token_logprobs`](Self::token_logprobs), for callers that have to check for signals while
    /// they wait.
    ///
    /// # Errors
    /// When the tokens do not fit the vocabulary or the context.
    pub fn submit_token_logprobs(&self, tokens: &[u32]) -> Result<Scoring<Vec<f32>>, RequestError> {
        self.check_scored(tokens)?;
        let permit = self.shared.admission.acquire()?;
        let (reply, result) = channel();
        let scoring = Scoring::new(result, permit);
        self.send(Command::Logprobs {
            tokens: tokens.into(),
            cancel: scoring.cancel_token(),
            reply,
        })?;
        Ok(scoring)
    }

    /// Moves the weights to huge pages, from which decoding reads them faster, and waits until that is done. Without this
    /// call it happens after some steps: doing it at load time would delay the first completion. For servers and benchmarks.
    /// Returns at once if it was started before.
    ///
    /// # Errors
    /// When the engine has stopped.
    pub fn promote_huge_pages(&self) -> Result<(), RequestError> {
        let (done, promoted) = channel();
        self.send(Command::PromoteHugePages { done })?;
        promoted.recv().map_err(|_| RequestError::Stopped)
    }

    /// Computes on `threads` threads from the next step on. Completions do not depend on the number of threads.
    /// [`EngineStats::threads`] shows the current number; it is less if the system cannot create so many.
    ///
    /// # Errors
    /// When `threads` is 0 or the engine has stopped.
    pub fn set_threads(&self, threads: usize) -> Result<(), RequestError> {
        if threads == 0 {
            return Err(RequestError::Invalid("threads must be at least 1".into()));
        }
        self.send(Command::SetThreads(threads))
    }

    /// Rejects new requests with [`RequestError::Draining`] from now on. Running and waiting requests continue.
    pub fn drain(&self) {
        self.shared.admission.drain();
    }

    /// Waits until no request is waiting or running, at most for `timeout`. Returns whether that is the case.
    pub fn wait_until_idle(&self, timeout: Duration) -> bool {
        self.shared.admission.wait_until_idle(timeout)
    }

    /// Ends every request with [`GenerationError::Cancelled`](crate::GenerationError::Cancelled) within one step.
    pub fn cancel_all(&self) {
        // An engine that has stopped has nothing left to cancel.
        let _ = self.send(Command::CancelAll);
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
