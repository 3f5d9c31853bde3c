//! Candle as a device: CUDA, and candle's own CPU path, on which the same tests run where there is no GPU.
//!
//! Activations are 32-bit floats, so hidden states lose nothing between shards. Stock kernels choose their own order of
//! summation, so results here agree with [`crate::cpu`] within a tolerance and not to the bit.

use candle_core::quantized::{GgmlDType, QMatMul, QStorage, QTensor};
use candle_core::{D, DType, Device, Module, Tensor as CandleTensor};
use computepool_core::{Fault, FaultCode};
use computepool_model::config::FfnActivation;
use computepool_model::tensor::{Tensor, TensorType};

use crate::backend::{Attention, Backend, Segment};
use crate::child::DeviceReport;
use crate::kernels::rows::RopeTable;
use crate::pipe::DeviceChoice;

/// Devices beyond this many are not looked for.
const MAX_DEVICES: usize = 16;

/// A device that candle drives.
pub(crate) struct Accelerator {
    device: Device,
    name: String,
    kernels: String,
}

/// Keys and values of one sequence, `kv_heads × tokens × head_dim` for each layer. All of it is taken when the sequence
/// is opened: a GPU that has no room says so then, and not in the middle of somebody's answer.
pub(crate) struct AcceleratorKv {
    layers: Vec<(CandleTensor, CandleTensor)>,
}

fn fault(error: candle_core::Error) -> Fault {
    let text = error.to_string();
    let line = text.lines().next().unwrap_or("candle failed").to_owned();
    if text.contains("OUT_OF_MEMORY") || text.contains("out of memory") {
        return Fault::new(FaultCode::NoCapacity, format!("the GPU has no memory left: {line}"))
            .hint("give this shard fewer layers or a smaller KV budget, or close other programs that use the GPU");
    }
    Fault::new(FaultCode::EngineLost, format!("the GPU failed: {line}"))
}

fn stored_as(kind: TensorType) -> GgmlDType {
    match kind {
        TensorType::F32 => GgmlDType::F32,
        TensorType::F16 => GgmlDType::F16,
        TensorType::Bf16 => GgmlDType::BF16,
        TensorType::Q4_0 => GgmlDType::Q4_0,
        TensorType::Q4_1 => GgmlDType::Q4_1,
        TensorType::Q5_0 => GgmlDType::Q5_0,
        TensorType::Q5_1 => GgmlDType::Q5_1,
        TensorType::Q8_0 => GgmlDType::Q8_0,
        TensorType::Q8_1 => GgmlDType::Q8_1,
        TensorType::Q2K => GgmlDType::Q2K,
        TensorType::Q3K => GgmlDType::Q3K,
        TensorType::Q4K => GgmlDType::Q4K,
        TensorType::Q5K => GgmlDType::Q5K,
        TensorType::Q6K => GgmlDType::Q6K,
        TensorType::Q8K => GgmlDType::Q8K,
    }
}

impl Accelerator {
    /// CUDA device number `ordinal`; fails with candle's reason when there is none, or when this build has no CUDA.
    pub(crate) fn cuda(ordinal: usize) -> Result<Self, Fault> {
        let device = Device::new_cuda(ordinal).map_err(|error| {
            Fault::new(FaultCode::NoCapacity, format!("CUDA device {ordinal} cannot be used: {error}"))
                .hint("check that the NVIDIA driver is installed and that the card is listed by nvidia-smi")
        })?;
        Ok(Self { device, name: format!("CUDA device {ordinal}"), kernels: "candle-cuda".to_owned() })
    }

    /// The CUDA devices that can be opened here; none in a build without CUDA.
    pub(crate) fn devices() -> Vec<DeviceReport> {
        (0..MAX_DEVICES)
            .map_while(|ordinal| Some((ordinal, Self::cuda(ordinal).ok()?)))
            .map(|(ordinal, device)| DeviceReport {
                device: DeviceChoice::Cuda(ordinal as u32),
                memory_bytes: device.free_memory(),
                name: device.name,
            })
            .collect()
    }

    /// Bytes of the device's own memory that nobody uses now, where it tells.
    #[cfg(feature = "cuda")]
    fn free_memory(&self) -> Option<u64> {
        let Device::Cuda(device) = &self.device else { return None };
        device.cuda_stream().context().mem_get_info().ok().map(|(free, _)| free as u64)
    }

    #[cfg(not(feature = "cuda"))]
    fn free_memory(&self) -> Option<u64> {
        None
    }

    /// Candle on the processor: the same code as on a GPU, where there is none.
    #[cfg(test)]
    pub(crate) fn processor() -> Self {
        Self { device: Device::Cpu, name: "CPU (candle)".to_owned(), kernels: "candle".to_owned() }
    }

    fn host(&self, values: Vec<f32>, shape: &[usize]) -> Result<CandleTensor, Fault> {
        CandleTensor::from_vec(values, shape, &self.device).map_err(fault)
    }
}

impl AcceleratorKv {
    /// Appends keys and values (`kv_heads × rows × head_dim`) and returns all of them up to the last row.
    fn store(
        &mut self,
        layer: usize,
        position: usize,
        keys: &CandleTensor,
        values: &CandleTensor,
    ) -> candle_core::Result<(CandleTensor, CandleTensor)> {
        let length = position + keys.dim(1)?;
        let (all_keys, all_values) = &self.layers[layer];
        all_keys.slice_set(&keys.contiguous()?, 1, position)?;
        all_values.slice_set(&values.contiguous()?, 1, position)?;
        Ok((all_keys.narrow(1, 0, length)?, all_values.narrow(1, 0, length)?))
    }
}

impl Accelerator {
    fn attend_segment(
        &self,
        layer: usize,
        attention: Attention,
        [q, k, v]: [&CandleTensor; 3],
        segment: &mut Segment<'_, AcceleratorKv>,
    ) -> candle_core::Result<CandleTensor> {
        let Attention { heads, kv_heads, head_dim, scale, window } = attention;
        let (rows, position) = (segment.rows, segment.position as usize);
        let by_head = |x: &CandleTensor, heads: usize| {
            x.narrow(0, segment.start, rows)?.reshape((rows, heads, head_dim))?.transpose(0, 1)?.contiguous()
        };
        let query = by_head(q, heads)?;
        let (keys, values) = segment.kv.store(layer, position, &by_head(k, kv_heads)?, &by_head(v, kv_heads)?)?;
        let length = position + rows;
        // Query heads of one group share their keys: lay a group's queries out as more rows of the same head.
        let group = heads / kv_heads;
        let query = query.reshape((kv_heads, group * rows, head_dim))?;
        let scores = (query.matmul(&keys.transpose(1, 2)?.contiguous()?)? * f64::from(scale))?;
        let scores = scores.reshape((kv_heads, group, rows, length))?;
        let hidden = |row: usize, key: usize| {
            let own = position + row;
            key > own || window.is_some_and(|n| key + n <= own)
        };
        let scores = if (0..rows).any(|row| (0..length).any(|key| hidden(row, key))) {
            let mask = (0..rows)
                .flat_map(|row| (0..length).map(move |key| if hidden(row, key) { f32::NEG_INFINITY } else { 0.0 }))
                .collect::<Vec<f32>>();
            scores.broadcast_add(&CandleTensor::from_vec(mask, (rows, length), &self.device)?)?
        } else {
            scores
        };
        let top = scores.max_keepdim(D::Minus1)?;
        let weights = scores.broadcast_sub(&top)?.exp()?;
        let weights = weights.broadcast_div(&weights.sum_keepdim(D::Minus1)?)?;
        let weights = weights.reshape((kv_heads, group * rows, length))?;
        let mixed = weights.matmul(&values.contiguous()?)?;
        mixed.reshape((heads, rows, head_dim))?.transpose(0, 1)?.contiguous()?.reshape((rows, heads * head_dim))
    }

    fn rotated(
        &self,
        rows: CandleTensor,
        table: &RopeTable,
        head_dim: usize,
        positions: &[u32],
    ) -> candle_core::Result<CandleTensor> {
        let (count, width) = rows.dims2()?;
        let pairs = table.inverse_frequencies.len();
        let (cos, sin): (Vec<f32>, Vec<f32>) = positions.iter().flat_map(|p| table.angles(*p)).unzip();
        let angle = |values| CandleTensor::from_vec(values, (count, 1, pairs), &self.device);
        let (cos, sin) = (angle(cos)?, angle(sin)?);
        let heads = rows.reshape((count, width / head_dim, head_dim))?;
        let turning = heads.narrow(2, 0, 2 * pairs)?;
        let (x, y) = if table.interleaved {
            let split = turning.contiguous()?.reshape((count, width / head_dim, pairs, 2))?;
            (split.narrow(3, 0, 1)?.squeeze(3)?, split.narrow(3, 1, 1)?.squeeze(3)?)
        } else {
            (turning.narrow(2, 0, pairs)?, turning.narrow(2, pairs, pairs)?)
        };
        let a = (x.broadcast_mul(&cos)? - y.broadcast_mul(&sin)?)?;
        let b = (x.broadcast_mul(&sin)? + y.broadcast_mul(&cos)?)?;
        let turned = if table.interleaved {
            CandleTensor::stack(&[a, b], 3)?.reshape((count, width / head_dim, 2 * pairs))?
        } else {
            CandleTensor::cat(&[a, b], 2)?
        };
        let whole = if 2 * pairs < head_dim {
            CandleTensor::cat(&[turned, heads.narrow(2, 2 * pairs, head_dim - 2 * pairs)?], 2)?
        } else {
            turned
        };
        whole.reshape((count, width))
    }
}

impl Backend for Accelerator {
    type Rows = CandleTensor;
    type Matrix = QMatMul;
    type Vector = CandleTensor;
    type Kv = AcceleratorKv;

    fn names(&self) -> (String, String) {
        (self.name.clone(), self.kernels.clone())
    }

    fn matrix(&self, tensor: Tensor) -> Result<QMatMul, Fault> {
        let storage = QStorage::from_data(tensor.bytes().into(), &self.device, stored_as(tensor.kind()));
        let weights = storage.and_then(|storage| QTensor::new(storage, tensor.shape())).map_err(fault)?;
        QMatMul::from_qtensor(weights).map_err(fault)
    }

    fn vector(&self, tensor: Tensor, offset: f32) -> Result<CandleTensor, Fault> {
        let values: Vec<f32> = tensor.to_f32()?.into_iter().map(|x| x + offset).collect();
        let length = values.len();
        self.host(values, &[length])
    }

    fn kv(&self, layers: usize, tokens: usize, attention: Attention) -> Result<AcceleratorKv, Fault> {
        let shape = (attention.kv_heads, tokens, attention.head_dim);
        let zeros = || CandleTensor::zeros(shape, DType::F32, &self.device);
        let layers: candle_core::Result<Vec<_>> = (0..layers).map(|_| Ok((zeros()?, zeros()?))).collect();
        Ok(AcceleratorKv { layers: layers.map_err(fault)? })
    }

    fn retain(&self, kv: AcceleratorKv, positions: usize, tokens: usize) -> Result<AcceleratorKv, Fault> {
        let moved = |old: CandleTensor| -> candle_core::Result<CandleTensor> {
            let (heads, room, width) = old.dims3()?;
            if room == tokens {
                return Ok(old);
            }
            let new = CandleTensor::zeros((heads, tokens, width), DType::F32, &self.device)?;
            if positions > 0 {
                new.slice_set(&old.narrow(1, 0, positions)?.contiguous()?, 1, 0)?;
            }
            Ok(new)
        };
        // One layer after the other, so that the device need not hold all of it twice.
        let layers: candle_core::Result<Vec<_>> =
            kv.layers.into_iter().map(|(keys, values)| Ok((moved(keys)?, moved(values)?))).collect();
        Ok(AcceleratorKv { layers: layers.map_err(fault)? })
    }

    fn embed(&self, table: &QMatMul, ids: &[u32], scale: f32) -> Result<CandleTensor, Fault> {
        let rows = CandleTensor::new(ids, &self.device).and_then(|ids| table.embedding(&ids)).map_err(fault)?;
        if scale == 1.0 { Ok(rows) } else { (rows * f64::from(scale)).map_err(fault) }
    }

    fn upload(&self, values: Vec<f32>, width: usize) -> Result<CandleTensor, Fault> {
        let rows = values.len() / width;
        self.host(values, &[rows, width])
    }

    fn download(&self, rows: CandleTensor) -> Result<Vec<f32>, Fault> {
        rows.flatten_all().and_then(|rows| rows.to_vec1()).map_err(fault)
    }

    fn select(&self, rows: &CandleTensor, indices: &[usize]) -> Result<CandleTensor, Fault> {
        let indices: Vec<u32> = indices.iter().map(|&i| i as u32).collect();
        CandleTensor::new(indices, &self.device).and_then(|ids| rows.index_select(&ids, 0)).map_err(fault)
    }

    fn norm(&self, rows: &CandleTensor, weight: &CandleTensor, epsilon: f32) -> Result<CandleTensor, Fault> {
        let norm = || {
            let shape = rows.shape().clone();
            let rows = rows.reshape(((), weight.elem_count()))?;
            let mean = rows.sqr()?.mean_keepdim(D::Minus1)?;
            let scaled = rows.broadcast_div(&(mean + f64::from(epsilon))?.sqrt()?)?;
            scaled.broadcast_mul(weight)?.reshape(shape)
        };
        norm().map_err(fault)
    }

    fn project<const N: usize>(
        &self,
        rows: &CandleTensor,
        matrices: [&QMatMul; N],
    ) -> Result<[CandleTensor; N], Fault> {
        let results: Result<Vec<_>, _> = matrices.iter().map(|matrix| matrix.forward(rows)).collect();
        let results = results.map_err(fault)?;
        results.try_into().map_err(|_| Fault::new(FaultCode::Internal, "a projection was lost"))
    }

    fn bias(&self, rows: CandleTensor, bias: &CandleTensor) -> Result<CandleTensor, Fault> {
        rows.broadcast_add(bias).map_err(fault)
    }

    fn rotate(
        &self,
        rows: CandleTensor,
        table: &RopeTable,
        head_dim: usize,
        positions: &[u32],
    ) -> Result<CandleTensor, Fault> {
        self.rotated(rows, table, head_dim, positions).map_err(fault)
    }

    fn attend(
        &self,
        layer: usize,
        attention: Attention,
        [q, k, v]: [CandleTensor; 3],
        segments: &mut [Segment<'_, AcceleratorKv>],
    ) -> Result<CandleTensor, Fault> {
        let parts: candle_core::Result<Vec<_>> =
            segments.iter_mut().map(|segment| self.attend_segment(layer, attention, [&q, &k, &v], segment)).collect();
        parts.and_then(|parts| CandleTensor::cat(&parts, 0)).map_err(fault)
    }

    fn gate(&self, gate: CandleTensor, up: &CandleTensor, activation: FfnActivation) -> Result<CandleTensor, Fault> {
        let activated = match activation {
            FfnActivation::Silu => gate.silu(),
            FfnActivation::GeluTanh => gate.gelu(),
        };
        activated.and_then(|activated| activated.mul(up)).map_err(fault)
    }

    fn add(&self, a: CandleTensor, b: &CandleTensor) -> Result<CandleTensor, Fault> {
        a.add(b).map_err(fault)
    }
}
