// Mathematical, integer and relational functions. Functions of half compute in float and round once.

namespace metal {

// Overloads instead of templates: arguments convert as in Metal, and what is ambiguous there is ambiguous here.
#define HOST_FLOATS(each) each(half) each(bfloat) each(float)
#define HOST_INTEGERS(each) each(char) each(uchar) each(short) each(ushort) each(int) each(uint) each(long) each(ulong)

#define HOST_UNARY_OF(T, name, expression) inline T name(T argument) { float x = (float)argument; return T(expression); }
#define HOST_UNARY(name, expression)                                                             \
  HOST_UNARY_OF(half, name, expression)                                                          \
  HOST_UNARY_OF(bfloat, name, expression)                                                        \
  HOST_UNARY_OF(float, name, expression)                                                         \
  template <class T, int N> inline vec<T, N> name(vec<T, N> argument) {                          \
    for (int i = 0; i < N; i++) argument[i] = metal::name(T(argument[i]));                       \
    return argument;                                                                             \
  }
#define HOST_BINARY_OF(T, name, expression) inline T name(T a, T b) { float x = (float)a, y = (float)b; return T(expression); }
#define HOST_BINARY_FUNCTION(name, expression)                                                   \
  HOST_BINARY_OF(half, name, expression)                                                         \
  HOST_BINARY_OF(bfloat, name, expression)                                                       \
  HOST_BINARY_OF(float, name, expression)                                                        \
  template <class T, int N> inline vec<T, N> name(vec<T, N> a, vec<T, N> b) {                    \
    for (int i = 0; i < N; i++) a[i] = metal::name(T(a[i]), T(b[i]));                            \
    return a;                                                                                    \
  }

HOST_UNARY(exp, __builtin_expf(x))
HOST_UNARY(exp2, __builtin_exp2f(x))
HOST_UNARY(exp10, __builtin_powf(10.0f, x))
HOST_UNARY(log, __builtin_logf(x))
HOST_UNARY(log2, __builtin_log2f(x))
HOST_UNARY(log10, __builtin_log10f(x))
HOST_UNARY(sqrt, __builtin_sqrtf(x))
HOST_UNARY(rsqrt, 1.0f / __builtin_sqrtf(x))
HOST_UNARY(sin, __builtin_sinf(x))
HOST_UNARY(cos, __builtin_cosf(x))
HOST_UNARY(tan, __builtin_tanf(x))
HOST_UNARY(asin, __builtin_asinf(x))
HOST_UNARY(acos, __builtin_acosf(x))
HOST_UNARY(atan, __builtin_atanf(x))
HOST_UNARY(sinh, __builtin_sinhf(x))
HOST_UNARY(cosh, __builtin_coshf(x))
HOST_UNARY(tanh, __builtin_tanhf(x))
HOST_UNARY(asinh, __builtin_asinhf(x))
HOST_UNARY(acosh, __builtin_acoshf(x))
HOST_UNARY(atanh, __builtin_atanhf(x))
HOST_UNARY(ceil, __builtin_ceilf(x))
HOST_UNARY(floor, __builtin_floorf(x))
HOST_UNARY(trunc, __builtin_truncf(x))
HOST_UNARY(rint, __builtin_rintf(x))
HOST_UNARY(round, __builtin_roundf(x))
HOST_UNARY(fract, __builtin_fminf(x - __builtin_floorf(x), 0x1.fffffep-1f))
HOST_UNARY(fabs, __builtin_fabsf(x))
HOST_UNARY(sign, x > 0.0f ? 1.0f : x < 0.0f ? -1.0f : 0.0f * x)
HOST_UNARY(saturate, __builtin_fminf(__builtin_fmaxf(x, 0.0f), 1.0f))
HOST_BINARY_FUNCTION(pow, __builtin_powf(x, y))
HOST_BINARY_FUNCTION(powr, __builtin_powf(x, y))
HOST_BINARY_FUNCTION(atan2, __builtin_atan2f(x, y))
HOST_BINARY_FUNCTION(fmod, __builtin_fmodf(x, y))
HOST_BINARY_FUNCTION(fmin, __builtin_fminf(x, y))
HOST_BINARY_FUNCTION(fmax, __builtin_fmaxf(x, y))
HOST_BINARY_FUNCTION(copysign, __builtin_copysignf(x, y))
HOST_BINARY_FUNCTION(step, y < x ? 0.0f : 1.0f)
HOST_BINARY_FUNCTION(divide, x / y)

// NaN is ignored, as by fmin and fmax.
#define HOST_COMMON_FLOAT(T)                                                                     \
  inline T abs(T a) { return T(__builtin_fabsf((float)a)); }                                     \
  inline T min(T a, T b) { return T(__builtin_fminf((float)a, (float)b)); }                      \
  inline T max(T a, T b) { return T(__builtin_fmaxf((float)a, (float)b)); }                      \
  inline T clamp(T x, T low, T high) { return min(max(x, low), high); }                          \
  inline T mix(T a, T b, T t) { return a + (b - a) * t; }                                        \
  inline T fma(T a, T b, T c) { return T(__builtin_fmaf((float)a, (float)b, (float)c)); }        \
  inline T ldexp(T a, int e) { return T(__builtin_ldexpf((float)a, e)); }                        \
  inline T sincos(T a, T &cosine) { cosine = cos(a); return sin(a); }
#define HOST_COMMON_INTEGER(T)                                                                   \
  inline constexpr T abs(T a) { return a < T(0) ? T(-a) : a; }                                   \
  inline constexpr T min(T a, T b) { return b < a ? b : a; }                                     \
  inline constexpr T max(T a, T b) { return a < b ? b : a; }                                     \
  inline constexpr T clamp(T x, T low, T high) { return min(max(x, low), high); }
HOST_FLOATS(HOST_COMMON_FLOAT)
HOST_INTEGERS(HOST_COMMON_INTEGER)

// Functions of vectors, where scalars are allowed for all arguments but one.
#define HOST_EACH(name, ...)                                                                      \
  template <class T, int N> inline vec<T, N> name(vec<T, N> a, vec<T, N> b) {                     \
    for (int i = 0; i < N; i++) a[i] = metal::name(T(a[i]), T(b[i]));                             \
    return a;                                                                                     \
  }                                                                                               \
  template <class T, int N> inline vec<T, N> name(vec<T, N> a, T b) { return metal::name(a, vec<T, N>(b)); } \
  template <class T, int N> inline vec<T, N> name(T a, vec<T, N> b) { return metal::name(vec<T, N>(a), b); }
HOST_EACH(min)
HOST_EACH(max)
template <class T, int N> inline vec<T, N> abs(vec<T, N> a) { for (int i = 0; i < N; i++) a[i] = metal::abs(T(a[i])); return a; }
template <class T, int N> inline vec<T, N> clamp(vec<T, N> x, vec<T, N> low, vec<T, N> high) { return min(max(x, low), high); }
template <class T, int N> inline vec<T, N> clamp(vec<T, N> x, T low, T high) { return min(max(x, low), high); }
template <class T, int N> inline vec<T, N> mix(vec<T, N> a, vec<T, N> b, vec<T, N> t) { return a + (b - a) * t; }
template <class T, int N> inline vec<T, N> mix(vec<T, N> a, vec<T, N> b, T t) { return a + (b - a) * t; }
template <class T, int N> inline vec<T, N> fma(vec<T, N> a, vec<T, N> b, vec<T, N> c) {
  for (int i = 0; i < N; i++) a[i] = metal::fma(T(a[i]), T(b[i]), T(c[i]));
  return a;
}
template <class T, int N> inline T dot(vec<T, N> a, vec<T, N> b) {
  T sum = a[0] * b[0];
  for (int i = 1; i < N; i++) sum += a[i] * b[i];
  return sum;
}
template <class T, int N> inline T length_squared(vec<T, N> a) { return dot(a, a); }
template <class T, int N> inline T length(vec<T, N> a) { return sqrt(dot(a, a)); }

#define HOST_SELECT(T) inline constexpr T select(T a, T b, bool c) { return c ? b : a; }
HOST_FLOATS(HOST_SELECT)
HOST_INTEGERS(HOST_SELECT)
inline constexpr bool select(bool a, bool b, bool c) { return c ? b : a; }
template <class T, int N> inline vec<T, N> select(vec<T, N> a, vec<T, N> b, bool c) { return c ? b : a; }
template <class T, int N> inline vec<T, N> select(vec<T, N> a, vec<T, N> b, vec<bool, N> c) {
  for (int i = 0; i < N; i++) if (c[i]) a[i] = b[i];
  return a;
}

template <class T, class = enable_if_t<is_floating_point_v<T>>> inline bool isnan(T a) { return __builtin_isnan((float)a); }
template <class T, class = enable_if_t<is_floating_point_v<T>>> inline bool isinf(T a) { return __builtin_isinf((float)a); }
template <class T, class = enable_if_t<is_floating_point_v<T>>> inline bool isfinite(T a) { return __builtin_isfinite((float)a); }
template <class T, class = enable_if_t<is_floating_point_v<T>>> inline bool signbit(T a) { return __builtin_signbit((float)a); }

template <class T> inline T clz(T a) { return a == T(0) ? T(8 * sizeof(T)) : T(__builtin_clzl((ulong)make_unsigned_t<T>(a)) - (64 - 8 * sizeof(T))); }
template <class T> inline T ctz(T a) { return a == T(0) ? T(8 * sizeof(T)) : T(__builtin_ctzl((ulong)make_unsigned_t<T>(a))); }
template <class T> inline T popcount(T a) { return T(__builtin_popcountl((ulong)make_unsigned_t<T>(a))); }
template <class T> inline T reverse_bits(T a) {
  T r = 0;
  for (unsigned i = 0; i < 8 * sizeof(T); i++) if (a >> i & 1) r |= T(T(1) << (8 * sizeof(T) - 1 - i));
  return r;
}
template <class T> inline T mulhi(T a, T b) { return T(((__int128)a * (__int128)b) >> (8 * sizeof(T))); }
template <> inline ulong mulhi(ulong a, ulong b) { return (ulong)(((unsigned __int128)a * b) >> 64); }
template <class T> inline T mul24(T a, T b) { return T(a * b); }
template <class T> inline T mad24(T a, T b, T c) { return T(a * b + c); }
template <class T> inline T rotate(T a, T b) {
  typedef make_unsigned_t<T> U;
  constexpr unsigned bits = 8 * sizeof(T);
  unsigned s = unsigned(b) % bits;
  return s == 0 ? a : T(U(U(a) << s) | U(U(a) >> (bits - s)));
}
template <class T> inline T extract_bits(T a, uint offset, uint bits) {
  if (bits == 0) return T(0);
  constexpr uint width = 8 * sizeof(T);
  return T(T(make_unsigned_t<T>(a) << (width - bits - offset)) >> (width - bits));
}

// Both precise and fast functions are the exact ones here; `Options::fast_math` shows what depends on exactness.
#define HOST_PRECISIONS                                                                                               \
  using metal::exp; using metal::exp2; using metal::exp10; using metal::log; using metal::log2; using metal::log10;   \
  using metal::sqrt; using metal::rsqrt; using metal::sin; using metal::cos; using metal::tan; using metal::asin;     \
  using metal::acos; using metal::atan; using metal::atan2; using metal::sinh; using metal::cosh; using metal::tanh;  \
  using metal::asinh; using metal::acosh; using metal::atanh; using metal::ceil; using metal::floor; using metal::trunc; \
  using metal::rint; using metal::round; using metal::fract; using metal::fabs; using metal::abs; using metal::sign;  \
  using metal::saturate; using metal::pow; using metal::powr; using metal::fmod; using metal::fmin; using metal::fmax; \
  using metal::min; using metal::max; using metal::clamp; using metal::mix; using metal::fma; using metal::divide;    \
  using metal::sincos; using metal::copysign; using metal::ldexp; using metal::isnan; using metal::isinf; using metal::isfinite;
namespace precise { HOST_PRECISIONS }
namespace fast { HOST_PRECISIONS }

}  // namespace metal
