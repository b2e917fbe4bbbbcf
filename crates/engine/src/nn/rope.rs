//! Rotary position embeddings and the scaling methods that extend them beyond the trained length.
//!
//! The formulas are those of mlx-lm. `longrope` always uses the long factors, unlike in transformers. `dynamic` uses the planned
//! context length instead of the current length: cached keys are already rotated, so the base must not change.

use std::f64::consts::PI;

use mlxm_kernels::Rope;
use serde::Deserialize;
use serde_json::{Map, Value};

use crate::checkpoint::Scope;
use crate::error::LoadError;

/// The `rope_scaling` object of a `config.json`.
pub type RopeScaling = Map<String, Value>;

/// The keys of a rotary embedding in the configurations of most models like Llama. `THETA` is the default of `rope_theta`.
#[derive(Debug, Clone, Deserialize)]
pub struct RopeKeys<const THETA: u32 = 10_000> {
    /// The base of the frequencies.
    #[serde(default = "theta::<THETA>")]
    pub rope_theta: f64,
    /// Rotate adjacent pairs instead of the two halves.
    #[serde(default)]
    pub rope_traditional: bool,
    /// Scaling beyond the trained length.
    pub rope_scaling: Option<RopeScaling>,
}

fn theta<const THETA: u32>() -> f64 {
    f64::from(THETA)
}

impl<const THETA: u32> RopeKeys<THETA> {
    /// RoPE without scaling.
    pub fn new(rope_theta: f64) -> Self {
        Self {
            rope_theta,
            rope_traditional: false,
            rope_scaling: None,
        }
    }

    /// The same, in the type with the usual default.
    pub fn resolved(self) -> RopeKeys {
        RopeKeys {
            rope_theta: self.rope_theta,
            rope_traditional: self.rope_traditional,
            rope_scaling: self.rope_scaling,
        }
    }

    /// Rotates adjacent pairs instead of the two halves.
    #[must_use]
    pub fn on_adjacent_pairs(self) -> Self {
        Self {
            rope_traditional: true,
            ..self
        }
    }

    /// Rotates the leading `dims` elements of each head.
    pub fn config(
        &self,
        dims: usize,
        max_position_embeddings: impl Into<Option<usize>>,
    ) -> RopeConfig<'_> {
        RopeConfig::new(dims, self.rope_theta)
            .traditional(self.rope_traditional)
            .scaled(self.rope_scaling.as_ref(), max_position_embeddings)
    }
}

/// The configuration of a rotary embedding.
#[derive(Debug, Clone)]
pub struct RopeConfig<'a> {
    /// Number of leading elements of each head that are rotated; must be even.
    pub dims: usize,
    /// `rope_theta`, the base of the frequencies.
    pub theta: f64,
    /// Rotate adjacent pairs instead of the two halves.
    pub traditional: bool,
    /// Scaling beyond the trained length.
    pub scaling: Option<&'a RopeScaling>,
    /// Context length that the model was trained for.
    pub max_position_embeddings: Option<usize>,
}

impl<'a> RopeConfig<'a> {
    /// RoPE without scaling.
    pub fn new(dims: usize, theta: f64) -> Self {
        Self {
            dims,
            theta,
            traditional: false,
            scaling: None,
            max_position_embeddings: None,
        }
    }

    /// Rotates adjacent pairs instead of the two halves, if `traditional` is set.
    #[must_use]
    pub fn traditional(self, traditional: bool) -> Self {
        Self {
            traditional,
            ..self
        }
    }

    /// Extends it beyond the trained length as `scaling` says.
    #[must_use]
    pub fn scaled(
        self,
        scaling: Option<&'a RopeScaling>,
        max_position_embeddings: impl Into<Option<usize>>,
    ) -> Self {
        Self {
            scaling,
            max_position_embeddings: max_position_embeddings.into(),
            ..self
        }
    }

    /// The rotary embedding, for sequences up to the planned context length.
    ///
    /// # Errors
    /// When the configuration is invalid.
    pub fn build(&self, weights: &Scope<'_>) -> Result<Rope, LoadError> {
        rope(self, weights.context_length()).map_err(|problem| weights.config_error(problem))
    }
}

fn rope(config: &RopeConfig<'_>, context_length: usize) -> Result<Rope, String> {
    if config.dims == 0 || !config.dims.is_multiple_of(2) {
        return Err(format!(
            "`head_dim` (times `partial_rotary_factor`, if there is one) must be positive and even, because so many \
             elements of a head are rotated, not {}",
            config.dims
        ));
    }
    let plain = |scale: f32| Rope {
        dims: config.dims,
        traditional: config.traditional,
        inverse_frequencies: inverse_frequencies(config.dims, config.theta)
            .iter()
            .map(|f| f * scale)
            .collect(),
        attention_factor: 1.0,
        before_norms: false,
        query_scaling: None,
    };
    let Some(scaling) = config.scaling else {
        return Ok(plain(1.0));
    };
    let scaling = Scaling(scaling);
    match scaling.kind()? {
        "default" | "mrope" => Ok(plain(1.0)),
        "linear" => Ok(plain((1.0 / scaling.factor()?) as f32)),
        "dynamic" => dynamic(config, &scaling, context_length),
        "llama3" => llama3(config, &scaling),
        "yarn" | "deepseek_yarn" | "telechat3-yarn" => yarn(config, &scaling),
        "longrope" | "su" => longrope(config, &scaling),
        other => Err(format!(
            "rope_scaling type `{other}` is not supported; supported: default, linear, dynamic, llama3, yarn, longrope"
        )),
    }
}

/// `base^(−2i/dims)`, computed as MLX does, in f32 and through the exponential.
fn inverse_frequencies(dims: usize, base: f64) -> Vec<f32> {
    let half = dims / 2;
    let step = (base.ln() / half as f64) as f32;
    (0..half).map(|i| (-(i as f32) * step).exp()).collect()
}

/// `base^(2i/dims)`: the wavelengths divided by 2π.
fn frequencies(dims: usize, base: f64) -> Vec<f32> {
    (0..dims / 2)
        .map(|i| (base as f32).powf((2 * i) as f32 / dims as f32))
        .collect()
}

fn from_frequencies(
    config: &RopeConfig<'_>,
    frequencies: impl Iterator<Item = f32>,
    attention_factor: f64,
) -> Rope {
    Rope {
        dims: config.dims,
        traditional: config.traditional,
        inverse_frequencies: frequencies.map(f32::recip).collect(),
        attention_factor: attention_factor as f32,
        before_norms: false,
        query_scaling: None,
    }
}

/// Increases the base if the context length exceeds the trained length (dynamic NTK).
fn dynamic(
    config: &RopeConfig<'_>,
    scaling: &Scaling<'_>,
    context_length: usize,
) -> Result<Rope, String> {
    let factor = scaling.factor()?;
    let trained = config
        .max_position_embeddings
        .ok_or("rope_scaling `dynamic` needs max_position_embeddings")? as f64;
    let length = (context_length as f64).max(trained);
    let dims = config.dims as f64;
    let base =
        config.theta * (factor * length / trained - (factor - 1.0)).powf(dims / (dims - 2.0));
    Ok(Rope {
        dims: config.dims,
        traditional: config.traditional,
        inverse_frequencies: inverse_frequencies(config.dims, base),
        attention_factor: 1.0,
        before_norms: false,
        query_scaling: None,
    })
}

/// Divides low frequencies by `factor`, keeps high ones and interpolates between (Llama 3.1).
fn llama3(config: &RopeConfig<'_>, scaling: &Scaling<'_>) -> Result<Rope, String> {
    let factor = scaling.factor()? as f32;
    let low = scaling.number_or("low_freq_factor", 1.0)? as f32;
    let high = scaling.number_or("high_freq_factor", 4.0)? as f32;
    let trained = scaling.number_or("original_max_position_embeddings", 8192.0)? as f32;
    let scaled = frequencies(config.dims, config.theta)
        .into_iter()
        .map(move |frequency| {
            let wavelength = 2.0 * PI as f32 * frequency;
            if wavelength > trained / low {
                frequency * factor
            } else if wavelength > trained / high && wavelength < trained / low {
                let smooth = (trained / wavelength - low) / (high - low);
                frequency / ((1.0 - smooth) / factor + smooth)
            } else {
                frequency
            }
        });
    Ok(from_frequencies(config, scaled, 1.0))
}

/// YaRN (<https://arxiv.org/abs/2309.00071>): interpolates low frequencies, keeps high ones, with a linear ramp between.
fn yarn(config: &RopeConfig<'_>, scaling: &Scaling<'_>) -> Result<Rope, String> {
    let factor = scaling.factor()?;
    let trained = scaling.number_or("original_max_position_embeddings", 4096.0)?;
    let dims = config.dims as f64;
    let dimension_of =
        |rotations: f64| dims * (trained / (rotations * 2.0 * PI)).ln() / (2.0 * config.theta.ln());
    let low = dimension_of(scaling.number_or("beta_fast", 32.0)?)
        .floor()
        .max(0.0) as f32;
    let mut high = dimension_of(scaling.number_or("beta_slow", 1.0)?)
        .ceil()
        .min(dims - 1.0) as f32;
    if low == high {
        high += 0.001;
    }
    let attention_factor_of = |mscale: f64| {
        if factor <= 1.0 {
            1.0
        } else {
            0.1 * mscale * factor.ln() + 1.0
        }
    };
    let attention_factor = attention_factor_of(scaling.number_or("mscale", 1.0)?)
        / attention_factor_of(scaling.number_or("mscale_all_dim", 0.0)?);
    let factor = factor as f32;
    let ramped = frequencies(config.dims, config.theta)
        .into_iter()
        .enumerate()
        .map(move |(i, fast)| {
            let slow = factor * fast;
            let keep = 1.0 - ((i as f32 - low) / (high - low)).clamp(0.0, 1.0);
            (slow * fast) / (slow * keep + fast * (1.0 - keep))
        });
    Ok(from_frequencies(config, ramped, attention_factor))
}

/// LongRoPE (<https://arxiv.org/abs/2402.13753>): a factor per frequency, and an attention factor that depends on the
/// extension.
fn longrope(config: &RopeConfig<'_>, scaling: &Scaling<'_>) -> Result<Rope, String> {
    let trained = scaling.number_or("original_max_position_embeddings", 4096.0)?;
    let factors = scaling.list("long_factor", config.dims / 2)?;
    let longest = config.max_position_embeddings.unwrap_or(131_072) as f64;
    let extension = longest / trained;
    let attention_factor = if extension <= 1.0 {
        1.0
    } else {
        (1.0 + extension.ln() / trained.ln()).sqrt()
    };
    let scaled = frequencies(config.dims, config.theta)
        .into_iter()
        .zip(factors)
        .map(|(frequency, factor)| frequency * factor);
    Ok(from_frequencies(config, scaled, attention_factor))
}

/// Typed access to a `rope_scaling` object.
struct Scaling<'a>(&'a Map<String, Value>);

impl Scaling<'_> {
    fn kind(&self) -> Result<&str, String> {
        match self
            .0
            .get("type")
            .filter(|kind| !kind.is_null())
            .or_else(|| self.0.get("rope_type"))
        {
            None => Ok("default"),
            Some(Value::String(kind)) => Ok(kind),
            Some(other) => Err(format!("rope_scaling `type` must be a string, not {other}")),
        }
    }

    fn factor(&self) -> Result<f64, String> {
        let factor = self
            .number("factor")?
            .ok_or("rope_scaling needs `factor`")?;
        if factor > 0.0 {
            Ok(factor)
        } else {
            Err(format!(
                "rope_scaling `factor` must be positive, not {factor}"
            ))
        }
    }

    fn number(&self, key: &str) -> Result<Option<f64>, String> {
        match self.0.get(key) {
            None | Some(Value::Null) => Ok(None),
            Some(value) => value
                .as_f64()
                .map(Some)
                .ok_or_else(|| format!("rope_scaling `{key}` must be a number, not {value}")),
        }
    }

    fn number_or(&self, key: &str, default: f64) -> Result<f64, String> {
        Ok(self.number(key)?.unwrap_or(default))
    }

    /// One number per frequency; a single number applies to all of them.
    fn list(&self, key: &str, len: usize) -> Result<Vec<f32>, String> {
        let bad = || format!("rope_scaling `{key}` must be a number or a list of {len} numbers");
        let number = |value: &Value| value.as_f64().map(|number| number as f32);
        let values = match self.0.get(key) {
            Some(Value::Array(values)) => values.iter().map(number).collect::<Option<Vec<f32>>>(),
            Some(value) => number(value).map(|one| vec![one; len]),
            None => None,
        };
        values.filter(|values| values.len() == len).ok_or_else(bad)
    }
}
