//! Views of mapped memory.

use proptest::prelude::*;

use super::fake::{Call, PAGE, Shared, compile, dispatch, map, run};
use crate::metal::{
    Access, Device,
    apple::views::{Mapping, View, split},
};
use crate::metal::{BufferId, BufferRange};

#[test]
fn memory_up_to_the_longest_buffer_is_one_view() {
    let is_whole = |views: &[std::ops::Range<usize>], pages: usize| {
        views.len() == 1 && views[0] == (0..pages * PAGE)
    };
    assert!(is_whole(&split(8 * PAGE, 8 * PAGE, PAGE), 8));
    assert!(is_whole(&split(PAGE, usize::MAX, PAGE), 1));
    // The longest buffer is rounded down to pages.
    let views = split(9 * PAGE, 9 * PAGE - 1, PAGE);
    assert_eq!(views, [0..8 * PAGE, 6 * PAGE..9 * PAGE]);
}

proptest! {
    #[test]
    fn every_small_range_is_inside_a_view(
        pages in 1_usize..200,
        max in 4 * PAGE..50 * PAGE,
        start in 0.0..1.0_f64,
        length in 0.0..1.0_f64,
    ) {
        let bytes = pages * PAGE;
        let views = split(bytes, max, PAGE);
        for view in &views {
            prop_assert!(view.len() <= max && !view.is_empty());
            prop_assert_eq!((view.start % PAGE, view.end % PAGE), (0, 0));
        }
        prop_assert_eq!((views[0].start, views[views.len() - 1].end), (0, bytes));
        let longest = (max / PAGE / 4 * PAGE).min(bytes);
        let length = ((longest as f64 * length) as usize).max(1);
        let offset = ((bytes - length) as f64 * start) as usize;
        let views = views.into_iter().map(|range| View {
            range,
            buffer: (),
            residency_set: None,
        });
        let mapping = Mapping { bytes, views: views.collect() };
        let range = BufferRange { buffer: BufferId(0), offset, bytes: length };
        let (view, within) = mapping.find(&range).unwrap();
        let view = &mapping.views[view].range;
        prop_assert_eq!(view.start + within, offset);
        prop_assert!(offset + length <= view.end);
    }
}

#[test]
fn weights_longer_than_a_buffer_are_bound_in_the_view_that_has_them() {
    let shared = Shared::new();
    shared.log().max_buffer_bytes = 8 * PAGE;
    let gpu = shared.gpu();
    let activations = map(&gpu, 1).unwrap();
    let weights = map(&gpu, 20).unwrap();
    let sizes: Vec<_> = shared
        .take()
        .into_iter()
        .filter_map(|call| match call {
            Call::Buffer { bytes, .. } => Some(bytes / PAGE),
            _ => None,
        })
        .collect();
    assert_eq!(sizes, [1, 8, 8, 8]);
    let pipeline = compile(&gpu, &["a"])[0];
    let mut work = dispatch(0, activations);
    work.bindings[0].range = BufferRange {
        buffer: weights,
        offset: 7 * PAGE,
        bytes: 2 * PAGE,
    };
    work.bindings[0].access = Access::Constant;
    run(&gpu, &[(pipeline, false, work.clone())]).unwrap();
    let expected = Call::SetBuffer {
        index: 1,
        buffer: 2,
        offset: PAGE,
    };
    assert!(shared.take().contains(&expected));
    // Longer than the overlap, and across a boundary.
    work.bindings[0].range.bytes = 8 * PAGE;
    let error = run(&gpu, &[(pipeline, false, work.clone())]).unwrap_err();
    assert!(error.to_string().contains("not inside one buffer"));
    // Metal would not know that two views of written memory overlap.
    work.bindings[0].range.bytes = 64;
    work.bindings[0].access = Access::Write;
    let error = run(&gpu, &[(pipeline, false, work)]).unwrap_err();
    assert!(error.to_string().contains("must be mapped as one buffer"));
}

#[test]
fn partial_pages_are_not_mapped() {
    let shared = Shared::new();
    let gpu = shared.gpu();
    for (address, bytes) in [(PAGE, PAGE + 1), (PAGE + 64, PAGE), (PAGE, 0), (0, PAGE)] {
        // SAFETY: the driver does not access the memory.
        let mapped = unsafe { gpu.map(std::ptr::without_provenance_mut(address), bytes) };
        assert!(mapped.unwrap_err().to_string().contains("whole pages"));
    }
    assert_eq!(shared.take(), []);
}

#[test]
fn unmapped_memory_is_released_and_its_id_used_again() {
    let shared = Shared::new();
    let gpu = shared.gpu();
    let pipeline = compile(&gpu, &["a"])[0];
    let (first, second) = (map(&gpu, 1).unwrap(), map(&gpu, 1).unwrap());
    gpu.unmap(first);
    assert!(shared.take().contains(&Call::ReleaseBuffer(0)));
    let error = run(&gpu, &[(pipeline, false, dispatch(0, first))]).unwrap_err();
    assert!(error.to_string().contains("does not exist"));
    run(&gpu, &[(pipeline, false, dispatch(0, second))]).unwrap();
    assert_eq!(map(&gpu, 1).unwrap(), first);
}
