// Embeddings, norms, element-wise functions, gathers and argmax. Grids are (threadgroups of a row, rows).

struct EmbedArgs {
    uint columns;
    uint bits;
    uint group;
    uint row_bytes;
    // Of all scales.
    float factor;
};

// The code at `index` of a bitstream, reading no byte after its last one.
inline uint code_at(device const uchar *row, uint bits, uint index) {
    const uint bit = index * bits;
    const uint shift = bit % 8;
    uint code = uint(row[bit / 8]) >> shift;
    if (shift + bits > 8) {
        code |= uint(row[bit / 8 + 1]) << (8 - shift);
    }
    return code & ((1u << bits) - 1);
}

// Rows of a table, one element for each thread. T is the type of the scales, or of the values of a dense table.
template <int FORMAT, typename T>
[[kernel, max_total_threads_per_threadgroup(256)]] void embed(
    constant EmbedArgs &args [[buffer(0)]],
    device const uint *ids [[buffer(1)]],
    device float *out [[buffer(2)]],
    device const uchar *codes [[buffer(3)]],
    device const T *scales [[buffer(4)]],
    device const T *biases [[buffer(5)]],
    uint3 group [[threadgroup_position_in_grid]],
    uint thread_index [[thread_index_in_threadgroup]]) {
    const uint column = group.x * 256 + thread_index;
    if (column >= args.columns) {
        return;
    }
    const size_t id = ids[group.y];
    device float *result = out + size_t(group.y) * args.columns + column;
    if (FORMAT == DENSE) {
        *result = load_float(scales + id * args.columns + column);
        return;
    }
    const uint code = code_at(codes + id * args.row_bytes, args.bits, column);
    const size_t scale_index = id * (args.columns / args.group) + column / args.group;
    const float stored = load_float(scales + scale_index);
    if (FORMAT == AFFINE) {
        *result = fma(float(code), stored, load_float(biases + scale_index));
    } else if (FORMAT == MXFP4) {
        *result = E2M1[code] * e8m0_to_float(uint(stored));
    } else if (FORMAT == NVFP4) {
        *result = E2M1[code] * (e4m3_to_float(uint(stored)) * args.factor);
    } else {
        *result = e4m3_to_float(code) * e8m0_to_float(uint(stored));
    }
}

struct NormArgs {
    // Columns that are normalized together.
    uint width;
    // Parts of a row with weights of their own.
    uint groups;
    // Whether the mean is subtracted: layer norm.
    uint centered;
    uint weighted;
    uint biased;
    // Whether the result is residual + scale * norm(x).
    uint residual;
    float scale;
    float eps;
};

// Normalizes `width` columns in each threadgroup. Grid: (normalized parts of all rows).
template <uint SIMDGROUPS>
[[kernel, max_total_threads_per_threadgroup(32 * SIMDGROUPS)]] void norm(
    constant NormArgs &args [[buffer(0)]],
    device const float *x [[buffer(1)]],
    device float *out [[buffer(2)]],
    device const float *weight [[buffer(3)]],
    device const float *bias [[buffer(4)]],
    device const float *residual [[buffer(5)]],
    uint group [[threadgroup_position_in_grid]],
    uint thread_index [[thread_index_in_threadgroup]],
    uint simdgroup [[simdgroup_index_in_threadgroup]],
    uint lane [[thread_index_in_simdgroup]]) {
    threadgroup float sums[SIMDGROUPS];
    const size_t start = size_t(group) * args.width;
    device const float *part = x + start;
    const uint first = group % args.groups * args.width;
    float mean = 0.0f;
    if (args.centered != 0) {
        float sum = 0.0f;
        for (uint column = thread_index; column < args.width; column += 32 * SIMDGROUPS) {
            sum += part[column];
        }
        mean = threadgroup_sum(sum, sums, simdgroup, SIMDGROUPS, lane) / float(args.width);
    }
    float squares = 0.0f;
    for (uint column = thread_index; column < args.width; column += 32 * SIMDGROUPS) {
        const float value = part[column] - mean;
        squares = fma(value, value, squares);
    }
    const float total = threadgroup_sum(squares, sums, simdgroup, SIMDGROUPS, lane);
    const float factor = 1.0f / precise::sqrt(total / float(args.width) + args.eps);
    for (uint column = thread_index; column < args.width; column += 32 * SIMDGROUPS) {
        float value = (part[column] - mean) * factor;
        if (args.weighted != 0) {
            value *= weight[first + column];
        }
        if (args.biased != 0) {
            value += bias[first + column];
        }
        if (args.residual != 0) {
            value = fma(value, args.scale, residual[start + column]);
        }
        out[start + column] = value;
    }
}

struct ElementwiseArgs {
    uint width;
    float value;
};

enum ElementwiseFunction : int { SCALE, SOFTCAP };

template <int FUNCTION>
[[kernel, max_total_threads_per_threadgroup(256)]] void elementwise(
    constant ElementwiseArgs &args [[buffer(0)]],
    device const float *x [[buffer(1)]],
    device float *out [[buffer(2)]],
    uint3 group [[threadgroup_position_in_grid]],
    uint thread_index [[thread_index_in_threadgroup]]) {
    const uint column = group.x * 256 + thread_index;
    if (column >= args.width) {
        return;
    }
    const size_t index = size_t(group.y) * args.width + column;
    if (FUNCTION == SCALE) {
        out[index] = args.value * x[index];
    } else {
        out[index] = args.value * precise::tanh(x[index] / args.value);
    }
}

struct BinaryArgs {
    uint width;
    // Of a row of y, each element of which is the operand of `columns` consecutive columns.
    uint y_width;
    uint columns;
};

enum BinaryFunction : int { ADD, SIGMOID_GATE };

template <int FUNCTION>
[[kernel, max_total_threads_per_threadgroup(256)]] void binary(
    constant BinaryArgs &args [[buffer(0)]],
    device const float *x [[buffer(1)]],
    device float *out [[buffer(2)]],
    device const float *y [[buffer(3)]],
    uint3 group [[threadgroup_position_in_grid]],
    uint thread_index [[thread_index_in_threadgroup]]) {
    const uint column = group.x * 256 + thread_index;
    if (column >= args.width) {
        return;
    }
    const size_t index = size_t(group.y) * args.width + column;
    const float operand = y[size_t(group.y) * args.y_width + column / args.columns];
    if (FUNCTION == ADD) {
        out[index] = x[index] + operand;
    } else {
        out[index] = x[index] / (1.0f + precise::exp(min(-operand, 88.0f)));
    }
}

struct GatherArgs {
    uint width;
};

// Rows of x at `indices`.
template <int THREADS>
[[kernel, max_total_threads_per_threadgroup(THREADS)]] void gather_rows(
    constant GatherArgs &args [[buffer(0)]],
    device const float *x [[buffer(1)]],
    device float *out [[buffer(2)]],
    device const uint *indices [[buffer(3)]],
    uint3 group [[threadgroup_position_in_grid]],
    uint thread_index [[thread_index_in_threadgroup]]) {
    const uint column = group.x * THREADS + thread_index;
    if (column < args.width) {
        out[size_t(group.y) * args.width + column] = x[size_t(indices[group.y]) * args.width + column];
    }
}

struct ArgmaxArgs {
    uint width;
};

// Keys with the order of floats: no comparison of floats, which fast math and flushed subnormals would change. NaN is the
// largest, and zeros of both signs are equal.
inline uint order_key(uint bits) {
    const uint magnitude = bits & 0x7fffffffu;
    if (magnitude > 0x7f800000u) {
        return 0xffffffffu;
    }
    if (magnitude == 0) {
        return 0x80000000u;
    }
    return magnitude == bits ? bits | 0x80000000u : ~bits;
}

// Keys of the smallest and the largest finite value.
constant uint LOWEST_KEY = 0x00800000u;
constant uint HIGHEST_KEY = 0xff7fffffu;

// The column of the first of the largest values of a row; -1 if that is not finite. Grid: (rows).
template <uint SIMDGROUPS>
[[kernel, max_total_threads_per_threadgroup(32 * SIMDGROUPS)]] void argmax(
    constant ArgmaxArgs &args [[buffer(0)]],
    device const uint *x [[buffer(1)]],
    device float *out [[buffer(2)]],
    uint row [[threadgroup_position_in_grid]],
    uint thread_index [[thread_index_in_threadgroup]],
    uint simdgroup [[simdgroup_index_in_threadgroup]],
    uint lane [[thread_index_in_simdgroup]]) {
    threadgroup uint keys[SIMDGROUPS];
    threadgroup uint columns[SIMDGROUPS];
    device const uint *values = x + size_t(row) * args.width;
    // Smaller than any key.
    uint largest = 0;
    uint first = 0;
    for (uint column = thread_index; column < args.width; column += 32 * SIMDGROUPS) {
        const uint key = order_key(values[column]);
        if (key > largest) {
            largest = key;
            first = column;
        }
    }
    const uint of_simdgroup = simd_max(largest);
    const uint column = simd_min(largest == of_simdgroup ? first : 0xffffffffu);
    if (lane == 0) {
        keys[simdgroup] = of_simdgroup;
        columns[simdgroup] = column;
    }
    threadgroup_barrier(mem_flags::mem_threadgroup);
    if (thread_index != 0) {
        return;
    }
    largest = keys[0];
    first = columns[0];
    for (uint index = 1; index < SIMDGROUPS; index++) {
        const bool is_earlier = keys[index] == largest && columns[index] < first;
        if (keys[index] > largest || is_earlier) {
            largest = keys[index];
            first = columns[index];
        }
    }
    out[row] = largest < LOWEST_KEY || largest > HIGHEST_KEY ? -1.0f : float(first);
}
