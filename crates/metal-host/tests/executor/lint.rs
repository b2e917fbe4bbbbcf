//! What compiles here but should not be in a kernel.

use mlxm_metal_host::lint;

fn findings(source: &str) -> Vec<String> {
    lint(source).iter().map(ToString::to_string).collect()
}

#[test]
fn ordinary_kernels_have_no_findings() {
    let source = "
        // double precision is not needed
        struct Sums { float total; float add(float x) thread { total += x; return total; } };
        static float half_of(float x) { return x * 0.5f; }
        kernel void f(device float *x [[buffer(0)]], uint i [[thread_position_in_grid]]) {
          Sums s = {0};
          int table[2] = {0, 1};
          x[i] = half_of(s.add(x[table[0]]));
        }";
    assert_eq!(findings(source), Vec::<String>::new());
}

#[test]
fn each_rule_names_its_line() {
    let cases = [
        ("kernel void f(device bfloat *x) {}", "`bfloat`"),
        ("static bool f(float x) { return isnan(x); }", "`isnan`"),
        ("#define START \\\n  -INFINITY\n", "`INFINITY`"),
        (
            "static float f(float x) { double y = x; return y; }",
            "`double`",
        ),
        ("static float f(float x) { return sin(x); }", "`sin`"),
        (
            "static int f(int x) { return x < 2 ? x : f(x - 1); }",
            "`f` calls itself",
        ),
        (
            "struct S { float x; float get() const { return x; } };",
            "the method `get` has no address space",
        ),
        (
            "static float f(float x) { auto g = [&](float y) { return x + y; }; return g(x); }",
            "lambdas",
        ),
        (
            "kernel void f(device atomic<ulong> *x) {}",
            "64-bit atomics",
        ),
        ("kernel void f(device atomic_ulong *x) {}", "`atomic_ulong`"),
    ];
    for (source, expected) in cases {
        let found = findings(&format!("\n{source}"));
        assert_eq!(found.len(), 1, "{source}: {found:?}");
        assert!(
            found[0].starts_with("source.metal:2: ") && found[0].contains(expected),
            "{found:?}"
        );
    }
}
