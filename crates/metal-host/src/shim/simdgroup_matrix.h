// 8 x 8 matrices whose elements are spread over the lanes of a simdgroup.
//
// Lane l holds the elements (row, column) and (row, column + 1) with the map below. Apple does not document it; it is the one that
// MLX's attention and matrix kernels rely on.

namespace metal {
namespace host {

inline int fragment_row() { int l = lane(); return ((l >> 2) & 4) + ((l >> 1) & 3); }
inline int fragment_column() { int l = lane(); return ((l >> 2) & 2) * 2 + (l & 1) * 2; }
constexpr unsigned fragment_lane(unsigned row, unsigned column) {
  return ((row & 4) << 2) | ((column & 4) << 1) | ((row & 3) << 1) | ((column >> 1) & 1);
}

}  // namespace host

template <class T, int Columns, int Rows = Columns> struct simdgroup_matrix {
  static_assert(Columns == 8 && Rows == 8, "simdgroup matrices are 8 x 8");
  typedef vec<T, 2> storage_type;
  storage_type elements;
  simdgroup_matrix() = default;
  explicit simdgroup_matrix(T diagonal) {
    int k = host::fragment_row() - host::fragment_column();
    elements = vec<T, 2>(k == 0 ? diagonal : T(0), k == 1 ? diagonal : T(0));
  }
  storage_type &thread_elements() { return elements; }
  const storage_type &thread_elements() const { return elements; }
};
typedef simdgroup_matrix<float, 8, 8> simdgroup_float8x8;
typedef simdgroup_matrix<half, 8, 8> simdgroup_half8x8;
typedef simdgroup_matrix<bfloat, 8, 8> simdgroup_bfloat8x8;

template <class T, int C, int R = C> inline simdgroup_matrix<T, C, R> make_filled_simdgroup_matrix(T value) {
  simdgroup_matrix<T, C, R> m;
  m.elements = vec<T, 2>(value, value);
  return m;
}
template <class T, int C, int R = C> inline simdgroup_matrix<T, C, R> make_diagonal_simdgroup_matrix(T value) {
  return simdgroup_matrix<T, C, R>(value);
}

#define HOST_MATRIX_MEMORY(space)                                                                                               \
  template <class T> inline void simdgroup_load(simdgroup_matrix<T, 8, 8> &m, const space T *source, ulong elements_per_row = 8,\
                                                vec<ulong, 2> origin = vec<ulong, 2>(0), bool transpose = false) {              \
    for (int k = 0; k < 2; k++) {                                                                                               \
      ulong row = host::fragment_row(), column = host::fragment_column() + k;                                                   \
      m.elements[k] = transpose ? source[(column + origin[1]) * elements_per_row + row + origin[0]]                             \
                                : source[(row + origin[1]) * elements_per_row + column + origin[0]];                            \
    }                                                                                                                           \
  }                                                                                                                             \
  template <class T> inline void simdgroup_store(simdgroup_matrix<T, 8, 8> m, space T *destination, ulong elements_per_row = 8, \
                                                 vec<ulong, 2> origin = vec<ulong, 2>(0), bool transpose = false) {             \
    for (int k = 0; k < 2; k++) {                                                                                               \
      ulong row = host::fragment_row(), column = host::fragment_column() + k;                                                   \
      destination[transpose ? (column + origin[1]) * elements_per_row + row + origin[0]                                         \
                            : (row + origin[1]) * elements_per_row + column + origin[0]] = m.elements[k];                       \
    }                                                                                                                           \
  }
HOST_SPACES(HOST_MATRIX_MEMORY)

namespace host {

// d = a * b + c with float sums, rounded once to the element type of d. The lane that resumes first computes for all.
template <class D, class A, class B, class C>
inline void multiply_accumulate(vec<D, 2> &d, vec<A, 2> a, vec<B, 2> b, vec<C, 2> c, Site site) {
  struct Operands {
    vec<A, 2> a;
    vec<B, 2> b;
    vec<C, 2> c;
  };
  post(Operands{a, b, c});
  arrive(SIMD, site);
  Context *context_ = context();
  Simdgroup *g = context_->simdgroup;
  float *result = (float *)g->result;
  if (!g->computed) {
    if (g->active != ~0u) context_->fail(context_, "a simdgroup matrix operation needs all 32 lanes", site);
    float left[8][8], right[8][8], sums[8][8];
    for (unsigned row = 0; row < 8; row++)
      for (unsigned column = 0; column < 8; column += 2) {
        Operands o = posted<Operands>(g, fragment_lane(row, column));
        for (unsigned k = 0; k < 2; k++) {
          left[row][column + k] = (float)o.a.v[k];
          right[row][column + k] = (float)o.b.v[k];
          sums[row][column + k] = (float)o.c.v[k];
        }
      }
    for (unsigned row = 0; row < 8; row++)
      for (unsigned k = 0; k < 8; k++)
        for (unsigned column = 0; column < 8; column++) sums[row][column] += left[row][k] * right[k][column];
    __builtin_memcpy(result, sums, sizeof(sums));
    g->computed = 1;
  }
  unsigned first = fragment_row() * 8 + fragment_column();
  d = vec<D, 2>(D(result[first]), D(result[first + 1]));
}

}  // namespace host

template <class D, class A, class B, class C>
inline void simdgroup_multiply_accumulate(simdgroup_matrix<D, 8, 8> &d, simdgroup_matrix<A, 8, 8> a, simdgroup_matrix<B, 8, 8> b,
                                          simdgroup_matrix<C, 8, 8> c, HOST_SITE) {
  host::multiply_accumulate(d.elements, a.elements, b.elements, c.elements, host_site);
}
template <class D, class A, class B>
inline void simdgroup_multiply(simdgroup_matrix<D, 8, 8> &d, simdgroup_matrix<A, 8, 8> a, simdgroup_matrix<B, 8, 8> b, HOST_SITE) {
  host::multiply_accumulate(d.elements, a.elements, b.elements, vec<D, 2>(D(0)), host_site);
}
template <class T>
inline simdgroup_matrix<T, 8, 8> operator*(simdgroup_matrix<T, 8, 8> a, simdgroup_matrix<T, 8, 8> b) {
  simdgroup_matrix<T, 8, 8> d;
  host::multiply_accumulate(d.elements, a.elements, b.elements, vec<T, 2>(T(0)), 0);
  return d;
}

}  // namespace metal
