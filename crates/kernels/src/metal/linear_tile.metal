// Products of weights with many rows, by matrix instructions. See linear.metal.

// Any number of rows. A threadgroup computes 32 rows of 64 outputs, with GLU of 32 of each segment: tiles of x and of the
// weights, 32 columns at a time, are in threadgroup memory as T, float or half. Each of its four simdgroups computes 16 rows
// of 32 outputs. Columns are added in ascending order for every number of rows.
template <int FORMAT, int BITS, int GROUP, typename S, typename T, int GLU>
[[kernel, max_total_threads_per_threadgroup(128)]] void linear_tile(
    LINEAR_PARAMETERS,
    uint2 threadgroup_index [[threadgroup_position_in_grid]],
    uint thread_index [[thread_index_in_threadgroup]],
    uint simdgroup [[simdgroup_index_in_threadgroup]]) {
    constexpr int VALUES = linear_values(FORMAT, GROUP);
    constexpr int OUTPUTS = GLU ? 32 : 64;
    // 16 bytes more than the columns, so that rows start in different banks.
    constexpr int STRIDE = 32 + 16 / sizeof(T);
    constexpr int TILES = (32 + 64) * STRIDE * sizeof(T) / sizeof(float);
    constexpr int SUMS_STRIDE = 64 + 4;
    constexpr int SUMS = 32 * SUMS_STRIDE;
    threadgroup float memory[TILES > SUMS ? TILES : SUMS];
    threadgroup float table[is_fp4(FORMAT) ? 16 : 1];
    threadgroup T* x_tile = (threadgroup T*)memory;
    threadgroup T* weight_tile = x_tile + 32 * STRIDE;
    linear_table<FORMAT>(table, thread_index);

    const uint columns = args.columns;
    const uint groups = columns / GROUP;
    const size_t row_bytes = linear_row_bytes<FORMAT, BITS, S>(columns);
    const LinearSegment up = LINEAR_SEGMENT(1);
    LinearSegment own = LINEAR_SEGMENT(0);
    uint first_output = threadgroup_index.x;
    if (!GLU && first_output >= args.first_threadgroup1) {
        const bool last = first_output >= args.first_threadgroup2;
        own = last ? LINEAR_SEGMENT(2) : up;
        first_output -= last ? args.first_threadgroup2 : args.first_threadgroup1;
    }
    first_output *= OUTPUTS;
    const uint first_row = threadgroup_index.y * 32;

    // What this thread loads: 16 columns of one output's weights, and 8 columns of one row of x.
    const uint weight_row = thread_index / 2;
    const uint weight_column = thread_index % 2 * 16;
    const uint n = first_output + weight_row % OUTPUTS;
    LinearSegment side = own;
    if (GLU && weight_row >= uint(OUTPUTS)) {
        side = up;
    }
    const uint x_row = thread_index / 4;
    const uint x_column = thread_index % 4 * 8;

    // The part of the result that this simdgroup computes.
    const uint own_row = simdgroup / 2 * 16;
    const uint own_output = simdgroup % 2 * 32;
    simdgroup_float8x8 sums[2][4];
#pragma unroll
    for (int i = 0; i < 2; i++) {
#pragma unroll
        for (int j = 0; j < 4; j++) {
            sums[i][j] = simdgroup_float8x8(0.0f);
        }
    }
    for (uint first = 0; first < columns; first += 32) {
        // What is outside the matrices is zero.
#pragma unroll
        for (int i = 0; i < 8; i++) {
            const uint k = first + x_column + i;
            const bool inside = first_row + x_row < args.rows && k < columns;
            x_tile[x_row * STRIDE + x_column + i] = T(inside ? x[size_t(first_row + x_row) * columns + k] : 0.0f);
        }
#pragma unroll
        for (int chunk = 0; chunk < 16; chunk += VALUES) {
            const uint k = first + weight_column + chunk;
            float values[VALUES] = {};
            float scale = 0.0f;
            float bias = 0.0f;
            if (n < own.outputs && k < columns) {
                linear_load<FORMAT, BITS, GROUP, S>(side.codes + n * row_bytes, k, table, values);
                const size_t group = size_t(n) * groups + k / GROUP;
                scale = FORMAT == DENSE ? 1.0f : linear_scale<FORMAT, S>(side.scales, group);
                bias = FORMAT == AFFINE ? linear_scale<FORMAT, S>(side.biases, group) : 0.0f;
            }
#pragma unroll
            for (int i = 0; i < VALUES; i++) {
                const float power = float(1 << linear_place(FORMAT, BITS, i));
                const float value = fma(scale, values[i] * (1.0f / power), bias);
                weight_tile[weight_row * STRIDE + weight_column + chunk + i] = T(value);
            }
        }
        threadgroup_barrier(mem_flags::mem_threadgroup);
#pragma unroll
        for (int k = 0; k < 32; k += 8) {
            simdgroup_matrix<T, 8, 8> left[2];
            simdgroup_matrix<T, 8, 8> right[4];
#pragma unroll
            for (int i = 0; i < 2; i++) {
                simdgroup_load(left[i], x_tile + (own_row + 8 * i) * STRIDE + k, STRIDE);
            }
#pragma unroll
            for (int j = 0; j < 4; j++) {
                simdgroup_load(right[j], weight_tile + (own_output + 8 * j) * STRIDE + k, STRIDE, ulong2(0, 0), true);
            }
#pragma unroll
            for (int i = 0; i < 2; i++) {
#pragma unroll
                for (int j = 0; j < 4; j++) {
                    simdgroup_multiply_accumulate(sums[i][j], left[i], right[j], sums[i][j]);
                }
            }
        }
        threadgroup_barrier(mem_flags::mem_threadgroup);
    }

#pragma unroll
    for (int i = 0; i < 2; i++) {
#pragma unroll
        for (int j = 0; j < 4; j++) {
            simdgroup_store(sums[i][j], memory + (own_row + 8 * i) * SUMS_STRIDE + own_output + 8 * j, SUMS_STRIDE);
        }
    }
    threadgroup_barrier(mem_flags::mem_threadgroup);
    for (uint i = thread_index; i < 32 * OUTPUTS; i += 128) {
        const uint row = i / OUTPUTS;
        const uint output = i % OUTPUTS;
        if (first_row + row < args.rows && first_output + output < own.outputs) {
            threadgroup const float* sum = memory + row * SUMS_STRIDE + output;
            linear_store<GLU>(
                args, out, other, own, up, first_row + row, first_output + output, sum[0], GLU ? sum[32] : 0.0f, 1.0f);
        }
    }
}
