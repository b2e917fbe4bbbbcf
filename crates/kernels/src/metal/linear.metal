// Products with weights: out = epilogue(norm(x) * transpose(weight) + bias), for x of [rows, columns] and weights of
// [outputs, columns].
//
// A dispatch has up to three weights of one format, its segments, whose outputs are next to each other in `out`; with GLU
// there are two, gate and up. A row's result depends on nothing but the row: `linear_rows` maps columns to lanes and adds
// in the same way for every number of rows and of results, and so does `linear_tile`, but they differ from each other.
// That holds if the compiler does not reorder sums, so this file is for compilers without fast math.

enum LinearNorm : int { NO_NORM, RMS, WEIGHTED_RMS };
enum LinearActivation : uint { IDENTITY, SILU, GELU, GELU_TANH, GELU_SIGMOID, RELU, RELU2, XIELU };

// What is done with a value of another matrix like `out`.
enum LinearCombine : uint { NOTHING, SCALE_AND_ADD, MULTIPLY };

struct LinearArgs {
    uint rows;
    uint columns;
    // Elements of a row of `out` and of `other`.
    uint width;
    uint activation;
    // Of XIELU.
    float alpha_p;
    float alpha_n;
    float beta;
    float largest;
    uint combine;
    // Of SCALE_AND_ADD: other + scale * y.
    float scale;
    // Of the norm.
    float eps;
    // Of each segment: outputs, the first column in `out`, the first threadgroup, whether there is a bias, and a factor of
    // all scales.
    uint outputs0;
    uint outputs1;
    uint outputs2;
    uint column0;
    uint column1;
    uint column2;
    uint first_threadgroup1;
    uint first_threadgroup2;
    uint biased0;
    uint biased1;
    uint biased2;
    float factor0;
    float factor1;
    float factor2;
};

// A weight: values, scales and quantization biases, and the bias of the layer.
struct LinearSegment {
    device const uchar* codes;
    device const uchar* scales;
    device const uchar* biases;
    device const float* bias;
    uint outputs;
    uint column;
    uint biased;
    float factor;
};

#define LINEAR_PARAMETERS \
    constant LinearArgs& args [[buffer(0)]], device const float* x [[buffer(1)]], device float* out [[buffer(2)]], \
    device const float* norm [[buffer(3)]], device const float* other [[buffer(4)]], \
    device const uchar* codes0 [[buffer(5)]], device const uchar* scales0 [[buffer(6)]], \
    device const uchar* biases0 [[buffer(7)]], device const float* bias0 [[buffer(8)]], \
    device const uchar* codes1 [[buffer(9)]], device const uchar* scales1 [[buffer(10)]], \
    device const uchar* biases1 [[buffer(11)]], device const float* bias1 [[buffer(12)]], \
    device const uchar* codes2 [[buffer(13)]], device const uchar* scales2 [[buffer(14)]], \
    device const uchar* biases2 [[buffer(15)]], device const float* bias2 [[buffer(16)]]

#define LINEAR_SEGMENT(n) \
    LinearSegment{ \
        codes##n, scales##n, biases##n, bias##n, args.outputs##n, args.column##n, args.biased##n, args.factor##n}

// Columns that a lane takes at once: 16 of one group. The GROUP of DENSE is this number, 4, or 1 for all other widths.
constexpr int linear_values(int format, int group) { return format == DENSE ? group : 16; }

constexpr bool is_fp4(int format) { return format == MXFP4 || format == NVFP4; }

// The bit of value `index` in its 16-bit word. An affine code stays there and is multiplied with x / 2^bit: that needs no
// shifts, and is exact.
constexpr int linear_place(int format, int bits, int index) { return format == AFFINE ? index * bits % 16 : 0; }

template <int FORMAT, int BITS, typename S>
inline size_t linear_row_bytes(uint columns) {
    return FORMAT == DENSE ? columns * sizeof(S) : columns / 8 * BITS;
}

// Values from column `k` of a row, without scales, affine ones times 2^linear_place. `table` has the values of 4-bit floats.
template <int FORMAT, int BITS, int GROUP, typename S>
inline void linear_load(
    device const uchar* row, uint k, threadgroup const float* table, thread float* values) {
    if (FORMAT == DENSE) {
#pragma unroll
        for (int i = 0; i < linear_values(FORMAT, GROUP); i++) {
            values[i] = load_float((device const S*)row + k + i);
        }
        return;
    }
    device const ushort* words = (device const ushort*)(row + k / 8 * BITS);
    uint word[BITS];
#pragma unroll
    for (int i = 0; i < BITS; i++) {
        word[i] = words[i];
    }
#pragma unroll
    for (int i = 0; i < 16; i++) {
        const int at = i * BITS / 16;
        const int bit = i * BITS % 16;
        if (FORMAT == AFFINE) {
            const uint mask = (1u << BITS) - 1;
            values[i] = float(word[at] & (mask << bit));
            if (bit + BITS > 16) {
                // The high bits of the code are the low bits of the next word.
                values[i] = fma(float(word[(at + 1) % BITS] & (mask >> (16 - bit))), 65536.0f, values[i]);
            }
        } else if (is_fp4(FORMAT)) {
            values[i] = table[word[at] >> bit & 15];
        } else {
            values[i] = e4m3_to_float(word[at] >> bit & 255);
        }
    }
}

// The scale of a group, or its bias.
template <int FORMAT, typename S>
inline float linear_scale(device const uchar* scales, size_t group) {
    if (FORMAT == AFFINE) {
        return load_float((device const S*)scales + group);
    }
    return FORMAT == NVFP4 ? e4m3_to_float(scales[group]) : e8m0_to_float(scales[group]);
}

// Fills the table that `linear_load` reads. All threads of a threadgroup, at least 16, call it.
template <int FORMAT>
inline void linear_table(threadgroup float* table, uint thread_index) {
    if (is_fp4(FORMAT)) {
        if (thread_index < 16) {
            table[thread_index] = E2M1[thread_index];
        }
        threadgroup_barrier(mem_flags::mem_threadgroup);
    }
}

inline float sigmoid(float x) { return 1.0f / (1.0f + precise::exp(min(-x, 88.0f))); }

// x * (1 + erf(x / sqrt(2))) / 2, with formula 7.1.26 of Abramowitz and Stegun for erfc.
inline float gelu(float x) {
    float z = abs(x) * 0.70710678f;
    float t = 1.0f / fma(0.3275911f, z, 1.0f);
    float sum = fma(1.061405429f, t, -1.453152027f);
    sum = fma(sum, t, 1.421413741f);
    sum = fma(sum, t, -0.284496736f);
    sum = fma(sum, t, 0.254829592f);
    float tail = 0.5f * x * (sum * t) * precise::exp(max(-z * z, -88.0f));
    return x < 0.0f ? tail : x - tail;
}

// e^x - 1 - x for x <= 0, without cancellation near 0.
inline float exp_minus_line(float x) {
    float series = fma(x, 1.0f / 5040.0f, 1.0f / 720.0f);
    series = fma(x, series, 1.0f / 120.0f);
    series = fma(x, series, 1.0f / 24.0f);
    series = fma(x, series, 1.0f / 6.0f);
    series = x * x * fma(x, series, 0.5f);
    return x > -0.5f ? series : precise::exp(max(x, -88.0f)) - 1.0f - x;
}

inline float xielu(constant LinearArgs& args, float x) {
    const float size = min(min(x, 0.0f), args.largest);
    const float negative = args.alpha_n * (exp_minus_line(size) + (size - x));
    return fma(args.beta, x, x > 0.0f ? args.alpha_p * x * x : negative);
}

inline float activate(constant LinearArgs& args, float x) {
    switch (args.activation) {
    case SILU: return x * sigmoid(x);
    case GELU: return gelu(x);
    // (1 + tanh(u)) / 2 is sigmoid(2 u), and 2 sqrt(2 / pi) is 1.5957691.
    case GELU_TANH: return x * sigmoid(1.5957691f * x * fma(0.044715f * x, x, 1.0f));
    case GELU_SIGMOID: return x * sigmoid(1.702f * x);
    case RELU: return max(x, 0.0f);
    case RELU2: return max(x, 0.0f) * max(x, 0.0f);
    case XIELU: return xielu(args, x);
    default: return x;
    }
}

inline float linear_finish(LinearSegment segment, float sum, float inverse_rms, uint n) {
    return fma(sum, inverse_rms * segment.factor, segment.biased != 0 ? segment.bias[n] : 0.0f);
}

// Writes output `n` of a segment for one row, from its sum and with GLU from that of the up projection.
template <int GLU>
inline void linear_store(
    constant LinearArgs& args, device float* out, device const float* other, LinearSegment segment, LinearSegment up,
    uint row, uint n, float sum, float up_sum, float inverse_rms) {
    float y = activate(args, linear_finish(segment, sum, inverse_rms, n));
    if (GLU) {
        y *= linear_finish(up, up_sum, inverse_rms, n);
    }
    const size_t at = size_t(row) * args.width + segment.column + n;
    if (args.combine == SCALE_AND_ADD) {
        y = fma(args.scale, y, other[at]);
    } else if (args.combine == MULTIPLY) {
        y *= other[at];
    }
    out[at] = y;
}

// ROWS rows of x, 1 to 4. A simdgroup computes RESULTS outputs, with GLU half of them of each segment; a threadgroup has two.
// Lane l takes the columns (32 i + l) * linear_values + 0.. for all i.
template <int FORMAT, int BITS, int GROUP, typename S, int ROWS, int RESULTS, int GLU, int NORM>
[[kernel, max_total_threads_per_threadgroup(64)]] void linear_rows(
    LINEAR_PARAMETERS,
    uint threadgroup_index [[threadgroup_position_in_grid]],
    uint thread_index [[thread_index_in_threadgroup]],
    uint simdgroup [[simdgroup_index_in_threadgroup]],
    uint lane [[thread_index_in_simdgroup]]) {
    constexpr int VALUES = linear_values(FORMAT, GROUP);
    constexpr int OUTPUTS = GLU ? RESULTS / 2 : RESULTS;
    threadgroup float table[is_fp4(FORMAT) ? 16 : 1];
    linear_table<FORMAT>(table, thread_index);

    const uint columns = args.columns;
    const uint groups = columns / GROUP;
    const size_t row_bytes = linear_row_bytes<FORMAT, BITS, S>(columns);
    const LinearSegment up = LINEAR_SEGMENT(1);
    LinearSegment own = LINEAR_SEGMENT(0);
    uint first = threadgroup_index;
    if (!GLU && threadgroup_index >= args.first_threadgroup1) {
        const bool last = threadgroup_index >= args.first_threadgroup2;
        own = last ? LINEAR_SEGMENT(2) : up;
        first -= last ? args.first_threadgroup2 : args.first_threadgroup1;
    }
    first = (first * 2 + simdgroup) * OUTPUTS;
    if (first >= own.outputs) {
        return;
    }
    // Outputs after the last one are computed as the last one, and not stored.
    uint outputs_from_first[OUTPUTS];
#pragma unroll
    for (int r = 0; r < OUTPUTS; r++) {
        outputs_from_first[r] = min(uint(r), own.outputs - 1 - first);
    }

    float sums[ROWS][RESULTS] = {};
    float squares[ROWS] = {};
    for (uint k = lane * VALUES; k < columns; k += 32 * VALUES) {
        float scaled[ROWS][VALUES];
        float totals[ROWS] = {};
#pragma unroll
        for (int i = 0; i < VALUES; i++) {
            const float weight = NORM == WEIGHTED_RMS ? norm[k + i] : 1.0f;
            const float power = float(1 << linear_place(FORMAT, BITS, i));
#pragma unroll
            for (int row = 0; row < ROWS; row++) {
                float value = x[row * columns + k + i];
                if (NORM != NO_NORM) {
                    squares[row] = fma(value, value, squares[row]);
                    value *= weight;
                }
                scaled[row][i] = value * (1.0f / power);
                if (FORMAT == AFFINE) {
                    totals[row] = fma(scaled[row][i], power, totals[row]);
                }
            }
        }
#pragma unroll
        for (int r = 0; r < RESULTS; r++) {
            const LinearSegment side = r < OUTPUTS ? own : up;
            const size_t n = first + outputs_from_first[r % OUTPUTS];
            float values[VALUES];
            linear_load<FORMAT, BITS, GROUP, S>(side.codes + n * row_bytes, k, table, values);
            const size_t group = n * groups + k / GROUP;
            const float scale = FORMAT == DENSE ? 1.0f : linear_scale<FORMAT, S>(side.scales, group);
            const float bias = FORMAT == AFFINE ? linear_scale<FORMAT, S>(side.biases, group) : 0.0f;
#pragma unroll
            for (int row = 0; row < ROWS; row++) {
                float dot = FORMAT == DENSE ? sums[row][r] : 0.0f;
#pragma unroll
                for (int i = 0; i < VALUES; i++) {
                    dot = fma(scaled[row][i], values[i], dot);
                }
                if (FORMAT == AFFINE) {
                    sums[row][r] = fma(bias, totals[row], fma(scale, dot, sums[row][r]));
                } else {
                    sums[row][r] = FORMAT == DENSE ? dot : fma(scale, dot, sums[row][r]);
                }
            }
        }
    }

    // Lane row * OUTPUTS + r finishes output r of the row.
    float sum = 0.0f;
    float up_sum = 0.0f;
    float inverse_rms = 1.0f;
#pragma unroll
    for (int row = 0; row < ROWS; row++) {
        float inverse = 1.0f;
        if (NORM != NO_NORM) {
            inverse = precise::rsqrt(simd_sum(squares[row]) / float(columns) + args.eps);
        }
#pragma unroll
        for (int r = 0; r < RESULTS; r++) {
            const float total = simd_sum(sums[row][r]);
            const bool mine = lane == uint(row * OUTPUTS + r % OUTPUTS);
            inverse_rms = mine ? inverse : inverse_rms;
            sum = mine && r < OUTPUTS ? total : sum;
            up_sum = mine && r >= OUTPUTS ? total : up_sum;
        }
    }
    const uint n = first + lane % OUTPUTS;
    if (lane < ROWS * OUTPUTS && n < own.outputs) {
        linear_store<GLU>(args, out, other, own, up, lane / OUTPUTS, n, sum, up_sum, inverse_rms);
    }
}
