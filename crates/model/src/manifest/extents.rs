//! Which bytes of a model's files each of its parts needs.

use std::collections::BTreeSet;
use std::fs::File;
use std::io::Read;

use computepool_core::{Extent, LayerRange};

use super::files::Part;
use crate::error::ModelError;
use crate::weights::{ModelFile, TensorName};

/// Ranges with less between them are told as one: the padding between tensors.
const GAP: u64 = 64;

/// The parts of a model, as a manifest has them.
pub(super) struct Extents {
    pub(super) common: Vec<Extent>,
    pub(super) entry: Vec<Extent>,
    pub(super) exit: Vec<Extent>,
    pub(super) layers: Vec<Vec<Extent>>,
}

pub(super) fn of(model: &ModelFile, parts: &[Part]) -> Result<Extents, ModelError> {
    let layer_count = model.config().layer_count;
    // What a shard of one layer reads says what belongs to the layer, to the ends and to all. A model of one layer has
    // no shard that is not both ends, so the ends are asked for by name.
    let places = |names: BTreeSet<TensorName>| -> Result<Vec<Extent>, ModelError> {
        let mut extents = Vec::new();
        for name in names {
            if let Some((weights, range)) = model.place(name) {
                let file = parts.iter().position(|part| part.weights == Some(weights));
                let file = file.ok_or_else(|| ModelError::MissingTensor { tensor: name.to_string() })? as u32;
                extents.push(Extent { file, start: range.start, end: range.end });
            }
        }
        Ok(merged(extents))
    };
    let mut layers = Vec::with_capacity(layer_count as usize);
    for layer in 0..layer_count {
        let names = shard(model, layer)?;
        layers.push(places(names.into_iter().filter(|name| matches!(name, TensorName::Layer(..))).collect())?);
    }
    let head = if model.config().tied { TensorName::TokenEmbedding } else { TensorName::Output };
    let mut common = places(BTreeSet::from([TensorName::RopeFactors]))?;
    for (file, part) in parts.iter().enumerate() {
        let end = match part.weights {
            Some(weights) => header_bytes(model, part, weights)?,
            None => part.bytes,
        };
        common.push(Extent { file: file as u32, start: 0, end });
    }
    Ok(Extents {
        common: merged(common),
        entry: places(BTreeSet::from([TensorName::TokenEmbedding]))?,
        exit: places(BTreeSet::from([TensorName::OutputNorm, head]))?,
        layers,
    })
}

fn shard(model: &ModelFile, layer: u32) -> Result<Vec<TensorName>, ModelError> {
    let layer_count = model.config().layer_count;
    let range = LayerRange::new(layer, layer + 1).map_err(|_| ModelError::NoSuchLayer { layer, layer_count })?;
    Ok(model.shard_tensors(range))
}

/// Bytes of a weight file that stand before its tensors.
fn header_bytes(model: &ModelFile, part: &Part, weights: usize) -> Result<u64, ModelError> {
    if let Some(metadata) = model.gguf() {
        let first = metadata.tensors().iter().map(|tensor| tensor.range.start).min();
        return Ok(first.unwrap_or(part.bytes));
    }
    // The safetensors layout: eight bytes with the length of the JSON that follows.
    let failed = |source| ModelError::Io { path: part.path.clone(), source };
    let mut length = [0; 8];
    File::open(&part.path).and_then(|mut file| file.read_exact(&mut length)).map_err(failed)?;
    let end = u64::from_le_bytes(length).saturating_add(8);
    if end > part.bytes {
        let reason = format!("weight file {weights} announces a header of {end} bytes and has {}", part.bytes);
        return Err(ModelError::Safetensors { reason });
    }
    Ok(end)
}

/// The same bytes in fewer pieces, in order.
fn merged(mut extents: Vec<Extent>) -> Vec<Extent> {
    extents.sort_by_key(|extent| (extent.file, extent.start, extent.end));
    let mut merged: Vec<Extent> = Vec::new();
    for extent in extents {
        match merged.last_mut() {
            Some(last) if last.file == extent.file && extent.start <= last.end.saturating_add(GAP) => {
                last.end = last.end.max(extent.end);
            }
            _ => merged.push(extent),
        }
    }
    merged
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn neighbours_are_told_as_one() {
        let extent = |file, start, end| Extent { file, start, end };
        let pieces =
            vec![extent(1, 0, 5), extent(0, 100, 200), extent(0, 0, 40), extent(0, 300, 400), extent(0, 20, 60)];
        let expected = [extent(0, 0, 200), extent(0, 300, 400), extent(1, 0, 5)];
        assert_eq!(merged(pieces), expected);
    }
}
