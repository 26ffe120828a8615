use nanohost_core::Class;

use super::{MAX_REFUSALS, Recorder};

#[test]
fn what_is_tried_again_and_again_does_not_crowd_out_what_is_tried_once() {
    let recorder = Recorder::default();
    for _ in 0..10 * MAX_REFUSALS {
        recorder.denied(Class::Filesystem, "open", "/data/noise");
    }
    recorder.denied(Class::Filesystem, "open", "/data/../secret");
    let (_, denied, more) = recorder.finish();
    let kept: Vec<(&str, u64)> =
        denied.iter().map(|refusal| (refusal.value.as_str(), refusal.count)).collect();
    assert_eq!(kept, [("/data/noise", 10 * MAX_REFUSALS as u64), ("/data/../secret", 1)]);
    assert_eq!(more, 0);
}

#[test]
fn refusals_beyond_the_bound_are_counted() {
    let recorder = Recorder::default();
    for at in 0..MAX_REFUSALS + 5 {
        recorder.denied(Class::Kv, "get", &format!("key {at}"));
    }
    let (_, denied, more) = recorder.finish();
    assert_eq!((denied.len(), more), (MAX_REFUSALS, 5));
}
