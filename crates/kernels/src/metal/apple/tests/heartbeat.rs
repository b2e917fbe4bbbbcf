//! When memory is kept wired.

use std::{sync::mpsc, time::Duration};

use super::fake::{Shared, compile, dispatches, map, run};
use crate::metal::apple::{
    cores,
    heartbeat::{Heartbeat, Next, next},
};

const MS: fn(u64) -> Duration = Duration::from_millis;

#[test]
fn beats_every_half_second_for_three_minutes_after_the_last_use() {
    // A clock that advances by exactly what the thread sleeps.
    let (mut now, mut last_beat, mut beats) = (Duration::ZERO, Duration::ZERO, Vec::new());
    loop {
        match next(Some(now), now.saturating_sub(last_beat)) {
            Next::Sleep(Some(duration)) => now += duration,
            Next::Beat => {
                beats.push(now);
                last_beat = now;
            }
            Next::Sleep(None) => break,
        }
    }
    let expected: Vec<_> = (1..360).map(|beat| MS(500 * beat)).collect();
    assert_eq!(beats, expected);
    assert_eq!(now, MS(180_000));
}

#[test]
fn device_in_use_needs_no_beats() {
    // Used every 20 ms.
    for since_beat in [0, 499, 500, 100_000] {
        let sleep = Next::Sleep(Some(MS(480)));
        if since_beat >= 20 {
            assert_eq!(next(Some(MS(20)), MS(since_beat)), sleep);
        }
    }
    assert_eq!(next(None, MS(1000)), Next::Sleep(None));
    assert_eq!(next(Some(MS(180_000)), MS(1000)), Next::Sleep(None));
}

#[test]
fn thread_sleeps_until_the_first_use_and_ends_with_its_owner() {
    let (sender, beats) = mpsc::channel();
    let heartbeat = Heartbeat::start(move || sender.send(()).unwrap()).unwrap();
    assert_eq!(beats.try_recv(), Err(mpsc::TryRecvError::Empty));
    heartbeat.used();
    assert_eq!(beats.recv(), Ok(()));
    drop(heartbeat);
    // The closure, and with it the sender, was dropped with the thread.
    while beats.try_recv().is_ok() {}
    assert_eq!(beats.try_recv(), Err(mpsc::TryRecvError::Disconnected));
}

#[test]
fn drop_of_a_device_ends_its_thread() {
    let shared = Shared::new();
    let mut gpu = shared.gpu();
    gpu.start_heartbeat().unwrap();
    let buffer = map(&gpu, 1).unwrap();
    let pipeline = compile(&gpu, &["a"])[0];
    run(&gpu, &dispatches(pipeline, buffer, 1, 1)).unwrap();
    drop(gpu);
    // The driver was dropped, so the thread does not have it any more.
    assert!(shared.is_unique());
}

#[test]
fn cores_follow_the_size_of_the_chip() {
    let names = ["applegpu_g13g", "applegpu_g13s", "applegpu_g14d"];
    let cores = names.map(cores::estimate);
    assert!(cores.is_sorted() && cores[0] >= 8 && cores[2] <= 80);
    assert_eq!(cores::estimate(""), cores[0]);
}
