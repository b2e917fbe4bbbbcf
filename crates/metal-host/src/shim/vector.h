// Vectors, packed vectors and matrices. HOST_SWIZZLES_n lists the swizzles that the source uses and whose last component is the n-th.

namespace metal {

template <class T, int N> struct vec;

namespace host {
template <class T, int N> struct lanes {
  typedef T type __attribute__((ext_vector_type(N)));
};
template <int N> struct lanes<bool, N> {
  typedef unsigned char type __attribute__((ext_vector_type(N)));
};
template <class T> using if_arithmetic = enable_if_t<is_arithmetic_v<T>>;
}  // namespace host

#define HOST_ELEMENT(name, index)                      \
  T get_##name() const { return T(v[index]); }         \
  void put_##name(T value) { v[index] = value; }       \
  __declspec(property(get = get_##name, put = put_##name)) T name;
#define HOST_GET(name, count, ...)                                                               \
  vec<T, count> get_##name() const {                                                             \
    constexpr int indices[] = {__VA_ARGS__};                                                     \
    vec<T, count> result;                                                                        \
    for (int i = 0; i < count; i++) result.v[i] = v[indices[i]];                                 \
    return result;                                                                               \
  }
#define HOST_SWIZZLE(name, count, ...)                                                           \
  HOST_GET(name, count, __VA_ARGS__)                                                             \
  void put_##name(vec<T, count> value) {                                                         \
    constexpr int indices[] = {__VA_ARGS__};                                                     \
    for (int i = 0; i < count; i++) v[indices[i]] = value.v[i];                                  \
  }                                                                                              \
  __declspec(property(get = get_##name, put = put_##name)) vec<T, count> name;
#define HOST_SWIZZLE_READ_ONLY(name, count, ...)                                                 \
  HOST_GET(name, count, __VA_ARGS__)                                                             \
  __declspec(property(get = get_##name)) vec<T, count> name;

#define HOST_BINARY(op)                                                      \
  friend constexpr vec operator op(vec a, vec b) { return vec(from(), a.v op b.v); } \
  vec &operator op##=(vec b) { return *this = *this op b; }
#define HOST_COMPARISON(op)                                                  \
  friend vec<bool, N> operator op(vec a, vec b) {                            \
    vec<bool, N> result;                                                     \
    result.v = __builtin_convertvector(a.v op b.v, typename host::lanes<bool, N>::type) & (unsigned char)1; \
    return result;                                                           \
  }

// Copies from memory that is not a thread's.
#ifdef HOST_ADDRESS_SPACES
#define HOST_COPY(space) vec(const space vec &o) : v(o.v) {}
#define HOST_COPIES vec(const vec &) = default; vec &operator=(const vec &) = default; HOST_SPACES(HOST_COPY) HOST_COPY(HOST_CONSTANT)
#else
#define HOST_COPIES
#endif

#define HOST_VECTOR(n)                                                                                        \
  static constexpr int N = n;                                                                                 \
  typedef typename host::lanes<T, N>::type lanes;                                                             \
  struct from {};                                                                                             \
  lanes v;                                                                                                    \
  vec() = default;                                                                                            \
  HOST_COPIES                                                                                                 \
  constexpr vec(from, lanes l) : v(l) {}                                                                      \
  template <class S, class = host::if_arithmetic<S>> constexpr vec(S s) : v(T(s)) {}                          \
  template <class U> explicit vec(const vec<U, N> &o) {                                                       \
    if constexpr (__is_same(T, bool)) v = __builtin_convertvector(o.v != 0, lanes) & (unsigned char)1;        \
    else v = __builtin_convertvector(o.v, lanes);                                                             \
  }                                                                                                           \
  T &operator[](int i) { return reinterpret_cast<T *>(&v)[i]; }                                               \
  const T &operator[](int i) const { return reinterpret_cast<const T *>(&v)[i]; }                             \
  HOST_BINARY(+) HOST_BINARY(-) HOST_BINARY(*) HOST_BINARY(/) HOST_BINARY(%)                                  \
  HOST_BINARY(&) HOST_BINARY(|) HOST_BINARY(^) HOST_BINARY(<<) HOST_BINARY(>>)                                \
  HOST_COMPARISON(==) HOST_COMPARISON(!=) HOST_COMPARISON(<) HOST_COMPARISON(<=) HOST_COMPARISON(>)           \
  HOST_COMPARISON(>=) HOST_COMPARISON(&&) HOST_COMPARISON(||)                                                 \
  friend vec operator-(vec a) { return vec(from(), -a.v); }                                                   \
  friend vec operator~(vec a) { return vec(from(), ~a.v); }                                                   \
  friend vec<bool, N> operator!(vec a) { return a == vec(T(0)); }                                             \
  vec &operator++() { return *this += vec(T(1)); }                                                            \
  vec &operator--() { return *this -= vec(T(1)); }

template <class T> struct vec<T, 2> {
  HOST_VECTOR(2)
  constexpr vec(T a, T b) : v{a, b} {}
  HOST_ELEMENT(x, 0) HOST_ELEMENT(y, 1) HOST_ELEMENT(r, 0) HOST_ELEMENT(g, 1)
  HOST_SWIZZLES_2(HOST_SWIZZLE, HOST_SWIZZLE_READ_ONLY)
};
template <class T> struct vec<T, 3> {
  HOST_VECTOR(3)
  constexpr vec(T a, T b, T c) : v{a, b, c} {}
  vec(vec<T, 2> a, T b) : v{a.v[0], a.v[1], b} {}
  vec(T a, vec<T, 2> b) : v{a, b.v[0], b.v[1]} {}
  HOST_ELEMENT(x, 0) HOST_ELEMENT(y, 1) HOST_ELEMENT(z, 2) HOST_ELEMENT(r, 0) HOST_ELEMENT(g, 1) HOST_ELEMENT(b, 2)
  HOST_SWIZZLES_2(HOST_SWIZZLE, HOST_SWIZZLE_READ_ONLY)
  HOST_SWIZZLES_3(HOST_SWIZZLE, HOST_SWIZZLE_READ_ONLY)
};
template <class T> struct vec<T, 4> {
  HOST_VECTOR(4)
  constexpr vec(T a, T b, T c, T d) : v{a, b, c, d} {}
  vec(vec<T, 2> a, T b, T c) : v{a.v[0], a.v[1], b, c} {}
  vec(T a, vec<T, 2> b, T c) : v{a, b.v[0], b.v[1], c} {}
  vec(T a, T b, vec<T, 2> c) : v{a, b, c.v[0], c.v[1]} {}
  vec(vec<T, 2> a, vec<T, 2> b) : v{a.v[0], a.v[1], b.v[0], b.v[1]} {}
  vec(vec<T, 3> a, T b) : v{a.v[0], a.v[1], a.v[2], b} {}
  vec(T a, vec<T, 3> b) : v{a, b.v[0], b.v[1], b.v[2]} {}
  HOST_ELEMENT(x, 0) HOST_ELEMENT(y, 1) HOST_ELEMENT(z, 2) HOST_ELEMENT(w, 3)
  HOST_ELEMENT(r, 0) HOST_ELEMENT(g, 1) HOST_ELEMENT(b, 2) HOST_ELEMENT(a, 3)
  HOST_SWIZZLES_2(HOST_SWIZZLE, HOST_SWIZZLE_READ_ONLY)
  HOST_SWIZZLES_3(HOST_SWIZZLE, HOST_SWIZZLE_READ_ONLY)
  HOST_SWIZZLES_4(HOST_SWIZZLE, HOST_SWIZZLE_READ_ONLY)
};

// A vector with the alignment of its element.
template <class T, int N> struct packed_vec {
  T elements[N];
  packed_vec() = default;
  packed_vec(vec<T, N> o) { for (int i = 0; i < N; i++) elements[i] = o[i]; }
  template <class... S, class = enable_if_t<sizeof...(S) == N>> constexpr packed_vec(S... s) : elements{T(s)...} {}
  operator vec<T, N>() const {
    vec<T, N> result;
    for (int i = 0; i < N; i++) result[i] = elements[i];
    return result;
  }
  T &operator[](int i) { return elements[i]; }
  const T &operator[](int i) const { return elements[i]; }
#define HOST_PACKED_ELEMENT(name, index)               \
  T get_##name() const { return elements[index]; }     \
  void put_##name(T value) { elements[index] = value; } \
  __declspec(property(get = get_##name, put = put_##name)) T name;
  HOST_PACKED_ELEMENT(x, 0) HOST_PACKED_ELEMENT(y, 1) HOST_PACKED_ELEMENT(z, 2) HOST_PACKED_ELEMENT(w, 3)
};

template <class T> struct vec_elements { static constexpr int value = 1; };
template <class T, int N> struct vec_elements<vec<T, N>> { static constexpr int value = N; };
template <class T> struct make_scalar { typedef T type; };
template <class T, int N> struct make_scalar<vec<T, N>> { typedef T type; };
template <class T> using make_scalar_t = typename make_scalar<T>::type;
template <class T> struct is_vector : false_type {};
template <class T, int N> struct is_vector<vec<T, N>> : true_type {};
template <class T> constexpr bool is_vector_v = is_vector<T>::value;
template <class T> struct __is_valid_simdgroup_type : bool_constant<is_arithmetic_v<make_scalar_t<T>> && sizeof(make_scalar_t<T>) <= 4> {};

// C columns of R rows.
template <class T, int C, int R> struct matrix {
  vec<T, R> columns[C];
  matrix() = default;
  template <class... V, class = enable_if_t<sizeof...(V) == C && (C > 1)>> matrix(V... v) : columns{vec<T, R>(v)...} {}
  explicit matrix(T diagonal) { for (int c = 0; c < C; c++) for (int r = 0; r < R; r++) columns[c][r] = c == r ? diagonal : T(0); }
  template <class U> explicit matrix(const matrix<U, C, R> &o) { for (int c = 0; c < C; c++) columns[c] = vec<T, R>(o[c]); }
  vec<T, R> &operator[](int c) { return columns[c]; }
  const vec<T, R> &operator[](int c) const { return columns[c]; }
  friend matrix operator*(T s, matrix m) { for (int c = 0; c < C; c++) m[c] *= s; return m; }
  friend matrix operator*(matrix m, T s) { return s * m; }
  friend matrix operator+(matrix a, matrix b) { for (int c = 0; c < C; c++) a[c] += b[c]; return a; }
  friend matrix operator-(matrix a, matrix b) { for (int c = 0; c < C; c++) a[c] -= b[c]; return a; }
};
template <class T, int C, int R> inline vec<T, R> operator*(matrix<T, C, R> m, vec<T, C> v) {
  vec<T, R> result(T(0));
  for (int c = 0; c < C; c++) result += m[c] * v[c];
  return result;
}
template <class T, int C, int R> inline vec<T, C> operator*(vec<T, R> v, matrix<T, C, R> m) {
  vec<T, C> result;
  for (int c = 0; c < C; c++) {
    T sum = T(0);
    for (int r = 0; r < R; r++) sum += v[r] * m[c][r];
    result[c] = sum;
  }
  return result;
}

#define HOST_VECTORS(T)          \
  typedef vec<T, 2> T##2;        \
  typedef vec<T, 3> T##3;        \
  typedef vec<T, 4> T##4;        \
  typedef packed_vec<T, 2> packed_##T##2; \
  typedef packed_vec<T, 3> packed_##T##3; \
  typedef packed_vec<T, 4> packed_##T##4;
#define HOST_MATRICES(T)                                                                              \
  typedef matrix<T, 2, 2> T##2x2; typedef matrix<T, 2, 3> T##2x3; typedef matrix<T, 2, 4> T##2x4;     \
  typedef matrix<T, 3, 2> T##3x2; typedef matrix<T, 3, 3> T##3x3; typedef matrix<T, 3, 4> T##3x4;     \
  typedef matrix<T, 4, 2> T##4x2; typedef matrix<T, 4, 3> T##4x3; typedef matrix<T, 4, 4> T##4x4;
HOST_VECTORS(bool) HOST_VECTORS(char) HOST_VECTORS(uchar) HOST_VECTORS(short) HOST_VECTORS(ushort) HOST_VECTORS(int)
HOST_VECTORS(uint) HOST_VECTORS(long) HOST_VECTORS(ulong) HOST_VECTORS(half) HOST_VECTORS(bfloat) HOST_VECTORS(float)
HOST_MATRICES(half) HOST_MATRICES(bfloat) HOST_MATRICES(float)

inline bool any(bool a) { return a; }
inline bool all(bool a) { return a; }
template <int N> inline bool any(vec<bool, N> a) { bool r = false; for (int i = 0; i < N; i++) r |= a[i]; return r; }
template <int N> inline bool all(vec<bool, N> a) { bool r = true; for (int i = 0; i < N; i++) r &= a[i]; return r; }

}  // namespace metal

// The vector types are not in the namespace.
#define HOST_GLOBAL_VECTORS(T)                               \
  using metal::T##2; using metal::T##3; using metal::T##4;   \
  using metal::packed_##T##2; using metal::packed_##T##3; using metal::packed_##T##4;
#define HOST_GLOBAL_MATRICES(T)                                       \
  using metal::T##2x2; using metal::T##2x3; using metal::T##2x4;      \
  using metal::T##3x2; using metal::T##3x3; using metal::T##3x4;      \
  using metal::T##4x2; using metal::T##4x3; using metal::T##4x4;
HOST_GLOBAL_VECTORS(bool) HOST_GLOBAL_VECTORS(char) HOST_GLOBAL_VECTORS(uchar) HOST_GLOBAL_VECTORS(short)
HOST_GLOBAL_VECTORS(ushort) HOST_GLOBAL_VECTORS(int) HOST_GLOBAL_VECTORS(uint) HOST_GLOBAL_VECTORS(long)
HOST_GLOBAL_VECTORS(ulong) HOST_GLOBAL_VECTORS(half) HOST_GLOBAL_VECTORS(bfloat) HOST_GLOBAL_VECTORS(float)
HOST_GLOBAL_MATRICES(half) HOST_GLOBAL_MATRICES(bfloat) HOST_GLOBAL_MATRICES(float)
using metal::vec;
