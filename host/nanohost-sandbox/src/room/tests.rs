use std::future::Future;
use std::pin::pin;
use std::task::{Context, Poll, Waker};

use super::*;

fn bounds(calls: Option<u64>, memory: Option<u64>) -> Together {
    Together { calls, memory }
}

/// Asks once.
fn poll<F: Future>(future: std::pin::Pin<&mut F>) -> Option<F::Output> {
    match future.poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(output) => Some(output),
        Poll::Pending => None,
    }
}

fn enter(room: &Arc<Room>, memory: u64, bounds: Together) -> Option<Taken> {
    poll(pin!(room.enter(memory, bounds)))
}

#[test]
fn as_many_as_there_is_room_for() {
    let room = Arc::new(Room::default());
    let two = bounds(Some(2), None);
    let first = enter(&room, 1, two).expect("there is room");
    let second = enter(&room, 1, two).expect("there is room");
    assert!(enter(&room, 1, two).is_none());
    drop(first);
    let third = enter(&room, 1, two).expect("one ended");
    assert!(enter(&room, 1, two).is_none());
    drop((second, third));
    let used = *room.used();
    assert_eq!((used.calls, used.memory), (0, 0));
}

#[test]
fn as_much_memory_as_there_is_room_for() {
    let room = Arc::new(Room::default());
    let ten = bounds(None, Some(10));
    let first = enter(&room, 6, ten).expect("there is room");
    assert!(enter(&room, 5, ten).is_none());
    let second = enter(&room, 4, ten).expect("it fits");
    // One without a bound is let in, and counts.
    let free = enter(&room, 100, Together::default()).expect("it has no bound");
    drop((first, second));
    assert!(enter(&room, 1, ten).is_none());
    drop(free);
    assert!(enter(&room, 10, ten).is_some());
}

#[test]
fn the_bounds_of_each_count_for_each() {
    let room = Arc::new(Room::default());
    let _first = enter(&room, 1, bounds(Some(9), None)).expect("there is room");
    assert!(enter(&room, 1, bounds(Some(1), None)).is_none());
    assert!(enter(&room, 1, bounds(Some(9), Some(1))).is_none());
    assert!(enter(&room, 1, bounds(Some(2), Some(2))).is_some());
}

#[test]
fn who_waits_is_not_passed_by() {
    let room = Arc::new(Room::default());
    let ten = bounds(None, Some(10));
    let small = enter(&room, 6, ten).expect("there is room");
    let mut large = pin!(room.enter(10, ten));
    assert!(poll(large.as_mut()).is_none());
    // It would fit beside the small one, and waits behind the large one.
    let mut other = pin!(room.enter(1, ten));
    assert!(poll(other.as_mut()).is_none());
    drop(small);
    let large = poll(large.as_mut()).expect("it is its turn");
    assert!(poll(other.as_mut()).is_none());
    drop(large);
    assert!(poll(other.as_mut()).is_some());
}

#[test]
fn who_stops_waiting_leaves_nothing_behind() {
    let room = Arc::new(Room::default());
    let one = bounds(Some(1), None);
    let first = enter(&room, 1, one).expect("there is room");
    {
        let mut waits = pin!(room.enter(1, one));
        assert!(poll(waits.as_mut()).is_none());
    }
    drop(first);
    assert!(enter(&room, 1, one).is_some());
}
