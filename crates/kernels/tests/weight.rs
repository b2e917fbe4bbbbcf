//! Validation of weights and parameters.

use mlxm_kernels::{Bytes, FloatType, Param, QuantMode, QuantSpec, ScaleType, Weight, WeightError};

fn zeros(count: usize) -> Bytes {
    Bytes::owned(vec![0; count])
}

fn quantized(
    mode: QuantMode,
    cols: usize,
    sizes: [usize; 2],
    scale_type: ScaleType,
    biases: Option<usize>,
    global_scale: Option<f32>,
) -> Result<Weight, WeightError> {
    Weight::quantized(
        2,
        cols,
        QuantSpec::default_for(mode),
        zeros(sizes[0]),
        zeros(sizes[1]),
        scale_type,
        biases.map(zeros),
        global_scale,
    )
}

#[test]
fn weight_rejects_wrong_sizes_with_expected_and_found_bytes() {
    let affine = QuantMode::Affine;
    quantized(affine, 128, [128, 8], ScaleType::F16, Some(8), None).unwrap();
    let message = |result: Result<Weight, WeightError>| result.unwrap_err().to_string();
    assert_eq!(
        message(quantized(
            affine,
            128,
            [127, 8],
            ScaleType::F16,
            Some(8),
            None
        )),
        "the packed values of a weight of 2 rows and 128 columns (affine 4-bit, group 64) take 128 bytes, found 127"
    );
    assert_eq!(
        message(quantized(
            affine,
            128,
            [128, 8],
            ScaleType::F16,
            Some(16),
            None
        )),
        "the biases of a weight of 2 rows and 128 columns (affine 4-bit, group 64) take 8 bytes, found 16"
    );
    assert_eq!(
        message(Weight::dense(2, 3, FloatType::F32, zeros(25))),
        "the values of a weight of 2 rows and 3 columns (F32) take 24 bytes, found 25"
    );
    assert_eq!(
        message(Weight::dense(0, 3, FloatType::F32, zeros(0))),
        "a weight of 0 rows and 3 columns is empty"
    );
}

#[test]
fn weight_rejects_parts_that_its_mode_does_not_have() {
    let (affine, mxfp4) = (QuantMode::Affine, QuantMode::Mxfp4);
    let error = |result: Result<Weight, WeightError>| result.unwrap_err();
    assert!(matches!(
        error(quantized(affine, 128, [128, 8], ScaleType::F16, None, None)),
        WeightError::Biases { .. }
    ));
    assert!(matches!(
        error(quantized(
            affine,
            128,
            [128, 4],
            ScaleType::U8,
            Some(4),
            None
        )),
        WeightError::ScaleType { .. }
    ));
    assert!(matches!(
        error(quantized(
            affine,
            96,
            [96, 6],
            ScaleType::F16,
            Some(6),
            None
        )),
        WeightError::Groups { .. }
    ));
    assert!(matches!(
        error(quantized(mxfp4, 64, [64, 4], ScaleType::U8, Some(4), None)),
        WeightError::Biases { .. }
    ));
    assert!(matches!(
        error(quantized(mxfp4, 64, [64, 8], ScaleType::BF16, None, None)),
        WeightError::ScaleType { .. }
    ));
    assert!(matches!(
        error(quantized(
            mxfp4,
            64,
            [64, 4],
            ScaleType::U8,
            None,
            Some(1.0)
        )),
        WeightError::GlobalScale { .. }
    ));
    quantized(mxfp4, 64, [64, 4], ScaleType::U8, None, None).unwrap();
}

#[test]
fn param_converts_to_f32_and_rejects_partial_elements() {
    let bytes = Bytes::owned(
        [0x3f80_u16, 0xc000]
            .iter()
            .flat_map(|x| x.to_le_bytes())
            .collect(),
    );
    assert_eq!(
        Param::from_bytes(FloatType::BF16, &bytes)
            .unwrap()
            .as_slice(),
        [1.0, -2.0]
    );
    assert!(Param::from_bytes(FloatType::F32, &zeros(6)).is_err());
}
