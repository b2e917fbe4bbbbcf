// Atomics. All threads of a dispatch run on one thread of the host, which makes plain accesses atomic.

namespace metal {

template <class T> struct atomic { T value; };
template <class T> using _atomic = atomic<T>;
typedef atomic<int> atomic_int;
typedef atomic<uint> atomic_uint;
typedef atomic<ulong> atomic_ulong;
typedef atomic<bool> atomic_bool;
typedef atomic<float> atomic_float;

#define HOST_FETCH(name, expression)                                                                \
  template <class T, class U> inline T atomic_fetch_##name##_explicit(volatile atomic<T> *object, U operand, memory_order) { \
    T a = object->value, b = T(operand);                                                            \
    object->value = T(expression);                                                                  \
    return a;                                                                                       \
  }
HOST_FETCH(add, a + b)
HOST_FETCH(sub, a - b)
HOST_FETCH(max, a < b ? b : a)
HOST_FETCH(min, b < a ? b : a)
HOST_FETCH(and, a & b)
HOST_FETCH(or, a | b)
HOST_FETCH(xor, a ^ b)
template <class T> inline T atomic_load_explicit(const volatile atomic<T> *object, memory_order) { return object->value; }
template <class T, class U> inline void atomic_store_explicit(volatile atomic<T> *object, U value, memory_order) { object->value = T(value); }
template <class T, class U> inline T atomic_exchange_explicit(volatile atomic<T> *object, U value, memory_order) {
  T old = object->value;
  object->value = T(value);
  return old;
}
template <class T, class U>
inline bool atomic_compare_exchange_weak_explicit(volatile atomic<T> *object, T *expected, U desired, memory_order, memory_order) {
  T old = object->value;
  if (old == *expected) {
    object->value = T(desired);
    return true;
  }
  *expected = old;
  return false;
}

}  // namespace metal
