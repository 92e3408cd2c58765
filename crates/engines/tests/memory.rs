//! Memory comes back: from outputs, from lanes, from engines. A process of its own, because it counts all blocks.

mod support;

use headway_core::engine::Engine;
use headway_core::request::Wanted;
use headway_core::value::Value;
use headway_engines::pool::live_blocks;
use support::*;

fn rows(count: usize) -> Value {
    floats(&[count as i64, 16], &vec![1.0; count * 16])
}

#[test]
fn what_runs_have_taken_is_given_back() {
    let before = live_blocks();
    let engine = load("chain");
    let mut lane = engine.open_lane(0).expect("a lane");
    let mut feed = |count| run(lane.as_mut(), [rows(count)], Wanted::All).expect("success");

    // One large request, then many small ones: what the large one needed does not stay for ever.
    let large = feed(20_000);
    let small = feed(1);
    let peak = live_blocks();
    drop(large);
    for _ in 0..2_000 {
        feed(1);
    }
    assert!(live_blocks() < peak, "{} blocks, {peak} at the peak", live_blocks());

    // Results that somebody keeps are kept; the same work over and over takes no more.
    let kept: Vec<_> = (0..100).map(|_| feed(3)).collect();
    let held = live_blocks();
    for _ in 0..1_000 {
        feed(3);
    }
    assert!(live_blocks() <= held + 4);
    drop(kept);

    drop((lane, engine));
    assert_eq!(floats_of(&small[0]), [1.0; 16], "an output outlives its engine");
    drop(small);
    assert_eq!(live_blocks(), before);
}
