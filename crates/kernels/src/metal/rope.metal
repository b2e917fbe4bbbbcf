// Norms of queries and keys, rotary embedding, and writes to the KV cache.

struct RopeArgs {
    uint heads;
    uint kv_heads;
    uint key_dim;
    uint value_dim;
    // Leading elements of a head that are rotated; 0 without rotation.
    uint rope_dims;
    // Values of a row of `angles`.
    uint angles_width;
    uint traditional;
    // Whether heads are rotated before they are normalized.
    uint before_norms;
    // Whether a row of `angles` ends with a factor of the queries.
    uint scaled_queries;
    // 0: none, 1: RMS, 2: layer norm.
    uint q_norm;
    uint k_norm;
    // Columns that are normalized together: a head or all heads.
    uint q_norm_width;
    uint k_norm_width;
    // Whether there are weights for all heads, not for each.
    uint q_row_weights;
    uint k_row_weights;
    // Whether there is a weight, a bias.
    uint q_weighted;
    uint q_biased;
    uint k_weighted;
    uint k_biased;
    float q_eps;
    float k_eps;
    uint block_size;
    uint key_tile_bytes;
    uint value_tile_bytes;
    // Bytes before the scales of a tile.
    uint key_scales;
    uint value_scales;
};

// Normalizes an element of a row: (x - mean) * factor * weight + bias.
struct Normalizer {
    uint kind;
    bool weighted;
    bool biased;
    float mean;
    float factor;
    device const float *weight;
    device const float *bias;
};

inline float normalized(thread const Normalizer &norm, float value, uint element) {
    if (norm.kind == 0) {
        return value;
    }
    value = (value - norm.mean) * norm.factor;
    if (norm.weighted) {
        value *= norm.weight[element];
    }
    if (norm.biased) {
        value += norm.bias[element];
    }
    return value;
}

// The rotation of a head.
struct Rotation {
    uint dims;
    uint traditional;
    device const float *cosines;
};

// An element of a head, normalized and then rotated.
inline float rotated(
    thread const Rotation &rotation, thread const Normalizer &norm, device const float *x, uint element) {
    if (element >= rotation.dims) {
        return normalized(norm, x[element], element);
    }
    const uint pairs = rotation.dims / 2;
    const uint pair = rotation.traditional ? element / 2 : element % pairs;
    const uint first = rotation.traditional ? 2 * pair : pair;
    const uint second = rotation.traditional ? first + 1 : pair + pairs;
    const float a = normalized(norm, x[first], first);
    const float b = normalized(norm, x[second], second);
    const float cosine = rotation.cosines[pair], sine = rotation.cosines[pairs + pair];
    return element == first ? fma(a, cosine, -(b * sine)) : fma(a, sine, b * cosine);
}

// The sum over a rotated head of (x - mean)^power, for the norm after the rotation.
inline float rotated_sum(
    thread const Rotation &rotation, device const float *x, uint width, float mean, bool squares, uint lane) {
    const Normalizer none = {0, false, false, 0.0f, 1.0f, x, x};
    float sum = 0.0f;
    for (uint element = lane; element < width; element += 32) {
        const float value = rotated(rotation, none, x, element) - mean;
        sum += squares ? value * value : value;
    }
    return sum;
}

// The sum over the first `width` elements of (x - mean)^power of a thread whose first element is `first`.
inline float strided_sum(device const float *x, uint width, float mean, bool squares, uint first, uint stride) {
    float sum = 0.0f;
    for (uint element = first; element < width; element += stride) {
        float value = x[element] - mean;
        sum += squares ? value * value : value;
    }
    return sum;
}

// Normalizes the queries and keys of a row, rotates them, writes queries to `q_out`, and keys and values to the slot of the
// row. A SIMD group takes one head of queries, keys or values at a time. Grid: (any number, rows). With ROW_NORMS, a
// threadgroup has all heads of a row, because norms are over all heads.
template <typename KV, uint ROW_NORMS>
[[kernel, max_total_threads_per_threadgroup(256)]] void rope_and_cache(
    constant RopeArgs &args [[buffer(0)]],
    // [rows, queries | keys | values].
    device const float *qkv [[buffer(1)]],
    device float *q_out [[buffer(2)]],
    device const uint *slots [[buffer(3)]],
    // [rows, cosines | sines | factor of the queries]; the first two times the attention factor.
    device const float *angles [[buffer(4)]],
    device const float *q_weight [[buffer(5)]],
    device const float *q_bias [[buffer(6)]],
    device const float *k_weight [[buffer(7)]],
    device const float *k_bias [[buffer(8)]],
    device uchar *keys [[buffer(9)]],
    device uchar *values [[buffer(10)]],
    uint3 group [[threadgroup_position_in_grid]],
    uint3 groups [[threadgroups_per_grid]],
    uint simdgroup [[simdgroup_index_in_threadgroup]],
    uint simdgroups [[simdgroups_per_threadgroup]],
    uint lane [[thread_index_in_simdgroup]]) {
    threadgroup float sums[8];
    const uint q_width = args.heads * args.key_dim;
    const uint k_width = args.kv_heads * args.key_dim;
    const size_t row = group.y;
    device const float *x = qkv + row * (q_width + k_width + args.kv_heads * args.value_dim);

    Normalizer q_norm = {
        args.q_norm, args.q_weighted != 0, args.q_biased != 0, 0.0f, 1.0f, q_weight, q_bias};
    Normalizer k_norm = {
        args.k_norm, args.k_weighted != 0, args.k_biased != 0, 0.0f, 1.0f, k_weight, k_bias};
    if (ROW_NORMS) {
        const uint first = simdgroup * 32 + lane, stride = simdgroups * 32;
        for (uint which = 0; which < 2; which++) {
            const bool is_q = which == 0;
            const uint kind = is_q ? args.q_norm : args.k_norm;
            const uint width = is_q ? q_width : k_width;
            if (kind == 0 || (is_q ? args.q_norm_width : args.k_norm_width) != width) {
                continue;
            }
            device const float *from = is_q ? x : x + q_width;
            float mean = 0.0f;
            if (kind == 2) {
                float sum = strided_sum(from, width, 0.0f, false, first, stride);
                mean = threadgroup_sum(sum, sums, simdgroup, simdgroups, lane) / float(width);
            }
            float sum = strided_sum(from, width, mean, true, first, stride);
            sum = threadgroup_sum(sum, sums, simdgroup, simdgroups, lane);
            float factor = rsqrt(sum / float(width) + (is_q ? args.q_eps : args.k_eps));
            if (is_q) {
                q_norm.mean = mean;
                q_norm.factor = factor;
            } else {
                k_norm.mean = mean;
                k_norm.factor = factor;
            }
        }
    }

    const uint slot = slots[row];
    const size_t block = slot / args.block_size;
    const uint offset = slot - uint(block) * args.block_size;
    const uint units = args.heads + 2 * args.kv_heads;
    for (uint unit = group.x * simdgroups + simdgroup; unit < units; unit += groups.x * simdgroups) {
        if (unit >= args.heads + args.kv_heads) {
            const uint head = unit - args.heads - args.kv_heads;
            device const float *from = x + q_width + k_width + head * args.value_dim;
            device uchar *tile = values + (block * args.kv_heads + head) * args.value_tile_bytes;
            for (uint run = 0; run * RUN < args.value_dim; run++) {
                uint element = run * RUN + lane;
                float value = element < args.value_dim ? from[element] : 0.0f;
                store_run(KV(0), tile, args.value_scales, offset, args.value_dim, run, lane, value);
            }
            continue;
        }
        const bool is_q = unit < args.heads;
        const uint head = is_q ? unit : unit - args.heads;
        device const float *from = (is_q ? x : x + q_width) + head * args.key_dim;
        Normalizer norm = is_q ? q_norm : k_norm;
        const uint norm_width = is_q ? args.q_norm_width : args.k_norm_width;
        device const float *row_angles = angles + row * args.angles_width;
        const Rotation rotation = {args.rope_dims, args.traditional, row_angles};
        const Rotation first_rotation = {args.before_norms != 0 ? args.rope_dims : 0, args.traditional, row_angles};
        if (norm.kind != 0 && norm_width == args.key_dim) {
            if (norm.kind == 2) {
                float sum = rotated_sum(first_rotation, from, args.key_dim, 0.0f, false, lane);
                norm.mean = simd_sum(sum) / float(args.key_dim);
            }
            float sum = simd_sum(rotated_sum(first_rotation, from, args.key_dim, norm.mean, true, lane));
            norm.factor = rsqrt(sum / float(args.key_dim) + (is_q ? args.q_eps : args.k_eps));
        }
        if (norm.kind != 0 && (is_q ? args.q_row_weights : args.k_row_weights) != 0) {
            norm.weight += norm.weighted ? head * args.key_dim : 0;
            norm.bias += norm.biased ? head * args.key_dim : 0;
        }
        const Normalizer none = {0, false, false, 0.0f, 1.0f, from, from};
        const float scale = is_q && args.scaled_queries != 0 ? row_angles[args.rope_dims] : 1.0f;
        device uchar *tile = keys + (block * args.kv_heads + (is_q ? 0 : head)) * args.key_tile_bytes;
        device float *q_head = q_out + row * q_width + (is_q ? head : 0) * args.key_dim;
        for (uint run = 0; run * RUN < args.key_dim; run++) {
            const uint element = run * RUN + lane;
            float value = 0.0f;
            if (element < args.key_dim && args.before_norms != 0) {
                value = normalized(norm, rotated(rotation, none, from, element), element);
            } else if (element < args.key_dim) {
                value = rotated(rotation, norm, from, element);
            }
            if (!is_q) {
                store_run(KV(0), tile, args.key_scales, offset, args.key_dim, run, lane, value);
            } else if (element < args.key_dim) {
                q_head[element] = scale * value;
            }
        }
    }
}
