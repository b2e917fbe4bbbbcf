//! Pointers to the wrong address space, which run here but are errors in Metal.

use mlxm_metal_host::{Library, Options};

fn check(source: &str) -> Result<(), String> {
    let options = Options {
        check_address_spaces: true,
        ..Options::default()
    };
    let result = Library::compile(&format!("using namespace metal;\n{source}"), &options);
    result.map(drop).map_err(|error| error.to_string())
}

/// A kernel with memory of each kind, and a statement in its third line.
fn kernel(statement: &str) -> String {
    format!(
        "template <typename T> inline T first(device const T *x) {{ return x[0]; }}
        kernel void f(device float *x, constant float *c, uint i [[thread_position_in_grid]]) {{ threadgroup float t[32]; float p[4] = {{}};
        {statement}
        x[i] = p[0] + t[i % 32] + c[0]; }}"
    )
}

#[test]
fn pointers_to_their_own_address_space_are_accepted() {
    for statement in [
        "threadgroup float *y = t; device float *z = x; constant float *w = c; thread float *q = p; y[0] = z[0] + w[0] + q[0];",
        "device const float4 *y = (device const float4 *)x; float4 v = y[i]; p[0] = v.x + v[1];",
        "constant float4 *y = (constant float4 *)c; float4 v = *y; p[0] = v.w;",
        "threadgroup float4 *y = (threadgroup float4 *)t; float4 v = *y; p[0] = v.y;",
        "p[0] = first(x) + first<float>(x + 1);",
        "simdgroup_float8x8 m; simdgroup_load(m, x, 8); simdgroup_store(m, t, 8);",
        "thread float &q = p[1]; q = c[2];",
    ] {
        check(&kernel(statement)).unwrap_or_else(|error| panic!("{statement}: {error}"));
    }
}

#[test]
fn pointers_to_another_address_space_are_errors_in_their_line() {
    for statement in [
        "device float *y = t;",
        "threadgroup float *y = x;",
        "device const float *y = c;",
        "constant float *y = x;",
        "thread float *y = x;",
        "thread float *y = t;",
        "device float *y = p;",
        "device float &y = t[0];",
        "p[0] = first(t);",
        "p[0] = first<float>(p);",
        "c[0] = 1.0f;",
        "simdgroup_float8x8 m; simdgroup_load(m, p, 8);",
        "device float *y = i == 0 ? x : t;",
    ] {
        let error = check(&kernel(statement)).expect_err(statement);
        assert!(error.contains("source.metal:4"), "{statement}: {error}");
        // Accepted without the check, or wrong in another way.
        let other = Library::compile(
            &format!("using namespace metal;\n{}", kernel(statement)),
            &Options::default(),
        );
        let constant = statement.starts_with("c[0]") || statement.contains("constant float *y = x");
        assert!(other.is_ok() || constant, "{statement}");
    }
}

#[test]
fn every_instantiation_is_checked() {
    let source = "
        template <int N> inline float second(device const float *x) { return x[1]; }
        template <int N> kernel void f(device float *x) {
          threadgroup float t[2];
          if constexpr (N == 2) x[0] = second<N>(t); else x[0] = second<N>(x);
        }
        template [[host_name(\"f_1\")]] kernel void f<1>(device float *x);";
    check(source).unwrap();
    let more =
        format!("{source}\ntemplate [[host_name(\"f_2\")]] kernel void f<2>(device float *x);");
    // What has been checked is not checked again; the rest is.
    for _ in 0..2 {
        let error = check(&more).unwrap_err();
        assert!(error.contains("source.metal:6"), "{error}");
    }
}
