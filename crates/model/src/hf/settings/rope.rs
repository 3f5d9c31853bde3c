//! Rotary position embedding in `config.json`: `rope_theta` and `rope_scaling`, or `rope_parameters` in folders saved
//! by transformers 5.

use super::fields::Fields;
use super::unsupported;
use crate::config::{Rope, RopeScaling, RopeStyle, bad};
use crate::error::{ModelError, shown};

/// How many leading values of a head are rotated.
pub(super) fn rotated(fields: Fields<'_>, head_dim: usize) -> Result<usize, ModelError> {
    const KEY: &str = "partial_rotary_factor";
    let part = match (fields.f32(KEY)?, fields.object("rope_parameters")?) {
        (None, Some(parameters)) => parameters.f32(KEY)?,
        (part, _) => part,
    };
    match part {
        None => Ok(head_dim),
        Some(part) if part > 0.0 && part <= 1.0 => Ok((head_dim as f32 * part) as usize),
        Some(part) => Err(bad(KEY, format!("{part} is not in 0..=1"))),
    }
}

/// The one embedding of most families.
pub(super) fn read(fields: Fields<'_>, default_base: f32, context: u32) -> Result<Rope, ModelError> {
    let parameters = match fields.object("rope_parameters")? {
        Some(parameters) => Some(parameters),
        None => fields.object("rope_scaling")?,
    };
    from(fields, parameters, default_base, context)
}

/// Gemma 3's two: of the global layers and of the sliding ones.
pub(super) fn read_gemma3(fields: Fields<'_>, context: u32) -> Result<(Rope, Rope), ModelError> {
    if let Some(both) = fields.object("rope_parameters")?
        && let Some(global) = both.object("full_attention")?
    {
        let missing = || ModelError::MissingSetting { key: "rope_parameters.sliding_attention".into() };
        let local = both.object("sliding_attention")?.ok_or_else(missing)?;
        return Ok((from(fields, Some(global), 1e6, context)?, from(fields, Some(local), 10_000.0, context)?));
    }
    let base = fields.f32("rope_local_base_freq")?.unwrap_or(10_000.0);
    let local = Rope { base, style: RopeStyle::HalfRotated, scaling: RopeScaling::None };
    Ok((read(fields, 1e6, context)?, local))
}

fn from(
    fields: Fields<'_>,
    parameters: Option<Fields<'_>>,
    default_base: f32,
    context: u32,
) -> Result<Rope, ModelError> {
    let own = parameters.map(|parameters| parameters.f32("rope_theta")).transpose()?.flatten();
    let base = match own {
        Some(base) => base,
        None => fields.f32("rope_theta")?.unwrap_or(default_base),
    };
    let scaling = match parameters {
        Some(parameters) => scaling(fields, parameters, context)?,
        None => RopeScaling::None,
    };
    Ok(Rope { base, style: RopeStyle::HalfRotated, scaling })
}

fn scaling(fields: Fields<'_>, parameters: Fields<'_>, context: u32) -> Result<RopeScaling, ModelError> {
    let kind = match parameters.str("rope_type")? {
        Some(kind) => kind,
        None => parameters.str("type")?.unwrap_or("default"),
    };
    const ORIGINAL: &str = "original_max_position_embeddings";
    let original = match parameters.u32(ORIGINAL)? {
        Some(original) => Some(original),
        None => fields.u32(ORIGINAL)?,
    };
    match kind {
        "default" => Ok(RopeScaling::None),
        "linear" => Ok(RopeScaling::Linear { factor: parameters.require_f32("factor")? }),
        "llama3" => Ok(RopeScaling::Llama3 {
            factor: parameters.require_f32("factor")?,
            low_frequency: parameters.require_f32("low_freq_factor")?,
            high_frequency: parameters.require_f32("high_freq_factor")?,
            original_context: original.ok_or_else(|| ModelError::MissingSetting { key: ORIGINAL.into() })?,
        }),
        "yarn" => yarn(parameters, original.unwrap_or(context)),
        other => Err(unsupported(format!("rope scaling `{}`", shown(other)))),
    }
}

/// As `_compute_yarn_parameters` of transformers' `modeling_rope_utils.py`.
fn yarn(parameters: Fields<'_>, original_context: u32) -> Result<RopeScaling, ModelError> {
    if parameters.bool("truncate")? == Some(false) {
        return Err(unsupported("YaRN without truncation"));
    }
    let factor = parameters.require_f32("factor")?;
    let scaled = |part: f32| if factor <= 1.0 { 1.0 } else { 0.1 * part * factor.ln() + 1.0 };
    let attention_factor = match parameters.f32("attention_factor")? {
        Some(attention_factor) => attention_factor,
        None => match (parameters.f32("mscale")?, parameters.f32("mscale_all_dim")?) {
            (Some(one), Some(all)) if one != 0.0 && all != 0.0 => scaled(one) / scaled(all),
            _ => RopeScaling::yarn_magnitude(factor),
        },
    };
    Ok(RopeScaling::Yarn {
        factor,
        original_context,
        attention_factor,
        beta_fast: parameters.f32("beta_fast")?.unwrap_or(32.0),
        beta_slow: parameters.f32("beta_slow")?.unwrap_or(1.0),
    })
}
